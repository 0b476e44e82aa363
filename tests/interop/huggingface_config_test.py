"""What `config.json` means for our model, both ways; the fields are those of the released configurations."""

import dataclasses
import json

import pytest

from flantune.configs import ModelConfig
from flantune.interop import huggingface_config

# As released with T5 1.1 and Flan-T5 small; the rest of the file plays no part.
FLAN_SMALL = {
    "model_type": "t5",
    "vocab_size": 32128,
    "d_model": 512,
    "d_kv": 64,
    "d_ff": 1024,
    "num_layers": 8,
    "num_decoder_layers": 8,
    "num_heads": 6,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
    "layer_norm_epsilon": 1e-06,
    "relative_attention_num_buckets": 32,
    "dropout_rate": 0.1,
    "is_encoder_decoder": True,
}
SMALL_MODEL = ModelConfig(
    vocab_size=32128,
    emb_dim=512,
    num_heads=6,
    head_dim=64,
    mlp_dim=1024,
    num_encoder_layers=8,
    num_decoder_layers=8,
)


def model_of(config, tied=False):
    return huggingface_config.to_model(config, tied=tied, what="config.json")


def test_the_released_small_model():
    assert model_of(FLAN_SMALL) == SMALL_MODEL


def test_t5_1_0_has_defaults_for_what_its_file_leaves_out():
    config = {
        key: value
        for key, value in FLAN_SMALL.items()
        if key not in ("feed_forward_proj", "num_decoder_layers", "tie_word_embeddings")
    }
    assert model_of(config, tied=True) == dataclasses.replace(
        SMALL_MODEL, mlp_activations=("relu",), logits_via_embedding=True
    )


def test_byt5_has_more_encoder_than_decoder_layers():
    model = model_of(FLAN_SMALL | {"num_layers": 12, "num_decoder_layers": 4})
    assert (model.num_encoder_layers, model.num_decoder_layers) == (12, 4)


def test_umt5_has_biases_in_every_layer():
    assert model_of(FLAN_SMALL | {"model_type": "umt5"}).relative_attention_per_layer
    assert not model_of(FLAN_SMALL | {"model_type": "mt5"}).relative_attention_per_layer


@pytest.mark.parametrize(
    ("changes", "scales"),
    [
        ({}, False),
        ({"tie_word_embeddings": True}, True),
        ({"tie_word_embeddings": None}, True),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, False),  # of version 5
        ({"tie_word_embeddings": False, "scale_decoder_outputs": True}, True),
        ({"model_type": "mt5", "tie_word_embeddings": True}, False),
        ({"model_type": "umt5"}, True),
    ],
)
def test_which_fields_say_that_tied_logits_are_scaled(changes, scales):
    assert huggingface_config.scales_tied_logits(FLAN_SMALL | changes) is scales


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_norm_epsilon": 1e-5}, "layer_norm_epsilon 1e-05; flantune's T5 has 1e-06 only"),
        ({"feed_forward_proj": "gated-silu"}, "feed_forward_proj 'gated-silu'.* has relu, "),
        ({"feed_forward_proj": "gelu"}, "feed_forward_proj 'gelu'"),
        ({"is_encoder_decoder": False}, "encoder or decoder alone"),
        ({"quantization_config": {"bits": 8}}, "quantized"),
        ({"d_kv": None}, "no whole number for d_kv"),
    ],
)
def test_what_our_model_cannot_compute_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        model_of(FLAN_SMALL | changes)


def test_files_that_are_no_config_of_a_t5_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json"):
        huggingface_config.read(tmp_path)
    for text, message in (
        ("{", "is no JSON"),
        ("[]", "model_type None"),
        (json.dumps({"model_type": "bart"}), "model_type 'bart'; T5 has 't5', 'mt5', 'umt5'"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            huggingface_config.read(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mlp_activations": ("relu",), "logits_via_embedding": True},
        {"num_encoder_layers": 12, "num_decoder_layers": 4, "vocab_size": 384},
        {"relative_attention_per_layer": True, "relative_attention_num_buckets": 16},
        {"vocab_size": 250112, "dropout_rate": 0.0, "relative_attention_max_distance": 64},
        {"mlp_activations": ("gelu",)},
    ],
)
def test_a_model_survives_its_config(changes):
    model = dataclasses.replace(SMALL_MODEL, **changes)
    config = huggingface_config.from_model(model, dtype="float32")
    assert model_of(config, tied=model.logits_via_embedding) == model


def test_each_family_is_found_out_from_the_model():
    def family(**changes):
        model = dataclasses.replace(SMALL_MODEL, **changes)
        return huggingface_config.from_model(model, dtype="float32")["model_type"]

    assert family() == "t5"
    assert family(vocab_size=250112) == "mt5"
    assert family(vocab_size=256384, relative_attention_per_layer=True) == "umt5"


def test_a_model_that_transformers_lacks_is_refused():
    model = dataclasses.replace(SMALL_MODEL, mlp_activations=("gelu", "relu"))
    with pytest.raises(ValueError, match=r"mlp_activations \('gelu', 'relu'\)"):
        huggingface_config.from_model(model, dtype="float32")
