"""Adapters: which projections get them, what they add, how they start, and that merging changes nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
import pytest

from flantune.configs import LoraConfig
from flantune.models import layers, lora, stacking, t5
from flantune.params import trees as param_trees
from flantune.testing import tiny

LORA = LoraConfig(rank=3, alpha=6.0)
CONFIG = dataclasses.replace(tiny.MODEL, num_encoder_layers=2, num_decoder_layers=2)


def with_lora(config=CONFIG, **changes):
    return t5.EncoderDecoder(dataclasses.replace(config, lora=dataclasses.replace(LORA, **changes)))


def names(tree):
    return [name for name, _ in param_trees.leaves(tree)]


def trained(params, seed=0):
    """The same parameters with adapters that are not zero, as after training."""
    rng = np.random.default_rng(seed)

    def of_leaf(path, leaf):
        if not lora.is_adapter(path[-1].key):
            return leaf
        return jnp.asarray(rng.normal(size=leaf.shape, scale=0.1), jnp.float32)

    return jax.tree_util.tree_map_with_path(of_leaf, params)


@pytest.fixture(scope="module")
def batch():
    """Packed rows of two examples each, with padding."""
    rng = np.random.default_rng(1)
    tokens = {
        "encoder_input_tokens": rng.integers(1, 270, (2, 8)),
        "decoder_input_tokens": rng.integers(1, 270, (2, 6)),
        "decoder_target_tokens": rng.integers(1, 270, (2, 6)),
    }
    segments = np.array([[1, 1, 1, 2, 2, 2, 2, 0], [1, 1, 1, 1, 1, 2, 2, 2]])
    tokens["encoder_segment_ids"] = segments
    tokens["decoder_segment_ids"] = segments[:, 2:]
    return {name: jnp.asarray(array, jnp.int32) for name, array in tokens.items()}


def test_dense_adds_the_scaled_product_of_its_adapter():
    class Outer(layers.nn.Module):
        @layers.nn.compact
        def __call__(self, x):
            config = LoraConfig(rank=1, alpha=3.0, targets=("query",))
            return layers.Dense(2, ("embed", "mlp"), "float32", lora=config, name="query")(x)

    query = {
        "kernel": jnp.array([[1.0, 0.0], [0.0, 1.0]]),
        "lora_a": jnp.array([[1.0], [2.0]]),
        "lora_b": jnp.array([[10.0, 100.0]]),
    }
    actual = Outer().apply({"params": {"query": query}}, jnp.array([[5.0, 7.0]]))
    # A x = 5 + 14 = 19; times B and alpha / rank = 3.
    assert_allclose(actual, [[5 + 3 * 190, 7 + 3 * 1900]])


def test_targets_choose_projections_by_name_in_all_attentions():
    found = [name for name in names(with_lora().logical_axes()) if "lora_a" in name]
    assert sorted({name.split("/")[-2] for name in found}) == ["query", "value"]
    attentions = {name.split("/")[-3] for name in found}
    assert attentions == {"attention", "self_attention", "encoder_decoder_attention"}
    assert len(found) == 2 * (2 + 2 * 2)


@pytest.mark.parametrize("scan_layers", [False, True])
def test_targets_choose_projections_by_path_however_layers_are_held(scan_layers):
    config = dataclasses.replace(CONFIG, scan_layers=scan_layers)
    network = with_lora(config, targets=("decoder/*/self_attention/out", "encoder/*/wi_*"))
    found = {name for name in names(network.logical_axes()) if "lora_b" in name}
    ours = {
        "encoder/layers/mlp/wi_0/lora_b",
        "encoder/layers/mlp/wi_1/lora_b",
        "decoder/layers/self_attention/out/lora_b",
    }
    if not scan_layers:
        ours = {name.replace("layers", f"layers_{i}") for name in ours for i in range(2)}
    assert found == ours


@pytest.mark.parametrize(
    ("target", "closest"),
    [
        ("qurey", "'query'"),
        ("decoder/*/self_atention/query", "decoder/layers/self_attention/query"),
    ],
)
def test_a_target_that_matches_nothing_names_the_closest(target, closest):
    config = with_lora(targets=("value", target)).config
    with pytest.raises(
        ValueError, match=f"LoraConfig.targets holds '{target.replace('*', '.')}'"
    ) as error:
        lora.check_targets(config)
    assert closest in str(error.value)


def test_adapters_start_as_in_peft_and_leave_the_model_as_it_is(batch):
    network, base = with_lora(targets=("*/layers/*",)), t5.EncoderDecoder(CONFIG)
    params, base_params = network.init(jax.random.key(3)), base.init(jax.random.key(3))
    wo = params["encoder"]["layers_1"]["mlp"]["wo"]
    assert (wo["lora_b"] == 0).all()
    bound = 1 / np.sqrt(CONFIG.mlp_dim)
    assert 0.8 * bound < np.abs(wo["lora_a"]).max() <= bound
    assert_allclose(np.std(wo["lora_a"]), bound / np.sqrt(3), rtol=0.2)
    plain = lora.merged(params, LORA)
    jax.tree.map(assert_array_equal, plain, base_params)
    assert_array_equal(network.apply(params, batch), base.apply(base_params, batch))


def test_merged_parameters_give_the_same_logits(batch):
    network = with_lora(targets=("*/layers/*",))
    params = trained(network.init(jax.random.key(0)))
    plain = lora.merged(params, LORA)
    actual = t5.EncoderDecoder(CONFIG).apply(plain, batch)
    expected = network.apply(params, batch)
    assert (
        np.abs(
            expected - t5.EncoderDecoder(CONFIG).apply(network.init(jax.random.key(0)), batch)
        ).max()
        > 0.05
    )
    assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_scanned_and_separate_layers_agree(batch):
    scanned = with_lora(dataclasses.replace(CONFIG, scan_layers=True))
    params = trained(scanned.init(jax.random.key(0)))
    separate = stacking.unstack_layers(params)
    expected = with_lora().apply(separate, batch)
    assert_allclose(scanned.apply(params, batch), expected, rtol=1e-5, atol=1e-5)
    plain = lora.merged(params, LORA)
    jax.tree.map(assert_array_equal, stacking.unstack_layers(plain), lora.merged(separate, LORA))


@pytest.mark.parametrize("scan_layers", [False, True])
def test_decoding_step_by_step_equals_whole_rows(batch, scan_layers):
    network = with_lora(dataclasses.replace(CONFIG, scan_layers=scan_layers))
    params = trained(network.init(jax.random.key(0)))
    inputs, targets = batch["encoder_input_tokens"], batch["decoder_target_tokens"]
    shifted = jnp.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    whole = network.apply(
        params,
        {
            "encoder_input_tokens": inputs,
            "decoder_input_tokens": shifted,
            "decoder_target_tokens": targets,
        },
    )
    cache = network.init_cache(params, inputs, max_decode_length=targets.shape[1])
    for position in range(targets.shape[1]):
        logits, cache = network.decode_step(params, cache, shifted[:, position])
        assert_allclose(logits, whole[:, position], rtol=1e-4, atol=1e-5)


def test_dropout_hits_the_adapters_input_alone(batch):
    network = with_lora(dropout_rate=0.5)  # the model itself has none
    params, key = network.init(jax.random.key(0)), jax.random.key(1)
    assert_array_equal(network.apply(params, batch, dropout_rng=key), network.apply(params, batch))
    params = trained(params)
    dropped = network.apply(params, batch, dropout_rng=key)
    assert np.abs(dropped - network.apply(params, batch)).max() > 0.01


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 0}, "LoraConfig.rank must be a whole number of at least 1"),
        ({"alpha": 0.0}, "LoraConfig.alpha must be above 0"),
        ({"dropout_rate": 1.0}, "LoraConfig.dropout_rate must be"),
        ({"targets": ()}, "LoraConfig.targets must hold at least one"),
    ],
)
def test_a_wrong_value_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(LORA, **changes)
