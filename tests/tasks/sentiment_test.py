"""What `to_fields` removes from reviews, and what Sentiment140's polarities mean."""

import pytest

from tasks import sentiment, sst2

TASKS = {task.name.removeprefix("flan2021:"): task for task in sentiment.TASKS}


def test_html_line_breaks_become_one_line_break():
    row = {"text": "<br />Dull. <br /><br />Skip it!<br/>1/10 ", "label": 0}
    assert TASKS["imdb_reviews"].to_fields(row)["text"] == "Dull.\nSkip it!\n1/10"


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ('The \\""fresh\\"" fish.\\n\\nAnd \\"" no.', 'The "fresh" fish.\nAnd " no.'),
        ('They call it ""service"".', 'They call it "service".'),
    ],
)
def test_escapes_of_the_csv_file_are_undone(stored, text):
    fields = TASKS["yelp_polarity_reviews"].to_fields({"text": stored, "label": 1})
    assert (fields["text"], fields["label"]) == (text, 1)


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("Lovely", "Lovely"),
        ("It rained all day again today", "It rained"),
        (" ".join("abcdefghijklmnopqrstuvwxyz"), "a b c d e f"),
    ],
)
def test_inversions_are_given_at_most_a_third_of_the_words(text, opening):
    assert TASKS["imdb_reviews"].to_fields({"text": text, "label": 1})["opening"] == opening
    fields = TASKS["sst2"].to_fields({"sentence": text, "label": 1})
    assert fields["opening"] == opening


@pytest.mark.parametrize(("polarity", "answer"), [(0, "negative"), (4, "positive"), (2, None)])
def test_polarity(polarity, answer):
    task = TASKS["sentiment140"]
    fields = task.to_fields({"text": "rain &amp; wind ", "polarity": polarity})
    assert (fields and task.answer_choices[fields["label"]]) == answer
    assert fields is None or fields["text"] == "rain & wind"


def test_hidden_labels_and_empty_texts_are_dropped():
    assert TASKS["sst2"].to_fields({"sentence": "fine .", "label": -1}) is None
    assert TASKS["imdb_reviews"].to_fields({"text": "<br />", "label": 1}) is None


def test_sst2_shares_the_direct_wordings_of_its_own_module():
    direct = [one for one in TASKS["sst2"].templates if one.kind == "direct"]
    assert set(direct) < set(sst2.TEMPLATES)
