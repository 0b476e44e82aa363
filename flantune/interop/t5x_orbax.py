"""T5X's checkpoints through Orbax: a folder `checkpoint_<step>/state` with the tree {"target", "state", ...}.

t5x writes arrays of zarr version 2 into one OCDBT database; for a time it wrote each to a folder of its own, with a
msgpack file whose leaves are "PLACEHOLDER://NAME". Both are read with TensorStore, without Orbax.
`write` makes one with a database, through Orbax; `t5x_checkpoint.py` opens them.
"""

from collections.abc import Iterable, Mapping
import json
import pathlib
import tempfile

from etils import epath
from flax import traverse_util
import numpy as np
from orbax.checkpoint import v1 as ocp
import tensorstore

from flantune.interop import param_source, t5x_leaves, t5x_native

ITEM = "state"
OCDBT_FILE = "manifest.ocdbt"
METADATA_FILE = "_METADATA"
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
    """Writes `folder/checkpoint_<step>` through Orbax, as t5x reads it; returns its path. Arguments and errors are those
    of `t5x_native.write`.

    Orbax wants all arrays at once. So that they need not be in memory, they are first written one by one to a scratch
    folder, beside `folder` if that is local, and given to Orbax as memory-mapped files: it takes the disk space of the
    model a second time, for a while.
    """
    t5x_native.check_dtype(dtype)
    final = t5x_native.new_folder(folder, step)
    is_bucket = str(final).startswith(t5x_leaves.BUCKET_PREFIX)
    if not is_bucket:
        final.parent.mkdir(parents=True, exist_ok=True)
    beside = None if is_bucket else str(final.parent)
    with tempfile.TemporaryDirectory(prefix=f".{final.name}.", dir=beside) as scratch:
        place = pathlib.Path(scratch)
        state: dict[str, object] = {"step": np.asarray(step, np.int32)}
        if optimizer_state is not None:
            state["param_states"] = _mapped(place / "states", optimizer_state)
        target = _mapped(place / "target", source, t5x_native.DTYPES[dtype])
        with _writing():
            ocp.save_checkpointables(final, {ITEM: {"target": target, "state": state}})
    return final


def _mapped(
    place: pathlib.Path, source: param_source.ParamSource, dtype: np.dtype | None = None
) -> dict:
    """The tree of a source's arrays, in files that are mapped into memory."""
    place.mkdir()
    leaves = {}
    for number, (name, info) in enumerate(source.arrays.items()):
        kept = info.dtype if dtype is None else dtype
        file = place / str(number)
        source.read(name).astype(kept, copy=False).tofile(file)
        leaves[name] = np.memmap(file, mode="r", dtype=kept, shape=info.shape)
    return traverse_util.unflatten_dict(leaves, sep="/")


def _writing() -> ocp.Context:
    """Orbax's options: the format that t5x reads, and little memory."""
    context = ocp.Context()
    context.array.saving.use_zarr3 = False
    storage = ocp.options.ArrayOptions.Saving.StorageOptions
    context.array.saving.storage_options = storage(chunk_byte_size=t5x_native.CHUNK_BYTES)
    # Orbax keeps what is written until a data file of this size is full; 2 GiB by default.
    context.array.saving.ocdbt_target_data_file_size = t5x_native.CHUNK_BYTES
    context.memory.deepcopy_host_arrays = False
    return context


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
