"""Our models against transformers itself, both ways; `golden_test.py` has the same numbers where it is not installed."""

import dataclasses

import jax
import numpy as np
from numpy.testing import assert_allclose
import pytest

from flantune.interop import huggingface, huggingface_config, load_params
from flantune.models import t5

from . import families

transformers = pytest.importorskip("transformers", reason="only with the hf extra")
torch = pytest.importorskip("torch", reason="only with the hf extra")
from . import in_transformers, make_golden  # noqa: E402 - they need both

pytestmark = pytest.mark.hf
every_family = pytest.mark.parametrize("family", families.MODELS)
CLASSES = {
    "t5": transformers.T5ForConditionalGeneration,
    "mt5": transformers.MT5ForConditionalGeneration,
    "umt5": transformers.UMT5ForConditionalGeneration,
}


def read(folder):
    """Model and parameters of a folder, as our users get them, in float32."""
    source = huggingface.open_model(folder)
    model = dataclasses.replace(source.model, dtype="float32", scan_layers=False, dropout_rate=0.0)
    shapes = jax.eval_shape(t5.EncoderDecoder(model).init, jax.random.key(0))
    return model, load_params.load_params(source, shapes)


@every_family
def test_a_model_that_we_write_computes_the_same_there(family, tmp_path):
    examples = families.batch(family)
    make_golden.write_folder(tmp_path, family)
    theirs = in_transformers.outputs(in_transformers.load(tmp_path, family), examples)
    ours = families.ours(families.MODELS[family], families.params(family), examples)
    gaps = families.differences(ours, theirs, examples)
    assert max(gaps.values()) < 1e-4, gaps


@pytest.mark.parametrize(
    ("family", "untied"),
    [
        (family, untied)
        for family, model in families.MODELS.items()
        for untied in ((False,) if model.logits_via_embedding else (False, True))
    ],
)
def test_a_model_of_theirs_computes_the_same_here(family, untied, tmp_path):
    """Fresh models have tied weights in transformers 5, also those of configs that say otherwise; released ones have not."""
    torch.manual_seed(0)
    kind = families.TYPES.get(family, "t5")
    values = huggingface_config.from_model(families.MODELS[family], dtype="float32", family=kind)
    model = CLASSES[kind](CLASSES[kind].config_class(**values)).eval()
    if untied:
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))
        model.config.tie_word_embeddings = False
    model.save_pretrained(tmp_path)
    examples = families.batch(family)
    theirs = in_transformers.logits(model, examples)
    ours_model, params = read(tmp_path)
    ours = np.asarray(jax.jit(t5.EncoderDecoder(ours_model).apply)(params, examples))
    real = examples["decoder_target_tokens"] > 0
    assert_allclose(ours[real], theirs[real], atol=1e-4)


def test_umt5_is_scaled_by_transformers_alone(tmp_path):
    """Fails when transformers stops it: then README's trap and a line of `in_transformers.load` can go."""
    make_golden.write_folder(tmp_path, "umt5")
    examples = families.batch("umt5")
    model = transformers.UMT5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    scaled = in_transformers.logits(model, examples)
    right = in_transformers.logits(in_transformers.load(tmp_path, "umt5"), examples)
    width = families.MODELS["umt5"].emb_dim
    assert_allclose(scaled * np.sqrt(width), right, rtol=1e-4, atol=1e-5)
