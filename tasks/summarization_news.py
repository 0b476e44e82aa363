"""Summaries of news in FLAN 2021 (https://arxiv.org/abs/2109.01652): headlines, highlights, and AG News's sections.

FLAN 2021 counts the sections as summaries. Every set but XSum is read from TFDS, cut as FLAN 2021 cut it: at most 30,000
training rows and 200 for validation. An article that makes a prompt too long loses its end. Inversions ask for the first
sentence of an article, not for all of it, which no target has room for. What differs:

- AG News: half-removed HTML becomes text again. Rows without a title are dropped.
- CNN/Daily Mail: TFDS builds 3.4.0 now, FLAN 2021 had 3.1.0. Datelines and lines with an
  author and a date are cut, as in FLAN 2021, but only at the start: FLAN 2021 also cut articles at a later ") --".
- Gigaword: rows with unknown words or masked digits are dropped, as in FLAN 2021.
- Multi-News: TFDS builds 2.1.0 now, FLAN 2021 had 1.0.0. Articles are numbered.
- Newsroom: some titles are empty, and those rows are dropped.
- XSum: FLAN 2021 read it from Hugging Face, and so do we: the folder `xsum` below the data directory, with the published
  splits.

Mails, chats, reviews and arguments: `summarization_everyday.py`.
"""

from collections.abc import Callable, Mapping
import html
import re
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields, Source
from flantune.prompting import Template
from tasks import row_fields

_CAPPED = {"train": "train[:30000]", "validation": "validation[:200]", "test": "test"}
_SECTIONS = ("World", "Sports", "Business", "Science/Tech")
_HALF_ESCAPE = re.compile(r" ?(?<!&)(#\d+;|\b(?:quot|amp|lt|gt);)")
_TAG = re.compile(r"<[^<>]*>")
_DATELINE = re.compile(r"[^.!?]{0,80}\([^()]{1,40}\) --\s+")  # "LONDON, England (CNN) -- "
_STAMP = re.compile(
    r".{0,300}\b20\d\d \. ", re.DOTALL
)  # "By . A Name . PUBLISHED: . 12 May 2013 . "
_GAP_BEFORE_STOP = re.compile(r"\s+\.(?=\s|$)")
_ARTICLES_END = "|||||"
_MASKED = re.compile(r"#|\bUNK\b|<unk>")
_BRACKETS = (("-lrb- ", "("), (" -rrb-", ")"))

_AG_NEWS = (
    Template(inputs="{title}\n{text}\nIn which section of the paper would this run?\n{options}"),
    Template(inputs="{options}\nWhich of these sections prints this news?\nNews: {text}"),
    Template(inputs='An editor has to file "{title}" somewhere. The text: {text}\nFile it under:'),
    Template(inputs="Headline: {title}\nStory: {text}\nSection:"),
    Template(
        inputs="Pick the readers who want this story.\n{options}\nStory: {text}",
        label_words=(
            "readers of world politics",
            "sports fans",
            "investors",
            "readers of science and technology",
        ),
    ),
    Template(inputs="My feed sorts its stories by subject. Sort this one: {text}\n{options}"),
    Template(
        inputs=(
            "Four desks share a newsroom: one for other countries, one for games, one for money, one for inventions. "
            "Which desk wrote this?\n{title}\n{text}"
        ),
        label_words=("other countries", "games", "money", "inventions"),
    ),
    Template(inputs="Only the headline is left: {title}\nWhere did the story stand?\n{options}"),
    Template(
        inputs="A story in the section {answer} reads: {text}\nGive it a headline.",
        targets="{title}",
        kind="inversion",
    ),
    Template(
        inputs='Section: {answer}. Headline: "{title}" What does the short text below it say?',
        targets="{text}",
        kind="inversion",
    ),
)

_CNN_DAILYMAIL = (
    Template(inputs="{text}\n\nList the main points of this article, one sentence for each."),
    Template(inputs="Article: {text}\nWhat the reader should take away:"),
    Template(inputs="A website puts highlights above its articles. Write those for this.\n{text}"),
    Template(inputs="I have no time to read all of this. What are the points that matter?\n{text}"),
    Template(inputs="Note down what happened, in a few sentences.\nNews report: {text}\nNotes:"),
    Template(inputs='News: "{text}" Boil this down to its key facts.'),
    Template(
        inputs="You present the news and have half a minute for this report. What do you say?\n{text}"
    ),
    Template(
        inputs="The highlights of an article are: {answer}\nHow might the article start?",
        targets="{opening}",
        kind="inversion",
    ),
    Template(
        inputs="Main points: {answer}\nWrite a first sentence for a report with these points.",
        targets="{opening}",
        kind="inversion",
    ),
    Template(
        inputs="A reporter has these notes and begins to write.\nNotes: {answer}\nFirst sentence:",
        targets="{opening}",
        kind="inversion",
    ),
)

