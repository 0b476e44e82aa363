"""Filters of a template's field, as in `{words|join}`: a small total set. None fails, none looks at anything else.

| filter | a list becomes | a text becomes |
|---|---|---|
| choices | "a, b or c" | itself |
| join | "a, b, c" | itself |
| lettered | lines "(A) a", "(B) b" | itself |
| numbered | lines "1. a", "2. b" | itself |
| first | its first item | itself |
| strip | each item without outer white space | the same |
| capitalise | each item with a capital first letter | the same |
"""

from collections.abc import Callable, Sequence

Value = str | int | float | bool | Sequence[str]


def text_of(value: Value) -> str:
    """A field's value as text; a list becomes its items joined by commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return ", ".join(value)
    return str(value)


def _on_list(shape: Callable[[list[str]], str]) -> Callable[[Value], Value]:
    def apply(value: Value) -> Value:
        if isinstance(value, str) or not isinstance(value, Sequence):
            return value
        return shape(list(value))

    return apply


def _on_each(shape: Callable[[str], str]) -> Callable[[Value], Value]:
    def apply(value: Value) -> Value:
        if isinstance(value, str) or not isinstance(value, Sequence):
            return shape(text_of(value))
        return [shape(item) for item in value]

    return apply


def _choices(items: list[str]) -> str:
    return " or ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def letter(position: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    letters = ""
    while position >= 0:
        letters = chr(ord("A") + position % 26) + letters
        position = position // 26 - 1
    return letters


def _lettered(items: list[str]) -> str:
    return "\n".join(f"({letter(position)}) {item}" for position, item in enumerate(items))


def _numbered(items: list[str]) -> str:
    return "\n".join(f"{position}. {item}" for position, item in enumerate(items, 1))


FILTERS: dict[str, Callable[[Value], Value]] = {
    "choices": _on_list(_choices),
    "join": _on_list(", ".join),
    "lettered": _on_list(_lettered),
    "numbered": _on_list(_numbered),
    "first": _on_list(lambda items: items[0] if items else ""),
    "strip": _on_each(str.strip),
    "capitalise": _on_each(lambda text: text[:1].upper() + text[1:]),
}


def apply(names: Sequence[str], value: Value) -> str:
    """The text of a value after some filters, the first one first."""
    for name in names:
        value = FILTERS[name](value)
    return text_of(value)
