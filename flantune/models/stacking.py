"""Conversion between separate layers (`layers_0`, `layers_1`, ...) and one stack (`layers`).

T5X and Hugging Face checkpoints hold separate layers; `ModelConfig.scan_layers` wants a stack, with
the layers on the first axis. Works on any nested dict of numpy or jax arrays, so on optimizer
statistics that are shaped like the parameters too. The model is in `t5.py`.
"""

from collections.abc import Mapping
import re

import jax
import jax.numpy as jnp
from jaxtyping import PyTree
import numpy as np

_LAYER_NAME = re.compile(r"layers_(\d+)")


def _stack_leaves(*leaves: np.ndarray | jax.Array) -> np.ndarray | jax.Array:
    if all(isinstance(leaf, np.ndarray) for leaf in leaves):
        return np.stack(leaves)
    return jnp.stack(leaves)


def stack_layers(params: PyTree) -> PyTree:
    """`params` with all `layers_<i>` of a dict joined to `layers`, on a new first axis.

    `{"layers_0": {"scale": [1, 2]}, "layers_1": {"scale": [3, 4]}}` becomes
    `{"layers": {"scale": [[1, 2], [3, 4]]}}`.

    Raises:
        ValueError: a layer is missing, or `params` is stacked already.
    """
    if not isinstance(params, Mapping):
        return params
    names = sorted(
        (name for name in params if _LAYER_NAME.fullmatch(name)),
        key=lambda name: int(name.removeprefix("layers_")),
    )
    if "layers" in params:
        raise ValueError(
            "Cannot stack layers: the parameters hold 'layers', so they are stacked already."
        )
    if names != [f"layers_{i}" for i in range(len(names))]:
        raise ValueError(
            f"Cannot stack layers: they must be numbered 0, 1, ... without gaps, not {names}."
        )
    stacked = {name: stack_layers(value) for name, value in params.items() if name not in names}
    if names:
        stacked["layers"] = jax.tree.map(_stack_leaves, *(params[name] for name in names))
    return stacked


def unstack_layers(params: PyTree) -> PyTree:
    """`params` with `layers` of a dict split into `layers_0`, ...: the inverse of `stack_layers`.

    Raises:
        ValueError: arrays of a stack differ in their first axis, or `params` is separate already.
    """
    if not isinstance(params, Mapping):
        return params
    if any(_LAYER_NAME.fullmatch(name) for name in params):
        raise ValueError(
            "Cannot unstack layers: the parameters hold 'layers_0', so they are separate already."
        )
    separate = {name: unstack_layers(value) for name, value in params.items() if name != "layers"}
    if "layers" in params:
        lengths = {leaf.shape[0] for leaf in jax.tree.leaves(params["layers"])}
        if len(lengths) != 1:
            raise ValueError(
                f"Cannot unstack layers: their arrays have different first axes: {sorted(lengths)}."
            )
        for i in range(lengths.pop()):
            separate[f"layers_{i}"] = jax.tree.map(lambda leaf, i=i: leaf[i], params["layers"])
    return separate
