"""flantune's training step, as `flantune train` takes it: jitted, state donated, all metrics of a run."""

import math

import jax

from flantune.configs import MeshConfig, OptimizerConfig
from flantune.host import allocator
from flantune.models import t5
from flantune.training import optimizers, sharding, state as state_lib, step as step_lib
from tests.benchmarks import training_process


class Flantune(training_process.Trainer):
    """Adafactor as T5 is tuned with, z-loss, dropout of the model's rate."""

    def __init__(self, job: training_process.Job) -> None:
        allocator.keep_freed_memory()  # as the command line does
        network = t5.EncoderDecoder(job.config())
        optimizer_config = OptimizerConfig(name="adafactor", learning_rate=job.learning_rate)
        optimizer = optimizers.make_optimizer(optimizer_config, 1000, network.logical_axes())
        self._mesh = sharding.make_mesh(MeshConfig())
        self._rules = sharding.axis_rules(MeshConfig())
        with jax.set_mesh(self._mesh):
            self._state = state_lib.init_state(network, optimizer, self._mesh, self._rules, 0)
            jax.block_until_ready(self._state)
        self._take_step = step_lib.make_train_step(
            model=network,
            optimizer=optimizer,
            optimizer_config=optimizer_config,
            num_steps=1000,
            mesh=self._mesh,
            rules=self._rules,
            seed=0,
        )
        leaves = jax.tree.leaves(self._state.params)
        self.parameters = sum(math.prod(leaf.shape) for leaf in leaves)
        self.device = jax.devices()[0].device_kind
        self.versions = f"jax {jax.__version__}"

    def step(self, batch: training_process.Batch) -> float:
        with jax.set_mesh(self._mesh):
            placed = sharding.shard_batch(batch, self._mesh, self._rules)
            self._state, metrics = self._take_step(self._state, placed)
            # The state too: the next step must not wait for this one's update.
            jax.block_until_ready(self._state)
        return float(metrics["loss"])

    def peak_device_bytes(self) -> int | None:
        counts = jax.devices()[0].memory_stats()
        return None if counts is None else int(counts["peak_bytes_in_use"])
