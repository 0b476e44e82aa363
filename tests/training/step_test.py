"""One step: normalisation by real target tokens, metrics, donation, dropout keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flantune.configs import OptimizerConfig
from flantune.training import loss, sharding, state as state_lib, step as step_lib

from . import linear_model


def _copied(tree):
    return jax.tree.map(np.array, tree)


def _one_step(batch, optimizer_config=None, num_tasks=0, **overrides):
    """State before, state after and metrics of one step, all on the host."""
    parts = linear_model.parts(num_steps=10, **overrides)
    parts["optimizer_config"] = optimizer_config or parts["optimizer_config"]
    state = state_lib.init_state(*(parts[n] for n in ("model", "optimizer", "mesh", "rules")), 3)
    before = _copied(state)
    train_step = step_lib.make_train_step(**parts, num_steps=10, seed=3, num_tasks=num_tasks)
    with jax.set_mesh(parts["mesh"]):
        after, metrics = train_step(state, sharding.shard_batch(batch, parts["mesh"]))
    return before, _copied(after), _copied(metrics)


@pytest.fixture(scope="module")
def batch():
    return next(linear_model.CountingBatches())


@pytest.fixture(scope="module")
def step(batch):
    return _one_step(batch, dropout_rate=0.0)


def test_metrics_count_tokens_and_add_up(step, batch):
    before, after, metrics = step
    assert metrics["num_input_tokens"] == 8 * 4  # rows x tokens, less one padding each
    assert metrics["num_target_tokens"] == batch["decoder_loss_weights"].sum()
    np.testing.assert_allclose(
        metrics["loss"], metrics["cross_entropy"] + metrics["z_loss"], rtol=1e-6
    )
    assert metrics["learning_rate"] == np.float32(0.03)
    norm = np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(before.params)))
    np.testing.assert_allclose(metrics["param_norm"], norm, rtol=1e-6)
    assert int(after.step) == 1


def test_loss_and_accuracy_are_means_over_real_target_tokens(step, batch):
    before, _, metrics = step
    model = linear_model.LinearModel(dropout_rate=0.0)
    logits = np.asarray(model.apply(before.params, batch), np.float64)
    log_partition = np.log(np.exp(logits).sum(axis=-1))
    targets, weights = batch["decoder_target_tokens"], batch["decoder_loss_weights"]
    target_logits = np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    expected = np.sum((log_partition - target_logits) * weights) / weights.sum()
    np.testing.assert_allclose(metrics["cross_entropy"], expected, rtol=1e-5)
    correct = np.sum((logits.argmax(axis=-1) == targets) * weights) / weights.sum()
    np.testing.assert_allclose(metrics["accuracy"], correct, rtol=1e-6)


def test_rows_of_padding_change_nothing_but_the_shape(step, batch):
    padded = {name: np.concatenate([array, np.zeros_like(array)]) for name, array in batch.items()}
    _, after, metrics = _one_step(padded, dropout_rate=0.0)
    np.testing.assert_allclose(metrics["loss"], step[2]["loss"], rtol=1e-6)
    np.testing.assert_allclose(metrics["grad_norm"], step[2]["grad_norm"], rtol=1e-5)
    jax.tree.map(
        lambda actual, expected: np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6),
        after.params,
        step[1].params,
    )


def _same_step(actual, expected, rtol):
    for name in ("loss", "accuracy", "grad_norm", "num_target_tokens"):
        np.testing.assert_allclose(actual[2][name], expected[2][name], rtol=rtol)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol),
        actual[1].params,
        expected[1].params,
    )


@pytest.mark.parametrize("microbatches", [2, 4, 8])
def test_microbatches_take_the_step_of_the_whole_batch(batch, microbatches):
    """Though their rows hold different numbers of tokens."""
    weights = batch["decoder_loss_weights"] * (np.arange(5) <= np.arange(8)[:, None] % 4)
    uneven = batch | {"decoder_loss_weights": weights.astype(np.float32)}
    assert weights[0::2].sum() != weights[1::2].sum()
    config = OptimizerConfig(name="adafactor", learning_rate=0.03, microbatches=microbatches)
    actual = _one_step(uneven, dropout_rate=0.0, optimizer_config=config)
    _same_step(actual, _one_step(uneven, dropout_rate=0.0), 1e-6)


def test_microbatches_must_divide_the_rows(batch):
    config = OptimizerConfig(name="adafactor", learning_rate=0.03, microbatches=3)
    with pytest.raises(ValueError, match=r"microbatches \(3\) must divide .*batch_size \(8\)"):
        _one_step(batch, optimizer_config=config)


@pytest.mark.parametrize("microbatches", [1, 4])
def test_the_loss_of_each_task_is_that_of_its_tokens(step, batch, microbatches):
    config = OptimizerConfig(name="adafactor", learning_rate=0.03, microbatches=microbatches)
    before, after, metrics = _one_step(
        batch, dropout_rate=0.0, optimizer_config=config, num_tasks=4
    )
    model = linear_model.LinearModel(dropout_rate=0.0)
    targets = jnp.asarray(batch["decoder_target_tokens"])
    losses = loss.token_losses(model.apply(before.params, batch), targets)
    nats = np.asarray(losses.cross_entropy, np.float64)
    own = [batch["decoder_task_ids"] == task for task in range(4)]
    expected = [np.sum(nats * is_own) for is_own in own]
    np.testing.assert_allclose(metrics["task_cross_entropy"], expected, rtol=1e-5)
    np.testing.assert_array_equal(metrics["task_weight"], [is_own.sum() for is_own in own])
    assert metrics["task_weight"][3] == 0  # no such task in the batch
    np.testing.assert_allclose(
        metrics["task_cross_entropy"].sum() / metrics["task_weight"].sum(),
        metrics["cross_entropy"],
        rtol=1e-5,
    )
    _same_step((before, after, metrics), step, 1e-6)


def test_a_loss_in_chunks_of_the_vocabulary_takes_the_same_step(step, batch):
    config = OptimizerConfig(name="adafactor", learning_rate=0.03, vocabulary_chunks=4)
    _same_step(_one_step(batch, dropout_rate=0.0, optimizer_config=config), step, 1e-5)


def test_batch_without_a_single_target_gives_zero_loss_and_no_nan(batch):
    empty = batch | {"decoder_loss_weights": np.zeros_like(batch["decoder_loss_weights"])}
    _, after, metrics = _one_step(empty, dropout_rate=0.0)
    assert metrics["loss"] == 0
    assert metrics["grad_norm"] == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.params))


def test_the_given_state_is_donated(batch):
    parts = linear_model.parts(num_steps=10, dropout_rate=0.0)
    state = state_lib.init_state(*(parts[n] for n in ("model", "optimizer", "mesh", "rules")), 3)
    train_step = step_lib.make_train_step(**parts, num_steps=10, seed=3)
    with jax.set_mesh(parts["mesh"]):
        train_step(state, sharding.shard_batch(batch, parts["mesh"]))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.params))


def test_step_without_a_mesh_in_context_is_refused(batch):
    parts = linear_model.parts(dropout_rate=0.0)
    state = state_lib.abstract_state(*(parts[n] for n in ("model", "optimizer", "mesh", "rules")))
    train_step = step_lib.make_train_step(**parts, num_steps=10, seed=3)
    with pytest.raises(RuntimeError, match=r"jax\.set_mesh"):
        train_step.lower(state, batch)


def test_dropout_follows_seed_and_step(batch, step):
    losses = [_one_step(batch)[2]["loss"] for _ in range(2)]
    assert losses[0] == losses[1] != step[2]["loss"]  # `step` has no dropout
    keys = {
        tuple(jax.random.key_data(step_lib.dropout_key(seed, step)).tolist())
        for seed in (0, 1)
        for step in (0, 1)
    }
    assert len(keys) == 4
