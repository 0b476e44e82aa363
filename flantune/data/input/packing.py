"""Packing: which examples of a block share a row, encoder and decoder side together, and the arrays of such rows.

Sorted best-fit: longest first, each into the fullest row that still has room on both sides. The pipeline that calls it
is `pipeline.py`; read it next.
"""

import bisect
from collections.abc import Sequence
import dataclasses
import itertools

from jaxtyping import Int, Shaped
import numpy as np


def assign_rows(
    inputs_lengths: Sequence[int],
    targets_lengths: Sequence[int],
    *,
    inputs_length: int,
    targets_length: int,
) -> list[list[int]]:
    """Positions of the examples in each row, decided by the lengths alone.

    Example: lengths (3, 2, 2) and (1, 1, 1) for rows of 5 and 4 give [[0, 1], [2]].

    Longest is the example that takes the largest part of its row on either side. Fullest is the row with the least room
    on the side that all examples together fill more; the other side decides between equals. The rule is Johnson's
    best-fit decreasing (https://doi.org/10.1137/0203025), here in two dimensions: one number holds the room of both.

    Raises:
        ValueError: an example is longer than a row.
    """
    _check_fits(inputs_lengths, targets_lengths, inputs_length, targets_length)
    major, minor, minor_length = inputs_lengths, targets_lengths, targets_length
    if sum(targets_lengths) * inputs_length > sum(inputs_lengths) * targets_length:
        major, minor, minor_length = targets_lengths, inputs_lengths, inputs_length
    base = minor_length + 1
    sizes = [base * long + short for long, short in zip(major, minor, strict=True)]
    empty = base * (inputs_length + targets_length - minor_length) + minor_length
    parts = [
        (max(inputs * targets_length, targets * inputs_length), size)
        for inputs, targets, size in zip(inputs_lengths, targets_lengths, sizes, strict=True)
    ]
    rows: list[list[int]] = []
    rooms: list[int] = []  # of every row, the fullest first
    owners: list[int] = []  # the row that has each room
    for example in sorted(range(len(sizes)), key=parts.__getitem__, reverse=True):
        size, short = sizes[example], minor[example]
        place = bisect.bisect_left(rooms, size)
        while place < len(rooms) and rooms[place] % base < short:
            place += 1
        if place < len(rooms):
            row, room = owners.pop(place), rooms.pop(place) - size
        else:
            row, room = len(rows), empty - size
            rows.append([])
        rows[row].append(example)
        place = bisect.bisect_left(rooms, room)
        rooms.insert(place, room)
        owners.insert(place, row)
    return rows


