"""What all commands share: their common flags and the parsing of gin files. `cli.py` starts them.

A command is a module here with `add(commands)`, which adds its parser; the parser's `run` gets the parsed flags and the
`--gin.` bindings and returns the exit status.
"""

import argparse
from collections.abc import Callable, Sequence
import os
import pathlib
from typing import TYPE_CHECKING, TypeAlias

import rich.console

from flantune.host import places

if TYPE_CHECKING:
    from etils import epath

_FILE_WIDTH = 200  # columns


class _Output(rich.console.Console):
    """Standard output: as wide as its terminal or COLUMNS; a file or pipe has room for long names."""

    @property  # type: ignore[misc]  # nobody sets it
    def size(self) -> rich.console.ConsoleDimensions:
        columns = os.environ.get("COLUMNS", "")
        if columns.isdigit() and int(columns):
            return rich.console.ConsoleDimensions(int(columns), super().size.height)
        if not self.is_terminal:
            return rich.console.ConsoleDimensions(_FILE_WIDTH, super().size.height)
        return super().size


OUT = _Output()
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace, list[str]], int],
    about: str,
    files: str = "RUN.gin",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog="Any number of --gin.NAME=VALUE win over the files, for example --gin.experiments.train.num_steps=100.",
    )
    parser.add_argument("files", nargs="*", metavar=files, help="run file, the same as --gin_file")
    parser.add_argument(
        "--gin_file", action="append", default=[], help="run file; repeatable, the last wins"
    )
    parser.add_argument(
        "--gin_search_paths",
        default="",
        help="folders, split by commas, in which to look for gin files",
    )
    parser.add_argument(
        "--data_dir", help="root of source files (else FLANTUNE_DATA_DIR, else here)"
    )
    parser.add_argument(
        "--prepared_dir",
        help="prepared store (else FLANTUNE_PREPARED_DIR, else ~/.cache/flantune/prepared)",
    )
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=run, command=name)
    return parser


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say which checkpoint of which run."""
    parser.add_argument("--checkpoint", required=True, metavar="RUN_DIR", help="a run's folder")
    parser.add_argument(
        "--step", type=whole_number(0), help="step of the checkpoint (default: the last)"
    )


def parse_gin(
    parsed: argparse.Namespace, bindings: list[str], *, defaults: Sequence[str] = ()
) -> list[str]:
    """Parses the config of the checkpoint, if there is one, then the files and flags, and returns the files.

    Args:
        defaults: bindings that stand in for a run file where none is named; without them a file is required.
    """
    from flantune.jobs import gin_files

    files = [*parsed.gin_file, *parsed.files]
    if getattr(parsed, "checkpoint", None):
        flag = "--actual" if parsed.command == "ledger" else "--checkpoint"
        files = [os.fspath(_config_of(flag, parsed.checkpoint)), *files]
    if not files and not defaults:
        raise ValueError("Name a run file, for example gin/runs/quickstart.gin.")
    given = {"data_dir": parsed.data_dir, "prepared_dir": parsed.prepared_dir}
    flags = [f"configs.DataConfig.{name}={value!r}" for name, value in given.items() if value]
    paths = [path for path in parsed.gin_search_paths.split(",") if path]
    instead = [] if files else defaults
    gin_files.parse(files, [*instead, *flags, *bindings], paths=paths)
    return files


def whole_number(smallest: int) -> Callable[[str], int]:
    """An argument's type: a whole number from `smallest` on."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = smallest - 1
        if number < smallest:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {smallest}, not {text!r}"
            )
        return number

    return parse


def check_output(flag: str, path: str | None) -> None:
    """Raises ValueError where a flag names a file that cannot be written, before any work is done for it."""
    if path is None or places.is_bucket(path):
        return
    file = pathlib.Path(path)
    if file.is_dir():
        raise ValueError(f"{flag} {path} is a folder; name a file.")
    _check_parent(flag, path, file.absolute().parent)


def check_folder(flag: str, path: str) -> None:
    """The same for a folder that may be there or not."""
    if places.is_bucket(path):
        return
    folder = pathlib.Path(path)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{flag} {path} is a file; name a folder.")
    _check_parent(flag, path, folder.absolute())


def _check_parent(flag: str, path: str, folder: pathlib.Path) -> None:
    """Raises ValueError where a folder neither is one that can be written to, nor can be made."""
    why = places.why_not_writable(folder)
    if why is not None:
        raise ValueError(f"{flag} {path} cannot be written: {why}.")


def _config_of(flag: str, checkpoint: str) -> "epath.Path":
    from etils import epath

    from flantune import run_folder

    run_folder.finish(checkpoint)
    path = epath.Path(checkpoint) / run_folder.CONFIG
    if not path.exists():
        raise ValueError(f"{flag} {checkpoint} is no run folder: it has no {run_folder.CONFIG}.")
    return path