_GIGAWORD = (
    Template(inputs="{text}\nTurn this sentence into a headline."),
    Template(inputs="First sentence of a report: {text}\nHeadline:"),
    Template(inputs="What would a newspaper print in large type above this?\n{text}"),
    Template(inputs="Say this in no more than ten words or so: {text}"),
    Template(inputs='A news agency sends "{text}" Which title should the report get?'),
    Template(inputs="Strip the sentence of all but the news in it.\nSentence: {text}\nNews:"),
    Template(
        inputs="My editor wants a title in lower case for this report: {text}\nWhat do I hand in?"
    ),
    Template(inputs="Make it short enough for a ticker: {text}"),
    Template(
        inputs='A report has the title "{answer}" in lower case. What is its first sentence?',
        targets="{text}",
        kind="inversion",
    ),
    Template(
        inputs="Headline: {answer}\nSpell this out in one sentence, as the report under it would begin:",
        targets="{text}",
        kind="inversion",
    ),
)

_MULTI_NEWS = (
    Template(inputs="{text}\n\nTell the story that these sources report, in one text."),
    Template(inputs="Several papers wrote about one event.\n{text}\nCombine what they say:"),
    Template(
        inputs="Read the coverage below and brief someone who has seen none of it.\n{text}\nBriefing:"
    ),
    Template(inputs="Coverage: {text}\nWhat happened, and what do the sources add to it?"),
    Template(inputs="From the articles that follow, write a report of your own.\n{text}"),
    Template(
        inputs="I collected this about a piece of news. Could you sum it up in some paragraphs?\n{text}"
    ),
    Template(inputs="A weekly review covers the following news. Write its entry.\n{text}\nEntry:"),
    Template(inputs="{text}\nLeave out what repeats, and write up what is left."),
    Template(
        inputs="This sums up several articles: {answer}\nHow may the first article begin?",
        targets="{opening}",
        kind="inversion",
    ),
    Template(
        inputs="Summary of the coverage: {answer}\nMake up the first sentence of one of its sources:",
        targets="{opening}",
        kind="inversion",
    ),
)

_NEWSROOM = (
    Template(inputs='"{title}" is a news article. Its text: {text}\nWhat does it say, in short?'),
    Template(inputs="Article: {text}\nAbstract:"),
    Template(inputs="Title: {title}\nText: {text}\nDescribe the article for a list of links."),
    Template(inputs="What is the gist of this piece?\n{text}"),
    Template(
        inputs='Someone shares "{title}" and adds a line or two about it. Text: {text}\nLine:'
    ),
    Template(
        inputs="You run the front page. Write the teaser below the title.\nTitle: {title}\nArticle: {text}"
    ),
    Template(inputs="{text}\n\nIn a sentence or two, tell me what I would learn from this."),
    Template(
        inputs="An article is about this: {answer}\nWhat could be its title?",
        targets="{title}",
        kind="inversion",
    ),
    Template(
        inputs='Think of an article with the title "{title}" and this teaser: {answer}\nFirst sentence:',
        targets="{opening}",
        kind="inversion",
    ),
    Template(
        inputs="Teaser: {answer}\nThe article begins: {opening}\nTitle:",
        targets="{title}",
        kind="inversion",
    ),
)

_XSUM = (
    Template(inputs="{text}\n\nOne sentence, please: what is this about?"),
    Template(inputs="Report: {text}\nThe sentence that introduces it:"),
    Template(inputs="Put the news of the following text into a single sentence.\n{text}"),
    Template(
        inputs="The first sentence of this article, which told the whole story, is lost. Write it again.\n{text}"
    ),
    Template(inputs="How would you tell a friend the news below in one breath?\n{text}"),
    Template(
        inputs="A radio station reads one sentence for every report. Which one does it read for this?\n{text}"
    ),
    Template(inputs="Text: {text}\nIn one line:"),
    Template(inputs='You read: "{text}" Which one statement covers most of it?'),
    Template(
        inputs="{answer}\nThat sentence introduces an article. What comes next?",
        targets="{opening}",
        kind="inversion",
    ),
    Template(
        inputs="In one sentence the news is this: {answer}\nContinue as a reporter would:",
        targets="{opening}",
        kind="inversion",
    ),
)


def ag_news_fields(row: Mapping[str, Any]) -> Fields | None:
    title, text = (_without_html(row[name]) for name in ("title", "description"))
    return {"title": title, "text": text, "label": row["label"]} if title and text else None


def _without_html(text: str) -> str:
    """Text without tags and escapes, of which some have a space for the ampersand: "the paper #39;s" is "the paper's"."""
    whole = html.unescape(_HALF_ESCAPE.sub(r"&\1", text.replace("\\", " ")))
    return row_fields.clean(_TAG.sub(" ", whole))


def cnn_dailymail_fields(row: Mapping[str, Any]) -> Fields | None:
    return _article(without_byline(row["article"]), _lines(row["highlights"]))


