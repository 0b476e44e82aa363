"""Builds the arrays of a model's parameters from a `ParamSource`, each process reading only its own shards.

params = load_params(t5x_checkpoint.open("flan_t5_small/checkpoint_1198000"), abstract_state.params)
"""

from collections.abc import Callable

import jax
from jaxtyping import PyTree
import numpy as np

from flantune.interop import mismatch, param_source
from flantune.training import sharding


def load_params(source: param_source.ParamSource, abstract: PyTree) -> PyTree[jax.Array]:
    """The parameters of `source`, placed and cast as `abstract` says.

    Reads array by array: what a process holds at a time beside the result are its own shards of one array. A shard of a
    stack is filled layer by layer, and a part that several devices of a process hold is read once.

    Args:
        abstract: a nested dict of jax.ShapeDtypeStruct with shardings (`training.state.abstract_state(...).params`),
            layers separate or stacked. Without a sharding, the first device holds the array.

    Raises:
        ValueError: names or shapes differ; nothing has been read then. The message is the table of all differences.
    """
    problems = mismatch.compare(source.arrays, abstract)
    if problems:
        raise mismatch.MismatchError(problems.table(source.description))

    def load(path: jax.tree_util.KeyPath, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        placed = leaf.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        read = _once(part_reader(source, sharding.path_name(path), leaf))
        return jax.make_array_from_callback(leaf.shape, placed, read, dtype=leaf.dtype)

    return jax.tree_util.tree_map_with_path(load, abstract)


def part_reader(
    source: param_source.ParamSource, name: str, leaf: jax.ShapeDtypeStruct
) -> Callable[[param_source.Index], np.ndarray]:
    """What reads a part of one parameter of a model, in the model's dtype: `index` selects it from the whole."""
    if not mismatch.is_stack(name):
        return lambda index: source.read(name, index).astype(leaf.dtype, copy=False)
    layers = mismatch.separate_names(name, leaf.shape[0])

    def read(index: param_source.Index) -> np.ndarray:
        chosen = layers[index[0]]
        bounds = (part.indices(size) for part, size in zip(index[1:], leaf.shape[1:], strict=True))
        stack = np.empty((len(chosen), *(stop - start for start, stop, _ in bounds)), leaf.dtype)
        for place, layer in zip(stack, chosen, strict=True):
            place[...] = source.read(layer, index[1:])
        return stack

    return read


def _once(
    read: Callable[[param_source.Index], np.ndarray],
) -> Callable[[param_source.Index | None], np.ndarray]:
    """`read` that remembers the parts of one array, for the devices that hold the same part."""
    parts: dict[tuple[tuple[int | None, int | None], ...], np.ndarray] = {}

    def remembered(index: param_source.Index | None) -> np.ndarray:
        assert index is not None  # jax calls with None only for arrays that it does not place
        key = tuple((part.start, part.stop) for part in index)
        if key not in parts:
            parts[key] = read(index)
        return parts[key]

    return remembered
