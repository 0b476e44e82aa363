"""Schedules at hand-checked steps; optimizers against Optax's own and against unstacked layers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flantune.configs import OptimizerConfig
from flantune.training import optimizers


def _config(**overrides):
    return OptimizerConfig(**({"name": "adafactor", "learning_rate": 0.1} | overrides))


@pytest.mark.parametrize(
    ("schedule", "warmup_steps", "decay_steps", "expected"),
    [
        (("constant",), 0, None, {0: 0.1, 5: 0.1, 99: 0.1}),
        (("linear_warmup",), 10, None, {0: 0.0, 5: 0.05, 10: 0.1, 50: 0.1}),
        (("constant", "linear_warmup"), 10, None, {5: 0.05}),
        (("constant", "rsqrt_decay"), 4, None, {0: 0.05, 4: 0.05, 16: 0.025, 100: 0.01}),
        (("rsqrt_normalized_decay",), 4, None, {0: 0.1, 4: 0.1, 16: 0.05, 100: 0.02}),
        (("linear_warmup", "rsqrt_normalized_decay"), 4, None, {2: 0.05, 4: 0.1, 16: 0.05}),
        (("linear_warmup", "linear_decay"), 20, None, {10: 0.05, 20: 0.1, 60: 0.05, 100: 0.0}),
        (("linear_decay",), 0, 50, {0: 0.1, 25: 0.05, 50: 0.0, 90: 0.0}),
        (("cosine_decay",), 0, None, {0: 0.1, 25: 0.1 * (2 + 2**0.5) / 4, 50: 0.05, 100: 0.0}),
    ],
)
def test_schedule_has_the_value_worked_out_by_hand(schedule, warmup_steps, decay_steps, expected):
    config = _config(schedule=schedule, warmup_steps=warmup_steps, decay_steps=decay_steps)
    rate = optimizers.make_schedule(config, num_steps=100)
    actual = {step: float(rate(step)) for step in expected}
    assert actual == pytest.approx(expected, abs=1e-8)


def test_decay_every_multiplies_after_each_run_of_steps():
    config = _config(schedule=("constant", "decay_every"), decay_factor=0.2, steps_per_decay=10)
    rate = optimizers.make_schedule(config, num_steps=100)
    actual = {step: float(rate(step)) for step in (0, 9, 10, 19, 20, 35)}
    expected = {0: 0.1, 9: 0.1, 10: 0.02, 19: 0.02, 20: 0.004, 35: 0.0008}
    assert actual == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear_decay", {0: 0.1, 50: 0.06, 100: 0.02, 150: 0.02}),
        ("cosine_decay", {0: 0.1, 50: 0.06, 100: 0.02, 150: 0.02}),
    ],
)
def test_a_decay_may_end_above_zero(schedule, expected):
    rate = optimizers.make_schedule(_config(schedule=(schedule,), end_fraction=0.2), num_steps=100)
    actual = {step: float(rate(step)) for step in expected}
    assert actual == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"schedule": ("linear_warmup",)}, "warmup_steps of at least 1"),
        ({"schedule": ("rsqrt_decay",)}, "warmup_steps of at least 1"),
        ({"schedule": ("rsqrt_normalized_decay",)}, "warmup_steps of at least 1"),
        ({"schedule": ("cosine_decay",), "warmup_steps": 100}, "decay_steps.*100.*more than"),
        ({"schedule": ("exponential",)}, "constant, linear_warmup.*not 'exponential'"),
    ],
)
def test_schedule_that_cannot_work_is_refused(overrides, message):
    with pytest.raises(ValueError, match=message):
        optimizers.make_schedule(_config(**overrides), num_steps=100)


# 130 x 140 is large enough for Adafactor to factor its statistics (128), 6 x 5 is not.
SHAPES = {"large": (130, 140), "small": (6, 5), "scale": (7,)}
AXES = {"large": ("embed", "mlp"), "small": ("heads", "relpos_buckets"), "scale": ("embed",)}
STACKED_AXES = {name: ("layers", *axes) for name, axes in AXES.items()}
NUM_LAYERS = 3


def _random_tree(seed, *, scale_by_layer=False):
    rng = np.random.default_rng(seed)
    layer_scale = np.arange(1, NUM_LAYERS + 1) ** 3 if scale_by_layer else np.ones(NUM_LAYERS)
    return {
        name: jnp.asarray(
            rng.normal(size=(NUM_LAYERS, *shape)) * layer_scale.reshape(-1, *[1] * len(shape)),
            jnp.float32,
        )
        for name, shape in SHAPES.items()
    }


def _layer(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def _run(optimizer, params, gradients):
    state = optimizer.init(params)

    @jax.jit
    def update(params, state, gradient):
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    for gradient in gradients:
        params, state = update(params, state, gradient)
    return params


def test_adafactor_without_stacked_layers_is_optax_adafactor_to_the_bit():
    params, gradients = _layer(_random_tree(0), 0), [_layer(_random_tree(s), 0) for s in (1, 2, 3)]
    actual = _run(optimizers.make_optimizer(_config(), 10, AXES), params, gradients)
    expected = _run(optax.adafactor(0.1), params, gradients)
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.mark.parametrize("name", ["adafactor", "adamw"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_stacked_layers_are_updated_like_separate_parameters(name, weight_decay):
    # Layers of very different sizes: statistics shared between layers would show.
    config = _config(name=name, weight_decay=weight_decay)
    params = _random_tree(0, scale_by_layer=True)
    gradients = [_random_tree(seed, scale_by_layer=True) for seed in (1, 2, 3)]
    stacked = _run(optimizers.make_optimizer(config, 10, STACKED_AXES), params, gradients)
    for index in range(NUM_LAYERS):
        separate = _run(
            optimizers.make_optimizer(config, 10, AXES),
            _layer(params, index),
            [_layer(gradient, index) for gradient in gradients],
        )
        for leaf in SHAPES:
            np.testing.assert_allclose(stacked[leaf][index], separate[leaf], rtol=2e-6, atol=1e-7)


def test_adafactor_factors_the_statistics_of_each_layer_and_keeps_one_counter():
    optimizer = optimizers.make_optimizer(_config(), 10, STACKED_AXES)
    statistics = optimizer.init(_random_tree(0))[0]
    assert statistics.count.shape == ()
    assert statistics.v_row["large"].shape == (NUM_LAYERS, 130)
    assert statistics.v_col["large"].shape == (NUM_LAYERS, 140)
    assert statistics.v["small"].shape == (NUM_LAYERS, 6, 5)


@pytest.mark.parametrize(("name", "kept"), [("adafactor", 0.99), ("adamw", 0.999)])
def test_weight_decay_shrinks_matrices_and_not_norm_scales(name, kept):
    # AdamW multiplies the decay by the learning rate, 0.1; Adafactor, as in t5x, does not.
    config = _config(name=name, weight_decay=0.01)
    params = jax.tree.map(jnp.ones_like, _random_tree(0))
    zeros = jax.tree.map(jnp.zeros_like, params)
    after = _run(optimizers.make_optimizer(config, 10, STACKED_AXES), params, [zeros])
    np.testing.assert_allclose(after["large"], kept, rtol=1e-6)
    np.testing.assert_allclose(after["scale"], 1.0, rtol=1e-6)


@pytest.mark.parametrize("name", ["adafactor", "adamw"])
def test_named_parameters_are_not_decayed(name):
    config = _config(name=name, weight_decay=0.01, not_decayed=("small",))
    params = jax.tree.map(jnp.ones_like, _random_tree(0))
    zeros = jax.tree.map(jnp.zeros_like, params)
    after = _run(optimizers.make_optimizer(config, 10, STACKED_AXES), params, [zeros])
    np.testing.assert_array_equal(after["small"], 1.0)
    assert np.all(after["large"] < 1.0)


def test_a_pattern_of_parameters_that_are_not_there_is_refused():
    with pytest.raises(ValueError, match=r"not_decayed holds 'smal'.*'small'"):
        optimizers.make_optimizer(_config(not_decayed=("smal",)), 10, STACKED_AXES)


def test_gradients_are_clipped_to_the_global_norm():
    # AdamW's update hides the gradient's scale; with beta1 = 0 its first moment is the gradient.
    config = _config(name="adamw", max_grad_norm=1.0, beta1=0.0)
    axes = {"a": ("embed",), "b": ("embed",)}
    params = {"a": jnp.zeros(1), "b": jnp.zeros(1)}
    optimizer = optimizers.make_optimizer(config, 10, axes)
    _, state = optimizer.update(
        {"a": jnp.array([3.0]), "b": jnp.array([4.0])}, optimizer.init(params), params
    )
    moments = optax.tree.get(state, "mu")
    np.testing.assert_allclose([moments["a"][0], moments["b"][0]], [0.6, 0.8], rtol=1e-6)


def test_layers_must_be_the_first_dimension():
    with pytest.raises(ValueError, match="must name 'layers' first"):
        optimizers.make_optimizer(_config(), 10, {"kernel": ("embed", "layers", "mlp")})
