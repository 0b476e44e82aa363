"""T5X's native checkpoints: one msgpack file, and a zarr array beside it for each large leaf.

All published T5, T5 1.1, LM-adapted, Flan-T5, mT5, ByT5 and umT5 checkpoints are of this kind. The file `checkpoint`
holds `{"version": 3, "optimizer": {"target": ..., "state": {"step", "param_states"}}}`; a leaf is an array, or a
dict that says which TensorStore array holds it. `write` makes one; `t5x_checkpoint.py` opens them.
"""

from collections.abc import Iterator, Mapping
import contextlib
import math
import uuid

from etils import epath
from flax import serialization, traverse_util
import ml_dtypes
import numpy as np
import tensorstore

from flantune.host import atomic
from flantune.interop import param_source, t5x_leaves

FILE = "checkpoint"
DTYPES: Mapping[str, np.dtype] = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
CHUNK_BYTES = 64 * 2**20  # at most, of a zarr array; t5x's
_VERSION, _OLDEST_VERSION = 3, 2  # t5x itself reads none before 2
_COMPRESSOR = {"id": "gzip", "level": 1}
_UNUSED = (1,)  # shape of a statistic that Adafactor does not keep


def write(
    folder: epath.PathLike,
    source: param_source.ParamSource,
    *,
    step: int,
    dtype: str = "float32",
    optimizer_state: param_source.ParamSource | None = None,
) -> epath.Path:
    """Writes `folder/checkpoint_<step>` as t5x itself would, array by array; returns its path.

    One array is in memory at a time. The checkpoint appears under its name when it is whole; in a bucket, where nothing
    can be renamed, the file without which it is none is written last.

    Args:
        folder: a model's folder, local or `gs://`.
        source: parameters by the names of separate layers.
        step: training steps done, those of pretraining included.
        dtype: "float32" or "bfloat16" of the parameters; the optimizer's statistics stay as they are.
        optimizer_state: Adafactor's statistics by t5x's names (`adafactor_state.t5x_statistics`). Without them t5x
            evaluates and infers, but does not train from the checkpoint.

    Raises:
        ValueError: another dtype.
        FileExistsError: there is such a checkpoint.
    """
    check_dtype(dtype)
    final = new_folder(folder, step)
    with renamed_when_whole(final) as place:
        place.mkdir(exist_ok=True)
        state: dict[str, object] = {"step": np.asarray(step, np.int32)}
        if optimizer_state is not None:
            state["param_states"] = _write_arrays(place, "state.param_states", optimizer_state)
        target = _write_arrays(place, "target", source, dtype)
        content = {"version": _VERSION, "optimizer": {"state": state, "target": target}}
        atomic.write_bytes(place / FILE, serialization.msgpack_serialize(content))
    return final


def check_dtype(dtype: str) -> None:
    """Raises ValueError for a dtype in which parameters are not written; float16 is too narrow for T5's activations."""
    if dtype not in DTYPES:
        raise ValueError(f"A T5X checkpoint is written as {' or '.join(DTYPES)}, not {dtype!r}.")


def new_folder(folder: epath.PathLike, step: int) -> epath.Path:
    """The folder of a new checkpoint.

    Raises:
        FileExistsError: there is one.
    """
    final = epath.Path(folder).expanduser() / f"checkpoint_{step}"
    if final.exists():
        raise FileExistsError(
            f"{final} exists already. Delete it or write to another folder or step."
        )
    return final


@contextlib.contextmanager
def renamed_when_whole(final: epath.Path) -> Iterator[epath.Path]:
    """A folder to write in, which gets its name when the block ends and is gone when it fails.

    In a bucket it is `final` from the start.
    """
    is_bucket = str(final).startswith(t5x_leaves.BUCKET_PREFIX)
    place = final if is_bucket else final.parent / f".{final.name}.{uuid.uuid4().hex}.tmp"
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield place
        if not is_bucket:
            place.rename(final)
    except BaseException:
        place.rmtree(missing_ok=True)
        raise


def _write_arrays(
    place: epath.Path, prefix: str, source: param_source.ParamSource, dtype: str | None = None
) -> dict:
    """Writes a source's arrays, cast to `dtype`, and returns their tree as the msgpack file holds it."""
    leaves: dict[str, object] = {}
    for name, info in source.arrays.items():
        array = source.read(name)
        if dtype is not None:
            array = array.astype(DTYPES[dtype], copy=False)
        if dtype is None and _is_inline(name, info.shape):
            leaves[name] = array
        else:
            leaves[name] = _write_zarr(place, f"{prefix}.{name.replace('/', '.')}/", array)
    return traverse_util.unflatten_dict(leaves, sep="/")


