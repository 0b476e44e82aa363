"""Text predictions for any number of prompts, in few compiled shapes.

Prompts are sorted by length and padded to a few lengths (`batching.bucket_lengths`), always in full batches, so that
the generator is compiled once per length. Evaluation and `flantune infer` use this. Token-level generation is in
`decoding.py`, scores of given texts in `scoring.py`.
"""

from collections.abc import Callable, Iterator, Sequence

import jax
from jaxtyping import Array, PyTree
import numpy as np

from flantune.configs import DecodingConfig
from flantune.inference import batching, decoding
from flantune.models import t5

_GREEDY = DecodingConfig()


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
        vocabulary: batching.Vocabulary,
        batch_size: int,
        inputs_length: int,
        max_decode_length: int,
        how: DecodingConfig = _GREEDY,
        mesh: jax.sharding.Mesh | None = None,
    ) -> None:
        batching.check_covers(model, vocabulary)
        self._vocabulary = vocabulary
        self._inputs_length = inputs_length
        self._devices = batching.Devices(mesh, batch_size)
        decode = decoding.make_decoder(
            model, how, max_decode_length=max_decode_length, eos_id=vocabulary.eos_id
        )
        self._decode = self._devices.jit(decode, gather=True)

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
        rows = batching.prompt_ids(self._vocabulary, prompts, self._inputs_length)
        predictions = [""] * len(rows)
        done = 0
        for indices, tokens in batching.one_ahead(self._started(params, rows)):
            for index, ids in zip(indices, np.asarray(tokens).tolist(), strict=False):
                predictions[index] = self._vocabulary.decode(ids)
            done += len(indices)
            if on_batch is not None:
                on_batch(done)
        return predictions

    def _started(
        self, params: PyTree, rows: Sequence[Sequence[int]]
    ) -> Iterator[tuple[list[int], Array]]:
        """Indices of the rows of each batch, longest first, and their predicted tokens, which the device may still compute."""
        size = self._devices.batch_size
        buckets = batching.bucket_lengths(self._inputs_length)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]), reverse=True)
        for start in range(0, len(order), size):
            indices = order[start : start + size]
            own = [rows[index] for index in indices]
            tokens = batching.padded(own, size, batching.bucket(len(own[0]), buckets))
            row_ids = np.zeros(size, np.int32)
            row_ids[: len(indices)] = indices
            placed = map(self._devices.place, (tokens, row_ids))
            yield indices, self._decode(params, *placed)
