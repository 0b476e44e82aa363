"""Files of metrics, windows of steps, and what a resumed run keeps."""

import json
import sys
import types

import jax.numpy as jnp
import pytest

from flantune.training import metrics


def test_writer_appends_one_json_object_per_line(tmp_path):
    writer = metrics.MetricWriter(tmp_path)
    writer.write(1, {"train/loss": 2.5})
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "train/loss": 2.5}\n'
    writer.write(2, {"train/loss": float("nan"), "train/accuracy": 0.5})
    writer.close()
    assert metrics.read_metrics(tmp_path) == [
        {"step": 1, "train/loss": 2.5},
        {"step": 2, "train/loss": None, "train/accuracy": 0.5},
    ]
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_resumed_writer_drops_later_lines_and_one_cut_off_by_a_kill(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": step}) + "\n" for step in (5, 10, 15)) + '{"ste')
    writer = metrics.MetricWriter(tmp_path, resume_step=10)
    writer.write(15, {"train/loss": 1.0})
    writer.close()
    lines = metrics.read_metrics(tmp_path)
    assert lines == [{"step": 5}, {"step": 10}, {"step": 15, "train/loss": 1.0}]


def test_summary_weights_losses_by_target_tokens_and_sums_tokens():
    steps = [
        {"loss": 1.0, "num_target_tokens": 3.0, "learning_rate": 0.1},
        {"loss": 2.0, "num_target_tokens": 1.0, "learning_rate": 0.2},
    ]
    assert metrics.summarise(steps) == pytest.approx(
        {"train/loss": 1.25, "train/num_target_tokens": 4.0, "train/learning_rate": 0.2}
    )


def _step(loss):
    values = {"loss": loss, "accuracy": 0.0, "num_target_tokens": 2.0, "num_input_tokens": 6.0}
    return {name: jnp.float32(value) for name, value in values.items()}


def test_log_writes_a_line_per_window_and_keeps_the_open_one(tmp_path):
    log = metrics.TrainLog(tmp_path, start_step=0, num_steps=10, every_steps=3)
    for step in range(1, 6):
        log.add(step, _step(float(step)))
    log.wait()
    assert [step["loss"] for step in log.open_window()] == [4.0, 5.0]
    log.close()
    (line,) = metrics.read_metrics(tmp_path)
    assert (line["step"], line["train/loss"]) == (3, 2.0)
    resumed = metrics.TrainLog(tmp_path, 5, 10, 3, window=log.open_window())
    resumed.add(6, _step(9.0))
    resumed.wait()
    resumed.close()
    assert metrics.read_metrics(tmp_path)[1]["train/loss"] == 6.0  # mean of 4, 5 and 9


def test_values_written_in_a_pause_join_the_line_of_the_step(tmp_path):
    log = metrics.TrainLog(tmp_path, start_step=0, num_steps=2, every_steps=1)
    log.add(1, _step(1.0))
    with log.paused():
        log.write(1, {"eval/a": 0.5})
    log.add(2, _step(1.0))
    log.wait()
    log.close()
    lines = metrics.read_metrics(tmp_path)
    assert [line["step"] for line in lines] == [1, 2]
    assert lines[0]["eval/a"] == 0.5
    assert "train/loss" in lines[0]


def test_tokens_per_second_leaves_out_the_first_step_and_pauses(tmp_path, monkeypatch):
    clock = iter([100.0, 101.0, 500.0, 502.0])  # end of step 1, of step 2, of the pause, of step 3
    stub = types.SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr(metrics, "time", stub)
    log = metrics.TrainLog(tmp_path, start_step=0, num_steps=3, every_steps=3)
    log.add(1, _step(1.0))
    log.add(2, _step(1.0))
    with log.paused():
        pass
    log.add(3, _step(1.0))
    log.wait()
    log.close()
    (line,) = metrics.read_metrics(tmp_path)
    assert line["train/seconds_per_step"] == 1.5  # 1 s and 2 s
    assert line["train/tokens_per_second"] == pytest.approx(16 / 3)


def test_wandb_gets_the_same_lines(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    writer = metrics.MetricWriter(tmp_path / "run", wandb_project="tests")
    writer.write(1, {"train/loss": 2.0})
    writer.write(2, {"train/loss": 1.5})
    assert wandb.run.summary["train/loss"] == 1.5
    assert wandb.run.step >= 2
    writer.close()
    assert wandb.run is None
    assert metrics.read_metrics(tmp_path / "run")[-1]["train/loss"] == 1.5


def test_wandb_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match="not installed"):
        metrics.MetricWriter(tmp_path, wandb_project="tests")
