"""Scores that can be checked by hand."""

import pickle
import subprocess
import sys

from hypothesis import given, strategies as st
from numpy.testing import assert_allclose
import pytest

from flantune import metrics

PER_EXAMPLE = (
    metrics.accuracy,
    metrics.edit_distance,
    metrics.exact_match,
    metrics.rouge_1,
    metrics.rouge_2,
    metrics.rouge_l,
    metrics.rouge_lsum,
    metrics.squad_exact_match,
    metrics.squad_f1,
)
CORPUS = (metrics.bleu, metrics.pearson, metrics.spearman, metrics.macro_f1, metrics.f1_of("yes"))


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


def test_rouge_of_single_words_and_pairs_does_not_stem():
    # Common: "the", "cat", "the" of 4 and 6 words; of the pairs "the cat" of 3 and 5.
    target, prediction = ["The cat sat on the mat."], ["the cat near the"]
    assert_allclose(metrics.rouge_1(target, prediction)["rouge_1"], 60.0)
    assert_allclose(metrics.rouge_2(target, prediction)["rouge_2"], 25.0)
    assert metrics.rouge_1(["running dogs"], ["run dog"]) == {"rouge_1": 0.0}


def test_rouge_lsum_takes_each_line_by_itself():
    # As one line the longest common subsequence is "c d", as two lines each is found whole.
    assert_allclose(metrics.rouge_lsum(["a b\nc d"], ["c d\na b"])["rouge_lsum"], 100.0)
    assert_allclose(metrics.rouge_lsum(["a b . c d"], ["c d . a b"])["rouge_lsum"], 100.0)
    assert_allclose(metrics.rouge_lsum(["a b c d"], ["c d a b"])["rouge_lsum"], 50.0)


def test_squad_ignores_case_articles_and_punctuation():
    assert metrics.squad_exact_match.per_example(
        ["The U.S. army", ("42", "forty-two"), "c b"], ["us  Army!", "Fortytwo", "b c"]
    ) == [100, 100, 0]


def test_squad_f1_counts_shared_words_as_often_as_both_have_them():
    # "an" goes. Two "red" and "car" are shared by 4 and 3 words: precision 1, recall 3/4.
    scores = metrics.squad_f1.per_example(["red red car door", "x"], ["an red red car", "y"])
    assert_allclose(scores, [600 / 7, 0])
    assert metrics.squad_f1([("one two", "two")], ["two"]) == {"squad_f1": 100.0}
    assert metrics.squad_f1(["the"], ["the"]) == {"squad_f1": 0.0}  # as in SQuAD's script


def test_edit_distance_is_the_share_of_words_and_marks_to_change():
    distance = metrics.edit_distance.per_example
    assert distance(["Hello , Ann ."], ["Hello, Ann."]) == [0]
    assert distance(["Hello, Ann."], ["hello Ann."]) == [0.5]  # "Hello" and "," of four
    assert distance(["a b"], ["c d e"]) == [1]
    assert distance([""], [""]) == [0]
    assert distance([("x y z", "a b c d")], ["a b c"]) == [0.25]  # the nearest reference
    assert metrics.UNITS[metrics.edit_distance.unit].worst == 1


@given(st.text(alphabet="ab \n", max_size=12), st.text(alphabet="ab \n", max_size=12))
def test_every_metric_stays_in_its_unit_and_is_symmetric(first, second):
    for metric in PER_EXAMPLE:
        (score,) = metric.per_example([first], [second])
        assert metrics.UNITS[metric.unit].minimum <= score <= metric.maximum
        if metric is not metrics.rouge_lsum:  # lines of the reference are not treated as others are
            assert_allclose(score, metric.per_example([second], [first])[0])


def test_units_state_the_range():
    assert (metrics.exact_match.unit, metrics.exact_match.maximum) == ("fraction", 1.0)
    assert (metrics.rouge_l.unit, metrics.rouge_l.maximum) == ("percent", 100.0)
    with pytest.raises(ValueError, match=r"'fraction', 'percent'.*, not 'points'"):
        metrics.Metric(name="x", score=lambda reference, prediction: 1.0, unit="points")


def test_unequal_empty_or_missing_targets_are_refused():
    with pytest.raises(ValueError, match="2 targets and 1 predictions"):
        metrics.exact_match(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="no examples"):
        metrics.exact_match([], [])
    with pytest.raises(ValueError, match="without a reference"):
        metrics.exact_match([()], ["a"])


def test_metrics_travel_to_other_processes():
    for metric in (*PER_EXAMPLE, *CORPUS):
        assert pickle.loads(pickle.dumps(metric)) == metric


def test_import_is_light():
    heavy = "tensorflow jax rouge_score nltk numpy scipy sacrebleu sklearn editdistance"
    code = (
        f"import sys, flantune.metrics; print(*(m for m in '{heavy}'.split() if m in sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == ""
