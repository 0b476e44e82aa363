"""`flantune init`: a small project that trains, evaluates and passes its test at once."""

import argparse
import pathlib

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "Write a small project: a task module, its data, a mixture, a run file, a test and a README. It trains in about a "
        "minute on a CPU; copy from it for tasks of your own."
    )
    parser = commands.add_parser("init", help=about, description=about)
    parser.add_argument(
        "folder",
        type=pathlib.Path,
        metavar="FOLDER",
        help="a new or empty folder; its name is the project's: lower-case letters, digits, underscores",
    )
    parser.add_argument("--json", action="store_true", help="files and next commands as JSON")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune.jobs import project
    from flantune.views import show

    if bindings:
        raise ValueError(f"flantune init takes no bindings, but got --gin.{bindings[0]}.")
    files = project.write(parsed.folder)
    commands = project.next_commands(parsed.folder)
    if parsed.json:
        value = {"folder": str(parsed.folder), "files": list(files), "next": list(commands)}
        show.write(value, "", as_json=True, console=shared.OUT)
        return 0
    lines = [
        f"{parsed.folder} is written: {len(files)} files, and its README.md says what they are. Next:",
        *(f"  {command}" for command in commands),
    ]
    # A command stays on its line, however long, and brackets in a path are no markup.
    shared.OUT.print("\n".join(lines), soft_wrap=True, markup=False, highlight=False)
    return 0
