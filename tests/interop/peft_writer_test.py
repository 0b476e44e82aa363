"""Adapters as PEFT's: it loads them and computes the same."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flantune.configs import LoraConfig
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.interop import peft_writer, tree_source
from flantune.jobs import convert
from flantune.models import lora as lora_lib, t5
from flantune.params import trees as param_trees
from flantune.testing import tiny

LORA = LoraConfig(
    rank=3, alpha=7.5, targets=("query", "decoder/*/encoder_decoder_attention/out", "w*")
)
MODEL = dataclasses.replace(
    tiny.MODEL, num_encoder_layers=2, num_decoder_layers=2, head_dim=5, lora=LORA
)


@pytest.fixture(scope="module")
def params():
    """Parameters with adapters that are not zero."""
    rng = np.random.default_rng(2)

    def of_leaf(name, leaf):
        drawn = rng.normal(size=leaf.shape, scale=0.1).astype(np.float32)
        return drawn if lora_lib.is_adapter(name) else np.asarray(leaf)

    fresh = t5.EncoderDecoder(MODEL).init(jax.random.key(0))
    return param_trees.from_leaves(
        (name, of_leaf(name, leaf)) for name, leaf in param_trees.leaves(fresh)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory, params):
    """The base in Hugging Face's layout, and the adapters in PEFT's."""
    place = tmp_path_factory.mktemp("peft")
    names = {name for name, _ in param_trees.leaves(params)}
    adapters = {name for name in names if lora_lib.is_adapter(name)}
    base = tree_source.TreeSource("The base", param_trees.part(params, names - adapters))
    plain = dataclasses.replace(MODEL, lora=None)
    vocabulary = vocabulary_lib.load("bytes+13")
    source = convert.Source(
        kind="flantune", params=base, model=plain, step=0, vocabulary=vocabulary
    )
    convert.convert(source, place / "base", to="hf")
    (place / "adapters").mkdir()
    own = tree_source.TreeSource("The adapters", param_trees.part(params, adapters))
    base_path = str(place / "base")
    peft_writer.write(place / "adapters", own, LORA, dtype="float32", base=base_path)
    return place


def test_config_names_every_adapted_module(folder):
    config = json.loads((folder / "adapters" / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (3, 7.5, "LORA")
    modules = config["target_modules"]
    assert "encoder.block.1.layer.0.SelfAttention.q" in modules
    assert "decoder.block.0.layer.1.EncDecAttention.o" in modules
    assert "decoder.block.1.layer.2.DenseReluDense.wi_1" in modules
    assert len(modules) == 2 * (1 + 3) + 2 * (2 + 1 + 3)


@pytest.mark.hf
def test_peft_computes_the_same_logits(folder, params):
    peft = pytest.importorskip("peft")
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    base = transformers.T5ForConditionalGeneration.from_pretrained(folder / "base")
    adapted = peft.PeftModel.from_pretrained(base, folder / "adapters").eval()
    rng = np.random.default_rng(0)
    inputs, targets = rng.integers(3, 270, (2, 7)), rng.integers(3, 270, (2, 5))
    shifted = np.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    tokens = {
        "encoder_input_tokens": inputs,
        "decoder_input_tokens": shifted,
        "decoder_target_tokens": targets,
    }
    batch = {name: jnp.asarray(array, jnp.int32) for name, array in tokens.items()}
    ours = t5.EncoderDecoder(MODEL).apply(jax.tree.map(jnp.asarray, params), batch)
    with torch.no_grad():
        their = {"input_ids": torch.tensor(inputs), "decoder_input_ids": torch.tensor(shifted)}
        theirs = adapted(**their).logits.numpy()
        with adapted.disable_adapter():
            plain = adapted(**their).logits.numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert np.abs(theirs - plain).max() > 0.05


def test_what_is_no_adapter_is_refused(tmp_path, params):
    whole = tree_source.TreeSource("The run", params)
    with pytest.raises(ValueError, match="The run holds more than adapters"):
        peft_writer.write(tmp_path, whole, LORA, dtype="float32", base=None)
