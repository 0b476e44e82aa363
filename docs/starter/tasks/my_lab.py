"""Messages to the desk of a library: which topic each has, and which thing it is about.

The rows are made up: `data/messages.jsonl`, of which the first 16 are for the evaluation.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Mixture, equal, sources
from flantune.prompting import Template

TOPICS = ("loan", "room", "machine", "event")
# Below the data directory, which the run file sets to the folder that the commands run in.
SOURCE = sources.Jsonl(train="data/messages.jsonl[16:]", test="data/messages.jsonl[:16]")


def to_topic(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of the wordings, and "label": which of the answer choices is right."""
    return {"message": row["message"], "label": TOPICS.index(row["topic"])}


def to_thing(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of the wordings, and "answer": the text to write."""
    return {"message": row["message"], "answer": row["thing"]}


TASKS = (
    InstructionTask(
        name="my_lab:topic",
        cluster="topics",
        source=SOURCE,
        to_fields=to_topic,
        answer_choices=TOPICS,
        templates=(
            Template(inputs="{message}\nWhich topic is this message about?\n{options}"),
            Template(inputs="Sort this message by its topic.\n{options}\nMessage: {message}"),
            Template(inputs="Message to the desk: {message}\nTopic:"),
            Template(inputs="Which topic fits?\n{message}\n{options}", held_out=True),
        ),
        metrics=(metrics.exact_match,),
        licence="CC0-1.0",
    ),
    InstructionTask(
        name="my_lab:thing",
        cluster="things",
        source=SOURCE,
        to_fields=to_thing,
        templates=(
            Template(inputs="{message}\nWhich thing is this message about?"),
            Template(inputs="Name the thing that somebody writes about: {message}"),
            Template(inputs="Message to the desk: {message}\nThing:"),
            Template(inputs="Which thing is it about?\n{message}", held_out=True),
        ),
        metrics=(metrics.exact_match,),
        licence="CC0-1.0",
    ),
)
MIXTURES = (Mixture(name="my_lab", rates={"my_lab:*": equal()}),)
