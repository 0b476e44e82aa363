"""Where training metrics go: `metrics.jsonl`, TensorBoard and, if asked, Weights & Biases.

Here: `MetricWriter`, which process 0 alone fills, `amend` for what comes after the last step, and `summarise`. Metric names are paths: `train/loss`,
`eval/flan2021:bool_q/accuracy`. Not here: what is measured (`step.py`, `step_times.py`, `memory.py`) and the metrics of
tasks (`flantune/metrics/per_example.py`). Read `train_log.py` next, which gathers what the steps say.
"""

from collections.abc import Mapping, Sequence
import contextlib
import hashlib
import importlib.util
import json
import math
import os
import tempfile
from typing import Any

from absl import logging
from etils import epath
import jax
import numpy as np
import tensorboardX

from flantune.host import atomic, growing, places
from flantune.training import step as step_lib


def read_metrics(run_dir: epath.PathLike) -> list[dict[str, int | float | None]]:
    """The lines of `metrics.jsonl` in order; a last line cut off by a kill is left out."""
    path = epath.Path(run_dir) / "metrics.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def amend(run_dir: epath.PathLike, step: int, values: Mapping[str, float]) -> None:
    """Adds values to the line of a step of a run that is trained: in `metrics.jsonl`, and to TensorBoard in a further file.

    For what is found out when the loop has ended. What a line has already is not written again.
    """
    if jax.process_index() != 0:
        return
    lines = read_metrics(run_dir)
    line = next((one for one in reversed(lines) if one["step"] == step), None)
    if line is None:
        line = {"step": step}
        lines.append(line)
    new = {name: value for name, value in _finite(values).items() if line.get(name, "") != value}
    if not new:
        return
    line |= new
    run_dir = epath.Path(run_dir)
    atomic.write_text(run_dir / "metrics.jsonl", (json.dumps(one) + "\n" for one in lines))
    with contextlib.closing(_tensorboard(run_dir, suffix=f".step_{step}")) as tensorboard:
        for name in new:
            tensorboard.add_scalar(name, values[name], step)


def _finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values as JSON can hold them: NaN and infinities, which it lacks, are None."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


class MetricWriter:
    """Appends one line per call to `<run>/metrics.jsonl`, and the same scalars to `<run>/tensorboard`.

    In a bucket the file is written anew every `growing.REWRITE_EVERY_S` seconds, so that a kill may cost the lines since then.
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
        path = run_dir / "metrics.jsonl"
        kept = [line for line in read_metrics(run_dir) if (line["step"] or 0) <= resume_step]
        atomic.write_text(path, (json.dumps(line) + "\n" for line in kept))
        self._file = growing.open_growing(path)
        self._tensorboard = _tensorboard(run_dir, resume_step)
        if wandb_project is not None:
            self._wandb = _wandb_run(run_dir, wandb_project)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds {"step": step, **values} as one line, flushed; NaN and infinities, which JSON lacks, become null."""
        if not self._writes:
            return
        try:
            self._file.write(json.dumps({"step": step, **_finite(values)}) + "\n")
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


def check_wandb() -> None:
    """Raises ValueError where Weights & Biases is not installed."""
    if importlib.util.find_spec("wandb") is None:
        raise ValueError(
            "experiments.train.wandb_project is set, but wandb is not installed: pip install 'flantune[wandb]'."
        )


def _tensorboard(
    run_dir: epath.Path, resume_step: int = 0, suffix: str = ""
) -> tensorboardX.SummaryWriter:
    """A writer of a further file, which is named for the second and the suffix."""
    folder = os.fspath(run_dir / "tensorboard")
    try:
        return tensorboardX.SummaryWriter(
            folder,
            purge_step=resume_step + 1 if resume_step else None,
            flush_secs=10,
            filename_suffix=suffix,
        )
    except ImportError as error:
        raise ValueError(
            f"TensorBoard's file {folder} needs another package ({error}); for gs:// pip install gcsfs brings it."
        ) from error


def _wandb_run(run_dir: epath.Path, project: str) -> Any:  # an optional package
    """The Weights & Biases run of a run folder; a folder that is resumed continues its run there."""
    check_wandb()
    import wandb

    folder = os.fspath(run_dir)
    identity = hashlib.sha256(folder.encode()).hexdigest()[:16]
    local = tempfile.gettempdir() if places.is_bucket(folder) else folder
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
        if any(name not in step for step in steps):
            continue  # the window was begun by a version that did not have it
        values = np.array([step[name] for step in steps], np.float64)
        if name in ("loss", "cross_entropy", "z_loss", "accuracy"):
            last = np.sum(values * tokens) / max(np.sum(tokens), 1.0)
        elif name.startswith("num_"):
            last = np.sum(values)
        summary.setdefault(f"train/{name}", float(last))
    return summary
