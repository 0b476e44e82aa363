"""The loss of every task and cluster of a run, gathered from the steps' sums by task.

Here: `TaskLog`, on the host. The sums come from `step.py` at no second pass of the model; `metrics.py` writes the values.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses

import numpy as np

Totals = dict[str, tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class TaskLabel:
    """A task of the mixture, at its position among the batch's task ids."""

    name: str
    cluster: str


class TaskLog:
    """Cross entropy of each task's and cluster's target tokens since the last line.

    Args:
        tasks: by task id.
        totals: what an earlier `open_totals` gave: a resumed run goes on with it. A task that has left the mixture
            since then is left out.
    """

    def __init__(self, tasks: Sequence[TaskLabel], totals: Mapping[str, Sequence[float]] = {}):
        self._tasks = tuple(tasks)
        self._nats = np.zeros(len(self._tasks))
        self._weight = np.zeros(len(self._tasks))
        for position, task in enumerate(self._tasks):
            if task.name in totals:
                self._nats[position], self._weight[position] = totals[task.name]

    def add(self, nats: np.ndarray, weight: np.ndarray) -> None:
        """Takes a step's sums: cross entropy in nats and weight of each task's tokens, [tasks]."""
        self._nats += nats
        self._weight += weight

    def open_totals(self) -> Totals:
        """Nats and weight of each task that occurred since the last line, by name; JSON-able."""
        return {task.name: (float(nats), float(weight)) for task, nats, weight in self._occurred()}

    def close(self) -> dict[str, float]:
        """Mean cross entropy in nats per token of each task and cluster that occurred; starts anew.

        Names are `train/task/NAME/cross_entropy` and `train/cluster/NAME/cross_entropy`; a cluster's mean is over the
        tokens of its tasks.
        """
        values: dict[str, float] = {}
        clusters: dict[str, list[float]] = {}
        for task, nats, weight in self._occurred():
            values[f"train/task/{task.name}/cross_entropy"] = nats / weight
            total = clusters.setdefault(task.cluster, [0.0, 0.0])
            total[0] += nats
            total[1] += weight
        for cluster, (nats, weight) in clusters.items():
            values[f"train/cluster/{cluster}/cross_entropy"] = nats / weight
        self._nats[:] = 0.0
        self._weight[:] = 0.0
        return values

    def _occurred(self) -> Iterator[tuple[TaskLabel, float, float]]:
        rows = zip(self._tasks, self._nats.tolist(), self._weight.tolist(), strict=True)
        return (row for row in rows if row[2] > 0)
