"""A run that is killed, or spread over processes, is the same run: real pipeline, model, checkpoints, processes."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
from orbax.checkpoint import v1 as ocp
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEPS, KILLED_AFTER = 20, 7
FLAGS = (
    "--gin.ModelConfig.emb_dim=16",
    "--gin.ModelConfig.mlp_dim=32",
    "--gin.ModelConfig.num_encoder_layers=1",
    "--gin.ModelConfig.num_decoder_layers=1",
    "--gin.ModelConfig.vocab_size=272",
    "--gin.ModelConfig.dropout_rate=0.1",  # so that the dropout key must continue too
    "--gin.DataConfig.modules=('tasks.quickstart', 'tasks.mixtures')",
    "--gin.DataConfig.mixture=quickstart_train",
    "--gin.DataConfig.vocabulary=bytes",
    "--gin.DataConfig.block_size=32",
    "--gin.EvalConfig.suites=()",
    f"--gin.CheckpointConfig.save_every_steps={KILLED_AFTER}",
    "--gin.experiments.train.log_every_steps=1",
    "--gin.OptimizerConfig.warmup_steps=3",
    f"--gin.experiments.train.num_steps={STEPS}",
)


def start(run_dir, store, *flags):
    command = [sys.executable, "-m", "flantune", "train", "gin/runs/tiny.gin", *FLAGS]
    return subprocess.Popen(
        [*command, *flags, "--run_dir", str(run_dir), "--prepared_dir", str(store)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(run_dir, store, *flags):
    process = start(run_dir, store, *flags)
    _, error = process.communicate()
    assert process.returncode == 0, error
    return error


def kill_after_checkpoint(run_dir, store, *flags):
    """Starts a run and kills it (SIGKILL, no clean-up) as soon as its first checkpoint is complete."""
    process = start(run_dir, store, *flags)
    checkpoint = run_dir / "checkpoints" / f"checkpoint_{KILLED_AFTER}"
    for _ in range(1200):
        if checkpoint.exists():
            break
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return checkpoint


def losses(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").open()]
    return {line["step"]: (line["train/loss"], line["train/num_input_tokens"]) for line in lines}


LORA = (
    "--gin.LoraConfig.rank=2",
    "--gin.LoraConfig.alpha=4.0",
    "--gin.LoraConfig.dropout_rate=0.1",
)


@pytest.mark.slow
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
    trees = [
        ocp.load(folder / "checkpoints" / f"checkpoint_{STEPS}", checkpointable_name="state")
        for folder in (tmp_path / "straight", killed)
    ]
    import jax

    compared = jax.tree.map(lambda a, b: bool(np.array_equal(np.asarray(a), np.asarray(b))), *trees)
    assert all(jax.tree.leaves(compared))
    assert len(jax.tree.leaves(compared)) > 40


@pytest.mark.slow
def test_two_processes_train_what_one_trains_and_one_continues_what_two_began(tmp_path):
    store = tmp_path / "prepared"
    finish(tmp_path / "one", store)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    flags = ("--coordinator_address", address, "--process_count", "2", "--process_index")
    half = f"--gin.experiments.train.num_steps={KILLED_AFTER}"
    schedule = f"--gin.OptimizerConfig.decay_steps={STEPS}"
    processes = [
        start(tmp_path / "two", store, *flags, str(index), half, schedule) for index in range(2)
    ]
    for process in processes:
        _, error = process.communicate(timeout=240)
        assert process.returncode == 0, error
    finish(tmp_path / "two", store)
    alone, together = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert alone.keys() == together.keys()
    for step, (loss, tokens) in alone.items():
        assert together[step][1] == tokens  # the same examples in every global batch
        assert together[step][0] == pytest.approx(loss, rel=1e-5)
