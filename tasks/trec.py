"""TREC: what kind of thing does a question ask for? The six coarse types.

Files `trec/TREC.{train,test}` in Latin-1, one question a line: "COARSE:fine question". There is no validation file: the
first 500 training rows are used.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template

TYPES = {
    "ABBR": "abbreviation",
    "ENTY": "entity",
    "DESC": "description",
    "HUM": "person",
    "LOC": "location",
    "NUM": "number",
}
_PLAIN = ("a short form", "a thing", "an explanation", "a person or group", "a place", "a figure")

TEMPLATES = (
    Template(inputs="What kind of answer does this question want?\n{question}\n{options}"),
    Template(inputs="Question: {question}\n{options}\nType of answer:"),
    Template(inputs="{question}\nDo not answer. Only name the type of the answer.\n{options}"),
    Template(inputs="Sort the question into one of six classes.\n{options}\nQuestion: {question}"),
    Template(inputs='Someone asks: "{question}" They are after which of these?\n{options}'),
    Template(
        inputs="A good answer to the question below would be\n{options}\nQuestion: {question}"
    ),
    Template(
        inputs="{question}\nWould you reply to that with\n{options}",
        label_words=_PLAIN,
    ),
    Template(
        inputs="You get this question: {question}\nWhat do you have to look up?\n{options}",
        label_words=_PLAIN,
    ),
    Template(
        inputs=(
            "Label the question with abbreviation, entity, description, person, location or number.\n"
            "{question}"
        )
    ),
    Template(inputs="{options}\nWhich label belongs to this quiz question?\n{question}\nLabel:"),
)


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    type_name, _, question = row["text"].partition(" ")
    coarse, _, _ = type_name.partition(":")
    if not question.strip():
        return None
    return {"question": question.strip(), "label": list(TYPES).index(coarse)}


URL = "https://aclanthology.org/C02-1150"
TASKS = (
    InstructionTask(
        name="trec:coarse",
        cluster="question_classification",
        source=sources.Lines(
            train="trec/TREC.train[500:]",
            validation="trec/TREC.train[:500]",
            test="trec/TREC.test",
            encoding="latin-1",
        ),
        to_fields=to_fields,
        answer_choices=tuple(TYPES.values()),
        templates=TEMPLATES,
        metrics=(metrics.accuracy,),
        lineage=("trec",),
        licence="unknown (not stated)",
        publication=Publication(
            url=URL,
            get="From https://cogcomp.seas.upenn.edu/Data/QA/QC/, train_5500.label is DATA/trec/TREC.train and TREC_10.label "
            "is DATA/trec/TREC.test",
            download_bytes=359_212,
        ),
    ),
)
