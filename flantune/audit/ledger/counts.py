"""Counts of what training really got, by task and template, over all restarts and processes.

`Counted` stands between the batches and the trainer, counts each batch that the trainer takes, and keeps the counts in
the state that is saved with every checkpoint. So a checkpoint's counts are those of its steps, whatever happened between:
a run that falls back to an older checkpoint falls back to its counts.

    {"lanes": ..., "counted": {"tasks": "5d1c...", "batches": 200, "sizes": [[150, 64], [50, 32]],
                               "processes": {"0": {"examples": [812, 40], ...}}}}

"sizes" are the batches of one size after those of another, with their rows over all processes: a run may go on with
another batch size. null is the size of batches that were counted before sizes were kept.

Each process counts its own rows and saves them under its number; where a run goes on with other processes, the first
one takes over all that was counted. An example that is dropped counts with the first row of its block (`data/input/pipeline.py`).
They stand beside the places of the lanes, not in them: 1,800 tasks of 10 templates are 72,000 numbers, a place is two.
Read `comparison.py` next: counted against planned.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, Protocol, runtime_checkable

from absl import logging
from jaxtyping import Int
import numpy as np

from flantune.data.input import packing
from flantune.prompting import choice

KEY = "counted"


@runtime_checkable
class Batches(Protocol):
    """Batches and the place in their sequence, as the trainer takes them."""

    def __next__(self) -> Mapping[str, np.ndarray]: ...

    def get_state(self) -> Mapping[str, Any]: ...

    def set_state(self, state: dict[str, Any]) -> None: ...


class Cells:
    """Numbers each template of each task of a mixture, in its order.

    Example: two tasks of 2 and 3 templates have the cells 0, 1 and 2, 3, 4.
    """

    def __init__(self, num_templates: Sequence[int]) -> None:
        """Args: `num_templates` of each task, at least 1."""
        self._num_templates = tuple(num_templates)
        ends = np.cumsum(self._num_templates, dtype=np.int64)
        self._starts = ends - np.asarray(self._num_templates, np.int64)
        self.num_tasks = len(self._num_templates)

    def __len__(self) -> int:
        return sum(self._num_templates)

    def of(
        self, tasks: Int[np.ndarray, "*shape"], templates: Int[np.ndarray, "*shape"]
    ) -> Int[np.ndarray, "*shape"]:
        """The cells of some tasks and templates; -1 where there is no task."""
        return np.where(tasks >= 0, self._starts[tasks] + templates, -1)

    def pairs(self) -> list[tuple[int, int]]:
        """The task and template of each cell."""
        return [
            (task, template)
            for task, count in enumerate(self._num_templates)
            for template in range(count)
        ]

    def by_task(self, values: Int[np.ndarray, " cells"]) -> Int[np.ndarray, " tasks"]:
        """The sums over the cells of each task."""
        return np.add.reduceat(values, self._starts)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """What training got: examples, those of them that are cut, and tokens without padding, by cell; dropped ones by task."""

    examples: Int[np.ndarray, " cells"]
    cut: Int[np.ndarray, " cells"]
    inputs_tokens: Int[np.ndarray, " cells"]
    targets_tokens: Int[np.ndarray, " cells"]
    dropped: Int[np.ndarray, " tasks"]

    @classmethod
    def zeros(cls, cells: Cells) -> "Counts":
        names = [field.name for field in dataclasses.fields(cls) if field.name != "dropped"]
        by_cell = {name: np.zeros(len(cells), np.int64) for name in names}
        return cls(**by_cell, dropped=np.zeros(cells.num_tasks, np.int64))

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            **{
                field.name: getattr(self, field.name) + getattr(other, field.name)
                for field in dataclasses.fields(self)
            }
        )

    def to_json(self) -> dict[str, list[int]]:
        return {
            field.name: getattr(self, field.name).tolist() for field in dataclasses.fields(self)
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Sequence[int]]) -> "Counts":
        return cls(**{name: np.asarray(numbers, np.int64) for name, numbers in value.items()})


def count(batch: Mapping[str, np.ndarray], cells: Cells) -> Counts:
    """The counts of one batch of packed rows, with `packing.SHORTFALL_KEYS`.

    Example: a row with two examples of one cell, of 3 + 2 and 4 + 1 tokens, gives it 2 examples, 7 and 3 tokens.
    """
    num_cells = len(cells)
    owners = cells.of(batch["decoder_task_ids"], batch["decoder_template_ids"])
    real = owners >= 0
    starts = real & (batch["decoder_positions"] == 0)
    rows = np.arange(len(owners))[:, None]
    segments = batch["encoder_segment_ids"]
    width = int(max(segments.max(initial=0), batch["decoder_segment_ids"].max(initial=0))) + 1
    owner = np.full((len(owners), width), -1)
    owner[np.broadcast_to(rows, owners.shape)[starts], batch["decoder_segment_ids"][starts]] = (
        owners[starts]
    )
    per_segment = np.bincount((rows * width + segments).ravel(), minlength=len(owners) * width)
    known = owner.ravel() >= 0
    inputs = np.zeros(num_cells, np.int64)
    np.add.at(inputs, owner.ravel()[known], per_segment[known])
    return Counts(
        examples=np.bincount(owners[starts], minlength=num_cells),
        cut=np.bincount(cells.of(*batch["cut_examples"].T), minlength=num_cells),
        inputs_tokens=inputs,
        targets_tokens=np.bincount(owners[real], minlength=num_cells),
        dropped=np.bincount(batch["dropped_examples"], minlength=cells.num_tasks),
    )


class Counted:
    """Batches that are counted as they are taken; for the trainer, in place of the batches themselves."""

    def __init__(
        self,
        batches: Batches,
        tasks: Mapping[str, int],
        *,
        process_index: int = 0,
        process_count: int = 1,
    ) -> None:
        """Counts batches that say what was cut and dropped (`loading.train_dataset(with_shortfall=True)`).

        Args:
            tasks: the mixture's, in its order, and how many templates each has.
        """
        self._batches = batches
        self._tasks = tasks_key(tasks)
        self._process = process_index
        self._process_count = process_count
        self._sizes: list[tuple[int, int | None]] = []
        self.cells = Cells(list(tasks.values()))
        self.counts = Counts.zeros(self.cells)

    def __next__(self) -> Mapping[str, np.ndarray]:
        """The next batch, with what a device needs."""
        batch = next(self._batches)
        self.counts += count(batch, self.cells)
        self._sizes = add_batch(self._sizes, len(batch["decoder_task_ids"]) * self._process_count)
        return {name: array for name, array in batch.items() if name not in packing.SHORTFALL_KEYS}

    def get_state(self) -> dict[str, Any]:
        counted = {
            "tasks": self._tasks,
            "batches": sum(count for count, _ in self._sizes),
            "sizes": [list(one) for one in self._sizes],
            "processes": {str(self._process): self.counts.to_json()},
        }
        return {**self._batches.get_state(), KEY: counted}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues from a state, with all that the processes of the run had counted until then."""
        self._batches.set_state({name: value for name, value in state.items() if name != KEY})
        counted = state.get(KEY, {})
        self._sizes, self.counts = [], Counts.zeros(self.cells)
        if counted.get("tasks") != self._tasks:
            logging.warning(
                "Counts of examples begin anew here: the run had other tasks or templates before."
            )
            return
        self._sizes = sizes(counted)
        if self._process == 0:
            self.counts = total(counted)


def add_batch(found: Sequence[tuple[int, int | None]], rows: int) -> list[tuple[int, int | None]]:
    """The sizes with one batch more.

    Example: a batch of 32 rows after [(150, 64), (7, 32)] makes [(150, 64), (8, 32)].
    """
    *before, last = found or [(0, rows)]
    return [*before, (last[0] + 1, rows)] if last[1] == rows else [*found, (1, rows)]


def sizes(counted: Mapping[str, Any]) -> list[tuple[int, int | None]]:
    """Batches and the rows of each, range by range, from the state that was saved; None: it does not say."""
    known = counted.get("sizes")
    return [(counted["batches"], None)] if known is None else [(one, rows) for one, rows in known]


def tasks_key(tasks: Mapping[str, int]) -> str:
    """What stands for the tasks of a mixture, in their order, and their numbers of templates."""
    return f"{choice.hash64(*tasks, *tasks.values()):016x}"


def total(counted: Mapping[str, Any]) -> Counts:
    """The counts of all processes, from the state that they saved."""
    found = [Counts.from_json(value) for value in counted["processes"].values()]
    return sum(found[1:], start=found[0])
