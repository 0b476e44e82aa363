"""T5X's checkpoints through Orbax: a folder `checkpoint_<step>/state` with the tree {"target", "state", ...}.

t5x writes arrays of zarr version 2 into one OCDBT database; for a time it wrote each to a folder of its own, with a
msgpack file whose leaves are "PLACEHOLDER://NAME". Both are read with TensorStore, without Orbax.
`write` makes one with a database; `t5x_checkpoint.py` opens them.
"""

from collections.abc import Iterable, Mapping
import dataclasses
import json
import math

from etils import epath
from flax import traverse_util
import numpy as np
from orbax.checkpoint import v1 as ocp
import tensorstore

from flantune.interop import param_source, t5x_leaves, t5x_native

ITEM = "state"
OCDBT_FILE = "manifest.ocdbt"
METADATA_FILE = "_METADATA"
SMALL_BYTES = 2**20  # of an array that Orbax may write itself
_PLACEHOLDER = "PLACEHOLDER://"
_ZARR_FILE = "/.zarray"


def write(
    folder: epath.PathLike,
    source: param_source.ParamSource,
    *,
    step: int,
    dtype: str = "float32",
    optimizer_state: param_source.ParamSource | None = None,
) -> epath.Path:
    """Writes `folder/checkpoint_<step>` as t5x writes and reads it at its head; returns its path. Arguments and errors are
    those of `t5x_native.write`.

    Orbax wants all arrays in memory. So it writes the tree with the small arrays, and one number in place of each large
    one; TensorStore then puts the large ones there, one by one. In a bucket, where nothing can be renamed, the folder has
    its name before it is whole.
    """
    t5x_native.check_dtype(dtype)
    final = t5x_native.new_folder(folder, step)
    with t5x_native.renamed_when_whole(final) as place:
        large: dict[str, _Part] = {}
        state: dict[str, object] = {"step": np.asarray(step, np.int32)}
        if optimizer_state is not None:
            state["param_states"] = _tree("state.param_states", optimizer_state, None, large)
        target = _tree("target", source, t5x_native.DTYPES[dtype], large)
        context = ocp.Context()
        context.array.saving.use_zarr3 = False
        with context:
            ocp.save_checkpointables(place, {ITEM: {"target": target, "state": state}})
        for path, part in large.items():
            _put(place / ITEM, path, part.read())
    return final


@dataclasses.dataclass(frozen=True)
class _Part:
    """An array of a source, in the dtype in which it is written."""

    source: param_source.ParamSource
    name: str
    dtype: np.dtype

    def read(self) -> np.ndarray:
        return self.source.read(self.name).astype(self.dtype, copy=False)


def _tree(
    prefix: str,
    source: param_source.ParamSource,
    dtype: np.dtype | None,
    large: dict[str, _Part],
) -> dict:
    """The tree of a source's small arrays, and a number in place of the large ones, which join `large` by path."""
    leaves: dict[str, np.ndarray] = {}
    for name, info in source.arrays.items():
        part = _Part(source, name, info.dtype if dtype is None else dtype)
        if math.prod(info.shape) * part.dtype.itemsize <= SMALL_BYTES:
            leaves[name] = part.read()
        else:
            leaves[name] = np.zeros((1,) * len(info.shape), part.dtype)
            large[f"{prefix}.{name.replace('/', '.')}"] = part
    return traverse_util.unflatten_dict(leaves, sep="/")


def _put(item: epath.Path, path: str, array: np.ndarray) -> None:
    """Writes an array over the one that lies in the database by that path."""
    metadata = {
        "shape": list(array.shape),
        "chunks": t5x_native.chunk_shape(array.shape, array.dtype.itemsize),
        "compressor": {"id": "zstd", "level": 1},  # Orbax's
    }
    kvstore = t5x_leaves.ocdbt(item, path)
    spec = {"driver": "zarr", "dtype": array.dtype.name, "kvstore": kvstore, "metadata": metadata}
    store = tensorstore.open(spec, create=True, delete_existing=True).result()
    store.write(array).result()


