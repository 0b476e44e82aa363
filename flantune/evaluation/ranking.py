"""Questions that are answered by ranking: the option that the model finds most probable, under four normalisations.

    options ("no", "yes"), log p = (-2.0, -2.4) nats, 2 and 3 tokens   ->   sum: "no", per token: "yes"

What the numbers are divided by, or less by, is `NORMALISATIONS`. Options are compared by what the model says of them,
never by how a generated text begins. Read `suites.py` next, which makes these tasks of prompts.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
from typing import TypeAlias

from flantune import metrics as metrics_lib
from flantune.evaluation.results import PredictionRow, RankedOption, RankedRow
from flantune.inference.scoring import OptionScore, Question

NORMALISATIONS: Mapping[str, Callable[[RankedOption], float]] = {
    "sum": lambda option: option.log_prob,
    "per_token": lambda option: option.log_prob / option.num_tokens,
    "per_byte": lambda option: option.log_prob / option.num_bytes,
    # Pointwise mutual information of prompt and option: Holtzman et al. 2021 (https://arxiv.org/abs/2104.08315).
    "pmi": lambda option: option.log_prob - option.unconditional_log_prob,
}
_METRICS = {name: f"rank_accuracy/{name}" for name in NORMALISATIONS}
# Differences of float32 sums below this are rounding: no preference.
_TIE = {"rel_tol": 1e-6, "abs_tol": 1e-6}
_Class: TypeAlias = tuple[str, object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankingExample:
    """One rendered question with its options.

    Attributes:
        uid: of the row that it was made from; examples that share it are resampled together.
        template_id: index of its template in the task.
        inputs: the prompt.
        references: the right answers as the task has them.
        options: the targets to score, in the order of the answer choices.
        choices: what the options stand for: "yes" where the option is "(B)".
        right: positions of the right options.
        same_as: for each option the first one with the same tokens: itself, as a rule.
        unconditional_inputs: the prompt without what belongs to the example: see `Tokenizer.unconditional`.
    """

    uid: str
    template_id: int
    inputs: str
    references: tuple[str, ...]
    options: tuple[str, ...]
    choices: tuple[str, ...]
    right: tuple[int, ...]
    same_as: tuple[int, ...]
    unconditional_inputs: str

    @property
    def is_alike(self) -> bool:
        """Whether a right option and a wrong one have the same tokens."""
        groups = {self.same_as[place] for place in self.right}
        return any(
            group in groups and place not in self.right for place, group in enumerate(self.same_as)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankingTask:
    """A task and its evaluated examples.

    A right option that ties with k - 1 others scores 1/k: what a choice among them by lot would score.

    Raises:
        ValueError: no examples, or one without options, without a right one, or with an empty one.
    """

    name: str
    cluster: str
    examples: tuple[RankingExample, ...]

    def __post_init__(self) -> None:
        if not self.examples:
            raise ValueError(f"Task {self.name!r} has no examples to rank.")
        for example in self.examples:
            if not all(example.options):
                raise ValueError(
                    f"Example {example.uid!r} of task {self.name!r} has an empty option among {example.options}, which has "
                    "no bytes to divide a score by."
                )
            if not example.right:
                raise ValueError(
                    f"Example {example.uid!r} of task {self.name!r} has no right option: {example.references} are not "
                    f"among {example.options}."
                )

    @property
    def units(self) -> Mapping[str, str]:
        """Every metric is a fraction: the accuracy under a normalisation."""
        return dict.fromkeys(_METRICS.values(), "fraction")

    @property
    def corpus_metrics(self) -> tuple[metrics_lib.CorpusMetric, ...]:
        """None: every metric is in the scores of the rows."""
        return ()

    def requests(self) -> list[Question]:
        """Two for each example: its options after the prompt, and after the unconditional prompt."""
        return [
            (inputs, example.options)
            for example in self.examples
            for inputs in (example.inputs, example.unconditional_inputs)
        ]

    def rows(self, replies: Sequence[Sequence[OptionScore]], metric: str) -> tuple[RankedRow, ...]:
        """The scored examples, from the scores of the options of each request."""
        return tuple(
            _ranked(example, scores, unconditional, metric)
            for example, scores, unconditional in zip(
                self.examples, replies[::2], replies[1::2], strict=True
            )
        )

    def baselines(self) -> Mapping[str, tuple[PredictionRow, ...]]:
        """Those that take the most frequent choice ("majority") and any at random ("chance").

        Majority gives every example the same answer choice, by position or by text, whichever is right more often on
        the evaluated examples themselves: the best constant answer in hindsight. Chance is the share of the options
        that are right: what drawing one scores on average.
        """
        counts: collections.Counter[_Class] = collections.Counter()
        for example in self.examples:
            counts.update(dict.fromkeys(_right_classes(example)).keys())
        majority = counts.most_common(1)[0][0]
        hits = [float(majority in _right_classes(example)) for example in self.examples]
        shares = [len(example.right) / len(example.options) for example in self.examples]
        return {"majority": self._constant(hits), "chance": self._constant(shares)}

    def _constant(self, scores: Sequence[float]) -> tuple[PredictionRow, ...]:
        """Rows with a score that is the same under every normalisation, and no prediction."""
        return tuple(
            PredictionRow(
                uid=example.uid,
                template_id=example.template_id,
                inputs=example.inputs,
                references=example.references,
                prediction="",
                answer="",
                scores=dict.fromkeys(_METRICS.values(), score),
            )
            for example, score in zip(self.examples, scores, strict=True)
        )


def _right_classes(example: RankingExample) -> list[_Class]:
    """The constant answers that would be right, by position among the answer choices and by text."""
    positions: list[_Class] = [("position", place) for place in example.right]
    return positions + [("text", example.choices[place]) for place in example.right]


def _ranked(
    example: RankingExample,
    scores: Sequence[OptionScore],
    unconditional: Sequence[OptionScore],
    metric: str,
) -> RankedRow:
    options = tuple(
        RankedOption(
            text=text,
            choice=choice,
            log_prob=scores[first].log_prob,
            unconditional_log_prob=unconditional[first].log_prob,
            num_tokens=scores[first].num_tokens,
            num_bytes=scores[first].num_bytes,
        )
        for text, choice, first in zip(
            example.options, example.choices, example.same_as, strict=True
        )
    )
    best = {
        name: _best([normalised(option) for option in options])
        for name, normalised in NORMALISATIONS.items()
    }
    chosen = next(best[name][0] for name in best if _METRICS[name] == metric)
    return RankedRow(
        uid=example.uid,
        template_id=example.template_id,
        inputs=example.inputs,
        references=example.references,
        prediction=options[chosen].text,
        answer=options[chosen].text,
        scores={
            _METRICS[name]: len({*places} & {*example.right}) / len(places)
            for name, places in best.items()
        },
        options=options,
        right=example.right,
        num_best={name: len(places) for name, places in best.items()},
        is_alike=example.is_alike,
        unconditional_inputs=example.unconditional_inputs,
    )


def _best(values: Sequence[float]) -> list[int]:
    """Positions of the largest value and of those that equal it."""
    # A model that has diverged scores NaN, which is never preferred.
    known = [-math.inf if math.isnan(value) else value for value in values]
    largest = max(known)
    return [place for place, value in enumerate(known) if math.isclose(value, largest, **_TIE)]
