"""Predictions of many prompts: order, batches, lengths, devices."""

import functools

import jax
import pytest

from flantune.configs import DecodingConfig, ModelConfig
from flantune.inference import predictor
from flantune.models import t5

GREEDY = DecodingConfig()


class LetterVocabulary:
    """Ids 3 to 28 are the letters a to z."""

    size = 29
    pad_id = 0
    eos_id = 1
    unk_id = 2

    def encode_batch(self, texts):
        return [[ord(letter) - ord("a") + 3 for letter in text] for text in texts]

    def decode(self, ids):
        ids = list(ids)
        ids = ids[: ids.index(1)] if 1 in ids else ids
        return "".join(chr(i - 3 + ord("a")) for i in ids if i >= 3)


@functools.cache
def _model_and_params():
    config = ModelConfig(
        vocab_size=32,
        emb_dim=8,
        num_heads=2,
        head_dim=4,
        mlp_dim=8,
        num_encoder_layers=1,
        num_decoder_layers=1,
        dtype="float32",
    )
    model = t5.EncoderDecoder(config)
    return model, model.init(jax.random.key(3))


@functools.cache
def _predictor(*, batch_size=3, inputs_length=40, mesh=None, how=GREEDY):
    return predictor.Predictor(
        model=_model_and_params()[0],
        vocabulary=LetterVocabulary(),
        batch_size=batch_size,
        inputs_length=inputs_length,
        max_decode_length=4,
        how=how,
        mesh=mesh,
    )


def _predict(prompts, **changes):
    return _predictor(**changes).predict(_model_and_params()[1], prompts)


PROMPTS = ["copy", "a" * 39, "sort", "", "zebra" * 7, "bc", "hello" * 6, "x"]


def test_predictions_do_not_depend_on_order_batches_or_buckets():
    expected = _predict(PROMPTS)
    assert len(set(expected)) > 2
    assert _predict(PROMPTS[::-1]) == expected[::-1]
    assert [_predict([prompt])[0] for prompt in PROMPTS] == expected
    short = [index for index, prompt in enumerate(PROMPTS) if len(prompt) < 30]
    actual = _predict([PROMPTS[index] for index in short], batch_size=5)
    assert actual == [expected[index] for index in short]


@pytest.mark.parametrize("how", [DecodingConfig(num_beams=3), DecodingConfig(temperature=2.0)])
def test_beams_and_draws_do_not_depend_on_batches(how):
    expected = _predict(PROMPTS, how=how)
    assert expected != _predict(PROMPTS)
    assert _predict(PROMPTS, how=how, batch_size=5) == expected


def test_no_prompts_no_predictions():
    assert _predict([]) == []


def test_prompt_that_is_too_long_is_named():
    message = r"2 of 4 prompts .* prompt 1: 41 tokens with its EOS, where at most 40"
    with pytest.raises(ValueError, match=message):
        _predict(["a", "b" * 40, "c", "d" * 50])


def test_mesh_splits_rows_and_keeps_predictions():
    mesh = jax.make_mesh(
        (jax.device_count(), 1),
        ("data", "fsdp"),
        axis_types=(jax.sharding.AxisType.Auto,) * 2,
    )
    assert _predict(["copy", "sort"], mesh=mesh) == _predict(["copy", "sort"])


def test_progress_counts_prompts():
    done = []
    _predictor().predict(_model_and_params()[1], PROMPTS, on_batch=done.append)
    assert done == [3, 6, 8]


def test_vocabulary_must_fit_the_model():
    vocabulary = LetterVocabulary()
    vocabulary.size = 33
    with pytest.raises(ValueError, match=r"vocab_size \(32\) must be at least .* \(33\)"):
        predictor.Predictor(
            model=_model_and_params()[0],
            vocabulary=vocabulary,
            batch_size=1,
            inputs_length=8,
            max_decode_length=2,
        )
