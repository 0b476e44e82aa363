"""Metrics of many examples together, against the libraries that define them and by hand."""

from hypothesis import assume, given, strategies as st
import numpy as np
from numpy.testing import assert_allclose
import pytest
import sacrebleu
from scipy import stats
import sklearn.metrics

from flantune import metrics

TARGETS = [
    ("The cat sat on the mat.", "A cat was sitting on the mat."),
    ("It will rain tomorrow in the north.",),
    ("Nobody knows why the bridge was closed.", "No one knows why they closed it.", "Why closed?"),
    ("Yes.",),
]
PREDICTIONS = [
    "The cat was sitting on the mat.",
    "Tomorrow it will rain in the north of it.",
    "No one knows why the bridge was closed.",
    "",
]
ANSWERS = st.lists(
    st.tuples(st.sampled_from(["yes", "no", "maybe"]), st.sampled_from(["yes", "no", "maybe"])),
    min_size=1,
    max_size=20,
)
NUMBERS = st.lists(
    st.tuples(*[st.integers(0, 20).map(lambda value: value / 4)] * 2), min_size=2, max_size=20
)


def reference_bleu(targets, predictions):
    longest = max(map(len, targets))
    streams = [
        [one[place] if place < len(one) else None for one in targets] for place in range(longest)
    ]
    return sacrebleu.corpus_bleu(predictions, streams, tokenize="intl").score


def test_bleu_is_that_of_sacrebleu_with_any_number_of_references():
    assert_allclose(
        metrics.bleu(TARGETS, PREDICTIONS)["bleu"], reference_bleu(TARGETS, PREDICTIONS)
    )
    single = [one[0] for one in TARGETS]
    expected = reference_bleu([(one,) for one in single], PREDICTIONS)
    assert_allclose(metrics.bleu(single, PREDICTIONS)["bleu"], expected)
    assert metrics.bleu(["a b c d e"], ["a b c d e"])["bleu"] == pytest.approx(100)
    assert metrics.bleu(["a b c d e"], ["x"]) == {"bleu": 0.0}


def test_bleu_of_a_resample_is_that_of_its_examples():
    places = np.array([2, 0, 2, 3])
    value = metrics.bleu.scorer(TARGETS, PREDICTIONS)(places)
    expected = reference_bleu([TARGETS[i] for i in places], [PREDICTIONS[i] for i in places])
    assert_allclose(value, expected)


@given(NUMBERS)
def test_correlations_are_those_of_scipy(pairs):
    wanted, given_ = zip(*pairs, strict=True)
    assume(np.ptp(wanted) > 0 and np.ptp(given_) > 0)
    texts = [str(one) for one in wanted], [str(one) for one in given_]
    assert_allclose(
        metrics.pearson(*texts)["pearson"], stats.pearsonr(wanted, given_)[0], atol=1e-9
    )
    assert_allclose(
        metrics.spearman(*texts)["spearman"], stats.spearmanr(wanted, given_)[0], atol=1e-9
    )


def test_what_is_no_number_counts_as_minus_one():
    targets, predictions = ["0.0", "2.5", "5.0"], ["much the same", "2.5", "nan"]
    expected = stats.pearsonr([0, 2.5, 5], [-1, 2.5, -1])[0]
    assert_allclose(metrics.pearson(targets, predictions)["pearson"], expected, atol=1e-12)


def test_correlation_with_a_constant_is_zero_and_with_a_huge_number_finite():
    assert metrics.pearson(["0.1", "0.2", "0.3"], ["0.1"] * 3) == {"pearson": 0.0}
    assert metrics.spearman(["1"], ["1"]) == {"spearman": 0.0}
    assert 0 < metrics.pearson(["0", "1", "2"], ["1", "2", "1e300"])["pearson"] < 1


@given(ANSWERS)
def test_macro_f1_is_that_of_scikit_learn_over_the_classes_of_the_references(pairs):
    wanted, given_ = zip(*pairs, strict=True)
    expected = sklearn.metrics.f1_score(
        wanted, given_, labels=sorted(set(wanted)), average="macro", zero_division=0
    )
    assert_allclose(metrics.macro_f1(wanted, given_)["macro_f1"], expected)


def test_macro_f1_of_a_resample_has_the_classes_of_the_resample():
    value = metrics.macro_f1.scorer(["a", "a", "b"], ["a", "b", "b"])
    assert value(np.array([0, 0])) == 1.0
    # Of a: right 1, wanted 2, predicted 1. Of b: right 1, wanted 1, predicted 2.
    assert_allclose(value(np.arange(3)), 2 / 3)


@given(st.lists(st.tuples(*[st.sampled_from(["yes", "no"])] * 2), min_size=1, max_size=20))
def test_f1_of_an_answer_is_that_of_scikit_learn(pairs):
    wanted, given_ = zip(*pairs, strict=True)
    expected = sklearn.metrics.f1_score(wanted, given_, pos_label="yes", zero_division=0)
    assert_allclose(metrics.f1_of("yes")(wanted, given_)["f1_of_yes"], expected)


def test_f1_counts_neither_answer_as_the_wrong_one():
    # As t5: "?" stands for "no" where "yes" is right, and for "yes" where "no" is right.
    assert_allclose(metrics.f1_of("yes")(["yes", "yes", "no"], ["yes", "?", "?"])["f1_of_yes"], 0.5)
    assert metrics.f1_of("not a duplicate").name == "f1_of_not_a_duplicate"


def test_the_matching_one_of_several_references_is_the_class():
    assert metrics.macro_f1([("a", "b"), "a"], [" b", "a"]) == {"macro_f1": 1.0}
    assert metrics.f1_of("b")([("a", "b")], ["b"]) == {"f1_of_b": 1.0}


def test_unequal_empty_or_missing_targets_are_refused():
    with pytest.raises(ValueError, match="'bleu' got 2 targets and 1 predictions"):
        metrics.bleu(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="'macro_f1' got no examples"):
        metrics.macro_f1([], [])
    with pytest.raises(ValueError, match="'pearson' got an example without a reference"):
        metrics.pearson([()], ["a"])
