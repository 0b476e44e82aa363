"""Gathers the steps' device scalars without making the device wait, and writes lines of metrics from them.

Here: `LogSettings` and `TrainLog`. Where the lines go is in `metrics.py` (files) and `progress.py` (people), how long steps
take in `step_times.py`. Read `trainer.py` next.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import typing

from etils import epath
import jax
from jaxtyping import Array, Float
import numpy as np

from flantune.training import (
    memory,
    metrics as metrics_lib,
    progress,
    step as step_lib,
    step_times,
    task_log,
    wall_time,
)

# The host may run this many steps ahead of the device: enough to keep it busy, few enough to bound the batches that
# wait in its memory.
MAX_STEPS_AHEAD = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What is written down of a run while it trains.

    Attributes:
        every_steps: a line of metrics after so many steps.
        tasks: by task id; with them, what each task and cluster costs is added.
        tasks_every_steps: after so many steps.
        wandb_project: of Weights & Biases, if it is wanted.
        peak_share: of all devices' peak speed, if a step took one second; None where it is not known.
    """

    every_steps: int = 10
    tasks: Sequence[task_log.TaskLabel] = ()
    tasks_every_steps: int = 100
    wandb_project: str | None = None
    peak_share: float | None = None


class _OnDevice(typing.NamedTuple):
    """A step whose metrics are not read yet."""

    step: int
    metrics: Mapping[str, Float[Array, "*tasks"]]
    running: step_times.Running


class TrainLog:
    """Turns the metrics of steps, still on the device, into one line per `every_steps` steps.

    A step's numbers are read when the host is a few steps further, so the device never waits for the log. The steps
    since the last line are the open window; it is saved with a checkpoint, so that a resumed run writes the lines
    that it would have written without the stop. Times and speeds (`_Speed`) leave out the first step, which compiles,
    and pauses.

    Args:
        run_dir: the run's folder.
        start_step: steps done before.
        num_steps: of the whole run.
        settings: what to write.
        clock: is told which steps are done, and gives goodput to the lines.
        place: what was saved with the checkpoint from which the run continues: `state()` of its log.
    """

    def __init__(
        self,
        run_dir: epath.PathLike,
        start_step: int,
        num_steps: int,
        settings: LogSettings,
        clock: wall_time.Clock,
        place: Mapping[str, typing.Any] | None = None,  # Any: whatever JSON holds
    ):
        place = place or {}
        self._settings = settings
        self._clock = clock
        self._tasks = task_log.TaskLog(settings.tasks, place.get("tasks", {}))
        self._writer = metrics_lib.MetricWriter(
            run_dir, resume_step=start_step, wandb_project=settings.wandb_project
        )
        self._progress = progress.Progress(start_step, num_steps)
        self._window = [dict(step) for step in place.get("window", ())]
        self._on_device: collections.deque[_OnDevice] = collections.deque()
        self._bad_steps: list[int] = []
        self._held: tuple[int, dict[str, float]] = (0, {})
        self._times = step_times.StepTimes()
        self._speed = _Speed(settings.peak_share)

    def fetching(self) -> contextlib.AbstractContextManager[None]:
        """Around taking and placing the next step's batch, whose time is measured."""
        return self._times.fetching()

    def add(self, step: int, metrics: Mapping[str, Float[Array, "*tasks"]]) -> None:
        """Takes the metrics of a step, and reads those of a step some time ago."""
        for value in metrics.values():
            value.copy_to_host_async()
        self._on_device.append(_OnDevice(step, metrics, self._times.start(metrics["loss"])))
        while len(self._on_device) > MAX_STEPS_AHEAD:
            self._read_oldest()

    def _read_oldest(self) -> None:
        self._flush()  # only the line of the last step that was read can still grow
        step, metrics, running = self._on_device.popleft()
        numbers = {name: float(value) for name, value in metrics.items() if not value.ndim}
        self._clock.done(step)
        self._window.append(numbers)
        if numbers.get(step_lib.BAD_STEPS):
            self._bad_steps.append(step)
        if self._settings.tasks:
            self._tasks.add(
                np.asarray(metrics[step_lib.TASK_CROSS_ENTROPY]),
                np.asarray(metrics[step_lib.TASK_WEIGHT]),
            )
        took = self._times.finish(running)
        if took is not None:
            self._speed.add(took, numbers)
        if step % self._settings.every_steps == 0:
            self._close_window(step)
        if self._settings.tasks and step % self._settings.tasks_every_steps == 0:
            self.write(step, self._tasks.close())

    def _close_window(self, step: int) -> None:
        values = metrics_lib.summarise(self._window) | self._speed.close()
        if jax.process_index() == 0:
            values |= memory.used() | {"train/goodput": self._clock.wall_time().goodput}
        self._window = []
        self._progress.update(step, values)
        self.write(step, values)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds values to the line of a step, which is written at the end of the pause."""
        if step != self._held[0]:
            self._flush()
        self._held = (step, self._held[1] | dict(values))

    def tell(self, step: int, text: str) -> None:
        """Shows people what was found out after a step."""
        self._progress.tell(step, text)

    def _flush(self) -> None:
        step, values = self._held
        self._held = (0, {})
        if values:
            self._writer.write(step, values)

    def wait(self) -> None:
        """Waits for every step so far to be done and read."""
        while self._on_device:
            self._read_oldest()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Waits for every step so far; time inside counts for no step."""
        self.wait()
        try:
            yield
        finally:
            self._flush()
            self._times.skip()

    def state(self) -> dict[str, object]:
        """The open window's steps, and what each task has cost since its last line; JSON-able."""
        return {"window": self._window, "tasks": self._tasks.open_totals()}

    def take_bad_steps(self) -> list[int]:
        """Steps whose loss or gradient was not finite, of those read since the last call."""
        found, self._bad_steps = self._bad_steps, []
        return found

    def close(self) -> None:
        """Writes what is held and closes the files and the bar."""
        self._flush()
        self._times.close()
        self._progress.close()
        self._writer.close()


class _Speed:
    """Times of a window's steps, and what was done in them.

    tokens_per_second counts the inputs' and targets' tokens, no padding. seconds_per_step is the sum of
    data_wait_seconds_per_step and compute_seconds_per_step (`step_times.py`). model_flops_utilisation is the share of all
    devices' bfloat16 peak that the model's own products take (`flops.py`), data wait included.
    """

    def __init__(self, peak_share: float | None) -> None:
        self._peak_share = peak_share
        self._steps: list[tuple[step_times.StepTime, Mapping[str, float]]] = []

    def add(self, took: step_times.StepTime, numbers: Mapping[str, float]) -> None:
        """Takes a step's time and metrics."""
        self._steps.append((took, numbers))

    def close(self) -> dict[str, float]:
        """The window's values; nothing where no step was timed. Starts anew."""
        steps, self._steps = self._steps, []
        total_s = sum(took.total_s for took, _ in steps)
        if not total_s:
            return {}
        mean_s, wait_s = (
            total_s / len(steps),
            sum(took.data_wait_s for took, _ in steps) / len(steps),
        )
        num_tokens = sum(one["num_input_tokens"] + one["num_target_tokens"] for _, one in steps)
        values = {
            "train/seconds_per_step": mean_s,
            "train/data_wait_seconds_per_step": wait_s,
            "train/compute_seconds_per_step": mean_s - wait_s,
            "train/tokens_per_second": num_tokens / total_s,
            "train/examples_per_second": sum(one["num_examples"] for _, one in steps) / total_s,
        }
        if self._peak_share is not None:
            values["train/model_flops_utilisation"] = self._peak_share / mean_s
        return values
