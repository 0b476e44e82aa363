"""COPA: which of two sentences is the cause, or the effect, of a third?

Files `copa/copa-{dev,test}.xml` as published; an item asks for a cause or for an effect. SuperGLUE trains on 400 of the
500 dev items and validates on 100; so do we, in file order, which differs from SuperGLUE's.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template

# The two wordings of an item: as a question, as the beginning of a sentence, and as a noun.
_ASKS_FOR = {
    "cause": {
        "question": "What made this happen?",
        "link": "because",
        "relation": "cause",
        "order": "before",
    },
    "effect": {
        "question": "What happened because of this?",
        "link": "so",
        "relation": "effect",
        "order": "after",
    },
}


def premise_fields(premise: str, asks_for: str) -> dict[str, str]:
    """What the wordings show of an item that asks for the "cause" or the "effect" of a premise."""
    premise = premise.strip()
    return {"premise": premise, "start": premise.rstrip("."), **_ASKS_FOR[asks_for]}


def to_fields(row: Mapping[str, Any]) -> Fields:
    return {
        **premise_fields(row["p"], row["asks-for"]),
        "choices": [row["a1"].strip(), row["a2"].strip()],
        "label": int(row["most-plausible-alternative"]) - 1,
    }


# SuperGLUE's edition of the same items (`commonsense.py`) has these wordings too.
TEMPLATES = (
    Template(inputs="{premise} {question}\n{options}"),
    Template(inputs="{start}, {link}"),
    Template(inputs="Event: {premise}\nFind its likely {relation}.\n{options}"),
    Template(inputs="Which sentence tells the {relation} of this one?\n{premise}\n{options}"),
    Template(inputs="Finish the sentence in the way that makes sense.\n{options}\n{start}, {link}"),
    Template(inputs="I know this much: {premise} What came {order} it?\n{options}"),
    Template(inputs="{options}\nOne of these is the {relation} of the following event.\n{premise}"),
    Template(
        inputs="{premise}\nTwo sentences may give the {relation}. Take the likelier one.\n{options}"
    ),
    Template(
        kind="inversion",
        inputs="Here is the {relation} of an event: {answer}\nDescribe the event in one sentence.",
        targets="{premise}",
    ),
    Template(
        kind="inversion",
        inputs="{answer}\nThis came {order} something else. What may that have been?",
        targets="{premise}",
    ),
)


URL = "https://people.ict.usc.edu/~gordon/copa.html"
TASKS = (
    InstructionTask(
        name="copa:copa",
        cluster="cause_and_effect",
        source=sources.Xml(
            train="copa/copa-dev.xml[100:]",
            validation="copa/copa-dev.xml[:100]",
            test="copa/copa-test.xml",
            item="item",
        ),
        to_fields=to_fields,
        answer_choices="choices",
        templates=TEMPLATES,
        metrics=(metrics.accuracy,),
        lineage=("copa",),
        licence="unknown (not stated)",
        publication=Publication(
            url=URL,
            get="Put copa-dev.xml and copa-test.xml of its COPA-resources.tgz into DATA/copa",
        ),
    ),
)
