"""Files of metrics, and what a resumed run keeps of them."""

import json
import sys

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
