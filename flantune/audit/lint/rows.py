"""Degenerate tasks, found in the prepared rows: one answer only, sorted files, duplicates, rows among the solved examples.

All rows are read once. `leaks.py` looks for answers given away, in a sample; `wording.py` and `tokens.py`
look at templates. Read `check.py` next.
"""

import array
import collections
from collections.abc import Callable, Iterator, Sequence
import functools
import math

from jaxtyping import Int, Shaped, UInt
import numpy as np

from flantune.audit.lint import fields as lint_fields, leaks as lint_leaks
from flantune.audit.lint.findings import Finding
from flantune.data import task as task_lib
from flantune.data.store import reader as store_lib
from flantune.prompting import choice, rendering

_KEPT_ANSWERS = 1000  # a frequent answer is among the first different ones
_MAX_LABELS = 30  # more different answers are no labels
_MIN_ROWS_PER_LABEL = 5
_MAJORITY = 0.95
_MIN_SORTED_ROWS = 50
_SORTED_Z = -5.0  # one in three million files in random order is so extreme
_SORTED_RUNS = 0.5  # of the runs to be expected
_MIN_CONSTANT_MATCH = 20  # characters; shorter inputs stand in an instruction by accident


def check(
    task: task_lib.InstructionTask,
    reader: store_lib.Reader,
    text_of: Callable[[str], str] = str,
) -> Iterator[Finding]:
    """Findings of a task's rows; where they hold ids, without those that take words.

    Args:
        text_of: an answer as a message shows it.
    """
    facts = _Facts(task)
    for fields in lint_fields.read(reader):
        facts.add(fields)
    for code, message in (
        *_answer_problems(facts, text_of),
        *_duplicate_problems(facts),
        *_constant_problems(facts),
        *(() if task.is_tokenized else lint_leaks.problems(task, reader, facts.labels)),
    ):
        yield Finding(code=code, task=task.name, message=message)


