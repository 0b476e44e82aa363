"""FLAN 2021's commonsense cluster (https://arxiv.org/abs/2109.01652): COPA, HellaSwag, PIQA, Story Cloze.

Rows come from TFDS, in FLAN's versions. Each task has at most the first 30,000 rows for training and the last rows of the
training split for validation; test labels of all but Story Cloze are hidden, so the published validation split is the test
split here. Story Cloze has no labelled training stories: most of its validation split trains. FLAN uses the 2016
edition (https://aclanthology.org/N16-1098).
Wordings of COPA are those of `copa.py`, which reads the original files.
"""

from collections.abc import Mapping
import re
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template
from tasks import copa, row_fields

_TAG = re.compile(
    r"\s*\[[^\[\]]*\]\s*"
)  # [header], [title], [step], [substeps]: what WikiHow's layout was
_ENDS = (".", "!", "?", ",", ":", ";")


def copa_fields(row: Mapping[str, Any]) -> Fields | None:
    shown = copa.premise_fields(row["premise"], row["question"])
    return row_fields.with_choices(shown, (row["choice1"], row["choice2"]), row["label"])


def without_tags(text: str) -> str:
    """A text of HellaSwag with its tags gone; what stood before one is a sentence, and gets its full stop.

    Example: `without_tags("[header] How to peel an onion [title] Cut off the top. [step] Use")` is
    "How to peel an onion. Cut off the top. Use".
    """
    parts = [row_fields.clean(part) for part in _TAG.split(text)]
    *before, last = [part for part in parts if part] or [""]
    return " ".join(
        [*(part if part.endswith(_ENDS) else f"{part}." for part in before), last]
    ).strip()


def hellaswag_fields(row: Mapping[str, Any]) -> Fields | None:
    shown = {
        "beginning": without_tags(row["context"]),
        "activity": row_fields.clean(row["activity_label"]),
    }
    # An ending that starts a sentence often brings the full stop of the beginning with it.
    endings = [without_tags(ending).lstrip(".") for ending in row["endings"]]
    return row_fields.with_choices(shown, endings, row["label"])


def piqa_fields(row: Mapping[str, Any]) -> Fields | None:
    shown = {"goal": row_fields.clean(row["goal"])}
    return row_fields.with_choices(shown, (row["sol1"], row["sol2"]), row["label"])


def story_cloze_fields(row: Mapping[str, Any]) -> Fields | None:
    # TFDS keeps the publisher's 1 or 2
    shown = {"story": row_fields.clean(row["context"])}
    return row_fields.with_choices(shown, row["endings"], row["label"] - 1)


_HELLASWAG = (
    Template(inputs="{beginning} ...\n{options}\nWhich of these carries the text on?"),
    Template(inputs="Continue this passage in a way that could really happen.\n\n{beginning} ..."),
    Template(
        inputs="{beginning} ...\nThree of the continuations below are nonsense. Give me the other one.\n{options}"
    ),
    Template(
        inputs='These lines are about "{activity}": {beginning} ...\nHow do they go on?\n{options}'
    ),
    Template(
        inputs="{options}\nOne of the snippets above belongs at the end of this text: {beginning} ..."
    ),
    Template(inputs="Topic: {activity}\nText so far: {beginning} ...\nRest of the text:"),
    Template(
        inputs="Somebody cut this description in two.\n{options}\n\nWhich piece fits onto this half? {beginning} ..."
    ),
    Template(
        inputs="Watch what happens here and say what comes after it. {beginning} ...\n{options}"
    ),
    Template(
        inputs='I was reading something headed "{activity}" when the page ended. It said: {beginning} ...\nWhat did the next page say?'
    ),
    Template(
        inputs="You proofread how-to guides and video captions. Choose the words that complete this one.\n"
        "{beginning} ...\n{options}"
    ),
)

