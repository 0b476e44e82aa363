"""Packed rows, as `data/input/packing.py` makes them, against the same examples alone: logits, losses and gradients."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from flantune import testing
from flantune.configs import OptimizerConfig
from flantune.data.input import packing
from flantune.models import t5
from flantune.training import loss, step

ROW = {"inputs_length": 48, "targets_length": 24}
OPTIMIZER = OptimizerConfig(name="adafactor", learning_rate=1e-3, z_loss=1e-4)


MODEL = t5.EncoderDecoder(testing.MODEL)


@functools.cache
def _params():
    return MODEL.init(jax.random.key(0))


@functools.cache
def _apply():
    return jax.jit(MODEL.apply)


@functools.cache
def _gradient():
    def gradient(params, batch):
        sums = step.batch_sums(MODEL, params, batch, None, OPTIMIZER)
        return sums.gradient, sums.losses

    return jax.jit(gradient)


@functools.cache
def _rows():
    """Examples of all lengths, the shortest of one token, in the rows that packing chooses."""
    rng = np.random.default_rng(0)
    examples = []
    for number in range(24):
        lengths = rng.integers(1, (30, 12))
        ids = [rng.integers(3, 260, length, dtype=np.int32) for length in lengths]
        examples.append(packing.Example(*ids, number % 4, 0, 0, number))
    assignment = packing.assign_rows(
        [len(example.inputs) for example in examples],
        [len(example.targets) for example in examples],
        **ROW,
    )
    rows = [[examples[number] for number in row] for row in assignment]
    assert max(len(row) for row in rows) > 2
    return rows


def _alone(rows):
    """One batch in which each example of the rows has a row of its own, in the same order."""
    return packing.make_rows([[example] for row in rows for example in row], **ROW)


def _segments(rows, array):
    """What each example's targets have in an array [rows, length, ...] over packed rows."""
    return [
        array[number, np.arange(start, start + len(example.targets))]
        for number, row in enumerate(rows)
        for example, start in zip(row, _starts(row), strict=True)
    ]


def _starts(row):
    return np.cumsum([0, *(len(example.targets) for example in row[:-1])])


def test_logits_of_packed_examples_are_those_of_the_examples_alone():
    rows, apply, params = _rows(), _apply(), _params()
    packed = np.asarray(apply(params, packing.make_rows(rows, **ROW)))
    alone = np.asarray(apply(params, _alone(rows)))
    assert packed.dtype == np.float32
    assert np.abs(packed).max() > 0.5  # so that 1e-5 means something
    singles = [[example] for row in rows for example in row]
    for ours, theirs in zip(_segments(rows, packed), _segments(singles, alone), strict=True):
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_an_example_alone_without_padding_gives_the_same_logits():
    rows = _rows()
    row = max(range(len(rows)), key=lambda number: len(rows[number]))
    packed = np.asarray(_apply()(_params(), packing.make_rows(rows, **ROW)))
    example = rows[row][1]
    bare = packing.make_rows(
        [[example]], inputs_length=len(example.inputs), targets_length=len(example.targets)
    )
    start = _starts(rows[row])[1]
    assert_allclose(
        packed[row, start : start + len(example.targets)],
        np.asarray(_apply()(_params(), bare))[0],
        rtol=1e-5,
        atol=1e-5,
    )


def test_without_segments_the_logits_differ():
    """What the first test would see if neighbours attended to each other."""
    rows = _rows()
    batch = packing.make_rows(rows, **ROW)
    leaky = {key: array for key, array in batch.items() if not key.endswith("segment_ids")}
    expected = np.asarray(_apply()(_params(), batch))
    actual = np.asarray(_apply()(_params(), leaky))
    weights = batch["decoder_loss_weights"][..., None]
    assert np.abs((actual - expected) * weights).max() > 1e-2


def test_the_loss_of_each_packed_example_is_its_loss_alone():
    rows, apply, params = _rows(), _apply(), _params()

    def nats(batch):
        tokens = loss.token_losses(
            apply(params, batch), jnp.asarray(batch["decoder_target_tokens"])
        )
        return np.asarray(tokens.cross_entropy) * batch["decoder_loss_weights"]

    alone = nats(_alone(rows)).sum(axis=1)
    packed = [tokens.sum() for tokens in _segments(rows, nats(packing.make_rows(rows, **ROW)))]
    assert_allclose(packed, alone, rtol=1e-5)


def test_the_gradient_of_a_packed_batch_is_the_sum_over_its_examples():
    rows, params = _rows(), _params()
    packed, packed_sums = _gradient()(params, packing.make_rows(rows, **ROW))
    summed = jax.tree.map(jnp.zeros_like, params)
    total = 0.0
    for example in (example for row in rows for example in row):
        own, sums = _gradient()(params, packing.make_rows([[example]], **ROW))
        summed = jax.tree.map(jnp.add, summed, own)
        total += float(sums.loss)
    assert_allclose(float(packed_sums.loss), total, rtol=1e-5)
    for ours, theirs in zip(jax.tree.leaves(packed), jax.tree.leaves(summed), strict=True):
        scale = np.abs(theirs).max()
        assert scale > 1e-3  # every parameter takes part
        assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * scale)
