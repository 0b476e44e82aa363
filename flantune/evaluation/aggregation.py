"""`SuiteScorer`: from scored examples to the results of templates, tasks, clusters and a suite.

The intervals are made in `statistics.py`; `evaluator.py` feeds the rows. Read `results.py` next: it has what comes out.
"""

from collections.abc import Sequence
import functools

import numpy as np

from flantune.evaluation import statistics
from flantune.evaluation.results import (
    ClusterResult,
    PredictionRow,
    SuiteResult,
    TaskResult,
    TemplateResult,
)
from flantune.evaluation.statistics import Estimate


class SuiteScorer:
    """Turns the rows of a suite's tasks into results.

    It keeps the resampled means of each task, from which the intervals of the means over tasks are made. Tasks draw
    one after another from the same generator, so their resamples are independent.
    """

    def __init__(self, metric: str, rng: np.random.Generator, num_resamples: int) -> None:
        self._metric = metric
        self._resample = functools.partial(
            statistics.resample_means, rng=rng, num_resamples=num_resamples
        )
        self._tasks: list[TaskResult] = []
        self._resampled: list[dict[str, np.ndarray]] = []  # per task: metric -> [resamples]

    def add(self, name: str, cluster: str, rows: Sequence[PredictionRow]) -> None:
        """Scores a task from the rows of its examples, one at least; all rows have the same metrics."""
        units = [row.uid for row in rows]
        estimates, resampled = {}, {}
        for metric in rows[0].scores:
            scores = [row.scores[metric] for row in rows]
            resampled[metric] = self._resample(scores, units, [0] * len(rows))[:, 0]
            estimates[metric] = statistics.percentile_interval(
                float(np.mean(scores)), resampled[metric]
            )
        spread, templates = self._by_template(rows)
        self._resampled.append(resampled)
        self._tasks.append(
            TaskResult(
                name=name,
                cluster=cluster,
                num_examples=len(rows),
                counts={
                    name: sum(row.counted()[name] for row in rows) for name in rows[0].counted()
                },
                metric=self._metric,
                metrics=estimates,
                spread=spread,
                templates=templates,
                predictions=tuple(rows),
            )
        )

    def _by_template(
        self, rows: Sequence[PredictionRow]
    ) -> tuple[statistics.Spread, tuple[TemplateResult, ...]]:
        ids = sorted({row.template_id for row in rows})
        groups = [ids.index(row.template_id) for row in rows]
        scores = [row.scores[self._metric] for row in rows]
        resampled = self._resample(scores, [row.uid for row in rows], groups)
        templates = []
        for group, template_id in enumerate(ids):
            own = [score for score, other in zip(scores, groups, strict=True) if other == group]
            estimate = statistics.percentile_interval(float(np.mean(own)), resampled[:, group])
            templates.append(
                TemplateResult(template_id=template_id, num_examples=len(own), estimate=estimate)
            )
        means = [template.estimate.value for template in templates]
        return statistics.spread(means, resampled), tuple(templates)

    def suite(self, name: str) -> SuiteResult:
        """The tasks added so far as a suite of this name, with the means over its tasks and clusters."""
        members: dict[str, list[int]] = {}
        for index, task in enumerate(self._tasks):
            members.setdefault(task.cluster, []).append(index)
        clusters = tuple(
            ClusterResult(
                name=cluster,
                num_tasks=len(indices),
                metric=self._metric,
                metrics=self._means(indices),
            )
            for cluster, indices in members.items()
        )
        return SuiteResult(
            name=name,
            metric=self._metric,
            metrics=self._means(range(len(self._tasks))),
            clusters=clusters,
            tasks=tuple(self._tasks),
        )

    def _means(self, indices: Sequence[int]) -> dict[str, Estimate]:
        tasks = [self._tasks[index] for index in indices]
        return {
            name: statistics.macro_mean(
                [task.metrics[name].value for task in tasks],
                [self._resampled[index][name] for index in indices],
            )
            for name in tasks[0].metrics
            if all(name in task.metrics for task in tasks)
        }
