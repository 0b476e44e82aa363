"""Where training metrics go: `metrics.jsonl`, TensorBoard, and the terminal or the log.

Here: `MetricWriter` (files and, if asked, Weights & Biases; process 0 alone), `Progress` (for people), and `TrainLog`, which gathers the steps' device
scalars and feeds both without making the device wait. Metric names are paths: `train/loss`,
`eval/flan2021:bool_q/accuracy`. Not here: what is measured (`step.py`) and the metrics of tasks
(`flantune/metrics.py`). Read `trainer.py` next.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
import contextlib
import datetime
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from typing import Any

from absl import logging
from etils import epath
import jax
from jaxtyping import Array, Float
import numpy as np
import rich.console
import rich.progress
import tensorboardX

from flantune.training import step as step_lib, task_log

# The host may run this many steps ahead of the device: enough to keep it busy, few enough to bound the batches that
# wait in its memory.
MAX_STEPS_AHEAD = 4


def read_metrics(run_dir: epath.PathLike) -> list[dict[str, int | float | None]]:
    """The lines of `metrics.jsonl` in order; a last line cut off by a kill is left out."""
    path = epath.Path(run_dir) / "metrics.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


class MetricWriter:
    """Appends one line per call to `<run>/metrics.jsonl`, and the same scalars to `<run>/tensorboard`.

    When a run resumes at a step, the lines of later steps, written before a kill but after the last checkpoint, are
    dropped, so that no step is there twice; TensorBoard is told to hide its points from there on.
    """

    def __init__(
        self, run_dir: epath.PathLike, *, resume_step: int = 0, wandb_project: str | None = None
    ):
        self._wandb = None
        self._writes = jax.process_index() == 0
        if not self._writes:
            return
        run_dir = epath.Path(run_dir)
        run_dir.mkdir(parents=True, exist_ok=True)
        path, temporary = run_dir / "metrics.jsonl", run_dir / "metrics.jsonl.tmp"
        kept = [line for line in read_metrics(run_dir) if (line["step"] or 0) <= resume_step]
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        temporary.replace(path)
        self._file = path.open("a")
        self._tensorboard = tensorboardX.SummaryWriter(
            os.fspath(run_dir / "tensorboard"),
            purge_step=resume_step + 1 if resume_step else None,
            flush_secs=10,
        )
        if wandb_project is not None:
            self._wandb = _wandb_run(run_dir, wandb_project)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds {"step": step, **values} as one line, flushed; NaN and infinities, which JSON lacks, become null."""
        if not self._writes:
            return
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        try:
            self._file.write(json.dumps({"step": step, **finite}) + "\n")
            self._file.flush()
        except OSError as error:
            raise OSError(
                f"Writing metrics of step {step} failed: {error}. Make room or repair the disk; the same command then "
                "continues from the last checkpoint."
            ) from error
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(dict(values), step=step, commit=True)

    def close(self) -> None:
        """Flushes and closes both; what cannot be written any more is logged, so that it hides no earlier error."""
        if self._writes:
            for file in (self._file, self._tensorboard):
                try:
                    file.close()
                except OSError as error:
                    logging.error("The last metrics could not be written: %s.", error)
        if self._wandb is not None:
            self._wandb.finish()


def _wandb_run(run_dir: epath.Path, project: str) -> Any:  # an optional package
    """The Weights & Biases run of a run folder; a folder that is resumed continues its run there."""
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise ValueError(
            "experiments.train.wandb_project is set, but wandb is not installed: pip install 'flantune[wandb]'."
        ) from error
    folder = os.fspath(run_dir)
    identity = hashlib.sha256(folder.encode()).hexdigest()[:16]
    local = tempfile.gettempdir() if "://" in folder else folder
    return wandb.init(project=project, name=run_dir.name, id=identity, resume="allow", dir=local)


def summarise(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """One value per metric over some steps, named `train/...`.

    loss, cross_entropy, z_loss and accuracy are means over target tokens; numbers of tokens are sums; the rest is the
    last step's. Steps whose loss was not finite changed nothing and count in num_bad_steps only. [{"loss": 1, "num_target_tokens": 3}, {"loss": 2, "num_target_tokens": 1}] gives loss 1.25.
    """
    summary = {}
    if step_lib.BAD_STEPS in steps[-1]:
        summary[f"train/{step_lib.BAD_STEPS}"] = sum(step[step_lib.BAD_STEPS] for step in steps)
        steps = [step for step in steps if not step[step_lib.BAD_STEPS]]
    if not steps:
        return summary
    tokens = np.array([step["num_target_tokens"] for step in steps], np.float64)
    for name, last in steps[-1].items():
        values = np.array([step[name] for step in steps], np.float64)
        if name in ("loss", "cross_entropy", "z_loss", "accuracy"):
            last = np.sum(values * tokens) / max(np.sum(tokens), 1.0)
        elif name.startswith("num_"):
            last = np.sum(values)
        summary.setdefault(f"train/{name}", float(last))
    return summary


class Progress:
    """A bar with steps, loss, tokens/s and time left on a terminal; otherwise a line per update in the log."""

    def __init__(self, start_step: int, num_steps: int):
        self._num_steps = num_steps
        self._bar: rich.progress.Progress | None = None
        if jax.process_index() == 0 and sys.stderr.isatty():
            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("step {task.completed}/{task.total}"),
                rich.progress.BarColumn(),
                rich.progress.TextColumn("{task.fields[text]}"),
                console=rich.console.Console(stderr=True),
            )
            self._task = self._bar.add_task("train", total=num_steps, completed=start_step, text="")
            self._bar.start()

    def update(self, step: int, values: Mapping[str, float]) -> None:
        """Shows a line of metrics."""
        text = "no step with a finite loss"
        if "train/loss" in values:
            text = f"loss {values['train/loss']:.4f}  accuracy {values['train/accuracy']:.3f}"
        if "train/seconds_per_step" in values:
            left_s = values["train/seconds_per_step"] * (self._num_steps - step)
            text += f"  {values['train/tokens_per_second']:,.0f} tokens/s"
            text += f"  {datetime.timedelta(seconds=round(left_s))} left"
        if self._bar is not None:
            self._bar.update(self._task, completed=step, text=text)
        else:
            logging.info("step %d/%d  %s", step, self._num_steps, text)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()


