"""`flantune config`: what gin may bind, what a name means, and where the values of a run come from."""

import argparse
import dataclasses
from typing import Any

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "List everything that a run file or --gin.NAME=VALUE may bind; with a NAME (DataConfig, DataConfig.mixture, "
        "train.num_steps), its type, default, meaning and an example; with a run file or a recipe's name, the values of the "
        "run and where each comes from: gin file and line, command line, or default."
    )
    shared.command(commands, "config", _run, about, files="[NAME | RUN.gin]")


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune.jobs import config_reference, recipes
    from flantune.views import config_text, show

    names = [word for word in parsed.files if not word.endswith(".gin")]
    parsed.files = [word for word in parsed.files if word.endswith(".gin")]
    if len(names) > 1 or (names and (parsed.files or parsed.gin_file)):
        raise ValueError(f"config takes one name, or run files, not both: {', '.join(names)}.")
    recipe = recipes.file_of(names[0]) if names else None
    if recipe is not None:
        parsed.files, names = [str(recipe)], []
    value: Any
    if parsed.files or parsed.gin_file:
        value, lines = _values(parsed, bindings)
    elif bindings:
        raise ValueError(f"Name the run file that --gin.{bindings[0]} belongs to.")
    elif names:
        found = config_reference.find(names[0])
        value = dataclasses.asdict(found)
        is_owner = isinstance(found, config_reference.Owner)
        lines = config_text.owner(value) if is_owner else config_text.binding(value)
    else:
        value = {"owners": [dataclasses.asdict(one) for one in config_reference.owners()]}
        lines = config_text.listing(value["owners"])
    show.write_lines(value, lines, as_json=parsed.json, console=shared.OUT)
    return 0


def _values(parsed: argparse.Namespace, bindings: list[str]) -> tuple[dict[str, Any], str]:
    """The values of a run, and their text."""
    from flantune.jobs import config_values, gin_files
    from flantune.views import config_text

    files = shared.parse_gin(parsed, bindings)
    folders = {"data_dir": parsed.data_dir, "prepared_dir": parsed.prepared_dir}
    flags = {f"configs.DataConfig.{name}": f"--{name}" for name, given in folders.items() if given}
    flags |= {gin_files.bound_name(one): f"--gin.{one.partition('=')[0]}" for one in bindings}
    paths = [path for path in parsed.gin_search_paths.split(",") if path]
    found = [dataclasses.asdict(one) for one in config_values.values(files, flags, paths=paths)]
    return {"files": files, "values": found}, config_text.values(found)
