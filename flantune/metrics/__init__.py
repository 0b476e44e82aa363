"""Task metrics. Tasks write `metrics=(metrics.exact_match, metrics.rouge_l)` or `metrics=(metrics.bleu,)`.

    one example at a time (`Metric`, `per_example.py`)
                                         accuracy  exact_match  squad_exact_match  squad_f1  edit_distance
                                         rouge_1  rouge_2  rouge_l  rouge_lsum
    all examples together (`CorpusMetric`, `corpus.py`)
                                         bleu  pearson  spearman  macro_f1  f1_of("yes")

Units are those in which the field reports a metric: exact match, accuracy and F1 of classes are fractions from 0 to 1; ROUGE,
BLEU and SQuAD's two are percentages from 0 to 100; correlations run from -1 to 1; the edit distance is a fraction of which 0
is the best. `forms.py` has the two forms; read `evaluation/evaluator.py` next: it applies a task's metrics.
"""

from flantune.metrics.corpus import bleu, f1_of, macro_f1, pearson, spearman
from flantune.metrics.forms import UNITS, AnyMetric, CorpusMetric, Metric, References, Unit
from flantune.metrics.per_example import (
    accuracy,
    edit_distance,
    exact_match,
    rouge_1,
    rouge_2,
    rouge_l,
    rouge_lsum,
    squad_exact_match,
    squad_f1,
)
from flantune.metrics.text import collapse_whitespace

__all__ = [
    "UNITS",
    "AnyMetric",
    "CorpusMetric",
    "Metric",
    "References",
    "Unit",
    "accuracy",
    "bleu",
    "collapse_whitespace",
    "edit_distance",
    "exact_match",
    "f1_of",
    "macro_f1",
    "pearson",
    "rouge_1",
    "rouge_2",
    "rouge_l",
    "rouge_lsum",
    "spearman",
    "squad_exact_match",
    "squad_f1",
]
