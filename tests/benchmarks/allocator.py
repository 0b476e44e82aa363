"""Seconds per training step of the quickstart's model, with and without `allocator.keep_freed_memory`, in turn.

The setting is for a whole process, so each measurement is a process of its own.
"""

import statistics
import subprocess
import sys

ROUNDS, WARM_UP, STEPS = 3, 5, 60
CHILD = """
import sys, time
from flantune.host import allocator
if sys.argv[1] == "keep":
    assert allocator.keep_freed_memory()
import jax, numpy as np
from flantune.configs import ModelConfig, OptimizerConfig, MeshConfig
from flantune.models import t5
from flantune.training import optimizers, sharding, state, step
warm_up, steps = int(sys.argv[2]), int(sys.argv[3])
model = t5.EncoderDecoder(ModelConfig(
    vocab_size=768, emb_dim=128, num_heads=4, head_dim=32, mlp_dim=256, num_encoder_layers=2,
    num_decoder_layers=2, dropout_rate=0.0, dtype="float32", scan_layers=False))
config = OptimizerConfig(name="adafactor", learning_rate=1e-3)
optimizer = optimizers.make_optimizer(config, 1000, model.logical_axes())
mesh, rules = sharding.make_mesh(MeshConfig()), sharding.axis_rules(MeshConfig())
rng = np.random.default_rng(0)
def tokens(length): return rng.integers(2, 700, (20, length)).astype(np.int32)
def ones(length): return np.ones((20, length), np.int32)
batch = {"encoder_input_tokens": tokens(64), "encoder_segment_ids": ones(64), "encoder_positions": ones(64),
         "decoder_input_tokens": tokens(16), "decoder_target_tokens": tokens(16), "decoder_positions": ones(16),
         "decoder_loss_weights": np.ones((20, 16), np.float32), "decoder_segment_ids": ones(16)}
with jax.set_mesh(mesh):
    current = state.init_state(model, optimizer, mesh, rules, 0)
    run = step.make_train_step(model=model, optimizer=optimizer, optimizer_config=config, num_steps=1000,
                               mesh=mesh, rules=rules, seed=0)
    for number in range(warm_up + steps):
        if number == warm_up:
            jax.block_until_ready(current)
            start = time.perf_counter()
        current, _ = run(current, sharding.shard_batch(batch, mesh, rules))
    jax.block_until_ready(current)
print((time.perf_counter() - start) / steps)
"""


def seconds_per_step(way):
    command = [sys.executable, "-c", CHILD, way, str(WARM_UP), str(STEPS)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    pairs = [(seconds_per_step("keep"), seconds_per_step("default")) for _ in range(ROUNDS)]
    print(f"keeping freed memory  {1e3 * statistics.median(p[0] for p in pairs):8.1f} ms a step")
    print(f"glibc's defaults      {1e3 * statistics.median(p[1] for p in pairs):8.1f} ms a step")
    print(f"ratio                 {statistics.median(p[0] / p[1] for p in pairs):8.2f}")


if __name__ == "__main__":
    main()
