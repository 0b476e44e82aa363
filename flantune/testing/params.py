"""Parameters in memory as a `ParamSource`, for tests of readers and writers."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from flantune.interop.param_source import ArrayInfo, Index, ParamSource

ArrayTree = Mapping[str, Any]  # Any: arrays, or such trees again


class ParamsInMemory:
    """A `ParamSource` over nested dicts of arrays with separate layers.

    Example: `ParamsInMemory({"decoder": {"decoder_norm": {"scale": array}}})` has "decoder/decoder_norm/scale".
    """

    description = "The tree in memory"

    def __init__(self, tree: ArrayTree) -> None:
        self._flat = dict(_flatten(tree, ""))

    @property
    def arrays(self) -> dict[str, ArrayInfo]:
        return {name: ArrayInfo(array.shape, array.dtype) for name, array in self._flat.items()}

    def read(self, name: str, index: Index | None = None) -> np.ndarray:
        return self._flat[name][index or ...]


def tree_of(source: ParamSource) -> dict[str, Any]:
    """What a `ParamSource` holds as nested dicts of arrays."""
    tree: dict[str, Any] = {}
    for name in source.arrays:
        *folders, leaf = name.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = source.read(name)
    return tree


def _flatten(tree: ArrayTree, prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", np.asarray(value)
