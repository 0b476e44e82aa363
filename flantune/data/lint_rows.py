"""Degenerate tasks, found in the prepared rows: one answer only, sorted files, duplicates, answers given away.

All rows are read once; what needs a second look takes a sample. Nothing is rendered here: `lint_wording.py` and
`lint_tokens.py` look at templates. Read `lint.py` next.
"""

import array
import collections
from collections.abc import Iterator, Sequence
import dataclasses
import functools
import math
from typing import Any

from jaxtyping import Int, Shaped, UInt
import numpy as np

from flantune.data import store as store_lib, task as task_lib
from flantune.data.lint_findings import Finding
from flantune.prompting import (
    choice,
    filters,
    rendering,
    template as template_lib,
)

_CHUNK = 1000  # rows read at a time
_SAMPLE = 500  # rows for a second look
_KEPT_ANSWERS = 1000  # a frequent answer is among the first different ones
_MAX_LABELS = 30  # more different answers are no labels
_MIN_ROWS_PER_LABEL = 5
_MAJORITY = 0.95
_MIN_SORTED_ROWS = 50
_SORTED_Z = -5.0  # one in three million files in random order is so extreme
_SORTED_RUNS = 0.5  # of the runs to be expected
_LEAK = 0.5  # share of the rows
_SAME_FIELD = 0.8  # share of the rows: of two numbers, each is the larger one half of the time
_LEAK_MARGIN = 0.4  # between the right answer and the wrong ones
_SPAN_WORDS = 3  # shorter answers stand in a text by accident
_MIN_CONSTANT_MATCH = 20  # characters; shorter inputs stand in an instruction by accident


def check(task: task_lib.InstructionTask, reader: store_lib.Reader) -> Iterator[Finding]:
    """Findings of a task's rows."""
    facts = _Facts(task)
    for first in range(0, len(reader), _CHUNK):
        for fields in reader.fetch(range(first, min(first + _CHUNK, len(reader)))):
            facts.add(fields)
    for code, message in (
        *_answer_problems(facts),
        *_duplicate_problems(facts),
        *_leaks(task, facts, _sample(task, reader)),
    ):
        yield Finding(code=code, task=task.name, message=message)


