"""Counts of what training really got, task by task, over all restarts and processes; and how they differ from the plan.

`Counted` stands between the batches and the trainer, counts each batch that the trainer takes, and keeps the counts in
the state that is saved with every checkpoint. So a checkpoint's counts are those of its steps, whatever happened between:
a run that falls back to an older checkpoint falls back to its counts.

    {"lanes": ..., "counted": {"tasks": "5d1c...", "batches": 200, "processes": {"0": {"examples": [812, 40], ...}}}}

Each process counts its own rows and saves them under its number; where a run goes on with other processes, the first
one takes over all that was counted. Read `ledger.py` for the plan.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any, Protocol, runtime_checkable

from absl import logging
from jaxtyping import Int
import numpy as np

from flantune.data.ledger import Ledger, TaskEntry
from flantune.prompting import choice

KEY = "counted"


@runtime_checkable
class Batches(Protocol):
    """Batches and the place in their sequence, as the trainer takes them."""

    def __next__(self) -> Mapping[str, np.ndarray]: ...

    def get_state(self) -> Mapping[str, Any]: ...

    def set_state(self, state: dict[str, Any]) -> None: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """What training got of each task, in the mixture's order: examples, and tokens without padding."""

    examples: Int[np.ndarray, " k"]
    inputs_tokens: Int[np.ndarray, " k"]
    targets_tokens: Int[np.ndarray, " k"]

    @classmethod
    def zeros(cls, num_tasks: int) -> "Counts":
        return cls(
            **{field.name: np.zeros(num_tasks, np.int64) for field in dataclasses.fields(cls)}
        )

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


def count(batch: Mapping[str, np.ndarray], num_tasks: int) -> Counts:
    """The counts of one batch of packed rows.

    Example: a row with two examples of task 1, of 3 + 2 and 4 + 1 tokens, gives 2 examples, 7 and 3 tokens.
    """
    tasks = batch["decoder_task_ids"]
    real = tasks >= 0
    starts = real & (batch["decoder_positions"] == 0)
    rows = np.arange(len(tasks))[:, None]
    segments = batch["encoder_segment_ids"]
    width = int(max(segments.max(initial=0), batch["decoder_segment_ids"].max(initial=0))) + 1
    owner = np.full((len(tasks), width), -1)
    owner[np.broadcast_to(rows, tasks.shape)[starts], batch["decoder_segment_ids"][starts]] = tasks[
        starts
    ]
    per_segment = np.bincount((rows * width + segments).ravel(), minlength=len(tasks) * width)
    known = owner.ravel() >= 0
    inputs = np.zeros(num_tasks, np.int64)
    np.add.at(inputs, owner.ravel()[known], per_segment[known])
    return Counts(
        examples=np.bincount(tasks[starts], minlength=num_tasks),
        inputs_tokens=inputs,
        targets_tokens=np.bincount(tasks[real], minlength=num_tasks),
    )


class Counted:
    """Batches that are counted as they are taken; for the trainer, in place of the batches themselves."""

    def __init__(self, batches: Batches, tasks: Sequence[str], *, process_index: int = 0) -> None:
        """Args: `tasks` are the mixture's, in its order."""
        self._batches = batches
        self._tasks = tasks_key(tasks)
        self._process = process_index
        self._num_batches = 0
        self.counts = Counts.zeros(len(tasks))

    def __next__(self) -> Mapping[str, np.ndarray]:
        batch = next(self._batches)
        self.counts += count(batch, len(self.counts.examples))
        self._num_batches += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        counted = {
            "tasks": self._tasks,
            "batches": self._num_batches,
            "processes": {str(self._process): self.counts.to_json()},
        }
        return {**self._batches.get_state(), KEY: counted}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continues from a state, with all that the processes of the run had counted until then."""
        self._batches.set_state({name: value for name, value in state.items() if name != KEY})
        counted = state.get(KEY, {})
        num_tasks = len(self.counts.examples)
        self._num_batches, self.counts = 0, Counts.zeros(num_tasks)
        if counted.get("tasks") != self._tasks:
            logging.warning("Counts of examples begin anew here: the run had other tasks before.")
            return
        self._num_batches = counted["batches"]
        if self._process == 0:
            self.counts = total(counted)


def tasks_key(tasks: Sequence[str]) -> str:
    """What stands for the tasks of a mixture, in their order."""
    return f"{choice.hash64(*tasks):016x}"


def total(counted: Mapping[str, Any]) -> Counts:
    """The counts of all processes, from the state that they saved."""
    found = [Counts.from_json(value) for value in counted["processes"].values()]
    return sum(found[1:], start=found[0])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A task's counts beside its plan, for the same number of batches."""

    task: str
    planned_examples: float
    counted_examples: int
    planned_tokens: float
    counted_tokens: int
    planned_targets: float
    counted_targets: int
    epochs: float
    deviations: float


def compare(planned: Ledger, counts: Counts) -> list[Comparison]:
    """Counts beside a plan of as many steps as were counted, in the ledger's order.

    `deviations` says how many standard errors lie between the tokens planned and counted.
    """
    return [
        _comparison(planned, entry, position, counts)
        for position, entry in enumerate(planned.tasks)
    ]


def _comparison(planned: Ledger, entry: TaskEntry, position: int, counts: Counts) -> Comparison:
    examples = int(counts.examples[position])
    inputs, targets = int(counts.inputs_tokens[position]), int(counts.targets_tokens[position])
    error = _tokens_error(planned, entry)
    difference = inputs + targets - entry.tokens
    return Comparison(
        task=entry.task,
        planned_examples=entry.examples,
        counted_examples=examples,
        planned_tokens=entry.tokens,
        counted_tokens=inputs + targets,
        planned_targets=entry.targets_tokens,
        counted_targets=targets,
        epochs=examples / max(1.0, entry.rows * (1 - entry.dropped)),
        deviations=difference / error if error else 0.0,
    )


def _tokens_error(planned: Ledger, entry: TaskEntry) -> float:
    """The standard error of a task's planned tokens against those of a run, which are a sample too.

    It has four parts: the mean length, known from `measured` examples and realised in `examples`; the share that is
    dropped, likewise; how many examples share a row; and one example for where the blocks are cut.
    """
    per_example = entry.mean_inputs_tokens + entry.mean_targets_tokens
    # Inputs and targets may be long together, so their errors add up.
    mean_error = entry.inputs_error + entry.targets_error
    both = 1 + entry.examples / max(1.0, entry.measured * (1 - entry.dropped))
    drop_variance = entry.dropped * (1 - entry.dropped) * entry.visits
    variances = (
        entry.examples * mean_error**2 * entry.measured * (1 - entry.dropped) * both,
        per_example**2 * drop_variance * (1 + entry.visits / max(1, entry.measured)),
        (entry.tokens * planned.examples_per_row_error / planned.examples_per_row) ** 2,
        per_example**2,
    )
    return math.sqrt(sum(variances))