def is_item(folder: epath.Path) -> bool:
    """Whether a folder holds a tree that Orbax wrote."""
    return any((folder / file).exists() for file in (OCDBT_FILE, METADATA_FILE, t5x_native.FILE))


def find_leaves(folder: epath.Path, *, what: str) -> dict[str, t5x_leaves.Leaf]:
    """Leaves of an Orbax tree in `folder` by path ("target/encoder/...", "state/step").

    Raises:
        ValueError: an array is not there, or the arrays are of zarr version 3, which t5x does not write.
    """
    if (folder / OCDBT_FILE).exists():
        return _in_ocdbt(folder, what=what)
    if (folder / t5x_native.FILE).exists():
        content = t5x_native.load_msgpack(folder / t5x_native.FILE, what=what)
        return find_placeholders(folder, content, what=what)
    names = _names_in_metadata(folder, what=what)
    return t5x_leaves.open_zarr(
        {"/".join(name): t5x_leaves.kvstore(folder, ".".join(name)) for name in names}, what=what
    )


def find_placeholders(
    folder: epath.Path, content: Mapping[str, object], *, what: str
) -> dict[str, t5x_leaves.Leaf]:
    """Leaves of a tree whose arrays lie in folders of their own, from the content of its msgpack file."""
    found: dict[str, t5x_leaves.Leaf] = {}
    stored: dict[str, t5x_leaves.KvSpec] = {}
    for path, leaf in t5x_native.walk(content):
        name = path.removeprefix("_optimizer/")  # in Orbax's first months
        if isinstance(leaf, str) and leaf.startswith(_PLACEHOLDER):
            stored[name] = t5x_leaves.kvstore(folder, leaf.removeprefix(_PLACEHOLDER))
        elif isinstance(leaf, np.ndarray | np.generic | int | float):
            found[name] = t5x_leaves.InlineLeaf(np.asarray(leaf))
        else:
            raise ValueError(f"{what} holds neither an array nor a placeholder as {name!r}.")
    return found | t5x_leaves.open_zarr(stored, what=what)


def holds_placeholders(content: Mapping[str, object]) -> bool:
    """Whether the content of a msgpack file refers to arrays in Orbax's way."""
    return any(
        isinstance(leaf, str) and leaf.startswith(_PLACEHOLDER)
        for _, leaf in t5x_native.walk(content)
    )


def _in_ocdbt(folder: epath.Path, *, what: str) -> dict[str, t5x_leaves.Leaf]:
    keys = _keys(folder, what=what)
    names = [key.removesuffix(_ZARR_FILE) for key in keys if key.endswith(_ZARR_FILE)]
    if not names:
        newer = any(key.endswith("zarr.json") for key in keys)
        held = "arrays of zarr version 3, which t5x neither writes nor reads" if newer else "none"
        raise ValueError(f"{what} should hold arrays of zarr version 2, but holds {held}.")
    return t5x_leaves.open_zarr(
        {name.replace(".", "/"): t5x_leaves.ocdbt(folder, name) for name in names}, what=what
    )


def _keys(folder: epath.Path, *, what: str) -> list[str]:
    try:
        store = tensorstore.KvStore.open(t5x_leaves.ocdbt(folder)).result()
        return [key.decode() for key in store.list().result()]
    except ValueError as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"{what} has a database that cannot be read: {reason}") from error


def _names_in_metadata(folder: epath.Path, *, what: str) -> Iterable[tuple[str, ...]]:
    """Paths of the arrays, from the file with which Orbax describes a tree."""
    try:
        entries = json.loads((folder / METADATA_FILE).read_text())["tree_metadata"].values()
        return [
            tuple(str(key["key"]) for key in entry["key_metadata"])
            for entry in entries
            if entry["value_metadata"]["value_type"] != "None"
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{what} has a file {METADATA_FILE!r} that cannot be read.") from error
