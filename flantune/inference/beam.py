"""Beam search with a key-value cache, as one `while_loop` that can be jitted.

The same search as t5x's: at each step every live hypothesis is extended by every token, the best `2 * num_beams`
extensions are kept, those that end are compared with the finished ones by their length-normalised score, and the rest
live on. Greedy generation is in `decoding.py`.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree
import numpy as np

from flantune.models import t5

_WORST = -1e7  # a score that no hypothesis has; finite, so that sums with it stay ordered


class Beams(NamedTuple):
    """Hypotheses of each row, the best first.

    Attributes:
        tokens: with the EOS where there is one, 0 after it.
        scores: log-probability in nats divided by the length penalty; of a row that finished no hypothesis, the plain
            log-probability of those cut off. A row that finished fewer than `num_beams` has -1e7 and no tokens for
            the others, as in t5x.
    """

    tokens: Int[Array, "batch beams max_decode_length"]
    scores: Float[Array, "batch beams"]


class _Live(NamedTuple):
    """Hypotheses that go on, best first: log-probabilities, tokens so far, and the last token."""

    log_probs: Float[Array, "batch beams"]
    tokens: Int[Array, "batch beams max_decode_length"]
    last: Int[Array, "batch beams"]


class _State(NamedTuple):
    live: _Live
    finished: Beams
    cache: t5.DecodeCache


def length_penalty(length: int | Int[Array, ""], alpha: float) -> float | Float[Array, ""]:
    """What a log-probability is divided by: ((5 + length) / 6) ** alpha, where the EOS counts.

    Source: Wu et al. 2016, section 7 (https://arxiv.org/abs/1609.08144).
    """
    return ((5.0 + length) / 6.0) ** alpha


def _take_beams(values: Array, beams: Int[Array, "batch k"]) -> Array:
    """`values[row, beams[row]]` of each row."""
    return jax.vmap(lambda own, chosen: own[chosen])(values, beams)


def _best(scores: Float[Array, "batch n"], k: int, *others: Array) -> tuple[Array, ...]:
    """The k largest scores of each row, best first, and what belongs to them."""
    top, chosen = jax.lax.top_k(scores, k)
    return (top, *(_take_beams(other, chosen) for other in others))


def _reorder_cache(
    cache: t5.DecodeCache, beams: Int[Array, "batch beams"], num_beams: int
) -> t5.DecodeCache:
    """The cache whose row for beam k of a row is that of `beams[row, k]` before."""
    rows = (beams + jnp.arange(beams.shape[0])[:, None] * num_beams).reshape(-1)
    # Rows are the fourth axis from the end, whether or not the layers are stacked before it.
    take = functools.partial(jnp.take, indices=rows, axis=-4)
    return cache._replace(self_attention=jax.tree.map(take, cache.self_attention))


def beam_search(
    model: t5.EncoderDecoder,
    params: PyTree,
    encoder_input_tokens: Int[Array, "batch inputs"] | Int[np.ndarray, "batch inputs"],
    *,
    num_beams: int,
    max_decode_length: int,
    alpha: float = 0.6,
    eos_id: int = 1,
) -> Beams:
    """The `num_beams` best hypotheses that the search finds for each row.

    Stops when no live hypothesis of any row can still beat its worst finished one. A row without inputs is padding: it
    costs no steps, and its tokens and scores are 0.

    Args:
        params: of the model.
        encoder_input_tokens: each row one example, padded with 0.
        num_beams: hypotheses kept; at most half of the vocabulary.
        max_decode_length: tokens of a hypothesis at most, its EOS included.
        alpha: exponent of the length penalty; 0 compares plain log-probabilities. 0.6 is t5x's.
        eos_id: ends a hypothesis.
    """
    inputs = jnp.asarray(encoder_input_tokens)
    batch = inputs.shape[0]
    is_empty = ~jnp.any(inputs > 0, axis=1)
    best_penalty = length_penalty(max_decode_length, alpha)

    def unfinished(state: _State) -> Bool[Array, ""]:
        best_live = state.live.log_probs[:, 0] / best_penalty
        has_ended = state.finished.scores[:, -1] > best_live
        position = state.cache.position
        return (position < max_decode_length) & ~jnp.all(has_ended | is_empty)

    def step(state: _State) -> _State:
        position = state.cache.position
        logits, cache = model.decode_step(params, state.cache, state.live.last.reshape(-1))
        log_probs = jax.nn.log_softmax(logits).reshape(batch, num_beams, -1)
        extended, beams, tokens, last = _extend(state.live, log_probs, position)
        is_end = last == eos_id
        scores = jnp.where(is_end, extended / length_penalty(position + 1, alpha), _WORST)
        live_log_probs, live_tokens, live_last, live_beams = _best(
            jnp.where(is_end, _WORST, extended), num_beams, tokens, last, beams
        )
        finished_scores, finished_tokens = _best(
            jnp.concatenate([state.finished.scores, scores], axis=1),
            num_beams,
            jnp.concatenate([state.finished.tokens, tokens], axis=1),
        )
        return _State(
            _Live(live_log_probs, live_tokens, live_last),
            Beams(finished_tokens, finished_scores),
            _reorder_cache(cache, live_beams, num_beams),
        )

    cache = model.init_cache(
        params, inputs, max_decode_length=max_decode_length, num_beams=num_beams
    )
    start = _start(cache, (batch, num_beams, max_decode_length))
    return _result(jax.lax.while_loop(unfinished, step, start), is_empty)


def _start(cache: t5.DecodeCache, shape: tuple[int, int, int]) -> _State:
    """No tokens yet; `shape` is that of all tokens, [batch, beams, max_decode_length]."""
    batch, num_beams, _ = shape
    no_tokens = jnp.zeros(shape, jnp.int32)
    # All beams of a row start as the same empty hypothesis, so only the first may be extended.
    first_only = jnp.where(jnp.arange(num_beams) == 0, 0.0, _WORST)
    live = _Live(jnp.tile(first_only, (batch, 1)), no_tokens, no_tokens[..., 0])
    return _State(live, Beams(no_tokens, jnp.full((batch, num_beams), _WORST)), cache)


def _extend(
    live: _Live, log_probs: Float[Array, "batch beams vocab"], position: Int[Array, ""]
) -> tuple[Array, Array, Array, Array]:
    """The best 2 * beams extensions of each row: log-probability, beam that was extended, tokens, last token.

    So many, because up to `beams` of them may end, and as many must live on.
    """
    batch, num_beams, vocab = log_probs.shape
    totals = (live.log_probs[..., None] + log_probs).reshape(batch, -1)
    extended, chosen = jax.lax.top_k(totals, 2 * num_beams)
    beams, last = chosen // vocab, (chosen % vocab).astype(jnp.int32)
    tokens = _take_beams(live.tokens, beams)
    tokens = jax.lax.dynamic_update_index_in_dim(tokens, last, position, axis=2)
    return extended, beams, tokens, last


def _result(state: _State, is_empty: Bool[Array, "batch"]) -> Beams:
    """The finished hypotheses; the live ones of a row that has none; nothing of a row without inputs."""
    finished = state.finished
    has_finished = finished.scores[:, :1] > _WORST
    tokens = jnp.where(has_finished[..., None], finished.tokens, state.live.tokens)
    scores = jnp.where(has_finished, finished.scores, state.live.log_probs)
    keep = ~is_empty[:, None]
    return Beams(jnp.where(keep[..., None], tokens, 0), jnp.where(keep, scores, 0.0))