_PIQA = (
    Template(inputs='I am trying to do this: "{goal}" Which way works?\n{options}'),
    Template(inputs="Give me instructions that work.\nTask at hand: {goal}"),
    Template(
        inputs='"{goal}"\nOnly one of the two methods is any good for this. Name it.\n{options}'
    ),
    Template(
        inputs="{options}\nA handy friend would recommend one of these for the following.\n{goal}"
    ),
    Template(inputs="Household question: {goal}\n{options}\nBetter advice:"),
    Template(
        inputs="Think about how objects behave when you handle them, then pick the sensible procedure.\n"
        "Purpose: {goal}\n{options}"
    ),
    Template(inputs="How would you go about the following?\n{goal}"),
    Template(
        inputs="Two people tell me what to do. Whom should I believe?\n{options}\nMy aim: {goal}"
    ),
    Template(
        kind="inversion",
        inputs="Two people gave these tips: {choices|lettered}\nWhat had both been asked about?",
        targets="{goal}",
    ),
    Template(
        kind="inversion",
        inputs='Of the ideas {choices|lettered}\nthe good one is "{answer}" Name the purpose that it serves.',
        targets="{goal}",
    ),
)

_STORY_CLOZE = (
    Template(inputs="{story}\n{options}\nWhich last line suits the story?"),
    Template(inputs="Write the fifth and final sentence.\n{story}"),
    Template(
        inputs="An editor has to choose how this story ends.\n{options}\nThe story up to there: {story}"
    ),
    Template(inputs="Story: {story}\nEnding:"),
    Template(inputs="{story} And then?\n{options}"),
    Template(
        inputs="One of two closing sentences contradicts what came before. Leave it out and give the other one.\n"
        "{story}\n{options}"
    ),
    Template(inputs="{options}\nRead this and close it with one of the lines above. {story}"),
    Template(inputs="My daughter asks how this turns out. What do I tell her?\n{story}"),
    Template(
        kind="inversion",
        inputs="Possible endings: {choices|lettered}\nThe story ends with this one: {answer} Tell it up to there, in four sentences.",
        targets="{story}",
    ),
    Template(
        kind="inversion",
        inputs="{answer}\nInvent the story that this sentence closes, so that the other ending does not fit.\n{choices|numbered}",
        targets="{story}",
    ),
)

TASKS = (
    InstructionTask(
        name="flan2021:copa",
        cluster="commonsense",
        source=sources.Tfds(
            "super_glue/copa:1.0.2",
            train="train[:-50]",
            validation="train[-50:]",
            test="validation",
        ),
        to_fields=copa_fields,
        answer_choices="choices",
        templates=copa.TEMPLATES,
        metrics=(metrics.accuracy,),
        lineage=("copa",),
        licence="unknown (not stated)",
        publication=Publication(url=copa.URL, download_bytes=43_986),
    ),
    InstructionTask(
        name="flan2021:hellaswag",
        cluster="commonsense",
        source=sources.Tfds(
            "hellaswag:1.1.0",
            train="train[:30000]",
            validation="train[-200:]",
            test="validation",
        ),
        to_fields=hellaswag_fields,
        answer_choices="choices",
        templates=_HELLASWAG,
        metrics=(metrics.accuracy,),
        lineage=("hellaswag", "activitynet_captions", "wikihow"),
        licence="MIT",
        publication=Publication(url="https://arxiv.org/abs/1905.07830", download_bytes=71_494_896),
    ),
    InstructionTask(
        name="flan2021:piqa",
        cluster="commonsense",
        source=sources.Tfds(
            "piqa:1.0.0",
            train="train[:-100]",
            validation="train[-100:]",
            test="validation",
        ),
        to_fields=piqa_fields,
        answer_choices="choices",
        templates=_PIQA,
        metrics=(metrics.accuracy,),
        lineage=("piqa",),
        licence="unknown (not stated)",
        publication=Publication(url="https://arxiv.org/abs/1911.11641", download_bytes=1_824_009),
    ),
    InstructionTask(
        name="flan2021:story_cloze",
        cluster="commonsense",
        source=sources.Tfds(
            "story_cloze/2016:1.0.0",
            train="validation[:-200]",
            validation="validation[-200:]",
            test="test",
        ),
        to_fields=story_cloze_fields,
        answer_choices="choices",
        templates=_STORY_CLOZE,
        metrics=(metrics.accuracy,),
        lineage=("story_cloze",),
        licence="unknown (not stated; given on request)",
        publication=Publication(
            url="https://cs.rochester.edu/nlp/rocstories/",
            get="Ask the authors for the files of 2016, put them into DATA/downloads/manual",
        ),
    ),
)
