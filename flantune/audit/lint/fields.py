"""What a prompt of a row shows, and its right answers: for the checks of rows. Read `rows.py` next."""

from collections.abc import Iterator, Sequence

from flantune.data import task as task_lib
from flantune.data.store import reader as store_lib
from flantune.prompting import filters, rendering, template as template_lib

_CHUNK = 1000  # rows read at a time


def read(reader: store_lib.Reader) -> Iterator[rendering.Fields]:
    """Every row of a split, in order."""
    for first in range(0, len(reader), _CHUNK):
        yield from reader.fetch(range(first, min(first + _CHUNK, len(reader))))


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


def flat(value: rendering.FieldValue) -> str:
    """A field's value as text; the items of a list on lines of their own, so that none runs into the next."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return filters.text_of(value)
    return "\n".join(value)


def normalised(text: str) -> str:
    return " ".join(text.casefold().split())