def _check_fits(
    inputs_lengths: Sequence[int],
    targets_lengths: Sequence[int],
    inputs_length: int,
    targets_length: int,
) -> None:
    if (
        max(inputs_lengths, default=0) <= inputs_length
        and max(targets_lengths, default=0) <= targets_length
    ):
        return
    for number, (inputs, targets) in enumerate(zip(inputs_lengths, targets_lengths, strict=True)):
        if inputs > inputs_length or targets > targets_length:
            raise ValueError(
                f"Example {number}, of {inputs} + {targets} tokens, does not fit a row of "
                f"{inputs_length} + {targets_length}."
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One tokenised example: ids with EOS, where it came from, the loss weight of each target token, whether it is cut."""

    inputs: Int[np.ndarray, " inputs"]
    targets: Int[np.ndarray, " targets"]
    task: int
    template: int
    epoch: int
    row: int
    weight: float = 1.0
    cut: bool = False


BATCH_KEYS = (
    "encoder_input_tokens",
    "encoder_segment_ids",
    "encoder_positions",
    "decoder_input_tokens",
    "decoder_target_tokens",
    "decoder_loss_weights",
    "decoder_segment_ids",
    "decoder_positions",
    "decoder_task_ids",
    "decoder_template_ids",
)


# What a batch may say beside its arrays: (task, template) of each of its examples that is cut, and the tasks of examples
# that were dropped on the way to it.
SHORTFALL_KEYS = ("cut_examples", "dropped_examples")


def shortfall(
    rows: Sequence[Sequence[Example]], dropped: Sequence[int]
) -> dict[str, Int[np.ndarray, "..."]]:
    """What `SHORTFALL_KEYS` hold: int32 of shape [cut examples, 2] and [dropped examples]."""
    cut = [(example.task, example.template) for row in rows for example in row if example.cut]
    arrays = np.asarray(cut, np.int32).reshape(-1, 2), np.asarray(dropped, np.int32)
    return dict(zip(SHORTFALL_KEYS, arrays, strict=True))


def make_rows(
    rows: Sequence[Sequence[Example]], *, inputs_length: int, targets_length: int
) -> dict[str, np.ndarray]:
    """The arrays [rows, length] of a batch: ids int32, weights float32.

    A target token has its example's loss weight. Padding is 0, and -1 in task and template ids. Segments count from 1 in each row. A decoder's input is its target one
    place later, with 0 first.

    Example: two examples with inputs (5, 6) and (7,) in a row of 4 give tokens [5, 6, 7, 0], segments [1, 1, 2, 0] and
    positions [0, 1, 0, 0].

    Raises:
        ValueError: a row has more tokens than it can hold.
    """
    encoder = _Layout([[len(example.inputs) for example in row] for row in rows], inputs_length)
    decoder = _Layout([[len(example.targets) for example in row] for row in rows], targets_length)
    examples = [example for row in rows for example in row]
    targets = decoder.tokens([example.targets for example in examples])
    shifted = np.zeros_like(targets)
    shifted.ravel()[1:] = targets.ravel()[:-1]
    arrays = (
        encoder.tokens([example.inputs for example in examples]),
        encoder.segment_ids,
        encoder.positions,
        np.where(decoder.positions > 0, shifted, 0),
        targets,
        decoder.spread([example.weight for example in examples], 0, np.float32),
        decoder.segment_ids,
        decoder.positions,
        decoder.spread([example.task for example in examples], -1, np.int32),
        decoder.spread([example.template for example in examples], -1, np.int32),
    )
    return dict(zip(BATCH_KEYS, arrays, strict=True))


class _Layout:
    """Where the examples of some rows lie on one side.

    Every row ends with a piece of padding, so that the pieces of all rows, one after another, are the whole array.
    """

    def __init__(self, lengths: Sequence[Sequence[int]], length: int) -> None:
        self._shape = (len(lengths), length)
        self._padding = [length - sum(row) for row in lengths]
        if min(self._padding, default=0) < 0:
            raise ValueError(f"A row of {length} tokens holds {length - min(self._padding)}.")
        self._counts = [len(row) for row in lengths]
        self._pieces = np.asarray(
            [
                piece
                for row, pad in zip(lengths, self._padding, strict=True)
                for piece in (*row, pad)
            ],
            np.int64,
        )
        numbers = [number for count in self._counts for number in (*range(1, count + 1), 0)]
        self._is_example = np.asarray(numbers, np.int64) > 0
        self.segment_ids = self._repeat(numbers)
        starts = np.cumsum(self._pieces) - self._pieces
        places = np.arange(len(lengths) * length, dtype=np.int32).reshape(self._shape)
        self.positions = np.where(self.segment_ids > 0, places - self._repeat(starts), 0)

    def tokens(self, arrays: Sequence[Int[np.ndarray, " _"]]) -> Int[np.ndarray, "batch length"]:
        """The ids of the examples, each in its place, 0 elsewhere."""
        zeros = np.zeros(self._shape[1], np.int32)
        own = iter(arrays)
        parts = [
            part
            for count, pad in zip(self._counts, self._padding, strict=True)
            for part in (*itertools.islice(own, count), zeros[:pad])
        ]
        flat = np.concatenate(parts, dtype=np.int32) if parts else zeros[:0]
        return flat.reshape(self._shape)

    def spread(
        self, values: Sequence[int] | Sequence[float], padding: int, dtype: type[np.generic]
    ) -> Shaped[np.ndarray, "batch length"]:
        """The value of each example at all its places, `padding` elsewhere."""
        pieces = np.full(len(self._pieces), padding, dtype)
        pieces[self._is_example] = values
        return np.repeat(pieces, self._pieces).reshape(self._shape)

    def _repeat(self, values: Sequence[int] | np.ndarray) -> Int[np.ndarray, "batch length"]:
        return np.repeat(np.asarray(values, np.int32), self._pieces).reshape(self._shape)
