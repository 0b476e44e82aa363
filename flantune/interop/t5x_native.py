"""T5X's native checkpoints: one msgpack file, and a zarr array beside it for each large leaf.

All published T5, T5 1.1, LM-adapted, Flan-T5, mT5, ByT5 and umT5 checkpoints are of this kind. The file `checkpoint`
holds `{"version": 3, "optimizer": {"target": ..., "state": {"step", "param_states"}}}`; a leaf is an array, or a
dict that says which TensorStore array holds it. `t5x_checkpoint.py` opens them.
"""

from collections.abc import Iterator, Mapping

from etils import epath
from flax import serialization
import numpy as np

from flantune.interop import t5x_leaves

FILE = "checkpoint"
_OLDEST_VERSION = 2  # t5x itself reads none before


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
    for name, leaf in _walk(content["optimizer"]):
        if isinstance(leaf, np.ndarray | np.generic | int | float):
            found[name] = t5x_leaves.InlineLeaf(np.asarray(leaf))
        elif isinstance(leaf, Mapping):
            stored[name] = t5x_leaves.kvstore(folder, _array_folder(leaf, name, what))
        else:
            raise ValueError(f"{what} holds no array but {leaf!r} as {name!r}.")
    return found | t5x_leaves.open_zarr(stored, what=what)


def _is_spec(node: object) -> bool:
    return isinstance(node, Mapping) and isinstance(node.get("driver"), str)


def _walk(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """Path and value of each leaf; what is empty (None, {}) is none."""
    if isinstance(node, Mapping) and not _is_spec(node):
        for name, child in node.items():
            yield from _walk(child, (*path, str(name)))
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
