"""Beam search against every hypothesis there is, scored by whole forward passes."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
import pytest

from flantune.configs import ModelConfig
from flantune.inference import beam
from flantune.models import t5

VOCAB, LENGTH, EOS = 5, 3, 1
INPUTS = np.array([[2, 3, 4, 2], [4, 4, 0, 0], [3, 2, 3, 0]], np.int32)


@functools.cache
def _model_and_params():
    config = ModelConfig(
        vocab_size=VOCAB,
        emb_dim=8,
        num_heads=2,
        head_dim=4,
        mlp_dim=8,
        num_encoder_layers=1,
        num_decoder_layers=2,
        dtype="float32",
    )
    model = t5.EncoderDecoder(config)
    return model, model.init(jax.random.key(3))


@functools.cache
def _every_hypothesis():
    """For each row: log-probability of each sequence of at most LENGTH tokens that the EOS ends."""
    model, params = _model_and_params()
    others = [token for token in range(VOCAB) if token != EOS]
    hypotheses = [
        (*tokens, EOS)
        for length in range(LENGTH)
        for tokens in itertools.product(others, repeat=length)
    ]
    padded = np.zeros((len(hypotheses), LENGTH), np.int32)
    for i, tokens in enumerate(hypotheses):
        padded[i, : len(tokens)] = tokens
    batch = {
        "decoder_input_tokens": np.pad(padded, ((0, 0), (1, 0)))[:, :-1],
        "decoder_target_tokens": np.ones_like(padded),  # token 0 may be generated too
    }
    apply = jax.jit(model.apply)
    scored = []
    for row in INPUTS:
        inputs = np.tile(row, (len(hypotheses), 1))
        logits = apply(params, {**batch, "encoder_input_tokens": inputs})
        nats = np.take_along_axis(np.asarray(jax.nn.log_softmax(logits)), padded[..., None], -1)
        scored.append(
            {tokens: nats[i, : len(tokens), 0].sum() for i, tokens in enumerate(hypotheses)}
        )
    return scored


def _search(**changes):
    model, params = _model_and_params()
    settings = {"max_decode_length": LENGTH, "eos_id": EOS, **changes}
    return jax.jit(functools.partial(beam.beam_search, model, **settings))(params, INPUTS)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_enough_beams_find_the_best_of_all_hypotheses(alpha):
    found = _search(num_beams=20, alpha=alpha)  # 16 prefixes of two tokens can live
    for row, log_probs in enumerate(_every_hypothesis()):
        scores = {
            tokens: nats / ((5 + len(tokens)) / 6) ** alpha for tokens, nats in log_probs.items()
        }
        best = sorted(scores, key=scores.__getitem__, reverse=True)[:4]
        assert_allclose(found.scores[row, :4], [scores[tokens] for tokens in best], rtol=1e-5)
        expected = [[*tokens, *[0] * (LENGTH - len(tokens))] for tokens in best]
        assert found.tokens[row, :4].tolist() == expected


def test_scores_fall_and_belong_to_their_tokens():
    found = _search(num_beams=2, alpha=0.6)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    for row, log_probs in enumerate(_every_hypothesis()):
        tokens = found.tokens[row, 0].tolist()
        tokens = tuple(tokens[: tokens.index(EOS) + 1])
        expected = log_probs[tokens] / beam.length_penalty(len(tokens), 0.6)
        assert float(found.scores[row, 0]) == pytest.approx(float(expected), rel=1e-5)


def test_rows_that_finish_nothing_give_what_lives():
    found = _search(num_beams=2, eos_id=-1)
    assert found.tokens.dtype == jnp.int32
    assert (found.scores > -100).all()
    greedy_like = _search(num_beams=1, eos_id=-1)  # one beam without an end is greedy
    assert (found.scores[:, 0] >= greedy_like.scores[:, 0] - 1e-5).all()


def test_rows_without_inputs_are_padding():
    model, params = _model_and_params()
    inputs = np.concatenate([INPUTS[:1], np.zeros((1, 4), np.int32), INPUTS[2:]])
    search = functools.partial(beam.beam_search, model, num_beams=2, max_decode_length=LENGTH)
    found, alone = jax.jit(search)(params, inputs), jax.jit(search)(params, INPUTS)
    assert_array_equal(found.tokens[1], 0)
    assert_array_equal(found.scores[1], 0)
    assert_array_equal(found.tokens[jnp.array([0, 2])], alone.tokens[jnp.array([0, 2])])
