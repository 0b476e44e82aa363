"""`flantune recipes`: the run files that there are, with their numbers and what is published of them."""

import argparse

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "List the recipes: mixture, steps, rows, lengths, rate, the smallest slice, the time at best and the published "
        "result. Each is a run file for flantune train."
    )
    parser = commands.add_parser("recipes", help=about, description=about)
    parser.add_argument(
        "--folder",
        help="folder of run files (default: gin/runs here, and those that come with flantune)",
    )
    parser.add_argument("--json", action="store_true", help="all fields of the headers as JSON")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune.jobs import recipes
    from flantune.views import show

    if bindings:
        raise ValueError(f"flantune recipes takes no bindings, but got --gin.{bindings[0]}.")
    found = recipes.find(parsed.folder)
    show.write(
        {"recipes": [one.as_json() for one in found]},
        recipes.table(found, shared.OUT.width),
        as_json=parsed.json,
        console=shared.OUT,
    )
    return 0
