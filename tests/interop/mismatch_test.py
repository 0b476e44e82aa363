"""The table of what a source of parameters and a model disagree on."""

import dataclasses

import jax
import numpy as np
import pytest

from flantune.configs import ModelConfig
from flantune.interop import mismatch, param_source
from flantune.models import stacking, t5
from flantune.training import sharding

FLOAT32 = np.dtype(np.float32)
CONFIG = ModelConfig(
    vocab_size=384,
    emb_dim=8,
    num_heads=2,
    head_dim=3,
    mlp_dim=16,
    num_encoder_layers=3,
    num_decoder_layers=2,
    scan_layers=False,
)


def _abstract(**overrides):
    model = t5.EncoderDecoder(dataclasses.replace(CONFIG, **overrides))
    return jax.eval_shape(model.init, jax.random.key(0))


def _arrays(tree):
    return {
        sharding.path_name(path): param_source.ArrayInfo(leaf.shape, FLOAT32)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


@pytest.mark.parametrize("per_layer", [False, True])
def test_a_model_with_separate_or_stacked_layers_fits_its_own_arrays(per_layer):
    separate = _abstract(relative_attention_per_layer=per_layer)
    arrays = _arrays(separate)
    stacked = _abstract(relative_attention_per_layer=per_layer, scan_layers=True)
    assert set(stacked["encoder"]) >= {"layers", "encoder_norm"}
    assert not mismatch.compare(arrays, separate)
    assert not mismatch.compare(arrays, stacked)
    assert not mismatch.compare(arrays, jax.eval_shape(stacking.stack_layers, separate))


def test_all_differences_are_in_one_table_and_equal_layers_in_one_line():
    arrays = _arrays(_abstract())
    arrays["token_embedder/embedding"] = param_source.ArrayInfo((320, 8), FLOAT32)
    arrays["encoder/layers_7/mlp/wo/kernel"] = param_source.ArrayInfo((16, 8), FLOAT32)
    for layer in (0, 1, 2):
        del arrays[f"encoder/layers_{layer}/mlp/wi_0/kernel"]
    found = mismatch.compare(arrays, _abstract(scan_layers=True))
    assert found.other_shape == {"token_embedder/embedding": ((320, 8), (384, 8))}
    assert found.unexpected == {"encoder/layers_7/mlp/wo/kernel": (16, 8)}
    assert found.missing == {f"encoder/layers_{i}/mlp/wi_0/kernel": (8, 16) for i in range(3)}
    assert found.table("The T5X checkpoint a/checkpoint_8").splitlines() == [
        "The T5X checkpoint a/checkpoint_8 does not fit the model.",
        "             parameter                              there    model",
        "missing      encoder/layers_{0..2}/mlp/wi_0/kernel  -        8 x 16",
        "unexpected   encoder/layers_7/mlp/wo/kernel         16 x 8   -",
        "other shape  token_embedder/embedding               320 x 8  384 x 8",
        "Set ModelConfig.vocab_size to 320: rows of the embedding are neither cut nor added.",
    ]


@pytest.mark.parametrize(
    ("there", "hint"),
    [
        ({"logits_via_embedding": True}, "Set ModelConfig.logits_via_embedding to True."),
        ({"mlp_activations": ("relu",)}, "Set ModelConfig.mlp_activations to one activation"),
        (
            {"relative_attention_per_layer": True},
            "Set ModelConfig.relative_attention_per_layer to True.",
        ),
    ],
)
@pytest.mark.parametrize("scan_layers", [False, True])
def test_a_switch_that_is_set_wrongly_is_named(there, hint, scan_layers):
    found = mismatch.compare(_arrays(_abstract(**there)), _abstract(scan_layers=scan_layers))
    assert hint in found.table("It")


@pytest.mark.parametrize(
    ("there", "hint"),
    [
        ({"logits_via_embedding": True}, "Set ModelConfig.logits_via_embedding to False."),
        ({"mlp_activations": ("relu",)}, "mlp_activations to two, for example ('gelu', 'linear')"),
        ({"relative_attention_per_layer": True}, "relative_attention_per_layer to False."),
    ],
)
def test_a_switch_of_the_model_that_the_source_does_not_share_is_named(there, hint):
    assert hint in mismatch.compare(_arrays(_abstract()), _abstract(**there)).table("It")


def test_layers_in_a_row_and_apart_are_written_as_ranges():
    arrays = _arrays(_abstract(num_encoder_layers=9))
    for layer in (0, 1, 2, 5, 7, 8):
        del arrays[f"encoder/layers_{layer}/pre_mlp_layer_norm/scale"]
    table = mismatch.compare(arrays, _abstract(num_encoder_layers=9)).table("It")
    assert "encoder/layers_{0..2,5,7..8}/pre_mlp_layer_norm/scale" in table
