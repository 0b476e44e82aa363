"""`Schedule`: the global order of a mixture, computable at any place without what came before.

Task k with rate r_k is visited for the n-th time at "time" (n + phase_k) / r_k, counted in examples. Block b holds all
visits from b * block_size to (b + 1) * block_size, in a hashed order. So every task is within one example of its exact
share at every block's end, each task goes through its own epochs one after another, and block b needs no other block.
Blocks differ from `block_size` by at most one example a task.

A run deals its blocks to lanes and needs a block of each lane before its first batch. So the first four blocks of a lane
are shorter: from a sixteenth to a half of a block in the first lane, up to twice that in the last one. The first batch
waits for a tenth of the examples, and later the lanes come to their next blocks one after another, not all at once.
Read `packing.py` next.
"""

from collections.abc import Sequence
import dataclasses
import functools

from jaxtyping import Float, Int, UInt
import numpy as np

from flantune.prompting import choice

_SHUFFLE_ROUNDS = (
    6  # a Feistel network of 4 is already a pseudo-random permutation (Luby and Rackoff, 1988)
)
_FIRST_BLOCKS = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of a block, in the first lane
_MIN_HALF_BITS = 3  # small domains shuffle badly
_ROUND_CONSTANTS = [
    np.uint64((number + 1) * 0x9E3779B97F4A7C15 % 2**64) for number in range(_SHUFFLE_ROUNDS)
]


@dataclasses.dataclass(frozen=True, slots=True)
class Visit:
    """One example of one epoch: position of the task in the mixture, epoch from 0, row of the split."""

    task: int
    epoch: int
    row: int


class Schedule:
    """The order of a mixture of `len(rates)` tasks, a pure function of its arguments."""

    def __init__(
        self,
        *,
        names: Sequence[str],
        rates: Sequence[float],
        num_rows: Sequence[int],
        block_size: int,
        seed: int,
        lanes: int | None = None,
    ) -> None:
        """Args: one name, one share (together 1) and one count of rows for each task; None: all blocks are whole."""
        self._rates: Float[np.ndarray, " k"] = np.asarray(rates, np.float64)
        self._num_rows: Int[np.ndarray, " k"] = np.asarray(num_rows, np.int64)
        self._block_size = block_size
        self._seed = seed
        self._lanes = lanes
        self._names = list(names)
        phases = [choice.hash64(seed, name, "phase") / 2**64 for name in names]
        self._phases: Float[np.ndarray, " k"] = np.asarray(phases, np.float64)

    def visits_before(self, block: int) -> Int[np.ndarray, " k"]:
        """How often each task is visited before a block."""
        start = self._block_size * self._blocks_before(block)
        return np.ceil(start * self._rates - self._phases).astype(np.int64)

    def _blocks_before(self, block: int) -> int | float:
        """How many whole blocks the blocks before a block amount to."""
        if self._lanes is None:
            return block
        # Lane l of n has 1 + l / n times the first lane's part: l + l * (l - 1) / 2n for the lanes before it.
        rounds, lane = divmod(block, self._lanes)
        short = sum(_FIRST_BLOCKS[:rounds]) * (3 * self._lanes - 1) / 2
        if rounds >= len(_FIRST_BLOCKS):
            return short + (rounds - len(_FIRST_BLOCKS)) * self._lanes + lane
        return short + _FIRST_BLOCKS[rounds] * (lane + lane * (lane - 1) / (2 * self._lanes))

    def block(self, block: int) -> list[Visit]:
        """The visits of a block, in order."""
        first, last = self.visits_before(block), self.visits_before(block + 1)
        counts = last - first
        tasks = np.repeat(np.arange(len(counts)), counts)
        ends = np.cumsum(counts)
        numbers = np.arange(len(tasks)) - np.repeat(ends - counts, counts) + first[tasks]
        num_rows = self._num_rows[tasks]
        epochs, places = numbers // num_rows, numbers % num_rows
        keys = self._shuffle_keys(tasks, epochs)
        rows = permuted(places, num_rows, keys)
        order = np.random.Generator(
            np.random.PCG64(choice.hash64(self._seed, block, "block_order"))
        ).permutation(len(tasks))
        chosen = (tasks[order].tolist(), epochs[order].tolist(), rows[order].tolist())
        return [Visit(*visit) for visit in zip(*chosen, strict=True)]

    def _shuffle_keys(
        self, tasks: Int[np.ndarray, " n"], epochs: Int[np.ndarray, " n"]
    ) -> UInt[np.ndarray, " n"]:
        pairs = zip(tasks.tolist(), epochs.tolist(), strict=True)
        keys = [_shuffle_key(self._seed, self._names[task], epoch) for task, epoch in pairs]
        return np.asarray(keys, np.uint64)


# Block after block asks for the same ones: as many as a mixture of 1,800 tasks has in a few epochs.
@functools.lru_cache(maxsize=16_384)
def _shuffle_key(seed: int, name: str, epoch: int) -> int:
    return choice.hash64(seed, name, epoch, "rows")


def permuted(
    places: Int[np.ndarray, " n"], num_rows: Int[np.ndarray, " n"], keys: UInt[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    """The image of each place under the permutation of `range(num_rows)` that its key selects.

    A Feistel network over the next even power of two, walked until it falls below `num_rows`.
    """
    half = np.maximum(_MIN_HALF_BITS, np.ceil(np.log2(np.maximum(num_rows, 2)) / 2)).astype(
        np.uint64
    )
    images = places.astype(np.uint64)
    outside = np.arange(len(images))
    while len(outside):
        images[outside] = _feistel(images[outside], half[outside], keys[outside])
        outside = outside[images[outside] >= num_rows[outside].astype(np.uint64)]
    return images.astype(np.int64)


def _feistel(
    values: UInt[np.ndarray, " n"], half: UInt[np.ndarray, " n"], keys: UInt[np.ndarray, " n"]
) -> UInt[np.ndarray, " n"]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for number in range(_SHUFFLE_ROUNDS):
        mixed = (right ^ keys) + _ROUND_CONSTANTS[number]
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # SplitMix64
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        left, right = right, left ^ ((mixed ^ (mixed >> np.uint64(31))) & mask)
    return (left << half) | right
