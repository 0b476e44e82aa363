"""Whole runs of the linear model: resumed, killed, interrupted, with callbacks."""

import json
import os
import signal
import time

from absl import logging
import jax
import numpy as np
import pytest

from flantune.configs import CheckpointConfig
from flantune.training import (
    bad_steps,
    checkpoints,
    metrics,
    preemption,
    state as state_lib,
    trainer,
    wall_time,
)

from . import linear_model


def _assert_same(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def _lines_without_times(run_dir):
    """Metrics but for those of the machine: times and memory."""
    of_machine = ("second", "bytes", "goodput")
    return [
        {
            name: value
            for name, value in line.items()
            if not any(word in name for word in of_machine)
        }
        for line in metrics.read_metrics(run_dir)
    ]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Folder and last state of 20 steps in one go."""
    run_dir = tmp_path_factory.mktemp("whole_run")
    return run_dir, linear_model.train(run_dir)


def test_run_learns_and_logs_every_fifth_step(whole_run):
    run_dir, state = whole_run
    lines = metrics.read_metrics(run_dir)
    assert [line["step"] for line in lines] == [5, 10, 15, 20]
    assert lines[-1]["train/loss"] < lines[0]["train/loss"]
    assert lines[0]["train/num_input_tokens"] == 5 * 8 * 4  # steps x rows x tokens, no padding
    assert lines[0]["train/tokens_per_second"] > 0
    assert int(state.step) == 20


class _SlowBatches(linear_model.CountingBatches):
    def __next__(self):
        time.sleep(0.1)
        return super().__next__()


def test_the_wait_for_slow_batches_is_told_from_compute(tmp_path):
    linear_model.train(tmp_path, num_steps=5, batches=_SlowBatches())
    (line,) = metrics.read_metrics(tmp_path)
    total, waited = line["train/seconds_per_step"], line["train/data_wait_seconds_per_step"]
    assert total >= 0.1
    assert 0.5 * total < waited <= total
    assert line["train/compute_seconds_per_step"] == pytest.approx(total - waited)


def test_metrics_hold_the_loss_of_each_task_and_cluster(whole_run):
    run_dir, _ = whole_run
    lines = metrics.read_metrics(run_dir)
    (tasks,) = [line for line in lines if line["step"] == 20]
    names = {name for name in tasks if name.startswith(("train/task/", "train/cluster/"))}
    kinds = [f"task/linear:{i}" for i in range(3)] + ["cluster/a", "cluster/b"]
    assert names == {f"train/{kind}/cross_entropy" for kind in kinds}
    losses = [tasks[f"train/task/linear:{i}/cross_entropy"] for i in range(3)]
    assert min(losses[:2]) <= tasks["train/cluster/a/cross_entropy"] <= max(losses[:2])
    assert tasks["train/cluster/b/cross_entropy"] == losses[2]
    assert not any(
        "train/task/linear:0/cross_entropy" in line for line in lines if line["step"] % 10
    )


def test_what_a_callback_finds_is_logged_and_the_best_by_it_is_kept(tmp_path, caplog):
    logging.set_verbosity(logging.INFO)
    scores = {5: 0.1, 10: 0.9, 15: 0.5}
    callback = trainer.Callback(
        every_steps=5,
        on_step=lambda step, *_: (
            trainer.Found(values={"eval/a": scores[step]}, text=f"a is {scores[step]}")
            if step < 20
            else None
        ),
    )
    config = CheckpointConfig(
        save_every_steps=5, keep_last=1, keep_best=1, best_metric="eval/a", best_is_highest=True
    )
    linear_model.train(tmp_path, callbacks=[callback], checkpoint_config=config)
    assert checkpoints.Checkpoints(tmp_path).steps() == (10, 20)
    assert [line.get("eval/a") for line in metrics.read_metrics(tmp_path)] == [0.1, 0.9, 0.5, None]
    for step, score in scores.items():
        assert f"step {step}/20  a is {score}" in caplog.messages


def test_run_folder_holds_the_last_checkpoints_and_the_parameter_table(whole_run):
    run_dir, state = whole_run
    assert checkpoints.Checkpoints(run_dir).steps() == (14, 20)
    table = (run_dir / "parameters.txt").read_text()
    assert "decoder/layers/kernel" in table
    assert "2 x 8 x 8" in table
    assert list((run_dir / "tensorboard").glob("events*"))
    assert len(jax.tree.leaves(state.params)) == 4


def test_run_that_stopped_inside_a_log_window_continues_bit_equal(whole_run, tmp_path):
    run_dir, expected = whole_run
    linear_model.train(tmp_path, num_steps=7)
    state = linear_model.train(tmp_path)
    _assert_same(state, expected)
    assert _lines_without_times(tmp_path) == _lines_without_times(run_dir)


_KILLED_RUN = """
import os, pathlib, signal, time
from flantune.training import trainer
from training import linear_model

def kill(step, state, metrics):
    while not (pathlib.Path({run_dir!r}) / "checkpoints" / "checkpoint_7").exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

linear_model.train({run_dir!r}, callbacks=[trainer.Callback(every_steps=11, on_step=kill)])
"""


def test_run_killed_at_step_11_continues_from_step_7_bit_equal(whole_run, tmp_path, run_python):
    run_dir, expected = whole_run
    killed = run_python(_KILLED_RUN.format(run_dir=str(tmp_path)))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoints.Checkpoints(tmp_path).steps() == (7,)
    assert [line["step"] for line in metrics.read_metrics(tmp_path)] == [5, 10]
    batches = linear_model.CountingBatches()
    first_index = []
    callback = trainer.Callback(every_steps=1, on_step=lambda *_: first_index.append(batches.index))
    state = linear_model.train(tmp_path, batches=batches, callbacks=[callback])
    assert first_index[0] == 8
    sessions = wall_time.read(tmp_path).sessions
    assert [(one.first_step, one.last_step) for one in sessions] == [(1, 11), (8, 20)]
    _assert_same(state, expected)
    assert _lines_without_times(tmp_path) == _lines_without_times(run_dir)


def test_finished_run_returns_its_state_and_takes_no_batch(whole_run):
    run_dir, expected = whole_run
    batches = linear_model.CountingBatches()
    _assert_same(linear_model.train(run_dir, batches=batches), expected)
    assert batches.index == 20  # where the checkpoint put it


def test_run_beyond_the_asked_steps_is_refused(whole_run):
    with pytest.raises(ValueError, match="is at step 20, beyond num_steps = 10"):
        linear_model.train(whole_run[0], num_steps=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_step_in_progress_and_the_run_continues_from_it(
    whole_run, tmp_path, caplog, number
):
    before = signal.getsignal(number)
    press = trainer.Callback(every_steps=4, on_step=lambda *_: os.kill(os.getpid(), number))
    with pytest.raises(preemption.Stopped, match="after step 5 of 20"):
        linear_model.train(tmp_path, callbacks=[press])
    # Sent after step 4, whose end had been decided: step 5 is the one in progress.
    assert checkpoints.Checkpoints(tmp_path).latest_step() == 5
    assert f"Stopped by {number.name} after step 5 of 20; resumable" in caplog.text
    assert signal.getsignal(number) == before
    _assert_same(linear_model.train(tmp_path), whole_run[1])


class _Poisoned(linear_model.CountingBatches):
    """Some batches hold a weight that is infinite."""

    def __init__(self, *steps):
        super().__init__()
        self._steps = steps

    def __next__(self):
        batch = super().__next__()
        if self.index in self._steps:
            batch["decoder_loss_weights"][0, 0] = np.inf
        return batch


def _describe(batch):
    return [{"task": "linear:0", "largest": int(batch["encoder_input_tokens"].max())}]


def test_a_loss_that_is_not_finite_stops_the_run_and_its_batch_is_written_down(tmp_path):
    message = (
        r"step 9 is not finite; .*bad_steps/step_9.json has the examples .*max_bad_steps \(0\)"
    )
    with pytest.raises(bad_steps.NonFiniteLossError, match=message):
        linear_model.train(tmp_path, batches=_Poisoned(9), describe_batch=_describe)
    found = json.loads((tmp_path / "bad_steps" / "step_9.json").read_text())
    assert (found["step"], found["tasks"]) == (9, {"linear:0": 1})
    assert found["examples"][0]["largest"] <= 15
    assert checkpoints.Checkpoints(tmp_path).steps() == (7,)


def test_bad_steps_are_skipped_as_if_they_had_no_batch(tmp_path):
    state = linear_model.train(tmp_path, batches=_Poisoned(4, 9, 10), max_bad_steps=3)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.device_get(state.params)))
    lines = metrics.read_metrics(tmp_path)
    assert [line["train/num_bad_steps"] for line in lines] == [1, 2, 0, 0]
    assert all(line["train/loss"] is not None for line in lines)
    before = linear_model.train(tmp_path / "before", num_steps=3)
    after = linear_model.train(
        tmp_path / "after", batches=_Poisoned(4), num_steps=4, max_bad_steps=1
    )
    assert int(after.step) == 4
    jax.tree.map(np.testing.assert_array_equal, after.params, before.params)
    jax.tree.map(np.testing.assert_array_equal, after.opt_state, before.opt_state)


def test_skipped_steps_count_over_restarts(tmp_path):
    linear_model.train(tmp_path, batches=_Poisoned(4, 9), num_steps=7, max_bad_steps=1)
    with pytest.raises(bad_steps.NonFiniteLossError, match="step 9"):
        linear_model.train(tmp_path, batches=_Poisoned(4, 9), max_bad_steps=1)


def test_a_run_whose_last_checkpoint_is_damaged_continues_from_the_one_before(
    whole_run, tmp_path, caplog
):
    linear_model.train(tmp_path, num_steps=14)
    (tmp_path / "checkpoints" / "checkpoint_14" / "data" / "process_0-of-1.json").write_text("{")
    state = linear_model.train(tmp_path)
    _assert_same(state, whole_run[1])
    assert "checkpoint_14 is damaged" in caplog.text
    assert (tmp_path / "checkpoints" / "damaged_checkpoint_14").exists()
    assert _lines_without_times(tmp_path) == _lines_without_times(whole_run[0])
    assert checkpoints.Checkpoints(tmp_path).steps() == (14, 20)


def test_callback_is_called_on_its_steps_and_its_values_share_the_line_of_the_step(tmp_path):
    seen = []

    def on_step(step, state, metrics):
        seen.append((step, int(state.step)))
        return trainer.Found(values={"eval/accuracy": step / 10}, text="done")

    callback = trainer.Callback(every_steps=4, on_step=on_step)
    linear_model.train(tmp_path, num_steps=8, log_every_steps=8, callbacks=[callback])
    assert seen == [(4, 4), (8, 8)]
    lines = metrics.read_metrics(tmp_path)
    assert [line["step"] for line in lines] == [4, 8]
    assert [line["eval/accuracy"] for line in lines] == [0.4, 0.8]
    assert "train/loss" in lines[1]


def test_a_first_state_of_ones_own_counts_where_there_is_no_checkpoint(tmp_path):
    before = linear_model.numpy_params()
    parts = linear_model.parts(num_steps=8)
    abstract = state_lib.abstract_state(
        *(parts[name] for name in ("model", "optimizer", "mesh", "rules"))
    )
    states = []
    callback = trainer.Callback(
        every_steps=1, on_step=lambda step, state, _: states.append(jax.device_get(state.params))
    )
    for num_steps in (1, 2):  # the second time there is one
        first = state_lib.state_with_params(before, parts["optimizer"], abstract)
        linear_model.train(tmp_path, num_steps=num_steps, initial_state=first, callbacks=[callback])
    assert len(states) == 2
    moved = [
        jax.tree.map(lambda new, old: float(np.abs(new - old).max()), *pair)
        for pair in ((states[0], before), (states[1], states[0]))
    ]
    for step in moved:
        assert 0 < max(jax.tree.leaves(step)) < 0.2


def test_batches_that_end_early_are_reported(tmp_path):
    with pytest.raises(ValueError, match="ended before step 4 of 20"):
        linear_model.train(tmp_path, batches=linear_model.CountingBatches(end=3))


def test_log_lines_tell_devices_mesh_size_and_first_step(tmp_path, caplog):
    logging.set_verbosity(logging.INFO)
    linear_model.train(tmp_path, num_steps=5)
    assert "mesh slice=1 x data=1 x fsdp=1 x tensor=1" in caplog.text
    assert "400 parameters" in caplog.text
    assert "Global batch: 8 rows, inputs of 5 tokens" in caplog.text
    assert "step 5/5  loss" in caplog.text
    assert "orbax" not in caplog.text.lower()
