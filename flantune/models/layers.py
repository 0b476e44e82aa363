"""The parts of a T5 layer that are not attention: projection, norm, embedding, MLP and dropout.

Where T5 departs from the textbook: no biases anywhere; the norm has no mean and no shift; the
embedding is not scaled; dropout masks are shared by all positions of a row. Parameters are float32,
results have the given dtype. Read `attention.py` next.
"""

from collections.abc import Callable, Sequence
import functools
import math
from typing import cast
import zlib

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from flantune.configs import LoraConfig
from flantune.params import trees as param_trees

_EPSILON = 1e-6  # T5's; changing it changes released checkpoints

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": jax.nn.gelu,  # tanh approximation, as T5 1.1 was trained with
    "relu": jax.nn.relu,
    "linear": lambda x: x,
}

mlp_init = nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
# PEFT's kaiming_uniform(a=sqrt(5)): uniform between -1 / sqrt(inputs) and 1 / sqrt(inputs).
_lora_a_init = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")


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


def batch_shards(rows: int) -> int:
    """Devices, or groups of them, that the axis rules give rows of their own; 1 without rules or a mesh."""
    spec, sizes = nn.logical_to_mesh_axes(("batch",)), jax.sharding.get_abstract_mesh().shape
    axes = (spec[0] if spec else None) or ()
    shards = math.prod(sizes.get(axis, 1) for axis in ((axes,) if isinstance(axes, str) else axes))
    return shards if rows % shards == 0 else 1


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
    """A linear map of the last axis, without bias; the kernel is 2-D, also for attention heads.

    With `lora`, a low-rank map is added to it if a target of the config matches this module's path.
    Its parameters `lora_a` [inputs, rank] and `lora_b` [rank, features] lie beside `kernel`.
    """

    features: int
    axes: tuple[str, str]
    dtype: str
    kernel_init: nn.initializers.Initializer = mlp_init
    lora: LoraConfig | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "... inputs"], dropout_rng: PRNGKeyArray | None = None
    ) -> Float[Array, "... features"]:
        """The projection of `x`; the key is for the adapter's dropout alone."""
        shape = (x.shape[-1], self.features)
        kernel = make_param(self, "kernel", self.kernel_init, shape, self.axes)
        x = x.astype(self.dtype)
        # As one matrix: XLA's CPU backend takes twice as long for the gradient of the 3-D product.
        y = jnp.dot(x.reshape(-1, x.shape[-1]), kernel.astype(self.dtype))
        if self.lora is not None and adapts(self.lora, "/".join(self.path)):
            y += self._low_rank(self.lora, x, dropout_rng)
        return y.reshape(*x.shape[:-1], self.features)

    def _low_rank(
        self, lora: LoraConfig, x: Float[Array, "... inputs"], dropout_rng: PRNGKeyArray | None
    ) -> Float[Array, "rows features"]:
        (inward, outward), inputs = self.axes, x.shape[-1]
        shape_a, shape_b = (inputs, lora.rank), (lora.rank, self.features)
        lora_a = make_param(self, "lora_a", _lora_a_init, shape_a, (inward, "lora_rank"))
        lora_b = make_param(self, "lora_b", nn.initializers.zeros, shape_b, ("lora_rank", outward))
        if dropout_rng is not None:
            # The projections of a layer get the same key, which is that of its other masks too.
            dropout_rng = jax.random.fold_in(dropout_rng, zlib.crc32(str(self.name).encode()))
        x = dropout(x, dropout_rng, lora.dropout_rate, shared_axes=())
        low = jnp.dot(x.reshape(-1, inputs), lora_a.astype(self.dtype))
        return jnp.dot(low, lora_b.astype(self.dtype)) * (lora.alpha / lora.rank)


def adapts(lora: LoraConfig, projection: str) -> bool:
    """Whether the projection with this path, such as `encoder/layers_0/mlp/wo`, has an adapter."""
    # Never for one layer alone: layers that are scanned over have the same parameters.
    path = param_trees.of_all_layers(projection)
    return any(param_trees.matches(path, target) for target in lora.targets)


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
    lora: LoraConfig | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch length emb"], dropout_rng: PRNGKeyArray | None
    ) -> Float[Array, "batch length emb"]:
        names = (
            ["wi"]
            if len(self.activations) == 1
            else [f"wi_{i}" for i in range(len(self.activations))]
        )
        inward = functools.partial(Dense, self.mlp_dim, ("embed", "mlp"), self.dtype)
        branches = [
            _ACTIVATIONS[activation](inward(lora=self.lora, name=name)(x, dropout_rng))
            for name, activation in zip(names, self.activations, strict=True)
        ]
        hidden = branches[0]
        for branch in branches[1:]:
            hidden *= branch
        hidden = dropout(hidden, dropout_rng, self.dropout_rate)
        hidden = constrain(hidden, "batch", "length", "mlp")
        outward = Dense(x.shape[-1], ("mlp", "embed"), self.dtype, lora=self.lora, name="wo")
        return outward(hidden, dropout_rng)