class _Facts:
    """What one pass over the rows keeps: hashes and numbers, few texts."""

    def __init__(self, task: task_lib.InstructionTask) -> None:
        self._task = task
        self._constants = _normalised(" ".join(task.constants.values()))
        self._texts: dict[int, str] = {}  # of the first different answers, by their hash
        self._inputs = array.array("Q")  # what each row shows, hashed
        self._answers = array.array("Q")  # its answers, hashed together
        self._firsts = array.array("Q")  # its first answer, hashed
        self.input_fields = input_fields(task)
        self.empty = 0
        self.in_constants = 0

    def add(self, fields: rendering.Fields) -> None:
        answers = answers_of(self._task, fields)
        shown = [_flat(fields[name]) for name in self.input_fields if name in fields]
        first = answers[0] if answers else ""
        self._inputs.append(choice.hash64(*shown))
        self._answers.append(choice.hash64(*sorted(set(answers))))
        self._firsts.append(choice.hash64(first))
        if len(self._texts) < _KEPT_ANSWERS:
            self._texts.setdefault(self._firsts[-1], first)
        self.empty += not any(answer.strip() for answer in answers)
        if self._constants:
            self.in_constants += self._is_in_constants(shown, answers)

    def _is_in_constants(self, shown: Sequence[str], answers: Sequence[str]) -> bool:
        texts = [_normalised(text) for text in shown]
        return (
            max(map(len, texts), default=0) >= _MIN_CONSTANT_MATCH
            and all(text in self._constants for text in texts)
            and any(_normalised(answer) in self._constants for answer in answers)
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


def input_fields(task: task_lib.InstructionTask) -> tuple[str, ...]:
    """Fields of a row that its prompts show: those of all templates that do not give the answer."""
    names: dict[str, None] = {}
    for template in task.templates:
        if template.kind != "inversion":
            names.update(dict.fromkeys(template.input_fields))
    if isinstance(task.answer_choices, str):
        names[task.answer_choices] = None
    return tuple(name for name in names if name not in task.constants)


def answers_of(task: task_lib.InstructionTask, fields: rendering.Fields) -> list[str]:
    """The right answers of a row: the text of its label's choice, or its references."""
    choices = choices_of(task, fields)
    if choices:
        return [choices[int(filters.text_of(fields[rendering.LABEL]))]]
    value = fields[template_lib.ANSWER]
    return [filters.text_of(value)] if isinstance(value, str | int | float) else list(value)


def choices_of(task: task_lib.InstructionTask, fields: rendering.Fields) -> list[str]:
    """The answer choices of a row; empty where the task has none."""
    if isinstance(task.answer_choices, str):
        value = fields[task.answer_choices]
        return [value] if isinstance(value, str) else list(value)  # type: ignore[arg-type]
    return list(task.answer_choices or ())


def _answer_problems(facts: _Facts) -> Iterator[tuple[str, str]]:
    total = len(facts)
    if facts.empty:
        yield "empty_answer", f"{facts.empty:,} of {total:,} rows have an empty answer."
    if total < 2:
        return
    answer, count = next(iter(facts.answers.items()))
    if count == total:
        yield "single_label", f"All {total:,} rows have the answer {_shown(answer)}."
    elif count > _MAJORITY * total:
        yield (
            "majority_label",
            f"{count:,} of {total:,} rows ({count / total:.1%}) have the answer {_shown(answer)}.",
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


def _leaks(
    task: task_lib.InstructionTask, facts: _Facts, sample: Sequence[rendering.Fields]
) -> Iterator[tuple[str, str]]:
    if facts.in_constants:
        yield (
            "row_in_constants",
            f"{facts.in_constants:,} rows stand in the task's constants, which every prompt may show, with their answers.",
        )
    if not sample:
        return
    shown = tuple(name for name in facts.input_fields if name != task.answer_choices)
    yield from _equal_fields(task, shown, sample)
    counts = _LeakCounts()
    for fields in sample:
        text = _padded(" ".join(_flat(fields[name]) for name in shown if name in fields))
        wrong = choices_of(task, fields) or facts.labels
        counts.add(text, answers_of(task, fields), wrong)
    yield from counts.problems(are_labels=bool(task.answer_choices or facts.labels))


def _equal_fields(
    task: task_lib.InstructionTask, shown: Sequence[str], sample: Sequence[rendering.Fields]
) -> Iterator[tuple[str, str]]:
    for name in shown:
        equal = sum(
            _normalised(_flat(fields.get(name, "")))
            in {_normalised(answer) for answer in answers_of(task, fields)}
            for fields in sample
        )
        if equal > _SAME_FIELD * len(sample):
            yield (
                "field_is_answer",
                f"The field {name!r} is the answer in {equal:,} of {len(sample):,} sampled rows.",
            )


@dataclasses.dataclass(kw_only=True)
class _LeakCounts:
    """How often right and wrong answers stand in the fields that a prompt shows."""

    rows: int = 0
    right: int = 0
    wrong: float = 0.0  # the share of the wrong answers, summed over rows
    spans: int = 0  # rows with an answer too long to be there by accident

    def add(self, text: str, answers: Sequence[str], labels: Sequence[str]) -> None:
        right = [_padded(answer) for answer in answers if answer.strip()]
        found = any(answer in text for answer in right)
        others = [_padded(label) for label in labels if label.strip()]
        others = [label for label in others if label not in right]
        self.rows += 1
        self.right += found
        self.wrong += sum(label in text for label in others) / max(1, len(others))
        self.spans += found and len(right[0].split()) >= _SPAN_WORDS

    def problems(self, *, are_labels: bool) -> Iterator[tuple[str, str]]:
        right, wrong = self.right / self.rows, self.wrong / self.rows
        if are_labels and right >= _LEAK and right - wrong >= _LEAK_MARGIN:
            yield (
                "answer_in_prompt",
                f"The right answer stands in the fields of {right:.0%} of {self.rows:,} sampled rows, a wrong one in "
                f"{wrong:.0%}.",
            )
        elif not are_labels and self.spans >= _LEAK * self.rows:
            yield (
                "answer_is_span",
                f"In {self.spans:,} of {self.rows:,} sampled rows the prompt holds the answer word for word.",
            )


def _sample(task: task_lib.InstructionTask, reader: store_lib.Reader) -> list[dict[str, Any]]:
    """Some rows by hash; all where they are few."""
    if len(reader) <= _SAMPLE:
        return reader.fetch(range(len(reader)))
    rows = {choice.hash64("lint", task.name, number) % len(reader) for number in range(_SAMPLE)}
    return reader.fetch(sorted(rows))


def _flat(value: rendering.FieldValue) -> str:
    """A field's value as text; the items of a list on lines of their own, so that none runs into the next."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return filters.text_of(value)
    return "\n".join(value)


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _padded(text: str) -> str:
    """Words between single spaces, without punctuation at their edges: whole words are found by `in`."""
    words = (word.strip(".,;:!?\"'()[]") for word in text.casefold().split())
    return f" {' '.join(word for word in words if word)} "


def _shown(answer: str) -> str:
    return repr(answer if len(answer) <= 60 else f"{answer[:59]}…")
