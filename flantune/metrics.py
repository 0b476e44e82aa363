"""Task metrics: a score per example and its mean. Tasks write `metrics=(metrics.exact_match, metrics.rouge_l)`.

Every metric scores one example against its references, the best of them counting, and aggregates by the mean; this
is what bootstrap intervals need. A metric of the whole corpus (BLEU) has no such form and is not here. Exact match and
accuracy are fractions from 0 to 1, ROUGE-L is a percentage from 0 to 100, as each is reported in the field.
Read `evaluation/evaluator.py` next: it applies the metrics of a task to its predictions.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools

References = str | Sequence[str]  # of one example; a plain string is a single reference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A named score of one example.

    It is callable as SeqIO's metric functions are: `metric(targets, predictions) -> {name: mean}`.

    Attributes:
        name: as reports and gin files write it.
        score: `score(reference, prediction)` in the metric's unit; a function of a module, so that tasks pickle.
        unit: "fraction" (0 to 1) or "percent" (0 to 100).
    """

    name: str
    score: Callable[[str, str], float]
    unit: str = "fraction"

    def __post_init__(self) -> None:
        if self.unit not in ("fraction", "percent"):
            raise ValueError(
                f"Metric {self.name!r} must have the unit 'fraction' or 'percent', not {self.unit!r}."
            )

    @property
    def maximum(self) -> float:
        """The score of a perfect prediction."""
        return 100.0 if self.unit == "percent" else 1.0

    def per_example(self, targets: Sequence[References], predictions: Sequence[str]) -> list[float]:
        """Score of each prediction: the best over its references.

        Raises:
            ValueError: as many predictions as targets are needed, and a reference for each.
        """
        if len(targets) != len(predictions):
            raise ValueError(
                f"Metric {self.name!r} got {len(targets)} targets and {len(predictions)} predictions; "
                "the numbers must be equal."
            )
        return [self._best(*pair) for pair in zip(targets, predictions, strict=True)]

    def _best(self, references: References, prediction: str) -> float:
        references = (references,) if isinstance(references, str) else references
        if not references:
            raise ValueError(f"Metric {self.name!r} got an example without a reference.")
        return max(self.score(reference, prediction) for reference in references)

    def __call__(
        self, targets: Sequence[References], predictions: Sequence[str]
    ) -> dict[str, float]:
        """Mean score by the metric's name.

        Raises:
            ValueError: no example, or not as many predictions as targets.
        """
        scores = self.per_example(targets, predictions)
        if not scores:
            raise ValueError(f"Metric {self.name!r} got no examples; the mean needs one at least.")
        return {self.name: sum(scores) / len(scores)}


def collapse_whitespace(text: str) -> str:
    """Text without spaces at its ends and with each run of whitespace as one space."""
    return " ".join(text.split())


def _equal(reference: str, prediction: str) -> float:
    return float(collapse_whitespace(reference) == collapse_whitespace(prediction))


@functools.cache
def _load_rouge_l() -> Callable[[str, str], float]:
    # Imported here: rouge_score brings NLTK, two seconds that a task module must not pay.
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    return lambda reference, prediction: (
        100.0 * scorer.score(reference, prediction)["rougeL"].fmeasure
    )


def _rouge_l(reference: str, prediction: str) -> float:
    return _load_rouge_l()(reference, prediction)


exact_match = Metric(name="exact_match", score=_equal)
"""Fraction of predictions that equal a reference after `collapse_whitespace`.

Case and punctuation count. Super-NaturalInstructions' own script lower-cases and drops punctuation first, so its exact
match may be higher.
"""

accuracy = Metric(name="accuracy", score=_equal)
"""Exact match under the name that classification tasks use; a fraction."""

rouge_l = Metric(name="rouge_l", score=_rouge_l, unit="percent")
"""Percent F-measure of the longest common subsequence of stemmed words, the best over references.

As in Super-NaturalInstructions' evaluation: `rouge_score` with `use_stemmer=True`
(https://github.com/yizhongw/Tk-Instruct, src/compute_metrics.py). The package lower-cases and keeps only the letters
a-z and digits: a reference without any, such as "+" or one in Cyrillic, scores 0 even against itself.
"""
