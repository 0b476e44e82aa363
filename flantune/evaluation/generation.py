"""Questions that are answered by writing: a prompt in, a text out, compared with references by the task's metrics.

`GenerationTask` is what `evaluator.py` asks; the baselines answer with the most frequent reference, or with the input.
Read `ranking.py` for questions whose options are ranked.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
import dataclasses

from flantune import metrics as metrics_lib
from flantune.evaluation.results import PredictionRow


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationExample:
    """One rendered question.

    Attributes:
        uid: of the row that it was made from; examples that share it are resampled together.
        template_id: index of its template in the task.
        inputs: the prompt.
        references: acceptable answers, in the form that extraction and postprocessing return.
        input_text: what the copy-input baseline answers.
        extract: the answer within a prediction, as the template asks for it, or None where there is none, which
            scores the worst there is and is counted apart; by default the whole prediction is the answer.
    """

    uid: str
    template_id: int
    inputs: str
    references: tuple[str, ...]
    input_text: str
    extract: Callable[[str], str | None] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationTask:
    """A task and its evaluated examples.

    Attributes:
        metrics: from `flantune.metrics`.
        postprocess: applied to an extracted answer before it is scored; references are left as they are.
    """

    name: str
    cluster: str
    metrics: tuple[metrics_lib.AnyMetric, ...]
    examples: tuple[GenerationExample, ...]
    postprocess: Callable[[str], str] | None = None

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if not isinstance(metric, metrics_lib.AnyMetric):
                raise TypeError(
                    f"Metric {metric!r} of task {self.name!r} must be a flantune.metrics.Metric, which scores single "
                    f"examples, or a CorpusMetric, which scores all together, not {type(metric).__name__}."
                )
        if not self.examples:
            raise ValueError(f"Task {self.name!r} has no examples to evaluate.")
        for example in self.examples:
            if not example.references:
                raise ValueError(f"Example {example.uid!r} of task {self.name!r} has no reference.")

    @property
    def units(self) -> Mapping[str, str]:
        """Unit of each metric."""
        return {metric.name: metric.unit for metric in self.metrics}

    @property
    def corpus_metrics(self) -> tuple[metrics_lib.CorpusMetric, ...]:
        """The metrics that need all examples; the others are in the scores of the rows."""
        return tuple(one for one in self.metrics if isinstance(one, metrics_lib.CorpusMetric))

    def requests(self) -> list[str]:
        """The prompts."""
        return [example.inputs for example in self.examples]

    def rows(self, replies: Sequence[str], metric: str) -> tuple[PredictionRow, ...]:
        """The scored examples, from the model's text for each prompt."""
        del metric
        answers = [
            self._extracted(example, text)
            for example, text in zip(self.examples, replies, strict=True)
        ]
        return self._scored(replies, answers)

    def baselines(self) -> Mapping[str, tuple[PredictionRow, ...]]:
        """Those that answer with the most frequent reference ("majority") and with the input ("copy").

        Majority answers every example with the task's most frequent reference. The reference is counted on the
        evaluated examples themselves, once per example; the first to occur wins a tie. So this is the best constant
        answer in hindsight: an upper bound under exact match for any system that ignores its input. (Under ROUGE-L
        another constant may score higher.) Copy answers with the `input_text`, postprocessed as an answer is.
        """
        majority = [self._most_frequent_reference()] * len(self.examples)
        copied = [example.input_text for example in self.examples]
        return {
            "majority": self._scored(majority, majority),
            "copy": self._scored(copied, [self._postprocessed(text) for text in copied]),
        }

    def _most_frequent_reference(self) -> str:
        counts: collections.Counter[str] = collections.Counter()
        for example in self.examples:
            # As exact match compares; a dict keeps the order and counts a repeated reference once.
            counts.update(
                dict.fromkeys(map(metrics_lib.collapse_whitespace, example.references)).keys()
            )
        return counts.most_common(1)[0][0]  # equal counts: in order of first occurrence

    def _extracted(self, example: GenerationExample, prediction: str) -> str | None:
        answer = prediction if example.extract is None else example.extract(prediction)
        return None if answer is None else self._postprocessed(answer)

    def _postprocessed(self, answer: str) -> str:
        return answer if self.postprocess is None else self.postprocess(answer)

    def _scored(
        self, predictions: Sequence[str], answers: Sequence[str | None]
    ) -> tuple[PredictionRow, ...]:
        references = [example.references for example in self.examples]
        # An empty text stands for a missing answer; its scores are not used.
        texts = [answer or "" for answer in answers]
        scorers = [one for one in self.metrics if isinstance(one, metrics_lib.Metric)]
        scores = {metric.name: metric.per_example(references, texts) for metric in scorers}
        worst = {metric.name: metrics_lib.UNITS[metric.unit].worst for metric in scorers}
        return tuple(
            PredictionRow(
                uid=example.uid,
                template_id=example.template_id,
                inputs=example.inputs,
                references=example.references,
                prediction=predictions[i],
                answer=answers[i],
                scores={
                    name: worst[name] if answers[i] is None else values[i]
                    for name, values in scores.items()
                },
            )
            for i, example in enumerate(self.examples)
        )
