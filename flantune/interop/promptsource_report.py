"""What became of promptsource's templates, as plain values: used or refused, and for how many rows each has a prompt.

`flantune promptsource` (`commands/promptsource.py`) shows it.
"""

from collections.abc import Iterable
import functools
import pathlib
from typing import Any

from flantune.data import task as task_lib
from flantune.interop import promptsource
from flantune.interop.promptsource_template import JinjaTemplate


def datasets(tasks: Iterable[task_lib.InstructionTask]) -> list[dict[str, Any]]:
    """For each task made of Jinja templates: how many there are of each kind, and those that are refused."""
    rows = []
    for task in tasks:
        templates = jinja_templates(task)
        if templates:
            kinds = [template.kind for template in templates]
            rows.append(
                {
                    "task": task.name,
                    "direct": kinds.count("direct"),
                    "inversion": kinds.count("inversion"),
                    "choices_in_prompt": sum(one.choices_in_prompt for one in templates),
                    "refused": task.metadata.get("refused", []),
                }
            )
    return rows


def templates(
    task: task_lib.InstructionTask, split: str, data_dir: pathlib.Path
) -> list[dict[str, Any]]:
    """For each template of a task: of how many rows of its source it makes a prompt, and why not of the others.

    Raises:
        ValueError: the task has no Jinja templates, or its rows are not made by `promptsource.to_fields`.
        FileNotFoundError: its source is not there.
    """
    own = jinja_templates(task)
    to_fields = task.to_fields
    if (
        not own
        or not isinstance(to_fields, functools.partial)
        or to_fields.func is not promptsource.to_fields
    ):
        raise ValueError(f"Task {task.name!r} is not made of promptsource's templates.")
    to_row = to_fields.keywords.get("to_row")
    read = task.source.read(split, data_dir)
    found = read if to_row is None else (row for row in map(to_row, read) if row is not None)
    return [
        {
            "template": template.name,
            "kind": template.kind,
            "rows": counted.rendered,
            "without": dict(counted.reasons),
        }
        for template, counted in zip(own, promptsource.coverage(own, found), strict=True)
    ]


def jinja_templates(task: task_lib.InstructionTask) -> tuple[JinjaTemplate, ...]:
    """The task's templates that are written in Jinja."""
    return tuple(one for one in task.templates if isinstance(one, JinjaTemplate))
