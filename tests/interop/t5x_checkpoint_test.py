"""T5X checkpoints of every generation, written here as t5x wrote them, and one that t5x itself wrote."""

import pathlib

from flax import serialization, traverse_util
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from numpy.testing import assert_array_equal
from orbax import checkpoint as orbax
from orbax.checkpoint import v1 as ocp
import pytest
import tensorstore

from flantune.interop import param_source, t5x_checkpoint, t5x_leaves

T5X_DATA = pathlib.Path(__file__).parents[3] / "shared" / "data" / "t5x_checkpoint"
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
KERNEL = "encoder/layers_0/mlp/wo/kernel"


def _numbers(*shape, dtype=np.float32):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def _target(dtype=np.float32):
    return {
        "token_embedder": {"embedding": _numbers(6, 2, dtype=dtype)},
        "encoder": {"layers_0": {"mlp": {"wo": {"kernel": _numbers(3, 2, dtype=dtype)}}}},
    }


def _statistics():
    return {"encoder": {"layers_0": {"mlp": {"wo": {"kernel": {"v": 0.5 * _numbers(3, 2)}}}}}}


def _write_zarr(folder, array):
    spec = {
        "driver": "zarr",
        "kvstore": {"driver": "file", "path": str(folder)},
        "metadata": {"chunks": [2] * array.ndim, "compressor": {"id": "gzip"}},
        "create": True,
    }
    store = tensorstore.open(spec, dtype=array.dtype, shape=array.shape).result()
    store.write(array).result()


def _spec(path, driver, *, old_style):
    kvstore = {"driver": driver}
    if driver == "gcs":
        kvstore["bucket"] = "t5x-dummy-bucket"
    # What else a spec says must not matter: these chunks and this shape are wrong.
    spec = {"driver": "zarr", "dtype": "float32", "metadata": {"chunks": [9, 9], "shape": [9, 9]}}
    if old_style:
        return {**spec, "kvstore": kvstore, "path": path}
    return {**spec, "kvstore": {**kvstore, "path": f"{path}/"}}


def _write_native(folder, target, *, driver="file", old_style=False, version=3, inline=()):
    """As t5x writes: every leaf beside the msgpack file but those whose name is `inline`."""

    def written(tree, prefix):
        flat = traverse_util.flatten_dict(tree, sep="/")
        for name, array in flat.items():
            if name in inline:
                continue
            path = f"{prefix}.{name}".replace("/", ".")
            _write_zarr(folder / path, array)
            flat[name] = _spec(path, driver, old_style=old_style)
        return traverse_util.unflatten_dict(flat, sep="/")

    folder.mkdir(parents=True)
    state = {
        "step": np.int32(7),
        "param_states": written(_statistics(), "state.param_states"),
    }
    content = {
        "version": version,
        "optimizer": {"target": written(target, "target"), "state": state},
    }
    (folder / "checkpoint").write_bytes(serialization.msgpack_serialize(content))


def _orbax_tree(target):
    return {"target": target, "state": {"step": np.array(7), "param_states": _statistics()}}


def _write_ocdbt(folder, target):
    context = ocp.Context()
    context.array.saving.use_zarr3 = False
    with context:
        ocp.save_checkpointables(folder, {"state": _orbax_tree(target)})


def _write_by_manager(folder, target):
    """As t5x at its head writes: jax arrays, through the manager of Orbax's older interface."""
    options = orbax.CheckpointManagerOptions(step_prefix="checkpoint")
    tree = jax.tree.map(jnp.asarray, _orbax_tree(target))
    save = orbax.args.Composite(state=orbax.args.PyTreeSave(tree))
    with orbax.CheckpointManager(folder.parent, options=options, item_names=("state",)) as manager:
        manager.save(7, args=save)


def _write_folders(folder, target):
    """As Orbax wrote before OCDBT, with the description of the tree that it writes today."""
    with orbax.Checkpointer(orbax.PyTreeCheckpointHandler(use_ocdbt=False)) as checkpointer:
        checkpointer.save(folder / "state", _orbax_tree(target))


def _write_placeholders(folder, target):
    """As Orbax wrote in between: a msgpack file that names the folders."""
    flat = traverse_util.flatten_dict(_orbax_tree(target), sep=".")
    step = flat.pop("state.step")
    for name, array in flat.items():
        _write_zarr(folder / "state" / name, array)
    content = {name: f"PLACEHOLDER://{name}" for name in flat} | {"state.step": step}
    content = traverse_util.unflatten_dict(content, sep=".")
    (folder / "state" / "checkpoint").write_bytes(
        serialization.msgpack_serialize(content | {"flax_mutables": None})
    )


