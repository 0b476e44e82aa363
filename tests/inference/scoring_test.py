"""Scores of answer options against one forward pass for each, and values known by construction.

t5x's own scores are in `tests/models/t5_parity_test.py`.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose
import pytest

from flantune.configs import ModelConfig
from flantune.inference import scoring
from flantune.models import t5

CONFIG = ModelConfig(
    vocab_size=32,
    emb_dim=8,
    num_heads=2,
    head_dim=4,
    mlp_dim=8,
    num_encoder_layers=1,
    num_decoder_layers=2,
    dtype="float32",
    scan_layers=False,
)


class NumberVocabulary:
    """A text is its ids: "7 30" has the ids 7 and 30."""

    eos_id = 1

    def __init__(self, size=32):
        self.size = size

    def encode_batch(self, texts):
        return [[int(word) for word in text.split()] for text in texts]

    def decode(self, ids):
        return " ".join(map(str, ids))


@functools.cache
def _params():
    """Initial parameters with larger kernels, so that no two texts are nearly as probable."""
    params = t5.EncoderDecoder(CONFIG).init(jax.random.key(3))
    return jax.tree.map(lambda leaf: 2 * leaf if leaf.ndim == 2 else leaf, params)


@functools.cache
def _scorer(batch_size=3, mesh=None):
    return scoring.Scorer(
        model=t5.EncoderDecoder(CONFIG),
        vocabulary=NumberVocabulary(),
        batch_size=batch_size,
        inputs_length=40,
        mesh=mesh,
    )


def _text(rng, length):
    return " ".join(map(str, rng.integers(2, 32, length)))


@functools.cache
def _questions():
    """Prompts of 1 to 39 tokens with 1 to 9 options of 1 to 12 tokens; no two numbers of options are equal."""
    rng = np.random.default_rng(0)
    lengths = [5, 39, 12, 1, 33, 20, 8, 25, 30]
    return [
        (_text(rng, length), tuple(_text(rng, rng.integers(1, 13)) for _ in range(number)))
        for number, length in enumerate(lengths, 1)
    ]


@functools.cache
def _apply():
    return jax.jit(t5.EncoderDecoder(CONFIG).apply)


def _one_by_one(prompt, option):
    """The score of one option from a forward pass of its own, summed on the host."""
    vocabulary = NumberVocabulary()
    inputs = np.zeros((1, 40), np.int32)
    ids = [*vocabulary.encode_batch([prompt])[0], 1]
    inputs[0, : len(ids)] = ids
    targets = [*vocabulary.encode_batch([option])[0], 1]
    padded = np.zeros((1, 200), np.int32)
    padded[0, : len(targets)] = targets
    batch = {
        "encoder_input_tokens": inputs,
        "decoder_input_tokens": np.pad(padded, ((0, 0), (1, 0)))[:, :-1],
        "decoder_target_tokens": padded,
    }
    log_probs = np.asarray(jax.nn.log_softmax(_apply()(_params(), batch)[0]))
    return sum(float(log_probs[place, token]) for place, token in enumerate(targets))


def _log_probs(answers):
    return [score.log_prob for own in answers for score in own]


def test_ragged_options_get_what_they_get_one_by_one():
    answers = _scorer().score(_params(), _questions())
    assert [len(own) for own in answers] == list(range(1, 10))
    expected = [_one_by_one(prompt, option) for prompt, own in _questions() for option in own]
    assert_allclose(_log_probs(answers), expected, rtol=1e-5, atol=1e-5)
    assert max(expected) - min(expected) > 20


def test_options_that_fill_several_rows_and_one_longer_than_a_row():
    rng = np.random.default_rng(1)
    question = ("7 8 9", (*(_text(rng, 6) for _ in range(40)), _text(rng, 180)))
    (own,) = _scorer().score(_params(), [question])  # 280 tokens in rows of 128, and a row of 181
    expected = [_one_by_one(question[0], option) for option in question[1]]
    assert_allclose(_log_probs([own]), expected, rtol=1e-5, atol=1e-4)


def test_scores_do_not_depend_on_order_or_batches():
    expected = _scorer().score(_params(), _questions())
    backwards = [(prompt, own[::-1]) for prompt, own in reversed(_questions())]
    answers = _scorer(batch_size=5).score(_params(), backwards)
    assert_allclose(
        _log_probs(own[::-1] for own in answers[::-1]), _log_probs(expected), rtol=1e-6, atol=1e-6
    )


@dataclasses.dataclass(frozen=True)
class WatchedModel(t5.EncoderDecoder):
    """Keeps the rows that its encoder was given."""

    seen: list = dataclasses.field(default_factory=list, compare=False)

    def encode(self, params, encoder_input_tokens):
        jax.debug.callback(lambda rows: self.seen.extend(rows.tolist()), encoder_input_tokens)
        return super().encode(params, encoder_input_tokens)


def test_every_distinct_prompt_is_encoded_once():
    model = WatchedModel(CONFIG)
    scorer = scoring.Scorer(
        model=model, vocabulary=NumberVocabulary(), batch_size=2, inputs_length=8
    )
    rng = np.random.default_rng(2)
    many = tuple(_text(rng, 9) for _ in range(60))  # 600 tokens: five rows
    answers = scorer.score(_params(), [("5 6", ("2", "3")), ("7", many), ("5 6", ("3", "4 4"))])
    jax.effects_barrier()
    seen = [row for row in model.seen if any(row)]
    assert sorted(seen) == [[5, 6, 1, 0, 0, 0, 0, 0], [7, 1, 0, 0, 0, 0, 0, 0]]
    assert answers[0][1] == answers[2][0]


def test_a_model_without_knowledge_gives_every_token_the_same_probability():
    params = jax.tree.map(jnp.asarray, _params())
    kernel = params["decoder"]["logits_dense"]["kernel"]
    params = {
        **params,
        "decoder": {**params["decoder"], "logits_dense": {"kernel": jnp.zeros_like(kernel)}},
    }
    (own,) = _scorer().score(params, [("5", ("7", "7 30", ""))])
    assert [(score.num_tokens, score.num_bytes) for score in own] == [(2, 1), (3, 4), (1, 0)]
    expected = [-count * math.log(32) for count in (2, 3, 1)]
    assert_allclose(_log_probs([own]), expected, rtol=1e-6)


def test_nothing_asked_nothing_scored():
    assert _scorer().score(_params(), []) == []
    assert _scorer().score(_params(), [("5", ())]) == [()]


def test_mesh_splits_rows_and_keeps_scores():
    mesh = jax.make_mesh(
        (jax.device_count(), 1),
        ("data", "fsdp"),
        axis_types=(jax.sharding.AxisType.Auto,) * 2,
    )
    questions = _questions()[:3]
    expected = _scorer().score(_params(), questions)
    actual = _scorer(mesh=mesh).score(_params(), questions)
    assert_allclose(_log_probs(actual), _log_probs(expected), rtol=1e-6, atol=1e-6)


def test_progress_counts_options():
    done = []
    _scorer().score(_params(), _questions(), on_batch=done.append)
    assert done == sorted(done)
    assert done[-1] == 45


def test_prompt_that_is_too_long_is_named():
    with pytest.raises(ValueError, match=r"1 of 2 prompts .* prompt 1: 41 tokens with its EOS"):
        _scorer().score(_params(), [("5", ("6",)), ("7 " * 40, ("6",))])


def test_vocabulary_must_fit_the_model():
    with pytest.raises(ValueError, match=r"vocab_size \(32\) must be at least .* \(33\)"):
        scoring.Scorer(
            model=t5.EncoderDecoder(CONFIG),
            vocabulary=NumberVocabulary(33),
            batch_size=1,
            inputs_length=8,
        )
