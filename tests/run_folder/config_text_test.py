"""Bindings read from the text that gin writes of a config."""

from flantune.jobs import gin_files
from flantune.run_folder import config_text

TEXT = """from __gin__ import dynamic_registration
from flantune import configs

# Parameters for configs.DataConfig:
# ====
configs.DataConfig.batch_size = 20
configs.DataConfig.mixture = 'a = b'
configs.EvalConfig.suites = \\
    (@seen/configs.EvalSuite(),
     @other/configs.EvalSuite())
seen/configs.EvalSuite.name = 'seen'
"""


def test_each_binding_is_one_line_wherever_gin_breaks_it():
    assert config_text.bindings(TEXT) == {
        "configs.DataConfig.batch_size": "20",
        "configs.DataConfig.mixture": "'a = b'",
        "configs.EvalConfig.suites": "(@seen/configs.EvalSuite(), @other/configs.EvalSuite())",
        "seen/configs.EvalSuite.name": "'seen'",
    }


def test_a_literal_is_found_by_the_end_of_its_name_and_a_reference_is_none():
    found = config_text.bindings(TEXT)
    assert config_text.literal(found, "DataConfig.batch_size") == 20
    assert config_text.literal(found, "DataConfig.mixture") == "a = b"
    assert config_text.literal(found, "EvalConfig.suites") is None
    assert config_text.literal(found, "Config.batch_size") is None


def test_what_gin_writes_is_read_back():
    notes = ("a long note with = and # in it " * 5 + "\nand a second line", "another")
    flags = [f"experiments.train.notes={notes!r}", "experiments.train.num_steps=7"]
    gin_files.parse([], flags)
    found = config_text.bindings(gin_files.resolved())
    assert config_text.literal(found, "train.notes") == notes
    assert config_text.literal(found, "train.num_steps") == 7
    assert len(found) == 2
