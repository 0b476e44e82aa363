"""The parts of a T5 layer that are not attention: projection, norm, embedding, MLP and dropout.

Where T5 departs from the textbook: no biases anywhere; the norm has no mean and no shift; the
embedding is not scaled; dropout masks are shared by all positions of a row. Parameters are float32,
results have the given dtype. Read `attention.py` next.
"""

from collections.abc import Callable, Sequence
from typing import cast

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

_EPSILON = 1e-6  # T5's; changing it changes released checkpoints

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": jax.nn.gelu,  # tanh approximation, as T5 1.1 was trained with
    "relu": jax.nn.relu,
    "linear": lambda x: x,
}

mlp_init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")


def make_param(
    module: nn.Module,
    name: str,
    init: nn.initializers.Initializer,
    shape: tuple[int, ...],
    axes: tuple[str, ...],
) -> Array:
    """The float32 parameter `name` of `module`, whose dimensions have the logical names `axes`."""
    boxed = module.param(name, nn.with_logical_partitioning(init, axes), shape, jnp.float32)
    return cast(Array, boxed)  # Linen has taken it out of its box, contrary to the annotation.


def constrain(x: Array, *logical_axes: str | None) -> Array:
    """The same array, sharded as the axis rules say; unchanged without rules or a mesh."""
    return nn.with_logical_constraint(x, logical_axes)


def dropout(
    x: Float[Array, "..."],
    rng: PRNGKeyArray | None,
    rate: float,
    shared_axes: Sequence[int] = (-2,),
) -> Float[Array, "..."]:
    """`x` with a fraction `rate` of its values zero and the others divided by `1 - rate`.

    Args:
        x: any array.
        rng: key of the mask; None: no dropout.
        rate: at least 0, less than 1.
        shared_axes: axes along which one mask is repeated. T5 repeats it along the length.
    """
    if rng is None or rate == 0:
        return x
    mask_shape = list(x.shape)
    for axis in shared_axes:
        mask_shape[axis] = 1
    keep = jax.random.bernoulli(rng, 1 - rate, mask_shape)
    # Scaling the small mask instead of `x` leaves one multiplication per value.
    return x * (keep.astype(x.dtype) / jnp.asarray(1 - rate, x.dtype))


def split_rng(rng: PRNGKeyArray | None, num: int) -> Sequence[PRNGKeyArray | None]:
    """`num` independent keys, or as many None when there is no key."""
    return [None] * num if rng is None else list(jax.random.split(rng, num))


class Dense(nn.Module):
    """A linear map of the last axis, without bias; the kernel is 2-D, also for attention heads."""

    features: int
    axes: tuple[str, str]
    dtype: str
    kernel_init: nn.initializers.Initializer = mlp_init

    @nn.compact
    def __call__(self, x: Float[Array, "... inputs"]) -> Float[Array, "... features"]:
        shape = (x.shape[-1], self.features)
        kernel = make_param(self, "kernel", self.kernel_init, shape, self.axes)
        # As one matrix: XLA's CPU backend takes twice as long for the gradient of the 3-D product.
        rows = x.astype(self.dtype).reshape(-1, x.shape[-1])
        return jnp.dot(rows, kernel.astype(self.dtype)).reshape(*x.shape[:-1], self.features)


class RmsNorm(nn.Module):
    """Values divided by their root mean square over the last axis, times a learned scale.

    Statistics are float32; the cast to `dtype` comes before the scale, as in t5x.
    Source: Zhang and Sennrich 2019 (https://arxiv.org/abs/1910.07467).
    """

    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "... emb"]) -> Float[Array, "... emb"]:
        scale = make_param(self, "scale", nn.initializers.ones, (x.shape[-1],), ("embed",))
        x = x.astype(jnp.float32)
        mean_square = jnp.mean(jnp.square(x), axis=-1, keepdims=True)
        normed = x * jax.lax.rsqrt(mean_square + _EPSILON)
        return normed.astype(self.dtype) * scale.astype(self.dtype)


class Embed(nn.Module):
    """The token embedding, shared by encoder and decoder, and by the logits of T5 1.0."""

    vocab_size: int
    emb_dim: int
    dtype: str

    def setup(self) -> None:
        shape = (self.vocab_size, self.emb_dim)
        init = nn.initializers.normal(1.0)
        self.embedding = make_param(self, "embedding", init, shape, ("vocab", "embed"))

    def __call__(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch length emb"]:
        """The row of each token; NaN for a token that is not less than `vocab_size`."""
        rows = jnp.take(self.embedding, tokens, axis=0, mode="fill")
        return constrain(rows.astype(self.dtype), "batch", "length", "embed")

    def attend(self, x: Float[Array, "batch length emb"]) -> Float[Array, "batch length vocab"]:
        """Float32 logits of T5 1.0: similarity to each row, divided by sqrt(emb_dim)."""
        return jnp.dot(x.astype(jnp.float32), self.embedding.T) / jnp.sqrt(float(self.emb_dim))


class Mlp(nn.Module):
    """The MLP of a layer: gated with two activations (T5 1.1), plain with one (T5 1.0).

    Source: Shazeer 2020 (https://arxiv.org/abs/2002.05202).
    """

    mlp_dim: int
    activations: tuple[str, ...]
    dropout_rate: float
    dtype: str

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch length emb"], dropout_rng: PRNGKeyArray | None
    ) -> Float[Array, "batch length emb"]:
        names = (
            ["wi"]
            if len(self.activations) == 1
            else [f"wi_{i}" for i in range(len(self.activations))]
        )
        branches = [
            _ACTIVATIONS[activation](
                Dense(self.mlp_dim, ("embed", "mlp"), self.dtype, name=name)(x)
            )
            for name, activation in zip(names, self.activations, strict=True)
        ]
        hidden = branches[0]
        for branch in branches[1:]:
            hidden *= branch
        hidden = dropout(hidden, dropout_rng, self.dropout_rate)
        hidden = constrain(hidden, "batch", "length", "mlp")
        return Dense(x.shape[-1], ("mlp", "embed"), self.dtype, name="wo")(hidden)
