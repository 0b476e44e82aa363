"""Texts as people give them: one, a collection, or an iterator that is read a batch at a time; answered in kind.

    each(answer, "a")              ->  the answer to "a"
    each(answer, ["a", "b"])       ->  what `answer` gives for both, asked once
    each(answer, iter(["a"]))      ->  an iterator of answers

A text is itself an iterable of its characters, and so is never taken for one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
import itertools
from typing import Any, TypeAlias, TypeVar

Item = TypeVar("Item")
# What answers some items, of which the first has a number: with a list, or an array that has a row for each.
Answer: TypeAlias = Callable[[list[Item], int], Any]
_MISSING = object()


def each(answer: Answer[str], given: Iterable[object], batch_size: int) -> Any:
    """The answers to `given`, in kind: one, all at once, or an iterator.

    Args:
        answer: from texts, and the number of the first of them, to an answer for each.
        given: one text; a collection, whose answers come at once as `answer` gives them; or an iterator.
        batch_size: texts that are taken from an iterator at a time.

    Raises:
        TypeError: something is no text.
    """
    if isinstance(given, str):
        return answer([given], 0)[0]
    _check_kind("Prompts", given)
    if isinstance(given, Collection):
        return answer(_texts(given, 0), 0)
    return _streamed(lambda items, first: answer(_texts(items, first), first), given, batch_size)


def each_pair(
    answer: Answer[tuple[str, Sequence[str] | str]],
    prompts: Iterable[object],
    targets: Iterable[object],
    batch_size: int,
) -> Any:
    """The same for prompts, each with its target or its options.

    Raises:
        TypeError: something is no text, or one text is given as the target of several prompts.
        ValueError: there are more of one than of the other.
    """
    if isinstance(prompts, str):
        return answer([(prompts, _target(targets, 0))], 0)[0]
    if isinstance(targets, str):
        raise TypeError(
            f"targets is one text ({targets!r}), and prompts are several: give a list with a target, or a list of options, "
            "for each prompt."
        )
    _check_kind("Prompts", prompts)
    _check_kind("Targets", targets)
    if isinstance(prompts, Collection) and isinstance(targets, Collection):
        return answer(list(_pairs(prompts, targets)), 0)
    return _streamed(answer, _pairs(prompts, targets), batch_size)


def _pairs(
    prompts: Iterable[object], targets: Iterable[object]
) -> Iterator[tuple[str, Sequence[str] | str]]:
    both = itertools.zip_longest(prompts, targets, fillvalue=_MISSING)
    for number, (prompt, target) in enumerate(both):
        if prompt is _MISSING or target is _MISSING:
            fewer, more = ("prompts", "targets")[:: 1 if prompt is _MISSING else -1]
            raise ValueError(f"There are {number} {fewer} and more {more}: give one for each.")
        yield _text(prompt, "Prompt", number), _target(target, number)


def _target(target: object, number: int) -> Sequence[str] | str:
    """One text, or the options of a prompt."""
    if isinstance(target, list | tuple):
        return [
            _text(option, f"Of the options of prompt {number}, the one", at)
            for at, option in enumerate(target)
        ]
    return _text(target, "The target of prompt", number)


def _texts(given: Iterable[object], first: int) -> list[str]:
    return [_text(one, "Prompt", number) for number, one in enumerate(given, first)]


def _text(one: object, what: str, number: int) -> str:
    if not isinstance(one, str):
        raise TypeError(f"{what} {number} must be a text, not {one!r}.")
    return one


def _check_kind(what: str, given: object) -> None:
    if isinstance(given, bytes | Mapping) or not isinstance(given, Iterable):
        raise TypeError(
            f"{what} must be a text or an iterable of texts, not a {type(given).__name__}."
        )


def _streamed(
    answer: Answer[Item], given: Iterable[Any], batch_size: int
) -> Iterator[Any]:  # Any: items and answers
    items = iter(given)
    first = 0
    while batch := list(itertools.islice(items, batch_size)):
        yield from answer(batch, first)
        first += len(batch)
