"""What an evaluation returns: results of templates, tasks, clusters and suites, and their JSON form.

Plain frozen data in the units of the metrics. `aggregation.py` makes them; read `report.py` next, which writes them.
"""

from collections.abc import Mapping
import dataclasses

from flantune.evaluation import statistics
from flantune.evaluation.statistics import Estimate, Spread


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictionRow:
    """One example, its prediction and its scores.

    Attributes:
        prediction: as the model wrote it.
        answer: what was scored: extracted from the prediction and postprocessed; None where extraction failed.
        scores: by metric name.
    """

    uid: str
    template_id: int
    inputs: str
    references: tuple[str, ...]
    prediction: str
    answer: str | None
    scores: Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemplateResult:
    """Mean summary metric of the examples that were asked with one template."""

    template_id: int
    num_examples: int
    estimate: Estimate


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskResult:
    """Results of one task.

    Attributes:
        num_unanswered: examples in whose prediction no answer was found; they score 0.
        metric: name of the summary metric.
        metrics: mean over examples, by metric name.
        spread: of the summary metric over templates.
        templates: the summary metric of each template, by template id.
    """

    name: str
    cluster: str
    num_examples: int
    num_unanswered: int
    metric: str
    metrics: Mapping[str, Estimate]
    spread: Spread
    templates: tuple[TemplateResult, ...]
    predictions: tuple[PredictionRow, ...]

    @property
    def estimate(self) -> Estimate:
        """The summary metric."""
        return self.metrics[self.metric]

    def as_json(self) -> dict[str, object]:
        """All but the predictions."""
        templates = [
            {"template_id": item.template_id, "num_examples": item.num_examples}
            | dataclasses.asdict(item.estimate)
            for item in self.templates
        ]
        return {
            "name": self.name,
            "cluster": self.cluster,
            "num_examples": self.num_examples,
            "num_unanswered": self.num_unanswered,
            "metrics": _estimates_json(self.metrics),
            "by_template": dataclasses.asdict(self.spread)
            | {"iqr": self.spread.iqr, "templates": templates},
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterResult:
    """Means over the tasks of one cluster, by metric name: those metrics that all its tasks have."""

    name: str
    num_tasks: int
    metric: str
    metrics: Mapping[str, Estimate]

    @property
    def estimate(self) -> Estimate:
        """The summary metric."""
        return self.metrics[self.metric]

    def as_json(self) -> dict[str, object]:
        """The cluster's name, size and means."""
        return {
            "name": self.name,
            "num_tasks": self.num_tasks,
            "metrics": _estimates_json(self.metrics),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """Results of one suite.

    Attributes:
        metrics: mean over tasks, each counting the same, by metric name: those metrics that all tasks have.
    """

    name: str
    metric: str
    metrics: Mapping[str, Estimate]
    clusters: tuple[ClusterResult, ...]
    tasks: tuple[TaskResult, ...]

    @property
    def estimate(self) -> Estimate:
        """The summary metric."""
        return self.metrics[self.metric]

    @property
    def num_examples(self) -> int:
        return sum(task.num_examples for task in self.tasks)

    def as_json(self) -> dict[str, object]:
        """All but the predictions."""
        return {
            "name": self.name,
            "num_examples": self.num_examples,
            "metrics": _estimates_json(self.metrics),
            "clusters": [cluster.as_json() for cluster in self.clusters],
            "tasks": [task.as_json() for task in self.tasks],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Results of every suite.

    Attributes:
        step: of the evaluated parameters; None for a baseline without a model.
        metric: name of the summary metric.
        units: "fraction" or "percent", by metric name.
    """

    step: int | None
    metric: str
    units: Mapping[str, str]
    suites: tuple[SuiteResult, ...]

    def summary(self) -> dict[str, float]:
        """Mean summary metric by suite."""
        return {suite.name: suite.estimate.value for suite in self.suites}

    def scalars(self) -> dict[str, float]:
        """Every mean by its path for a metric writer: "eval/SUITE/METRIC" and "eval/SUITE/TASK/METRIC"."""
        scalars = {}
        for suite in self.suites:
            for name, estimate in suite.metrics.items():
                scalars[f"eval/{suite.name}/{name}"] = estimate.value
            for task in suite.tasks:
                for name, estimate in task.metrics.items():
                    scalars[f"eval/{suite.name}/{task.name}/{name}"] = estimate.value
        return scalars

    def as_json(self) -> dict[str, object]:
        """All but the predictions."""
        return {
            "step": self.step,
            "metric": self.metric,
            "units": dict(self.units),
            "interval_level": statistics.DEFAULT_LEVEL,
            "suites": [suite.as_json() for suite in self.suites],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """An evaluation and what to compare it with, by baseline name."""

    tuned: EvaluationReport
    baselines: Mapping[str, EvaluationReport]


def _estimates_json(estimates: Mapping[str, Estimate]) -> dict[str, object]:
    return {name: dataclasses.asdict(estimate) for name, estimate in estimates.items()}
