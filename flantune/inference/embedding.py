"""What the encoder makes of texts, one vector each.

    ["Sort: 3 1 2", "cat"]   ->   float32 [2, emb_dim]

Batches of prompts are made as for predictions (`batching.py`, `predictor.py`).
"""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import numpy as np

from flantune.inference import batching
from flantune.models import t5


class Embedder:
    """Embeddings by one model's encoder, for any parameters of it: the mean of its last states over a text's tokens.

    The EOS that ends every prompt is one of the tokens; padding is none.

    Args:
        model: the model.
        vocabulary: turns texts into token ids.
        batch_size: rows encoded together; rounded up to a multiple of the devices that rows are split over.
        inputs_length: longest text in tokens, with its EOS.
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
        mesh: jax.sharding.Mesh | None = None,
    ) -> None:
        batching.check_covers(model, vocabulary)
        self._vocabulary = vocabulary
        self._inputs_length = inputs_length
        self._emb_dim = model.config.emb_dim
        self._devices = batching.Devices(mesh, batch_size)

        def embed(params: PyTree, tokens: Int[Array, "batch length"]) -> Float[Array, "batch emb"]:
            return mean_state(model.encode(params, tokens))

        self._embed = self._devices.jit(embed, gather=True)

    def embed(
        self, params: PyTree, texts: Sequence[str], *, first: int = 0
    ) -> Float[np.ndarray, "texts emb"]:
        """One float32 vector for each text, in their order. With several processes, all must call this with the same texts.

        Args:
            params: of the model.
            texts: any number.
            first: number of the first text, where these are some of many, for messages.

        Raises:
            ValueError: a text has more than `inputs_length` tokens.
        """
        rows = batching.prompt_ids(self._vocabulary, texts, self._inputs_length, first=first)
        vectors = np.zeros((len(rows), self._emb_dim), np.float32)
        for positions, found in batching.one_ahead(self._started(params, rows)):
            vectors[positions] = np.asarray(found)[: len(positions)]
        return vectors

    def _started(
        self, params: PyTree, rows: Sequence[Sequence[int]]
    ) -> Iterator[tuple[list[int], Array]]:
        """Positions of the rows of each batch, and their vectors, which the device may still compute."""
        size = self._devices.batch_size
        for positions, tokens in batching.by_length(rows, size, self._inputs_length):
            yield positions, self._embed(params, self._devices.place(tokens))


def mean_state(encoded: t5.Encoded) -> Float[Array, "batch emb"]:
    """The mean of each row's states over its real tokens, float32; zeros for a row of padding."""
    is_real = (encoded.segments > 0).astype(jnp.float32)[..., None]
    total = jnp.sum(encoded.output.astype(jnp.float32) * is_real, axis=1)
    return total / jnp.maximum(jnp.sum(is_real, axis=1), 1.0)
