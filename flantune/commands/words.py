"""The words of a command line: flags and names in any order, bindings apart, and what a wrong word may mean."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
import importlib.metadata
import platform
import re
from typing import NoReturn

import flantune

_BINDING = "--gin."
_SHOWN = 3


def split(arguments: Iterable[str]) -> tuple[list[str], list[str]]:
    """Words without bindings, and the bindings without `--gin.`."""
    words = list(arguments)
    bindings = [word.removeprefix(_BINDING) for word in words if word.startswith(_BINDING)]
    return [word for word in words if not word.startswith(_BINDING)], bindings


def parse(
    parser: argparse.ArgumentParser,
    commands: Mapping[str, argparse.ArgumentParser],
    words: Sequence[str],
) -> argparse.Namespace:
    """The flags of the command that the first word names; where a word is wrong, the program ends with a sentence.

    argparse itself would want the names of a command together, and its subparsers would take a wrong flag for the
    program's.
    """
    if not words or words[0].startswith("-"):
        return parser.parse_args(words)  # --help, --version, or nothing
    name, *rest = words
    if name not in commands:
        from flantune.data import names

        _refuse(parser, names.unknown("You asked for the command", name, commands))
    command = commands[name]
    flags = ["--help", *re.findall(r"--\w+", command.format_usage())]
    for word in rest:
        if (sentence := _wrong_flag(word, flags)) is not None:
            _refuse(command, sentence)
    parsed, wrong = command.parse_known_intermixed_args(rest)
    if wrong:
        _refuse(command, f"{name} takes no {wrong[0]!r}.")
    return parsed


def _refuse(parser: argparse.ArgumentParser, sentence: str) -> NoReturn:
    """Ends the program; the usage of a command is what `--help` is for."""
    program = parser.prog.split()[0]
    parser.exit(2, f"{program}: {sentence} See {parser.prog} --help.\n")


def _wrong_flag(word: str, flags: Sequence[str]) -> str | None:
    """What is wrong with a word that looks like a flag; None where it is one, or the start of one."""
    flag, _, value = word.partition("=")
    if not flag.startswith("--") or any(one.startswith(flag) for one in flags):
        return None
    from flantune.data import names
    from flantune.jobs import gin_names  # brings what gin binds

    owner, _, parameter = flag.lstrip("-").rpartition(".")
    bindings = [one for one in gin_names.with_parameter(parameter) if owner in one]
    is_bound = any(one.endswith(f".{parameter}") for one in bindings)
    near = [] if is_bound else names.closest(flag, flags)
    near = near or [f"{_BINDING}{one}={value or 'VALUE'}" for one in bindings]
    said = f"There is no flag {flag}."
    return f"{said} Did you mean {' or '.join(near[:_SHOWN])}?" if near else said


class Version(argparse.Action):
    """Prints the versions of flantune and of what decides how it runs; no accelerator is looked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show versions and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Prints them, and ends the program."""
        jax = importlib.metadata.version("jax")
        print(
            f"flantune {flantune.__version__} (jax {jax}, Python {platform.python_version()}, {platform.platform()})"
        )
        parser.exit()
