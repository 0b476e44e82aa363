"""FLAN 2021's coreference cluster (https://arxiv.org/abs/2109.01652): what a pronoun or a blank in a sentence stands for.

Rows come from TFDS. Each task has at most the first 30,000 rows for training and the last rows of the training split for
validation; test labels of WSC and Winogrande are hidden, so their published validation split is the test split here. WSC273
is for tests only. Versions are FLAN's but for Winogrande: TFDS builds 1.2.0 now, FLAN had 1.1.0.

Definite Pronoun Resolution says which word is the pronoun, not which of several equal ones. WSC (as in SuperGLUE, where it
asks for yes or no) and WSC273 give the place, and the pronoun stands between asterisks here. Choices are the names alone, in a
Winogrande sentence for the blank "_", in the one of WSC273 with the capital letter that fits the pronoun's place.
"""

from collections.abc import Mapping
import re
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template
from tasks import row_fields

_YES_NO = ("no", "yes")
_BLANK = "_"


def pronoun_fields(row: Mapping[str, Any]) -> Fields | None:
    shown = {
        "sentence": row_fields.clean(row["sentence"]),
        "pronoun": row_fields.clean(row["pronoun"]),
    }
    return row_fields.with_choices(shown, row["candidates"], row["label"])


def winogrande_fields(row: Mapping[str, Any]) -> Fields | None:
    sentence = row_fields.clean(row["sentence"])
    if sentence.count(_BLANK) != 1:
        return None
    return row_fields.with_choices(
        {"sentence": sentence}, (row["option1"], row["option2"]), row["label"]
    )


def mark(text: str, start: int, end: int) -> str:
    """Text with asterisks around the characters from `start` up to, not including, `end`.

    Example: `mark("Ann saw her.", 8, 11)` is "Ann saw *her*."
    """
    return row_fields.clean(f"{text[:start]}*{text[start:end]}*{text[end:]}")


def find_word(text: str, word: str, position: int) -> tuple[int, int] | None:
    """Start and end of a word in a text; None where it is not in there.

    Args:
        position: of the word among those between white space. Publishers miscount now and then: where another word
            stands there, the nearest equal one counts.
    """
    matches = list(re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE))
    if not matches:
        return None
    # how many words begin before the place, less itself
    places = [len(text[: match.start() + 1].split()) - 1 for match in matches]
    nearest = min(range(len(matches)), key=lambda index: abs(places[index] - position))
    return matches[nearest].span()


def wsc_fields(row: Mapping[str, Any]) -> Fields | None:
    pronoun = row_fields.clean(row["span2_text"])
    place = find_word(row["text"], pronoun, row["span2_index"])
    if place is None or row["label"] < 0:
        return None
    return {
        "text": mark(row["text"], *place),
        "noun": row_fields.clean(row["span1_text"]),
        "pronoun": pronoun,
        "label": row["label"],
    }


def wsc273_fields(row: Mapping[str, Any]) -> Fields | None:
    start, end = row["pronoun_start"], row["pronoun_end"]
    if row["text"][start:end] != row["pronoun_text"]:
        return None
    shown = {
        "text": mark(row["text"], start, end),
        "pronoun": row_fields.clean(row["pronoun_text"]),
    }
    return row_fields.with_choices(
        shown, (row["option1_normalized"], row["option2_normalized"]), row["label"]
    )


_PRONOUN = (
    Template(inputs='{sentence}\nWhat does the word "{pronoun}" mean here?\n{options}'),
    Template(inputs='Read this: {sentence}\nIf you put a noun for "{pronoun}", which one is it?'),
    Template(
        inputs='Whom or what did the writer have in mind with "{pronoun}"?\n{options}\nSentence: {sentence}'
    ),
    Template(
        inputs='I do not see what "{pronoun}" points back to in this sentence. Can you help?\n{sentence}\n{options}'
    ),
    Template(
        inputs='{options}\nOne of these two is called "{pronoun}" in the sentence that follows. {sentence}'
    ),
    Template(inputs='Sentence: {sentence}\nPronoun: "{pronoun}"\nIt replaces:'),
    Template(
        inputs='Two things are named in "{sentence}" and later only "{pronoun}" is said. Which of the two is meant?\n{options}'
    ),
    Template(
        inputs='To translate the sentence I must know what "{pronoun}" refers to.\n{sentence}\n{options}\nIt refers to'
    ),
    Template(inputs='Untangle this sentence by naming what stands behind "{pronoun}": {sentence}'),
    Template(
        inputs='{sentence}\nThis would be clearer if it named what "{pronoun}" stands for. That is\n{options}'
    ),
)

_WINOGRANDE = (
    Template(inputs="{sentence}\nWhat should stand in place of the underscore?\n{options}"),
    Template(inputs="Replace the _ so that the sentence is true to life.\n{sentence}"),
    Template(inputs="{options}\nOnly one of the above makes sense for _ in this text. {sentence}"),
    Template(inputs="Text with a gap: {sentence}\nWord for the gap:"),
    Template(
        inputs="A printer left out part of this and set _ instead. Tell him what is missing.\n{sentence}\n{options}"
    ),
    Template(
        inputs="Grammar allows both for the gap, but one of them is absurd. Write down the other one.\n{options}\n{sentence}"
    ),
    Template(inputs="Who or what is hidden behind _ here? {sentence}"),
    Template(
        inputs="Gap exercise for language learners: {sentence}\n{options}\nThe pupil should write"
    ),
    Template(
        inputs='Somebody says, with a pause at the underscore: "{sentence}" Say what was swallowed.\n{options}'
    ),
    Template(
        inputs="Let common sense decide what goes into the gap.\n{sentence}\nWhat the _ stands for:"
    ),
)

