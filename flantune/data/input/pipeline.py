"""The training input: a Grain dataset of packed batches, equal on any number of processes and exact after a restart.

The mixture's blocks (`schedule.py`) are dealt to lanes, lane l owning blocks l, l + lanes, ... A lane renders,
tokenises and packs one block at a time and gives the same number of rows to every global batch. Process p of P runs the
p-th P-th of the lanes, so the rows of a global batch stand in the order of the lanes whatever P is (dropout goes by
place). The whole state is (block, row) for each lane.

    {"lanes": {"0": [0, 12], "1": [1, 12]}}     after some batches of 2 lanes
"""

import math
from typing import Any

import grain

from flantune.data.input import blocks, packing

_MAX_EMPTY_BLOCKS = 100
_DEFAULT_LANES = 64


def default_lanes(batch_size: int) -> int:
    """The most lanes, up to 64, that divide a global batch evenly among themselves and powers of two."""
    return math.gcd(batch_size, _DEFAULT_LANES)


class TrainDataset(grain.IterDataset[blocks.Batch]):
    """Batches of this process's rows, without end."""

    def __init__(
        self,
        packer: blocks.BlockPacker,
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


class TrainIterator(grain.DatasetIterator[blocks.Batch]):
    """Takes the same number of rows from each own lane, batch after batch."""

    def __init__(self, dataset: TrainDataset) -> None:
        super().__init__()
        self._dataset = dataset
        self._lanes = {
            lane: _Lane(dataset.packer, lane, dataset.lanes) for lane in dataset.own_lanes
        }

    def __next__(self) -> blocks.Batch:
        rows: list[blocks.Row] = []
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

    def __init__(self, packer: blocks.BlockPacker, first_block: int, stride: int) -> None:
        self._packer = packer
        self._stride = stride
        self._block = first_block
        self._next_row = 0
        self._rows: list[blocks.Row] | None = None

    def place(self) -> list[int]:
        return [self._block, self._next_row]

    def go_to(self, block: int, next_row: int) -> None:
        self._block, self._next_row, self._rows = int(block), int(next_row), None

    def take(self, count: int, dropped: list[int]) -> list[blocks.Row]:
        """The next rows; the tasks of what their blocks dropped are added to `dropped` with a block's first row.

        So the place alone says what was counted: a block that is entered again in its middle is not counted again.
        """
        taken: list[blocks.Row] = []
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
