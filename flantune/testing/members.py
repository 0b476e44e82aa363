"""Members over rows in memory, for tests that need no prepared store."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

from flantune.data import InstructionTask, members
from flantune.data.store import reader as store_lib
from flantune.prompting import settings


class MemoryReader(store_lib.Reader):
    """Rows of fields that are already in memory."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = [dict(row) for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def fetch(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        return [self._rows[row] for row in rows]


def make_member(
    task: InstructionTask,
    setting: str = "",
    *,
    split: str = "train",
    templates: str = "training",
    rows: Sequence[Mapping[str, Any]] | None = None,
) -> members.Member:
    """A member over a task's rows as its source and `to_fields` give them, or over `rows` of fields."""
    parsed = settings.parse(setting)
    readers = {}
    for needed in members.splits_of(parsed, split):
        if rows is not None and needed == split:
            readers[needed] = MemoryReader(rows)
            continue
        fields = map(task.to_fields, task.source.read(needed, pathlib.Path()))
        readers[needed] = MemoryReader([row for row in fields if row is not None])
    name = f"{task.name}#{setting}" if setting else task.name
    return members.make_member(name, task, parsed, readers, split=split, templates=templates)
