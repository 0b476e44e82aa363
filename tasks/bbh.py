"""BIG-Bench Hard: tasks on which language models fell short of people.

Every `bbh/NAME.json` below the data directory becomes a task "bbh:NAME". A file is {"examples": [{"input", "target"}]};
an input holds its own question and options. For evaluation only: all rows are the test split.
"""

from collections.abc import Mapping
import pathlib
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, TaskFamily, sources
from flantune.data.task import Fields
from flantune.prompting import Template

FAMILY = "bbh"
_LICENCE = "MIT"


def files(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """The file of each task, by its stem."""
    return {path.stem: path for path in sorted((data_dir / FAMILY).glob("*.json"))}


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """What `make_task` needs of a file: its place."""
    return {"file": f"{FAMILY}/{path.name}"}


def make_task(name: str, metadata: Mapping[str, Any]) -> InstructionTask:
    return InstructionTask(
        name=f"{FAMILY}:{name}",
        cluster="big_bench_hard",
        source=sources.Json(test=metadata["file"], items="examples"),
        to_fields=to_fields,
        templates=(
            Template(inputs="{input}"),
            Template(inputs="Q: {input}\nA:"),
            Template(inputs="{input}\n\nAnswer as briefly as you can."),
            Template(inputs="Task:\n{input}\n\nSolution:"),
            Template(inputs="Think about this carefully and give only the answer.\n\n{input}"),
            Template(inputs="{input}\nFinal answer:"),
        ),
        metrics=(metrics.exact_match,),
        lineage=("big_bench", name),
        licence=_LICENCE,
        metadata=metadata,
    )


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    text, answer = row["input"].strip(), row["target"].strip()
    return {"input": text, "answer": answer} if text and answer else None


TASKS = (
    TaskFamily(
        name=FAMILY,
        files=files,
        read_metadata=read_metadata,
        make_task=make_task,
        folders=(FAMILY,),
        licence=_LICENCE,
        publication=Publication(
            url="https://arxiv.org/abs/2210.09261",
            get="Put the files of bbh of https://github.com/suzgunmirac/BIG-Bench-Hard into DATA/bbh",
        ),
    ),
)
