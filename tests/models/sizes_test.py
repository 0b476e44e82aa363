"""The published sizes in gin/models: number of parameters, and depths that differ."""

import math
import pathlib

import jax
import pytest

from flantune import configs
from flantune.jobs import gin_files
from flantune.models import t5

MODELS = pathlib.Path(__file__).parents[2] / "gin" / "models"
# Millions of parameters. T5: paper, section 3.7, and the released checkpoints' sizes. mT5: paper, section 3.2.
# ByT5: paper, table 1. umT5: no published figures; mT5 of that vocabulary and 2 * layers - 2 more tables of biases.
PUBLISHED = {
    "t5_1_0_small": 60.5,
    "t5_1_0_base": 222.9,
    "t5_1_0_large": 737.7,
    "t5_1_0_3b": 2851.6,
    "t5_1_0_11b": 11307.3,
    "t5_1_1_small": 76.96,
    "t5_1_1_base": 247.6,
    "t5_1_1_large": 783.2,
    "t5_1_1_xl": 2849.8,
    "t5_1_1_xxl": 11135.3,
    "mt5_small": 300,
    "mt5_base": 580,
    "mt5_large": 1230,
    "mt5_xl": 3740,
    "mt5_xxl": 12920,
    "byt5_small": 300,
    "byt5_base": 582,
    "byt5_large": 1230,
    "byt5_xl": 3740,
    "byt5_xxl": 12910,
}


def _model(name):
    gin_files.parse([f"gin/models/{name}.gin"], [])
    return t5.EncoderDecoder(gin_files.build(configs.ModelConfig))


def _num_params(name):
    shapes = jax.eval_shape(_model(name).init, jax.random.key(0))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_size_has_the_published_number_of_parameters(name):
    assert _num_params(name) / 1e6 == pytest.approx(PUBLISHED[name], rel=0.006)


@pytest.mark.parametrize("size", ["small", "base", "xl", "xxl"])
def test_umt5_is_mt5_with_more_biases_and_another_vocabulary(size):
    model = _model(f"umt5_{size}").config
    more_rows = 2 * (256384 - 250112) * model.emb_dim
    more_tables = (2 * model.num_encoder_layers - 2) * model.num_heads * 32
    assert _num_params(f"umt5_{size}") == _num_params(f"mt5_{size}") + more_rows + more_tables


def test_every_size_is_checked():
    names = {path.stem for path in MODELS.glob("*.gin")} - {"tiny"}
    assert names == {*PUBLISHED, "umt5_small", "umt5_base", "umt5_xl", "umt5_xxl"}


def test_byt5_has_three_times_as_many_encoder_as_decoder_layers():
    for size in ("small", "base", "large", "xl", "xxl"):
        config = _model(f"byt5_{size}").config
        assert config.num_encoder_layers == 3 * config.num_decoder_layers