class TrainLog:
    """Turns the metrics of steps, still on the device, into one line per `every_steps` steps.

    A step's numbers are read when the host is a few steps further, so the device never waits for the log. The steps
    since the last line are the open window; it is saved with a checkpoint, so that a resumed run writes the lines
    that it would have written without the stop. tokens_per_second counts the inputs' and targets' tokens, no padding; it leaves
    out the first step, which compiles, and pauses. With `tasks`, what each task and cluster costs is added every
    `tasks_every_steps` steps.
    """

    def __init__(
        self,
        run_dir: epath.PathLike,
        start_step: int,
        num_steps: int,
        every_steps: int,
        window: Sequence[Mapping[str, float]] = (),
        wandb_project: str | None = None,
        tasks: task_log.TaskLog | None = None,
        tasks_every_steps: int = 100,
    ):
        self._tasks, self._tasks_every_steps = tasks, tasks_every_steps
        self._writer = MetricWriter(run_dir, resume_step=start_step, wandb_project=wandb_project)
        self._progress = Progress(start_step, num_steps)
        self._every_steps = every_steps
        self._window = [dict(step) for step in window]
        self._on_device: collections.deque[tuple[int, Mapping[str, Float[Array, "*tasks"]]]] = (
            collections.deque()
        )
        self._bad_steps: list[int] = []
        self._held: tuple[int, dict[str, float]] = (0, {})
        self._clock: float | None = None
        self._num_timed, self._tokens, self._seconds = 0, 0.0, 0.0

    def add(self, step: int, metrics: Mapping[str, Float[Array, "*tasks"]]) -> None:
        """Takes the metrics of a step, and reads those of a step some time ago."""
        for value in metrics.values():
            value.copy_to_host_async()
        self._on_device.append((step, metrics))
        while len(self._on_device) > MAX_STEPS_AHEAD:
            self._read_oldest()

    def _read_oldest(self) -> None:
        self._flush()  # only the line of the last step that was read can still grow
        step, metrics = self._on_device.popleft()
        numbers = {name: float(value) for name, value in metrics.items() if not value.ndim}
        self._window.append(numbers)
        if numbers.get(step_lib.BAD_STEPS):
            self._bad_steps.append(step)
        if self._tasks is not None:
            self._tasks.add(
                np.asarray(metrics[step_lib.TASK_CROSS_ENTROPY]),
                np.asarray(metrics[step_lib.TASK_WEIGHT]),
            )
        now = time.monotonic()
        if self._clock is not None:
            self._seconds += now - self._clock
            self._tokens += numbers["num_input_tokens"] + numbers["num_target_tokens"]
            self._num_timed += 1
        self._clock = now
        if step % self._every_steps == 0:
            self._close_window(step)
        if self._tasks is not None and step % self._tasks_every_steps == 0:
            self.write(step, self._tasks.close())

    def _close_window(self, step: int) -> None:
        values = summarise(self._window)
        if self._seconds:
            values["train/seconds_per_step"] = self._seconds / self._num_timed
            values["train/tokens_per_second"] = self._tokens / self._seconds
        self._window = []
        self._num_timed, self._tokens, self._seconds = 0, 0.0, 0.0
        self._progress.update(step, values)
        self.write(step, values)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds values to the line of a step, which is written at the end of the pause."""
        if step != self._held[0]:
            self._flush()
        self._held = (step, self._held[1] | dict(values))

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
            self._clock = None if self._clock is None else time.monotonic()

    def open_window(self) -> list[dict[str, float]]:
        """Metrics of the steps since the last line; JSON-able."""
        return self._window

    def take_bad_steps(self) -> list[int]:
        """Steps whose loss or gradient was not finite, of those read since the last call."""
        found, self._bad_steps = self._bad_steps, []
        return found

    def open_tasks(self) -> task_log.Totals:
        """What each task has cost since its last line; JSON-able."""
        return {} if self._tasks is None else self._tasks.open_totals()

    def close(self) -> None:
        """Writes what is held and closes the files and the bar."""
        self._flush()
        self._progress.close()
        self._writer.close()
