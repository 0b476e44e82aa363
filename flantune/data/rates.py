"""From a mixture's rates to the share of each task: the one place where rates are resolved; SeqIO and training ask here.

Shares are of examples, whatever the rates count. Read `data/input/schedule.py` next: it turns shares into an order.
"""

from collections.abc import Callable, Collection, Mapping
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
        ruled_out: which of some tasks the held-out plan of a name rules out; KeyError where there is no such plan.
        may_be_absent: tasks, and families as "family:*", that are left out where they are not among `tasks`.
    """

    tasks: Mapping[str, object]
    mixtures: Mapping[str, mixture_lib.Mixture]
    supports: Callable[[str, str], bool]
    ruled_out: Callable[[str, Collection[str]], frozenset[str]]
    may_be_absent: frozenset[str] = frozenset()


def members(mixture: mixture_lib.Mixture, book: Book) -> tuple[str, ...]:
    """Names of all tasks of a mixture (with their settings), each once, in order.

    Raises:
        KeyError: a member is neither a task nor a mixture, a pattern matches nothing, or there is no such held-out plan.
        ValueError: a mixture contains itself, or names a task that its held-out plan rules out.
    """
    return tuple(dict.fromkeys(_expand(mixture, book, (), frozenset())))


def left_out(mixture: mixture_lib.Mixture, book: Book) -> frozenset[str]:
    """Names of the tasks that held-out plans, of the mixture or of one inside it, keep out of it."""
    inner = [left_out(book.mixtures[one], book) for one in mixture.rates if one in book.mixtures]
    return frozenset().union(_ruled_out(mixture, book, ()), *inner)


def absent(mixture: mixture_lib.Mixture, book: Book) -> tuple[str, ...]:
    """Members that the mixture, or one inside it, names and that are left out as absent."""
    found: dict[str, None] = {}
    for member in mixture.rates:
        if member in book.mixtures:
            found |= dict.fromkeys(absent(book.mixtures[member], book))
        else:
            found |= dict.fromkeys(_absent(member, book))
    return tuple(found)


def _absent(member: str, book: Book) -> list[str]:
    """What a task or a pattern, with its setting, stands for and is not there; a family without any task as one name."""
    task, hash_mark, setting = member.partition("#")
    family = f"{task.partition(':')[0]}:*"
    if not names_lib.is_pattern(task):
        known = {task, family} & book.may_be_absent
        return [member] if known and task not in book.tasks else []
    if family in book.may_be_absent:
        return [] if fnmatch.filter(book.tasks, task) else [member]
    gone = sorted(fnmatch.filter(book.may_be_absent, task))
    return [name + hash_mark + setting for name in gone]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """What a task gets through one submixture.

    Attributes:
        path: names of the mixtures inside the whole one that lead to the task; () where it is a direct member.
        share: of all examples of the whole mixture.
        rate: of the member that brings the task in.
    """

    task: str
    path: tuple[str, ...]
    share: float
    rate: mixture_lib.Rate


def parts(mixture: mixture_lib.Mixture, book: Book, sizes: Sizes) -> list[Part]:
    """What each task gets on each way to it; shares add up to 1 and none is 0.

    Example: "all" of {"flan": 0.5, "cot": 0.5}, where both hold the task "qa:a", has a part of "qa:a" with the path
    ("flan",) and one with the path ("cot",).

    Raises:
        KeyError, ValueError: as `members`; ValueError also where every task is empty.
    """
    found = [part for part in _weighted(mixture, book, sizes, (), frozenset()) if part.share > 0]
    total = sum(part.share for part in found)
    if not total:
        raise ValueError(f"Mixture {mixture.name!r} has no example: every task is empty.")
    return _scaled(found, 1 / total)


def shares(mixture: mixture_lib.Mixture, book: Book, sizes: Sizes) -> dict[str, float]:
    """The share of each task in examples, over all of its parts."""
    found: dict[str, float] = {}
    for part in parts(mixture, book, sizes):
        found[part.task] = found.get(part.task, 0.0) + part.share
    return found


def counts_tokens(mixture: mixture_lib.Mixture, book: Book) -> bool:
    """Whether its rates, or those of a mixture inside it, count tokens."""
    inner = [book.mixtures[member] for member in mixture.rates if member in book.mixtures]
    return mixture.unit == "tokens" or any(counts_tokens(one, book) for one in inner)


def _weighted(
    mixture: mixture_lib.Mixture,
    book: Book,
    sizes: Sizes,
    path: tuple[str, ...],
    without: frozenset[str],
) -> list[Part]:
    """The parts of a mixture; their shares are weights in examples, on one scale for the whole mixture.

    Args:
        without: names of tasks that the mixtures around it leave out.
    """
    _check_cycle(mixture, path)
    without |= _ruled_out(mixture, book, path)
    in_tokens = mixture.unit == "tokens"
    weighted: list[Part] = []
    for member, rate in mixture.rates.items():
        if member in book.mixtures:
            inner = [
                dataclasses.replace(part, path=(member, *part.path))
                for part in _weighted(
                    book.mixtures[member], book, sizes, (*path, mixture.name), without
                )
            ]
        else:
            inner = [
                Part(task=name, path=(), share=1.0 if sizes.rows(name) else 0.0, rate=rate)
                for name in _matches(mixture, member, book, without)
            ]
        if isinstance(rate, int | float):
            # The member as a whole gets `rate`: of examples, or of tokens, as many as its own examples have.
            total = sum(
                part.share * (sizes.tokens(part.task) if in_tokens else 1.0)
                for part in inner
                if part.share
            )
            weighted += _scaled(inner, rate / total) if total else []
        else:
            weighted += [_rated(part, rate, sizes, in_tokens) for part in inner]
    return weighted


def _scaled(found: list[Part], factor: float) -> list[Part]:
    return [dataclasses.replace(part, share=part.share * factor) for part in found]


def _rated(
    part: Part, rate: mixture_lib.Proportional | mixture_lib.Equal, sizes: Sizes, in_tokens: bool
) -> Part:
    """The part with the weight that a rate for each task gives it."""
    weight = rate.of(sizes.rows(part.task), sizes.num_templates(part.task))
    if weight and in_tokens:
        weight /= sizes.tokens(part.task)
    return dataclasses.replace(part, share=weight, rate=rate)


def _expand(
    mixture: mixture_lib.Mixture, book: Book, path: tuple[str, ...], without: frozenset[str]
) -> list[str]:
    _check_cycle(mixture, path)
    without |= _ruled_out(mixture, book, path)
    names: list[str] = []
    for member in mixture.rates:
        if member in book.mixtures:
            names += _expand(book.mixtures[member], book, (*path, mixture.name), without)
        else:
            names += _matches(mixture, member, book, without)
    return names


def _ruled_out(mixture: mixture_lib.Mixture, book: Book, path: tuple[str, ...]) -> frozenset[str]:
    """Names of the tasks that the mixture's own held-out plan leaves out of it."""
    if mixture.held_out is None:
        return frozenset()
    everything = dataclasses.replace(mixture, held_out=None)
    candidates = {_task(name) for name in _expand(everything, book, path, frozenset())}
    found = book.ruled_out(mixture.held_out, candidates)
    if found >= candidates:
        raise ValueError(
            f"Mixture {mixture.name!r} has no task left: its held-out plan {mixture.held_out!r} rules out all of them."
        )
    named = [member for member in mixture.rates if _task(member) in found]
    if named:
        raise ValueError(
            f"Mixture {mixture.name!r} names {named[0]!r}, which its held-out plan {mixture.held_out!r} rules out."
        )
    return found


def _task(member: str) -> str:
    return member.partition("#")[0]


def _check_cycle(mixture: mixture_lib.Mixture, path: tuple[str, ...]) -> None:
    if mixture.name in path:
        raise ValueError(
            f"Mixture {mixture.name!r} contains itself: {' -> '.join((*path, mixture.name))}."
        )


def _matches(
    mixture: mixture_lib.Mixture, member: str, book: Book, without: frozenset[str]
) -> list[str]:
    """The tasks that a member stands for, with its setting, but for those that held-out plans leave out."""
    task, hash_mark, setting = member.partition("#")
    if names_lib.is_pattern(task):
        found = [
            name + hash_mark + setting
            for name in sorted(fnmatch.filter(book.tasks, task))
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in mixture.exclude)
            and book.supports(name, setting)
        ]
        if not found and not _absent(member, book):
            raise KeyError(f"Mixture {mixture.name!r}: no task matches {member!r}.")
        return [name for name in found if _task(name) not in without]
    if task not in book.tasks:
        if _absent(member, book):
            return []
        raise KeyError(
            names_lib.unknown(
                f"Mixture {mixture.name!r} names", member, [*book.tasks, *book.mixtures]
            )
        )
    return [] if task in without else [member]
