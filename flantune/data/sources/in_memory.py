"""`InMemory`: rows that a program holds or makes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import pathlib

from flantune.data import fingerprint as fingerprint_lib, task as task_lib
from flantune.data.sources import files

Rows = Sequence[task_lib.Row] | Callable[[], Iterable[task_lib.Row]]


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class InMemory:
    """Rows of each split, or a function without arguments that gives them; for generated data and tests."""

    rows: Mapping[str, Rows]

    def __init__(self, **splits: Rows) -> None:
        if not splits:
            raise ValueError("InMemory needs at least one split, as in InMemory(train=[...]).")
        object.__setattr__(self, "rows", dict(splits))

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.rows)

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[task_lib.Row]:
        del data_dir
        files.check_split(self, split)
        rows = self.rows[split]
        return iter(rows() if callable(rows) else rows)

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the rows, or of the source text of the function that gives them."""
        del data_dir
        files.check_split(self, split)
        rows = self.rows[split]
        if callable(rows):
            return fingerprint_lib.function_fingerprint(rows)
        return fingerprint_lib.value_fingerprint(list(rows))

    def describe(self) -> dict[str, object]:
        return {"kind": "in_memory", "splits": list(self.rows)}
