"""`flantune data`: the datasets that a run needs, where each is published, and whether it is there."""

import argparse
from typing import TYPE_CHECKING

from flantune.commands import shared

if TYPE_CHECKING:
    from flantune.audit.datasets import Dataset
    from flantune.configs import DataConfig

_MODULES = "configs.DataConfig.modules"


def add(commands: shared.Commands) -> None:
    about = (
        "Show the datasets that a run or recipe needs, or a mixture, a task or a module (tasks.NAME): where each is published, "
        "its files below --data_dir, its size and licence, how to get it, and whether it is there or prepared already. Exit "
        "status 1 where one is missing."
    )
    shared.command(commands, "data", _run, about, files="[RUN.gin] [NAME]")


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import configs
    from flantune.audit import datasets
    from flantune.data.input import loading
    from flantune.jobs import gin_files, recipes, task_search
    from flantune.views import datasets_text, show

    names = [word for word in parsed.files if not word.endswith(".gin")]
    parsed.files = [word for word in parsed.files if word.endswith(".gin")]
    if len(names) > 1:
        raise ValueError(
            f"data takes one recipe, mixture, task or module, not {len(names)}: {', '.join(names)}."
        )
    recipe = recipes.file_of(names[0]) if names and not parsed.files else None
    if recipe is not None:
        parsed.files, names = [str(recipe)], []
    defaults = [f"{_MODULES}={task_search.modules_for(names[0])!r}"] if names else []
    shared.parse_gin(parsed, bindings, defaults=defaults)
    # Neither shapes nor the vocabulary count here, and recipes leave the vocabulary to their users.
    shapes = {"inputs_length": 1, "targets_length": 1, "batch_size": 1}
    data = gin_files.build(configs.DataConfig, mixture="", modules=(), vocabulary="bytes", **shapes)
    found = _found(names, data)
    view = datasets_text.text(found, str(loading.data_dir(data)))
    value = {"data_dir": str(loading.data_dir(data)), "datasets": [one.as_json() for one in found]}
    show.write_lines(value, view, as_json=parsed.json, console=shared.OUT)
    return 1 if any(one.state == datasets.MISSING for one in found) else 0


def _found(names: list[str], data: "DataConfig") -> "list[Dataset]":
    from flantune.jobs import datasets, gin_files

    if names:
        return datasets.of_name(names[0], data=data)
    return gin_files.bind(datasets.of_run, data=data)()
