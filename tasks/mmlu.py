"""MMLU: exam questions of 57 subjects, with four choices each.

Every `mmlu/test/SUBJECT_test.csv` below the data directory becomes a task "mmlu:SUBJECT". The files have no header:
question, four choices, letter of the answer. The five rows of `mmlu/dev/` are the split "train", from which few-shot
prompts take their examples, as published; nothing else may be trained on.
"""

from collections.abc import Mapping
import pathlib
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, TaskFamily, sources
from flantune.data.task import Fields
from flantune.prompting import Template

FAMILY = "mmlu"
_LICENCE = "MIT"
_SUFFIX = "_test"
_LETTERS = "ABCD"
# The four groups of the paper, appendix B; what is in no other is in the last.
_GROUPS = {
    "stem": (
        "abstract_algebra astronomy college_biology college_chemistry college_computer_science college_mathematics "
        "college_physics computer_security conceptual_physics electrical_engineering elementary_mathematics "
        "high_school_biology high_school_chemistry high_school_computer_science high_school_mathematics "
        "high_school_physics high_school_statistics machine_learning"
    ),
    "humanities": (
        "formal_logic high_school_european_history high_school_us_history high_school_world_history international_law "
        "jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory professional_law "
        "world_religions"
    ),
    "social_sciences": (
        "econometrics high_school_geography high_school_government_and_politics high_school_macroeconomics "
        "high_school_microeconomics high_school_psychology human_sexuality professional_psychology public_relations "
        "security_studies sociology us_foreign_policy"
    ),
}


def files(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """The test file of each subject."""
    found = sorted((data_dir / FAMILY / "test").glob(f"*{_SUFFIX}.csv"))
    return {path.stem.removesuffix(_SUFFIX): path for path in found}


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """What `make_task` needs of a file: its subject."""
    return {"subject": path.stem.removesuffix(_SUFFIX)}


def make_task(name: str, metadata: Mapping[str, Any]) -> InstructionTask:
    subject = metadata["subject"]
    group = next((group for group, names in _GROUPS.items() if subject in names.split()), "other")
    return InstructionTask(
        name=f"{FAMILY}:{name}",
        cluster=f"exam_questions_{group}",
        source=sources.Csv(
            train=f"{FAMILY}/dev/{subject}_dev.csv",
            validation=f"{FAMILY}/val/{subject}_val.csv",
            test=f"{FAMILY}/test/{subject}{_SUFFIX}.csv",
            columns=("question", *_LETTERS, "answer"),
        ),
        to_fields=to_fields,
        answer_choices="choices",
        templates=(
            Template(inputs="{question}\n{options}"),
            Template(inputs="{question}\n\n{options}\n\nAnswer:"),
            Template(inputs="An exam in {subject} asks this.\n{question}\n{options}"),
            Template(inputs="Subject: {subject}\nQuestion: {question}\n{options}\nYour choice:"),
            Template(inputs="Mark the one correct choice.\n\n{question}\n{options}"),
            Template(inputs="{options}\n\nWhich of these is right? {question}"),
            Template(inputs="You are sitting a test on {subject}. {question}\n{options}"),
            Template(inputs="{question}\nOnly one of the following is correct.\n{options}"),
        ),
        metrics=(metrics.accuracy,),
        lineage=("mmlu", "mmmlu"),  # Natural Instructions writes it with three m
        licence=_LICENCE,
        constants={"subject": subject.replace("_", " ")},
        metadata=metadata,
    )


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    choices = [row[letter].strip() for letter in _LETTERS]
    if not row["question"].strip() or not all(choices):
        return None
    return {
        "question": row["question"].strip(),
        "choices": choices,
        "label": _LETTERS.index(row["answer"].strip()),
    }


TASKS = (
    TaskFamily(
        name=FAMILY,
        files=files,
        read_metadata=read_metadata,
        make_task=make_task,
        folders=(FAMILY,),
        licence=_LICENCE,
        publication=Publication(
            url="https://arxiv.org/abs/2009.03300",
            get="Put dev, val and test of https://people.eecs.berkeley.edu/~hendrycks/data.tar into DATA/mmlu",
        ),
    ),
)
