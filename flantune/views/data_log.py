"""What a run's log says of its data: progress of preparation, the mixture, what was cut and dropped."""

import time
from typing import TYPE_CHECKING

from absl import logging

from flantune.data.input import loading
from flantune.data.store import split_job

if TYPE_CHECKING:
    from flantune.data.input import pipeline

_TASKS_SHOWN = 40


class PrepareProgress:
    """Logs how far the preparation is, every few seconds."""

    _EVERY_S = 5.0

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._num_failed = 0

    def __call__(self, result: split_job.SplitResult, done: int, total: int) -> None:
        self._num_failed += result.status == "failed"  # why is told at the end, once
        if time.monotonic() - self._last > self._EVERY_S:
            self._last = time.monotonic()
            failed = f", {self._num_failed} of them failed" if self._num_failed else ""
            logging.info(
                "%d of %d splits are done%s, the last one of %s.", done, total, failed, result.task
            )


def log_mixture(bound: loading.BoundMixture, left_out: int) -> None:
    """The tasks with the largest shares, how many a held-out plan keeps out, and those that are absent."""
    rows = bound.table()
    if bound.absent:
        logging.warning(
            "Mixture %s does without %d tasks whose data are not here (DataConfig.skip_absent): %s.",
            bound.name,
            len(bound.absent),
            ", ".join(bound.absent),
        )
    without = f"; {left_out} more are left out for its held-out plan" if left_out else ""
    logging.info("Mixture %s: %d tasks%s.", bound.name, len(rows), without)
    rows = sorted(rows, key=lambda row: -float(str(row["rate"])))
    for row in rows[:_TASKS_SHOWN]:
        logging.info(
            "  %6.2f %%  %s (%s rows)", 100 * float(str(row["rate"])), row["task"], row["rows"]
        )
    if len(rows) > _TASKS_SHOWN:
        rest = sum(float(str(row["rate"])) for row in rows[_TASKS_SHOWN:])
        logging.info("  %6.2f %%  and %d more", 100 * rest, len(rows) - _TASKS_SHOWN)


def log_counts(bound: loading.BoundMixture, dataset: "pipeline.TrainDataset") -> None:
    """What was cut and dropped of the examples that were read, those of batches made ahead among them."""
    counts = dataset.packer.counts
    logging.info(
        "Read %d examples: %d cut to fit, %d dropped because they cannot fit.",
        counts.examples.sum(),
        counts.cut.sum(),
        counts.dropped.sum(),
    )
    for position, member in enumerate(bound.members):
        if counts.dropped[position]:
            logging.warning("  %s: %d dropped", member.name, counts.dropped[position])
