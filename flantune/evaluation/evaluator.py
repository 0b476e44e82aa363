"""`Evaluator`: predicts and scores suites of tasks, and scores the baselines that need no model.

Not here: rendering of examples (`suites.py`), decoding (`flantune.inference`), means and intervals (`aggregation.py`).
Read `results.py` next: it has what comes out.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import itertools
from typing import Generic, TypeVar

from absl import logging
import numpy as np

from flantune import metrics as metrics_lib
from flantune.data import names
from flantune.evaluation import aggregation, statistics
from flantune.evaluation.results import EvaluationReport, PredictionRow

Params = TypeVar("Params")
BASELINES = ("untuned", "majority", "copy")  # keys beside the suites' names in report.json


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalExample:
    """One rendered question.

    Attributes:
        uid: of the row that it was made from; examples that share it are resampled together.
        template_id: index of its template in the task.
        inputs: the prompt.
        references: acceptable answers, in the form that extraction and postprocessing return.
        input_text: what the copy-input baseline answers.
        extract: the answer within a prediction, as the template asks for it, or None where there is none, which
            scores 0 and is counted apart; by default the whole prediction is the answer.
    """

    task: str
    cluster: str
    uid: str
    template_id: int
    inputs: str
    references: tuple[str, ...]
    input_text: str
    extract: Callable[[str], str | None] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalTask:
    """A task and its evaluated examples.

    Attributes:
        metrics: from `flantune.metrics`.
        postprocess: applied to an extracted answer before it is scored; references are left as they are.
    """

    name: str
    cluster: str
    metrics: tuple[metrics_lib.Metric, ...]
    examples: tuple[EvalExample, ...]
    postprocess: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if not isinstance(metric, metrics_lib.Metric):
                raise TypeError(
                    f"Metric {metric!r} of task {self.name!r} must be a flantune.metrics.Metric, which scores single "
                    f"examples, not {type(metric).__name__}."
                )
        if not self.examples:
            raise ValueError(f"Task {self.name!r} has no examples to evaluate.")
        for example in self.examples:
            if not example.references:
                raise ValueError(f"Example {example.uid!r} of task {self.name!r} has no reference.")


_FindAnswer = Callable[[EvalTask, EvalExample, str], str | None]


@dataclasses.dataclass(frozen=True)
class Evaluator(Generic[Params]):
    """Evaluates parameters on suites of tasks.

    Attributes:
        suites: tasks by suite name.
        predict: a text for each prompt; called once per evaluation with the prompts of all suites.
        metric: the summary metric; every task must have it.
        seed: of the bootstrap.

    Raises:
        KeyError: a task lacks the summary metric.
        ValueError: no suites, a suite without tasks or with a task twice, or a reserved suite name.
    """

    suites: Mapping[str, Sequence[EvalTask]]
    predict: Callable[[Params, list[str]], list[str]]
    metric: str
    seed: int = 0
    num_resamples: int = statistics.DEFAULT_RESAMPLES

    def __post_init__(self) -> None:
        if not self.suites:
            raise ValueError("An evaluator needs at least one suite.")
        for suite, tasks in self.suites.items():
            _check_suite(suite, tasks)
            for task in tasks:
                _check_has_metric(suite, task, self.metric)

    def evaluate(self, params: Params, step: int) -> EvaluationReport:
        """Predicts every example with these parameters and scores the predictions."""
        prompts = [example.inputs for example in self._examples()]
        logging.info("Evaluating step %s on %s prompts.", step, len(prompts))
        predictions = self.predict(params, prompts)
        if len(predictions) != len(prompts):
            raise ValueError(
                f"predict() returned {len(predictions)} predictions for {len(prompts)} prompts; "
                "it must return one for each."
            )
        return self._report(step, predictions, _extracted)

    def majority(self) -> EvaluationReport:
        """Scores of answering every example of a task with the task's most frequent reference.

        The reference is counted on the evaluated examples themselves, once per example; the first to occur wins a tie.
        So this is the best constant answer in hindsight: an upper bound under exact match for any system that ignores
        its input. (Under ROUGE-L another constant may score higher.)
        """
        answers = []
        for task in self._tasks():
            answers += [_most_frequent_reference(task)] * len(task.examples)
        return self._report(None, answers, lambda _task, _example, text: text)

    def copy_input(self) -> EvaluationReport:
        """Scores of answering every example with its `input_text`, postprocessed as an answer is."""
        answers = [example.input_text for example in self._examples()]
        return self._report(None, answers, lambda task, _example, text: _postprocessed(task, text))

    def _tasks(self) -> list[EvalTask]:
        return [task for tasks in self.suites.values() for task in tasks]

    def _examples(self) -> list[EvalExample]:
        return [example for task in self._tasks() for example in task.examples]

    def _report(
        self, step: int | None, predictions: Sequence[str], find_answer: _FindAnswer
    ) -> EvaluationReport:
        remaining = iter(predictions)
        suites = []
        for name, tasks in self.suites.items():
            # Each suite starts from the seed, so its intervals do not depend on the other suites.
            scorer = aggregation.SuiteScorer(
                self.metric, np.random.default_rng(self.seed), self.num_resamples
            )
            for task in tasks:
                texts = list(itertools.islice(remaining, len(task.examples)))
                answers = [
                    find_answer(task, example, text)
                    for example, text in zip(task.examples, texts, strict=True)
                ]
                scorer.add(task.name, task.cluster, _rows(task, texts, answers))
            suites.append(scorer.suite(name))
        units = {metric.name: metric.unit for task in self._tasks() for metric in task.metrics}
        return EvaluationReport(step=step, metric=self.metric, units=units, suites=tuple(suites))


def _check_suite(suite: str, tasks: Sequence[EvalTask]) -> None:
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


def _check_has_metric(suite: str, task: EvalTask, metric: str) -> None:
    known = [item.name for item in task.metrics]
    if metric in known:
        return
    near = names.closest(metric, known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise KeyError(
        f"The summary metric {metric!r} is not among the metrics of task {task.name!r} in suite {suite!r}: "
        f"{', '.join(known) or 'it has none'}.{hint}"
    )


def _most_frequent_reference(task: EvalTask) -> str:
    counts: collections.Counter[str] = collections.Counter()
    for example in task.examples:
        # As exact match compares; a dict keeps the order and counts a repeated reference once.
        counts.update(
            dict.fromkeys(map(metrics_lib.collapse_whitespace, example.references)).keys()
        )
    return counts.most_common(1)[0][0]  # equal counts: in order of first occurrence


def _extracted(task: EvalTask, example: EvalExample, prediction: str) -> str | None:
    answer = prediction if example.extract is None else example.extract(prediction)
    return None if answer is None else _postprocessed(task, answer)


def _postprocessed(task: EvalTask, answer: str) -> str:
    return answer if task.postprocess is None else task.postprocess(answer)


def _rows(
    task: EvalTask, predictions: Sequence[str], answers: Sequence[str | None]
) -> tuple[PredictionRow, ...]:
    references = [example.references for example in task.examples]
    # An empty text stands for a missing answer; its scores are not used.
    texts = [answer or "" for answer in answers]
    scores = {metric.name: metric.per_example(references, texts) for metric in task.metrics}
    return tuple(
        PredictionRow(
            uid=example.uid,
            template_id=example.template_id,
            inputs=example.inputs,
            references=example.references,
            prediction=predictions[i],
            answer=answers[i],
            scores={
                name: 0.0 if answers[i] is None else values[i] for name, values in scores.items()
            },
        )
        for i, example in enumerate(task.examples)
    )
