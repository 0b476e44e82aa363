"""Files of metrics, and what a resumed run keeps of them."""

import importlib.util
import json
import subprocess
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


_IN_A_BUCKET = """
import os, sys, types
os.environ["EPATH_USE_TF"] = "0"
import fsspec
from fsspec.implementations import memory

class Bucket(memory.MemoryFileSystem):
    protocol = ("gs", "gcs")
    def __init__(self, **options):
        super().__init__()
    def _open(self, path, mode="rb", **options):
        assert "a" not in mode, "a bucket takes no appending"
        return super()._open(path, mode, **options)

for protocol in ("gs", "gcs"):
    fsspec.register_implementation(protocol, Bucket, clobber=True)
import tensorboardX
from etils import epath
from flantune.training import metrics
run = epath.Path("gs://runs/mine")
if sys.argv[1] == "bare":
    metrics.MetricWriter(run)
# Its own client of buckets needs the network; what it gets is tested elsewhere.
written = []
tensorboardX.SummaryWriter = lambda *_, **__: types.SimpleNamespace(
    add_scalar=lambda *scalar: written.append(scalar), close=lambda: None)
writer = metrics.MetricWriter(run)
writer.write(1, {"train/loss": 2.5})
assert metrics.read_metrics(run) == []
metrics.REWRITE_EVERY_S = 0.0
writer.write(2, {"train/loss": 1.5})
print([line["step"] for line in metrics.read_metrics(run)])
metrics.REWRITE_EVERY_S = 30.0
writer.write(3, {"train/loss": 1.0})
writer.close()
print([line["step"] for line in metrics.read_metrics(run)])
writer = metrics.MetricWriter(run, resume_step=2)
writer.write(3, {"train/loss": 0.5})
writer.close()
print([line["train/loss"] for line in metrics.read_metrics(run)], len(written))
"""


def in_a_bucket(word):
    pytest.importorskip("fsspec")
    return subprocess.run(
        [sys.executable, "-c", _IN_A_BUCKET, word], capture_output=True, text=True, check=False
    )


def test_a_bucket_that_takes_no_appending_gets_the_file_anew():
    done = in_a_bucket("whole")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[1, 2]", "[1, 2, 3]", "[2.5, 1.5, 0.5] 4"]


def test_a_bucket_without_tensorboards_package_is_told():
    if importlib.util.find_spec("google") and importlib.util.find_spec("google.cloud.storage"):
        pytest.skip("google-cloud-storage is installed")
    done = in_a_bucket("bare")
    assert "ValueError: TensorBoard's file gs://runs/mine/tensorboard needs" in done.stderr
