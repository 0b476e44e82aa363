"""`Evaluator`: has suites of tasks answered and scored, and the baselines that need no model.

Not here: what a question is and how its answer is scored (`generation.py`, `ranking.py`), rendering of examples
(`suites.py`), means and intervals (`aggregation.py`). Read `results.py` next: it has what comes out.
"""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import itertools
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from absl import logging
import numpy as np

from flantune import metrics as metrics_lib
from flantune.data import names
from flantune.evaluation import aggregation, statistics
from flantune.evaluation.results import EvaluationReport, PredictionRow

Params = TypeVar("Params")
Request = TypeVar("Request", covariant=True)
Reply = TypeVar("Reply", contravariant=True)
BASELINES = (
    "untuned",
    "majority",
    "copy",
    "chance",
)  # keys beside the suites' names in report.json


@runtime_checkable
class EvalTask(Protocol[Request, Reply]):
    """A task and its questions, whatever kind of answer they ask for."""

    @property
    def name(self) -> str: ...

    @property
    def cluster(self) -> str: ...

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each metric: a name of `metrics.UNITS`."""
        ...

    @property
    def corpus_metrics(self) -> Sequence[metrics_lib.CorpusMetric]:
        """Those metrics that are no mean of the rows' scores, but computed from all rows."""
        ...

    def requests(self) -> Sequence[Request]:
        """What the model is asked."""
        ...

    def rows(self, replies: Sequence[Reply], metric: str) -> Sequence[PredictionRow]:
        """The scored examples, from a reply to each request; `metric` is the summary metric."""
        ...

    def baselines(self) -> Mapping[str, Sequence[PredictionRow]]:
        """The scored examples of what answers without a model, by name: names of `BASELINES`."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suite(Generic[Params]):
    """Tasks whose questions are of the same kind.

    Attributes:
        answer: a reply for each request, in order; suites that share this function are asked in one call.
        metric: the summary metric; every task must have it.
    """

    # Kinds differ in what they ask and get, so their types cannot be told here.
    tasks: Sequence[EvalTask[Any, Any]]
    answer: Callable[[Params, list[Any]], Sequence[Any]]
    metric: str


@dataclasses.dataclass(frozen=True)
class Evaluator(Generic[Params]):
    """Evaluates parameters on suites of tasks.

    Attributes:
        suites: by name.
        seed: of the bootstrap.

    Raises:
        KeyError: a task lacks its suite's summary metric.
        ValueError: no suites, a suite without tasks or with a task twice, or a reserved suite name.
    """

    suites: Mapping[str, Suite[Params]]
    seed: int = 0
    num_resamples: int = statistics.DEFAULT_RESAMPLES

    def __post_init__(self) -> None:
        if not self.suites:
            raise ValueError("An evaluator needs at least one suite.")
        for name, suite in self.suites.items():
            _check_suite(name, suite.tasks)
            for task in suite.tasks:
                _check_has_metric(name, task, suite.metric)

    def evaluate(self, params: Params, step: int) -> EvaluationReport:
        """Asks the model with these parameters everything, and scores its replies."""
        together: dict[Callable[[Params, list[Any]], Sequence[Any]], list[str]] = {}
        for name, suite in self.suites.items():
            together.setdefault(suite.answer, []).append(name)
        rows = {}
        for answer, suites in together.items():
            tasks = [task for name in suites for task in self.suites[name].tasks]
            replies = _ask(answer, params, tasks, step)
            for name in suites:
                suite = self.suites[name]
                rows[name] = [task.rows(next(replies), suite.metric) for task in suite.tasks]
        return self._report(step, {name: rows[name] for name in self.suites})

    def baselines(self) -> Mapping[str, EvaluationReport]:
        """Scores of what answers without a model, by name; each covers the suites whose questions it can answer."""
        return self._baselines

    @functools.cached_property
    def _baselines(self) -> dict[str, EvaluationReport]:
        # Kept: every evaluation of a run is shown beside them.
        found: dict[str, dict[str, list[Sequence[PredictionRow]]]] = {}
        for name, suite in self.suites.items():
            for task in suite.tasks:
                for baseline, rows in task.baselines().items():
                    found.setdefault(baseline, {}).setdefault(name, []).append(rows)
        return {baseline: self._report(None, rows) for baseline, rows in found.items()}

    def _report(
        self, step: int | None, rows: Mapping[str, Sequence[Sequence[PredictionRow]]]
    ) -> EvaluationReport:
        """The report on the suites of `rows`, which holds those of each task."""
        results = []
        units: dict[str, str] = {}
        for name, of_tasks in rows.items():
            suite = self.suites[name]
            # Each suite starts from the seed, so its intervals do not depend on the other suites.
            scorer = aggregation.SuiteScorer(
                suite.metric, np.random.default_rng(self.seed), self.num_resamples
            )
            for task, own in zip(suite.tasks, of_tasks, strict=True):
                scorer.add(task.name, task.cluster, own, task.corpus_metrics)
                units |= task.units
            results.append(scorer.suite(name))
        return EvaluationReport(step=step, units=units, suites=tuple(results))


def _ask(
    answer: Callable[[Params, list[Any]], Sequence[Any]],
    params: Params,
    tasks: Sequence[EvalTask[Any, Any]],
    step: int,
) -> Iterator[list[Any]]:
    """The replies to each task's requests."""
    requests = [task.requests() for task in tasks]
    together = list(itertools.chain.from_iterable(requests))
    what = f"step {step}" if step else "the model before its first step"
    logging.info("Evaluating %s: %s requests of %s tasks.", what, len(together), len(tasks))
    replies = answer(params, together)
    if len(replies) != len(together):
        raise ValueError(
            f"The model gave {len(replies)} replies to {len(together)} requests; it must give one to each."
        )
    remaining = iter(replies)
    return (list(itertools.islice(remaining, len(own))) for own in requests)


def _check_suite(suite: str, tasks: Sequence[EvalTask[Any, Any]]) -> None:
    if suite in BASELINES:
        raise ValueError(
            f"A suite cannot be named {suite!r}: report.json has a baseline of that name. Rename the suite."
        )
    if not tasks:
        raise ValueError(f"Suite {suite!r} has no tasks.")
    counts = collections.Counter(task.name for task in tasks)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"Suite {suite!r} has task {twice[0]!r} more than once.")


def _check_has_metric(suite: str, task: EvalTask[Any, Any], metric: str) -> None:
    known = list(task.units)
    if metric in known:
        return
    near = names.closest(metric, known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise KeyError(
        f"The summary metric {metric!r} is not among the metrics of task {task.name!r} in suite {suite!r}: "
        f"{', '.join(known) or 'it has none'}.{hint} EvalSuite.metric sets it for one suite, EvalConfig.metric for all."
    )
