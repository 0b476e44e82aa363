"""Attention of T5: masks, relative position biases, and the multi-head layer.

Where T5 departs from the textbook: scores are not divided by sqrt(head_dim), which the initial
query kernel makes up for; positions enter only as a learned bias per head and distance bucket, one
table for all layers of a tower. Scores, bias and softmax are float32. Read `towers.py` next.
"""

import functools
from typing import TypeAlias

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
import numpy as np

from flantune.configs import LoraConfig
from flantune.models import layers

# t5x's. A query that may attend to nothing attends to everything equally, so there is never a NaN.
_MASKED = -1e10

KeysAndValues: TypeAlias = tuple[
    Float[Array, "batch heads keys head_dim"], Float[Array, "batch heads keys head_dim"]
]

_kernel_init = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


def segment_mask(
    query_segments: Int[Array, "batch queries"], key_segments: Int[Array, "batch keys"]
) -> Bool[Array, "batch 1 queries keys"]:
    """True where query and key belong to the same example; segment 0 is padding, which to none."""
    same = query_segments[:, :, None] == key_segments[:, None, :]
    return (same & (query_segments > 0)[:, :, None])[:, None]


def causal_mask(length: int) -> Bool[Array, "1 1 length length"]:
    """True where the key is not after the query."""
    positions = jnp.arange(length)
    return (positions[:, None] >= positions[None, :])[None, None]


def distance_buckets(num_buckets: int, max_distance: int) -> Int[np.ndarray, "distances"]:
    """The bucket of each distance 0, 1, ..., `max_distance` in one direction.

    Half of the buckets hold one distance each; the others grow logarithmically up to
    `max_distance`, and the last holds all beyond. Computed on the host in float64: at the edges
    (16, 32, 64) float32 logarithms differ between devices.
    Source: T5 paper, section 2.1 (https://arxiv.org/abs/1910.10683).
    """
    exact = num_buckets // 2
    distances = np.arange(max_distance + 1)
    growth = np.log(np.maximum(distances, 1) / exact) / np.log(max_distance / exact)
    logarithmic = exact + np.floor(growth * (num_buckets - exact) + 1e-9).astype(np.int32)
    buckets = np.where(distances < exact, distances, np.minimum(logarithmic, num_buckets - 1))
    return buckets.astype(np.int32)


@jax.custom_vjp
def _add_bias(
    scores: Float[Array, "batch heads queries keys"],
    bias: Float[Array, "copies heads queries keys"],
) -> Float[Array, "batch heads queries keys"]:
    """`scores` and, for each run of batch / copies rows, its own copy of `bias`.

    The gradient of `bias` sums over the rows with a product. That is exact float32 as the plain sum is, which XLA's CPU
    backend runs 50 times slower.
    """
    return _add_bias_forward(scores, bias)[0]


def _add_bias_forward(scores: Array, bias: Array) -> tuple[Array, int]:
    copies, *shape = bias.shape
    if copies == 1:
        return scores + bias, copies
    return (scores.reshape(copies, -1, *shape) + bias[:, None]).reshape(scores.shape), copies


