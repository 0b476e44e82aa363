"""The training input: a Grain dataset of packed batches, equal on any number of processes and exact after a restart.

The mixture's blocks (`schedule.py`) are dealt to lanes, lane l owning blocks l, l + lanes, ... A lane renders,
tokenises and packs one block at a time and gives the same number of rows to every global batch. Process p of P runs the
p-th P-th of the lanes, so the rows of a global batch stand in the order of the lanes whatever P is (dropout goes by
place). The whole state is (block, row) for each lane.

    {"lanes": {"0": [0, 12], "1": [1, 12]}}     after some batches of 2 lanes
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import grain
import numpy as np

from flantune.data import (
    members as members_lib,
    packing,
    prompts,
    schedule as schedule_lib,
    tokenize as tokenize_lib,
)
from flantune.prompting import choice

Batch = dict[str, np.ndarray]
Row = list[packing.Example]
_MAX_EMPTY_BLOCKS = 100
_DEFAULT_LANES = 64


def default_lanes(batch_size: int) -> int:
    """The most lanes, up to 64, that divide a global batch evenly among themselves and powers of two."""
    return math.gcd(batch_size, _DEFAULT_LANES)


@dataclasses.dataclass(kw_only=True)
class Counts:
    """What this process's pipeline did since it started, by position of the task in the mixture."""

    examples: np.ndarray
    cut: np.ndarray
    dropped: np.ndarray
    input_tokens: np.ndarray
    target_tokens: np.ndarray

    @classmethod
    def zeros(cls, num_tasks: int) -> "Counts":
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: np.zeros(num_tasks, np.int64) for name in names})


@dataclasses.dataclass(frozen=True, slots=True)
class PackedBlock:
    """A block of the schedule as rows, in the order in which batches take them, and the tasks of its dropped examples."""

    rows: list[Row]
    dropped: list[int]


class BlockPacker:
    """Turns a block of the schedule into rows."""

    def __init__(
        self,
        *,
        members: Sequence[members_lib.Member],
        schedule: schedule_lib.Schedule,
        tokenizer: tokenize_lib.Tokenizer,
        inputs_length: int,
        targets_length: int,
        pack: bool,
        mean_targets: float | None = None,
    ) -> None:
        """Args: `mean_targets`, the target tokens of a mean example, where all examples weigh the same in the loss."""
        self._members = members
        self._schedule = schedule
        self._tokenizer = tokenizer
        self._lengths = {"inputs_length": inputs_length, "targets_length": targets_length}
        self._pack = pack
        self._mean_targets = mean_targets
        self.counts = Counts.zeros(len(members))

    def examples(self, block: int) -> list[packing.Example]:
        """The block's examples as ids; those that do not fit are dropped and counted."""
        return self._read(block)[0]

    def _read(self, block: int) -> tuple[list[packing.Example], list[int]]:
        """The block's examples, and the tasks of those that do not fit."""
        visits = self._schedule.block(block)
        requests = [
            prompts.Request(self._members[visit.task], visit.row, visit.epoch) for visit in visits
        ]
        examples: list[packing.Example] = []
        dropped: list[int] = []
        for visit, result in zip(visits, self._tokenizer.tokenize(requests), strict=True):
            self.counts.examples[visit.task] += 1
            if result is None:
                self.counts.dropped[visit.task] += 1
                dropped.append(visit.task)
                continue
            self.counts.cut[visit.task] += result.cut
            self.counts.input_tokens[visit.task] += len(result.inputs)
            self.counts.target_tokens[visit.task] += len(result.targets)
            examples.append(
                packing.Example(
                    np.asarray(result.inputs, np.int32),
                    np.asarray(result.targets, np.int32),
                    visit.task,
                    result.prompt.template,
                    visit.epoch,
                    visit.row,
                    self._token_weight(result),
                    result.cut,
                )
            )
        return examples, dropped

    def _token_weight(self, result: tokenize_lib.Tokenized) -> float:
        if self._mean_targets is None:
            return result.weight
        return result.weight * self._mean_targets / len(result.targets)

    def rows(self, block: int) -> list[Row]:
        """The block's rows, in the order in which batches take them."""
        return self.packed(block).rows

    def packed(self, block: int) -> "PackedBlock":
        """The block's rows, and what it has lost."""
        examples, dropped = self._read(block)
        return PackedBlock(self._rows(block, examples), dropped)

    def _rows(self, block: int, examples: Sequence[packing.Example]) -> list[Row]:
        if not self._pack:
            return [[example] for example in examples]
        assignment = packing.assign_rows(
            [len(example.inputs) for example in examples],
            [len(example.targets) for example in examples],
            **self._lengths,
        )
        # The longest examples share the first rows: a hashed order spreads lengths over batches.
        order = np.random.Generator(np.random.PCG64(choice.hash64(block, "row_order"))).permutation(
            len(assignment)
        )
        return [[examples[index] for index in assignment[row]] for row in order]

    def batch(self, rows: Sequence[Row]) -> Batch:
        """The arrays of some rows."""
        return packing.make_rows(rows, **self._lengths)


