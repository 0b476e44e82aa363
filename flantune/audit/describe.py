"""What a module, mixture or task holds, as plain values: the tasks' facts, their templates, rendered examples.

`views/show.py` turns them into text for a terminal; `experiments.py` calls this.
"""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

from flantune import prompting
from flantune.configs import DataConfig
from flantune.data import (
    catalog as catalog_lib,
    members as members_lib,
    task as task_lib,
    task_modules,
)
from flantune.data.input import loading, prompts, tokenize
from flantune.data.vocabularies import vocabulary as vocabulary_lib


def modules(catalog: catalog_lib.Catalog) -> list[dict[str, object]]:
    """One row for each module of a catalog: how many tasks and mixtures it has, and what it says that it is.

    Tasks of families whose files are not there, "absent", are not counted.
    """
    return [
        {
            "module": name,
            "tasks": sum(name in origins for origins in catalog.origins.values()),
            "mixtures": len(_exported(name, "MIXTURES")),
            "absent": [
                family.name
                for family in _exported(name, "TASKS")
                if family.name in catalog.empty_families
            ],
            "about": (task_modules.load(name).__doc__ or "").strip().partition("\n")[0],
        }
        for name in catalog.modules
    ]


def mixtures(name: str) -> list[dict[str, object]]:
    """One row for each mixture that a module exports, with the members as it names them."""
    return [
        {
            "mixture": one.name,
            "unit": one.unit,
            "held_out": one.held_out,
            "members": list(one.rates),
            "exclude": list(one.exclude),
        }
        for one in _exported(name, "MIXTURES")
    ]


def _exported(module: str, name: str) -> Sequence[Any]:
    """What a module exports under a name; a catalog has checked what it holds."""
    return tuple(getattr(task_modules.load(module), name, ()))


def module(catalog: catalog_lib.Catalog, name: str) -> list[dict[str, object]]:
    """One row for each task that a module exports."""
    return [
        {
            "task": task.name,
            "cluster": task.cluster,
            "splits": list(task.source.splits),
            "templates": len(task.templates),
            "kinds": sorted({template.kind for template in task.templates}),
            "source": task.source.describe(),
            "licence": task.licence,
        }
        for task in catalog.tasks.values()
        if name in catalog.origins[task.name]
    ]


def task(
    bound: loading.BoundMixture,
    vocabulary: vocabulary_lib.Vocabulary,
    data: DataConfig,
    *,
    num_examples: int,
    seed: int,
    template: int | None = None,
) -> dict[str, object]:
    """Facts, templates and rendered examples of a task in a setting.

    Args:
        bound: the task, alone in its mixture, with all of its templates.
        num_examples: the first so many rows of its split.
        template: the only one that is shown and rendered, by its number.

    Raises:
        ValueError: there is no such template, or the setting does not use it.
    """
    (member,) = bound.members
    own = member.task
    if template is not None:
        _check_template(member, template)
        member = dataclasses.replace(member, usable=(template,))
    tokenizer = tokenize.Tokenizer(
        vocabulary,
        inputs_length=data.inputs_length,
        targets_length=data.targets_length,
        seed=seed,
    )
    requests = [
        prompts.Request(member, row, 0) for row in range(min(num_examples, len(member.reader)))
    ]
    rendered = prompts.render(requests, seed=seed)
    tokenized = tokenizer.tokenize(requests)
    return {
        "task": member.name,
        "cluster": own.cluster,
        "source": own.source.describe(),
        "splits": list(own.source.splits),
        "rows": {member.split: len(member.reader)},
        "lineage": list(own.lineage),
        "licence": own.licence,
        "metrics": [metric.name for metric in own.metrics],
        "setting": dataclasses.asdict(member.setting),
        "templates": [
            one for one in _templates(own, member) if template is None or one["number"] == template
        ],
        "examples": [
            _example(request, whole, fitted, vocabulary.encode)
            for request, whole, fitted in zip(requests, rendered, tokenized, strict=True)
        ],
    }


def _check_template(member: members_lib.Member, number: int) -> None:
    last = len(member.task.templates) - 1
    if number > last:
        raise ValueError(
            f"{member.task.name} has the templates 0 to {last}, and no template {number}."
        )
    if number not in member.usable:
        usable = ", ".join(map(str, member.usable))
        raise ValueError(f"{member.name} does not use the template {number}; it uses {usable}.")


def _templates(
    own: task_lib.InstructionTask, member: members_lib.Member
) -> list[dict[str, object]]:
    return [
        {
            "number": number,
            "inputs": template.inputs,
            "targets": template.targets,
            "kind": template.kind,
            "group": template.group,
            "held_out": template.held_out,
            "used": number in member.usable,
        }
        for number, template in enumerate(own.templates)
    ]


def _example(
    request: prompts.Request,
    whole: prompting.Prompt | None,
    fitted: tokenize.Tokenized | None,
    encode: Callable[[str], list[int]],
) -> dict[str, object]:
    """A rendered row: as it is trained on where it fits, else whole, with a note."""
    shown = whole if fitted is None else fitted.prompt
    if shown is None:
        return {"row": request.row, "fit": "no template applies"}
    return {
        "row": request.row,
        "template": shown.template,
        "exemplars": list(shown.exemplars),
        "options_style": None
        if shown.options_style is None
        else list(dataclasses.astuple(shown.options_style)),
        "dialog_style": None
        if shown.dialog_style is None
        else list(dataclasses.astuple(shown.dialog_style)),
        "inputs": shown.inputs,
        "query": shown.query,
        "targets": shown.targets,
        "references": list(shown.references),
        "candidates": list(shown.candidates),
        "inputs_tokens": len(encode(shown.inputs)) + 1 if fitted is None else len(fitted.inputs),
        "targets_tokens": len(encode(shown.targets)) + 1 if fitted is None else len(fitted.targets),
        "fit": "dropped" if fitted is None else "cut" if fitted.cut else "whole",
    }
