"""Run files and bindings of a call: values of Python, and nothing that stays behind."""

import re

import gin
import numpy as np
import pytest

import flantune
from flantune import configs
from flantune.api import run_files
from flantune.jobs import gin_files

QUICKSTART = "gin/runs/quickstart.gin"


def built(config, bindings, run_file=QUICKSTART):
    with run_files.parsed(run_file, bindings):
        return gin_files.build(config)


def refused(bindings, run_file=QUICKSTART):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the tests look at the text
        built(configs.DataConfig, bindings, run_file)
    return str(error.value)


def test_values_are_those_of_python():
    data = built(
        configs.DataConfig,
        {
            "DataConfig.mixture": 'it\'s "quoted"\nand (@not, %these) 1e-3',
            "configs.DataConfig.modules": ("one", "two"),
            "DataConfig.seqio_modules": ("three",),
            "DataConfig.pack": False,
            "DataConfig.lanes": None,
            "DataConfig.batch_size": np.int64(12),
            "DataConfig.max_malformed_fraction": np.float32(0.5),
            "DataConfig.vocabulary": "123",
        },
    )
    assert data.mixture == 'it\'s "quoted"\nand (@not, %these) 1e-3'
    assert (data.modules, data.seqio_modules) == (("one", "two"), ("three",))
    assert (data.pack, data.lanes, data.batch_size) == (False, None, 12)
    assert data.max_malformed_fraction == 0.5
    assert data.vocabulary == "123"


def test_nested_values_and_paths(tmp_path):
    rules = (("embed", None), ("mlp", "tensor"))
    assert built(configs.MeshConfig, {"MeshConfig.axis_rules": rules}).axis_rules == rules
    assert built(configs.MeshConfig, {"MeshConfig.axis_rules": ()}).axis_rules == ()
    data = built(configs.DataConfig, {"DataConfig.data_dir": tmp_path})
    assert data.data_dir == str(tmp_path)


def test_several_files_and_paths_are_run_files_too(tmp_path):
    (tmp_path / "mine.gin").write_text(
        "from __gin__ import dynamic_registration\nfrom flantune import configs\n"
        "configs.DataConfig.batch_size = 40\n"
    )
    files = [QUICKSTART, tmp_path / "mine.gin"]
    assert built(configs.DataConfig, {}, files).batch_size == 40
    assert built(configs.DataConfig, {"DataConfig.batch_size": 60}, files).batch_size == 60


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (
            {"DataConfig.mixtur": "x"},
            "The call binds DataConfig to the parameter 'mixtur'.*'mixture'",
        ),
        ({"DataConfg.mixture": "x"}, "The call binds 'DataConfg'.*Did you mean 'DataConfig'"),
        ({"num_steps": 3}, "The call binds 'num_steps' without .*mean experiments.train.num_steps"),
        ({"nothing_like_it": 3}, "Give OWNER.NAME=VALUE, for example experiments.train"),
        ({"DataConfig.mixture": "@configs.X()"}, r"a reference, .* \[RUN, YOURS\]"),
        ({"DataConfig.mixture": "%macro"}, "a reference"),
        ({"DataConfig.modules": (object,)}, "DataConfig.modules is given .* no literal"),
        ({"DataConfig.max_malformed_fraction": float("nan")}, "is given nan, for which"),
        ({"DataConfig.batch_size": 0}, "batch_size must be a whole number"),
    ],
)
def test_wrong_bindings_are_one_sentence(bindings, message):
    found = refused(bindings)
    assert "\n" not in found
    assert re.search(message, found)


def test_a_wrong_file_names_the_closest():
    assert "'gin/runs/quickstart.gin'" in refused({}, "gin/runs/quikstart.gin")


def test_no_binding_of_a_call_reaches_the_next():
    before = built(configs.DataConfig, {})
    built(configs.DataConfig, {"DataConfig.batch_size": 60, "DataConfig.pack": False})
    assert built(configs.DataConfig, {}) == before
    refused({"DataConfig.batch_size": 0})
    assert built(configs.DataConfig, {}) == before


def test_what_gin_held_comes_back(workplace):
    """Somebody who uses gin in the same notebook keeps it: bindings, and the lock."""
    gin.clear_config()
    gin.parse_config("mine = 7\nother = 'x'")
    text, prefixes = gin.config_str(), list(gin.config._LOCATION_PREFIXES)
    assert text
    flantune.ledger("run.gin", num_steps=3, num_examples=2)
    with pytest.raises(ValueError, match="Did you mean"):
        flantune.ledger("run.gin", **{"DataConfig.mixtur": 3})
    assert gin.config_str() == text
    assert prefixes == gin.config._LOCATION_PREFIXES
    assert not gin.config_is_locked()
    gin.finalize()
    flantune.ledger("run.gin", num_steps=3, num_examples=2)
    assert gin.config_is_locked()
    gin.clear_config()
