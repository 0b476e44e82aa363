"""T5X's checkpoints through Orbax: a folder `checkpoint_<step>/state` with the tree {"target", "state", ...}.

t5x writes arrays of zarr version 2 into one OCDBT database; for a time it wrote each to a folder of its own, with a
msgpack file whose leaves are "PLACEHOLDER://NAME". Both are read with TensorStore, without Orbax.
`t5x_checkpoint.py` opens them.
"""

from collections.abc import Iterable, Iterator, Mapping
import json

from etils import epath
import numpy as np
import tensorstore

from flantune.interop import t5x_leaves, t5x_native

ITEM = "state"
OCDBT_FILE = "manifest.ocdbt"
METADATA_FILE = "_METADATA"
_PLACEHOLDER = "PLACEHOLDER://"
_ZARR_FILE = "/.zarray"


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
    for path, leaf in _walk(content):
        name = "/".join(part for part in path if part != "_optimizer")  # Orbax's first months
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
        isinstance(leaf, str) and leaf.startswith(_PLACEHOLDER) for _, leaf in _walk(content)
    )


def _walk(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(node, Mapping):
        for name, child in node.items():
            yield from _walk(child, (*path, str(name)))
    elif node is not None:
        yield path, node


def _in_ocdbt(folder: epath.Path, *, what: str) -> dict[str, t5x_leaves.Leaf]:
    base = t5x_leaves.kvstore(folder)
    database: t5x_leaves.KvSpec = {"driver": "ocdbt", "base": base}
    keys = _keys(database, what=what)
    names = [key.removesuffix(_ZARR_FILE) for key in keys if key.endswith(_ZARR_FILE)]
    if not names:
        newer = any(key.endswith("zarr.json") for key in keys)
        held = "arrays of zarr version 3, which t5x neither writes nor reads" if newer else "none"
        raise ValueError(f"{what} should hold arrays of zarr version 2, but holds {held}.")
    return t5x_leaves.open_zarr(
        {name.replace(".", "/"): {**database, "path": f"{name}/"} for name in names}, what=what
    )


def _keys(database: t5x_leaves.KvSpec, *, what: str) -> list[str]:
    try:
        store = tensorstore.KvStore.open(database).result()
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
