"""Generation token by token with a key-value cache, as one `while_loop` that can be jitted: greedy or drawn.

`make_decoder` turns a `DecodingConfig` into a function; beam search is in `beam.py`, batches of strings in
`predictor.py`.
"""

from collections.abc import Callable
import functools
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree, UInt32
import numpy as np

from flantune.configs import DecodingConfig
from flantune.inference import beam
from flantune.models import t5

Tokens: TypeAlias = Int[Array, "batch inputs"] | Int[np.ndarray, "batch inputs"]
RowIds: TypeAlias = Int[Array, "batch"] | Int[np.ndarray, "batch"]
KeyData: TypeAlias = UInt32[Array, "2"] | UInt32[np.ndarray, "2"]
Decoder: TypeAlias = Callable[
    [PyTree, Tokens, RowIds, KeyData], Int[Array, "batch max_decode_length"]
]
_Choose: TypeAlias = Callable[[Array, Array], Array]


class _State(NamedTuple):
    """State of the loop: all tokens so far, the last one of each row, and which rows have ended."""

    tokens: Int[Array, "batch max_decode_length"]
    last: Int[Array, "batch"]
    ended: Bool[Array, "batch"]
    cache: t5.DecodeCache


def make_decoder(
    model: t5.EncoderDecoder, config: DecodingConfig, *, max_decode_length: int, eos_id: int = 1
) -> Decoder:
    """`decode(params, encoder_input_tokens, row_ids, key)`: the tokens of one prediction for each row.

    `row_ids` say which draws a row gets, wherever in a batch it stands, and `key` is `key_data` of the seed: an argument, so
    that another seed is no other program. Only sampling looks at them; the config's own seed is not used.
    """
    if config.num_beams > 1:
        return lambda params, inputs, *_: beam.beam_search(
            model,
            params,
            inputs,
            num_beams=config.num_beams,
            max_decode_length=max_decode_length,
            alpha=config.alpha,
            eos_id=eos_id,
        ).tokens[:, 0]
    if config.temperature:
        return functools.partial(
            sample, model, config=config, max_decode_length=max_decode_length, eos_id=eos_id
        )
    return lambda params, inputs, *_: greedy(
        model, params, inputs, max_decode_length=max_decode_length, eos_id=eos_id
    )


def key_data(seed: int) -> UInt32[np.ndarray, "2"]:
    """The key of a seed, as plain numbers: what every process can hand to a compiled function."""
    return np.asarray(jax.random.key_data(jax.random.key(seed)))


def greedy(
    model: t5.EncoderDecoder,
    params: PyTree,
    encoder_input_tokens: Tokens,
    *,
    max_decode_length: int,
    eos_id: int = 1,
) -> Int[Array, "batch max_decode_length"]:
    """The most probable token at each step: int32, with the EOS where there is one, 0 after it.

    Stops when all rows have ended. A row without inputs counts as ended, so padding a batch with
    empty rows costs no steps; its tokens are all 0.
    """
    return _generate(
        model,
        params,
        encoder_input_tokens,
        lambda logits, _: jnp.argmax(logits, axis=-1),
        max_decode_length=max_decode_length,
        eos_id=eos_id,
    )


def sample(
    model: t5.EncoderDecoder,
    params: PyTree,
    encoder_input_tokens: Tokens,
    row_ids: RowIds,
    key: KeyData,
    *,
    config: DecodingConfig,
    max_decode_length: int,
    eos_id: int = 1,
) -> Int[Array, "batch max_decode_length"]:
    """Tokens drawn as `config` says; otherwise like `greedy`.

    A draw depends on the key, the row's id and the position of the token only.
    """
    fold_in = functools.partial(jax.random.fold_in, jax.random.wrap_key_data(jnp.asarray(key)))
    row_keys = jax.vmap(fold_in)(jnp.asarray(row_ids))

    def draw(logits: Float[Array, "batch vocab"], position: Int[Array, ""]) -> Int[Array, "batch"]:
        keys = jax.vmap(lambda row_key: jax.random.fold_in(row_key, position))(row_keys)
        allowed = restrict(logits / config.temperature, top_k=config.top_k, top_p=config.top_p)
        return jax.vmap(jax.random.categorical)(keys, allowed)

    return _generate(
        model,
        params,
        encoder_input_tokens,
        draw,
        max_decode_length=max_decode_length,
        eos_id=eos_id,
    )


def restrict(
    logits: Float[Array, "batch vocab"], *, top_k: int = 0, top_p: float = 1.0
) -> Float[Array, "batch vocab"]:
    """The logits of the tokens that may be drawn, and minus infinity for the others.

    Args:
        logits: of each token.
        top_k: keep the k largest, and those that equal the smallest of them; 0: all.
        top_p: of what `top_k` leaves, keep the fewest most probable tokens whose probabilities reach this sum (nucleus
            sampling: https://arxiv.org/abs/1904.09751); 1: all.
    """
    if 0 < top_k < logits.shape[-1]:
        smallest = jax.lax.top_k(logits, top_k)[0][:, -1:]
        logits = jnp.where(logits >= smallest, logits, -jnp.inf)
    if top_p < 1:
        ordered = jnp.sort(logits, axis=-1, descending=True)
        probabilities = jax.nn.softmax(ordered, axis=-1)
        before = jnp.cumsum(probabilities, axis=-1) - probabilities
        smallest = jnp.min(jnp.where(before < top_p, ordered, jnp.inf), axis=-1, keepdims=True)
        logits = jnp.where(logits >= smallest, logits, -jnp.inf)
    return logits


def _generate(
    model: t5.EncoderDecoder,
    params: PyTree,
    encoder_input_tokens: Tokens,
    choose: _Choose,
    *,
    max_decode_length: int,
    eos_id: int,
) -> Int[Array, "batch max_decode_length"]:
    """Tokens of rows that end at the EOS, each chosen from the logits and the position."""
    inputs = jnp.asarray(encoder_input_tokens)

    def unfinished(state: _State) -> Bool[Array, ""]:
        return (state.cache.position < max_decode_length) & ~jnp.all(state.ended)

    def step(state: _State) -> _State:
        position = state.cache.position
        logits, cache = model.decode_step(params, state.cache, state.last)
        token = jnp.where(state.ended, 0, choose(logits, position).astype(jnp.int32))
        tokens = jax.lax.dynamic_update_index_in_dim(state.tokens, token, position, axis=1)
        return _State(tokens, token, state.ended | (token == eos_id), cache)

    start = _State(
        tokens=jnp.zeros((inputs.shape[0], max_decode_length), jnp.int32),
        last=jnp.zeros(inputs.shape[0], jnp.int32),
        ended=~jnp.any(inputs > 0, axis=1),
        cache=model.init_cache(params, inputs, max_decode_length=max_decode_length),
    )
    return jax.lax.while_loop(unfinished, step, start).tokens
