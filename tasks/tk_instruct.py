"""Tk-Instruct's tracks of Super-NaturalInstructions, from the lists of an upstream checkout.

`natural-instructions/splits/default/{train,test}_tasks.txt` name the English tasks of both tracks: "tk_train:NAME" and
"tk_test:NAME" (757 and 119 upstream; the train list holds no task of a test task's source dataset, nor of the held-out
categories). Both use the first 100 instances of a task and the encodings of `natural_instructions.py`. Tasks of a list whose
files are not in `natural-instructions/tasks/` are an error; without the lists there is no task. The mixtures
`tk_instruct_train` and `tk_instruct_test` are in `mixtures.py`; for a folder without lists, `super_ni_train` there works
from names and sources instead.
"""

from collections.abc import Mapping
import dataclasses
import functools
import pathlib
from typing import Any

from flantune.data import InstructionTask, TaskFamily, sources
from tasks import natural_instructions

ROWS = natural_instructions.TEST_ROWS  # of each task, in both tracks
_CHECKOUT = "natural-instructions"
_TRACKS = {"tk_train": ("train", "train_tasks.txt"), "tk_test": ("test", "test_tasks.txt")}


def files(data_dir: pathlib.Path, family: str) -> dict[str, pathlib.Path]:
    """The file of each task of a track.

    Raises:
        ValueError: the list names tasks that the checkout lacks.
    """
    folder = data_dir / _CHECKOUT
    listed = folder / "splits" / "default" / _TRACKS[family][1]
    if not listed.is_file():
        return {}
    names = listed.read_text(encoding="utf-8").split()
    found = {name: folder / "tasks" / f"{name}.json" for name in names}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing:
        raise ValueError(
            f"{listed} names {len(missing)} tasks that {folder / 'tasks'} lacks, the first one {missing[0]!r}; the checkout "
            "is not whole."
        )
    return found


def make_task(name: str, metadata: Mapping[str, Any], family: str) -> InstructionTask:
    split, _ = _TRACKS[family]
    return dataclasses.replace(
        natural_instructions.make_task(name, metadata),
        name=f"{family}:{name}",
        source=sources.NaturalInstructions(metadata["file"], **{split: f"[:{ROWS}]"}),
    )


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """What `make_task` needs of a task file; JSON values only."""
    return natural_instructions.read_metadata(path)


SETTINGS = natural_instructions.SETTINGS
LINT_ALLOW = {
    f"{family}:*": next(iter(natural_instructions.LINT_ALLOW.values())) for family in _TRACKS
}
TASKS = tuple(
    TaskFamily(
        name=family,
        files=functools.partial(files, family=family),
        read_metadata=read_metadata,
        make_task=functools.partial(make_task, family=family),
        folders=(_CHECKOUT,),
        licence=natural_instructions.LICENCE,
        publication=natural_instructions.PUBLICATION,
    )
    for family in _TRACKS
)
