"""`flantune.train`: a run folder as the command's, a log, and no trace of a call that is refused."""

import json
import pathlib

from absl import logging
import pytest

import flantune
from flantune.host import own_records
from flantune.training import metrics, preemption, trainer


def test_a_run_folder_is_what_the_command_makes(trained):
    run = pathlib.Path("run")
    for name in ("config.gin", "log.txt", "report.html", "metrics.jsonl", "versions.json"):
        assert (run / name).exists(), name
    log = (run / "log.txt").read_text()
    assert "First step done" in log
    assert "api:copy" in log
    config = (run / "config.gin").read_text()
    assert "experiments.train.num_steps = 5" in config
    assert "configs.DataConfig.batch_size = 8" in config
    assert set(trained.tuned.summary()) == {"written", "ranked"}
    report = json.loads((run / "report.json").read_text())
    assert {
        name: report["summary"][name] for name in ("written", "ranked")
    } == trained.tuned.summary()


def test_the_same_call_with_more_steps_goes_on(trained, tmp_path):
    assert trained is not None
    short = {"DataConfig.batch_size": 8, "EvalConfig.suites": ()}
    run = tmp_path / "run"
    assert (
        flantune.train("run.gin", run_dir=run, **short, **{"experiments.train.num_steps": 2})
        is None
    )
    assert (
        flantune.train("run.gin", run_dir=run, **short, **{"experiments.train.num_steps": 5})
        is None
    )
    ours, whole = (metrics.read_metrics(folder)[-1] for folder in (run, pathlib.Path("run")))
    assert ours["step"] == whole["step"] == 5
    config = (run / "config.gin").read_text()
    assert "experiments.train.num_steps = 5" in config


def test_a_call_that_is_refused_leaves_nothing(tmp_path):
    for bindings, message in (
        ({"experiments.train.num_step": 3}, "Did you mean 'num_steps'"),
        ({"ModelConfig.vocab_size": 10}, "must be at least the vocabulary's size"),
        ({"DataConfig.mixture": "api_al"}, "Did you mean 'api_all'"),
    ):
        with pytest.raises((ValueError, KeyError), match=message):
            flantune.train("run.gin", run_dir=tmp_path / "refused", **bindings)
    assert not list(tmp_path.iterdir())


def test_the_log_is_let_through_for_the_run_alone(tmp_path, monkeypatch):
    def stop(*_, **__):
        assert logging.get_verbosity() == logging.INFO
        assert own_records.ours_or_warning in logging.get_absl_logger().filters
        raise preemption.Stopped("Stopped after step 1 of 9.")

    monkeypatch.setattr(trainer, "train", stop)
    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with pytest.raises(preemption.Stopped, match="after step 1"):
            flantune.train("run.gin", run_dir=tmp_path / "run")
        assert logging.get_verbosity() == logging.ERROR
        assert own_records.ours_or_warning not in logging.get_absl_logger().filters
    finally:
        logging.set_verbosity(before)