def _is_inline(name: str, shape: tuple[int, ...]) -> bool:
    """Whether t5x keeps a statistic in the msgpack file: it does not split row and column sums over devices."""
    return not name.endswith("/v") or shape == _UNUSED


def _write_zarr(place: epath.Path, path: str, array: np.ndarray) -> dict[str, object]:
    """Writes an array and returns what refers to it; the path is relative, so that the folder can be moved."""
    metadata = {
        "chunks": chunk_shape(array.shape, array.dtype.itemsize),
        "compressor": _COMPRESSOR,
        "shape": list(array.shape),
    }
    kvstore = t5x_leaves.kvstore(place, path)
    spec = {"driver": "zarr", "dtype": array.dtype.name, "kvstore": kvstore, "metadata": metadata}
    store = tensorstore.open(spec, create=True, delete_existing=True).result()
    store.write(array).result()
    relative: t5x_leaves.KvSpec = {"driver": kvstore["driver"], "path": path}
    if "bucket" in kvstore:
        relative["bucket"] = "t5x-dummy-bucket"  # t5x replaces it by the bucket that it reads from
    return {**spec, "kvstore": relative}


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> list[int]:
    """Shape of a zarr array's chunks as t5x chooses it: divisors of the sides, 64 MiB at most, longest side first.

    (32128, 4096) of float32 gives [4016, 4096]: a quarter of the rows would be too much, an eighth fits.
    """
    chunk = list(shape)
    while math.prod(chunk) * itemsize > CHUNK_BYTES:
        longest = max(range(len(chunk)), key=lambda axis: chunk[axis])
        size = chunk[longest]
        chunk[longest] = next(part for part in range(size - 1, 0, -1) if shape[longest] % part == 0)
    return chunk


def load_msgpack(file: epath.Path, *, what: str) -> dict:
    """Content of a msgpack file with Flax's extensions: arrays, and arrays over 1 GiB in chunks.

    Raises:
        ValueError: it is something else.
    """
    try:
        content = serialization.msgpack_restore(file.read_bytes())
    except Exception as error:  # the decoder raises whatever the bytes lead it to
        raise ValueError(f"{what} has a file {file.name!r} that is no msgpack file.") from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{what} has a file {file.name!r} that holds no tree but {type(content).__name__}."
        )
    return content


def find_leaves(
    folder: epath.Path, content: Mapping[str, object], *, what: str
) -> dict[str, t5x_leaves.Leaf]:
    """Leaves of a native checkpoint by path ("target/encoder/...", "state/step"), from the file's content.

    Raises:
        ValueError: the version is too old, or an array is not there.
    """
    version = content.get("version", 0)
    if not isinstance(version, int) or version < _OLDEST_VERSION:
        raise ValueError(
            f"{what} has T5X's format version {version!r}; versions from {_OLDEST_VERSION} on can be read."
        )
    found: dict[str, t5x_leaves.Leaf] = {}
    stored: dict[str, t5x_leaves.KvSpec] = {}
    for name, leaf in walk(content["optimizer"]):
        if isinstance(leaf, np.ndarray | np.generic | int | float):
            found[name] = t5x_leaves.InlineLeaf(np.asarray(leaf))
        elif isinstance(leaf, Mapping):
            stored[name] = t5x_leaves.kvstore(folder, _array_folder(leaf, name, what))
        else:
            raise ValueError(f"{what} holds no array but {leaf!r} as {name!r}.")
    return found | t5x_leaves.open_zarr(stored, what=what)


def _is_spec(node: object) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("driver"), str)


def walk(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """Path and value of each leaf of a msgpack file's tree; what is empty (None, {}) is none."""
    if isinstance(node, Mapping) and not _is_spec(node):
        for name, child in node.items():
            yield from walk(child, (*path, str(name)))
    elif node is not None:
        yield "/".join(path), node


def _array_folder(spec: Mapping[str, object], name: str, what: str) -> str:
    """The folder of an array, relative to the checkpoint; before TensorStore 0.1.14 it stood beside the kvstore."""
    store = spec.get("kvstore")
    path = store.get("path") if isinstance(store, Mapping) else None
    path = spec.get("path") if path is None else path
    if not isinstance(path, str):
        raise ValueError(f"{what} does not say where the array {name!r} lies: {dict(spec)!r}.")
    return path
