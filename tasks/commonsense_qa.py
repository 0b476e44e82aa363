"""CommonsenseQA 1.x: everyday questions with five choices.

Files `commonsense_qa/{train,dev}_rand_split.jsonl` as published. The published test file hides its answers: rows without
`answerKey` are dropped, and the dev file is the test split here. Validation is the first 500 training rows.
ECQA (`chain_of_thought.py`) is made of the same questions.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    if not row.get("answerKey"):
        return None
    question = row["question"]
    letters = [choice["label"] for choice in question["choices"]]
    return {
        "question": question["stem"].strip(),
        "concept": question["question_concept"],
        "choices": [choice["text"].strip() for choice in question["choices"]],
        "label": letters.index(row["answerKey"]),
    }


TASKS = (
    InstructionTask(
        name="commonsense_qa:commonsense_qa",
        cluster="commonsense",
        source=sources.Jsonl(
            train="commonsense_qa/train_rand_split.jsonl[500:]",
            validation="commonsense_qa/train_rand_split.jsonl[:500]",
            test="commonsense_qa/dev_rand_split.jsonl",
        ),
        to_fields=to_fields,
        answer_choices="choices",
        templates=(
            Template(inputs="{question}\n{options}"),
            Template(inputs="Question: {question}\n{options}\nMost sensible answer:"),
            Template(inputs="Use your common sense.\n\n{question}\n\n{options}"),
            Template(inputs="Here is a question about {concept}. {question}\n{options}"),
            Template(inputs="{options}\nWhich of the above answers this best? {question}"),
            Template(
                inputs="Five answers were offered and one makes sense.\n{question}\n{options}"
            ),
            Template(inputs="Topic: {concept}\nQuestion: {question}\n{options}\nPick:"),
            Template(inputs="What would most people say to this?\n{question}\n{options}"),
            Template(inputs="{question}\n\nTell me which choice you would go for.\n{options}"),
            Template(
                inputs="A child wants to know: {question}\nChoose the reply that is true to life.\n{options}"
            ),
        ),
        metrics=(metrics.accuracy,),
        lineage=("commonsense_qa", "conceptnet"),
        licence="unknown (not stated)",
        publication=Publication(
            url="https://arxiv.org/abs/1811.00937",
            get="Put train_rand_split.jsonl and dev_rand_split.jsonl of https://s3.amazonaws.com/commensenseqa/ into "
            "DATA/commonsense_qa",
        ),
    ),
)
