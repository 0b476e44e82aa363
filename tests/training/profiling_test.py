"""Traces of steps: which steps, where the files are, what they hold, and what a resumed run does."""

import gzip
import json
import signal

import jax
import numpy as np
import pytest

from flantune.training import metrics, preemption, profiling, trainer

from . import linear_model


def test_steps_are_read_from_first_to_last():
    assert profiling.parse("10:15", 20) == profiling.StepRange(10, 15)
    assert profiling.parse("20:20", 20) == profiling.StepRange(20, 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", "must be FIRST:LAST, both included, for example 10:15, not '10'"),
        ("10-15", "FIRST:LAST"),
        (":15", "FIRST:LAST"),
        ("-1:3", "FIRST:LAST"),
        (10, "FIRST:LAST"),
        ("0:3", r"profile_steps \(0:3\) must begin at step 1 or later"),
        ("5:4", "not end before it begins"),
        ("10:21", r"must lie within the run: experiments.train.num_steps is 20"),
    ],
)
def test_what_names_no_steps_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        profiling.parse(text, 20)


def _traced_steps(run_dir):
    """Numbers of the steps in the only trace of a run folder."""
    (path,) = (run_dir / "profile").glob("plugins/profile/*/*.xplane.pb")
    planes = jax.profiler.ProfileData.from_file(str(path)).planes
    events = (event for plane in planes for line in plane.lines for event in line.events)
    return sorted(dict(event.stats)["step_num"] for event in events if event.name == "train")


def _losses(run_dir):
    return [(line["step"], line["train/loss"]) for line in metrics.read_metrics(run_dir)]


def test_a_trace_holds_its_steps_and_changes_nothing(tmp_path):
    plain, traced = (
        linear_model.train(tmp_path / name, num_steps=8, log_every_steps=2, profile_steps=steps)
        for name, steps in (("plain", None), ("traced", profiling.StepRange(3, 5)))
    )
    assert _traced_steps(tmp_path / "traced") == [3, 4, 5]
    (path,) = (tmp_path / "traced" / "profile").glob("plugins/profile/*/*.trace.json.gz")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    names = [event.get("name") for event in events]
    assert names.count("train") == 3
    assert len(set(names)) > 20  # and what is done in them
    assert not (tmp_path / "plain" / "profile").exists()
    jax.tree.map(np.testing.assert_array_equal, traced.params, plain.params)
    assert _losses(tmp_path / "traced") == _losses(tmp_path / "plain")


def test_a_run_that_goes_on_traces_what_is_left_of_the_steps_and_says_so(tmp_path, caplog):
    linear_model.train(tmp_path, num_steps=5)
    linear_model.train(tmp_path, num_steps=7, profile_steps=profiling.StepRange(3, 5))
    told = "Nothing is traced: the run goes on after step 5, and profile_steps is 3:5."
    assert told in caplog.text
    assert not (tmp_path / "profile").exists()
    linear_model.train(tmp_path, num_steps=10, profile_steps=profiling.StepRange(6, 9))
    assert "Only steps 8:9 of profile_steps 6:9 are traced" in caplog.text
    assert _traced_steps(tmp_path) == [8, 9]


def test_a_run_that_is_stopped_keeps_what_was_traced(tmp_path, caplog):
    request = trainer.Callback(
        every_steps=4, on_step=lambda *_: signal.raise_signal(signal.SIGTERM)
    )
    with pytest.raises(preemption.Stopped, match="after step 5"):
        linear_model.train(tmp_path, callbacks=[request], profile_steps=profiling.StepRange(3, 9))
    assert "ended before the last of the traced steps 3:9" in caplog.text
    assert _traced_steps(tmp_path) == [3, 4, 5]
