"""What the `to_fields` of the news sets cut, undo and drop."""

import pytest

from tasks import summarization_news

TASKS = {task.name.removeprefix("flan2021:"): task for task in summarization_news.TASKS}


@pytest.mark.parametrize(
    ("article", "text"),
    [
        ("By . Jo Roe . PUBLISHED: . 1 May 2013 . | . UPDATED: . 2 May 2014 . It rained.", "It rained."),
        ("LONDON, England (CNN) -- It rained.", "It rained."),
        ("(CNN) -- It rained.", "It rained."),
        ("It rained. The club (Elm FC) -- it is small -- won.", "It rained. The club (Elm FC) -- it is small -- won."),
        ("It rained .\n\nA lot .", "It rained.\nA lot."),
    ],
)  # fmt: skip
def test_what_comes_before_an_article_is_cut_and_nothing_later(article, text):
    assert summarization_news.without_byline(article) == text


def test_html_whose_ampersands_became_spaces_becomes_text():
    row = {
        "title": "It #39;s on",
        "description": "A\\&lt;b&gt;new&lt;/b&gt;  quot;AT&amp;T quot; rose  #36;4",
        "label": 0,
    }
    fields = TASKS["ag_news_subset"].to_fields(row)
    assert (fields["title"], fields["text"]) == ("It's on", 'A new "AT&T" rose $4')
    assert TASKS["ag_news_subset"].to_fields({**row, "title": " "}) is None


@pytest.mark.parametrize(
    "changes", [{"document": "UNK won"}, {"summary": "## won"}, {"document": "<unk> won"}]
)
def test_gigaword_rows_with_masked_words_or_digits_are_dropped(changes):
    row = {"document": "oslo -lrb- norway -rrb- won", "summary": "oslo won"}
    assert TASKS["gigaword"].to_fields(row)["text"] == "oslo (norway) won"
    assert TASKS["gigaword"].to_fields({**row, **changes}) is None


def test_articles_of_multi_news_are_numbered_and_its_summaries_lose_their_dash():
    row = {"document": "One came.\n \nTwo. ||||| Three left. |||||", "summary": "– All did."}
    fields = TASKS["multi_news"].to_fields(row)
    assert fields["text"] == "Article 1: One came.\nTwo.\nArticle 2: Three left."
    assert fields["answer"] == "All did."
    assert TASKS["multi_news"].to_fields({**row, "document": "|||||"}) is None


def test_newsroom_rows_without_a_title_are_dropped():
    row = {"text": "It rained all day.", "title": "Rain", "summary": "Rain."}
    assert TASKS["newsroom"].to_fields(row)["title"] == "Rain"
    assert TASKS["newsroom"].to_fields({**row, "title": ""}) is None