WRITERS = {
    "native": _write_native,
    "native, old specs": lambda folder, tree: _write_native(folder, tree, old_style=True),
    "native, from a bucket": lambda folder, tree: _write_native(folder, tree, driver="gcs"),
    "native, from Google": lambda folder, tree: _write_native(folder, tree, driver="gfile"),
    "native, inline": lambda folder, tree: _write_native(folder, tree, inline=(KERNEL,)),
    "Orbax, OCDBT": _write_ocdbt,
    "Orbax, manager": _write_by_manager,
    "Orbax, folders": _write_folders,
    "Orbax, placeholders": _write_placeholders,
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("dtype", [np.dtype(np.float32), BFLOAT16])
def test_every_generation_gives_the_same_arrays_step_and_statistics(writer, dtype, tmp_path):
    WRITERS[writer](tmp_path / "checkpoint_7", _target(dtype))
    checkpoint = t5x_checkpoint.open(tmp_path / "checkpoint_7")
    assert isinstance(checkpoint, param_source.ParamSource)
    assert checkpoint.arrays == {
        "token_embedder/embedding": param_source.ArrayInfo((6, 2), dtype),
        KERNEL: param_source.ArrayInfo((3, 2), dtype),
    }
    assert checkpoint.read(KERNEL).dtype == dtype
    assert_array_equal(checkpoint.read(KERNEL), _numbers(3, 2, dtype=dtype))
    rows = (slice(1, 4), slice(1, 2))
    assert_array_equal(checkpoint.read("token_embedder/embedding", rows), [[3], [5], [7]])
    last = (slice(-1, None), slice(None))
    assert_array_equal(checkpoint.read("token_embedder/embedding", last), [[10, 11]])
    assert (checkpoint.step, checkpoint.scanned) == (7, False)
    assert list(checkpoint.optimizer_state.arrays) == [f"{KERNEL}/v"]
    assert_array_equal(checkpoint.optimizer_state.read(f"{KERNEL}/v"), 0.5 * _numbers(3, 2))


@pytest.mark.parametrize("inline", [(), (KERNEL,)])
def test_integers_of_version_2_are_the_bits_of_bfloat16(inline, tmp_path):
    bits = {
        "encoder": {
            "layers_0": {"mlp": {"wo": {"kernel": _numbers(3, 2, dtype=BFLOAT16).view(np.uint16)}}}
        }
    }
    _write_native(tmp_path / "checkpoint_7", bits, version=2, inline=inline)
    checkpoint = t5x_checkpoint.open(tmp_path)
    assert checkpoint.arrays[KERNEL].dtype == BFLOAT16
    assert_array_equal(checkpoint.read(KERNEL, (slice(1, 2), slice(0, 2))), [[2.0, 3.0]])


def test_an_inline_array_in_flax_chunks_is_joined(tmp_path, monkeypatch):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 16)  # 1 GiB in truth
    _write_native(tmp_path / "checkpoint_7", _target(), inline=("token_embedder/embedding",))
    assert b"__msgpack_chunked_array__" in (tmp_path / "checkpoint_7" / "checkpoint").read_bytes()
    array = t5x_checkpoint.open(tmp_path).read("token_embedder/embedding")
    assert_array_equal(array, _numbers(6, 2))


def test_the_parent_gives_the_last_step_that_is_whole(tmp_path):
    for step in (9, 10):
        _write_native(tmp_path / f"checkpoint_{step}", _target())
    (tmp_path / "checkpoint_11").mkdir()
    _write_native(tmp_path / "checkpoint_12.tmp-1700000000", _target())
    description = t5x_checkpoint.open(tmp_path).description
    assert description == f"The T5X checkpoint {tmp_path}/checkpoint_10"
    assert t5x_checkpoint.open(tmp_path / "checkpoint_9").description.endswith("checkpoint_9")


# Two heads of three numbers, inputs of two numbers, four layers: all sizes differ.
LAYERS, EMB, HEADS, HEAD_DIM, MLP = 4, 2, 5, 3, 7