_WSC = (
    Template(inputs='{text}\nDoes the marked word "{pronoun}" mean {noun}?\n{options}'),
    Template(
        inputs='In the text below a pronoun stands between asterisks. Is it another word for "{noun}"?\n{text}'
    ),
    Template(
        inputs='Text: {text}\nClaim: "{pronoun}" between the asterisks refers to "{noun}".\nIs the claim right?\n{options}'
    ),
    Template(
        inputs='{text}\nPut "{noun}" for *{pronoun}*, in the form that the grammar needs. Is the sense still the same?\n{options}'
    ),
    Template(
        inputs='Are "{noun}" and *{pronoun}* the same here, or two different ones? {text}',
        label_words=("different", "the same"),
    ),
    Template(
        inputs='{options}\nA pupil says that *{pronoun}* stands for "{noun}" in this passage. How do you mark the answer?\n{text}',
        label_words=("wrong", "right"),
    ),
    Template(
        inputs='Passage: {text}\nAsterisks: "{pronoun}"\nNoun phrase: "{noun}"\nDo they belong together?'
    ),
    Template(
        inputs="True or false: whoever wrote this used *{pronoun}* to speak of {noun}.\n{text}",
        label_words=("false", "true"),
    ),
    Template(
        inputs='Link *{pronoun}* to "{noun}", or leave them apart?\n{options}\n{text}',
        label_words=("leave them apart", "link them"),
    ),
    Template(
        inputs='I take *{pronoun}* in these lines to be {noun}. Am I reading them correctly?\n"{text}"\n{options}'
    ),
)

_WSC273 = (
    Template(inputs='{text}\nWhich of the two is the "{pronoun}" between asterisks?\n{options}'),
    Template(inputs="Name what the starred pronoun stands for.\n{text}"),
    Template(inputs="{options}\nDecide who or what *{pronoun}* is in this text: {text}"),
    Template(
        inputs="{text}\nAt *{pronoun}* a listener interrupts and asks who or what that is. What do you reply?\n{options}"
    ),
    Template(inputs="Text: {text}\nStarred word: {pronoun}\nIts antecedent:"),
    Template(
        inputs="A reader who thinks about the situation knows what *{pronoun}* means below. Do you?\n{text}\n{options}"
    ),
    Template(inputs='"{text}"\nWhom or what does *{pronoun}* bring up again?'),
    Template(
        inputs="Two candidates for *{pronoun}*, and only one fits what happens.\n{options}\n{text}"
    ),
    Template(
        inputs="I would like to draw an arrow from *{pronoun}* to the words it goes back to. Where does it end?\n{text}\n{options}"
    ),
    Template(inputs="Resolve the pronoun *{pronoun}* in the line below.\n{text}\n{options}"),
)

TASKS = (
    InstructionTask(
        name="flan2021:definite_pronoun_resolution",
        cluster="coreference",
        source=sources.Tfds(
            "definite_pronoun_resolution:1.1.0",
            train="train[:-200]",
            validation="train[-200:]",
            test="test",
        ),
        to_fields=pronoun_fields,
        answer_choices="choices",
        templates=_PRONOUN,
        metrics=(metrics.accuracy,),
        lineage=("definite_pronoun_resolution",),
        licence="unknown (not stated)",
        publication=Publication(url="https://aclanthology.org/D12-1071", download_bytes=227_452),
    ),
    InstructionTask(
        name="flan2021:winogrande",
        cluster="coreference",
        source=sources.Tfds(
            "winogrande:1.2.0",
            train="train_xl[:30000]",
            validation="train_xl[-200:]",
            test="validation",
        ),
        to_fields=winogrande_fields,
        answer_choices="choices",
        templates=_WINOGRANDE,
        metrics=(metrics.accuracy,),
        lineage=("winogrande",),
        licence="CC-BY",
        publication=Publication(url="https://arxiv.org/abs/1907.10641", download_bytes=3_395_492),
    ),
    InstructionTask(
        name="flan2021:wsc",
        cluster="coreference",
        source=sources.Tfds(
            "super_glue/wsc:1.0.2",
            train="train[:-50]",
            validation="train[-50:]",
            test="validation",
        ),
        to_fields=wsc_fields,
        answer_choices=_YES_NO,
        templates=_WSC,
        metrics=(metrics.accuracy,),
        lineage=("wsc",),
        licence="CC-BY-4.0",
        publication=Publication(url="https://arxiv.org/abs/1905.00537", download_bytes=32_751),
    ),
    InstructionTask(
        name="flan2021:wsc273",
        cluster="coreference",
        source=sources.Tfds("wsc273:1.0.0", test="test"),
        to_fields=wsc273_fields,
        answer_choices="choices",
        templates=_WSC273,
        metrics=(metrics.accuracy,),
        lineage=("wsc273", "wsc"),
        licence="CC-BY-4.0",
        publication=Publication(url="https://cs.nyu.edu/~davise/papers/WinogradSchemas/WS.html"),
    ),
)
