"""`flantune leakage`: table, JSON and exit status."""

import argparse
import json
import sys

import pytest

from flantune import testing
from flantune.commands import leakage
from flantune.data.held_out_plan import HeldOutPlan, Waiver
from flantune.prompting import Template

LONG = "the old man who sold paper boats at the corner of our street had a parrot"
ASK = (Template(inputs="Answer this: {text}"),)
RUN = """
from __gin__ import dynamic_registration
from flantune import configs
from flantune import experiments

configs.DataConfig.mixture = "drill:*"
configs.DataConfig.modules = ("leaky",)
configs.DataConfig.vocabulary = "bytes"
configs.DataConfig.inputs_length = 64
configs.DataConfig.targets_length = 16
configs.DataConfig.batch_size = 4
"""
SUITE = """
configs.EvalSuite.name = "exam"
configs.EvalSuite.mixture = "exam:qa"
configs.EvalConfig.suites = (@configs.EvalSuite(),)
configs.EvalConfig.metric = "exact_match"
configs.EvalConfig.batch_size = 4
configs.EvalConfig.max_decode_length = 4
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """A module whose training task holds a row of its exam, with a plan that waives it and one that does not."""
    exam = testing.make_task(
        "exam:qa", {"test": [{"text": LONG, "answer": "a"}]}, templates=ASK, lineage=("zoo",)
    )
    drill = testing.make_task(
        "drill:x",
        {"train": [{"text": f"[{LONG}]", "answer": "a"}]},
        templates=ASK,
        lineage=("zoo",),
    )
    waiver = Waiver(evaluation="exam:qa", training="drill:*", reason="a proverb")
    with testing.task_module("leaky", [exam, drill]):
        sys.modules["leaky"].PLANS = (
            HeldOutPlan(name="strict", evaluation={"exam:qa": "test"}, clusters=("none",)),
            HeldOutPlan(name="waived", evaluation={"exam:qa": "test"}, waivers=(waiver,)),
        )
        monkeypatch.chdir(tmp_path)
        (tmp_path / "run.gin").write_text(RUN)
        (tmp_path / "suite.gin").write_text(RUN + SUITE)
        yield


def run(capsys, *arguments):
    """Exit status and standard output."""
    parser = argparse.ArgumentParser()
    leakage.add(parser.add_subparsers())
    parsed = parser.parse_args(["leakage", *arguments, "--prepared_dir", "prepared"])
    return parsed.run(parsed, []), capsys.readouterr().out


def test_suites_are_checked_without_a_plan(capsys):
    status, shown = run(capsys, "suite.gin")
    text = " ".join(shown.split())
    assert status == 1
    assert "drill:x (1 rows)" in text
    assert "lineage: drill:x comes from 'zoo', as does exam:qa." in text
    assert "1 by ngram, 1 by lineage; waived: 0." in text


def test_json_has_everything(capsys):
    status, text = run(capsys, "run.gin", "--plan", "strict", "--json")
    value = json.loads(text)
    assert status == 1
    assert [(one["kind"], one["rows"]) for one in value["violations"]] == [
        ("ngram", 1),
        ("lineage", 0),
    ]
    assert value["unmatched"] == ["cluster 'none'"]


def test_exit_status_0_where_all_is_waived(capsys):
    status, text = run(capsys, "run.gin", "--plan", "waived")
    assert status == 0
    assert "Reason: a proverb." in " ".join(text.split())


def test_the_run_may_bind_its_plan(capsys, tmp_path):
    text = RUN + "configs.DataConfig.held_out = 'waived'"
    (tmp_path / "bound.gin").write_text(text)
    assert run(capsys, "bound.gin", "--json")[0] == 0
    assert run(capsys, "bound.gin", "--plan", "strict", "--json")[0] == 1


def test_an_unknown_plan_or_nothing_to_check_is_an_error(capsys):
    with pytest.raises(KeyError, match="'strict'"):
        run(capsys, "run.gin", "--plan", "strikt")
    with pytest.raises(ValueError, match="nothing to look for"):
        run(capsys, "run.gin")
