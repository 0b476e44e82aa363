r"""Program synthesis from files: every JSONL file of `program_synthesis/` below the data directory becomes a task.

The Flan Collection (https://arxiv.org/abs/2301.13688) trained on two such sets, repaired programs (DrRepair,
https://arxiv.org/abs/2005.10636) and solved contest problems (https://arxiv.org/abs/2203.07814), and released neither. Bring
them, or your own, as one JSON object a line, compressed or not; `program_synthesis/mine.jsonl` is the task
"program_synthesis:mine". All values are texts, and "solution" may be a list of texts that are all right. The first row
tells which of two kinds the file holds:

    {"problem": "Add two numbers.", "solution": "print(a + b)", "language": "Python"}       write a program
    {"program": "print(a +)", "error": "1: invalid syntax", "solution": "print(a + b)"}     repair a program

"language" may be left out in both. Programs keep their lines and indents; a vocabulary that turns line breaks into spaces
(T5's) is of little use here, and `flantune lint` says so. The first tenth of a file, at most 200 rows, is the split
"validation" and the rest is "train".
"""

from collections.abc import Mapping
import pathlib
import re
import textwrap
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, TaskFamily, sources
from flantune.data.sources import compression, formats
from flantune.data.task import Fields
from flantune.prompting import Template

FAMILY = "program_synthesis"
_SUFFIX = ".jsonl"
_MAX_VALIDATION = 200

# {code} is "Python code", or "code" where a row names no language.
_WRITE = (
    Template(inputs="Write {code} for this problem.\n{problem}"),
    Template(inputs="{problem}\nPlease answer with {code} only."),
    Template(inputs="A contest sets this task.\n{problem}\nIt takes {code}."),
    Template(inputs="Problem:\n{problem}\nA program that solves it, as {code}:"),
    Template(inputs="Turn the description into {code} that works: {problem}"),
    Template(inputs="I need {code} that does the following.\n{problem}"),
    Template(inputs="{problem}\nHow would a programmer put this into {code}?"),
    Template(
        inputs="{answer}\nWhat problem does this program solve?",
        targets="{problem}",
        kind="inversion",
    ),
    Template(
        inputs="Write the exercise that this is the sample solution of.\n{answer}",
        targets="{problem}",
        kind="inversion",
    ),
    Template(
        inputs="Here is some {code}. Describe the task that it was written for.\n{answer}",
        targets="{problem}",
        kind="inversion",
    ),
)
_REPAIR = (
    Template(inputs="This {code} fails.\n{program}\nMessage: {error}\nMend it."),
    Template(inputs="{program}\nThe compiler says: {error}\nThe program without the mistake:"),
    Template(inputs="Error: {error}\nFind its cause in the {code} below and remove it.\n{program}"),
    Template(
        inputs="A student's {code} does not run, and all there is to go by is this: {error}\n{program}\n"
        "Write down how it should be."
    ),
    Template(inputs="Broken:\n{program}\nWhat went wrong: {error}\nRepaired:"),
    Template(inputs='Change as little as you can so that "{error}" goes away.\n{program}'),
    Template(inputs="Debug this {code}.\n{program}\nOutput of the tools: {error}"),
    Template(
        inputs="Before the change:\n{program}\nAfter the change:\n{answer}\nWhich message did the change remove?",
        targets="{error}",
        kind="inversion",
    ),
    Template(
        inputs="{answer}\nPut a mistake into this program, so that a tool reports: {error}",
        targets="{program}",
        kind="inversion",
    ),
    Template(
        inputs="For a lesson on debugging, spoil this {code}. The message is to be: {error}\n{answer}",
        targets="{program}",
        kind="inversion",
    ),
)

LINT_ALLOW = {
    f"{FAMILY}:*": {
        "answer_is_span": "a repair may change nothing but a mark, and a problem may quote code"
    }
}


def files(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """The file of each task, by its name without suffixes."""
    found: dict[str, pathlib.Path] = {}
    for path in sorted((data_dir / FAMILY).glob("*")):
        name = compression.without_suffix(path.name)
        if name.endswith(_SUFFIX):
            stem = re.sub(r"[^A-Za-z0-9_.\-]+", "_", name.removesuffix(_SUFFIX))
            found.setdefault(stem, path)
    return found


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """What `make_task` needs of a file; JSON values only.

    Raises:
        ValueError: its first row is of neither kind.
    """
    name = f"{FAMILY}/{path.name}"
    first: Mapping[str, object] = {}
    objects = 0
    for record in formats.read_objects(path):
        first = first or record.row or {}
        objects += 1
    return {"file": name, "kind": _kind(name, first), "objects": objects}


def _kind(name: str, row: Mapping[str, object]) -> str:
    if {"problem", "solution"} <= row.keys():
        return "write"
    if {"program", "error", "solution"} <= row.keys():
        return "repair"
    raise ValueError(
        f"{name}: the first row has {', '.join(map(repr, row)) or 'nothing'}; it needs 'problem' and 'solution', or "
        "'program', 'error' and 'solution'."
    )


def make_task(name: str, metadata: Mapping[str, Any]) -> InstructionTask:
    validation = min(_MAX_VALIDATION, metadata["objects"] // 10)
    splits = {"train": f"{metadata['file']}[{validation}:]"}
    if validation:
        splits["validation"] = f"{metadata['file']}[:{validation}]"
    writes = metadata["kind"] == "write"
    return InstructionTask(
        name=f"{FAMILY}:{name}",
        cluster=FAMILY,
        source=sources.Jsonl(**splits),
        to_fields=problem_fields if writes else repair_fields,
        templates=_WRITE if writes else _REPAIR,
        metrics=(metrics.exact_match, metrics.edit_distance),
        lineage=(name,),
        may_cut=("problem",) if writes else ("error", "program"),
        metadata=metadata,
    )


def problem_fields(row: Mapping[str, Any]) -> Fields | None:
    return _fields(row, {"problem": row["problem"].strip()})


def repair_fields(row: Mapping[str, Any]) -> Fields | None:
    return _fields(row, {"program": _code(row["program"]), "error": row["error"].strip()})


def _fields(row: Mapping[str, Any], shown: dict[str, str]) -> Fields | None:
    solutions = [row["solution"]] if isinstance(row["solution"], str) else row["solution"]
    answers = list(dict.fromkeys(filter(None, map(_code, solutions))))
    if not answers or not all(shown.values()):
        return None
    code = f"{row.get('language', '')} code".strip()
    return {**shown, "code": code, "answer": answers}


def _code(text: str) -> str:
    """A program without white space around it, its lines at their places."""
    lines = (line.rstrip() for line in text.expandtabs(4).splitlines())
    return textwrap.dedent("\n".join(lines)).strip()


TASKS = (
    TaskFamily(
        name=FAMILY,
        files=files,
        read_metadata=read_metadata,
        make_task=make_task,
        folders=(FAMILY,),
        licence="your own files'",
        publication=Publication(url="", get="Your own files: put them into DATA/program_synthesis"),
    ),
)
