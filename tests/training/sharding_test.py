"""Meshes and rules, on one device here and on eight fake ones in a process of their own."""

from jax.sharding import PartitionSpec
import numpy as np
import pytest

from flantune.configs import MeshConfig
from flantune.training import sharding

from . import linear_model

MESHES = ("8,1,1", "2,2,2", "1,8,1")


def test_free_axis_takes_the_remaining_devices(eight):
    assert eight["mesh_shape"] == {"slice": 1, "data": 2, "fsdp": 4, "tensor": 1}


def test_sizes_that_do_not_fit_the_devices_name_the_fields(eight):
    assert "MeshConfig.data is -1" in eight["does_not_divide"]
    assert "fsdp=3 x tensor=1 = 3 does not divide 8" in eight["does_not_divide"]
    assert "data=2 x fsdp=2 x tensor=1 = 4 devices, but there are 8" in eight["too_few"]


def test_slices_come_first_and_have_neighbours(eight):
    two = eight["two_slices"]
    assert two["shape"] == {"slice": 2, "data": 1, "fsdp": 2, "tensor": 2}
    assert two["devices"] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert two["batch"] == [["slice", "fsdp"], None]
    assert two["kernel"] == ["fsdp", "tensor"]  # whole on each slice


def test_specs_follow_the_rules_and_drop_what_does_not_divide(eight):
    assert eight["specs"] == {
        "embed, mlp": ["fsdp", "tensor"],
        "vocab, embed": ["tensor", "fsdp"],
        "layers, embed, mlp": [None, "fsdp", "tensor"],
        "odd embed": [None, "tensor"],
        "activation": [["fsdp", "data"], None, None],
        "batch of 2": ["fsdp", None, None],
        "embed not sharded by a rule": [None, "tensor"],
        "activation under a rule for embed": [["fsdp", "data"], None, None],
    }


def test_dimension_that_does_not_divide_is_logged_once(eight):
    assert eight["log"].count("odd: a dimension of 7 is not split along mesh axis 'fsdp'") == 1


@pytest.mark.parametrize("mesh", MESHES)
def test_three_steps_on_any_mesh_equal_those_on_one_device(eight, mesh):
    one, several = eight["runs"]["1,1,1"], eight["runs"][mesh]
    np.testing.assert_allclose(several["losses"], one["losses"], rtol=1e-5)
    for name, values in one["params"].items():
        np.testing.assert_allclose(several["params"][name], values, rtol=1e-5, atol=1e-5)


def test_state_is_spread_over_the_devices(eight):
    # 4 bytes x 2 x 8 x 8, a quarter per device: embed over fsdp, mlp over tensor.
    spec = [None, "fsdp", "tensor"]
    assert eight["runs"]["2,2,2"]["kernel"] == {"spec": spec, "bytes": 128, "moment": spec}


def test_checkpoint_of_one_mesh_is_restored_on_another_to_the_bit(eight):
    assert eight["restored_on_other_meshes"] == [True, True, True]


def test_batch_that_the_devices_do_not_divide_is_refused(eight):
    assert "batch of 6 rows" in eight["batch_error"]
    assert "fsdp x data = 4 devices" in eight["batch_error"]
    assert "DataConfig.batch_size a multiple of 4" in eight["batch_error"]


def test_user_rules_come_first_and_wrong_names_get_the_closest():
    rules = sharding.axis_rules(MeshConfig(axis_rules=(("embed", None),)))
    assert rules[0] == ("embed", None)
    assert rules[1:] == sharding.DEFAULT_RULES
    with pytest.raises(KeyError, match=r"logical axis 'vocabs'.*Did you mean 'vocab'"):
        sharding.axis_rules(MeshConfig(axis_rules=(("vocabs", None),)))
    with pytest.raises(KeyError, match=r"mesh axis 'tensors'.*Did you mean 'tensor'"):
        sharding.axis_rules(MeshConfig(axis_rules=(("vocab", "tensors"),)))


def test_axes_must_name_every_dimension():
    mesh = sharding.make_mesh(MeshConfig())
    with pytest.raises(ValueError, match=r"'w' has shape \(2, 3\) but logical axes \('embed',\)"):
        sharding.partition_spec(("embed",), (2, 3), mesh, sharding.DEFAULT_RULES, name="w")


def test_parameter_table_lists_bytes_and_totals():
    model, mesh = linear_model.LinearModel(), sharding.make_mesh(MeshConfig())
    params = {"a": {"kernel": np.zeros((2, 3), np.float32)}, "b": np.zeros(4, np.float32)}
    axes = {"a": {"kernel": ("embed", "mlp")}, "b": ("embed",)}
    shardings = sharding.param_shardings(axes, params, mesh, sharding.DEFAULT_RULES)
    rows = sharding.parameter_table(params, axes, shardings)
    assert [(row.name, row.bytes_per_device) for row in rows] == [("a/kernel", 24), ("b", 16)]
    assert rows[0].spec == PartitionSpec(None, None)
    text = sharding.format_parameter_table(rows)
    assert text.splitlines()[1].split() == [
        "a/kernel",
        "2",
        "x",
        "3",
        "embed,",
        "mlp",
        "-,",
        "-",
        "24",
    ]
    assert text.splitlines()[-1].split() == ["total", "of", "2", "10", "40"]
    assert model.logical_axes().keys() == {"token_embedder", "decoder"}


def test_importing_the_trainer_loads_neither_tensorflow_nor_seqio(run_python):
    script = """
del sys.modules["tensorflow"], sys.modules["seqio"]
import flantune.training.trainer
print([name for name in sys.modules if name.split(".")[0] in ("tensorflow", "seqio", "clu")])
"""
    assert run_python(script).stdout.strip() == "[]"
