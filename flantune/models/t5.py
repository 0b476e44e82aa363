"""The T5 encoder-decoder behind `init`, `apply`, `encode`, `decode`, `init_cache` and `decode_step`.

Equal to t5x's T5 1.1 (gated gelu, own logits kernel) and T5 1.0 (relu, `logits_via_embedding`) in
parameter names and numbers, except that softmax and position biases stay float32 under bfloat16
activations. mT5 and ByT5 are T5 1.1 of other dimensions; umT5 has a position bias in each layer. Parameters are plain nested dicts of float32 arrays; nothing outside this package sees
a Linen module. Loss is in `training/loss.py`, generation in `inference/decoding.py`.
"""

from collections.abc import Mapping
import dataclasses
import functools
from typing import NamedTuple, TypeAlias

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree
import numpy as np

from flantune.configs import ModelConfig
from flantune.models import layers, stacking, towers
from flantune.params import trees as param_trees

Batch: TypeAlias = Mapping[str, Array | np.ndarray]


class DecodeCache(NamedTuple):
    """What decoding the next token needs; a pytree whose shapes never change.

    Attributes:
        position: of the next token; a scalar.
        self_attention: keys and values [rows, heads, max_decode_length, head_dim] of each decoder
            layer: a tuple of pairs, or with `scan_layers` one pair with a leading layer axis. There
            are batch * beams rows.
        cross_attention: the same of the inputs, [batch, heads, inputs, head_dim]; constant.
        encoder_mask: True on real inputs, [batch, 1, 1, inputs]; constant.
    """

    position: Int[Array, ""]
    self_attention: PyTree
    cross_attention: PyTree
    encoder_mask: Bool[Array, "batch 1 1 inputs"]


class Encoded(NamedTuple):
    """Inputs after the encoder: what any number of targets can be decoded against.

    Attributes:
        output: of the encoder, [batch, inputs, emb].
        segments: 1 on real inputs, 0 on padding, [batch, inputs].
    """

    output: Float[Array, "batch inputs emb"]
    segments: Int[Array, "batch inputs"]


def _segments(batch: Batch, side: str, tokens: str) -> Int[Array, "batch length"]:
    """Segment ids, 0 on padding; without ids in `batch` each row is one segment."""
    real = jnp.asarray(batch[tokens]) > 0
    ids = batch.get(f"{side}_segment_ids")
    return real.astype(jnp.int32) if ids is None else jnp.where(real, ids, 0)


