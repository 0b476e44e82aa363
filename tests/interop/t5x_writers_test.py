"""T5X checkpoints written by flantune: as t5x writes them, leaf by leaf, and as Orbax reads them."""

import json
import pathlib

from flax import serialization, traverse_util
import jax
import ml_dtypes
import numpy as np
from numpy.testing import assert_array_equal
from orbax import checkpoint as orbax
import pytest
import tensorstore

from flantune.interop import t5x_checkpoint, t5x_native, t5x_orbax
from flantune.interop.tree_source import TreeSource

T5X = pathlib.Path(__file__).parents[3] / "shared" / "data" / "t5x_checkpoint" / "native"
needs_data = pytest.mark.skipif(not T5X.exists(), reason=f"no t5x checkpoint at {T5X}")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def _write_orbax_array_by_array(*arguments, **keywords):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(t5x_orbax, "SMALL_BYTES", 4)  # a number
        return t5x_orbax.write(*arguments, **keywords)


WRITERS = {
    "native": t5x_native.write,
    "Orbax": t5x_orbax.write,
    "Orbax, by array": _write_orbax_array_by_array,
}


def _read_leaf(node, checkpoint):
    """An independent reader: the tree below `node`, each TensorStore spec replaced by its array."""
    if not isinstance(node, dict):
        return node
    if "driver" not in node:
        return {name: _read_leaf(child, checkpoint) for name, child in node.items()}
    path = str(checkpoint / node["kvstore"]["path"])
    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": path}}
    return np.asarray(tensorstore.open(spec).result().read().result())


def _content(checkpoint):
    return serialization.msgpack_restore((checkpoint / "checkpoint").read_bytes())


def _params():
    kernel = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    return {"encoder": {"layers_0": {"wo": {"kernel": kernel}}}, "norm": np.ones(5, np.float32)}


def _states():
    def of(v_row, v_col, v):
        statistics = {"v_row": v_row, "v_col": v_col, "v": v, "m": np.zeros(1)}
        return {name: np.asarray(value, np.float32) for name, value in statistics.items()}

    kernel = of(np.arange(3.0), np.arange(4.0), np.zeros(1))
    return {
        "encoder": {"layers_0": {"wo": {"kernel": kernel}}},
        "norm": of(np.zeros(1), np.zeros(1), np.arange(5.0)),
    }


def _write(writer, folder, *, dtype="float32", states=True, step=7):
    source = TreeSource("The model", _params())
    state = TreeSource("The statistics", _states()) if states else None
    return WRITERS[writer](folder, source, step=step, dtype=dtype, optimizer_state=state)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("dtype", "kept"), [("float32", np.dtype(np.float32)), ("bfloat16", BFLOAT16)]
)
def test_what_is_written_is_read_again(writer, dtype, kept, tmp_path):
    path = _write(writer, tmp_path, dtype=dtype)
    assert path == tmp_path / "checkpoint_7"
    assert [child.name for child in tmp_path.iterdir()] == ["checkpoint_7"]
    checkpoint = t5x_checkpoint.open(tmp_path)
    assert checkpoint.step == 7
    for expected, found, cast in (
        (_params(), checkpoint, kept),
        (_states(), checkpoint.optimizer_state, np.dtype(np.float32)),
    ):
        flat = traverse_util.flatten_dict(expected, sep="/")
        assert set(found.arrays) == set(flat)
        for name, array in flat.items():
            assert found.read(name).dtype == found.arrays[name].dtype == cast
            assert_array_equal(found.read(name), array.astype(cast), err_msg=name)


@pytest.mark.parametrize("writer", WRITERS)
def test_parameters_alone_have_no_optimizer_state(writer, tmp_path):
    _write(writer, tmp_path / "new" / "folder", states=False)
    checkpoint = t5x_checkpoint.open(tmp_path / "new" / "folder")
    assert checkpoint.optimizer_state is None
    assert checkpoint.step == 7


@needs_data
def test_a_native_checkpoint_is_to_the_leaf_what_t5x_writes(tmp_path):
    theirs = T5X / "checkpoint_8"
    source = t5x_checkpoint.open(theirs)
    states = source.optimizer_state
    ours = pathlib.Path(t5x_native.write(tmp_path, source, step=8, optimizer_state=states))
    written, expected = (
        traverse_util.flatten_dict(_content(path), sep="/") for path in (ours, theirs)
    )
    # Version, which leaves are inline, and driver, dtype, path, chunks, compressor and shape of the others.
    assert written.keys() == expected.keys()
    for name, value in expected.items():
        assert type(written[name]) is type(value), name
        assert_array_equal(written[name], value, err_msg=name)
        assert getattr(written[name], "dtype", None) == getattr(value, "dtype", None), name
    files = sorted(path.relative_to(theirs) for path in theirs.rglob("*") if path.is_file())
    assert sorted(p.relative_to(ours) for p in ours.rglob("*") if p.is_file()) == files
    for file in files:
        if file.name == ".zarray":
            assert json.loads((ours / file).read_text()) == json.loads((theirs / file).read_text())
    mine, original = (_read_leaf(_content(path), path) for path in (ours, theirs))
    jax.tree.map(assert_array_equal, mine, original)


