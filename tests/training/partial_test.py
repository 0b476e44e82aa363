"""Training of chosen parameters: what is saved, what stays, what is computed."""

from absl import logging
import jax
import jax.numpy as jnp
import numpy as np
from orbax.checkpoint import v1 as ocp
import pytest

from flantune.params import trees as param_trees
from flantune.training import optimizers, partial, state as state_lib, step as step_lib

from . import linear_model

TRAINED = frozenset({"decoder/layers/kernel", "decoder/layers/scale"})
FROZEN = ("decoder/logits_dense/kernel", "token_embedder/embedding")


def parts(num_steps=20, seed=3):
    """Arguments of training, and the frozen parameters of the seed."""
    parts = linear_model.parts(num_steps=num_steps, optimizer="adamw")
    model = partial.PartialModel(parts["model"], TRAINED)
    optimizer = optimizers.make_optimizer(
        parts["optimizer_config"], num_steps, model.logical_axes()
    )
    whole = state_lib.initial_params(parts["model"], seed)
    abstract = state_lib.abstract_params(parts["model"], parts["mesh"], parts["rules"])
    frozen = partial.frozen_part(model, jax.device_put(whole, state_lib.shardings_of(abstract)))
    return parts | {"model": model, "optimizer": optimizer}, frozen


def train(run_dir, frozen=None, **arguments):
    own, of_seed = parts()
    return linear_model.train(
        run_dir, frozen=of_seed if frozen is None else frozen, **own, **arguments
    )