class _Transformer(nn.Module):
    """Embedding, encoder, decoder and logits."""

    config: ModelConfig

    def setup(self) -> None:
        config = self.config
        self.token_embedder = layers.Embed(config.vocab_size, config.emb_dim, config.dtype)
        self.encoder = towers.Encoder(config)
        self.decoder = towers.Decoder(config)

    def _logits(self, x: Float[Array, "batch length emb"]) -> Float[Array, "batch length vocab"]:
        tied = self.config.logits_via_embedding
        logits = self.token_embedder.attend(x) if tied else self.decoder.logits_dense(x)
        return layers.constrain(logits, "batch", "length", "vocab")

    def __call__(
        self, batch: Batch, dropout_rng: PRNGKeyArray | None
    ) -> Float[Array, "batch length vocab"]:
        return self._logits(self.hidden(batch, dropout_rng))

    def hidden(
        self, batch: Batch, dropout_rng: PRNGKeyArray | None
    ) -> Float[Array, "batch length emb"]:
        encoder_rng, decoder_rng = layers.split_rng(dropout_rng, 2)
        encoder_segments = _segments(batch, "encoder", "encoder_input_tokens")
        embedded = self.token_embedder(jnp.asarray(batch["encoder_input_tokens"]))
        encoded = self.encoder(embedded, encoder_segments, encoder_rng)
        decoder_segments = _segments(batch, "decoder", "decoder_target_tokens")
        embedded = self.token_embedder(jnp.asarray(batch["decoder_input_tokens"]))
        return self.decoder(embedded, encoded, decoder_segments, encoder_segments, decoder_rng)

    def encode(self, tokens: Int[Array, "batch inputs"]) -> Encoded:
        segments = (tokens > 0).astype(jnp.int32)
        return Encoded(self.encoder(self.token_embedder(tokens), segments, None), segments)

    def decode(
        self,
        encoded: Encoded,
        tokens: Int[Array, "batch length"],
        segments: Int[Array, "batch length"],
    ) -> Float[Array, "batch length vocab"]:
        x = self.decoder(
            self.token_embedder(tokens),
            encoded.output,
            segments,
            encoded.segments,
            None,
            cross_segments=(segments > 0).astype(jnp.int32),
        )
        return self._logits(x)

    def init_cache(
        self, tokens: Int[Array, "batch inputs"], max_decode_length: int, num_beams: int
    ) -> DecodeCache:
        config = self.config
        encoded = self.encode(tokens)
        num_rows = tokens.shape[0] * num_beams
        shape = (num_rows, config.num_heads, max_decode_length, config.head_dim)

        def empty(*stack: int) -> tuple[Array, Array]:
            zeros = functools.partial(jnp.zeros, (*stack, *shape), config.dtype)
            return zeros(), zeros()

        num_layers = config.num_decoder_layers
        separate = not config.scan_layers
        return DecodeCache(
            position=jnp.zeros((), jnp.int32),
            self_attention=(
                tuple(empty() for _ in range(num_layers)) if separate else empty(num_layers)
            ),
            cross_attention=self.decoder.encoder_keys_and_values(encoded.output),
            encoder_mask=(encoded.segments > 0)[:, None, None, :],
        )

    def decode_step(
        self, cache: DecodeCache, token: Int[Array, "rows"]
    ) -> tuple[Float[Array, "rows vocab"], DecodeCache]:
        x, self_attention = self.decoder.step(
            self.token_embedder(token[:, None]),
            cache.position,
            cache.self_attention,
            cache.cross_attention,
            cache.encoder_mask,
        )
        cache = cache._replace(position=cache.position + 1, self_attention=self_attention)
        return self._logits(x)[:, 0], cache


def _boxed_init(config: ModelConfig, rng: PRNGKeyArray) -> PyTree:
    """Parameters in boxes that hold their logical axes."""
    config = dataclasses.replace(config, layer_loop="scan")  # one trace for all layers
    token = jnp.ones((1, 1), jnp.int32)
    names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
    return _Transformer(config).init(rng, dict.fromkeys(names, token), None)["params"]


@functools.lru_cache(
    maxsize=16
)  # asked for several times of a run, and each takes a trace of the model
def _logical_axes(config: ModelConfig) -> PyTree:
    shapes = jax.eval_shape(functools.partial(_boxed_init, config), jax.random.key(0))
    return jax.tree.map(
        lambda box: tuple(box.names),
        shapes,
        is_leaf=lambda node: isinstance(node, nn.LogicallyPartitioned),
    )


def _is_axes(node: object) -> bool:
    return isinstance(node, tuple)


@functools.partial(jax.jit, static_argnums=0)
def _init(config: ModelConfig, rng: PRNGKeyArray) -> PyTree:
    # Always drawn as stacks: one trace per tower, and `scan_layers` does not change the values.
    scan_layers = config.scan_layers
    config = dataclasses.replace(config, scan_layers=True, remat="none")
    # Apart, since Linen's draws depend on how many parameters a module has.
    base = nn.unbox(_boxed_init(dataclasses.replace(config, lora=None), rng))
    params = base
    if config.lora is not None:
        params = param_trees.joined(nn.unbox(_boxed_init(config, rng)), base)
    return params if scan_layers else stacking.unstack_layers(params)