class TrainDataset(grain.IterDataset[Batch]):
    """Batches of this process's rows, without end."""

    def __init__(
        self,
        packer: BlockPacker,
        *,
        batch_size: int,
        lanes: int,
        process_index: int = 0,
        process_count: int = 1,
        with_shortfall: bool = False,
    ) -> None:
        """A dataset of this process's share of each global batch.

        Args:
            batch_size: global; a multiple of `lanes`, and `lanes` is one of `process_count`.
            with_shortfall: adds `packing.SHORTFALL_KEYS` to each batch, for the ledger's counts; no device needs them.
        """
        super().__init__()
        if batch_size % lanes or lanes % process_count:
            raise ValueError(
                f"The global batch ({batch_size} rows) must be a multiple of the lanes ({lanes}), and the lanes of "
                f"the processes ({process_count}). Set DataConfig.batch_size or DataConfig.lanes."
            )
        self.packer = packer
        self.with_shortfall = with_shortfall
        self.rows_per_lane = batch_size // lanes
        self.lanes = lanes
        share = lanes // process_count
        self.own_lanes = tuple(range(process_index * share, (process_index + 1) * share))

    def __iter__(self) -> "TrainIterator":
        return TrainIterator(self)


class TrainIterator(grain.DatasetIterator[Batch]):
    """Takes the same number of rows from each own lane, batch after batch."""

    def __init__(self, dataset: TrainDataset) -> None:
        super().__init__()
        self._dataset = dataset
        self._lanes = {
            lane: _Lane(dataset.packer, lane, dataset.lanes) for lane in dataset.own_lanes
        }

    def __next__(self) -> Batch:
        rows: list[Row] = []
        dropped: list[int] = []
        for lane in self._lanes.values():
            rows += lane.take(self._dataset.rows_per_lane, dropped)
        batch = self._dataset.packer.batch(rows)
        return batch | packing.shortfall(rows, dropped) if self._dataset.with_shortfall else batch

    def get_state(self) -> dict[str, Any]:
        return {"lanes": {str(number): lane.place() for number, lane in self._lanes.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from a state; it may hold other processes' lanes too.

        Raises:
            ValueError: the state was saved with another number of lanes.
        """
        places = state["lanes"]
        missing = [number for number in self._lanes if str(number) not in places]
        foreign = [number for number in places if int(number) >= self._dataset.lanes]
        if missing or foreign:
            raise ValueError(
                f"The saved data state has lanes {', '.join(places)}, but this run has {self._dataset.lanes}. "
                "Set DataConfig.lanes as it was."
            )
        for number, lane in self._lanes.items():
            lane.go_to(*places[str(number)])


class _Lane:
    """One stream of blocks."""

    def __init__(self, packer: BlockPacker, first_block: int, stride: int) -> None:
        self._packer = packer
        self._stride = stride
        self._block = first_block
        self._next_row = 0
        self._rows: list[Row] | None = None

    def place(self) -> list[int]:
        return [self._block, self._next_row]

    def go_to(self, block: int, next_row: int) -> None:
        self._block, self._next_row, self._rows = int(block), int(next_row), None

    def take(self, count: int, dropped: list[int]) -> list[Row]:
        """The next rows; the tasks of what their blocks dropped are added to `dropped` with a block's first row.

        So the place alone says what was counted: a block that is entered again in its middle is not counted again.
        """
        taken: list[Row] = []
        empty = 0
        while len(taken) < count:
            if self._rows is None:
                packed = self._packer.packed(self._block)
                self._rows = packed.rows
                dropped += packed.dropped if self._next_row == 0 else []
                empty = 0 if self._rows else empty + 1
                if empty > _MAX_EMPTY_BLOCKS:
                    raise ValueError(
                        f"{_MAX_EMPTY_BLOCKS} blocks held no example that fits: raise DataConfig.inputs_length."
                    )
            new = self._rows[self._next_row : self._next_row + count - len(taken)]
            taken += new
            self._next_row += len(new)
            if self._next_row == len(self._rows):
                self.go_to(self._block + self._stride, 0)
        return taken
