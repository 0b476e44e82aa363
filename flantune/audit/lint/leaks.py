"""Answers that a prompt gives away: a field that is the answer, right answers in the text far more often than wrong ones.

A sample of the rows is looked at. Read `check.py` next.
"""

from collections.abc import Iterator, Sequence
import dataclasses
from typing import Any

from flantune.audit.lint import fields as lint_fields
from flantune.data import task as task_lib
from flantune.data.store import reader as store_lib
from flantune.prompting import choice, rendering

_SAMPLE = 500  # rows for a second look
_LEAK = 0.5  # share of the rows
_SAME_FIELD = 0.8  # share of the rows: of two numbers, each is the larger one half of the time
_LEAK_MARGIN = 0.4  # between the right answer and the wrong ones
_SPAN_WORDS = 3  # shorter answers stand in a text by accident


def problems(
    task: task_lib.InstructionTask, reader: store_lib.Reader, labels: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Codes and messages of a task's rows.

    Args:
        labels: the answers of a task without choices that has few of them; else none.
    """
    sample = _sample(task, reader)
    if not sample:
        return
    shown = [name for name in lint_fields.input_fields(task) if name != task.answer_choices]
    yield from _equal_fields(task, shown, sample)
    counts = _LeakCounts()
    for fields in sample:
        text = _padded(" ".join(lint_fields.flat(fields[name]) for name in shown if name in fields))
        wrong = lint_fields.choices_of(task, fields) or labels
        counts.add(text, lint_fields.answers_of(task, fields), wrong)
    yield from counts.problems(are_labels=bool(task.answer_choices or labels))


def _equal_fields(
    task: task_lib.InstructionTask, shown: Sequence[str], sample: Sequence[rendering.Fields]
) -> Iterator[tuple[str, str]]:
    for name in shown:
        equal = sum(
            lint_fields.normalised(lint_fields.flat(fields.get(name, "")))
            in {lint_fields.normalised(answer) for answer in lint_fields.answers_of(task, fields)}
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


def _padded(text: str) -> str:
    """Words between single spaces, without punctuation at their edges: whole words are found by `in`."""
    words = (word.strip(".,;:!?\"'()[]") for word in text.casefold().split())
    return f" {' '.join(word for word in words if word)} "
