"""The two forms of a metric, and the units of scores. Which metrics there are: `metrics/__init__.py`.

    Metric        scores one example; its value is the mean          exact match, ROUGE, SQuAD's F1
    CorpusMetric  scores all examples together; no mean gives it     BLEU, correlations, F1 of a class

Both are called as SeqIO calls a metric, `metric(targets, predictions) -> {name: value}`, and both have bootstrap intervals:
the scores of a `Metric` are resampled, a `CorpusMetric` is computed anew for the examples of every resample.
"""

from collections.abc import Callable, Sequence
import dataclasses
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

References: TypeAlias = str | Sequence[str]  # of one example; a plain string is a single reference
Scorer: TypeAlias = Callable[["np.ndarray"], float]  # the value for the examples at some positions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unit:
    """The range of a score. The best score is the largest, or the smallest where `lower_is_better`."""

    minimum: float
    maximum: float
    lower_is_better: bool = False

    @property
    def worst(self) -> float:
        """What a missing answer scores."""
        return self.maximum if self.lower_is_better else self.minimum


UNITS = {
    "fraction": Unit(minimum=0.0, maximum=1.0),
    "percent": Unit(minimum=0.0, maximum=100.0),
    "correlation": Unit(minimum=-1.0, maximum=1.0),
    "distance": Unit(minimum=0.0, maximum=1.0, lower_is_better=True),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A named score of one example, the best over its references; its value is the mean over examples.

    Attributes:
        name: as reports and gin files write it.
        score: `score(reference, prediction)` in the metric's unit; a function of a module, so that tasks pickle.
        unit: a name of `UNITS`.
    """

    name: str
    score: Callable[[str, str], float]
    unit: str = "fraction"

    def __post_init__(self) -> None:
        _check_unit(self.name, self.unit)

    @property
    def maximum(self) -> float:
        """The largest score there can be."""
        return UNITS[self.unit].maximum

    def per_example(self, targets: Sequence[References], predictions: Sequence[str]) -> list[float]:
        """Score of each prediction: the best over its references.

        Raises:
            ValueError: as many predictions as targets are needed, and a reference for each.
        """
        best = min if UNITS[self.unit].lower_is_better else max
        pairs = zip(_all_references(self.name, targets, predictions), predictions, strict=True)
        return [
            best(self.score(reference, prediction) for reference in references)
            for references, prediction in pairs
        ]

    def __call__(
        self, targets: Sequence[References], predictions: Sequence[str]
    ) -> dict[str, float]:
        """Mean score by the metric's name.

        Raises:
            ValueError: no example, or not as many predictions as targets.
        """
        scores = self.per_example(targets, predictions)
        _check_not_empty(self.name, len(scores))
        return {self.name: sum(scores) / len(scores)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorpusMetric:
    """A named score of many examples together.

    Attributes:
        name: as reports and gin files write it.
        prepare: `prepare(targets, predictions)` does once what belongs to single examples (tokenising, counting), and
            returns the function that gives the value for the examples at an array of positions, of which a resample
            repeats some. A function of a module or a frozen dataclass, so that tasks pickle.
        unit: a name of `UNITS`.
    """

    name: str
    prepare: Callable[[Sequence[tuple[str, ...]], Sequence[str]], Scorer]
    unit: str = "fraction"

    def __post_init__(self) -> None:
        _check_unit(self.name, self.unit)

    def scorer(self, targets: Sequence[References], predictions: Sequence[str]) -> Scorer:
        """The value for any of these examples, by position.

        Raises:
            ValueError: no example, or not as many predictions as targets, or an example without a reference.
        """
        references = _all_references(self.name, targets, predictions)
        _check_not_empty(self.name, len(references))
        return self.prepare(references, predictions)

    def __call__(
        self, targets: Sequence[References], predictions: Sequence[str]
    ) -> dict[str, float]:
        """The value for all examples by the metric's name.

        Raises:
            ValueError: as `scorer` does.
        """
        import numpy as np

        return {self.name: self.scorer(targets, predictions)(np.arange(len(predictions)))}


AnyMetric: TypeAlias = Metric | CorpusMetric


def _check_unit(name: str, unit: str) -> None:
    if unit not in UNITS:
        allowed = ", ".join(map(repr, UNITS))
        raise ValueError(f"Metric {name!r} must have one of the units {allowed}, not {unit!r}.")


def _check_not_empty(name: str, count: int) -> None:
    if not count:
        raise ValueError(f"Metric {name!r} got no examples; it needs one at least.")


def _all_references(
    name: str, targets: Sequence[References], predictions: Sequence[str]
) -> list[tuple[str, ...]]:
    if len(targets) != len(predictions):
        raise ValueError(
            f"Metric {name!r} got {len(targets)} targets and {len(predictions)} predictions; "
            "the numbers must be equal."
        )
    found = [(target,) if isinstance(target, str) else tuple(target) for target in targets]
    if not all(found):
        raise ValueError(f"Metric {name!r} got an example without a reference.")
    return found
