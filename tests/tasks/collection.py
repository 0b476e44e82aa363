"""What the tests of the collection share: its tasks, what TFDS says of their rows, and three rows of each, made up here.

`example_rows/MODULE.json` holds, by task name, rows as the source gives them; a row may leave out features that the task
does not read. A task of 2022 that only has other splits than that of 2021 needs none. `tfds_features.json` is written by
`make_tfds_features.py`.
"""

import functools
import importlib
import json
import pathlib
import tempfile
from typing import Any

from flantune.data import InstructionTask, TaskFamily

FOLDER = pathlib.Path(__file__).parent
MODULES = tuple(sorted(path.stem for path in (FOLDER / "example_rows").glob("*.json")))
_NUMBERS = {"bool": bool, "int32": int, "int64": int, "float32": float, "float64": float}


@functools.cache
def all_tasks() -> dict[str, InstructionTask]:
    """The tasks of the modules that have example rows, by name."""
    entries = [entry for module in MODULES for entry in entries_of(module)]
    return {task.name: task for task in entries}


def entries_of(module: str) -> list[InstructionTask]:
    """The tasks of a module; those of a family are made from files with the example rows."""
    found: list[InstructionTask] = []
    for entry in importlib.import_module(f"tasks.{module}").TASKS:
        found += [entry] if isinstance(entry, InstructionTask) else _of_family(entry)
    return found


def _of_family(family: TaskFamily) -> list[InstructionTask]:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = pathlib.Path(folder)
        (data_dir / family.name).mkdir()
        for name, rows in example_rows().items():
            if name.startswith(f"{family.name}:"):
                path = data_dir / family.name / f"{name.partition(':')[2]}.jsonl"
                path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return [
            family.make_task(name, family.read_metadata(path))
            for name, path in family.files(data_dir).items()
        ]


@functools.cache
def tasks() -> dict[str, InstructionTask]:
    """Those of them that have rows."""
    return {name: task for name, task in all_tasks().items() if name in example_rows()}


@functools.cache
def tfds_features() -> dict[str, Any]:
    """By TFDS name: version, other versions, features."""
    return json.loads((FOLDER / "tfds_features.json").read_text(encoding="utf-8"))


@functools.cache
def example_rows() -> dict[str, list[dict[str, Any]]]:
    """By task name: its rows."""
    found: dict[str, list[dict[str, Any]]] = {}
    for module in MODULES:
        text = (FOLDER / "example_rows" / f"{module}.json").read_text(encoding="utf-8")
        found |= json.loads(text)
    return found


def misfit(value: object, feature: Any, where: str = "row") -> str | None:
    """What in a row is not as the features say; None where all is.

    Example: `misfit({"label": 2}, {"label": {"labels": ["no", "yes"]}})` is
    "row.label is 2, which is no label of ['no', 'yes']".
    """
    if isinstance(feature, str):
        kind = _NUMBERS.get(feature, str)
        return None if type(value) is kind else f"{where} is {value!r}, no {feature}"
    if set(feature) == {"labels"}:
        fits = type(value) is int and -1 <= value < len(feature["labels"])  # -1: hidden
        return None if fits else f"{where} is {value!r}, which is no label of {feature['labels']}"
    if set(feature) == {"sequence"}:
        return _misfit_of_sequence(value, feature["sequence"], where)
    if not isinstance(value, dict):
        return f"{where} is {value!r}, no dictionary"
    for name, part in value.items():
        if name not in feature:
            return f"{where} has {name!r}, and the dataset only {list(feature)}"
        found = misfit(part, feature[name], f"{where}.{name}")
        if found:
            return found
    return None


def _misfit_of_sequence(value: object, item: Any, where: str) -> str | None:
    if isinstance(item, dict) and not {"labels", "sequence"} & set(item):  # TFDS: lists by name
        if not isinstance(value, dict) or not all(
            isinstance(part, list) for part in value.values()
        ):
            return f"{where} is {value!r}, no dictionary of lists"
        if len({len(part) for part in value.values()}) > 1:
            return f"{where} has lists of different lengths"
        return misfit(value, {name: {"sequence": part} for name, part in item.items()}, where)
    if not isinstance(value, list):
        return f"{where} is {value!r}, no list"
    found = (misfit(part, item, f"{where}[{index}]") for index, part in enumerate(value))
    return next((problem for problem in found if problem), None)
