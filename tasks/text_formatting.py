"""FLAN 2021's text formatting (https://arxiv.org/abs/2109.01652), of its cluster "misc": put back what a text has lost.

Made from the English side of ParaCrawl, read from TFDS: punctuation, capitals or spaces
are taken out, and the text is the answer. Each task has 30,000 other rows of the training split and the 200 after them for
validation; all three are tested on its last 3,000 rows. Texts without any punctuation or capitals are left out of the first
two, as FLAN does. All that Unicode calls punctuation is removed, "$" and "+" are not.
"""

from collections.abc import Callable
import functools
import unicodedata

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields, Row
from flantune.prompting import Template
from tasks import row_fields, translation


def without_punctuation(text: str) -> str:
    """Example: `without_punctuation('"Well," I said - and left.')` is "Well I said and left"."""
    return "".join(char for char in text if not unicodedata.category(char).startswith("P"))


def without_spaces(text: str) -> str:
    return "".join(text.split())


def _fields(row: Row, spoil: Callable[[str], str], *, may_equal: bool = False) -> Fields | None:
    """A text to restore, and the text; None where nothing was spoilt, unless that may be, or nothing is left."""
    text = row_fields.clean(row["en"])
    spoilt = row_fields.clean(spoil(text))
    if not spoilt or (spoilt == text and not may_equal):
        return None
    return {"spoilt": spoilt, "answer": text}


_FIX_PUNCT = (
    Template(inputs="All marks are missing here. Put them back.\n{spoilt}"),
    Template(inputs="{spoilt}\nThe same text with commas, full stops and the like:"),
    Template(inputs="Without punctuation: {spoilt}\nWith punctuation:"),
    Template(
        inputs=(
            "My keyboard has letters and digits only, so I typed this: {spoilt}\n"
            "Add the punctuation and leave the words alone."
        )
    ),
    Template(inputs="Where do the punctuation marks go in this text? Write it out.\n{spoilt}"),
    Template(
        inputs="A scanner lost every dot, comma and dash of a page: {spoilt}\nRepair the page."
    ),
    Template(inputs="Punctuate: {spoilt}"),
    Template(
        inputs='"{spoilt}" is what a speech recogniser wrote down. Set the punctuation that a writer would.'
    ),
    Template(
        inputs="Proofread this for punctuation, which it lacks, and for nothing else.\n{spoilt}"
    ),
    Template(inputs="{spoilt}\nAs an editor would print it, with its punctuation:"),
)

_TRUE_CASE = (
    Template(
        inputs="Everything here is in small letters. Put capitals where they belong.\n{spoilt}"
    ),
    Template(inputs="{spoilt}\nThe same with the right capital letters:"),
    Template(inputs="Small letters: {spoilt}\nUsual spelling:"),
    Template(inputs="My shift key is broken. Fix the capitals in what I typed: {spoilt}"),
    Template(inputs="Which letters of this text have to be capitals? Write it out.\n{spoilt}"),
    Template(
        inputs="Names and beginnings of sentences need a capital letter, and maybe more. Correct this.\n{spoilt}"
    ),
    Template(
        inputs="Chat message: {spoilt}\nThe message as it would stand in a letter, with upper case:"
    ),
    Template(inputs='Change nothing but upper and lower case: "{spoilt}"'),
    Template(inputs="{spoilt}\nA typesetter gets the line above. Set it with its capitals."),
    Template(
        inputs="Turn every capital of this text into a small letter.\n{answer}",
        targets="{spoilt}",
        kind="inversion",
    ),
)

_WORD_SEGMENT = (
    Template(inputs="Put the spaces back between the words.\n{spoilt}"),
    Template(inputs="{spoilt}\nThe same text, word by word:"),
    Template(inputs="Run together: {spoilt}\nSet apart:"),
    Template(inputs="My space bar is stuck, so this came out: {spoilt}\nWhat did I mean to type?"),
    Template(inputs="Where does each word of this end? Write it with spaces.\n{spoilt}"),
    Template(inputs='A web address cannot hold spaces. Which text is behind "{spoilt}"?'),
    Template(
        inputs="Cut this string into words and marks as they are written in English: {spoilt}"
    ),
    Template(inputs="{spoilt}\nThe line above lost all its spaces. Restore the line."),
    Template(
        inputs="Write this without any space.\n{answer}", targets="{spoilt}", kind="inversion"
    ),
    Template(
        inputs="Text: {answer}\nThe text as one long string, all spaces taken out:",
        targets="{spoilt}",
        kind="inversion",
    ),
)


def _task(
    key: str, first: int, to_fields: Callable[[Row], Fields | None], templates: tuple[Template, ...]
) -> InstructionTask:
    """A task on 30,000 rows from the first one on."""
    last = first + 30_000
    return InstructionTask(
        name=f"flan2021:{key}",
        cluster="misc",
        source=sources.Tfds(
            "para_crawl/enda:1.2.0",
            train=f"train[{first or ''}:{last}]",
            validation=f"train[{last}:{last + 200}]",
            test="train[-3000:]",
        ),
        to_fields=to_fields,
        templates=templates,
        metrics=(metrics.edit_distance,),
        lineage=("para_crawl",),
        licence="CC0-1.0",
        publication=Publication(url=translation.PARA_CRAWL, download_bytes=182_804_827),
    )


fix_punct_fields = functools.partial(_fields, spoil=without_punctuation)
true_case_fields = functools.partial(_fields, spoil=str.lower)
word_segment_fields = functools.partial(_fields, spoil=without_spaces, may_equal=True)

TASKS = (
    _task("fix_punct", 30_200, fix_punct_fields, _FIX_PUNCT),
    _task("true_case", 0, true_case_fields, _TRUE_CASE),
    _task("word_segment", 60_400, word_segment_fields, _WORD_SEGMENT),
)

LINT_ALLOW = {
    "flan2021:fix_punct": {"answer_is_span": "the words stay as they are"},
    "flan2021:true_case": {
        "answer_is_span": "the letters stay as they are",
        "field_is_answer": "the same but for capitals, which are what is asked for",
    },
}
