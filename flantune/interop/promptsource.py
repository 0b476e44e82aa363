"""promptsource's template files: YAML in, `JinjaTemplate`s out, with a list of what is refused and why.

    file = promptsource.read(path)      file.templates, file.refused
    task = InstructionTask(..., to_fields=functools.partial(promptsource.to_fields, templates=file.templates),
                           templates=file.templates, extra_fields=promptsource.EXTRA_FIELDS)

A row keeps the columns that some template looks up, and a note of the templates that have no prompt for it, so that none
is asked in vain; a row for which no template has one is dropped. `coverage` counts the same for each template, by
reason. The tags `!Template` and `!TemplateMetadata` of the files become plain dictionaries: nothing of a file is
executed but its Jinja, in a sandbox (`promptsource_jinja.py`). `tasks/promptsource.py` has the folder of all files.
Upstream: https://github.com/bigscience-workshop/promptsource.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import os
import re
from typing import Any

import yaml

from flantune.data import task as task_lib
from flantune.interop import promptsource_jinja as jinja_lib, promptsource_rows as rows
from flantune.interop.promptsource_template import JinjaTemplate, Rendered, values_of

EXTRA_FIELDS = (rows.NOT_RENDERED,)
_TAGS = ("!Template", "!TemplateMetadata")
# Spellings of one metric in the files, beyond case and spaces.
_METRICS = {"acc": "accuracy", "rouge_l": "rouge", "f1_squad": "squad", "squad_f1": "squad"}
_ANSWER = "answer"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refusal:
    """A template that is not used, and why."""

    template: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemplateFile:
    """The templates of a dataset.

    Attributes:
        dataset: its name, with that of its configuration: "super_glue/rte".
    """

    dataset: str
    templates: tuple[JinjaTemplate, ...]
    refused: tuple[Refusal, ...]

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TemplateFile":
        return cls(
            dataset=values["dataset"],
            templates=tuple(_from_json(entry) for entry in values["templates"]),
            refused=tuple(Refusal(**entry) for entry in values["refused"]),
        )


def read(path: os.PathLike[str]) -> TemplateFile:
    """The templates of a `templates.yaml`.

    Raises:
        ValueError: the file is not YAML, or not promptsource's.
    """
    with open(path, encoding="utf-8") as file:
        try:
            content = yaml.load(file, Loader=_loader())
        except yaml.YAMLError as error:
            raise ValueError(f"{os.fspath(path)} is not promptsource YAML: {error}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("templates"), dict):
        raise ValueError(f"{os.fspath(path)} has no dictionary 'templates', as promptsource has.")
    templates: dict[str, JinjaTemplate] = {}
    refused = []
    for key, entry in content["templates"].items():
        try:
            template = _template(entry)
            if template.name in templates:
                raise ValueError("another template of the file has the same name")
        except ValueError as error:
            name = entry.get("name") if isinstance(entry, dict) else None
            refused.append(Refusal(template=str(name or key), reason=str(error)))
        else:
            templates[template.name] = template
    names = [content.get(part) for part in ("dataset", "subset")]
    return TemplateFile(
        dataset="/".join(str(name) for name in names if name),
        templates=tuple(templates.values()),
        refused=tuple(refused),
    )


def to_fields(
    row: task_lib.Row,
    *,
    templates: Sequence[JinjaTemplate],
    to_row: Callable[[task_lib.Row], task_lib.Row | None] | None = None,
) -> task_lib.Fields | None:
    """The fields of a dataset's row: columns that a template looks up, and which templates have no prompt for it.

    Args:
        to_row: turns a publisher's own row into one with the columns that promptsource knows.
    """
    found = row if to_row is None else to_row(row)
    if found is None:
        return None
    fields = _columns(found, templates)
    values = values_of(fields, list(fields))
    outcomes = {template.name: template.outcome_of(values) for template in templates}
    made = [outcome for outcome in outcomes.values() if isinstance(outcome, Rendered)]
    if not made:
        return None
    fields.setdefault(_ANSWER, made[0].targets)
    fields[rows.NOT_RENDERED] = [
        name for name, outcome in outcomes.items() if isinstance(outcome, str)
    ]
    return fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coverage:
    """Of how many rows a template makes a prompt, and for how many it does not, by reason."""

    template: str
    rendered: int
    reasons: Mapping[str, int]


def coverage(
    templates: Sequence[JinjaTemplate], found: Iterable[task_lib.Row]
) -> tuple[Coverage, ...]:
    """Counts of each template over a dataset's rows, which have the columns that promptsource knows."""
    rendered = dict.fromkeys((template.name for template in templates), 0)
    reasons: dict[str, dict[str, int]] = {name: {} for name in rendered}
    for row in found:
        fields = _columns(row, templates)
        values = values_of(fields, list(fields))
        for template in templates:
            outcome = template.outcome_of(values)
            if isinstance(outcome, Rendered):
                rendered[template.name] += 1
            else:
                counts = reasons[template.name]
                counts[outcome] = counts.get(outcome, 0) + 1
    return tuple(
        Coverage(template=name, rendered=rendered[name], reasons=reasons[name]) for name in rendered
    )