@dataclasses.dataclass(frozen=True)
class EncoderDecoder:
    """A T5 model without its parameters; all methods are pure and can be jitted."""

    config: ModelConfig

    def init(self, rng: PRNGKeyArray) -> PyTree:
        """Fresh parameters: nested dicts of float32 arrays.

        The values do not depend on `scan_layers`, only their arrangement does. With `lora` they are those
        of the model without, and the adapters'.
        """
        return _init(self.config, rng)

    def logical_axes(self) -> PyTree:
        """A tuple of logical axis names for each parameter, in dicts like the parameters."""
        return jax.tree.map(lambda axes: axes, _logical_axes(self.config), is_leaf=_is_axes)

    def apply(
        self, params: PyTree, batch: Batch, *, dropout_rng: PRNGKeyArray | None = None
    ) -> Float[Array, "batch length vocab"]:
        """Float32 logits of every target, given the earlier ones.

        Args:
            params: as `init` makes them.
            batch: `encoder_input_tokens`, `decoder_input_tokens`, `decoder_target_tokens` and, for
                packed rows, `encoder_segment_ids` and `decoder_segment_ids`; other keys are
                ignored. Token 0 is padding.
            dropout_rng: key for dropout; None: no dropout.
        """
        return self._run(params, "__call__", batch, dropout_rng)

    def hidden(
        self, params: PyTree, batch: Batch, *, dropout_rng: PRNGKeyArray | None = None
    ) -> Float[Array, "batch length emb"]:
        """What the logits of `apply` are made of: `hidden(...)` times `output_kernel(params)`."""
        return self._run(params, "hidden", batch, dropout_rng)

    def output_kernel(self, params: PyTree) -> Float[Array, "emb vocab"]:
        """The float32 matrix that makes logits; T5 1.0 takes it from the embedding."""
        if self.config.logits_via_embedding:
            scale = jnp.sqrt(float(self.config.emb_dim))
            return params["token_embedder"]["embedding"].T / scale
        return params["decoder"]["logits_dense"]["kernel"]

    def encode(self, params: PyTree, encoder_input_tokens: Int[Array, "batch inputs"]) -> Encoded:
        """The encoder's output; each row is one example, padded with 0."""
        return self._run(params, "encode", encoder_input_tokens)

    def decode(
        self,
        params: PyTree,
        encoded: Encoded,
        decoder_input_tokens: Int[Array, "batch length"],
        decoder_segment_ids: Int[Array, "batch length"],
    ) -> Float[Array, "batch length vocab"]:
        """Float32 logits of several targets of the same inputs.

        A row holds its targets one after another, each shifted by itself (its first token is 0) and
        a segment of its own: they see the row's inputs and not each other. Segment 0 is padding.
        """
        return self._run(params, "decode", encoded, decoder_input_tokens, decoder_segment_ids)

    def init_cache(
        self,
        params: PyTree,
        encoder_input_tokens: Int[Array, "batch inputs"] | Int[np.ndarray, "batch inputs"],
        *,
        max_decode_length: int,
        num_beams: int = 1,
    ) -> DecodeCache:
        """A cache for decoding up to `max_decode_length` tokens.

        Runs the encoder; each row is one example, padded with 0. With `num_beams`, `decode_step`
        takes so many neighbouring rows for each example; what they attend to of the encoder is
        kept once.
        """
        tokens = jnp.asarray(encoder_input_tokens)
        return self._run(params, "init_cache", tokens, max_decode_length, num_beams)

    def decode_step(
        self, params: PyTree, cache: DecodeCache, token: Int[Array, "rows"]
    ) -> tuple[Float[Array, "rows vocab"], DecodeCache]:
        """Float32 logits of the next token, and the cache with `token` in it.

        The first `token` of a row is 0. After `max_decode_length` steps the cache is full: a
        further step would overwrite its last entry.
        """
        return self._run(params, "decode_step", cache, token)

    def _run(self, params: PyTree, method: str, *args: PyTree) -> PyTree:
        return _Transformer(self.config).apply({"params": params}, *args, method=method)
