"""Sentiment in FLAN 2021 (https://arxiv.org/abs/2109.01652): does a review, or a short message, sound pleased or not?

Every set is read from TFDS, cut as FLAN 2021 cut it: at most 30,000 training rows (IMDB has fewer), validation from the end
of the training rows, and SST-2's validation rows as its test set, because its test labels are hidden. What differs:

- IMDB: HTML's line breaks become line breaks.
- Sentiment140: `polarity` is 0
  (negative), 2 (neutral) or 4 (positive). Only the test rows have neutral ones, which FLAN 2021 counted as negative; here they
  are dropped. The training labels come from emoticons, which were then removed. HTML's names of signs (&amp;) are undone.
- SST-2: the wordings are those of `sst2.py`, the last two replaced by inversions.
- Yelp: TFDS leaves the CSV file's escapes in: a backslash and an n for a line break, two
  double quotes for one.
"""

from collections.abc import Callable, Mapping
import html
import re
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template
from tasks import sst2

_CHOICES = ("negative", "positive")
_POLARITIES = {0: 0, 4: 1}
_OPENING_WORDS = 6
_HTML_BREAKS = re.compile(r"\s*(?:<br\s*/?>\s*)+")
_CSV_QUOTE = re.compile(r'\\?""')

_IMDB = (
    Template(
        inputs="Film review: {text}\nIs whoever wrote this glad to have seen the film?\n{options}",
        label_words=("no", "yes"),
    ),
    Template(inputs="{options}\nWhich word sums up the verdict on the film?\nReview: {text}"),
    Template(
        inputs=(
            "A cinema looks for lines to print on a poster. A viewer wrote: {text}\n"
            "Will the cinema print that, or leave it out?"
        ),
        label_words=("leave it out", "print it"),
    ),
    Template(inputs="File this review under negative or positive.\nReview: {text}\nFile it under:"),
    Template(
        inputs="Read what a viewer posted, then choose one word for it.\n{options}\nPost: {text}"
    ),
    Template(
        inputs='Guess the rating. Text: "{text}"\nDid the film get few stars for this, or many?',
        label_words=("few", "many"),
    ),
    Template(
        inputs="My sister sent me this about a film: {text}\nHow should I take it?\n{options}",
        label_words=("as a warning", "as a recommendation"),
    ),
    Template(
        inputs='Begin with "{opening}" and write a {answer} review of a film, as a viewer would post it.',
        targets="{text}",
        kind="inversion",
    ),
    Template(
        inputs='The film you saw was {answer}. You start to tell others: "{opening}" Give all of your review.',
        targets="{text}",
        kind="inversion",
        label_words=("a waste of time", "well worth the time"),
    ),
    Template(
        inputs='A viewer gave a film {answer}. The review begins "{opening}" What does it say?',
        targets="{text}",
        kind="inversion",
        label_words=("few stars", "many stars"),
    ),
)

_SENTIMENT140 = (
    Template(
        inputs="Tweet: {text}\nOf the words negative and positive, the one that suits the tweet is"
    ),
    Template(
        inputs='Somebody posts this: "{text}" What kind of day are they having?\n{options}',
        label_words=("a bad one", "a good one"),
    ),
    Template(
        inputs="{options}\nWhich of the two does this short message sound like?\nMessage: {text}"
    ),
    Template(
        inputs='A friend reads this post: "{text}" Is the friend glad for the writer, or sorry?',
        label_words=("sorry", "glad"),
    ),
    Template(
        inputs="Think of the face that goes with this tweet.\nTweet: {text}\nDoes the face smile or frown?\n{options}",
        label_words=("it frowns", "it smiles"),
    ),
    Template(inputs="Name the feeling in the message.\n{options}\nMessage: {text}\nFeeling:"),
    Template(
        inputs=(
            "A firm counts what is said online as negative or positive. "
            'It finds this: "{text}" How does it count that?\n{options}'
        )
    ),
    Template(
        inputs='Start with "{opening}" and write a message of at most 140 characters in a {answer} mood.',
        targets="{text}",
        kind="inversion",
    ),
    Template(
        inputs='Today was {answer} day for you. What do you tweet? The first words are "{opening}"',
        targets="{text}",
        kind="inversion",
        label_words=("a bad", "a good"),
    ),
    Template(
        inputs='Make up a tweet by someone who feels {answer}, from the first words on: "{opening}"',
        targets="{text}",
        kind="inversion",
        label_words=("let down", "pleased"),
    ),
)

_SST2 = (
    *sst2.TEMPLATES[:8],
    Template(
        inputs='Write a line of a film review, {answer} in tone, all in lower case. Begin with "{opening}"',
        targets="{sentence}",
        kind="inversion",
    ),
    Template(
        inputs='A critic {answer} a film. One line of the review starts with "{opening}" Give that line.',
        targets="{sentence}",
        kind="inversion",
        label_words=("pans", "recommends"),
    ),
)