def _scanned_tower(tower):
    attention = {name: {"kernel": _numbers(EMB, LAYERS, HEADS, HEAD_DIM)} for name in ("query",)}
    attention["out"] = {"kernel": _numbers(HEADS, LAYERS, HEAD_DIM, EMB)}
    return {
        tower: {
            "attention": attention,
            "mlp": {"wi_0": {"kernel": _numbers(EMB, LAYERS, MLP)}},
            "pre_mlp_layer_norm": {"scale": _numbers(EMB, LAYERS)},
            "relpos_bias": {"rel_embedding": _numbers(HEADS, LAYERS, 32)},
        },
        f"{tower}_norm": {"scale": _numbers(EMB)},
    }


def test_scanned_layers_are_presented_apart_and_kernels_joined(tmp_path):
    tree = {"encoder": _scanned_tower("encoder"), "decoder": _scanned_tower("decoder")}
    _write_native(tmp_path / "checkpoint_7", tree)
    checkpoint = t5x_checkpoint.open(tmp_path)
    assert checkpoint.scanned
    layer_2 = {
        name.removeprefix("decoder/layers_2/"): info.shape
        for name, info in checkpoint.arrays.items()
        if name.startswith("decoder/layers_2/")
    }
    assert layer_2 == {
        "attention/query/kernel": (EMB, HEADS * HEAD_DIM),
        "attention/out/kernel": (HEADS * HEAD_DIM, EMB),
        "mlp/wi_0/kernel": (EMB, MLP),
        "pre_mlp_layer_norm/scale": (EMB,),
        "relpos_bias/rel_embedding": (HEADS, 32),
    }
    assert checkpoint.arrays["decoder/decoder_norm/scale"].shape == (EMB,)
    assert len(checkpoint.arrays) == 2 * (5 * LAYERS + 1)
    stacks = tree["decoder"]["decoder"]
    query = stacks["attention"]["query"]["kernel"][:, 2].reshape(EMB, HEADS * HEAD_DIM)
    out = stacks["attention"]["out"]["kernel"][:, 2].reshape(HEADS * HEAD_DIM, EMB)
    assert_array_equal(checkpoint.read("decoder/layers_2/attention/query/kernel"), query)
    assert_array_equal(checkpoint.read("decoder/layers_2/attention/out/kernel"), out)
    bias = stacks["relpos_bias"]["rel_embedding"][:, 2]
    assert_array_equal(checkpoint.read("decoder/layers_2/relpos_bias/rel_embedding"), bias)
    scale = checkpoint.read("decoder/layers_3/pre_mlp_layer_norm/scale", (slice(1, 2),))
    assert_array_equal(scale, [1 * LAYERS + 3])


@pytest.mark.parametrize(("start", "stop"), [(0, 15), (3, 6), (2, 4), (7, 8), (13, 15), (6, 6)])
def test_a_part_of_joined_heads_reads_only_the_heads_it_touches(start, stop):
    apart = _numbers(EMB, HEADS, HEAD_DIM)
    reads = []

    class Spy(t5x_leaves.InlineLeaf):
        def read(self, index=None):
            reads.append(index)
            return super().read(index)

    part = t5x_leaves.JoinedLeaf(Spy(apart), axis=1).read((slice(0, 2), slice(start, stop)))
    assert_array_equal(part, apart.reshape(EMB, -1)[:, start:stop])
    heads = reads[0][1]
    assert heads.stop - heads.start <= (stop - start + HEAD_DIM - 1) // HEAD_DIM + 1


def test_places_in_a_bucket_and_on_disk():
    place = "gs://models/t5x/checkpoint_8"
    assert t5x_leaves.kvstore(place, "target.encoder.encoder_norm.scale/") == {
        "driver": "gcs",
        "bucket": "models",
        "path": "t5x/checkpoint_8/target.encoder.encoder_norm.scale/",
    }
    assert t5x_leaves.kvstore("gs://models") == {"driver": "gcs", "bucket": "models", "path": ""}
    on_disk = {"driver": "file", "path": "/models/checkpoint_8/state/"}
    assert t5x_leaves.kvstore("/models/checkpoint_8/", "state") == on_disk
    bucket = t5x_leaves.kvstore(place, "state")
    database = t5x_leaves.ocdbt(f"{place}/state", "target.encoder.encoder_norm.scale")
    assert database == {
        "driver": "ocdbt",
        "base": bucket,
        "path": "target.encoder.encoder_norm.scale/",
    }
    for spec in (bucket, t5x_leaves.kvstore("/models", "a"), database):
        assert tensorstore.KvStore.Spec(spec).to_json() == spec


