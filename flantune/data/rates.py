"""From a mixture's rates to the share of each task: the one place where rates are resolved; SeqIO and training ask here.

Shares are of examples, whatever the rates count. Read `schedule.py` next: it turns shares into an order.
"""

from collections.abc import Callable, Mapping
import dataclasses
import fnmatch
from typing import Protocol, runtime_checkable

from flantune.data import mixture as mixture_lib, names as names_lib


@runtime_checkable
class Sizes(Protocol):
    """What is known of the members of a mixture."""

    def rows(self, member: str) -> int:
        """Rows of its split."""
        ...

    def num_templates(self, member: str) -> int:
        """Templates that it may use."""
        ...

    def tokens(self, member: str) -> float:
        """Mean length of an example, inputs and targets together."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Book:
    """Where members are looked up.

    Attributes:
        tasks: names of all tasks (values are not looked at).
        supports: whether a task has a template for a setting, given by its name; patterns leave out those that have
            none.
    """

    tasks: Mapping[str, object]
    mixtures: Mapping[str, mixture_lib.Mixture]
    supports: Callable[[str, str], bool]


def members(mixture: mixture_lib.Mixture, book: Book) -> tuple[str, ...]:
    """Names of all tasks of a mixture (with their settings), each once, in order.

    Raises:
        KeyError: a member is neither a task nor a mixture, or a pattern matches nothing.
        ValueError: a mixture contains itself.
    """
    return tuple(dict.fromkeys(_expand(mixture, book, ())))


def shares(mixture: mixture_lib.Mixture, book: Book, sizes: Sizes) -> dict[str, float]:
    """The share of each task in examples; shares add up to 1 and none is 0.

    Raises:
        KeyError, ValueError: as `members`; ValueError also where every task is empty.
    """
    found: dict[str, float] = {}
    for name, weight in _weighted(mixture, book, sizes, ()):
        if weight > 0:
            found[name] = found.get(name, 0.0) + weight
    total = sum(found.values())
    if not total:
        raise ValueError(f"Mixture {mixture.name!r} has no example: every task is empty.")
    return {name: weight / total for name, weight in found.items()}


def counts_tokens(mixture: mixture_lib.Mixture, book: Book) -> bool:
    """Whether its rates, or those of a mixture inside it, count tokens."""
    inner = [book.mixtures[member] for member in mixture.rates if member in book.mixtures]
    return mixture.unit == "tokens" or any(counts_tokens(one, book) for one in inner)


def _weighted(
    mixture: mixture_lib.Mixture, book: Book, sizes: Sizes, path: tuple[str, ...]
) -> list[tuple[str, float]]:
    """Tasks and their weights in examples, on one scale for the whole mixture."""
    _check_cycle(mixture, path)
    in_tokens = mixture.unit == "tokens"
    weighted: list[tuple[str, float]] = []
    for member, rate in mixture.rates.items():
        if member in book.mixtures:
            inner = _weighted(book.mixtures[member], book, sizes, (*path, mixture.name))
        else:
            names = _matches(mixture, member, book)
            inner = [(name, 1.0 if sizes.rows(name) else 0.0) for name in names]
        if not isinstance(rate, int | float):
            inner = [
                (name, rate.of(sizes.rows(name), sizes.num_templates(name))) for name, _ in inner
            ]
            if in_tokens:
                inner = [(name, weight / sizes.tokens(name)) for name, weight in inner if weight]
            weighted += inner
            continue
        # The member as a whole gets `rate`: of examples, or of tokens, as many as its own examples have.
        total = sum(
            weight * (sizes.tokens(name) if in_tokens else 1.0) for name, weight in inner if weight
        )
        weighted += [(name, rate * weight / total) for name, weight in inner if weight]
    return weighted


def _expand(mixture: mixture_lib.Mixture, book: Book, path: tuple[str, ...]) -> list[str]:
    _check_cycle(mixture, path)
    names: list[str] = []
    for member in mixture.rates:
        if member in book.mixtures:
            names += _expand(book.mixtures[member], book, (*path, mixture.name))
        else:
            names += _matches(mixture, member, book)
    return names


def _check_cycle(mixture: mixture_lib.Mixture, path: tuple[str, ...]) -> None:
    if mixture.name in path:
        raise ValueError(
            f"Mixture {mixture.name!r} contains itself: {' -> '.join((*path, mixture.name))}."
        )


def _matches(mixture: mixture_lib.Mixture, member: str, book: Book) -> list[str]:
    """The tasks that a member stands for, with its setting."""
    task, hash_mark, setting = member.partition("#")
    if any(mark in task for mark in "*?["):
        found = [
            name + hash_mark + setting
            for name in sorted(fnmatch.filter(book.tasks, task))
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in mixture.exclude)
            and book.supports(name, setting)
        ]
        if not found:
            raise KeyError(f"Mixture {mixture.name!r}: no task matches {member!r}.")
        return found
    if task not in book.tasks:
        raise KeyError(
            names_lib.unknown(
                f"Mixture {mixture.name!r} names", member, [*book.tasks, *book.mixtures]
            )
        )
    return [member]
