"""Traces of some steps for XProf and TensorBoard: `flantune train --profile_steps 10:15`.

Process 0 traces its host and devices from the end of the step before the first to the end of the last, and puts the files
into `profile/` of the run folder, in the layout that XProf reads, alone or in TensorBoard
(plugins/profile/TIME/HOST.xplane.pb). Read `trainer.py` next, which marks the steps.
"""

import dataclasses
import os
import re
import tempfile

from absl import logging
from etils import epath
import jax

FOLDER = "profile"
STEP = "train"  # the name of a step in a trace, beside its number


@dataclasses.dataclass(frozen=True)
class StepRange:
    """Steps from `first` to `last`, both included, numbered as in the log."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}:{self.last}"


def parse(text: object, num_steps: int) -> StepRange:
    """The steps that "10:15" names: 10 to 15, both included.

    Raises:
        ValueError: the text names no steps of a run of `num_steps`.
    """
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(
            f"profile_steps must be FIRST:LAST, both included, for example 10:15, not {text!r}."
        )
    steps = StepRange(int(match[1]), int(match[2]))
    if not 1 <= steps.first <= steps.last:
        raise ValueError(
            f"profile_steps ({steps}) must begin at step 1 or later, and not end before it begins."
        )
    if steps.last > num_steps:
        raise ValueError(
            f"profile_steps ({steps}) must lie within the run: experiments.train.num_steps is {num_steps}."
        )
    return steps


class Profiler:
    """Traces a range of steps once.

    Args:
        run_dir: whose `profile/` gets the files.
        steps: None: nothing is traced.
        start_step: steps done before; those of the range that are among them are left out, and that is said.
    """

    def __init__(self, run_dir: epath.PathLike, steps: StepRange | None, start_step: int):
        self._folder = epath.Path(run_dir) / FOLDER
        self._steps = _left(steps, start_step)
        self._traces: tempfile.TemporaryDirectory[str] | None = None

    def begins_at(self, step: int) -> bool:
        """Whether `start` is due before this step; the same on all processes."""
        return self._steps is not None and step == self._steps.first

    def ends_at(self, step: int) -> bool:
        """Whether `stop` is due after this step; the same on all processes."""
        return self._steps is not None and step == self._steps.last

    def start(self) -> None:
        """Begins the trace, on process 0."""
        if jax.process_index() != 0:
            return
        self._traces = tempfile.TemporaryDirectory()
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # every call of Python's would slow down what is measured
        jax.profiler.start_trace(self._traces.name, profiler_options=options)

    def stop(self) -> None:
        """Ends the trace if there is one, and writes it into the run folder, whole or not at all."""
        if self._traces is None:
            return
        jax.profiler.stop_trace()
        with self._traces as traces:
            written = epath.Path(traces)
            for path in sorted(written.glob("plugins/profile/*/*")):
                target = self._folder / os.fspath(path.relative_to(written))
                target.parent.mkdir(parents=True, exist_ok=True)
                path.copy(target, overwrite=True)
        self._traces = None
        logging.info(
            "Steps %s are traced; to see them: xprof --logdir %s", self._steps, self._folder
        )

    def close(self) -> None:
        """Ends a trace that the end of the run has cut short."""
        if self._traces is not None:
            logging.warning("The run ended before the last of the traced steps %s.", self._steps)
            self.stop()


def _left(steps: StepRange | None, start_step: int) -> StepRange | None:
    """Those of the steps that are still to be done."""
    if steps is None or start_step < steps.first:
        return steps
    if start_step >= steps.last:
        logging.warning(
            "Nothing is traced: the run goes on after step %d, and profile_steps is %s.",
            start_step,
            steps,
        )
        return None
    left = StepRange(start_step + 1, steps.last)
    logging.warning(
        "Only steps %s of profile_steps %s are traced: the run goes on after step %d.",
        left,
        steps,
        start_step,
    )
    return left