def _columns(row: task_lib.Row, templates: Sequence[JinjaTemplate]) -> dict[str, Any]:
    names = dict.fromkeys(name for template in templates for name in template.fields)
    return {name: rows.encode(row[name]) if name in row else rows.MISSING for name in names}


def _from_json(entry: Mapping[str, Any]) -> JinjaTemplate:
    texts = {name: tuple(entry[name]) for name in ("metrics", "languages")}
    return JinjaTemplate(**{**entry, **texts})


def _template(entry: object) -> JinjaTemplate:
    """The template of an entry.

    Raises:
        ValueError: it cannot be used; says why.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("jinja"), str):
        raise ValueError("it has no text under 'jinja'")
    metadata = entry.get("metadata") or {}
    answer_choices = _answer_choices(entry.get("answer_choices"))
    _check_source(entry["jinja"], answer_choices)
    template = JinjaTemplate.from_source(
        entry["jinja"],
        name=str(entry.get("name") or entry.get("id")),
        answer_choices=answer_choices,
        kind="direct" if metadata.get("original_task") is True else "inversion",
        choices_in_prompt=metadata.get("choices_in_prompt") is True,
        metrics=tuple(dict.fromkeys(metric_name(name) for name in metadata.get("metrics") or ())),
        languages=tuple(metadata.get("languages") or ()),
    )
    if not template.input_fields:
        raise ValueError("its prompt uses no column of the row: every prompt would be the same")
    return template


def _answer_choices(value: object) -> str | None:
    """Jinja for the choices; older files have a list of plain texts."""
    if isinstance(value, list):
        return f" {jinja_lib.SEPARATOR} ".join(str(item) for item in value)
    return str(value) if value else None


def metric_name(name: object) -> str:
    """A metric in one spelling: "COQA F1" is "coqa_f1", "Rouge" and "ROUGE" are "rouge"."""
    words = re.sub(r"[^a-z0-9]+", "_", str(name).casefold()).strip("_")
    return _METRICS.get(words, words)


def _check_source(jinja: str, answer_choices: str | None) -> None:
    """Raises ValueError where a template's Jinja cannot be used, whatever the rows."""
    for text in (jinja, answer_choices or ""):
        problem = jinja_lib.problem(text)
        if problem:
            raise ValueError(problem)
    if not jinja_lib.has_separator(jinja):
        raise ValueError("it has no ||| between prompt and target")
    if answer_choices is None and jinja_lib.CHOICES in jinja_lib.variables(jinja):
        raise ValueError("it uses answer_choices and has none")


@functools.cache
def _loader() -> type:
    """A loader of plain YAML and of promptsource's two tags, as dictionaries."""
    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where there is a library
    loader = type("Loader", (base,), {})
    for tag in _TAGS:
        loader.add_constructor(tag, _mapping)  # type: ignore[attr-defined]  # of the base
    return loader


def _mapping(loader: yaml.constructor.SafeConstructor, node: yaml.MappingNode) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)
