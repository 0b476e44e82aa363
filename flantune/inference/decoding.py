"""Greedy generation with a key-value cache, as one `while_loop` that can be jitted.

Batches of strings are in `predictor.py`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree
import numpy as np

from flantune.models import t5


class _State(NamedTuple):
    """State of the loop: all tokens so far, the last one of each row, and which rows have ended."""

    tokens: Int[Array, "batch max_decode_length"]
    last: Int[Array, "batch"]
    ended: Bool[Array, "batch"]
    cache: t5.DecodeCache


def greedy(
    model: t5.EncoderDecoder,
    params: PyTree,
    encoder_input_tokens: Int[Array, "batch inputs"] | Int[np.ndarray, "batch inputs"],
    *,
    max_decode_length: int,
    eos_id: int = 1,
) -> Int[Array, "batch max_decode_length"]:
    """The most probable token at each step: int32, with the EOS where there is one, 0 after it.

    Stops when all rows have ended. A row without inputs counts as ended, so padding a batch with
    empty rows costs no steps; its tokens are all 0.
    """
    inputs = jnp.asarray(encoder_input_tokens)
    batch = inputs.shape[0]

    def unfinished(state: _State) -> Bool[Array, ""]:
        return (state.cache.position < max_decode_length) & ~jnp.all(state.ended)

    def step(state: _State) -> _State:
        position = state.cache.position
        logits, cache = model.decode_step(params, state.cache, state.last)
        token = jnp.where(state.ended, 0, jnp.argmax(logits, axis=-1).astype(jnp.int32))
        tokens = jax.lax.dynamic_update_index_in_dim(state.tokens, token, position, axis=1)
        return _State(tokens, token, state.ended | (token == eos_id), cache)

    start = _State(
        tokens=jnp.zeros((batch, max_decode_length), jnp.int32),
        last=jnp.zeros(batch, jnp.int32),
        ended=~jnp.any(inputs > 0, axis=1),
        cache=model.init_cache(params, inputs, max_decode_length=max_decode_length),
    )
    return jax.lax.while_loop(unfinished, step, start).tokens
