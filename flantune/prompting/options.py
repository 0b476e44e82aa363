"""Answer options: the list shown, the target and the ranking candidates come from one object.

A style is a header and an item form; a lettered or numbered item makes the item's name the target. Read `rendering.py`
next.
"""

from collections.abc import Sequence
import dataclasses
import re

from flantune.prompting import choice, filters

_HEADERS = (
    "Options:",
    "Choose from:",
    "Choices:",
    "Possible answers:",
    "Pick one of these:",
    "Select one:",
    "The answer is one of the following:",
    "Which of these is it?",
    "Answer with one of:",
    "Your options are:",
    "Available answers:",
    "",
)
# (item form, the item's name where that is the target, else None)
_ITEMS = (
    ("- {text}", None),
    ("* {text}", None),
    ("+ {text}", None),
    ("> {text}", None),
    ('"{text}"', None),
    ("'{text}'", None),
    ("[{text}]", None),
    ("{text}", None),
    ("{text};", None),
    ("or: {text}", None),
    ("({upper}) {text}", "({upper})"),
    ("[{upper}] {text}", "[{upper}]"),
    ("{upper}. {text}", "{upper}"),
    ("{upper}) {text}", "{upper}"),
    ("{upper}: {text}", "{upper}"),
    ("({lower}) {text}", "({lower})"),
    ("{lower}. {text}", "{lower}"),
    ("{lower}) {text}", "{lower}"),
    ("{number}. {text}", "{number}"),
    ("({number}) {text}", "({number})"),
    ("[{number}] {text}", "{number}"),
    ("{roman}. {text}", "{roman}"),
    ("({roman}) {text}", "({roman})"),
    ("option {number}: {text}", "option {number}"),
)
_ROMAN = (
    (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_MARK = re.compile(r"\{(upper|lower|number|roman)\}")


@dataclasses.dataclass(frozen=True, slots=True)
class Style:
    """How options look: a header line (or none), the form of an item, and its name where that is the target."""

    header: str
    item: str
    name: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """The options of one example.

    Attributes:
        text: what `{options}` becomes.
        candidates: the possible targets, in the order of the answer choices (not of their display).
        choices: the answer choices themselves.
    """

    text: str
    candidates: tuple[str, ...]
    choices: tuple[str, ...]


def pick_style(chooser: choice.Chooser) -> Style:
    """The style of a prompt; its exemplars share it."""
    header = chooser.pick("option_header", _HEADERS)
    return Style(header, *chooser.pick("option_item", _ITEMS))


def show_options(choices: Sequence[str], style: Style, order: Sequence[int]) -> AnswerOptions:
    r"""Options in a style, displayed in an order of their positions.

    Example: choices ("no", "yes") in the order (1, 0) may give text "Options:\n(A) yes\n(B) no" and candidates
    ("(B)", "(A)").
    """
    lines = [style.header] if style.header else []
    candidates = list(choices)
    mark = _MARK.search(style.item)
    for position, index in enumerate(order):
        item, name = style.item, style.name
        if mark is not None:
            count = _COUNTS[mark[1]](position)
            item = item.replace(mark[0], count)
            name = None if name is None else name.replace(mark[0], count)
        lines.append(item.replace("{text}", choices[index]))  # last: a choice may hold braces
        if name is not None:
            candidates[index] = name
    return AnswerOptions(
        text="\n".join(lines), candidates=tuple(candidates), choices=tuple(choices)
    )


def _roman(number: int) -> str:
    """A number as a lower-case Roman numeral."""
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text


_COUNTS = {
    "upper": filters.letter,
    "lower": lambda position: filters.letter(position).lower(),
    "number": lambda position: str(position + 1),
    "roman": lambda position: _roman(position + 1),
}
