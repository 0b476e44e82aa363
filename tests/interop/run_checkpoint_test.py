"""Run checkpoints written array by array are Orbax's own to whoever restores them, and read back array by array."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from numpy.testing import assert_array_equal
import pytest

from flantune import testing
from flantune.configs import CheckpointConfig
from flantune.interop import run_checkpoint, tree_source
from flantune.models import t5
from flantune.training import checkpoints, state

MODEL = dataclasses.replace(testing.MODEL, num_encoder_layers=2)
FLOAT32 = np.dtype(np.float32)


def model_and_params(*, scan_layers):
    network = t5.EncoderDecoder(dataclasses.replace(MODEL, scan_layers=scan_layers))
    return network, network.init(jax.random.key(0))


def placed(shapes):
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.float32, sharding=device), shapes
    )


@pytest.mark.parametrize("scan_layers", [False, True])
def test_what_is_written_is_restored(tmp_path, scan_layers):
    network, params = model_and_params(scan_layers=scan_layers)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    source = tree_source.TreeSource("The tree", params)
    run_checkpoint.write(tmp_path, source, shapes, step=7, dtype=FLOAT32)
    saved = checkpoints.Checkpoints(tmp_path)
    assert saved.steps() == (7,)
    jax.tree.map(assert_array_equal, saved.restore_params(placed(shapes)), params)


def test_bfloat16_is_kept_on_disk_and_widened_by_the_restore(tmp_path):
    network, params = model_and_params(scan_layers=True)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    source = tree_source.TreeSource("The tree", params)
    bfloat16 = np.dtype(ml_dtypes.bfloat16)
    run_checkpoint.write(tmp_path, source, shapes, step=0, dtype=bfloat16)
    assert {info.dtype for info in run_checkpoint.open_run(tmp_path).arrays.values()} == {bfloat16}
    restored = checkpoints.Checkpoints(tmp_path).restore_params(placed(shapes))
    jax.tree.map(
        lambda found, leaf: assert_array_equal(found, leaf.astype(bfloat16).astype(FLOAT32)),
        restored,
        params,
    )


@pytest.mark.parametrize("scan_layers", [False, True])
def test_a_trained_run_is_read_with_separate_layers(tmp_path, scan_layers):
    _, params = model_and_params(scan_layers=scan_layers)
    saved = checkpoints.Checkpoints(tmp_path, CheckpointConfig(save_every_steps=1, keep_last=2))
    for step in (3, 4):
        tree = jax.tree.map(lambda leaf, step=step: leaf + step, params)
        saved.save(
            step, state.TrainState(step=jnp.int32(step), params=tree, opt_state={"m": 1.0}), {}
        )
    saved.close()
    expected = tree_source.TreeSource("The tree", jax.tree.map(lambda leaf: leaf + 3, params))
    found = run_checkpoint.open_run(tmp_path, 3)
    assert found.step == 3
    assert run_checkpoint.open_run(tmp_path).step == 4
    assert found.arrays == expected.arrays
    for name in expected.arrays:
        assert_array_equal(found.read(name), expected.read(name))
    name = "encoder/layers_1/mlp/wo/kernel"
    part = (slice(3, 9), slice(2, 5))
    assert_array_equal(found.read(name, part), expected.read(name, part))
    assert_array_equal(found.read(name, part[:1]), expected.read(name, part[:1]))


def test_large_arrays_are_stored_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(run_checkpoint, "_CHUNK_BYTES", 100)
    network, params = model_and_params(scan_layers=True)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    source = tree_source.TreeSource("The tree", params)
    run_checkpoint.write(tmp_path, source, shapes, step=7, dtype=FLOAT32)
    restored = checkpoints.Checkpoints(tmp_path).restore_params(placed(shapes))
    jax.tree.map(assert_array_equal, restored, params)


def test_a_checkpoint_that_is_not_there_or_damaged_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no checkpoint; it has none"):
        run_checkpoint.open_run(tmp_path)
    network, params = model_and_params(scan_layers=True)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    source = tree_source.TreeSource("The tree", params)
    run_checkpoint.write(tmp_path, source, shapes, step=7, dtype=FLOAT32)
    with pytest.raises(FileNotFoundError, match="no checkpoint of step 8; it has steps 7"):
        run_checkpoint.open_run(tmp_path, 8)
    (tmp_path / "checkpoints/checkpoint_7/state/_METADATA").write_text("{")
    with pytest.raises(ValueError, match="checkpoint_7 is damaged: its tree cannot be read"):
        run_checkpoint.open_run(tmp_path)
