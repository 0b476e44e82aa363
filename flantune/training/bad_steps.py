"""Steps whose loss or gradient was not finite: what was in their batch is written down, and too many stop the run.

Such a step changes nothing but the step counter (`step.py`). Its batch is known, since the last few are kept here until
their metrics are read.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
import json

from absl import logging
from etils import epath
import jax
from jaxtyping import Shaped
import numpy as np

from flantune.host import atomic
from flantune.training import train_log

HostBatch = Mapping[str, Shaped[np.ndarray, "batch ..."]]
DescribeBatch = Callable[[HostBatch], Sequence[Mapping[str, object]]]
FOLDER = "bad_steps"


class NonFiniteLossError(ValueError):
    """More steps than allowed had a loss or gradient that is not finite."""


class BadSteps:
    """Watches the steps of a run.

    Args:
        run_dir: where a folder `bad_steps` gets a file for each, by each process for its own rows.
        allowed: so many steps of the run may be bad: they are skipped.
        count: those before a restart.
        describe_batch: the examples in a batch, for people; None: no examples are written.
    """

    def __init__(
        self,
        run_dir: epath.PathLike,
        *,
        allowed: int,
        count: int = 0,
        describe_batch: DescribeBatch | None = None,
    ) -> None:
        self._folder = epath.Path(run_dir) / FOLDER
        self._allowed = allowed
        self._describe_batch = describe_batch
        # The newest step whose metrics are read is MAX_STEPS_AHEAD behind the newest batch.
        self._recent: collections.deque[tuple[int, HostBatch]] = collections.deque(
            maxlen=train_log.MAX_STEPS_AHEAD + 1
        )
        self.count = count

    def keep(self, step: int, batch: HostBatch) -> None:
        """Takes this process's rows of a step's batch."""
        self._recent.append((step, batch))

    def check(self, steps: Sequence[int]) -> None:
        """Writes down the batches of bad steps.

        Raises:
            NonFiniteLossError: there are more than allowed.
        """
        for step in steps:
            self.count += 1
            file = self._write(step)
            what = f"The loss or gradient of step {step} is not finite; {file} has the examples of its batch."
            if self.count > self._allowed:
                raise NonFiniteLossError(
                    f"{what} The parameters are still those before it. experiments.train.max_bad_steps ({self._allowed}) "
                    "says how many such steps are skipped."
                )
            logging.warning("%s Skipped, %d of %d allowed.", what, self.count, self._allowed)

    def _write(self, step: int) -> epath.Path:
        batch = dict(self._recent)[step]
        examples = [] if self._describe_batch is None else list(self._describe_batch(batch))
        tasks = collections.Counter(str(example.get("task")) for example in examples)
        content = {"step": step, "tasks": dict(tasks.most_common()), "examples": examples}
        process = f"_process_{jax.process_index()}" if jax.process_count() > 1 else ""
        file = self._folder / f"step_{step}{process}.json"
        atomic.write_text(file, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        return file
