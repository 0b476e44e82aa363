"""Bootstrap intervals and spreads against values known by construction."""

from hypothesis import given, settings, strategies as st
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
import pytest

from flantune.evaluation import statistics


def _resample(scores, units=None, groups=None, seed=0, num_resamples=1000):
    return statistics.resample_means(
        scores,
        range(len(scores)) if units is None else units,
        [0] * len(scores) if groups is None else groups,
        rng=np.random.default_rng(seed),
        num_resamples=num_resamples,
    )


def test_equal_scores_have_an_interval_without_width():
    estimate = statistics.mean_with_interval([0.25] * 8, seed=0)
    assert (estimate.value, estimate.low, estimate.high) == (0.25, 0.25, 0.25)


def test_two_units_give_the_three_means_that_are_possible():
    means = _resample([0.0, 1.0])[:, 0]
    values, counts = np.unique(means, return_counts=True)
    assert_array_equal(values, [0, 0.5, 1])
    # 1/4, 1/2, 1/4; the standard deviation of a share of 1,000 is below 0.016.
    assert_allclose(counts / 1000, [0.25, 0.5, 0.25], atol=0.06)


def test_resampled_means_have_the_standard_error_of_a_proportion():
    means = _resample([0.0] * 300 + [1.0] * 100, num_resamples=4000)[:, 0]
    assert_allclose(means.mean(), 0.25, atol=0.002)
    assert_allclose(means.std(), np.sqrt(0.25 * 0.75 / 400), rtol=0.05)


def test_intervals_cover_the_true_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        estimate = statistics.mean_with_interval(
            list(rng.normal(3.0, 1.0, size=50)), seed=0, num_resamples=400
        )
        hits += estimate.low <= 3.0 <= estimate.high
    assert 180 <= hits <= 198  # 95 % of 200 is 190; three standard deviations are 9


def test_a_wider_level_gives_a_wider_interval():
    scores = list(np.linspace(0, 1, 30))
    narrow = statistics.mean_with_interval(scores, seed=0, level=0.5)
    wide = statistics.mean_with_interval(scores, seed=0, level=0.99)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    with pytest.raises(ValueError, match=r"between 0 and 1, not 95\.0"):
        statistics.mean_with_interval(scores, seed=0, level=95.0)


def test_scores_of_the_same_row_do_not_count_as_more_evidence():
    scores = [0.0, 1.0, 1.0, 0.0, 1.0]
    twice = _resample(scores * 2, units=[*range(5), *range(5)])
    assert_array_equal(twice, _resample(scores))


def test_templates_asked_on_the_same_rows_move_together():
    scores = [0.0, 1.0, 0.5, 1.0]
    means = _resample(scores * 2, units=[*range(4)] * 2, groups=[0] * 4 + [1] * 4)
    assert_array_equal(means[:, 0], means[:, 1])


def test_no_group_is_ever_empty():
    # One row for template 0, five for template 1: template 0 always keeps its only score.
    means = _resample([0.75, 0.0, 1.0, 0.0, 1.0, 0.0], groups=[0, 1, 1, 1, 1, 1])
    assert_array_equal(means[:, 0], 0.75)
    assert np.isfinite(means).all()


def test_many_rows_are_drawn_in_blocks():
    scores = [0.0, 1.0] * 1500  # 3,000 rows in 1,000 resamples pass the size of a block
    means = _resample(scores)[:, 0]
    assert means.shape == (1000,)
    assert_allclose(means.std(), np.sqrt(0.25 / 3000), rtol=0.1)
    assert len(np.unique(means[:500])) > 50
    assert len(np.unique(means[-300:])) > 50


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.integers(0, 2**32))
def test_intervals_stay_within_the_scores_and_repeat(scores, seed):
    estimate = statistics.mean_with_interval(scores, seed=seed, num_resamples=50)
    slack = 1e-9
    assert min(scores) - slack <= estimate.low <= estimate.high <= max(scores) + slack
    assert estimate == statistics.mean_with_interval(scores, seed=seed, num_resamples=50)


def test_another_seed_gives_other_resamples():
    scores = list(np.linspace(0, 1, 30))
    assert not np.array_equal(_resample(scores, seed=0), _resample(scores, seed=1))


def test_macro_mean_weighs_tasks_the_same():
    small, large = _resample([1.0, 1.0])[:, 0], _resample([0.0] * 100)[:, 0]
    estimate = statistics.macro_mean([1.0, 0.0], [small, large])
    assert (estimate.value, estimate.low, estimate.high) == (0.5, 0.5, 0.5)


def test_macro_mean_of_independent_tasks_is_surer_than_each():
    scores = [0.0, 1.0] * 50
    tasks = [_resample(scores, seed=seed)[:, 0] for seed in range(4)]
    together = statistics.macro_mean([0.5] * 4, tasks)
    alone = statistics.percentile_interval(0.5, tasks[0])
    # The standard error of the mean of 4 is half of one's.
    assert_allclose((together.high - together.low) / (alone.high - alone.low), 0.5, atol=0.08)


def test_spread_over_templates():
    values = [0.0, 0.2, 0.4, 0.6, 1.0]
    spread = statistics.spread(values, np.tile(values, (10, 1)))
    assert spread.num_templates == 5
    assert_allclose(spread.mean.value, 0.44)
    assert_allclose([spread.median.value, spread.median.low, spread.median.high], 0.4)
    assert_allclose([spread.quartile_1, spread.quartile_3, spread.iqr], [0.2, 0.6, 0.4])
    assert (spread.minimum, spread.maximum) == (0.0, 1.0)


def test_a_bootstrap_needs_scores_and_a_unit_for_each():
    with pytest.raises(ValueError, match="one score at least, not 0 scores"):
        statistics.mean_with_interval([], seed=0)
    with pytest.raises(ValueError, match="2 scores, 1 units"):
        statistics.mean_with_interval([0.0, 1.0], seed=0, units=["a"])


def test_values_of_resamples_are_the_means_where_the_value_is_the_mean():
    scores = np.random.default_rng(3).random(30)
    draws = {"rng": np.random.default_rng(0), "num_resamples": 200}
    units, groups = [*range(15)] * 2, [0] * 15 + [1] * 15
    values = statistics.resample_values(
        lambda places: float(scores[places].mean()), units, groups, **draws
    )
    # Examples of a row are drawn together, a row as often as in the means with the same draws.
    assert_allclose(values, _resample(list(scores), units, groups, num_resamples=200), rtol=1e-12)


def test_values_are_of_groups_that_are_never_empty():
    groups = [0, 1, 1, 1, 1, 1]
    values = statistics.resample_values(
        lambda places: float(len(places)), range(6), groups, rng=np.random.default_rng(0)
    )
    assert_array_equal(values[:, 0], 1)
    assert_array_equal(values[:, 1], 5)