def test_a_native_checkpoint_is_read_by_an_independent_reader(tmp_path):
    path = _write("native", tmp_path, dtype="bfloat16")
    content = _content(path)
    assert content["version"] == 3
    tree = _read_leaf(content["optimizer"], path)
    assert tree["state"]["step"] == 7
    kernel = tree["target"]["encoder"]["layers_0"]["wo"]["kernel"]
    assert kernel.dtype == BFLOAT16
    assert_array_equal(kernel, _params()["encoder"]["layers_0"]["wo"]["kernel"].astype(BFLOAT16))
    jax.tree.map(assert_array_equal, tree["state"]["param_states"], _states())


@pytest.mark.parametrize("writer", ["Orbax", "Orbax, by array"])
def test_orbax_reads_it_through_the_manager_that_t5x_uses(writer, tmp_path):
    _write(writer, tmp_path)
    expected = {
        "target": _params(),
        "state": {"step": np.array(7, np.int32), "param_states": _states()},
    }
    options = orbax.CheckpointManagerOptions(step_prefix="checkpoint")
    with orbax.CheckpointManager(tmp_path, options=options, item_names=("state",)) as manager:
        assert manager.latest_step() == 7
        device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        arguments = jax.tree.map(
            lambda leaf: orbax.ArrayRestoreArgs(
                restore_type=jax.Array, sharding=device, global_shape=leaf.shape, dtype=leaf.dtype
            ),
            expected,
        )
        restore = orbax.args.PyTreeRestore(item=expected, restore_args=arguments)
        restored = manager.restore(7, args=orbax.args.Composite(state=restore))["state"]
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(restored))
    jax.tree.map(assert_array_equal, restored, expected)


@pytest.mark.parametrize("writer", WRITERS)
def test_earlier_steps_may_follow_later_ones_and_none_is_overwritten(writer, tmp_path):
    _write(writer, tmp_path, step=9)
    _write(writer, tmp_path, step=7)
    assert sorted(child.name for child in tmp_path.iterdir()) == ["checkpoint_7", "checkpoint_9"]
    with pytest.raises(FileExistsError, match="checkpoint_9 exists already"):
        _write(writer, tmp_path, step=9)


@pytest.mark.parametrize("writer", WRITERS)
def test_what_fails_half_way_leaves_nothing(writer, tmp_path):
    class Failing(TreeSource):
        def read(self, name, index=None):
            if name == "norm":
                raise OSError("the disk is gone")
            return super().read(name, index)

    with pytest.raises(OSError, match="the disk is gone"):
        WRITERS[writer](tmp_path, Failing("The model", _params()), step=7)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("writer", WRITERS)
def test_float16_is_refused(writer, tmp_path):
    with pytest.raises(ValueError, match="as float32 or bfloat16, not 'float16'"):
        _write(writer, tmp_path, dtype="float16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("shape", "itemsize", "chunk"),
    [
        ((4096, 4096), 4, [4096, 4096]),  # 64 MiB
        ((32128, 4096), 4, [4016, 4096]),  # halved three times
        ((32128, 4096), 2, [8032, 4096]),
        ((4096, 10240), 4, [4096, 2560]),  # 10240 -> 5120 -> 2560
        ((8209, 4096), 4, [1, 4096]),  # a prime number
        ((), 4, []),
    ],
)
def test_chunks_divide_the_sides_and_hold_64_mib_at_most(shape, itemsize, chunk):
    assert t5x_native.chunk_shape(shape, itemsize) == chunk


def test_an_array_in_several_chunks_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(t5x_native, "CHUNK_BYTES", 16)  # four numbers
    path = _write("native", tmp_path, states=False)
    stored = path / "target.encoder.layers_0.wo.kernel"
    assert sorted(file.name for file in stored.iterdir()) == [
        ".zarray",
        *(f"{row}.{column}" for row in range(3) for column in range(2)),
    ]
    checkpoint = t5x_checkpoint.open(path)
    kernel = _params()["encoder"]["layers_0"]["wo"]["kernel"]
    assert_array_equal(checkpoint.read("encoder/layers_0/wo/kernel"), kernel)
    part = checkpoint.read("encoder/layers_0/wo/kernel", (slice(1, 2), slice(1, 4)))
    assert_array_equal(part, kernel[1:2, 1:4])
