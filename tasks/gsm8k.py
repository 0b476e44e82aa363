"""GSM8K: word problems of grade-school arithmetic.

Files `gsm8k/{train,test}.jsonl` as published; an answer ends in a line "#### 18". Calculator marks such as
"<<16-3-4=9>>" are left out of the reasoning. Validation is the first 500 training rows. The Flan Collection's version of
the training rows is in `chain_of_thought.py`.
"""

from collections.abc import Mapping
import re
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template

_CALCULATION = re.compile(r"<<[^>]*>>")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    rationale, mark, answer = row["answer"].partition("####")
    if not mark:
        return None
    return {
        "question": row["question"].strip(),
        "rationale": _CALCULATION.sub("", rationale).strip(),
        "answer": answer.strip().replace(",", ""),
    }


def number(prediction: str) -> str:
    """The last number of a prediction, as the answers write it: "$1,000.00 a day." gives "1000"."""
    found = _NUMBER.findall(prediction)
    if not found:
        return prediction.strip()
    text = found[-1].replace(",", "")
    return text.rstrip("0").rstrip(".") if "." in text else text


TASKS = (
    InstructionTask(
        name="gsm8k:gsm8k",
        cluster="math_word_problems",
        source=sources.Jsonl(
            train="gsm8k/train.jsonl[500:]",
            validation="gsm8k/train.jsonl[:500]",
            test="gsm8k/test.jsonl",
        ),
        to_fields=to_fields,
        templates=(
            Template(inputs="{question}\nNumber:"),
            Template(inputs="Problem: {question}\nGive the result as a number and nothing else."),
            Template(inputs="What is the result?\n\n{question}"),
            Template(inputs="{question}\n\nReply with one number."),
            Template(
                inputs="{question}\nCalculate one quantity after another before you answer.",
                targets="{rationale}\nThat makes {answer}.",
                kind="cot",
            ),
            Template(
                inputs="Solve this and show the arithmetic.\n{question}",
                targets="{rationale}\nThe result is {answer}.",
                kind="cot",
            ),
            Template(
                inputs="Problem: {question}\nSolution, with each calculation:",
                targets="{rationale}\nFinal number: {answer}",
                kind="cot",
            ),
            Template(
                inputs="A pupil is stuck on this problem. Work it out line by line.\n\n{question}",
                targets="{rationale}\nSo the number is {answer}.",
                kind="cot",
            ),
        ),
        metrics=(metrics.exact_match,),
        postprocess=number,
        lineage=("gsm8k",),
        licence="MIT",
        publication=Publication(
            url="https://arxiv.org/abs/2110.14168",
            get="Put train.jsonl and test.jsonl of grade_school_math/data of https://github.com/openai/grade-school-math into "
            "DATA/gsm8k",
        ),
    ),
)
