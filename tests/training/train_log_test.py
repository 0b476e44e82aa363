"""Windows of steps: their lines, their times, and what a resumed run keeps of an open one."""

import types

import jax
import jax.numpy as jnp
import pytest

from flantune.training import memory, metrics, step_times, train_log, wall_time


def _step(loss):
    values = {"loss": loss, "accuracy": 0.0, "num_examples": 3.0}
    values |= {"num_target_tokens": 2.0, "num_input_tokens": 6.0}
    return {name: jnp.float32(value) for name, value in values.items()}


def _log(run_dir, every_steps, *, start_step=0, place=None, **settings):
    settings = train_log.LogSettings(every_steps=every_steps, **settings)
    return train_log.TrainLog(run_dir, start_step, 10, settings, wall_time.Clock(), place)


def test_log_writes_a_line_per_window_and_keeps_the_open_one(tmp_path):
    log = _log(tmp_path, 3)
    for step in range(1, 6):
        log.add(step, _step(float(step)))
    log.wait()
    assert [step["loss"] for step in log.state()["window"]] == [4.0, 5.0]
    log.close()
    (line,) = metrics.read_metrics(tmp_path)
    assert (line["step"], line["train/loss"]) == (3, 2.0)
    resumed = _log(tmp_path, 3, start_step=5, place=log.state())
    resumed.add(6, _step(9.0))
    resumed.wait()
    resumed.close()
    assert metrics.read_metrics(tmp_path)[1]["train/loss"] == 6.0  # mean of 4, 5 and 9


def test_values_written_in_a_pause_join_the_line_of_the_step(tmp_path):
    log = _log(tmp_path, 1)
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


@pytest.fixture
def clock(monkeypatch):
    """Sets the time that steps see, at will."""
    clock = types.SimpleNamespace(now=0.0)
    stub = types.SimpleNamespace(monotonic=lambda: clock.now)
    monkeypatch.setattr(step_times, "time", stub)
    return clock


def _take(log, clock, step, *, fetched, done):
    """A step that nothing precedes on the device: its batch is there at one time, its result at another."""
    with log.fetching():
        clock.now = fetched
    clock.now = done
    log.add(step, _step(1.0))
    log.wait()


def test_speed_leaves_out_the_first_step_and_pauses(tmp_path, clock):
    log = _log(tmp_path, 3, peak_share=0.6)
    _take(log, clock, 1, fetched=99.0, done=100.0)
    _take(log, clock, 2, fetched=100.25, done=101.0)
    with log.paused():
        clock.now = 500.0
    _take(log, clock, 3, fetched=500.25, done=502.0)
    log.close()
    (line,) = metrics.read_metrics(tmp_path)
    assert line["train/seconds_per_step"] == 1.5  # 1 s and 2 s
    assert line["train/data_wait_seconds_per_step"] == 0.25
    assert line["train/compute_seconds_per_step"] == 1.25
    assert line["train/tokens_per_second"] == pytest.approx(16 / 3)
    assert line["train/examples_per_second"] == pytest.approx(6 / 3)
    assert line["train/model_flops_utilisation"] == pytest.approx(0.4)
    assert line["train/num_examples"] == 9


def test_utilisation_is_left_out_where_the_peak_is_not_known(tmp_path, clock):
    log = _log(tmp_path, 2)
    for step in (1, 2):
        _take(log, clock, step, fetched=float(step), done=step + 0.5)
    log.close()
    (line,) = metrics.read_metrics(tmp_path)
    assert "train/seconds_per_step" in line
    assert "train/model_flops_utilisation" not in line


def test_lines_hold_the_memory_in_use(tmp_path):
    log = _log(tmp_path, 1)
    log.add(1, _step(1.0))
    log.wait()
    log.close()
    (line,) = metrics.read_metrics(tmp_path)
    assert 2**24 < line["train/host_peak_bytes"] <= memory.used()["train/host_peak_bytes"]
    counted = jax.local_devices()[0].memory_stats() or {}  # None on a CPU
    assert ("train/device_peak_bytes" in line) == ("peak_bytes_in_use" in counted)
