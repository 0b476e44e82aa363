"""Creation of the training state and its abstract twin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flantune.training import state as state_lib

from . import linear_model


def _arguments(**overrides):
    parts = linear_model.parts(**overrides)
    return [parts[name] for name in ("model", "optimizer", "mesh", "rules")]


def test_same_seed_gives_the_same_parameters_and_another_seed_others():
    first, again, other = (state_lib.init_state(*_arguments(), seed) for seed in (3, 3, 4))
    embedding = ("token_embedder", "embedding")
    jax.tree.map(np.testing.assert_array_equal, first, again)
    first_embedding, other_embedding = (
        state.params[embedding[0]][embedding[1]] for state in (first, other)
    )
    assert np.abs(first_embedding - other_embedding).min() > 0


def test_state_starts_at_step_zero_in_float32():
    state = state_lib.init_state(*_arguments(), 3)
    assert int(state.step) == 0
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}


def test_abstract_state_has_the_shapes_types_and_shardings_of_the_real_one():
    state, abstract = (
        state_lib.init_state(*_arguments(), 3),
        state_lib.abstract_state(*_arguments()),
    )
    assert jax.tree.structure(state) == jax.tree.structure(abstract)
    for real, shape in zip(jax.tree.leaves(state), jax.tree.leaves(abstract), strict=True):
        assert (real.shape, real.dtype) == (shape.shape, shape.dtype)
        assert real.sharding.is_equivalent_to(shape.sharding, real.ndim)


def _state_with(params):
    arguments = _arguments()
    return state_lib.state_with_params(params, arguments[1], state_lib.abstract_state(*arguments))


def test_initial_params_of_another_model_are_refused_by_name():
    params = linear_model.numpy_params(emb_dim=4)
    del params["token_embedder"]
    with pytest.raises(ValueError, match="tree of initial parameters does not fit") as error:
        _state_with(params)
    assert "lacks token_embedder/embedding" in str(error.value)
    assert "decoder/layers/scale ((2, 4) instead of (2, 8))" in str(error.value)


def test_initial_params_may_be_numpy_arrays_of_another_type():
    halves = linear_model.numpy_params(np.float16)
    state = _state_with(halves)
    kernel = state.params["decoder"]["logits_dense"]["kernel"]
    assert kernel.dtype == jnp.float32
    np.testing.assert_array_equal(kernel, halves["decoder"]["logits_dense"]["kernel"])


def test_purposes_have_different_keys():
    keys = [state_lib.purpose_key(0, purpose) for purpose in (0, 1)]
    assert jax.random.key_data(keys[0]).tolist() != jax.random.key_data(keys[1]).tolist()