def _add_bias_backward(copies: int, grad: Array) -> tuple[Array, Array]:
    batch, *shape = grad.shape
    ones = jnp.ones((1, batch // copies), grad.dtype)
    multiply = functools.partial(jnp.dot, ones, precision=jax.lax.Precision.HIGHEST)
    total = jax.vmap(multiply)(grad.reshape(copies, batch // copies, -1))
    return grad, total.reshape(copies, *shape)


_add_bias.defvjp(_add_bias_forward, _add_bias_backward)


class RelativePositionBias(nn.Module):
    """A learned bias for each head and bucket of distance, for the scores of all layers of a tower.

    With `bidirectional`, half of the buckets are for keys after the query; else those share
    bucket 0.
    """

    num_buckets: int
    max_distance: int
    num_heads: int
    bidirectional: bool

    def setup(self) -> None:
        init = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform")
        self.rel_embedding = layers.make_param(
            self,
            "rel_embedding",
            init,
            (self.num_heads, self.num_buckets),
            ("heads", "relpos_buckets"),
        )

    def _of_offsets(self, offsets: Int[Array, "offsets"]) -> Float[Array, "heads offsets"]:
        """Bias of each offset, key position minus query position."""
        num_buckets = self.num_buckets // 2 if self.bidirectional else self.num_buckets
        table = jnp.asarray(distance_buckets(num_buckets, self.max_distance))
        distances = jnp.abs(offsets) if self.bidirectional else jnp.maximum(-offsets, 0)
        buckets = table[jnp.minimum(distances, self.max_distance)]
        if self.bidirectional:
            buckets += jnp.where(offsets > 0, num_buckets, 0)
        return jnp.take(self.rel_embedding, buckets, axis=1)

    def __call__(
        self, num_queries: int, num_keys: int, copies: int = 1
    ) -> Float[Array, "copies heads queries keys"]:
        """Bias of queries 0, 1, ... and keys 0, 1, ..., written `copies` times.

        With a copy for each device that has rows of its own (`layers.batch_shards`), devices add up the gradients of
        `n` offsets, once; with one for all of them, those of a matrix, in every layer.

        Only the `n = num_queries + num_keys` offsets are looked up. Entry (i, j) of the result is
        entry (j - i) mod n of that vector: the vector written again and again, read in rows of
        n - 1. So neither this nor its gradient gathers a matrix.
        """
        n = num_queries + num_keys
        offsets = np.arange(n)
        vector = self._of_offsets(jnp.asarray(np.where(offsets < num_keys, offsets, offsets - n)))
        vectors = jnp.broadcast_to(vector, (copies, *vector.shape))
        if copies > 1:
            vectors = layers.constrain(vectors, "batch", "heads", "length")
        repeated = jnp.tile(vectors, (1, 1, num_queries))[..., : num_queries * (n - 1)]
        return repeated.reshape(copies, self.num_heads, num_queries, n - 1)[..., :num_keys]

    def of_query(self, position: Int[Array, ""], num_keys: int) -> Float[Array, "1 heads 1 keys"]:
        """Bias of the query at `position` and keys 0, 1, ..."""
        return self._of_offsets(jnp.arange(num_keys) - position)[None, :, None, :]


class Attention(nn.Module):
    """Multi-head attention. Queries, keys and values are [batch, heads, length, head_dim]."""

    num_heads: int
    head_dim: int
    emb_dim: int
    dropout_rate: float
    dtype: str
    lora: LoraConfig | None = None

    def setup(self) -> None:
        # Standard deviation 1 / sqrt(emb_dim * head_dim): in place of dividing the scores.
        query_init = nn.initializers.variance_scaling(1 / self.head_dim, "fan_in", "normal")
        joined, inward = self.num_heads * self.head_dim, ("embed", "joined_kv")
        dense = functools.partial(layers.Dense, dtype=self.dtype, lora=self.lora)
        self.query = dense(joined, inward, kernel_init=query_init)
        self.key = dense(joined, inward, kernel_init=_kernel_init)
        self.value = dense(joined, inward, kernel_init=_kernel_init)
        self.out = dense(self.emb_dim, ("joined_kv", "embed"), kernel_init=_kernel_init)

    def _split_heads(
        self, x: Float[Array, "batch length joined_kv"]
    ) -> Float[Array, "batch heads length head_dim"]:
        batch, length, _ = x.shape
        heads = x.reshape(batch, length, self.num_heads, self.head_dim).transpose(0, 2, 1, 3)
        return layers.constrain(heads, "batch", "heads", "length", "kv")

    def keys_and_values(
        self, x: Float[Array, "batch keys emb"], dropout_rng: PRNGKeyArray | None = None
    ) -> KeysAndValues:
        """What `attend` needs of the positions attended to."""
        keys, values = self.key(x, dropout_rng), self.value(x, dropout_rng)
        return self._split_heads(keys), self._split_heads(values)

    def attend(
        self,
        x: Float[Array, "batch queries emb"],
        keys: Float[Array, "batch heads keys head_dim"],
        values: Float[Array, "batch heads keys head_dim"],
        mask: Bool[Array, "#batch 1 #queries keys"],
        bias: Float[Array, "copies heads queries keys"] | None = None,
        dropout_rng: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch queries emb"]:
        """For each query the softmax-weighted mean of the values that `mask` allows, projected."""
        queries = self._split_heads(self.query(x, dropout_rng))
        scores = jnp.einsum("bhqd,bhkd->bhqk", queries, keys, preferred_element_type=jnp.float32)
        if bias is not None:
            scores = _add_bias(scores, bias)
        weights = jax.nn.softmax(jnp.where(mask, scores, _MASKED)).astype(self.dtype)
        weights = layers.dropout(weights, dropout_rng, self.dropout_rate)
        attended = jnp.einsum("bhqk,bhkd->bhqd", weights, values)
        batch, _, num_queries, _ = attended.shape
        joined = attended.transpose(0, 2, 1, 3).reshape(batch, num_queries, -1)
        return self.out(joined, dropout_rng)

    def __call__(
        self,
        x: Float[Array, "batch queries emb"],
        attended: Float[Array, "batch keys emb"],
        mask: Bool[Array, "#batch 1 #queries keys"],
        bias: Float[Array, "copies heads queries keys"] | None = None,
        dropout_rng: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch queries emb"]:
        """Attention of `x` to `attended`: itself, or the encoder's output."""
        keys, values = self.keys_and_values(attended, dropout_rng)
        return self.attend(x, keys, values, mask, bias, dropout_rng)
