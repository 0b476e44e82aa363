"""A model's dimensions, found again in the shapes of its own parameters."""

import dataclasses

import jax
import pytest

from flantune.configs import ModelConfig
from flantune.interop import param_source
from flantune.interop.model_dimensions import infer_model_dimensions
from flantune.models import t5
from flantune.training import sharding

CONFIG = ModelConfig(
    vocab_size=384,
    emb_dim=10,
    num_heads=3,
    head_dim=5,
    mlp_dim=16,
    num_encoder_layers=3,
    num_decoder_layers=2,
    scan_layers=False,
)


def _arrays(**overrides):
    model = t5.EncoderDecoder(dataclasses.replace(CONFIG, **overrides))
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return {
        sharding.path_name(path): param_source.ArrayInfo(leaf.shape, leaf.dtype)
        for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)
    }


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"mlp_activations": ("relu",), "logits_via_embedding": True},  # T5 1.0
        {"relative_attention_per_layer": True},  # umT5
        {"relative_attention_num_buckets": 16, "num_decoder_layers": 12},
    ],
)
def test_dimensions_and_variant_are_those_of_the_model(overrides):
    found = infer_model_dimensions(_arrays(**overrides))
    config = dataclasses.replace(CONFIG, **overrides)
    assert dataclasses.replace(ModelConfig(**found), scan_layers=False) == config


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("token_embedder/embedding", "'token_embedder/embedding' is missing"),
        ("encoder/relpos_bias/rel_embedding", "layers_0/relpos_bias/rel_embedding' is missing"),
        ("encoder/layers_1/", r"layers 0, 1, \.\.\., but has \[0, 2\]"),
        ("decoder/layers_", r"The decoder should have layers .* but has \[\]"),
    ],
)
def test_other_parameters_are_refused(missing, message):
    arrays = {name: info for name, info in _arrays().items() if not name.startswith(missing)}
    with pytest.raises(ValueError, match=message):
        infer_model_dimensions(arrays)


def test_heads_that_do_not_divide_the_kernel_are_refused():
    arrays = _arrays()
    table = arrays["encoder/relpos_bias/rel_embedding"]
    arrays["encoder/relpos_bias/rel_embedding"] = param_source.ArrayInfo((4, 32), table.dtype)
    with pytest.raises(ValueError, match="has 15 outputs, which 4 heads"):
        infer_model_dimensions(arrays)
