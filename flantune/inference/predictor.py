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
        self._seed = how.seed
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
        seed: int | None = None,
        first: int = 0,
        on_batch: Callable[[int], None] | None = None,
    ) -> list[str]:
        """The prediction for each prompt, in the order of the prompts.

        Each prompt is tokenised and given an EOS, as inputs are in training. With several
        processes, all must call this with the same prompts.

        Args:
            params: of the model.
            prompts: any number.
            seed: of the draws; None: the seed of `how`.
            first: number of the first prompt, where these are some of many: draws go by the number.
            on_batch: called after each batch with the number of prompts done so far.

        Raises:
            ValueError: a prompt has more than `inputs_length` tokens. Prompts are never cut here:
                cut their fields first.
        """
        rows = batching.prompt_ids(self._vocabulary, prompts, self._inputs_length, first=first)
        key = decoding.key_data(self._seed if seed is None else seed)
        predictions = [""] * len(rows)
        done = 0
        for positions, tokens in batching.one_ahead(self._started(params, rows, key, first)):
            for position, ids in zip(positions, np.asarray(tokens).tolist(), strict=False):
                predictions[position] = self._vocabulary.decode(ids)
            done += len(positions)
            if on_batch is not None:
                on_batch(done)
        return predictions

    def _started(
        self, params: PyTree, rows: Sequence[Sequence[int]], key: decoding.KeyData, first: int
    ) -> Iterator[tuple[list[int], Array]]:
        """Positions of the rows of each batch, and their predicted tokens, which the device may still compute."""
        size = self._devices.batch_size
        for positions, tokens in batching.by_length(rows, size, self._inputs_length):
            row_ids = np.zeros(size, np.int32)
            row_ids[: len(positions)] = np.add(positions, first)
            placed = map(self._devices.place, (tokens, row_ids))
            yield positions, self._decode(params, *placed, key)
