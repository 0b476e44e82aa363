"""Losses against numbers worked out by hand and against the formula with explicit soft targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flantune.training import loss


def _random_case(vocab=7):
    rng = np.random.default_rng(0)
    logits = jnp.asarray(rng.normal(size=(2, 3, vocab)) * 3, jnp.float32)
    targets = jnp.asarray(rng.integers(0, vocab, (2, 3)), jnp.int32)
    weights = jnp.asarray([[1, 1, 0], [1, 0, 0]], jnp.float32)
    return logits, targets, weights


def test_two_equal_logits_cost_log_two_per_token_and_padding_costs_nothing():
    logits = jnp.zeros((1, 3, 2))
    sums = loss.loss_sums(logits, jnp.array([[0, 0, 1]]), jnp.array([[1.0, 1.0, 0.0]]))
    np.testing.assert_allclose(sums.loss, 2 * np.log(2), rtol=1e-6)
    assert sums.weight == 2
    assert sums.correct == 2  # argmax of equal logits is 0, the target of both real tokens


def test_z_loss_is_the_coefficient_times_the_squared_log_partition():
    logits, targets, weights = _random_case()
    sums = loss.loss_sums(logits, targets, weights, z_loss=0.1)
    log_partition = np.log(np.sum(np.exp(np.asarray(logits, np.float64)), axis=-1))
    np.testing.assert_allclose(sums.z_loss, 0.1 * np.sum(log_partition**2 * weights), rtol=1e-5)
    np.testing.assert_allclose(sums.loss, sums.cross_entropy + sums.z_loss, rtol=1e-6)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_equals_that_of_explicit_soft_targets_less_their_entropy(label_smoothing):
    logits, targets, weights = _random_case(vocab := 7)
    other = label_smoothing / (vocab - 1)
    soft = np.where(np.eye(vocab)[targets] == 1, 1 - label_smoothing, other)
    log_probabilities = np.asarray(jax.nn.log_softmax(logits), np.float64)
    entropy = -np.sum(soft * np.log(np.maximum(soft, 1e-30)), axis=-1)
    expected = np.sum((-np.sum(soft * log_probabilities, axis=-1) - entropy) * weights)
    sums = loss.loss_sums(logits, targets, weights, label_smoothing=label_smoothing)
    np.testing.assert_allclose(sums.cross_entropy, expected, rtol=1e-5)


def test_a_perfect_prediction_of_smoothed_targets_costs_zero():
    soft = jnp.array([[[0.9, 0.05, 0.05]]])
    tokens = loss.token_losses(jnp.log(soft), jnp.array([[0]]), label_smoothing=0.1)
    np.testing.assert_allclose(tokens.cross_entropy, 0.0, atol=1e-6)


def test_gradient_is_softmax_less_soft_targets_plus_that_of_z_loss():
    # t5x's hand-written gradient: (1 + 2 z log Z) softmax - soft targets.
    logits, targets, weights = _random_case()
    gradient = jax.grad(lambda x: loss.loss_sums(x, targets, weights, z_loss=0.01).loss)(logits)
    softmax, log_partition = jax.nn.softmax(logits), jax.nn.logsumexp(logits, axis=-1)
    expected = (1 + 0.02 * log_partition[..., None]) * softmax - jax.nn.one_hot(targets, 7)
    np.testing.assert_allclose(gradient, expected * weights[..., None], rtol=1e-4, atol=1e-6)


def test_bfloat16_logits_are_summed_in_float32():
    logits, targets, weights = _random_case()
    halves = logits.astype(jnp.bfloat16)
    sums = loss.loss_sums(halves, targets, weights, z_loss=1e-4)
    expected = loss.loss_sums(halves.astype(jnp.float32), targets, weights, z_loss=1e-4)
    assert sums.loss.dtype == jnp.float32
    np.testing.assert_allclose(sums.loss, expected.loss, rtol=1e-6)


def _hidden_case(vocab=12):
    rng = np.random.default_rng(1)
    hidden = jnp.asarray(rng.normal(size=(2, 3, 4)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(4, vocab)) * 2, jnp.float32)
    targets = jnp.asarray(rng.integers(0, vocab, (2, 3)), jnp.int32)
    return hidden, kernel, targets


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("num_chunks", [1, 3, 12])
def test_chunks_of_the_vocabulary_give_the_numbers_of_all_logits(num_chunks, label_smoothing):
    hidden, kernel, targets = _hidden_case()
    whole = loss.token_losses(hidden @ kernel, targets, label_smoothing=label_smoothing)
    chunked = loss.chunked_token_losses(
        hidden, kernel, targets, num_chunks=num_chunks, label_smoothing=label_smoothing
    )
    np.testing.assert_allclose(chunked.cross_entropy, whole.cross_entropy, rtol=1e-5)
    np.testing.assert_allclose(chunked.log_partition, whole.log_partition, rtol=1e-6)
    assert chunked.correct.tolist() == whole.correct.tolist()


def test_chunks_of_the_vocabulary_give_the_gradients_of_all_logits():
    hidden, kernel, targets = _hidden_case()
    weights = jnp.asarray([[1, 1, 0], [2, 1, 1]], jnp.float32)

    def whole(hidden, kernel):
        return loss.sum_losses(loss.token_losses(hidden @ kernel, targets), weights, z_loss=0.1)

    def chunked(hidden, kernel):
        tokens = loss.chunked_token_losses(hidden, kernel, targets, num_chunks=4)
        return loss.sum_losses(tokens, weights, z_loss=0.1)

    expected = jax.grad(lambda *x: whole(*x).loss, argnums=(0, 1))(hidden, kernel)
    actual = jax.grad(lambda *x: chunked(*x).loss, argnums=(0, 1))(hidden, kernel)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_of_equal_logits_the_first_entry_counts_in_any_chunk():
    hidden, kernel, targets = jnp.ones((1, 4, 2)), jnp.ones((2, 4)), jnp.arange(4)[None]
    whole = loss.token_losses(hidden @ kernel, targets).correct
    assert whole.tolist() == [[True, False, False, False]]
    chunked = loss.chunked_token_losses(hidden, kernel, targets, num_chunks=2)
    assert chunked.correct.tolist() == whole.tolist()


def test_no_array_of_all_logits_is_made():
    hidden, kernel, targets = _hidden_case(vocab=96)

    def total(hidden, kernel):
        tokens = loss.chunked_token_losses(hidden, kernel, targets, num_chunks=8)
        return loss.sum_losses(tokens, jnp.ones((2, 3))).loss

    text = jax.jit(jax.grad(total, argnums=(0, 1))).lower(hidden, kernel).compile().as_text()
    assert "f32[2,3,12]" in text
    assert "f32[2,3,96]" not in text


def test_chunks_must_divide_the_vocabulary():
    with pytest.raises(
        ValueError, match=r"vocabulary_chunks \(5\) must divide .*vocab_size \(12\)"
    ):
        loss.chunked_token_losses(*_hidden_case(), num_chunks=5)
