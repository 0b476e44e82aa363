"""Greedy generation against running the whole model once per token."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_array_equal

from flantune.configs import ModelConfig
from flantune.inference import decoding
from flantune.models import t5

LENGTH = 7


@functools.cache
def _model_and_params():
    config = ModelConfig(
        vocab_size=16,
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


def _inputs(num_rows):
    tokens = np.random.default_rng(0).integers(2, 16, (num_rows, 6)).astype(np.int32)
    tokens[0, 4:] = 0
    return tokens


def _by_whole_rows(apply, params, inputs, eos_id):
    """Tokens of one row after another, each from a full forward pass."""
    rows = []
    for row in inputs:
        tokens: list[int] = []
        while len(tokens) < LENGTH and eos_id not in tokens:
            decoder_inputs = np.zeros((1, LENGTH), np.int32)
            decoder_inputs[0, 1 : len(tokens) + 1] = tokens
            batch = {
                "encoder_input_tokens": row[None],
                "decoder_input_tokens": decoder_inputs,
                "decoder_target_tokens": np.ones((1, LENGTH), np.int32),
            }
            tokens.append(int(np.asarray(apply(params, batch))[0, len(tokens)].argmax()))
        rows.append(tokens + [0] * (LENGTH - len(tokens)))
    return rows


def test_greedy_takes_the_most_probable_token_until_eos():
    model, params = _model_and_params()
    apply, inputs = jax.jit(model.apply), _inputs(8)
    # The token most often generated third serves as EOS, so that some rows end early.
    free = _by_whole_rows(apply, params, inputs, eos_id=-1)
    eos_id = int(np.bincount([row[2] for row in free]).argmax())
    expected = _by_whole_rows(apply, params, inputs, eos_id)
    assert len({row.index(eos_id) if eos_id in row else LENGTH for row in expected}) > 1
    greedy = functools.partial(decoding.greedy, model, max_decode_length=LENGTH, eos_id=eos_id)
    tokens = jax.jit(greedy)(params, inputs)
    assert tokens.dtype == jnp.int32
    assert tokens.tolist() == expected


def test_rows_without_inputs_stay_empty():
    model, params = _model_and_params()
    inputs = _inputs(3)
    inputs[1] = 0
    greedy = jax.jit(functools.partial(decoding.greedy, model, max_decode_length=4, eos_id=-1))
    tokens = np.asarray(greedy(params, inputs))
    assert_array_equal(tokens[1], 0)
    alone = np.asarray(greedy(params, inputs[[0, 2, 2]]))
    assert_array_equal(tokens[[0, 2]], alone[:2])
