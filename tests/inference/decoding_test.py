"""Greedy generation against running the whole model once per token; draws against the probabilities."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
import pytest

from flantune.configs import DecodingConfig, ModelConfig
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


def _sample(inputs, row_ids, **settings):
    model, params = _model_and_params()
    config = DecodingConfig(**{"temperature": 1.0, **settings})
    decode = decoding.make_decoder(model, config, max_decode_length=3, eos_id=-1)
    key = decoding.key_data(config.seed)
    return np.asarray(jax.jit(decode)(params, inputs, np.asarray(row_ids), key))


def test_draws_have_the_frequencies_of_the_model():
    model, params = _model_and_params()
    row = _inputs(1)
    cache = model.init_cache(params, row, max_decode_length=1)
    logits, _ = model.decode_step(params, cache, jnp.zeros(1, jnp.int32))
    for temperature in (1.0, 0.3):
        tokens = _sample(np.tile(row, (4000, 1)), range(4000), temperature=temperature)
        expected = jax.nn.softmax(logits[0] / temperature)
        frequencies = np.bincount(tokens[:, 0], minlength=16) / 4000
        # Three standard deviations of a frequency of one half over 4,000 draws are 0.024.
        assert_allclose(frequencies, expected, atol=0.024)


def test_a_draw_belongs_to_its_row_and_seed_not_to_the_batch():
    inputs = np.tile(_inputs(1), (6, 1))
    tokens = _sample(inputs, range(6))
    assert len({tuple(row) for row in tokens.tolist()}) > 1
    assert_array_equal(_sample(inputs[:3], [4, 0, 2]), tokens[[4, 0, 2]])
    assert_array_equal(_sample(inputs, range(6)), tokens)
    assert not np.array_equal(_sample(inputs, range(6), seed=1), tokens)


def test_drawing_the_one_most_probable_token_is_greedy():
    model, params = _model_and_params()
    inputs = _inputs(5)
    greedy = decoding.make_decoder(model, DecodingConfig(), max_decode_length=3, eos_id=-1)
    expected = jax.jit(greedy)(params, inputs, np.arange(5), decoding.key_data(0))
    assert_array_equal(_sample(inputs, range(5), top_k=1), expected)
    assert_array_equal(_sample(inputs, range(5), top_p=1e-6), expected)


def test_what_may_be_drawn():
    logits = jnp.log(jnp.array([[0.1, 0.4, 0.2, 0.3]]))

    def allowed(**settings):
        return jnp.isfinite(decoding.restrict(logits, **settings))[0].tolist()

    assert allowed() == [True] * 4
    assert allowed(top_k=2) == [False, True, False, True]
    assert allowed(top_k=9) == [True] * 4
    assert allowed(top_p=0.4) == [False, True, False, False]
    assert allowed(top_p=0.41) == [False, True, False, True]
    assert allowed(top_p=0.95) == [True] * 4
    assert allowed(top_k=3, top_p=0.7) == [False, True, False, True]  # 4/9 and 3/9 of the three


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_beams": 2, "temperature": 1.0}, "only one of them"),
        ({"top_k": 3}, "set temperature above 0"),
        ({"top_p": 0.0, "temperature": 1.0}, "top_p must be above 0 and at most 1, not 0.0"),
        ({"num_beams": 0}, "num_beams must be a whole number of at least 1, not 0"),
    ],
)
def test_settings_that_contradict_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        DecodingConfig(**settings)