_YELP = (
    Template(
        inputs="A customer wrote about a business: {text}\nIs the customer content?\n{options}",
        label_words=("no", "yes"),
    ),
    Template(
        inputs='Is this the voice of a happy or of an unhappy guest? "{text}"',
        label_words=("unhappy", "happy"),
    ),
    Template(inputs="{options}\nSort the review into one of these for the owner.\nReview: {text}"),
    Template(
        inputs="Review of a place: {text}\nGoing by its tone, would the writer come back?\n{options}",
        label_words=("rather not", "gladly"),
    ),
    Template(
        inputs="Does the text below speak for or against the business?\n{options}\nText: {text}",
        label_words=("against it", "for it"),
    ),
    Template(
        inputs='The manager is shown this: "{text}"\nIs it praise or a complaint?',
        label_words=("a complaint", "praise"),
    ),
    Template(inputs="Mark what the visitor says as negative or positive.\nVisitor: {text}\nMark:"),
    Template(
        inputs='Begin with "{opening}" and write a {answer} review of a shop, a restaurant or some other place.',
        targets="{text}",
        kind="inversion",
    ),
    Template(
        inputs='A place that you went to {answer} you. You review it: "{opening}" Write the whole review.',
        targets="{text}",
        kind="inversion",
        label_words=("disappointed", "delighted"),
    ),
    Template(
        inputs='A customer gives a business {answer} and a text that begins "{opening}" Write the text.',
        targets="{text}",
        kind="inversion",
        label_words=("a poor rating", "a good rating"),
    ),
)


def _opening(text: str) -> str:
    """The first words of a text, at most a third of them, which inversions give.

    Example: "A small film with a big heart." becomes "A small".
    """
    words = text.split()
    return " ".join(words[: max(1, min(_OPENING_WORDS, len(words) // 3))])


def _text_and_label(text: str, label: int) -> Fields | None:
    text = text.strip()
    if label < 0 or not text:
        return None
    return {"text": text, "opening": _opening(text), "label": label}


def imdb_fields(row: Mapping[str, Any]) -> Fields | None:
    """Example: "Dull.<br /><br />Skip it." becomes "Dull.", a line break, "Skip it."."""
    return _text_and_label(_HTML_BREAKS.sub("\n", row["text"]), row["label"])


def sentiment140_fields(row: Mapping[str, Any]) -> Fields | None:
    """None for a neutral row; polarity 4 becomes the second choice, and "&amp;" becomes "&"."""
    return _text_and_label(html.unescape(row["text"]), _POLARITIES.get(row["polarity"], -1))


def sst2_fields(row: Mapping[str, Any]) -> Fields | None:
    fields = sst2.to_fields(row) if row["label"] >= 0 else None
    return fields and {**fields, "opening": _opening(str(fields["sentence"]))}


def yelp_fields(row: Mapping[str, Any]) -> Fields | None:
    r"""Example: `The \""fresh\"" fish.\nNo thanks.` becomes `The "fresh" fish.`, a line break, `No thanks.`."""
    text = _CSV_QUOTE.sub('"', row["text"].replace("\\n", "\n"))
    text = re.sub(r"\s*\n\s*", "\n", text)  # an empty line also ends the input of a solved example
    return _text_and_label(text, row["label"])


def _task(
    key: str,
    source: sources.Tfds,
    fields: Callable[[Mapping[str, Any]], Fields | None],
    templates: tuple[Template, ...],
    lineage: tuple[str, ...],
    publication: Publication,
) -> InstructionTask:
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="sentiment",
        source=source,
        to_fields=fields,
        answer_choices=_CHOICES,
        templates=templates,
        metrics=(metrics.accuracy,),
        lineage=lineage,
        licence="unknown (not stated)",
        publication=publication,
        may_cut=("sentence",) if key == "sst2" else ("text",),
    )


TASKS = (
    _task(
        "imdb_reviews",
        sources.Tfds(
            "imdb_reviews/plain_text:1.0.0",
            train="train[:-200]",
            validation="train[-200:]",
            test="test",
        ),
        imdb_fields,
        _IMDB,
        ("imdb_reviews", "imdb"),
        Publication(url="https://aclanthology.org/P11-1015", download_bytes=84_125_825),
    ),
    _task(
        "sentiment140",
        sources.Tfds(
            "sentiment140:1.0.0", train="train[:30000]", validation="train[-200:]", test="test"
        ),
        sentiment140_fields,
        _SENTIMENT140,
        ("sentiment140",),
        Publication(
            url="https://www-cs.stanford.edu/people/alecmgo/papers/TwitterDistantSupervision09.pdf",
            download_bytes=81_363_704,
        ),
    ),
    _task(
        "sst2",
        sources.Tfds(
            "glue/sst2:2.0.0", train="train[:30000]", validation="train[-200:]", test="validation"
        ),
        sst2_fields,
        _SST2,
        ("sst2", "sst"),
        Publication(url=sst2.URL, download_bytes=7_439_277),
    ),
    _task(
        "yelp_polarity_reviews",
        sources.Tfds(
            "yelp_polarity_reviews:0.2.0",
            train="train[:30000]",
            validation="train[-200:]",
            test="test",
        ),
        yelp_fields,
        _YELP,
        # Yelp's reviews with five classes are drawn from the same reviews.
        ("yelp_polarity_reviews", "yelp_polarity", "yelp_review_full"),
        Publication(url="https://arxiv.org/abs/1509.01626", download_bytes=166_373_201),
    ),
)
