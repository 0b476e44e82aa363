import dataclasses

import jax
import jax.numpy as jnp
import pytest

from flantune import configs
from flantune.models import t5
from flantune.training import activations

LAYERS, ROWS, INPUTS, TARGETS = 3, 4, 16, 8
MODEL = configs.ModelConfig(
    vocab_size=32,
    emb_dim=12,
    num_heads=2,
    head_dim=5,
    mlp_dim=20,
    num_encoder_layers=LAYERS,
    num_decoder_layers=2,
)


def kept(**fields):
    network = t5.EncoderDecoder(dataclasses.replace(MODEL, **fields))
    shapes = {
        "encoder_input_tokens": INPUTS,
        "decoder_input_tokens": TARGETS,
        "decoder_target_tokens": TARGETS,
        "decoder_loss_weights": TARGETS,
    }
    batch = {
        name: jax.ShapeDtypeStruct((ROWS, length), jnp.float32 if "weights" in name else jnp.int32)
        for name, length in shapes.items()
    }
    params = jax.eval_shape(network.init, jax.random.key(0))
    config = configs.OptimizerConfig(name="adafactor", learning_rate=1.0)
    return activations.kept(network, params, batch, config)


@pytest.fixture(scope="module")
def everything():
    return kept()


def test_without_rematerialisation_every_layer_keeps_its_attention_weights(everything):
    (weights,) = (
        array
        for array in everything
        if array.where.startswith("encoder/layers/attention (exp, attention.py")
    )
    assert weights.shape == (LAYERS, ROWS, 2, INPUTS, INPUTS)
    assert (weights.dtype, weights.layers) == ("float32", LAYERS)
    assert weights.bytes == 4 * LAYERS * ROWS * 2 * INPUTS * INPUTS
    assert any(array.where.startswith("decoder/layers/mlp") for array in everything)


def test_the_largest_come_first_and_none_twice(everything):
    sizes = [array.bytes for array in everything]
    assert sizes == sorted(sizes, reverse=True)


def test_full_rematerialisation_keeps_one_input_a_layer(everything):
    stacked = [array for array in kept(remat="full") if array.layers > 1]
    large = [array for array in stacked if len(array.shape) == 4]
    assert {(array.where, array.shape) for array in large} == {
        ("encoder (input)", (LAYERS, ROWS, INPUTS, 12)),
        ("decoder (input)", (2, ROWS, TARGETS, 12)),
    }
    assert sum(array.bytes for array in stacked) < sum(array.bytes for array in everything) / 4


def test_layers_one_by_one_are_found_too():
    found = kept(scan_layers=False)
    assert all(array.layers == 1 for array in found)
    assert any(
        array.where.startswith(f"encoder/layers_{LAYERS - 1}/attention (exp")
        and array.shape == (ROWS, 2, INPUTS, INPUTS)
        for array in found
    )
