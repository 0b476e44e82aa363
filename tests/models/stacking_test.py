"""Stacked and separate layers hold the same arrays."""

import jax
import numpy as np
from numpy.testing import assert_array_equal
import pytest

from flantune.models import stacking


def _separate(num_layers):
    return {
        "encoder": {
            **{f"layers_{i}": {"mlp": {"kernel": np.full((2, 3), i)}} for i in range(num_layers)},
            "encoder_norm": {"scale": np.ones(2)},
        },
        "token_embedder": {"embedding": np.zeros((4, 2))},
    }


def test_stack_layers_orders_by_number_not_by_name():
    stacked = stacking.stack_layers(_separate(11))
    assert set(stacked["encoder"]) == {"layers", "encoder_norm"}
    kernel = stacked["encoder"]["layers"]["mlp"]["kernel"]
    assert isinstance(kernel, np.ndarray)
    assert kernel.shape == (11, 2, 3)
    assert_array_equal(kernel[:, 0, 0], np.arange(11))


def test_unstack_layers_inverts_stack_layers():
    separate = _separate(3)
    back = stacking.unstack_layers(stacking.stack_layers(separate))
    assert jax.tree.structure(back) == jax.tree.structure(separate)
    jax.tree.map(assert_array_equal, back, separate)


def test_conversions_can_be_traced():
    stacked = jax.eval_shape(stacking.stack_layers, _separate(3))
    assert stacked["encoder"]["layers"]["mlp"]["kernel"].shape == (3, 2, 3)


def test_wrong_trees_are_refused():
    separate = _separate(3)
    stacked = stacking.stack_layers(separate)
    with pytest.raises(ValueError, match="stacked already"):
        stacking.stack_layers(stacked)
    with pytest.raises(ValueError, match="separate already"):
        stacking.unstack_layers(separate)
    del separate["encoder"]["layers_1"]
    with pytest.raises(ValueError, match="without gaps"):
        stacking.stack_layers(separate)
