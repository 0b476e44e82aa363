"""Encoder and decoder of T5: pre-norm layers, run one by one or scanned over a stack.

Every method of a layer has the form `(x, shared, own) -> (x, result)`, where `shared` is the same
for all layers and `own` and `result` belong to one. So the same code runs separate layers
(`layers_0`, `layers_1`, ... in the parameters) and one stack (`layers`, leading axis), looped over or unrolled: only
`_make_layers` and `_run_layers` know which. Masks are made once per tower, and so are position
biases, unless each layer has a table of its own (umT5).
Embedding and logits are in `t5.py`: read that next.
"""

from collections.abc import Sequence
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Shaped

from flantune.configs import ModelConfig
from flantune.models import attention, layers

_REMAT_POLICIES = {
    "full": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


class EncoderShared(NamedTuple):
    """What all encoder layers share: [batch, 1, length, length] and [copies, heads, length, length].

    `bias` is None, here and below, where each layer has its own.
    """

    mask: Array
    bias: Array | None


class DecoderShared(NamedTuple):
    """What all decoder layers share in training: the encoder's output, masks, and position bias."""

    encoded: Array
    self_mask: Array
    cross_mask: Array
    bias: Array | None


class StepShared(NamedTuple):
    """What all decoder layers share when they decode one token, at `position`."""

    position: Array
    self_mask: Array
    cross_mask: Array
    bias: Array | None


def _make_attention(config: ModelConfig) -> attention.Attention:
    return attention.Attention(
        num_heads=config.num_heads,
        head_dim=config.head_dim,
        emb_dim=config.emb_dim,
        dropout_rate=config.dropout_rate,
        dtype=config.dtype,
        lora=config.lora,
    )


def _make_mlp(config: ModelConfig) -> layers.Mlp:
    return layers.Mlp(
        config.mlp_dim, config.mlp_activations, config.dropout_rate, config.dtype, config.lora
    )


def _make_position_bias(
    config: ModelConfig, *, bidirectional: bool
) -> attention.RelativePositionBias:
    return attention.RelativePositionBias(
        num_buckets=config.relative_attention_num_buckets,
        max_distance=config.relative_attention_max_distance,
        num_heads=config.num_heads,
        bidirectional=bidirectional,
    )


def _layer_bias(
    layer: "EncoderLayer | DecoderLayer", x: Float[Array, "batch length emb"], shared: Array | None
) -> Float[Array, "copies heads length length"]:
    """The position bias of whole rows in a layer: the tower's, or its own."""
    return _bias_of_rows(layer.relpos_bias, x) if shared is None else shared


def _tower_bias(
    tower: "Encoder | Decoder", x: Float[Array, "batch length emb"]
) -> Float[Array, "copies heads length length"] | None:
    """The position bias of whole rows for all layers of a tower; None where each has its own."""
    per_layer = tower.config.relative_attention_per_layer
    return None if per_layer else _bias_of_rows(tower.relpos_bias, x)


def _bias_of_rows(
    bias: attention.RelativePositionBias, x: Float[Array, "batch length emb"]
) -> Float[Array, "copies heads length length"]:
    rows, length, _ = x.shape
    return bias(length, length, layers.batch_shards(rows))


def _whole(x: Float[Array, "batch length emb"]) -> Float[Array, "batch length emb"]:
    """What projections take: every device has whole rows, also where a rule splits "sequence"."""
    return layers.constrain(x, "batch", "length", "embed")


def _between(x: Float[Array, "batch length emb"]) -> Float[Array, "batch length emb"]:
    """What is added, normed and kept between layers: split along "sequence" where a rule says so."""
    return layers.constrain(x, "batch", "sequence", "embed")


def _projected(y: Float[Array, "batch length emb"]) -> Float[Array, "batch length emb"]:
    """What projections give, split as what it is added to.

    Whole first, so that its gradient is too before the projection's backward pass: that has the rows of a batch as one
    matrix, whose split along the sequence the partitioner only knows how to undo over the whole batch.
    """
    return _between(_whole(y))


class EncoderLayer(nn.Module):
    """Self-attention and MLP, each as `x + dropout(f(norm(x)))`."""

    config: ModelConfig

    def setup(self) -> None:
        if self.config.relative_attention_per_layer:
            self.relpos_bias = _make_position_bias(self.config, bidirectional=True)
        self.pre_attention_layer_norm = layers.RmsNorm(self.config.dtype)
        self.attention = _make_attention(self.config)
        self.pre_mlp_layer_norm = layers.RmsNorm(self.config.dtype)
        self.mlp = _make_mlp(self.config)

    def __call__(
        self, x: Float[Array, "batch length emb"], shared: EncoderShared, own: PRNGKeyArray | None
    ) -> tuple[Float[Array, "batch length emb"], None]:
        """The layer's output; `own` is its dropout key."""
        rate, rngs = self.config.dropout_rate, layers.split_rng(own, 4)
        y = _whole(self.pre_attention_layer_norm(x))
        bias = _layer_bias(self, x, shared.bias)
        y = _projected(self.attention(y, y, shared.mask, bias, rngs[0]))
        x += layers.dropout(y, rngs[1], rate)
        y = _projected(self.mlp(_whole(self.pre_mlp_layer_norm(x)), rngs[2]))
        x += layers.dropout(y, rngs[3], rate)
        return _between(x), None


class DecoderLayer(nn.Module):
    """Self-attention, attention to the encoder and MLP, each as `x + dropout(f(norm(x)))`."""

    config: ModelConfig

    def setup(self) -> None:
        if self.config.relative_attention_per_layer:
            self.relpos_bias = _make_position_bias(self.config, bidirectional=False)
        self.pre_self_attention_layer_norm = layers.RmsNorm(self.config.dtype)
        self.self_attention = _make_attention(self.config)
        self.pre_cross_attention_layer_norm = layers.RmsNorm(self.config.dtype)
        self.encoder_decoder_attention = _make_attention(self.config)
        self.pre_mlp_layer_norm = layers.RmsNorm(self.config.dtype)
        self.mlp = _make_mlp(self.config)

    def __call__(
        self, x: Float[Array, "batch length emb"], shared: DecoderShared, own: PRNGKeyArray | None
    ) -> tuple[Float[Array, "batch length emb"], None]:
        """The layer's output for whole rows; `own` is its dropout key."""
        rate, rngs = self.config.dropout_rate, layers.split_rng(own, 6)
        y = _whole(self.pre_self_attention_layer_norm(x))
        bias = _layer_bias(self, x, shared.bias)
        y = _projected(self.self_attention(y, y, shared.self_mask, bias, rngs[0]))
        x += layers.dropout(y, rngs[1], rate)
        y = _whole(self.pre_cross_attention_layer_norm(x))
        y = self.encoder_decoder_attention(
            y, shared.encoded, shared.cross_mask, dropout_rng=rngs[2]
        )
        x += layers.dropout(_projected(y), rngs[3], rate)
        y = _projected(self.mlp(_whole(self.pre_mlp_layer_norm(x)), rngs[4]))
        x += layers.dropout(y, rngs[5], rate)
        return _between(x), None

    def encoder_keys_and_values(
        self, encoded: Float[Array, "batch length emb"], shared: None, own: None
    ) -> tuple[Float[Array, "batch length emb"], attention.KeysAndValues]:
        """The encoder's output unchanged, and what this layer attends to of it."""
        return encoded, self.encoder_decoder_attention.keys_and_values(encoded)

    def step(
        self,
        x: Float[Array, "rows 1 emb"],
        shared: StepShared,
        own: tuple[tuple[Array, Array], tuple[Array, Array]],
    ) -> tuple[Float[Array, "rows 1 emb"], attention.KeysAndValues]:
        """The layer's output for one token, and its self-attention cache with that token.

        `own` holds the self-attention's and the cross-attention's keys and values. The latter may
        have fewer rows: each then serves as many neighbouring rows of `x`, the beams of one input.
        """
        (past_keys, past_values), (cross_keys, cross_values) = own
        y = self.pre_self_attention_layer_norm(x)
        key, value = self.self_attention.keys_and_values(y)
        keys = jax.lax.dynamic_update_slice_in_dim(past_keys, key, shared.position, axis=2)
        values = jax.lax.dynamic_update_slice_in_dim(past_values, value, shared.position, axis=2)
        bias = shared.bias
        if bias is None:
            bias = self.relpos_bias.of_query(shared.position, keys.shape[2])
        x += self.self_attention.attend(y, keys, values, shared.self_mask, bias)
        y = self.pre_cross_attention_layer_norm(x)
        # Beams as further queries of their input: nothing of the encoder is repeated in memory.
        y = y.reshape(cross_keys.shape[0], -1, y.shape[-1])
        y = self.encoder_decoder_attention.attend(y, cross_keys, cross_values, shared.cross_mask)
        x += y.reshape(x.shape)
        x += self.mlp(self.pre_mlp_layer_norm(x), None)
        return x, (keys, values)


def _is_unrolled(config: ModelConfig) -> bool:
    """Whether the program has code for every layer: its layers are separate, or a stack that is not looped over."""
    if not config.scan_layers:
        return True
    loop = config.layer_loop
    return jax.default_backend() == "cpu" if loop == "auto" else loop == "unroll"


def _make_layers(
    layer: type[nn.Module], config: ModelConfig, num_layers: int, methods: Sequence[str]
) -> nn.Module | list[nn.Module]:
    """Separate layers, or one stack of them that is looped over or unrolled: an axis "layers" before each parameter's."""
    if config.remat != "none":
        layer = nn.remat(
            layer,
            policy=_REMAT_POLICIES[config.remat],
            prevent_cse=_is_unrolled(config),  # a loop keeps passes apart by itself
            methods=["__call__"],
        )
    if not config.scan_layers:
        return [layer(config) for _ in range(num_layers)]
    scanned = nn.scan(
        layer,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=(nn.broadcast, 0),
        length=num_layers,
        unroll=num_layers if _is_unrolled(config) else 1,
        metadata_params={nn.PARTITION_NAME: "layers"},
        methods=list(methods),
    )
    return scanned(config)


def _run_layers(
    stack: nn.Module | Sequence[nn.Module],
    method: str,
    x: Float[Array, "batch length emb"],
    shared: PyTree,
    own: PyTree,
) -> tuple[Float[Array, "batch length emb"], PyTree]:
    """Output of the last layer, and the results of all: stacked or in a tuple, as `own` is."""
    if isinstance(stack, nn.Module):
        return getattr(stack, method)(x, shared, own)
    results = []
    for i, layer in enumerate(stack):
        x, result = getattr(layer, method)(x, shared, None if own is None else own[i])
        results.append(result)
    return x, tuple(results)


def _layer_rngs(rng: PRNGKeyArray | None, num_layers: int) -> Shaped[Array, "layers ..."] | None:
    return None if rng is None else jax.random.split(rng, num_layers)


class Encoder(nn.Module):
    """Layers that attend within each input, and a norm."""

    config: ModelConfig

    def setup(self) -> None:
        config = self.config
        if not config.relative_attention_per_layer:
            self.relpos_bias = _make_position_bias(config, bidirectional=True)
        self.layers = _make_layers(EncoderLayer, config, config.num_encoder_layers, ["__call__"])
        self.encoder_norm = layers.RmsNorm(config.dtype)

    def __call__(
        self,
        x: Float[Array, "batch length emb"],
        segments: Int[Array, "batch length"],
        dropout_rng: PRNGKeyArray | None,
    ) -> Float[Array, "batch length emb"]:
        """Encoded inputs, from embedded ones; `segments` is 0 on padding."""
        config, rngs = self.config, layers.split_rng(dropout_rng, 3)
        shared = EncoderShared(attention.segment_mask(segments, segments), _tower_bias(self, x))
        x = layers.dropout(x, rngs[0], config.dropout_rate)
        own = _layer_rngs(rngs[1], config.num_encoder_layers)
        x, _ = _run_layers(self.layers, "__call__", x, shared, own)
        # t5x shares this mask along no axis, unlike all others.
        x = _whole(self.encoder_norm(x))
        return layers.dropout(x, rngs[2], config.dropout_rate, shared_axes=())


class Decoder(nn.Module):
    """Layers that attend to earlier targets and to the inputs, a norm, and logits (T5 1.1)."""

    config: ModelConfig

    def setup(self) -> None:
        config = self.config
        if not config.relative_attention_per_layer:
            self.relpos_bias = _make_position_bias(config, bidirectional=False)
        self.layers = _make_layers(
            DecoderLayer,
            config,
            config.num_decoder_layers,
            ["__call__", "encoder_keys_and_values", "step"],
        )
        self.decoder_norm = layers.RmsNorm(config.dtype)
        if not config.logits_via_embedding:
            self.logits_dense = layers.Dense(config.vocab_size, ("embed", "vocab"), "float32")

    def __call__(
        self,
        x: Float[Array, "batch length emb"],
        encoded: Float[Array, "batch inputs emb"],
        segments: Int[Array, "batch length"],
        encoder_segments: Int[Array, "batch inputs"],
        dropout_rng: PRNGKeyArray | None,
        *,
        cross_segments: Int[Array, "batch length"] | None = None,
    ) -> Float[Array, "batch length emb"]:
        """What the logits are made of, from embedded decoder inputs; segments are 0 on padding.

        `cross_segments` stand in for `segments` towards the encoder, where several segments share inputs.
        """
        config, rngs = self.config, layers.split_rng(dropout_rng, 3)
        length = x.shape[1]
        shared = DecoderShared(
            encoded,
            attention.segment_mask(segments, segments) & attention.causal_mask(length),
            attention.segment_mask(
                segments if cross_segments is None else cross_segments, encoder_segments
            ),
            _tower_bias(self, x),
        )
        x = layers.dropout(x, rngs[0], config.dropout_rate)
        own = _layer_rngs(rngs[1], config.num_decoder_layers)
        x, _ = _run_layers(self.layers, "__call__", x, shared, own)
        return layers.dropout(_whole(self.decoder_norm(x)), rngs[2], config.dropout_rate)

    def encoder_keys_and_values(self, encoded: Float[Array, "batch inputs emb"]) -> PyTree:
        """Cross-attention keys and values of all layers: a tuple of pairs, or a pair of stacks."""
        _, pairs = _run_layers(self.layers, "encoder_keys_and_values", encoded, None, None)
        return pairs

    def step(
        self,
        x: Float[Array, "rows 1 emb"],
        position: Int[Array, ""],
        self_cache: PyTree,
        cross_cache: PyTree,
        encoder_mask: Bool[Array, "batch 1 1 inputs"],
    ) -> tuple[Float[Array, "rows 1 emb"], PyTree]:
        """What the logits after one token are made of, and the cache with that token."""
        max_decode_length = jax.tree.leaves(self_cache)[0].shape[-2]
        bias = None
        if not self.config.relative_attention_per_layer:
            bias = self.relpos_bias.of_query(position, max_decode_length)
        shared = StepShared(
            position,
            (jnp.arange(max_decode_length) <= position)[None, None, None],
            encoder_mask,
            bias,
        )
        own: PyTree = (self_cache, cross_cache)
        if not self.config.scan_layers:
            own = tuple(zip(self_cache, cross_cache, strict=True))
        x, self_cache = _run_layers(self.layers, "step", x, shared, own)
        return self.decoder_norm(x), self_cache
