"""Bootstrap confidence intervals of scores, and the spread over templates.

What is resampled: *units*, that is, rows of a dataset. A row that was asked with several templates gives several
scores, which rise and fall together, so a resample takes all or none of them. Tasks and templates stay as they are:
an interval says how far a number would move with other rows of the same tasks, not with other tasks. How much the
wording matters is shown by the spread over templates itself. Randomness comes from the generator that is passed in.
Read `results.py` next: it turns scores into the results of tasks and suites.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
import dataclasses

from jaxtyping import Float, Int
import numpy as np

DEFAULT_RESAMPLES = 1000
DEFAULT_LEVEL = 0.95
_MAX_DRAWS = 2_000_000  # entries of one block of resamples: 16 MB of indices


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and its confidence interval, in the unit of its metric."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spread:
    """Distribution of the scores of templates.

    Attributes:
        mean: over templates, each counting the same, with its interval.
        median: over templates, with its interval.
        quartile_1: 25th percentile over templates, linearly interpolated.
        quartile_3: 75th percentile; the interquartile range is `iqr`.
        minimum: the lowest score of a template.
        maximum: the highest.
    """

    num_templates: int
    mean: Estimate
    median: Estimate
    quartile_1: float
    quartile_3: float
    minimum: float
    maximum: float

    @property
    def iqr(self) -> float:
        return self.quartile_3 - self.quartile_1


def resample_means(
    scores: Sequence[float],
    units: Sequence[Hashable],
    groups: Sequence[int],
    *,
    rng: np.random.Generator,
    num_resamples: int = DEFAULT_RESAMPLES,
) -> Float[np.ndarray, "resamples group"]:
    """Mean score of each group in each bootstrap resample of the units.

    Units are drawn with replacement among those that occur in the same groups, so that no group is ever empty.

    Args:
        scores: of each example.
        units: what each example was made from; examples of a unit are drawn together.
        groups: number of each example's group, 0, 1, 2, ...; a single group for a plain mean.
        rng: source of the draws.
        num_resamples: rows of the result.
    """
    sums, counts = _by_unit(scores, units, groups)
    totals = np.zeros((2, num_resamples, sums.shape[1]))
    for members in _strata(counts):
        for block, drawn in _draws(members, sums.shape[1], rng, num_resamples):
            totals[0, block] += sums[drawn].sum(axis=1)
            totals[1, block] += counts[drawn].sum(axis=1)
    return totals[0] / totals[1]


def resample_values(
    value: Callable[[Int[np.ndarray, "drawn"]], float],
    units: Sequence[Hashable],
    groups: Sequence[int],
    *,
    rng: np.random.Generator,
    num_resamples: int = DEFAULT_RESAMPLES,
) -> Float[np.ndarray, "resamples group"]:
    """As `resample_means`, of what is no mean: `value` gives it for the examples at some positions, some repeated.

    It is called once for each group and resample, so it must be quick: a millisecond makes a second for each group.
    """
    _, counts = _by_unit(np.zeros(len(units)), units, groups)
    unit_of = _numbered(units)
    members = [np.flatnonzero(np.equal(groups, group)) for group in range(counts.shape[1])]
    strata = _strata(counts)
    values = np.zeros((num_resamples, len(members)))
    for resample in range(num_resamples):
        copies = np.zeros(len(counts), np.int64)
        for stratum in strata:
            drawn = stratum[rng.integers(len(stratum), size=len(stratum))]
            copies += np.bincount(drawn, minlength=len(copies))
        for group, own in enumerate(members):
            values[resample, group] = value(np.repeat(own, copies[unit_of[own]]))
    return values


def _numbered(units: Sequence[Hashable]) -> Int[np.ndarray, "example"]:
    """The number of each example's unit, in the order in which units occur first."""
    number_of = {unit: number for number, unit in enumerate(dict.fromkeys(units))}
    return np.array([number_of[unit] for unit in units])


