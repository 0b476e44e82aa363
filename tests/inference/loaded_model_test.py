"""A loaded model's answers: in kind, in few compiled shapes, and what is refused."""

from collections.abc import Iterator
import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
import pytest

from flantune import testing
from flantune.configs import MeshConfig
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.inference.loaded_model import LoadedModel
from flantune.inference.scoring import OptionScore
from flantune.models import t5
from flantune.training import sharding

PROMPTS = ["copy", "a" * 50, "sort", "", "zebra" * 7, "bc", "hello" * 6]
COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def model():
    network = t5.EncoderDecoder(testing.MODEL)
    params = network.init(jax.random.key(3))
    return LoadedModel(
        source="memory",
        step=0,
        network=network,
        # Larger kernels, so that no two texts are nearly as probable.
        params=jax.tree.map(lambda leaf: 2 * leaf if leaf.ndim == 2 else leaf, params),
        vocabulary=vocabulary_lib.load("bytes"),
        mesh=sharding.make_mesh(MeshConfig()),
        inputs_length=64,
        max_decode_length=4,
    )


@contextlib.contextmanager
def compilations() -> Iterator[list[float]]:
    """Seconds of each program that is compiled in the block."""
    found: list[float] = []

    def listen(event, seconds, **_):
        if event == COMPILED:
            found.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def numbered(items, taken):
    """An iterator that notes what was taken of it."""
    for item in items:
        taken.append(item)
        yield item


def test_answers_come_as_the_prompts_do(model):
    expected = model.predict(PROMPTS)
    assert len(set(expected)) > 2
    assert model.predict(tuple(PROMPTS)) == expected
    assert model.predict(PROMPTS[0]) == expected[0]
    answers = model.predict(iter(PROMPTS), batch_size=4)
    assert iter(answers) is answers
    assert list(answers) == expected
    assert model.predict([]) == list(model.predict(iter([]))) == []


def test_an_iterator_is_read_a_batch_at_a_time(model):
    taken = []
    answers = model.predict(numbered(PROMPTS, taken), batch_size=2)
    assert taken == []
    for number in range(len(PROMPTS)):
        next(answers)
        assert len(taken) == min(len(PROMPTS), number // 2 * 2 + 2)
    taken.clear()
    pairs = model.score(numbered(PROMPTS, taken), (["x", "yz"] for _ in PROMPTS), batch_size=2)
    next(pairs)
    assert len(taken) == 2
    taken.clear()
    next(model.embed(numbered(PROMPTS, taken), batch_size=3))
    assert len(taken) == 3


def test_draws_go_by_a_prompts_number_and_seed_however_prompts_are_given(model):
    how = {"temperature": 2.0, "batch_size": 4}
    expected = model.predict(PROMPTS, **how, seed=5)
    assert list(model.predict(iter(PROMPTS), **how, seed=5)) == expected
    assert model.predict(PROMPTS, **how, seed=6) != expected


def test_the_same_prompt_or_seed_or_bucket_compiles_nothing_again(model):
    how = {"max_decode_length": 3}
    with compilations() as first:
        model.predict("one", **how)
        model.predict(PROMPTS[:3], **how)
        model.predict("one", temperature=1.0, **how)
        model.score("one", ["two"])
        model.embed("one")
    assert len(first) >= 5
    with compilations() as again:
        model.predict("one", **how)
        model.predict(
            "another of thirty-one bytes ...", **how
        )  # a bucket holds 32, the EOS included
        model.predict([PROMPTS[1], "x", "yz"], **how)
        model.predict("three", temperature=1.0, seed=8, **how)
        model.score("three", ["four"])
        model.embed("three")
    assert again == []


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8), (9, 8)])
def test_few_prompts_fill_small_batches(model, monkeypatch, count, rows):
    shapes = []
    encode = t5.EncoderDecoder.encode

    def noted(self, params, tokens):
        shapes.append(tokens.shape)
        return encode(self, params, tokens)

    monkeypatch.setattr(t5.EncoderDecoder, "encode", noted)
    fresh = dataclasses.replace(model)  # has compiled nothing
    assert len(fresh.embed(["x"] * count, batch_size=8)) == count
    assert shapes == [(rows, 32)]


def test_settings_of_a_call_win_over_those_of_the_model(model):
    beams = model.predict(PROMPTS, num_beams=3)
    assert beams != model.predict(PROMPTS)
    with pytest.raises(ValueError, match="only one of them"):
        model.predict("x", num_beams=3, temperature=1.0)
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, not 0"):
        model.predict("x", batch_size=0)
    with pytest.raises(ValueError, match="max_decode_length must be a whole number"):
        model.predict("x", max_decode_length=0)
    assert len(model.predict("x", max_decode_length=1)) <= 1


