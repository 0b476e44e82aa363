"""Everything that gin may bind, as plain values: type, default, meaning and an example of each name.

    for owner in owners():
        for one in owner.bindings:
            print(one.name, one.default, one.meaning)

Meanings are those of the docstrings: the section "Attributes" of the dataclasses of `configs/`, the section "Args" of the
functions of `experiments.py`. `flantune config` prints them (`views/config_text.py`). What a run binds: `config_values.py`.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import inspect
import re
import shlex
from typing import Any

from flantune import configs, experiments
from flantune.data import names as names_lib
from flantune.jobs import config_examples, gin_files

_SECTIONS = ("Attributes", "Args")
_MODULES = ("configs", "experiments")
_ENTRY = re.compile(r"    (\w+(?:, \w+)*): (.*)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Binding:
    """A name that gin may bind.

    Attributes:
        name: "DataConfig.mixture", or "train.num_steps" of a function.
        type: as Python writes it.
        default: as Python writes it; None: there is none, so that it must be bound.
        example: a word of the command line.
    """

    name: str
    type: str
    default: str | None
    meaning: str
    example: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Owner:
    """A dataclass or function that gin may bind.

    Attributes:
        name: "configs.DataConfig" or "experiments.train".
        summary: the first line of its docstring.
        built: fields or parameters that are dataclasses themselves, built from their own bindings, with their names.
    """

    name: str
    summary: str
    bindings: tuple[Binding, ...]
    built: Mapping[str, str]


def owners() -> list[Owner]:
    """All dataclasses of `configs/`, then all functions of `experiments.py`."""
    classes = (getattr(configs, name) for name in configs.__all__)
    found: list[Any] = [item for item in classes if dataclasses.is_dataclass(item)]
    return [_owner(item) for item in (*found, *_functions())]


def find(name: str) -> Owner | Binding:
    """The owner or the binding of a name: "DataConfig", "configs.DataConfig", "DataConfig.mixture", "train.num_steps".

    Raises:
        KeyError: there is none; the closest names are told.
    """
    known: dict[str, Owner | Binding] = {}
    for owner in owners():
        known |= {owner.name: owner, owner.name.partition(".")[2]: owner}
        module = owner.name.partition(".")[0]
        for one in owner.bindings:
            known |= {f"{module}.{one.name}": one, one.name: one}
    if name not in known:
        short = [one for one in known if one.partition(".")[0] not in _MODULES]
        raise KeyError(names_lib.unknown("You asked for the binding", name, short))
    return known[name]


def always_built() -> set[str]:
    """The dataclasses that training builds even where nothing of them is bound."""
    hints = (one.annotation for one in inspect.signature(experiments.train).parameters.values())
    return {
        f"configs.{hint.__name__}"
        for hint in hints
        if isinstance(hint, type) and dataclasses.is_dataclass(hint)
    }


def _functions() -> Iterator[Any]:
    for name, item in vars(experiments).items():
        own = inspect.isfunction(item) and item.__module__ == experiments.__name__
        if own and not name.startswith("_"):
            yield item


def _owner(item: Any) -> Owner:
    module = "configs" if isinstance(item, type) else "experiments"
    text = inspect.cleandoc(item.__doc__ or "")
    meanings = _meanings(text)
    built = {}
    bindings = []
    for name, parameter in inspect.signature(item).parameters.items():
        config_class = gin_files.config_of(parameter.annotation)
        if config_class is not None:
            built[name] = f"configs.{config_class.__name__}"
            continue
        bindings.append(_binding(f"{item.__name__}.{name}", parameter, meanings.get(name, "")))
    return Owner(
        name=f"{module}.{item.__name__}",
        summary=text.split("\n")[0],
        bindings=tuple(bindings),
        built=built,
    )


def _binding(name: str, parameter: inspect.Parameter, meaning: str) -> Binding:
    required = parameter.default is inspect.Parameter.empty
    text = config_examples.VALUES.get(name)
    word = gin_files.as_word(name, parameter.default) if text is None else f"--gin.{name}={text}"
    return Binding(
        name=name,
        type=re.sub(r"\b(?:\w+\.)+(\w)", r"\1", inspect.formatannotation(parameter.annotation)),
        default=None if required else repr(parameter.default),
        meaning=meaning,
        example=shlex.quote(word),
    )


def _meanings(docstring: str) -> dict[str, str]:
    """What a docstring in Google's style says of each attribute or argument, in one line; some share an entry."""
    found: dict[str, list[str]] = {}
    section, entry = "", list[str]()
    for line in docstring.split("\n"):
        if re.fullmatch(r"\w+:", line):
            section = line.removesuffix(":")
        elif section in _SECTIONS and (match := _ENTRY.fullmatch(line)):
            entry = [match[2]]
            found |= dict.fromkeys(match[1].split(", "), entry)
        elif section in _SECTIONS and line.startswith("     "):
            entry.append(line.strip())
    return {name: " ".join(lines) for name, lines in found.items()}