class _Facts:
    """What one pass over the rows keeps: hashes and numbers, few texts."""

    def __init__(self, task: task_lib.InstructionTask) -> None:
        self._task = task
        self._constants = lint_fields.normalised(" ".join(task.constants.values()))
        self._texts: dict[int, str] = {}  # of the first different answers, by their hash
        self._inputs = array.array("Q")  # what each row shows, hashed
        self._answers = array.array("Q")  # its answers, hashed together
        self._firsts = array.array("Q")  # its first answer, hashed
        self.input_fields = lint_fields.input_fields(task)
        self.empty = 0
        self.repeated: list[str] = []  # the first choice that a row lists twice, of each such row
        self.in_constants = 0

    def add(self, fields: rendering.Fields) -> None:
        answers = lint_fields.answers_of(self._task, fields)
        shown = [lint_fields.flat(fields[name]) for name in self.input_fields if name in fields]
        first = answers[0] if answers else ""
        self._inputs.append(choice.hash64(*shown))
        self._answers.append(choice.hash64(*sorted(set(answers))))
        self._firsts.append(choice.hash64(first))
        if len(self._texts) < _KEPT_ANSWERS:
            self._texts.setdefault(self._firsts[-1], first)
        self.empty += not any(answer.strip() for answer in answers)
        choices = lint_fields.choices_of(self._task, fields)
        if len(set(choices)) < len(choices):
            self.repeated.append(next(one for one in choices if choices.count(one) > 1))
        if self._constants:
            self.in_constants += self._is_in_constants(shown, answers)

    def _is_in_constants(self, shown: Sequence[str], answers: Sequence[str]) -> bool:
        texts = [lint_fields.normalised(text) for text in shown]
        return (
            max(map(len, texts), default=0) >= _MIN_CONSTANT_MATCH
            and all(text in self._constants for text in texts)
            and any(lint_fields.normalised(answer) in self._constants for answer in answers)
        )

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def first_answers(self) -> UInt[np.ndarray, " rows"]:
        """The hash of each row's first answer."""
        return np.frombuffer(self._firsts, np.uint64)

    def pairs(self) -> tuple[UInt[np.ndarray, " pairs 2"], Int[np.ndarray, " pairs"]]:
        """The different (input, answers), hashed, and how often each occurs."""
        inputs, answers = (np.frombuffer(own, np.uint64) for own in (self._inputs, self._answers))
        return np.unique(np.stack([inputs, answers], axis=1), axis=0, return_counts=True)

    @functools.cached_property
    def answers(self) -> collections.Counter[str]:
        """How often each answer occurs, the most frequent one first; some are known by their hash only."""
        hashes, counts = np.unique(self.first_answers, return_counts=True)
        named = [self._texts.get(number, f"#{number:x}") for number in hashes.tolist()]
        return collections.Counter(
            dict(sorted(zip(named, counts.tolist(), strict=True), key=lambda item: -item[1]))
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The answers, where they are few enough to be labels; else none."""
        count = len(self.answers)
        are_labels = count <= _MAX_LABELS and len(self) >= _MIN_ROWS_PER_LABEL * count
        return tuple(self.answers) if are_labels else ()


def _answer_problems(facts: _Facts, text_of: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    total = len(facts)
    if facts.empty:
        yield "empty_answer", f"{facts.empty:,} of {total:,} rows have an empty answer."
    if facts.repeated:
        yield (
            "repeated_option",
            f"{len(facts.repeated):,} of {total:,} rows list a choice twice, {_shown(facts.repeated[0])} for example.",
        )
    if total < 2:
        return
    answer, count = next(iter(facts.answers.items()))
    if count == total:
        yield "single_label", f"All {total:,} rows have the answer {_shown(text_of(answer))}."
    elif count > _MAJORITY * total:
        yield (
            "majority_label",
            f"{count:,} of {total:,} rows ({count / total:.1%}) have the answer {_shown(text_of(answer))}.",
        )
    if total >= _MIN_SORTED_ROWS and len(facts.labels) > 1:
        runs, expected, z = runs_test(facts.first_answers)
        if z < _SORTED_Z and runs < _SORTED_RUNS * expected:
            yield (
                "label_sorted",
                f"The {total:,} rows have {runs:,} runs of equal answers, where {expected:,.0f} are to be expected in "
                "random order.",
            )


def runs_test(answers: Shaped[np.ndarray, " rows"]) -> tuple[int, float, float]:
    """Runs of equal answers, their expected number in random order, and how many deviations lie between.

    Example: "aaabbb" has 2 runs where 4 are expected.

    Source: the mean and variance of runs of several kinds, A. M. Mood, "The distribution theory of runs" (1940),
    https://doi.org/10.1214/aoms/1177731825.
    """
    runs = 1 + int(np.count_nonzero(answers[1:] != answers[:-1]))
    n = len(answers)
    counts = np.unique(answers, return_counts=True)[1].tolist()
    squares, cubes = sum(c**2 for c in counts), sum(c**3 for c in counts)
    expected = 1 + (n**2 - squares) / n
    variance = (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
    return runs, expected, (runs - expected) / math.sqrt(variance) if variance > 0 else 0.0


def _duplicate_problems(facts: _Facts) -> Iterator[tuple[str, str]]:
    if not len(facts):
        return
    pairs, counts = facts.pairs()
    inputs, answers_of_input = np.unique(pairs[:, 0], return_counts=True)
    conflicting = inputs[answers_of_input > 1]
    rows = int(counts[np.isin(pairs[:, 0], conflicting)].sum())
    copies = int((counts - 1).sum())
    if rows:
        kind = "labels" if facts.labels else "answers"
        yield (
            "conflicting_duplicates",
            f"{rows:,} of {len(facts):,} rows share {len(conflicting):,} inputs, each with different {kind}.",
        )
    if copies:
        yield (
            "exact_duplicates",
            f"{copies:,} of {len(facts):,} rows repeat an earlier row, input and answer.",
        )


def _constant_problems(facts: _Facts) -> Iterator[tuple[str, str]]:
    if facts.in_constants:
        yield (
            "row_in_constants",
            f"{facts.in_constants:,} rows stand in the task's constants, which every prompt may show, with their answers.",
        )


def _shown(answer: str) -> str:
    return repr(answer if len(answer) <= 60 else f"{answer[:59]}…")
