"""bfloat16 activations train as float32 ones do, on the same batches."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from flantune import testing
from flantune.configs import ModelConfig

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEPS, AVERAGED = 200, 50
FLAGS = (
    "--gin.ModelConfig.emb_dim=32",
    "--gin.ModelConfig.mlp_dim=64",
    "--gin.ModelConfig.head_dim=8",
    "--gin.DataConfig.block_size=32",
    "--gin.DataConfig.vocabulary=bytes",
    "--gin.EvalConfig.suites=()",
    "--gin.OptimizerConfig.warmup_steps=20",
    "--gin.experiments.train.log_every_steps=1",
    f"--gin.experiments.train.num_steps={STEPS}",
)


def losses(run_dir, dtype):
    """The loss of every step of a run on the quickstart's generated tasks."""
    command = [sys.executable, "-m", "flantune", "train", "gin/runs/quickstart.gin", *FLAGS]
    done = subprocess.run(
        [*command, f"--gin.ModelConfig.dtype={dtype}", "--run_dir", str(run_dir / dtype)],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "FLANTUNE_PREPARED_DIR": str(run_dir / "prepared")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = (run_dir / dtype / "metrics.jsonl").read_text().splitlines()
    return [line["train/loss"] for line in map(json.loads, lines) if "train/loss" in line]


@pytest.mark.slow
def test_final_losses_agree_within_two_percent(tmp_path):
    """The mean loss of the last 50 of 200 steps: single steps differ by their batches, the mean by the numerics."""
    single, half = (np.array(losses(tmp_path, dtype)) for dtype in ("float32", "bfloat16"))
    assert len(single) == len(half) == STEPS
    assert (single != half).any()  # else both ran in the same dtype
    last = single[-AVERAGED:].mean(), half[-AVERAGED:].mean()
    assert last[0] < 0.7 * single[:5].mean()  # it has learnt
    print(f"float32 {last[0]:.4f}, bfloat16 {last[1]:.4f} nats per token")
    np.testing.assert_allclose(last[1], last[0], rtol=0.02)


def test_float16_is_refused_with_the_reason():
    sizes = {
        name: getattr(testing.MODEL, name)
        for name in (
            "vocab_size",
            "emb_dim",
            "num_heads",
            "head_dim",
            "mlp_dim",
            "num_encoder_layers",
            "num_decoder_layers",
        )
    }
    with pytest.raises(ValueError, match=r"'float16' is refused: .* exceed its range"):
        ModelConfig(**sizes, dtype="float16")
