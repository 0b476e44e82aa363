"""Pages made from the code at each build: commands from their parsers, bindings from docstrings, notebooks as pages.

As a Sphinx extension it writes them to `docs/generated/`, which git ignores, before Sphinx looks for pages. The functions
are pure and return Markdown. Only the signatures and docstrings of the Python interface are Sphinx's own work (autodoc).
"""

import argparse
from collections.abc import Iterable, Iterator, Mapping
import importlib
import json
import pathlib
import pkgutil
import re
import typing
from typing import Any

import flantune
from flantune import commands
from flantune.commands import shared
from flantune.jobs import config_reference

HERE = pathlib.Path(__file__).resolve().parent
_SECTION = re.compile(r"[A-Z]\w+:")  # of a docstring in Google's style
_MARKS = re.compile(r"([*_<>\[\]{}$\\|#])")  # of Markdown


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", lambda app: write(HERE / "generated"))
    app.connect("autodoc-process-docstring", _mark_code, priority=400)  # before napoleon
    return {"parallel_read_safe": True}


def write(folder: pathlib.Path) -> None:
    """Writes the pages that differ from those that are there, so that Sphinx reads no other again."""
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Markdown of each page, by its name."""
    notebooks = {
        path.stem: notebook_page(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted((HERE / "notebooks").glob("*.ipynb"))
    }
    return {
        "commands": commands_page(command_parsers()),
        "configs": configs_page(config_reference.owners()),
        "python": python_page(flantune.__all__, notebooks),
        **notebooks,
    }


# Commands


def command_parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    parsers = argparse.ArgumentParser(prog="flantune").add_subparsers()
    for module in pkgutil.iter_modules(commands.__path__, f"{commands.__name__}."):
        add = getattr(importlib.import_module(module.name), "add", None)
        if add is not None and module.name.rpartition(".")[2] != "process_flags":
            add(parsers)
    return dict(sorted(parsers.choices.items()))


def commands_page(parsers: Mapping[str, argparse.ArgumentParser]) -> str:
    """Every command with its flags; those that all commands with run files share stand once, at the top."""
    common = _common_flags()
    parts = [
        "# Commands",
        "Made from the parsers of the commands. `flantune COMMAND --help` prints the same; `flantune --version` prints the "
        "versions of flantune and of what it runs on.",
        "Exit status: 0, done; 1, done, but something was found or has failed; 2, wrong input; 130, stopped by Ctrl-C. `train` "
        "saves first on Ctrl-C and SIGTERM, and ends with 0.",
        "## Flags of commands with run files",
        "Any number of `--gin.NAME=VALUE` win over the run files; [Bindings](configs.md) has the names.",
        *(_flag(action) for action in common.values()),
    ]
    for name, parser in parsers.items():
        flags = [action for action in parser._actions if action.dest != "help"]
        shares = all(flag in parser._option_string_actions for flag in common)
        own = [one for one in flags if not (shares and set(one.option_strings) & set(common))]
        words = " ".join(_placeholder(one) for one in own if not one.option_strings)
        parts += [f"## {name}", f"```text\nflantune {name} {words} [flags]\n```"]
        parts += [_escaped(parser.description or "")]
        parts += [_flag(one) for one in own if one.option_strings]
        if shares:
            parts += [
                "It has the [flags of commands with run files](#flags-of-commands-with-run-files) too."
            ]
    return _joined(parts)


def _common_flags() -> dict[str, argparse.Action]:
    parsers = argparse.ArgumentParser(prog="flantune").add_subparsers()
    parser = shared.command(parsers, "any", lambda parsed, bindings: 0, "")
    return {
        action.option_strings[-1]: action
        for action in parser._actions
        if action.option_strings and action.dest != "help"
    }


def _placeholder(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest
    if action.nargs in ("*", "?") and not name.startswith("["):
        return f"[{name}{' ...' if action.nargs == '*' else ''}]"
    return name


def _flag(action: argparse.Action) -> str:
    """A term and its definition: the flag with its values, and what it does."""
    if action.nargs == 0:
        value = ""
    elif isinstance(action.metavar, tuple):
        value = " " + " ".join(action.metavar)
    elif action.choices is not None:
        value = f" {{{','.join(map(str, action.choices))}}}"
    else:
        value = f" {action.metavar or action.dest.upper()}"
        value += " ..." if action.nargs == "+" else ""
    needed = " Required." if action.required else ""
    names = ", ".join(f"`{name}{value}`" for name in action.option_strings)
    return f"{names}\n: {_sentence(_escaped(action.help or ''))}{needed}"


# Bindings


def configs_page(owners: Iterable[config_reference.Owner]) -> str:
    """Everything that gin may bind: type, default, meaning, an example."""
    parts = [
        "# Bindings",
        "Everything that a run file or `--gin.NAME=VALUE` may bind, made from the docstrings. `flantune config` prints the "
        "same, and `flantune config RUN.gin` the values of a run and where each comes from.",
    ]
    for owner in owners:
        parts += [f"## {_short(owner.name)}", _escaped(owner.summary)]
        built = ", ".join(f"`{name}` from `{_short(one)}`" for name, one in owner.built.items())
        if built:
            parts += [f"Built from bindings of their own: {built}."]
        parts += [_binding(one) for one in owner.bindings]
    return _joined(parts)


def _short(owner: str) -> str:
    """Dataclasses are known by their name alone, "configs.DataConfig" as "DataConfig"."""
    return owner.removeprefix("configs.")


def _binding(one: config_reference.Binding) -> str:
    default = "must be bound" if one.default is None else f"default `{one.default}`"
    facts = f"`{one.type}`, {default}. Example: `{one.example}`"
    meaning = (
        [f": {_sentence(_escaped(one.meaning))}", f"  {facts}"] if one.meaning else [f": {facts}"]
    )
    return "\n\n".join([f"`{one.name}`\n{meaning[0]}", *meaning[1:]])


# Python


def python_page(names: Iterable[str], notebooks: Iterable[str]) -> str:
    """What `import flantune` offers, and what its calls return, by autodoc; and the notebooks that show it at work."""
    shown = " ".join(f"[{name.replace('_', ' ').capitalize()}]({name}.md)" for name in notebooks)
    calls = {name: getattr(flantune, name) for name in names}
    returned = dict.fromkeys(
        one for call in calls.values() for one in _our_classes(call.__annotations__["return"])
    )
    parts = [
        "# From Python",
        "What `import flantune` offers to notebooks and programs: the calls behind the commands, and what they return.",
        f"At work: {shown}." if shown else "",
        *(_documented(name, f"autofunction:: flantune.{name}") for name in calls),
        *(
            _documented(one.__name__, f"autoclass:: {one.__module__}.{one.__name__}()", "members")
            for one in returned
        ),
    ]
    return _joined(parts)


def _our_classes(annotation: object) -> Iterator[type]:
    """The classes of flantune in a type, such as `list[RenderedExample]`."""
    if isinstance(annotation, type) and annotation.__module__.startswith(flantune.__name__):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _our_classes(part)


def _documented(title: str, directive: str, *options: str) -> str:
    lines = [f".. {directive}", *(f"   :{option}:" for option in options)]
    return "\n".join([f"## {title}\n", "```{eval-rst}", *lines, "```"])


def _mark_code(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Makes indented examples of a docstring code blocks: reStructuredText asks for `::` before them."""
    lines[:] = marked_code(lines)


def marked_code(lines: Iterable[str]) -> list[str]:
    """Lines of a docstring with `::` before each indented block that is no entry of a section, as "Args:" has them."""
    found: list[str] = []
    in_section = in_code = False
    for line in lines:
        if line.strip():
            is_indented = line.startswith("    ")
            if not is_indented:
                in_section, in_code = _SECTION.fullmatch(line) is not None, False
            elif not in_section and not in_code:
                found += ["::", ""]
                in_code = True
        found.append(line)
    return found


# Notebooks


def notebook_page(notebook: Mapping[str, Any]) -> str:
    """The cells of a notebook; no output is stored in ours."""
    return _joined(_cells(notebook))


def _cells(notebook: Mapping[str, Any]) -> Iterator[str]:
    for cell in notebook["cells"]:
        text = "".join(cell["source"]).strip()
        yield text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"


# Text


def _escaped(text: str) -> str:
    """Text whose marks mean themselves, but for code in backticks."""
    pieces = text.split("`")
    return "`".join(
        piece if number % 2 else _MARKS.sub(r"\\\1", piece) for number, piece in enumerate(pieces)
    )


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", ":")) else f"{text}."


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
