"""Checksums see any changed bit and do not see the sharding."""

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np
import pytest

from flantune.training import checksums


def _tree():
    rng = np.random.default_rng(0)
    return {
        "kernel": jnp.asarray(rng.normal(size=(8, 6, 4)), jnp.float32),
        "half": jnp.asarray(rng.normal(size=(8,)), jnp.bfloat16),
        "step": jnp.int32(7),
    }


def test_an_equal_tree_has_equal_checksums_by_path():
    found = checksums.of({"params": _tree()})
    assert set(found) == {"params/kernel", "params/half", "params/step"}
    assert found == checksums.of({"params": _tree()})
    assert checksums.differences({"params": _tree()}, found) == []


@pytest.mark.parametrize("bit", [0, 1, 17, 31])
@pytest.mark.parametrize("place", [0, 5, 191])
def test_one_changed_bit_is_seen(bit, place):
    tree = _tree()
    expected = checksums.of(tree)
    bits = np.asarray(tree["kernel"]).copy().view(np.uint32)
    bits.ravel()[place] ^= np.uint32(1 << bit)
    changed = {**tree, "kernel": jnp.asarray(bits.view(np.float32))}
    assert checksums.differences(changed, expected) == ["kernel"]


def test_changed_places_and_signs_of_zero_are_seen():
    tree = {"a": jnp.array([1.0, 2.0, 0.0])}
    expected = checksums.of(tree)
    assert checksums.differences({"a": jnp.array([2.0, 1.0, 0.0])}, expected) == ["a"]
    assert checksums.differences({"a": jnp.array([1.0, 2.0, -0.0])}, expected) == ["a"]


def test_the_sharding_makes_no_difference():
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    kernel = jax.device_put(_tree()["kernel"], NamedSharding(mesh, PartitionSpec("data")))
    assert checksums.of({"kernel": kernel})["kernel"] == checksums.of(_tree())["kernel"]


def test_an_array_without_a_checksum_is_not_looked_at():
    assert checksums.differences(_tree(), {"other": 1}) == []
