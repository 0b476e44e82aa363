"""Scores that can be checked by hand."""

import pickle
import subprocess
import sys

from hypothesis import given, strategies as st
from numpy.testing import assert_allclose
import pytest

from flantune import metrics


def test_exact_match_ignores_only_whitespace():
    targets = ["4 5 6", "4 5 6", "Yes", "yes."]
    predictions = [" 4  5\n6 ", "456", "yes", "yes"]
    assert metrics.exact_match.per_example(targets, predictions) == [1, 0, 0, 0]
    assert metrics.exact_match(targets, predictions) == {"exact_match": 0.25}


def test_accuracy_is_exact_match_by_another_name():
    assert metrics.accuracy(["no", "yes"], ["no", "no"]) == {"accuracy": 0.5}


def test_the_best_reference_counts():
    targets = [("two", "2"), ["three"], "4"]
    assert metrics.exact_match(targets, ["2", "3", "4"]) == {"exact_match": pytest.approx(2 / 3)}
    # Against "a b c d" one word of four (F = 2/5), against "a b" one of two (F = 2/3).
    assert_allclose(metrics.rouge_l([("a b c d", "a b")], ["a"])["rouge_l"], 200 / 3)


def test_rouge_l_counts_the_longest_common_subsequence():
    # Common: "the cat the", of 6 and 4 words: precision 3/4, recall 3/6, F = 0.6.
    scores = metrics.rouge_l.per_example(["The cat sat on the mat."], ["the cat near the"])
    assert_allclose(scores, [60.0])


def test_rouge_l_stems_as_super_natural_instructions_does():
    assert_allclose(metrics.rouge_l(["running dogs"], ["run dog"])["rouge_l"], 100.0)


def test_rouge_l_sees_no_punctuation_and_no_other_alphabet():
    assert metrics.rouge_l(["+", "привет"], ["+", "привет"]) == {"rouge_l": 0.0}


@given(st.text(alphabet="ab \n", max_size=12), st.text(alphabet="ab \n", max_size=12))
def test_every_metric_stays_in_its_unit_and_is_symmetric(first, second):
    for metric in (metrics.exact_match, metrics.accuracy, metrics.rouge_l):
        (score,) = metric.per_example([first], [second])
        assert 0 <= score <= metric.maximum
        assert_allclose(score, metric.per_example([second], [first])[0])


def test_units_state_the_range():
    assert (metrics.exact_match.unit, metrics.exact_match.maximum) == ("fraction", 1.0)
    assert (metrics.rouge_l.unit, metrics.rouge_l.maximum) == ("percent", 100.0)
    with pytest.raises(ValueError, match="'fraction' or 'percent', not 'points'"):
        metrics.Metric(name="x", score=lambda reference, prediction: 1.0, unit="points")


def test_unequal_empty_or_missing_targets_are_refused():
    with pytest.raises(ValueError, match="2 targets and 1 predictions"):
        metrics.exact_match(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="no examples"):
        metrics.exact_match([], [])
    with pytest.raises(ValueError, match="without a reference"):
        metrics.exact_match([()], ["a"])


def test_metrics_travel_to_other_processes():
    for metric in (metrics.exact_match, metrics.accuracy, metrics.rouge_l):
        assert pickle.loads(pickle.dumps(metric)) == metric


def test_import_is_light():
    heavy = "tensorflow jax rouge_score nltk numpy"
    code = (
        f"import sys, flantune.metrics; print(*(m for m in '{heavy}'.split() if m in sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == ""