def without_byline(article: str) -> str:
    """An article without what comes before its text.

    Example: `without_byline("By . Jo Roe . PUBLISHED: . 1 May 2013 . It rained.")` and
    `without_byline("LONDON, England (CNN) -- It rained.")` are "It rained."
    """
    for pattern in (_STAMP, _DATELINE):
        found = pattern.match(article)
        article = article[found.end() :] if found else article
    return _lines(article)


def gigaword_fields(row: Mapping[str, Any]) -> Fields | None:
    if _MASKED.search(row["document"] + row["summary"]):
        return None
    text, answer = (_brackets(row[name]) for name in ("document", "summary"))
    return {"text": text, "answer": answer} if text and answer else None


def _brackets(text: str) -> str:
    for code, bracket in _BRACKETS:
        text = text.replace(code, bracket)
    return row_fields.clean(text)


def multi_news_fields(row: Mapping[str, Any]) -> Fields | None:
    parts = (_lines(part) for part in row["document"].split(_ARTICLES_END))
    articles = [part for part in parts if part]
    answer = row_fields.clean(row["summary"].strip().removeprefix("–"))
    if not articles or not answer:
        return None
    numbered = (f"Article {number}: {article}" for number, article in enumerate(articles, 1))
    opening = row_fields.first_sentence(articles[0])
    return {"text": "\n".join(numbered), "opening": opening, "answer": answer}


def newsroom_fields(row: Mapping[str, Any]) -> Fields | None:
    title = row_fields.clean(row["title"])
    fields = _article(_lines(row["text"]), row_fields.clean(row["summary"]))
    return {**fields, "title": title} if fields and title else None


def xsum_fields(row: Mapping[str, Any]) -> Fields | None:
    return _article(_lines(row["document"]), row_fields.clean(row["summary"]))


def _article(text: str, answer: str) -> Fields | None:
    """The fields of an article and its summary; None where one is empty."""
    if not text or not answer:
        return None
    return {"text": text, "opening": row_fields.first_sentence(text), "answer": answer}


def _lines(text: str) -> str:
    """Text whose lines are clean, without empty ones and without spaces before full stops."""
    lines = (row_fields.clean(_GAP_BEFORE_STOP.sub(".", line)) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _task(
    key: str,
    source: Source,
    to_fields: Callable[[Mapping[str, Any]], Fields | None],
    templates: tuple[Template, ...],
    publication: Publication,
    *,
    licence: str = "unknown (not stated)",
    choices: tuple[str, ...] | None = None,
) -> InstructionTask:
    rouge = (metrics.rouge_1, metrics.rouge_2, metrics.rouge_lsum)
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="summarization",
        source=source,
        to_fields=to_fields,
        answer_choices=choices,
        templates=templates,
        metrics=rouge if choices is None else (metrics.accuracy,),
        lineage=(key,),
        licence=licence,
        publication=publication,
        may_cut=("text",),
    )


TASKS = (
    _task(
        "ag_news_subset",
        sources.Tfds(
            "ag_news_subset:1.0.0", train="train[:30000]", validation="train[-200:]", test="test"
        ),
        ag_news_fields,
        _AG_NEWS,
        Publication(url="https://arxiv.org/abs/1509.01626", download_bytes=11_784_327),
        choices=_SECTIONS,
        licence="non-commercial use (http://groups.di.unipi.it/~gulli/AG_corpus_of_news_articles.html)",
    ),
    _task(
        "cnn_dailymail",
        sources.Tfds("cnn_dailymail:3.4.0", **_CAPPED),
        cnn_dailymail_fields,
        _CNN_DAILYMAIL,
        Publication(url="https://arxiv.org/abs/1704.04368", download_bytes=585_439_472),
        licence="Apache-2.0",
    ),
    _task(
        "gigaword",
        sources.Tfds("gigaword:1.2.0", **_CAPPED),
        gigaword_fields,
        _GIGAWORD,
        Publication(url="https://aclanthology.org/D15-1044", download_bytes=578_402_958),
    ),
    _task(
        "multi_news",
        sources.Tfds("multi_news:2.1.0", **_CAPPED),
        multi_news_fields,
        _MULTI_NEWS,
        Publication(url="https://aclanthology.org/P19-1102", download_bytes=756_785_627),
        licence="non-commercial research and education (https://github.com/Alex-Fabbri/Multi-News)",
    ),
    _task(
        "newsroom",
        sources.Tfds("newsroom:1.0.0", **_CAPPED),
        newsroom_fields,
        _NEWSROOM,
        Publication(
            url="https://aclanthology.org/N18-1065",
            get="Ask at https://summari.es/download/ for the files, put them into DATA/downloads/manual",
        ),
        licence="research use, given on request (https://lil.nlp.cornell.edu/newsroom)",
    ),
    _task(
        "xsum",
        sources.HuggingFace(
            "xsum", train="train[:30000]", validation="validation[:200]", test="test"
        ),
        xsum_fields,
        _XSUM,
        Publication(
            url="https://aclanthology.org/D18-1206",
            get="datasets.load_dataset('EdinburghNLP/xsum', revision='refs/convert/parquet').save_to_disk('DATA/xsum')",
        ),
    ),
)
