"""Curves of suites over the steps of a run folder."""

import json

import pytest

from flantune import metrics
from flantune.evaluation import curves


def _values(curve):
    return [(point.step, point.estimate.value, point.is_below) for point in curve.points]


def test_each_suite_has_a_curve_beside_the_majority_answer(tmp_path, write_step):
    write_step(tmp_path, 200, "zzzz")
    write_step(tmp_path, 1000, "abbc", suites=("seen", "unseen"), untuned="azzz")
    write_step(tmp_path, 400, "azzz")
    seen, unseen = curves.read(tmp_path)
    assert (seen.suite, seen.metric, seen.unit) == ("seen", "exact_match", "fraction")
    assert _values(seen) == [
        (0, 0.25, True),
        (200, 0.0, True),
        (400, 0.25, True),
        (1000, 0.75, False),
    ]
    assert {point.majority for point in seen.points} == {0.5}
    assert _values(unseen) == [(0, 0.25, True), (1000, 0.75, False)]
    assert seen.points[-1].estimate.low <= 0.75 <= seen.points[-1].estimate.high
    point = json.loads(json.dumps(seen.as_json()))["points"][1]
    assert point == {
        "step": 200,
        "value": 0.0,
        "low": 0.0,
        "high": 0.0,
        "majority": 0.5,
        "is_below_majority": True,
    }


def test_an_equal_score_is_not_below(tmp_path, write_step):
    write_step(tmp_path, 1, "aaaa")
    ((point,),) = [curve.points for curve in curves.read(tmp_path)]
    assert (point.estimate.value, point.majority, point.is_below) == (0.5, 0.5, False)


def test_where_lower_is_better_a_higher_score_is_below(tmp_path, write_step):
    write_step(tmp_path, 1, "zzzz", metric=metrics.edit_distance)
    ((point,),) = [curve.points for curve in curves.read(tmp_path)]
    assert (point.estimate.value, point.majority, point.is_below) == (1.0, 0.5, True)


def test_what_a_restart_undid_is_left_out_and_training_may_begin_later(tmp_path, write_step):
    write_step(tmp_path, 200, "azzz", untuned="zzzz")
    write_step(tmp_path, 400, "aabc")
    (curve,) = curves.read(tmp_path, first_step=100, last_step=300)
    assert _values(curve) == [(100, 0.0, True), (200, 0.25, True)]


def test_a_suite_whose_metric_changed_has_two_curves_the_latest_first(tmp_path, write_step):
    write_step(tmp_path, 1, "aabc")
    write_step(tmp_path, 2, "aabc", metric=metrics.rouge_l)
    assert [(one.metric, _values(one)) for one in curves.read(tmp_path)] == [
        ("rouge_l", [(2, 100.0, False)]),
        ("exact_match", [(1, 1.0, False)]),
    ]


def test_a_run_without_baselines_of_its_own_has_no_mark(tmp_path, write_step):
    write_step(tmp_path, 1, "zzzz")
    (tmp_path / "eval/1/baselines.json").unlink()
    ((point,),) = [curve.points for curve in curves.read(tmp_path)]
    assert (point.majority, point.is_below) == (None, False)
    assert curves.read(tmp_path / "empty") == ()


def test_a_damaged_evaluation_is_named(tmp_path, write_step):
    write_step(tmp_path, 1, "zzzz")
    (tmp_path / "eval/1/report.json").write_text("{")
    with pytest.raises(ValueError, match=r"1/report\.json is damaged"):
        curves.read(tmp_path)
