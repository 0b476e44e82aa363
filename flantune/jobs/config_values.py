"""What a run binds, and where each value comes from: a gin file and its line, the command line, or the default.

`flantune config RUN.gin` prints it (`views/config_text.py`). What may be bound at all: `config_reference.py`.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from flantune.jobs import config_reference, gin_files

_DEFAULT, _UNBOUND = "default", "not bound"
_TRAIN = "experiments.train"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Value:
    """A value of a run.

    Attributes:
        name: "configs.DataConfig.mixture", with its scope where it has one.
        value: as gin writes it; None: not bound, and without a default.
        origin: "FILE, line N", the flag of the command line, "default", or "not bound".
    """

    name: str
    value: str | None
    origin: str

    @property
    def is_bound(self) -> bool:
        return self.origin not in (_DEFAULT, _UNBOUND)


def values(
    files: Sequence[str], flags: Mapping[str, str], *, paths: Sequence[str] = ()
) -> list[Value]:
    """Every value that training has, and whatever else is bound, in the order of the reference.

    Args:
        files: run files, which `gin_files.parse` has taken.
        flags: full names that the command line binds, with its words.
    """
    places, _ = gin_files.places(files, paths=paths)
    origins = {place.name: f"{place.file}, line {place.line}" for place in places} | dict(flags)
    bound_owners = {name.rpartition("/")[2].rpartition(".")[0] for name in origins}
    # Of functions that training does not call only what is bound is of interest.
    read = {_TRAIN, *config_reference.always_built()}
    read |= {name for name in bound_owners if name.startswith("configs.")}
    return [
        _value(name, origins.get(name), one.default)
        for owner in config_reference.owners()
        for one in owner.bindings
        for name in _names(f"{owner.name.partition('.')[0]}.{one.name}", one, origins)
        if name in origins or owner.name in read
    ]


def _names(name: str, binding: config_reference.Binding, origins: Mapping[str, str]) -> list[str]:
    """A name and the scoped ones of it; the scoped ones alone where it need not be bound beside them."""
    scoped = [one for one in origins if one.endswith(f"/{name}")]
    is_needed = name in origins or binding.default is not None or not scoped
    return [name, *scoped] if is_needed else scoped


def _value(name: str, origin: str | None, default: str | None) -> Value:
    if origin is not None:
        return Value(name=name, value=gin_files.bound_value(name), origin=origin)
    return Value(name=name, value=default, origin=_UNBOUND if default is None else _DEFAULT)
