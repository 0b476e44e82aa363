"""What an evaluation returns: results of templates, tasks, clusters and suites, and their JSON form.

Plain frozen data in the units of the metrics. `aggregation.py` makes them; read `result_files.py` next, which writes them.
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
        scores: by metric name, of the metrics that score single examples.
    """

    uid: str
    template_id: int
    inputs: str
    references: tuple[str, ...]
    prediction: str
    answer: str | None
    scores: Mapping[str, float]

    def counted(self) -> Mapping[str, bool]:
        """What is counted over a task's examples, by name, and whether it holds here."""
        return {"unanswered": self.answer is None}

    def details(self) -> Mapping[str, str]:
        """What a reader of this example may want to see beside inputs, references and prediction, by label."""
        return {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankedOption:
    """An answer option and how probable the model finds it.

    Attributes:
        text: the target that was scored.
        choice: the answer choice that it stands for: "yes" where the text is "(B)".
        log_prob: of the text after the prompt, in nats, its EOS included.
        unconditional_log_prob: of the text after the unconditional prompt.
        num_tokens: the EOS included.
        num_bytes: of the text in UTF-8.
    """

    text: str
    choice: str
    log_prob: float
    unconditional_log_prob: float
    num_tokens: int
    num_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankedRow(PredictionRow):
    """One example whose options were ranked.

    Attributes:
        prediction: the best option under the summary metric, the first of equals.
        options: in the order of the answer choices.
        right: positions of the right ones.
        num_best: how many options share the best score, by normalisation: above 1 is a tie.
        is_alike: a right option and a wrong one have the same tokens, so no model can tell them apart.
        unconditional_inputs: the prompt of the unconditional scores.
    """

    options: tuple[RankedOption, ...]
    right: tuple[int, ...]
    num_best: Mapping[str, int]
    is_alike: bool
    unconditional_inputs: str

    def counted(self) -> Mapping[str, bool]:
        """Ties under each normalisation, and examples that no model can get right."""
        ties = {f"ties/{name}": count > 1 for name, count in self.num_best.items()}
        return {**ties, "alike": self.is_alike}

    def details(self) -> Mapping[str, str]:
        """The options with their log-probabilities."""
        return {
            "options": "\n".join(
                f"{option.log_prob:8.2f}  {option.text}"
                + (f"  = {option.choice}" if option.choice != option.text else "")
                for option in self.options
            )
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemplateResult:
    """The summary metric of the examples that were asked with one template."""

    template_id: int
    num_examples: int
    estimate: Estimate


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskResult:
    """Results of one task.

    Attributes:
        counts: of examples, by what was counted: those in whose prediction no answer was found ("unanswered", they
            get the worst score), or ties.
        metric: name of the summary metric.
        metrics: mean over examples, or the value for all of them together, by metric name.
        spread: of the summary metric over templates.
        templates: the summary metric of each template, by template id.
    """

    name: str
    cluster: str
    num_examples: int
    counts: Mapping[str, int]
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
            "counts": dict(self.counts),
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
            "metric": self.metric,
            "num_examples": self.num_examples,
            "metrics": _estimates_json(self.metrics),
            "clusters": [cluster.as_json() for cluster in self.clusters],
            "tasks": [task.as_json() for task in self.tasks],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Results of every suite, or of those that a baseline can answer.

    Attributes:
        step: of the evaluated parameters; None for a baseline without a model.
        units: name of the unit (`metrics.UNITS`), by metric name.
    """

    step: int | None
    units: Mapping[str, str]
    suites: tuple[SuiteResult, ...]

    def suite(self, name: str) -> SuiteResult | None:
        """The suite of a name; None where this is a baseline that cannot answer it."""
        return next((suite for suite in self.suites if suite.name == name), None)

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
            "units": dict(self.units),
            "interval_level": statistics.DEFAULT_LEVEL,
            "suites": [suite.as_json() for suite in self.suites],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """Where results were written, and what stood there.

    Attributes:
        folder: of the step in the run folder.
        suites: that were written.
        replaced: those of them that had results there.
        kept: other suites that have results there.
    """

    folder: str
    suites: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """An evaluation and what to compare it with, by baseline name.

    Attributes:
        written: None: the results were not written.
    """

    tuned: EvaluationReport
    baselines: Mapping[str, EvaluationReport]
    written: Written | None = None


def _estimates_json(estimates: Mapping[str, Estimate]) -> dict[str, object]:
    return {name: dataclasses.asdict(estimate) for name, estimate in estimates.items()}
