"""Small real runs of `flantune train`, in processes of their own, for tests that kill them."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from flantune.training import metrics

ROOT = pathlib.Path(__file__).resolve().parents[2]
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
    "--gin.experiments.train.log_every_steps=1",
    "--gin.OptimizerConfig.warmup_steps=3",
)
NO_EVALUATION = "--gin.EvalConfig.suites=()"


def environment(store, devices=1):
    """Of a command that sees so many CPU devices; programs that are compiled are kept beside the store."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
        "JAX_COMPILATION_CACHE_DIR": f"{store}_compiled",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def train_command(run_dir, store, *flags):
    words = ["train", "gin/runs/tiny.gin", *FLAGS, *flags]
    return [*words, "--run_dir", str(run_dir), "--prepared_dir", str(store)]


def start(run_dir, store, *flags, devices=1):
    """A process that trains on so many CPU devices."""
    return subprocess.Popen(
        [sys.executable, "-m", "flantune", *train_command(run_dir, store, *flags)],
        cwd=ROOT,
        env=environment(store, devices),
        stderr=subprocess.PIPE,
        text=True,
    )


def start_group(run_dir, store, *flags, count, devices):
    """The processes of one run, from a coordinator on a free port."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    places = ("--coordinator_address", address, "--process_count", str(count), "--process_index")
    return [
        start(run_dir, store, *flags, *places, str(index), devices=devices)
        for index in range(count)
    ]


def finish(processes):
    """The logs of processes that end well."""
    logs = [process.communicate(timeout=600)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), logs
    return logs


def wait_until(condition, processes):
    """Waits until a condition holds, while the processes go on."""
    for _ in range(6000):
        if condition():
            return
        for process in processes:
            assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    raise AssertionError("waited for 5 minutes")


def is_past(run_dir, first_step, step, num_steps):
    """Whether a run that continued from a step has logged another one since."""
    _, _, since = (run_dir / "log.txt").read_text().rpartition(f"step {first_step} of {num_steps}")
    return f"step {step}/{num_steps} " in since


def lines(run_dir):
    return metrics.read_metrics(run_dir)


def read_json(file):
    return json.loads(file.read_text())


def final_state(run_dir, step):
    """The arrays of a checkpoint by name, read onto one device, whatever wrote it."""
    path = run_dir / "checkpoints" / f"checkpoint_{step}"
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    saved = ocp.metadata(path, checkpointable_name="state").metadata
    abstract = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), saved
    )
    loaded = ocp.load(path, abstract, checkpointable_name="state")
    leaves, _ = jax.tree_util.tree_flatten_with_path(loaded)
    return {jax.tree_util.keystr(name): np.asarray(leaf) for name, leaf in leaves}
