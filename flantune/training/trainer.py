"""The training loop: restore or start, step, log, save, stop.

Here: `train`. It receives a model, batches and callbacks, and knows neither data nor evaluation. Same arguments, same
run folder: a run that was stopped at any point, by a signal or kill -9, continues from its last checkpoint bit-equal.
Read `step.py` for the mathematics of a step, `train_log.py` for what is logged.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
from typing import Protocol, runtime_checkable

from absl import logging
from etils import epath
import jax
from jaxtyping import Array, Float, Shaped
import numpy as np

from flantune.configs import CheckpointConfig
from flantune.host import stages
from flantune.training import (
    bad_steps as bad_steps_lib,
    checkpoints as checkpoints_lib,
    description,
    learner as learner_lib,
    partial,
    preemption,
    profiling,
    state as state_lib,
    step as step_lib,
    train_log,
    wall_time,
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
class Found:
    """What a callback found out.

    Attributes:
        values: are written to the metrics of the step.
        text: for people: a line of the log, and beside the bar until the next one.
    """

    values: Mapping[str, float]
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Callback:
    """Something to do between steps, for example an evaluation.

    Attributes:
        every_steps: called after each step that is a multiple of this.
        on_step: gets the number of steps done, the state and the step's metrics. The state's arrays are gone after
            the next step: copy what must stay.
    """

    every_steps: int
    on_step: Callable[[int, state_lib.TrainState, Mapping[str, Float[Array, ""]]], Found | None]


_DEFAULT_LOG = train_log.LogSettings()


def train(
    learner: learner_lib.Learner,
    *,
    batches: Batches,
    run_dir: epath.PathLike,
    checkpoint_config: CheckpointConfig,
    log: train_log.LogSettings = _DEFAULT_LOG,
    callbacks: Sequence[Callback] = (),
    initial_state: state_lib.TrainState | None = None,
    on_start: Callable[[], None] = lambda: None,
    max_bad_steps: int = 0,
    describe_batch: bad_steps_lib.DescribeBatch | None = None,
    profile_steps: profiling.StepRange | None = None,
    clock: wall_time.Clock | None = None,
) -> state_lib.TrainState:
    """The state after `learner.num_steps` updates, counted from the start of the run folder, not of this call.

    Saves every `checkpoint_config.save_every_steps` steps and after the last; of frozen parameters only a fingerprint.
    `initial_state` counts only when the run folder has no checkpoint, and its arrays are gone then. `on_start` is called
    when all is checked and restored, and nothing is written. Up to `max_bad_steps` steps whose loss is not finite are
    skipped; `describe_batch` says what was in them. `clock` has the session's wall time.

    Raises:
        Stopped: a signal asked for it (SIGTERM, or Ctrl-C), and the step in progress is saved.
        NonFiniteLossError: more than `max_bad_steps` steps had a loss or gradient that is not finite.
        ValueError: the run folder is of another model, of other frozen parameters or beyond the learner's steps, or the
            batches end early.
    """
    clock = clock or wall_time.Clock()
    checkpoints = checkpoints_lib.Checkpoints(run_dir, checkpoint_config)
    mesh, closing = jax.set_mesh(learner.mesh), contextlib.closing(checkpoints)
    with mesh, closing, preemption.stop_requests() as request:
        saver = _Saver(checkpoints, batches, _fingerprint(learner))
        state, place = _first_state(learner, saver, initial_state)
        on_start()
        description.describe(run_dir, learner.model, state, learner.frozen, learner.mesh)
        step = int(state.step)
        clock.begin(run_dir, step, learner.num_steps)
        run_log = train_log.TrainLog(run_dir, step, learner.num_steps, log, clock, place)
        profiler = profiling.Profiler(run_dir, profile_steps, step)
        count = place.get("bad_steps", 0)
        skipped = bad_steps_lib.BadSteps(
            run_dir, allowed=max_bad_steps, count=count, describe_batch=describe_batch
        )
        with contextlib.closing(run_log), contextlib.closing(profiler):
            loop = _Loop(
                learner=learner,
                take_step=learner.make_step(len(log.tasks)),
                batches=batches,
                save_every_steps=checkpoint_config.save_every_steps,
                callbacks=callbacks,
                saver=saver,
                log=run_log,
                request=request,
                bad_steps=skipped,
                profiler=profiler,
                clock=clock,
            )
            return loop.run(state)


def _fingerprint(learner: learner_lib.Learner) -> str | None:
    return None if learner.frozen is None else partial.fingerprint(learner.frozen)


def _first_state(
    learner: learner_lib.Learner, saver: "_Saver", initial_state: state_lib.TrainState | None
) -> tuple[state_lib.TrainState, checkpoints_lib.JsonDict]:
    """The state to go on from, and what was saved beside it: of the last checkpoint, else a new one and nothing."""
    restoring = stages.Stage("restore")
    restored = saver.restore(learner.abstract_state(), learner.num_steps)
    if restored is not None:
        restoring.end()
        return restored
    return initial_state or learner.new_state(), {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Loop:
    """Steps, and what happens between them."""

    learner: learner_lib.Learner
    take_step: learner_lib.Step
    batches: Batches
    save_every_steps: int
    callbacks: Sequence[Callback]
    saver: "_Saver"
    log: train_log.TrainLog
    request: preemption.StopRequest
    bad_steps: bad_steps_lib.BadSteps
    profiler: profiling.Profiler
    clock: wall_time.Clock

    def run(self, state: state_lib.TrainState) -> state_lib.TrainState:
        """The last state, saved; raises Stopped where a signal came before it."""
        start_step = int(state.step)
        if start_step < self.learner.num_steps:
            logging.info("Compiling the training step, for which the first step waits.")
        running = stages.Stage("compile")
        for step in range(start_step + 1, self.learner.num_steps + 1):
            if self.profiler.begins_at(step):
                self._start_profile()
            with jax.profiler.StepTraceAnnotation(profiling.STEP, step_num=step):
                batch = self._fetch(step)
                state, metrics = self.take_step(state, batch)
            self.log.add(step, metrics)
            if step == start_step + 1:
                self.log.wait()
                running.end()
                running = stages.Stage("train")
                description.describe_first_step(batch, self.clock.elapsed_s())
                self.clock.enter(wall_time.STEPS)
            stop = self.request.is_due(step)
            self.bad_steps.check(self.log.take_bad_steps())
            self._pause(step, state, metrics, stop)
            if stop:
                self._stop(step)
        if start_step < self.learner.num_steps:
            running.end()
        self._wait_for_saves()
        return state

    def _fetch(self, step: int) -> Mapping[str, Shaped[Array, "batch ..."]]:
        with self.log.fetching():
            host_batch = self._next_batch(step)
            self.bad_steps.keep(step, host_batch)
            return self.learner.place(host_batch)

    def _next_batch(self, step: int) -> bad_steps_lib.HostBatch:
        try:
            return next(self.batches)
        except StopIteration as error:
            raise ValueError(
                f"The batches ended before step {step} of {self.learner.num_steps}: a training iterator must be endless."
            ) from error

    def _start_profile(self) -> None:
        with self.log.paused():
            self.profiler.start()

    def _wait_for_saves(self) -> None:
        self.clock.enter(wall_time.SAVING)
        with stages.stage("save"):
            self.saver.checkpoints.wait()
        self.clock.write()

    def _stop(self, step: int) -> None:
        self._wait_for_saves()
        saved = self.saver.checkpoints.path(step)
        logging.warning(
            "Stopped by %s after step %d of %d; resumable: saved in %s, and the same command continues from there.",
            self.request.name,
            step,
            self.learner.num_steps,
            saved,
        )
        raise preemption.Stopped(f"Stopped after step {step} of {self.learner.num_steps}.")

    def _pause(
        self, step: int, state: state_lib.TrainState, metrics: step_lib.Metrics, stop: bool
    ) -> None:
        """Ends a trace, calls back and saves, where that is due after a step."""
        traced = self.profiler.ends_at(step)
        due = [callback for callback in self.callbacks if step % callback.every_steps == 0]
        save = stop or step == self.learner.num_steps or step % self.save_every_steps == 0
        if not (traced or due or save):
            return
        with self.log.paused():
            self.bad_steps.check(self.log.take_bad_steps())
            if traced:
                self.clock.enter(wall_time.PROFILING)
                self.profiler.stop()
            found = self._call_back(due, step, state, metrics)
            self.log.write(step, found)
            if save:
                self.clock.enter(wall_time.SAVING)
                self.saver.save(step, state, self.log, self.bad_steps.count, found)
            self.clock.enter(wall_time.STEPS)

    def _call_back(
        self,
        due: Sequence[Callback],
        step: int,
        state: state_lib.TrainState,
        metrics: step_lib.Metrics,
    ) -> dict[str, float]:
        """The metrics of the callbacks that are due; what they say is shown."""
        values: dict[str, float] = {}
        if due:
            self.clock.enter(wall_time.EVALUATION)
        for callback in due:
            found = callback.on_step(step, state, metrics)
            if found is not None:
                values |= found.values
                self.log.tell(step, found.text)
        return values


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
        log: train_log.TrainLog,
        num_bad_steps: int,
        found: Mapping[str, float],
    ) -> None:
        """Starts saving; `found` are the metrics of an evaluation of this step, if there was one."""
        place = {
            "batches": self.batches.get_state(),
            **log.state(),
            "frozen": self.fingerprint,
            "bad_steps": num_bad_steps,
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
        state, place = self.checkpoints.restore(abstract)
        step = int(state.step)  # an earlier one where the last is damaged
        path = self.checkpoints.path(step)
        partial.check_fingerprint(place.get("frozen"), self.fingerprint, path)
        self.batches.set_state(place["batches"])
        logging.info("Continuing from %s, step %d of %d.", path, step, num_steps)
        return state, place
