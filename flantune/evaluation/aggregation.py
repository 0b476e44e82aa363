"""`SuiteScorer`: from scored examples to the results of templates, tasks, clusters and a suite.

The intervals are made in `statistics.py`; `evaluator.py` feeds the rows. Read `results.py` next: it has what comes out.
"""

from collections.abc import Sequence

import numpy as np

from flantune import metrics as metrics_lib
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

    It keeps the resampled scores of each task, from which the intervals of the means over tasks are made. Tasks draw
    one after another from the same generator, so their resamples are independent.
    """

    def __init__(self, metric: str, rng: np.random.Generator, num_resamples: int) -> None:
        self._metric = metric
        self._rng = rng
        self._num_resamples = num_resamples
        self._tasks: list[TaskResult] = []
        self._resampled: list[dict[str, np.ndarray]] = []  # per task: metric -> [resamples]

    def add(
        self,
        name: str,
        cluster: str,
        rows: Sequence[PredictionRow],
        corpus_metrics: Sequence[metrics_lib.CorpusMetric] = (),
    ) -> None:
        """Scores a task from the rows of its examples, one at least; all rows have scores of the same metrics."""
        scored = _Scored(rows, corpus_metrics, self._rng, self._num_resamples)
        estimates, resampled = {}, {}
        for metric in scored.metrics:
            (value,), of_groups = scored.by_group(metric, [0] * len(rows))
            resampled[metric] = of_groups[:, 0]
            estimates[metric] = statistics.percentile_interval(value, resampled[metric])
        spread, templates = self._by_template(rows, scored)
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
        self, rows: Sequence[PredictionRow], scored: "_Scored"
    ) -> tuple[statistics.Spread, tuple[TemplateResult, ...]]:
        ids = sorted({row.template_id for row in rows})
        groups = [ids.index(row.template_id) for row in rows]
        values, resampled = scored.by_group(self._metric, groups)
        templates = [
            TemplateResult(
                template_id=template_id,
                num_examples=groups.count(group),
                estimate=statistics.percentile_interval(values[group], resampled[:, group]),
            )
            for group, template_id in enumerate(ids)
        ]
        return statistics.spread(values, resampled), tuple(templates)

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


class _Scored:
    """The rows of a task under both kinds of metrics.

    Attributes:
        metrics: names, those of single examples first.
    """

    def __init__(
        self,
        rows: Sequence[PredictionRow],
        corpus_metrics: Sequence[metrics_lib.CorpusMetric],
        rng: np.random.Generator,
        num_resamples: int,
    ) -> None:
        self._units = [row.uid for row in rows]
        self._rng = rng
        self._num_resamples = num_resamples
        self._scores = {name: [row.scores[name] for row in rows] for name in rows[0].scores}
        references = [row.references for row in rows]
        # A missing answer is an empty text: no word, no number, no class.
        answers = [row.answer or "" for row in rows]
        self._scorers = {one.name: one.scorer(references, answers) for one in corpus_metrics}
        self.metrics = (*self._scores, *self._scorers)

    def by_group(self, metric: str, groups: Sequence[int]) -> tuple[list[float], np.ndarray]:
        """The score of each group of examples, and of each in every resample: [resamples, group]."""
        members = [np.flatnonzero(np.equal(groups, group)) for group in range(max(groups) + 1)]
        if metric in self._scorers:
            scorer = self._scorers[metric]
            resampled = statistics.resample_values(
                scorer, self._units, groups, rng=self._rng, num_resamples=self._num_resamples
            )
            return [scorer(own) for own in members], resampled
        scores = self._scores[metric]
        resampled = statistics.resample_means(
            scores, self._units, groups, rng=self._rng, num_resamples=self._num_resamples
        )
        return [float(np.mean([scores[place] for place in own])) for own in members], resampled
