"""Text predictions for any number of prompts, in few compiled shapes.

Prompts are sorted by length and padded to a few lengths (`bucket_lengths`), always in full batches,
so that the generator is compiled once per length. Evaluation and `flantune infer` use this.
Token-level generation is in `decoding.py`.
"""

from collections.abc import Callable, Iterator, Sequence
import math
from typing import Protocol, runtime_checkable

from absl import logging
import jax
from jaxtyping import Array, Int, PyTree
import numpy as np

from flantune.configs import DecodingConfig
from flantune.inference import decoding
from flantune.models import t5

SHORTEST_BUCKET = 32  # tokens; shorter buckets save less time than compiling them takes
_BATCH_AXES = ("data", "fsdp")  # mesh axes that rows are split over, as in training
_GREEDY = DecodingConfig()


@runtime_checkable
class Vocabulary(Protocol):
    """What a vocabulary must offer here."""

    @property
    def size(self) -> int: ...

    @property
    def eos_id(self) -> int: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


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


class Predictor:
    """Predictions of one model, for any parameters of it.

    Args:
        model: the model.
        vocabulary: turns prompts into token ids and back.
        batch_size: rows decoded together; rounded up to a multiple of the devices that rows are
            split over.
        inputs_length: longest prompt in tokens, with its EOS.
        max_decode_length: longest prediction in tokens.
        how: greedy, beam search or sampling.
        mesh: devices to split the rows over, along its axes "data" and "fsdp"; None: one device.

    Raises:
        ValueError: the model's embedding has fewer rows than the vocabulary has tokens.
    """

    def __init__(
        self,
        *,
        model: t5.EncoderDecoder,
        vocabulary: Vocabulary,
        batch_size: int,
        inputs_length: int,
        max_decode_length: int,
        how: DecodingConfig = _GREEDY,
        mesh: jax.sharding.Mesh | None = None,
    ) -> None:
        if vocabulary.size > model.config.vocab_size:
            raise ValueError(
                f"ModelConfig.vocab_size ({model.config.vocab_size}) must be at least the size of "
                f"the vocabulary ({vocabulary.size})."
            )
        self._vocabulary = vocabulary
        self._inputs_length = inputs_length
        self._batch_size = batch_size
        self._rows_sharding: jax.sharding.NamedSharding | None = None
        decode = decoding.make_decoder(
            model, how, max_decode_length=max_decode_length, eos_id=vocabulary.eos_id
        )
        if mesh is None:
            self._decode = jax.jit(decode)
            return
        axes = tuple(axis for axis in _BATCH_AXES if axis in mesh.axis_names)
        num_shards = math.prod(mesh.shape[axis] for axis in axes)
        self._batch_size = math.ceil(batch_size / num_shards) * num_shards
        if self._batch_size != batch_size:
            logging.info(
                "Predicting %d rows at a time instead of %d, to split them over %d devices.",
                self._batch_size,
                batch_size,
                num_shards,
            )
        spec = jax.sharding.PartitionSpec
        self._rows_sharding = jax.sharding.NamedSharding(mesh, spec(axes))
        # Replicated, so that every process can read all of it.
        self._decode = jax.jit(decode, out_shardings=jax.sharding.NamedSharding(mesh, spec()))

    def predict(
        self,
        params: PyTree,
        prompts: Sequence[str],
        *,
        on_batch: Callable[[int], None] | None = None,
    ) -> list[str]:
        """The prediction for each prompt, in the order of the prompts.

        Each prompt is tokenised and given an EOS, as inputs are in training. With several
        processes, all must call this with the same prompts.

        Args:
            params: of the model.
            prompts: any number.
            on_batch: called after each batch with the number of prompts done so far.

        Raises:
            ValueError: a prompt has more than `inputs_length` tokens. Prompts are never cut here:
                cut their fields first.
        """
        rows = [[*ids, self._vocabulary.eos_id] for ids in self._vocabulary.encode_batch(prompts)]
        self._check_lengths(rows)
        predictions = [""] * len(rows)
        done = 0

        def collect(indices: Sequence[int], tokens: Array) -> None:
            nonlocal done
            for index, ids in zip(indices, np.asarray(tokens).tolist(), strict=False):
                predictions[index] = self._vocabulary.decode(ids)
            done += len(indices)
            if on_batch is not None:
                on_batch(done)

        # The device works on one batch while the batch before it is turned into text.
        running: tuple[list[int], Array] | None = None
        for indices, tokens in self._batches(rows):
            row_ids = np.zeros(self._batch_size, np.int32)
            row_ids[: len(indices)] = indices
            started = indices, self._decode(params, self._place(tokens), self._place(row_ids))
            if running is not None:
                collect(*running)
            running = started
        if running is not None:
            collect(*running)
        return predictions

    def _check_lengths(self, rows: Sequence[Sequence[int]]) -> None:
        too_long = [index for index, row in enumerate(rows) if len(row) > self._inputs_length]
        if too_long:
            raise ValueError(
                f"{len(too_long)} of {len(rows)} prompts are too long. The first is prompt "
                f"{too_long[0]}: {len(rows[too_long[0]])} tokens with its EOS, where at most "
                f"{self._inputs_length} are allowed. Shorten its fields or raise inputs_length."
            )

    def _batches(
        self, rows: Sequence[Sequence[int]]
    ) -> Iterator[tuple[list[int], Int[np.ndarray, "batch inputs"]]]:
        """Indices of the rows of each batch, and their tokens padded to a bucket; longest first."""
        buckets = bucket_lengths(self._inputs_length)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]), reverse=True)
        for start in range(0, len(order), self._batch_size):
            indices = order[start : start + self._batch_size]
            longest = len(rows[indices[0]])
            length = next(bucket for bucket in buckets if bucket >= longest)
            tokens = np.zeros((self._batch_size, length), np.int32)
            for i, index in enumerate(indices):
                tokens[i, : len(rows[index])] = rows[index]
            yield indices, tokens

    def _place(self, rows: Int[np.ndarray, "batch ..."]) -> Array | np.ndarray:
        if self._rows_sharding is None:
            return rows
        return jax.make_array_from_callback(
            rows.shape, self._rows_sharding, lambda index: rows[index]
        )
