"""What batches of prompts need, whatever is done with them: ids, few lengths, rows split over devices.

`predictor.py` generates from such batches, `scoring.py` scores given texts, `embedding.py` gives what the encoder makes of them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
import math
from typing import Protocol, TypeVar, runtime_checkable

from absl import logging
import jax
from jaxtyping import Array, Int, PyTree, Shaped
import numpy as np

from flantune.models import t5

SHORTEST_BUCKET = 32  # tokens; shorter buckets save less time than compiling them takes
_BATCH_AXES = ("slice", "data", "fsdp")  # mesh axes that rows are split over, as in training
Item = TypeVar("Item")


@runtime_checkable
class Vocabulary(Protocol):
    """What a vocabulary must offer here."""

    @property
    def size(self) -> int: ...

    @property
    def eos_id(self) -> int: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


def check_covers(model: t5.EncoderDecoder, vocabulary: Vocabulary) -> None:
    """Raises ValueError where the model's embedding has fewer rows than the vocabulary has tokens."""
    if vocabulary.size > model.config.vocab_size:
        raise ValueError(
            f"ModelConfig.vocab_size ({model.config.vocab_size}) must be at least the size of "
            f"the vocabulary ({vocabulary.size})."
        )


def bucket_lengths(inputs_length: int) -> list[int]:
    """The lengths that prompts are padded to: powers of two, and `inputs_length` as the last.

    `bucket_lengths(100)` is `[32, 64, 100]`.
    """
    lengths = []
    length = SHORTEST_BUCKET
    while length < inputs_length:
        lengths.append(length)
        length *= 2
    return [*lengths, inputs_length]


def bucket(length: int, lengths: Sequence[int]) -> int:
    """The first of some ascending lengths that holds `length`."""
    return next(one for one in lengths if one >= length)


def padded(
    rows: Sequence[Sequence[int]], num_rows: int, length: int
) -> Int[np.ndarray, "batch length"]:
    """The rows as int32, padded with 0 to a length and with empty rows to a number of rows."""
    tokens = np.zeros((num_rows, length), np.int32)
    for number, ids in enumerate(rows):
        tokens[number, : len(ids)] = ids
    return tokens


def prompt_ids(
    vocabulary: Vocabulary, prompts: Sequence[str], inputs_length: int, *, first: int = 0
) -> list[list[int]]:
    """Each prompt's ids with an EOS, as inputs are in training.

    Args:
        first: number of the first prompt, for the message.

    Raises:
        ValueError: a prompt has more than `inputs_length` tokens. Prompts are never cut here: cut their fields first.
    """
    rows = [[*ids, vocabulary.eos_id] for ids in vocabulary.encode_batch(prompts)]
    too_long = [index for index, row in enumerate(rows) if len(row) > inputs_length]
    if too_long:
        raise ValueError(
            f"{len(too_long)} of {len(rows)} prompts are too long. The first is prompt "
            f"{first + too_long[0]}: {len(rows[too_long[0]])} tokens with its EOS, where at most "
            f"{inputs_length} are allowed. Shorten its fields or raise inputs_length."
        )
    return rows


def by_length(
    rows: Sequence[Sequence[int]], size: int, inputs_length: int
) -> Iterator[tuple[list[int], Int[np.ndarray, "batch length"]]]:
    """Batches of `size` rows, the longest first, each padded to the bucket of its longest, with its rows' positions.

    So rows of about equal length share a batch. Rows that fill up the last batch are empty.
    """
    buckets = bucket_lengths(inputs_length)
    order = sorted(range(len(rows)), key=lambda position: len(rows[position]), reverse=True)
    for start in range(0, len(order), size):
        positions = order[start : start + size]
        own = [rows[position] for position in positions]
        yield positions, padded(own, size, bucket(len(own[0]), buckets))


class Devices:
    """Where batches of rows go: one device, or a mesh whose axes "data" and "fsdp" split the rows.

    Attributes:
        batch_size: rows of a batch: as asked for, rounded up to a multiple of the devices that rows are split over.
    """

    def __init__(self, mesh: jax.sharding.Mesh | None, batch_size: int) -> None:
        self.batch_size = batch_size
        self._rows: jax.sharding.NamedSharding | None = None
        self._everywhere: jax.sharding.NamedSharding | None = None
        if mesh is None:
            return
        axes = tuple(axis for axis in _BATCH_AXES if axis in mesh.axis_names)
        num_shards = math.prod(mesh.shape[axis] for axis in axes)
        self.batch_size = math.ceil(batch_size / num_shards) * num_shards
        if self.batch_size != batch_size:
            logging.info(
                "Taking %d rows at a time instead of %d, to split them over %d devices.",
                self.batch_size,
                batch_size,
                num_shards,
            )
        spec = jax.sharding.PartitionSpec
        self._rows = jax.sharding.NamedSharding(mesh, spec(axes))
        self._everywhere = jax.sharding.NamedSharding(mesh, spec())

    def place(self, rows: Shaped[np.ndarray, "batch ..."]) -> Array | np.ndarray:
        """The rows, each on its device; every process holds them all."""
        if self._rows is None:
            return rows
        return jax.make_array_from_callback(rows.shape, self._rows, lambda index: rows[index])

    def jit(self, function: Callable[..., PyTree], *, gather: bool) -> Callable[..., PyTree]:
        """The function compiled; every process can read all of its result with `gather`, else it stays split by rows."""
        if self._rows is None:
            return jax.jit(function)
        return jax.jit(function, out_shardings=self._everywhere if gather else self._rows)


def one_ahead(started: Iterable[Item]) -> Iterator[Item]:
    """The items, each after the next one was started: the device works while the host reads."""
    items = iter(started)
    for waiting in items:
        for following in items:
            yield waiting
            waiting = following
        yield waiting
