"""A `ParamSource` over parameters in memory: what a model has, offered to a writer by the names of separate layers."""

from collections.abc import Mapping
import dataclasses
import functools

import jax
from jaxtyping import PyTree
import numpy as np

from flantune.interop import mismatch, param_source
from flantune.training import sharding


@dataclasses.dataclass(frozen=True)
class _Place:
    leaf: np.ndarray | jax.Array
    layer: int | None  # of a stack; None: the leaf itself


@dataclasses.dataclass(frozen=True)
class TreeSource:
    """Arrays of a nested dict, layers separate or stacked (`models/stacking.py`).

    Attributes:
        description: begins messages.
        tree: NumPy or jax arrays; those of jax with every shard in reach of this process.
    """

    description: str
    tree: PyTree

    @functools.cached_property
    def _places(self) -> Mapping[str, _Place]:
        places: dict[str, _Place] = {}
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.tree):
            name = sharding.path_name(path)
            if mismatch.is_stack(name):
                layers = mismatch.separate_names(name, leaf.shape[0])
                places |= {layer: _Place(leaf, i) for i, layer in enumerate(layers)}
            else:
                places[name] = _Place(leaf, None)
        return places

    @functools.cached_property
    def arrays(self) -> dict[str, param_source.ArrayInfo]:
        return {
            name: param_source.ArrayInfo(
                tuple(place.leaf.shape if place.layer is None else place.leaf.shape[1:]),
                np.dtype(place.leaf.dtype),
            )
            for name, place in self._places.items()
        }

    def read(self, name: str, index: param_source.Index | None = None) -> np.ndarray:
        if name not in self._places:
            raise KeyError(f"{self.description} has no array {name!r}.")
        place = self._places[name]
        array = place.leaf if place.layer is None else place.leaf[place.layer]
        return np.asarray(array if index is None else array[index])
