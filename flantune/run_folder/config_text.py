"""The bindings in the text of a run folder's `config.gin`, as text: what two starts of a run have in common needs no gin.

The text is what gin writes of a config (`gin.config_str`): one statement after another, each binding a name, values that
do not fit a line on indented lines below it. Parsing a run file, with its includes and macros, is `jobs/gin_files.py`.
"""

import ast
from collections.abc import Mapping

from etils import epath

from flantune.run_folder.names import CONFIG


def bindings(text: str) -> dict[str, str]:
    """The value of each bound name, as one line of text.

    Example: the line "configs.DataConfig.batch_size = 20" gives {"configs.DataConfig.batch_size": "20"}.
    """
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if line[:1].isspace():
            found.get(name, []).append(line.strip())
            continue
        before, equals, value = line.partition(" = ")
        # Anything else that begins at the margin is an import or a comment.
        name = before if equals and not before.startswith("#") else ""
        if name:
            found[name] = [value.removesuffix("\\").strip()]
    return {name: " ".join(part for part in parts if part) for name, parts in found.items()}


def bindings_in(folder: epath.Path) -> dict[str, str]:
    """Those of a folder's config; none where it has no config."""
    config = folder / CONFIG
    return bindings(config.read_text()) if config.exists() else {}


def literal(values: Mapping[str, str], name: str) -> object | None:
    """The value of the binding whose name ends so: "train.num_steps"; None where there is none, or a reference.

    Args:
        values: as `bindings` gives them.
        name: with the class or function it belongs to, without a scope.
    """
    for bound, value in values.items():
        if bound == name or bound.endswith(f".{name}"):
            try:
                return ast.literal_eval(value)
            except (ValueError, SyntaxError):
                return None
    return None