def _write_unlike(kind, folder):
    folder.mkdir()
    if kind == "empty":
        return
    if kind == "TensorFlow":
        (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-5"')
        (folder / "model.ckpt-5.index").touch()
    elif kind == "no msgpack":
        (folder / "checkpoint").write_bytes(b"\x00\x01")
    elif kind == "other msgpack":
        content = serialization.msgpack_serialize({"params": {}, "step": 3})
        (folder / "checkpoint").write_bytes(content)
    elif kind == "version 1":
        content = {"version": 1, "optimizer": {"target": {}, "state": {}}}
        (folder / "checkpoint").write_bytes(serialization.msgpack_serialize(content))
    elif kind == "other Orbax tree":
        folder.rmdir()
        context = ocp.Context()
        context.array.saving.use_zarr3 = False
        with context:
            ocp.save_checkpointables(folder, {"state": {"params": _target(), "step": np.array(1)}})
    elif kind == "zarr 3":
        folder.rmdir()
        ocp.save_checkpointables(folder, {"state": _orbax_tree(_target())})
    elif kind == "missing array":
        folder.rmdir()
        _write_native(folder, _target())
        (folder / "target.token_embedder.embedding" / ".zarray").unlink()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("empty", "is no T5X checkpoint and has none in it.*holds nothing"),
        ("TensorFlow", "is a TensorFlow checkpoint.*convert_tf_checkpoint"),
        ("no msgpack", "a file 'checkpoint' that is no msgpack file"),
        ("other msgpack", "holds params, step instead of 'version' and 'optimizer'"),
        ("version 1", "format version 1; versions from 2 on"),
        ("other Orbax tree", "is no T5X checkpoint: its tree has params, step, not 'target'"),
        ("zarr 3", "should hold arrays of zarr version 2, but holds arrays of zarr version 3"),
        ("missing array", "cannot open its array 'target/token_embedder/embedding'"),
    ],
)
def test_what_is_no_t5x_checkpoint_is_named(kind, message, tmp_path):
    _write_unlike(kind, tmp_path / "given")
    with pytest.raises(ValueError, match=message):
        t5x_checkpoint.open(tmp_path / "given")


def test_a_tensorflow_prefix_and_a_missing_folder_are_named(tmp_path):
    (tmp_path / "model.ckpt-5.index").touch()
    with pytest.raises(ValueError, match=r"model.ckpt-5 is a TensorFlow checkpoint"):
        t5x_checkpoint.open(tmp_path / "model.ckpt-5")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        t5x_checkpoint.open(tmp_path / "nowhere")


@pytest.mark.skipif(not T5X_DATA.exists(), reason=f"no t5x checkpoint at {T5X_DATA}")
def test_a_checkpoint_that_t5x_wrote():
    checkpoint = t5x_checkpoint.open(T5X_DATA / "native" / "checkpoint_8" / "checkpoint")
    assert checkpoint.step == 8
    assert len(checkpoint.arrays) == 61
    assert len(checkpoint.optimizer_state.arrays) == 4 * 61
    query = "decoder/layers_1/encoder_decoder_attention/query/kernel"
    assert checkpoint.arrays[query] == param_source.ArrayInfo((32, 48), np.dtype(np.float32))
    folder = T5X_DATA / "native" / "checkpoint_8" / f"target.{query.replace('/', '.')}"
    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(folder)}}
    assert_array_equal(checkpoint.read(query), tensorstore.open(spec).result().read().result())


def test_chunks_of_a_stack_are_read_once_for_all_layers(tmp_path):
    stack = _numbers(EMB, LAYERS, MLP)
    _write_native(tmp_path / "checkpoint_7", {"encoder": {"encoder": {"wi": {"kernel": stack}}}})
    checkpoint = t5x_checkpoint.open(tmp_path)
    assert_array_equal(checkpoint.read("encoder/layers_0/wi/kernel"), stack[:, 0])
    folder = tmp_path / "checkpoint_7" / "target.encoder.encoder.wi.kernel"
    for file in folder.glob("0.0.*"):  # layers 0 and 1
        file.unlink()
    assert_array_equal(checkpoint.read("encoder/layers_1/wi/kernel"), stack[:, 1])
