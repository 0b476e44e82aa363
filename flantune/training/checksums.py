"""A checksum of each array of a tree, computed where the array is: no copy to the host, the same on any mesh.

They are saved with a checkpoint and computed again after it is loaded: a bit that changed on the way, on a disk or in a
bucket, is found, which the formats underneath do not promise. Not cryptographic. `checkpoints.py` uses them.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree, Shaped, UInt32

from flantune.training import sharding

_FIRST, _FACTOR = 0x9E3779B9, 0x85EBCA6B  # odd; any would do


def _bits(array: Shaped[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """The bits of each value, at most 32, as an unsigned number."""
    if array.dtype == jnp.bool_:
        return array.astype(jnp.uint32)
    unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[array.dtype.itemsize]
    return jax.lax.bitcast_convert_type(array, unsigned).astype(jnp.uint32)


@jax.jit  # by array: layers of one shape are compiled once
def _checksum(array: Shaped[Array, "..."]) -> UInt32[Array, ""]:
    """Sum of each value's bits times an odd number that depends on its place, modulo 2**32.

    Odd, so that no single changed value goes unseen; by place, so that values cannot change places. Sums of whole numbers
    do not depend on their order, so the result does not depend on how the array is sharded.
    """
    place = jnp.zeros(array.shape, jnp.uint32)
    for axis, size in enumerate(array.shape):
        place = place * jnp.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, array.shape, axis)
    mixed = place * jnp.uint32(_FACTOR)
    weight = ((mixed ^ (mixed >> 15)) + jnp.uint32(_FIRST)) | jnp.uint32(1)
    return jnp.sum(_bits(array) * weight, dtype=jnp.uint32)


def of(tree: PyTree) -> dict[str, int]:
    """The checksum of each array by path, for example {"params/decoder/logits_dense/kernel": 2910}.

    With several processes, all must call this with the same tree.
    """
    paths, leaves = zip(*jax.tree_util.tree_leaves_with_path(tree), strict=True)
    # Started for all before the first is waited for.
    found = jax.device_get([_checksum(leaf) for leaf in leaves])
    return {sharding.path_name(path): int(value) for path, value in zip(paths, found, strict=True)}


def differences(tree: PyTree, expected: Mapping[str, int]) -> list[str]:
    """Paths of the arrays whose checksum is not the expected one; arrays without one are not looked at."""
    return sorted(
        name for name, value in of(tree).items() if name in expected and expected[name] != value
    )
