"""Metrics that have a value only for many examples together: BLEU, correlations, F1 of classes.

Tasks write `metrics.bleu`. Each does the work of single examples once and then gives the value
for any choice of examples cheaply, since a bootstrap asks for a thousand (`forms.CorpusMetric`).
"""

from collections.abc import Sequence
import dataclasses
import functools
from typing import TYPE_CHECKING

from flantune.metrics.forms import CorpusMetric, Scorer
from flantune.metrics.text import collapse_whitespace, to_number

if TYPE_CHECKING:
    import numpy as np
    import sacrebleu


@functools.cache
def _load_bleu() -> "sacrebleu.BLEU":
    import sacrebleu

    # effective_order changes only the sentence's own score, which is not used, and silences the warning about it.
    return sacrebleu.BLEU(tokenize="intl", effective_order=True)


def _prepare_bleu(targets: Sequence[tuple[str, ...]], predictions: Sequence[str]) -> Scorer:
    import numpy as np

    of_sentences = [
        _load_bleu().sentence_score(prediction, references)
        for references, prediction in zip(targets, predictions, strict=True)
    ]
    counts = np.array(
        [(*one.counts, *one.totals, one.sys_len, one.ref_len) for one in of_sentences], np.int64
    )
    return lambda places: _bleu_of_counts(counts[places].sum(axis=0).tolist())


def _bleu_of_counts(counts: list[int]) -> float:
    """BLEU from the matches of 1- to 4-grams, their numbers in the predictions, and the two lengths in words."""
    bleu = _load_bleu().compute_bleu(
        counts[:4], counts[4:8], counts[8], counts[9], smooth_method="exp"
    )
    return bleu.score


bleu = CorpusMetric(name="bleu", prepare=_prepare_bleu, unit="percent")
"""BLEU of the corpus as sacrebleu computes it, from 0 to 100, with any number of references for each example.

Case counts, the tokeniser is "intl" and the smoothing "exp", as in t5's `bleu`, which FLAN uses. Scores of WMT are often
given with the tokeniser "13a" instead, a few tenths away.
"""


def _numbers(
    targets: Sequence[tuple[str, ...]], predictions: Sequence[str]
) -> "tuple[np.ndarray, np.ndarray]":
    import numpy as np

    return (
        np.array([to_number(references[0]) for references in targets]),
        np.array([to_number(prediction) for prediction in predictions]),
    )


def _prepare_pearson(targets: Sequence[tuple[str, ...]], predictions: Sequence[str]) -> Scorer:
    wanted, given = _numbers(targets, predictions)
    return lambda places: _correlation(wanted[places], given[places])


def _prepare_spearman(targets: Sequence[tuple[str, ...]], predictions: Sequence[str]) -> Scorer:
    # Imported here: a second that only this metric pays.
    from scipy import stats

    wanted, given = _numbers(targets, predictions)
    return lambda places: _correlation(
        stats.rankdata(wanted[places]), stats.rankdata(given[places])
    )


def _correlation(first: "np.ndarray", second: "np.ndarray") -> float:
    """Pearson's coefficient, or 0 where one side is constant and there is none."""
    import numpy as np

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    first, second = (_centred(one) for one in (first, second))
    product = float(first @ second) / float(np.sqrt((first @ first) * (second @ second)))
    return min(1.0, max(-1.0, product))


def _centred(values: "np.ndarray") -> "np.ndarray":
    """Differences from the mean, scaled so that squares of large predictions do not overflow."""
    scaled = values / abs(values).max()
    return scaled - scaled.mean()


pearson = CorpusMetric(name="pearson", prepare=_prepare_pearson, unit="correlation")
"""Pearson's correlation of the numbers that predictions and first references are, from -1 to 1.

A prediction that is no number counts as -1, as in t5 (`string_to_float`). Where all predictions are the same number there
is no correlation, and the value is 0. GLUE and t5 report it times 100.
"""

spearman = CorpusMetric(name="spearman", prepare=_prepare_spearman, unit="correlation")
"""As `pearson`, of the ranks of the numbers; equal numbers share the mean of their ranks."""


def _answers(
    targets: Sequence[tuple[str, ...]], predictions: Sequence[str]
) -> list[tuple[str, str]]:
    """The class and the predicted class of each example; of several references the predicted one, if it is there."""
    pairs = []
    for references, prediction in zip(targets, predictions, strict=True):
        wanted, given = [*map(collapse_whitespace, references)], collapse_whitespace(prediction)
        pairs.append((given if given in wanted else wanted[0], given))
    return pairs


def _prepare_macro_f1(targets: Sequence[tuple[str, ...]], predictions: Sequence[str]) -> Scorer:
    import numpy as np

    answers = _answers(targets, predictions)
    classes = {name: place for place, name in enumerate(dict.fromkeys(one for one, _ in answers))}
    other = len(classes)  # of a prediction that is no class
    wanted = np.array([classes[one] for one, _ in answers])
    given = np.array([classes.get(one, other) for _, one in answers])

    def value(places: np.ndarray) -> float:
        of_class = [
            np.bincount(one, minlength=other + 1)[:other]
            for one in (
                wanted[places],
                given[places],
                wanted[places][wanted[places] == given[places]],
            )
        ]
        occurs = of_class[0] > 0
        num_wanted, num_given, num_right = (one[occurs] for one in of_class)
        return float(np.mean(2 * num_right / (num_wanted + num_given)))

    return value


macro_f1 = CorpusMetric(name="macro_f1", prepare=_prepare_macro_f1)
"""Mean over classes of the F1 of each, a fraction. The classes are the answers that occur among the references.

scikit-learn's `f1_score(average="macro")` with those labels, and t5's `mean_multiclass_f1` where every class occurs. A
prediction that is no class counts against the class of its reference only.
"""


@dataclasses.dataclass(frozen=True)
class _F1Of:
    answer: str

    def __call__(self, targets: Sequence[tuple[str, ...]], predictions: Sequence[str]) -> Scorer:
        import numpy as np

        answers = _answers(targets, predictions)
        wanted = np.array([one == self.answer for one, _ in answers])
        is_right = np.array([one == other for one, other in answers])

        def value(places: np.ndarray) -> float:
            right = np.count_nonzero(wanted[places] & is_right[places])
            wrong = np.count_nonzero(~is_right[places])
            return 2 * right / (2 * right + wrong) if right else 0.0

        return value


def f1_of(answer: str) -> CorpusMetric:
    """F1 of one of two answers, a fraction: `f1_of("yes")` is named "f1_of_yes"; 0 where nothing of it is right.

    As t5's `f1_score_with_invalid`: a prediction that is neither answer counts as the wrong one of the two.
    """
    answer = collapse_whitespace(answer)
    return CorpusMetric(name=f"f1_of_{answer.replace(' ', '_')}", prepare=_F1Of(answer))