def names(tree):
    return [name for name, _ in param_trees.leaves(tree)]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Folder, last state and frozen parameters of 20 steps in one go."""
    run_dir, frozen = tmp_path_factory.mktemp("partial"), parts()[1]
    return run_dir, train(run_dir, frozen), frozen


def test_trained_and_frozen_parameters_are_those_of_the_whole_model():
    own, frozen = parts()
    trained = state_lib.initial_params(own["model"], 3)
    assert names(trained) == sorted(TRAINED)
    assert names(frozen) == list(FROZEN)
    whole = state_lib.initial_params(own["model"].whole, 3)
    jax.tree.map(np.testing.assert_array_equal, partial.all_params(trained, frozen), whole)


def test_frozen_parameters_stay_to_the_bit_and_the_others_move(whole_run):
    _, state, frozen = whole_run
    jax.tree.map(np.testing.assert_array_equal, frozen, parts()[1])
    start = state_lib.initial_params(parts()[0]["model"], 3)
    for moved in jax.tree.leaves(
        jax.tree.map(lambda a, b: np.abs(a - b).max(), state.params, start)
    ):
        assert moved > 0.01


def test_checkpoint_and_optimizer_state_hold_the_trained_alone(whole_run):
    run_dir, state, _ = whole_run
    saved = ocp.metadata(run_dir / "checkpoints" / "checkpoint_20", checkpointable_name="state")
    assert names(saved.metadata["params"]) == sorted(TRAINED)
    moments = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim]
    assert sorted(leaf.shape for leaf in moments) == [(2, 8), (2, 8), (2, 8, 8), (2, 8, 8)]
    saved_shapes = [tuple(leaf.shape) for leaf in jax.tree.leaves(saved.metadata["opt_state"])]
    assert set(saved_shapes) == {(), (2, 8), (2, 8, 8)}


def test_run_that_stopped_continues_bit_equal(whole_run, tmp_path):
    train(tmp_path, num_steps=7)
    jax.tree.map(np.testing.assert_array_equal, train(tmp_path), whole_run[1])


def test_other_frozen_parameters_are_refused(whole_run, tmp_path):
    train(tmp_path, num_steps=7)
    other = jax.tree.map(jnp.array, whole_run[2])
    other["token_embedder"]["embedding"] = other["token_embedder"]["embedding"].at[3, 4].add(1e-6)
    with pytest.raises(ValueError, match="checkpoint_7 was trained beside frozen parameters with"):
        train(tmp_path, other)


def test_parameter_tables_and_log_tell_the_share(whole_run, tmp_path, caplog):
    table = (whole_run[0] / "parameters.txt").read_text()
    trained, frozen = table.split("Frozen, and not in this run's checkpoints:")
    assert "decoder/layers/kernel" in trained
    assert "token_embedder/embedding" in frozen
    # 2 x 8 x 8 + 2 x 8 of them and 2 x 16 x 8.
    share = "144 of 400 parameters (36.00 %) are trained"
    assert share in frozen
    logging.set_verbosity(logging.INFO)
    train(tmp_path, num_steps=1)
    assert share in caplog.text


def _matrix_products(function, *arguments):
    """Shapes of the results of all matrix products that a function computes."""
    jaxpr = jax.make_jaxpr(function)(*arguments)
    return {
        equation.outvars[0].aval.shape
        for equation in jaxpr.eqns
        if equation.primitive.name == "dot_general"
    }


def test_no_gradient_of_a_frozen_parameter_is_computed():
    own, frozen = parts()
    model = own["model"]
    batch = jax.tree.map(jnp.asarray, next(linear_model.CountingBatches()))
    trained = state_lib.initial_params(model, 3)

    def gradient(model, params):
        return step_lib.batch_sums(model, params, batch, None, own["optimizer_config"]).gradient

    bound = partial.with_frozen(model, frozen)
    assert names(gradient(bound, trained)) == sorted(TRAINED)
    of_logits_kernel = {(8, 16), (16, 8)}  # the gradient is a product of this shape
    whole = partial.all_params(trained, frozen)
    everything = _matrix_products(lambda params: gradient(model.whole, params), whole)
    chosen = _matrix_products(lambda params: gradient(bound, params), trained)
    assert everything & of_logits_kernel
    assert not chosen & of_logits_kernel
    assert chosen < everything


def test_frozen_parameters_may_be_bfloat16(tmp_path):
    frozen = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), parts()[1])
    state = train(tmp_path, frozen, num_steps=2)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    with pytest.raises(ValueError, match="frozen_dtype"):
        train(tmp_path)  # in float32 they are others


def test_fingerprint_sees_every_bit_place_name_and_dtype():
    params = {"a": jnp.arange(6.0).reshape(2, 3), "b": jnp.zeros(2)}
    first = partial.fingerprint(params)
    assert first == partial.fingerprint(jax.tree.map(np.asarray, params))
    others = [
        params | {"a": params["a"].at[1, 2].add(1e-6)},
        params | {"a": params["a"].at[0].set(params["a"][1]).at[1].set(params["a"][0])},
        params | {"a": params["a"].T},
        params | {"b": params["b"].astype(jnp.bfloat16)},
        {"a": params["a"], "c": params["b"]},
    ]
    assert len({first, *map(partial.fingerprint, others)}) == 6


def test_a_step_needs_the_frozen_parameters():
    own, frozen = parts()
    batch = jax.tree.map(jnp.asarray, next(linear_model.CountingBatches()))
    with pytest.raises(ValueError, match="without its frozen parameters"):
        own["model"].apply(state_lib.initial_params(own["model"], 3), batch)
    with pytest.raises(TypeError, match="need a PartialModel, not a LinearModel"):
        partial.with_frozen(own["model"].whole, frozen)


def test_adapters_train_alike_on_a_mesh_of_eight_devices(eight):
    """A T5 with adapters: equal losses and base, adapters split as their kernels are."""
    alone, spread = eight["lora"]["1,1,1"], eight["lora"]["2,2,2"]
    np.testing.assert_allclose(spread["losses"], alone["losses"], rtol=1e-5)
    assert alone["losses"][2] < alone["losses"][0]
    assert spread["fingerprint"] == alone["fingerprint"]
    assert spread["specs"] == {
        "kernel": [None, "tensor", "fsdp"],
        "lora_a": [None, "tensor", None],
        "lora_b": [None, None, "fsdp"],
    }