def test_scores_are_log_probabilities_in_nats(model):
    """Against one forward pass of the target alone."""
    score = model.score("copy", "yes")
    ids = [*model.vocabulary.encode("yes"), 1]
    batch = {
        "encoder_input_tokens": np.asarray([[*model.vocabulary.encode("copy"), 1]]),
        "decoder_input_tokens": np.asarray([[0, *ids[:-1]]]),
        "decoder_target_tokens": np.asarray([ids]),
    }
    log_probs = jax.nn.log_softmax(model.network.apply(model.params, batch))[0]
    expected = sum(float(log_probs[place, token]) for place, token in enumerate(ids))
    assert isinstance(score, OptionScore)
    assert_allclose(score.log_prob, expected, rtol=1e-5)
    assert (score.num_tokens, score.num_bytes) == (4, 3)
    assert_allclose(score.per_token, expected / 4, rtol=1e-5)


def test_scores_come_as_prompts_and_targets_do(model):
    options = ["no", "yes", "perhaps"]
    alone = [model.score("copy", option) for option in options]
    assert_allclose(
        [one.log_prob for one in model.score("copy", options)],
        [one.log_prob for one in alone],
        rtol=1e-5,
    )
    pairs = model.score(["copy", "sort"], ["no", "yes"])
    assert [type(one) for one in pairs] == [OptionScore, OptionScore]
    assert_allclose(pairs[0].log_prob, alone[0].log_prob, rtol=1e-5)
    many = model.score(["copy", "sort"], [options, ["no"]])
    assert [len(scores) for scores in many] == [3, 1]
    assert_allclose(many[0][2].log_prob, alone[2].log_prob, rtol=1e-5)
    streamed = list(model.score(iter(["copy", "sort"]), iter([options, "no"])))
    assert streamed[0] == many[0]
    assert streamed[1] == many[1][0]


def test_an_embedding_is_the_mean_of_the_states_of_real_tokens(model):
    ids = [*model.vocabulary.encode("copy"), 1]
    states = model.network.encode(model.params, jnp.asarray([ids])).output
    vectors = model.embed(PROMPTS)
    assert (vectors.shape, vectors.dtype) == ((7, 16), np.float32)
    assert_allclose(vectors[0], np.asarray(states[0]).mean(axis=0), rtol=1e-4, atol=1e-5)
    assert_allclose(model.embed("copy"), vectors[0], rtol=1e-4, atol=1e-5)
    assert_allclose(list(model.embed(iter(PROMPTS))), vectors, rtol=1e-4, atol=1e-5)
    assert_array_equal(model.embed([]), np.zeros((0, 16)))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda model: model.predict(["a", 3]), "Prompt 1 must be a text, not 3"),
        (lambda model: list(model.predict(iter(["a", None]))), "Prompt 1 must be a text, not None"),
        (lambda model: model.predict({"inputs": "a"}), "iterable of texts, not a dict"),
        (lambda model: model.embed(b"abc"), "iterable of texts, not a bytes"),
        (lambda model: model.predict([["a"]]), r"Prompt 0 must be a text, not \['a'\]"),
        (lambda model: model.score(["a", "b"], "yes"), "targets is one text .* for each prompt"),
        (lambda model: model.score("a", ["b", 1]), "options of prompt 0, the one 1 must be a text"),
        (lambda model: model.score(["a"], [2]), "The target of prompt 0 must be a text, not 2"),
    ],
)
def test_what_is_no_text_is_refused_by_its_number(model, ask, message):
    with pytest.raises(TypeError, match=message):
        ask(model)


@pytest.mark.parametrize("kind", [list, iter])
def test_prompts_and_targets_must_be_as_many(model, kind):
    with pytest.raises(ValueError, match="There are 1 prompts and more targets"):
        list(model.score(kind(["a"]), kind(["b", "c"])))
    with pytest.raises(ValueError, match="There are 1 targets and more prompts"):
        list(model.score(kind(["a", "b"]), kind(["c"])))


def test_a_prompt_that_is_too_long_is_named_by_its_number(model):
    prompts = ["a", "b", "c" * 64]
    for answers in (
        model.predict,
        model.embed,
        lambda given, **how: model.score(given, iter("xyz"), **how),
    ):
        with pytest.raises(ValueError, match="The first is prompt 2: 65 tokens"):
            list(answers(iter(prompts), batch_size=2))


def test_the_parameters_are_not_printed(model):
    assert len(repr(model)) < 1000