def _strata(counts: Float[np.ndarray, "unit group"]) -> list[Int[np.ndarray, "member"]]:
    """The units that occur in the same groups, together."""
    _, stratum_of = np.unique(counts > 0, axis=0, return_inverse=True)
    stratum_of = stratum_of.reshape(-1)  # numpy 2.0.0 keeps the axis
    return [np.flatnonzero(stratum_of == stratum) for stratum in range(stratum_of.max() + 1)]


def _by_unit(
    scores: Sequence[float] | np.ndarray, units: Sequence[Hashable], groups: Sequence[int]
) -> tuple[Float[np.ndarray, "unit group"], Float[np.ndarray, "unit group"]]:
    if len(scores) == 0 or not len(scores) == len(units) == len(groups):
        raise ValueError(
            "A bootstrap needs one unit and one group for each score, and one score at least, not "
            f"{len(scores)} scores, {len(units)} units and {len(groups)} groups."
        )
    places = _numbered(units), np.array(groups)
    sums = np.zeros((places[0].max() + 1, max(groups) + 1))
    counts = np.zeros_like(sums)
    np.add.at(sums, places, scores)
    np.add.at(counts, places, 1)
    return sums, counts


def _draws(
    members: Int[np.ndarray, "unit"],
    num_groups: int,
    rng: np.random.Generator,
    num_resamples: int,
) -> Iterator[tuple[slice, Int[np.ndarray, "block unit"]]]:
    size = max(1, _MAX_DRAWS // (len(members) * num_groups))
    for start in range(0, num_resamples, size):
        stop = min(start + size, num_resamples)
        yield (
            slice(start, stop),
            members[rng.integers(len(members), size=(stop - start, len(members)))],
        )


def percentile_interval(
    value: float,
    resamples: Float[np.ndarray, "resamples"],
    *,
    level: float = DEFAULT_LEVEL,
) -> Estimate:
    """The value with the interval that holds the middle `level` of its resamples (percentile bootstrap).

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, chapter 13. With fewer than about 20 units it is
    too narrow, and where all scores are equal it has no width at all.
    """
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval must be between 0 and 1, not {level!r}.")
    low, high = np.quantile(resamples, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value=float(value), low=float(low), high=float(high))


def mean_with_interval(
    scores: Sequence[float],
    *,
    seed: int,
    units: Sequence[Hashable] | None = None,
    num_resamples: int = DEFAULT_RESAMPLES,
    level: float = DEFAULT_LEVEL,
) -> Estimate:
    """Mean of the scores with its bootstrap interval; without `units`, each score is a unit."""
    rng = np.random.default_rng(seed)
    units = range(len(scores)) if units is None else units
    means = resample_means(scores, units, [0] * len(scores), rng=rng, num_resamples=num_resamples)
    return percentile_interval(float(np.mean(scores)), means[:, 0], level=level)


def macro_mean(
    values: Sequence[float],
    resamples: Sequence[Float[np.ndarray, "resamples"]],
    *,
    level: float = DEFAULT_LEVEL,
) -> Estimate:
    """Mean over tasks, each counting the same, with its interval.

    Args:
        values: the score of each task.
        resamples: of each task's score, drawn independently of the other tasks'.
        level: share of the resamples inside the interval.
    """
    return percentile_interval(float(np.mean(values)), np.mean(resamples, axis=0), level=level)


def spread(
    values: Sequence[float],
    resamples: Float[np.ndarray, "resamples template"],
    *,
    level: float = DEFAULT_LEVEL,
) -> Spread:
    """Distribution of templates' scores.

    Args:
        values: the score of each template.
        resamples: of the same scores, from `resample_means` or `resample_values` with templates as groups.
        level: share of the resamples inside the intervals.
    """
    quartile_1, median, quartile_3 = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    return Spread(
        num_templates=len(values),
        mean=percentile_interval(float(np.mean(values)), resamples.mean(axis=1), level=level),
        median=percentile_interval(median, np.median(resamples, axis=1), level=level),
        quartile_1=quartile_1,
        quartile_3=quartile_3,
        minimum=float(min(values)),
        maximum=float(max(values)),
    )
