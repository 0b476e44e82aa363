"""A run that is killed, or spread over processes, is the same run: real pipeline, model, checkpoints, processes."""

import signal

import numpy as np
import pytest

from . import small_runs

pytestmark = pytest.mark.slow
STEPS, KILLED_AFTER = 20, 7
FLAGS = (
    small_runs.NO_EVALUATION,
    f"--gin.CheckpointConfig.save_every_steps={KILLED_AFTER}",
    f"--gin.experiments.train.num_steps={STEPS}",
)
LORA = (
    "--gin.LoraConfig.rank=2",
    "--gin.LoraConfig.alpha=4.0",
    "--gin.LoraConfig.dropout_rate=0.1",
)


def finish(run_dir, store, *flags):
    return small_runs.finish([small_runs.start(run_dir, store, *FLAGS, *flags)])[0]


def kill_after_checkpoint(run_dir, store, *flags):
    """Starts a run and kills it (SIGKILL, no clean-up) as soon as its first checkpoint is complete."""
    process = small_runs.start(run_dir, store, *FLAGS, *flags)
    checkpoint = run_dir / "checkpoints" / f"checkpoint_{KILLED_AFTER}"
    small_runs.wait_until(checkpoint.exists, [process])
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return checkpoint


def losses(run_dir):
    return {
        line["step"]: (line["train/loss"], line["train/num_input_tokens"])
        for line in small_runs.lines(run_dir)
    }


@pytest.mark.parametrize("flags", [(), LORA], ids=["all", "lora"])
def test_twenty_steps_equal_seven_a_kill_and_thirteen(tmp_path, flags):
    store = tmp_path / "prepared"
    finish(tmp_path / "straight", store, *flags)
    killed = tmp_path / "killed"
    checkpoint = kill_after_checkpoint(killed, store, *flags)
    assert checkpoint.exists()
    assert not (killed / "checkpoints" / f"checkpoint_{STEPS}").exists()
    assert f"step {KILLED_AFTER}" in finish(killed, store, *flags).replace(
        f"checkpoint_{KILLED_AFTER}", ""
    )
    # The same batches: equal token counts and losses at every step, before and after the kill.
    assert losses(killed) == losses(tmp_path / "straight")
    assert sorted(losses(killed)) == list(range(1, STEPS + 1))
    straight, resumed = (
        small_runs.final_state(folder, STEPS) for folder in (tmp_path / "straight", killed)
    )
    assert straight.keys() == resumed.keys()
    assert len(straight) > 40
    for name, array in straight.items():
        np.testing.assert_array_equal(resumed[name], array, err_msg=name)


def test_two_processes_train_what_one_trains_and_one_continues_what_two_began(tmp_path):
    store = tmp_path / "prepared"
    finish(tmp_path / "one", store)
    half = f"--gin.experiments.train.num_steps={KILLED_AFTER}"
    schedule = f"--gin.OptimizerConfig.decay_steps={STEPS}"
    group = small_runs.start_group(
        tmp_path / "two", store, *FLAGS, half, schedule, count=2, devices=1
    )
    small_runs.finish(group)
    finish(tmp_path / "two", store)
    alone, together = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert alone.keys() == together.keys()
    for step, (loss, tokens) in alone.items():
        assert together[step][1] == tokens  # the same examples in every global batch
        assert together[step][0] == pytest.approx(loss, rel=1e-5)
