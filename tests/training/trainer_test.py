"""Whole runs of the linear model: resumed, killed, interrupted, with callbacks."""

import os
import signal

from absl import logging
import jax
import numpy as np
import pytest

from flantune.configs import CheckpointConfig
from flantune.training import checkpoints, metrics, state as state_lib, trainer

from . import linear_model


def _assert_same(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


def _lines_without_times(run_dir):
    return [
        {name: value for name, value in line.items() if "second" not in name}
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


def test_the_best_by_a_callback_s_metric_is_kept(tmp_path):
    scores = {5: 0.1, 10: 0.9, 15: 0.5}
    callback = trainer.Callback(
        every_steps=5, on_step=lambda step, *_: {"eval/a": scores[step]} if step < 20 else None
    )
    config = CheckpointConfig(
        save_every_steps=5, keep_last=1, keep_best=1, best_metric="eval/a", best_is_highest=True
    )
    linear_model.train(tmp_path, callbacks=[callback], checkpoint_config=config)
    assert checkpoints.Checkpoints(tmp_path).steps() == (10, 20)


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


def test_ctrl_c_saves_the_step_in_progress_and_the_run_continues_from_it(
    whole_run, tmp_path, caplog
):
    press = trainer.Callback(every_steps=4, on_step=lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        linear_model.train(tmp_path, callbacks=[press])
    # Pressed after step 4, whose end had been decided: step 5 is the one in progress.
    assert checkpoints.Checkpoints(tmp_path).latest_step() == 5
    assert "the same command continues from there" in caplog.text
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    _assert_same(linear_model.train(tmp_path), whole_run[1])


def test_callback_is_called_on_its_steps_and_its_values_share_the_line_of_the_step(tmp_path):
    seen = []

    def on_step(step, state, metrics):
        seen.append((step, int(state.step)))
        return {"eval/accuracy": step / 10}

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
    assert "mesh data=1 x fsdp=1 x tensor=1" in caplog.text
    assert "400 parameters" in caplog.text
    assert "Global batch: 8 rows, inputs of 5 tokens" in caplog.text
    assert "step 5/5  loss" in caplog.text
    assert "orbax" not in caplog.text.lower()
