"""Metrics of one example at a time: exact match, SQuAD's two, ROUGE, edit distance. `__init__.py` says the units."""

import collections
import functools
import re
import string
from typing import TYPE_CHECKING

from flantune.metrics.forms import Metric
from flantune.metrics.text import collapse_whitespace

if TYPE_CHECKING:
    from rouge_score import rouge_scorer

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")


def _equal(reference: str, prediction: str) -> float:
    return float(collapse_whitespace(reference) == collapse_whitespace(prediction))


exact_match = Metric(name="exact_match", score=_equal)
"""Fraction of predictions that equal a reference after `collapse_whitespace`.

Case and punctuation count. Super-NaturalInstructions' own script lower-cases and drops punctuation first, so its exact
match may be higher.
"""

accuracy = Metric(name="accuracy", score=_equal)
"""Exact match under the name that classification tasks use; a fraction."""


def normalise_squad(text: str) -> str:
    """Text as SQuAD's script compares it: "The U.S., 1990" is "us 1990"."""
    without_punctuation = text.lower().translate(_NO_PUNCTUATION)
    return collapse_whitespace(_ARTICLES.sub(" ", without_punctuation))


def _squad_exact_match(reference: str, prediction: str) -> float:
    return 100.0 * (normalise_squad(reference) == normalise_squad(prediction))


def _squad_f1(reference: str, prediction: str) -> float:
    wanted, given = normalise_squad(reference).split(), normalise_squad(prediction).split()
    common = (collections.Counter(wanted) & collections.Counter(given)).total()
    return 200.0 * common / max(1, len(wanted) + len(given))


squad_exact_match = Metric(name="squad_exact_match", score=_squad_exact_match, unit="percent")
"""Percent of predictions that equal a reference in lower case and without punctuation and articles.

As the evaluation script of SQuAD 1.1 (https://rajpurkar.github.io/SQuAD-explorer) and t5's `squad` metric.
"""

squad_f1 = Metric(name="squad_f1", score=_squad_f1, unit="percent")
"""Percent F1 of the words that prediction and reference share, normalised as for `squad_exact_match`.

The harmonic mean of precision and recall; words count as often as they occur in both. As in SQuAD's script, a text of which
normalisation leaves nothing ("the") scores 0 even against itself.
"""


@functools.cache
def _load_rouge(kind: str, use_stemmer: bool) -> "rouge_scorer.RougeScorer":
    # Imported here: rouge_score brings NLTK, two seconds that a task module must not pay.
    from rouge_score import rouge_scorer

    return rouge_scorer.RougeScorer([kind], use_stemmer=use_stemmer)


def _rouge(kind: str, reference: str, prediction: str, *, use_stemmer: bool) -> float:
    scores = _load_rouge(kind, use_stemmer).score(reference, prediction)
    return 100.0 * scores[kind].fmeasure


def _rouge_1(reference: str, prediction: str) -> float:
    return _rouge("rouge1", reference, prediction, use_stemmer=False)


def _rouge_2(reference: str, prediction: str) -> float:
    return _rouge("rouge2", reference, prediction, use_stemmer=False)


def _rouge_l(reference: str, prediction: str) -> float:
    return _rouge("rougeL", reference, prediction, use_stemmer=True)


def _rouge_lsum(reference: str, prediction: str) -> float:
    return _rouge(
        "rougeLsum", _sentence_lines(reference), _sentence_lines(prediction), use_stemmer=False
    )


def _sentence_lines(text: str) -> str:
    """Text with a line for each sentence, where full stops stand apart as in the data of CNN/DailyMail."""
    return text.replace(" . ", " .\n")


rouge_1 = Metric(name="rouge_1", score=_rouge_1, unit="percent")
"""Percent F-measure of the words that prediction and reference share, the best over references, without stemming.

As t5's `rouge`, which FLAN uses (https://github.com/google-research/text-to-text-transfer-transformer,
t5/evaluation/metrics.py). That one reports the median of bootstrapped means, which differs in the second decimal or so.
"""

rouge_2 = Metric(name="rouge_2", score=_rouge_2, unit="percent")
"""As `rouge_1`, of pairs of neighbouring words."""

rouge_lsum = Metric(name="rouge_lsum", score=_rouge_lsum, unit="percent")
"""As `rouge_1`, of the union of the longest common subsequences of each line of the reference with the prediction's lines.

Lines end at newlines and, as in t5's, at a full stop with a space on both sides; a text without either is one line, so that
this is ROUGE-L without stemming.
"""

rouge_l = Metric(name="rouge_l", score=_rouge_l, unit="percent")
"""Percent F-measure of the longest common subsequence of stemmed words, the best over references.

As in Super-NaturalInstructions' evaluation: `rouge_score` with `use_stemmer=True`
(https://github.com/yizhongw/Tk-Instruct, src/compute_metrics.py). The package lower-cases and keeps only the letters
a-z and digits: a reference without any, such as "+" or one in Cyrillic, scores 0 even against itself.
"""


def _edit_distance(reference: str, prediction: str) -> float:
    # Imported here: a compiled module, which a task module need not load.
    import editdistance

    wanted, given = _WORD_OR_MARK.findall(reference), _WORD_OR_MARK.findall(prediction)
    return editdistance.eval(wanted, given) / max(1, len(wanted), len(given))


edit_distance = Metric(name="edit_distance", score=_edit_distance, unit="distance")
"""Words and punctuation marks to insert, delete or replace, divided by the number of them in the longer text.

From 0, the same but for spaces around marks, to 1, nothing in common; the smallest over references counts. Case counts. t5's
`edit_distance`, which FLAN names for its text formatting tasks, gives statistics of the undivided numbers for lower-cased
texts without punctuation. It cannot see what is restored there, capitals and marks, so it is not followed in that.
"""
