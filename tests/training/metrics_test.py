"""Files of metrics, and what a resumed run keeps of them."""

import importlib.util
import json
import struct
import subprocess
import sys

import pytest
from tensorboardX.proto import event_pb2

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
import os, sys, time, types
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
from flantune.host import growing
from flantune.training import metrics
run = epath.Path("gs://runs/mine")
if sys.argv[1] == "bare":
    metrics.MetricWriter(run)
# Its own client of buckets needs the network; what it gets is tested elsewhere.
written = []
tensorboardX.SummaryWriter = lambda *_, **__: types.SimpleNamespace(
    add_scalar=lambda *scalar: written.append(scalar), close=lambda: None)
growing.REWRITE_EVERY_S = 0.5
writer = metrics.MetricWriter(run)
writer.write(1, {"train/loss": 2.5})
writer.write(2, {"train/loss": 1.5})
print([line["step"] for line in metrics.read_metrics(run)])
while not (found := metrics.read_metrics(run)):
    time.sleep(0.01)
print([line["step"] for line in found])
growing.REWRITE_EVERY_S = 30.0
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
    assert done.stdout.splitlines() == ["[]", "[1, 2]", "[1, 2, 3]", "[2.5, 1.5, 0.5] 4"]


def test_a_bucket_without_tensorboards_package_is_told():
    if importlib.util.find_spec("google") and importlib.util.find_spec("google.cloud.storage"):
        pytest.skip("google-cloud-storage is installed")
    done = in_a_bucket("bare")
    assert "ValueError: TensorBoard's file gs://runs/mine/tensorboard needs" in done.stderr


def _points(run_dir):
    """(tag, step, value) of each scalar in TensorBoard's files: records of a length, a checksum, an event, a checksum."""
    found = []
    for path in (run_dir / "tensorboard").iterdir():
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            found += [(one.tag, event.step, one.simple_value) for one in event.summary.value]
            data = data[16 + length :]
    return sorted(found)


def test_what_is_found_after_the_last_step_joins_its_line(tmp_path):
    writer = metrics.MetricWriter(tmp_path)
    writer.write(1, {"train/loss": 2.0})
    writer.write(2, {"train/loss": 1.5})
    writer.close()
    for _ in range(2):  # a run that is only evaluated again changes nothing
        metrics.amend(tmp_path, 2, {"eval/a": 0.5, "eval/b": float("nan")})
        assert metrics.read_metrics(tmp_path) == [
            {"step": 1, "train/loss": 2.0},
            {"step": 2, "train/loss": 1.5, "eval/a": 0.5, "eval/b": None},
        ]
        assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    metrics.amend(tmp_path, 3, {"eval/a": 0.75})  # a step between two lines of the log
    assert metrics.read_metrics(tmp_path)[-1] == {"step": 3, "eval/a": 0.75}
    points = [point for point in _points(tmp_path) if point[0] != "eval/b"]
    losses = [("train/loss", 1, 2.0), ("train/loss", 2, 1.5)]
    assert points == [("eval/a", 2, 0.5), ("eval/a", 3, 0.75), *losses]
