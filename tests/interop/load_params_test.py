"""Parameters on their devices: each part read once, and nothing read where names or shapes differ."""

import json
import os
import pathlib
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_array_equal
import pytest

from flantune.interop import load_params, param_source
from flantune.models import stacking
from flantune.training import sharding

ROOT = pathlib.Path(__file__).parents[2]


class MemorySource:
    """Arrays in memory that remember what was read of them."""

    description = "The source"

    def __init__(self, tree):
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        self._held = {sharding.path_name(path): np.asarray(leaf) for path, leaf in leaves}
        self.arrays = {
            name: param_source.ArrayInfo(array.shape, array.dtype)
            for name, array in self._held.items()
        }
        self.read_elements = {}

    def read(self, name, index=None):
        part = self._held[name] if index is None else self._held[name][index]
        self.read_elements.setdefault(name, []).append(part.size)
        return part


def separate_params():
    """Numbers that say where they belong: layer 2 of the encoder begins at 200."""

    def tower(num_layers):
        layers = {
            f"layers_{layer}": {
                "wi": 100 * layer + np.arange(32, dtype=np.float32).reshape(8, 4),
                "scale": 100 * layer + np.arange(8, dtype=np.float32),
            }
            for layer in range(num_layers)
        }
        return {**layers, "norm": np.ones(8, np.float32)}

    embedding = np.arange(128, dtype=np.float32).reshape(16, 8)
    return {"encoder": tower(3), "decoder": tower(2), "token_embedder": {"embedding": embedding}}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_separate_and_stacked_layers_get_the_values_in_the_dtype_asked_for(dtype):
    params = separate_params()
    cast = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
    for expected in (cast, stacking.stack_layers(cast)):
        abstract = jax.eval_shape(lambda tree=expected: tree)
        loaded = load_params.load_params(MemorySource(params), abstract)
        assert jax.tree.structure(loaded) == jax.tree.structure(expected)
        assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(loaded))
        jax.tree.map(assert_array_equal, loaded, expected)


def test_nothing_is_read_where_a_shape_differs():
    source = MemorySource(separate_params())
    abstract = jax.eval_shape(separate_params)
    abstract["encoder"]["norm"] = jax.ShapeDtypeStruct((9,), jnp.float32)
    with pytest.raises(ValueError, match=r"The source does not fit(.|\n)*encoder/norm +8 +9"):
        load_params.load_params(source, abstract)
    assert not source.read_elements


EIGHT_DEVICES = """
    import json
    import jax, numpy as np
    from jax.sharding import NamedSharding, PartitionSpec as P
    from flantune.configs import MeshConfig
    from flantune.interop import load_params
    from flantune.models import stacking
    from flantune.training import sharding
    from interop.load_params_test import MemorySource, separate_params

    mesh = sharding.make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    expected = stacking.stack_layers(separate_params())
    specs = {(8,): P("fsdp"), (16, 8): P("tensor", "fsdp")}  # others are stacks
    stacked = (None, "fsdp", "tensor")
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, specs.get(leaf.shape, P(*stacked[: leaf.ndim])))
        ),
        expected,
    )
    source = MemorySource(separate_params())
    loaded = load_params.load_params(source, abstract)
    same = jax.tree.map(lambda a, b: np.array_equal(np.asarray(a), b), loaded, expected)
    placed = jax.tree.map(lambda leaf, wanted: leaf.sharding == wanted.sharding, loaded, abstract)
    print(json.dumps({"same": all(jax.tree.leaves(same)), "placed": all(jax.tree.leaves(placed)),
                      "read": source.read_elements}))
"""


def test_on_eight_devices_every_part_is_read_once_and_only_where_it_belongs():
    environment = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=8",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(EIGHT_DEVICES)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["same"]
    assert found["placed"]
    # fsdp=2 and tensor=2 split in four, data=2 holds copies: two devices share each quarter.
    assert found["read"]["encoder/layers_2/wi"] == [8 * 4 // 4] * 4
    assert found["read"]["token_embedder/embedding"] == [16 * 8 // 4] * 4
    assert found["read"]["decoder/norm"] == [4, 4]
