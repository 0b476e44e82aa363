"""What watching costs: seconds per step of a loop without any log, and with `TrainLog` as runs have it, in turn.

    python tests/benchmarks/watching.py [tiny] [t5_small]

- bare: steps alone, the host no further ahead than a run's.
- log_100: a line of metrics every 100 steps, losses of tasks in it.
- log_1: a line every step.
- log_1_untimed: the same without the thread that times steps (`StepTimes`).

One process and one compiled step for all; each round takes every way once, for as many steps. Prints medians, and the median
of the rounds' ratios to bare, by the clock and of processor time, which other processes disturb less. "log alone" is the
host's work on results that are there already: on an accelerator it runs beside the steps, and costs nothing while it is
shorter than they are.
"""

import collections
from collections.abc import Callable
import contextlib
import dataclasses
import os
import statistics
import sys
import tempfile
import time
from typing import NamedTuple

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np

from flantune.configs import MeshConfig, ModelConfig, OptimizerConfig
from flantune.models import t5
from flantune.training import (
    learner as learner_lib,
    optimizers,
    sharding,
    step as step_lib,
    step_times,
    task_log,
    train_log,
    wall_time,
)

T5_SMALL = ModelConfig(
    vocab_size=32128,
    emb_dim=512,
    num_heads=6,
    head_dim=64,
    mlp_dim=1024,
    num_encoder_layers=8,
    num_decoder_layers=8,
    dropout_rate=0.0,
    dtype="float32",
    scan_layers=False,
)
TINY = dataclasses.replace(
    T5_SMALL,
    vocab_size=768,
    emb_dim=128,
    num_heads=4,
    head_dim=32,
    mlp_dim=256,
    num_encoder_layers=2,
    num_decoder_layers=2,
)


@dataclasses.dataclass(frozen=True)
class Shape:
    model: ModelConfig
    inputs_length: int
    targets_length: int
    rounds: int
    steps: int  # of each way in a round
    rows: int = 8


SHAPES = {"tiny": Shape(TINY, 64, 16, 8, 25), "t5_small": Shape(T5_SMALL, 128, 32, 4, 3)}
TASKS = [task_log.TaskLabel(f"task:{number}", f"cluster {number % 3}") for number in range(8)]
WAYS = ("bare", "log_100", "log_1", "log_1_untimed")
_NUM_STEPS, _HOST_STEPS = 1_000_000, 100


class _NoLog:
    """Keeps the host from running further ahead than a run's, and nothing else."""

    def __init__(self):
        self._running = collections.deque()

    def fetching(self):
        return contextlib.nullcontext()

    def add(self, step, metrics):
        self._running.append(metrics["loss"])
        if len(self._running) > train_log.MAX_STEPS_AHEAD:
            self._running.popleft().block_until_ready()

    def wait(self):
        for loss in self._running:
            loss.block_until_ready()

    def close(self):
        pass


class _NoTimes(step_times.StepTimes):
    """Times no step, and waits for none."""

    def start(self, result):
        return None

    def finish(self, step):
        return None


def make_log(way: str, folder: str):
    if way == "bare":
        return _NoLog()
    every = 100 if way == "log_100" else 1
    settings = train_log.LogSettings(every_steps=every, tasks=TASKS, tasks_every_steps=every)
    clock = wall_time.Clock()
    clock.begin(folder, 0, _NUM_STEPS)
    log = train_log.TrainLog(folder, 0, _NUM_STEPS, settings, clock)
    if way == "log_1_untimed":
        log._times.close()
        log._times = _NoTimes()
    return log


def make_learner(model: ModelConfig) -> learner_lib.Learner:
    network = t5.EncoderDecoder(model)
    config = OptimizerConfig(name="adafactor", learning_rate=1e-3)
    return learner_lib.Learner(
        model=network,
        optimizer=optimizers.make_optimizer(config, _NUM_STEPS, network.logical_axes()),
        optimizer_config=config,
        mesh=sharding.make_mesh(MeshConfig()),
        rules=sharding.axis_rules(MeshConfig()),
        num_steps=_NUM_STEPS,
        seed=0,
    )


def make_batch(shape: Shape) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    batch = {}
    for side, length in (("encoder", shape.inputs_length), ("decoder", shape.targets_length)):
        size = (shape.rows, length)
        batch[f"{side}_input_tokens"] = rng.integers(3, 250, size, dtype=np.int32)
        batch[f"{side}_segment_ids"] = np.ones(size, np.int32)
        batch[f"{side}_positions"] = np.tile(np.arange(length, dtype=np.int32), (shape.rows, 1))
    return batch | {
        "decoder_target_tokens": rng.integers(3, 250, size, dtype=np.int32),
        "decoder_loss_weights": np.ones(size, np.float32),
        "decoder_task_ids": rng.integers(0, len(TASKS), size, dtype=np.int32),
    }


class Took(NamedTuple):
    """Seconds per step, by the clock and of all this process's threads."""

    wall: float
    processor: float


def timed(way: str, num_steps: int, take: Callable[[], step_lib.Metrics]) -> Took:
    """What a loop takes whose steps `take` starts, in one way of logging."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(make_log(way, folder)) as log,
    ):
        start = Took(time.perf_counter(), time.process_time())
        for step in range(1, num_steps + 1):
            with log.fetching():
                pass
            log.add(step, take())
        log.wait()
        end = Took(time.perf_counter(), time.process_time())
        return Took(
            *((after - before) / num_steps for before, after in zip(start, end, strict=True))
        )


def measure(shape: Shape) -> list[dict[str, tuple[Took, Took]]]:
    """By round, what each way takes: with the steps, and without them, the log's work alone."""
    learner = make_learner(shape.model)
    take_step = learner.make_step(len(TASKS))
    state = learner.new_state()
    rounds = []
    with jax.set_mesh(learner.mesh):
        batch = learner.place(make_batch(shape))
        state, done = jax.block_until_ready(take_step(state, batch))  # compiles

        def take() -> step_lib.Metrics:
            nonlocal state
            state, metrics = take_step(state, batch)
            return metrics

        for number in range(shape.rounds):  # each way has each place in the order
            turn = number % len(WAYS)
            ways = WAYS[turn:] + WAYS[:turn]
            rounds.append(
                {
                    way: (timed(way, shape.steps, take), timed(way, _HOST_STEPS, lambda: done))
                    for way in ways
                }
            )
    return rounds


def main() -> None:
    for name in sys.argv[1:] or SHAPES:
        rounds = measure(SHAPES[name])
        for way in WAYS:
            seconds = statistics.median(one[way][0].wall for one in rounds)
            alone = statistics.median(one[way][1].wall for one in rounds)
            ratios = (
                statistics.median(one[way][0][clock] / one["bare"][0][clock] for one in rounds)
                for clock in range(len(Took._fields))
            )
            shown = " ".join(f"{ratio:6.3f}" for ratio in ratios)
            print(
                f"{name:10}{way:15}{1e3 * seconds:10.2f} ms a step   / bare, wall and processor {shown}   "
                f"log alone {1e3 * alone:7.3f} ms a step",
                flush=True,
            )


if __name__ == "__main__":
    main()
