"""The training loop: restore or start, step, log, save, stop.

Here: `train`. It receives a model, batches and callbacks, and knows neither data nor evaluation. Same arguments, same
run folder: a run that was stopped at any point, by Ctrl-C or kill -9, continues from its last checkpoint bit-equal.
Read `step.py` for the mathematics of a step, `metrics.py` for what is logged.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import math
import signal
import threading
import time
from types import FrameType
from typing import Protocol, runtime_checkable

from absl import logging
from etils import epath
import jax
from jax.sharding import Mesh
from jaxtyping import Array, Float, PyTree, Shaped
import numpy as np
import optax

from flantune import atomic
from flantune.configs import CheckpointConfig, OptimizerConfig
from flantune.training import (
    checkpoints as checkpoints_lib,
    metrics as metrics_lib,
    sharding,
    state as state_lib,
    step as step_lib,
    task_log,
)


@runtime_checkable
class Batches(Protocol):
    """This process's rows of each global batch, and the place in the sequence of batches."""

    def __next__(self) -> Mapping[str, Shaped[np.ndarray, "batch ..."]]:
        """The next batch."""

    def get_state(self) -> Mapping[str, object]:
        """JSON-able; after k batches it describes exactly the place after k batches."""

    def set_state(self, state: Mapping[str, object]) -> None:
        """Goes to a place that `get_state` described, perhaps on another number of processes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Callback:
    """Something to do between steps, for example an evaluation.

    Attributes:
        every_steps: called after each step that is a multiple of this.
        on_step: gets the number of steps done, the state and the step's metrics. The state's arrays are gone after
            the next step: copy what must stay. What it returns is written to the metrics of the step.
    """

    every_steps: int
    on_step: Callable[
        [int, state_lib.TrainState, Mapping[str, Float[Array, ""]]], Mapping[str, float] | None
    ]


def train(
    *,
    model: state_lib.Model,
    optimizer: optax.GradientTransformation,
    optimizer_config: OptimizerConfig,
    batches: Batches,
    mesh: Mesh,
    rules: sharding.AxisRules,
    run_dir: epath.PathLike,
    num_steps: int,
    seed: int,
    checkpoint_config: CheckpointConfig,
    log_every_steps: int = 10,
    callbacks: Sequence[Callback] = (),
    initial_params: PyTree = None,
    wandb_project: str | None = None,
    tasks: Sequence[task_log.TaskLabel] = (),
    log_tasks_every_steps: int = 100,
) -> state_lib.TrainState:
    """The state after `num_steps` updates, counted from the start of the run folder, not of this call.

    Saves every `checkpoint_config.save_every_steps` steps and after the last. `initial_params` count only when the
    run folder has no checkpoint.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once the step in progress is saved. (With several processes: at once.)
        ValueError: the run folder is of another model or beyond `num_steps`, or the batches end early.
    """
    start_s = time.monotonic()
    checkpoints = checkpoints_lib.Checkpoints(run_dir, checkpoint_config)
    with jax.set_mesh(mesh), contextlib.closing(checkpoints), _catch_interrupt() as interrupted:
        state, place = _restore_or_init(
            checkpoints, batches, num_steps, model, optimizer, mesh, rules, seed, initial_params
        )
        _describe(run_dir, model, state, mesh)
        train_step = step_lib.make_train_step(
            model=model,
            optimizer=optimizer,
            optimizer_config=optimizer_config,
            num_steps=num_steps,
            mesh=mesh,
            rules=rules,
            seed=seed,
            num_tasks=len(tasks),
        )
        start_step = step = int(state.step)
        log = metrics_lib.TrainLog(
            run_dir,
            start_step,
            num_steps,
            log_every_steps,
            place.get("window", ()),
            wandb_project,
            task_log.TaskLog(tasks, place.get("tasks", {})) if tasks else None,
            log_tasks_every_steps,
        )
        with contextlib.closing(log):
            for step in range(start_step + 1, num_steps + 1):
                batch = sharding.shard_batch(_next_batch(batches, step, num_steps), mesh, rules)
                state, metrics = train_step(state, batch)
                log.add(step, metrics)
                if step == start_step + 1:
                    _describe_first_step(log, batch, start_s)
                stop = interrupted.is_set()
                due = [callback for callback in callbacks if step % callback.every_steps == 0]
                save = stop or step == num_steps or step % checkpoint_config.save_every_steps == 0
                if due or save:
                    with log.paused():
                        found: dict[str, float] = {}
                        for callback in due:
                            found |= callback.on_step(step, state, metrics) or {}
                        log.write(step, found)
                        if save:
                            place = {
                                "batches": batches.get_state(),
                                "window": log.open_window(),
                                "tasks": log.open_tasks(),
                            }
                            checkpoints.save(step, state, place, found)
                if stop:
                    break
            checkpoints.wait()
        if interrupted.is_set():
            saved = checkpoints.path(step)
            logging.warning("Stopped by Ctrl-C after step %d of %d.", step, num_steps)
            logging.warning("Saved in %s: the same command continues from there.", saved)
            raise KeyboardInterrupt
    return state


def _restore_or_init(
    checkpoints: checkpoints_lib.Checkpoints,
    batches: Batches,
    num_steps: int,
    model: state_lib.Model,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    rules: sharding.AxisRules,
    seed: int,
    initial_params: PyTree,
) -> tuple[state_lib.TrainState, checkpoints_lib.JsonDict]:
    """The last checkpoint's state and what was saved beside it, its batches' place set; or a fresh state and nothing."""
    step = checkpoints.step_to_resume(num_steps)
    if step is None:
        logging.info("No checkpoint in %s: starting at step 0.", checkpoints.directory)
        return state_lib.init_state(
            model, optimizer, mesh, rules, seed, initial_params=initial_params
        ), {}
    abstract = state_lib.abstract_state(model, optimizer, mesh, rules)
    state, place = checkpoints.restore(abstract, step)
    batches.set_state(place["batches"])
    logging.info("Continuing from %s, step %d of %d.", checkpoints.path(step), step, num_steps)
    return state, place


def _next_batch(
    batches: Batches, step: int, num_steps: int
) -> Mapping[str, Shaped[np.ndarray, "batch ..."]]:
    try:
        return next(batches)
    except StopIteration as error:
        raise ValueError(
            f"The batches ended before step {step} of {num_steps}: a training iterator must be endless."
        ) from error


def _describe(
    run_dir: epath.PathLike, model: state_lib.Model, state: state_lib.TrainState, mesh: Mesh
) -> None:
    """Logs devices, mesh and size, and writes the table of parameters to `parameters.txt`."""
    device = jax.devices()[0]
    logging.info(
        "%d %s device(s), kind %s, in %d process(es); mesh %s.",
        jax.device_count(),
        device.platform,
        device.device_kind,
        jax.process_count(),
        " x ".join(f"{axis}={size}" for axis, size in mesh.shape.items()),
    )
    rows = sharding.parameter_table(
        state.params, model.logical_axes(), state_lib.shardings_of(state.params)
    )
    opt_bytes = sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(state.opt_state)
    )
    logging.info(
        "%s parameters; per device %s bytes of parameters and %s of optimizer state.",
        f"{sum(math.prod(row.shape) for row in rows):,}",
        f"{sum(row.bytes_per_device for row in rows):,}",
        f"{opt_bytes:,}",
    )
    if jax.process_index() == 0:
        path = epath.Path(run_dir) / "parameters.txt"
        atomic.write_text(path, sharding.format_parameter_table(rows))


def _describe_first_step(
    log: metrics_lib.TrainLog, batch: Mapping[str, Shaped[Array, "batch ..."]], start_s: float
) -> None:
    """Waits for the first step, which compiles, and logs what it took and the global batch."""
    log.wait()
    logging.info(
        "First step done after %.1f s. Global batch: %s rows, inputs of %s tokens, targets of %s.",
        time.monotonic() - start_s,
        *batch["encoder_input_tokens"].shape,
        batch["decoder_target_tokens"].shape[1],
    )


@contextlib.contextmanager
def _catch_interrupt() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets instead of breaking a step in the middle; the second one breaks.

    With several processes nothing is caught: one that stops alone to save would leave the others waiting for it.
    """
    interrupted = threading.Event()
    if jax.process_count() > 1 or threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    previous = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        logging.warning("Ctrl-C: saving after this step. Press it again to stop at once.")

    signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
