"""The training loop: restore or start, step, log, save, stop.

Here: `train`. It receives a model, batches and callbacks, and knows neither data nor evaluation. Same arguments, same
run folder: a run that was stopped at any point, by Ctrl-C or kill -9, continues from its last checkpoint bit-equal.
Read `step.py` for the mathematics of a step, `metrics.py` for what is logged.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
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

from flantune.configs import CheckpointConfig, OptimizerConfig
from flantune.training import (
    checkpoints as checkpoints_lib,
    description,
    metrics as metrics_lib,
    partial,
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
    initial_state: state_lib.TrainState | None = None,
    frozen: PyTree = None,
    wandb_project: str | None = None,
    tasks: Sequence[task_log.TaskLabel] = (),
    log_tasks_every_steps: int = 100,
) -> state_lib.TrainState:
    """The state after `num_steps` updates, counted from the start of the run folder, not of this call.

    Saves every `checkpoint_config.save_every_steps` steps and after the last. `initial_state` counts only when the run
    folder has no checkpoint, and its arrays are gone then; without it parameters come from the seed. `frozen` are the parameters that a
    `PartialModel` does not train: placed already, left as they are, and not saved but for their fingerprint.

    Raises:
        KeyboardInterrupt: after Ctrl-C, once the step in progress is saved. (With several processes: at once.)
        ValueError: the run folder is of another model, of other frozen parameters or beyond `num_steps`, or the batches
            end early.
    """
    start_s = time.monotonic()
    checkpoints = checkpoints_lib.Checkpoints(run_dir, checkpoint_config)
    with jax.set_mesh(mesh), contextlib.closing(checkpoints), _catch_interrupt() as interrupted:
        saver = _Saver(
            checkpoints, batches, None if frozen is None else partial.fingerprint(frozen)
        )
        abstract = state_lib.abstract_state(model, optimizer, mesh, rules)
        restored = saver.restore(abstract, num_steps)
        if restored is None and initial_state is None:
            initial_state = state_lib.init_state(model, optimizer, mesh, rules, seed)
        state, place = restored or (initial_state, {})
        assert state is not None
        description.describe(run_dir, model, state, frozen, mesh)
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
        log = metrics_lib.TrainLog(
            run_dir,
            int(state.step),
            num_steps,
            log_every_steps,
            place.get("window", ()),
            wandb_project,
            task_log.TaskLog(tasks, place.get("tasks", {})) if tasks else None,
            log_tasks_every_steps,
        )
        with contextlib.closing(log):
            loop = _Loop(
                take_step=lambda state, batch: train_step(state, batch, frozen),
                take_batch=lambda step: sharding.shard_batch(
                    _next_batch(batches, step, num_steps), mesh, rules
                ),
                num_steps=num_steps,
                save_every_steps=checkpoint_config.save_every_steps,
                callbacks=callbacks,
                saver=saver,
                log=log,
                interrupted=interrupted,
                start_s=start_s,
            )
            return loop.run(state)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Loop:
    """Steps, and what happens between them."""

    take_step: step_lib.TrainStep
    take_batch: Callable[[int], Mapping[str, Shaped[Array, "batch ..."]]]
    num_steps: int
    save_every_steps: int
    callbacks: Sequence[Callback]
    saver: "_Saver"
    log: metrics_lib.TrainLog
    interrupted: threading.Event
    start_s: float

    def run(self, state: state_lib.TrainState) -> state_lib.TrainState:
        """The last state, saved; raises KeyboardInterrupt where Ctrl-C came before it."""
        start_step = step = int(state.step)
        for step in range(start_step + 1, self.num_steps + 1):
            batch = self.take_batch(step)
            state, metrics = self.take_step(state, batch)
            self.log.add(step, metrics)
            if step == start_step + 1:
                description.describe_first_step(self.log, batch, self.start_s)
            stop = self.interrupted.is_set()
            self._pause(step, state, metrics, stop)
            if stop:
                break
        self.saver.checkpoints.wait()
        if self.interrupted.is_set():
            saved = self.saver.checkpoints.path(step)
            logging.warning("Stopped by Ctrl-C after step %d of %d.", step, self.num_steps)
            logging.warning("Saved in %s: the same command continues from there.", saved)
            raise KeyboardInterrupt
        return state

    def _pause(
        self, step: int, state: state_lib.TrainState, metrics: step_lib.Metrics, stop: bool
    ) -> None:
        """Calls back and saves, where that is due after a step."""
        due = [callback for callback in self.callbacks if step % callback.every_steps == 0]
        save = stop or step == self.num_steps or step % self.save_every_steps == 0
        if not due and not save:
            return
        with self.log.paused():
            found: dict[str, float] = {}
            for callback in due:
                found |= callback.on_step(step, state, metrics) or {}
            self.log.write(step, found)
            if save:
                self.saver.save(step, state, self.log, found)


@dataclasses.dataclass(frozen=True)
class _Saver:
    """Saves and restores a run: its state, and beside it the batches' place, the log's open window, the fingerprint."""

    checkpoints: checkpoints_lib.Checkpoints
    batches: Batches
    fingerprint: str | None

    def save(
        self,
        step: int,
        state: state_lib.TrainState,
        log: metrics_lib.TrainLog,
        found: Mapping[str, float],
    ) -> None:
        """Starts saving; `found` are the metrics of an evaluation of this step, if there was one."""
        place = {
            "batches": self.batches.get_state(),
            "window": log.open_window(),
            "tasks": log.open_tasks(),
            "frozen": self.fingerprint,
        }
        self.checkpoints.save(step, state, place, found)

    def restore(
        self, abstract: state_lib.TrainState, num_steps: int
    ) -> tuple[state_lib.TrainState, checkpoints_lib.JsonDict] | None:
        """The last checkpoint's state and what was saved beside it, its batches' place set; None without a checkpoint."""
        step = self.checkpoints.step_to_resume(num_steps)
        if step is None:
            logging.info("No checkpoint in %s: a new run.", self.checkpoints.directory)
            return None
        state, place = self.checkpoints.restore(abstract, step)
        path = self.checkpoints.path(step)
        partial.check_fingerprint(place.get("frozen"), self.fingerprint, path)
        self.batches.set_state(place["batches"])
        logging.info("Continuing from %s, step %d of %d.", path, step, num_steps)
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
