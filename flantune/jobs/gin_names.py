"""Names that gin may bind: which there are, how the command line may write them, and what a wrong one may mean.

A run file writes `configs.DataConfig.mixture`; the command line may leave out `configs.` and `experiments.`. What is not
here: gin itself (`gin_files.py`).
"""

from collections.abc import Mapping, Sequence
import inspect

from flantune import configs
from flantune.data import names

_SHOWN = 3
_MODULES = ("configs", "experiments")
_TRAIN = "experiments.train"
COMMAND_LINE, CALL = "The command line", "The call"  # who binds names
_FLAG = {COMMAND_LINE: "--gin.", CALL: ""}  # what stands before a name there


def parameters() -> dict[str, tuple[str, ...]]:
    """What gin may bind by full name ("configs.DataConfig", "experiments.train"), with its parameters."""
    from flantune import experiments  # imports this module's users: kept out of the import path

    found: dict[str, object] = {
        f"configs.{name}": item
        for name in configs.__all__
        if inspect.isclass(item := getattr(configs, name))
    }
    found |= {
        f"experiments.{name}": item
        for name, item in vars(experiments).items()
        if inspect.isfunction(item)
        and not name.startswith("_")
        and item.__module__ == experiments.__name__
    }
    return {name: tuple(inspect.signature(item).parameters) for name, item in found.items()}  # type: ignore[arg-type]


def short(name: str) -> str:
    """A full name as people write it on the command line: `DataConfig.mixture`, `experiments.train.num_steps`."""
    return name.removeprefix("configs.")


def full(name: str, who: str = COMMAND_LINE) -> str:
    """The full name of a parameter that the command line names: "DataConfig.mixture" is "configs.DataConfig.mixture".

    Args:
        who: names it, for the message: COMMAND_LINE or CALL.

    Raises:
        ValueError: there is no such parameter; the sentence has the closest.
    """
    scope, slash, given = name.strip().rpartition("/")
    known = parameters()
    module, _, rest = given.partition(".")
    owner, _, parameter = (rest if module in _MODULES else given).partition(".")
    if not parameter:
        raise ValueError(_without_owner(owner, known, who))
    owners = [f"{one}.{owner}" for one in _MODULES if f"{one}.{owner}" in known]
    if not owners:
        raise ValueError(names.unknown(f"{who} binds", owner, {_last(one): () for one in known}))
    if parameter not in known[owners[0]]:
        raise ValueError(_no_parameter(owners[0], parameter, known, who))
    return f"{scope}{slash}{owners[0]}.{parameter}"


def with_parameter(parameter: str) -> list[str]:
    """Short names of what is called so, or most alike: `with_parameter("num_steps")` is ["experiments.train.num_steps"].

    Of the functions that share a parameter, `train` is the one by whose value the others go.
    """
    known = parameters()
    every = {one for own in known.values() for one in own}
    found = []
    for one in [parameter] if parameter in every else names.closest(parameter, every):
        owners = [owner for owner, own in known.items() if one in own]
        if _TRAIN in owners:
            owners = [owner for owner in owners if owner == _TRAIN or owner.startswith("configs.")]
        found += [f"{short(owner)}.{one}" for owner in owners]
    return found


def _without_owner(name: str, known: Mapping[str, Sequence[str]], who: str) -> str:
    """What is wrong with a name of one word: it is a parameter's, or has none."""
    flag = _FLAG[who]
    owners = [one for one in known if _last(one) == name]
    if owners:
        own = ", ".join(known[owners[0]])
        return f"{who} binds '{name}' without a parameter. Give {flag}{short(owners[0])}.NAME=VALUE; NAME is one of {own}."
    said = f"{who} binds '{name}' without saying of what it is a parameter."
    found = [f"{flag}{one}" for one in with_parameter(name)]
    if not found:
        return f"{said} Give {flag}OWNER.NAME=VALUE, for example {flag}experiments.train.num_steps=100."
    more = f", or {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{said} Did you mean {' or '.join(found[:_SHOWN])}{more}?"


def _no_parameter(owner: str, parameter: str, known: Mapping[str, Sequence[str]], who: str) -> str:
    said = f"{who} binds {short(owner)} to the parameter"
    is_elsewhere = any(parameter in own for own in known.values())
    return names.unknown(
        said, parameter, with_parameter(parameter) if is_elsewhere else known[owner]
    )


def _last(name: str) -> str:
    return name.rpartition(".")[2]
