"""Answer options: the list shown, the target and the ranking candidates come from one object.

A style is a header and an item form; a lettered or numbered item makes the item's name the target. Read `rendering.py`
next.
"""

from collections.abc import Sequence
import dataclasses

from flantune.prompting import choice

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
_MAX_LETTERED = 26


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptSetting:
    """How a task's prompts are made, apart from their wording.

    Attributes:
        options: "in_prompt" fills `{options}`; "none" leaves options out, so the target is the answer's text.
        option_order: "shuffled" draws an order for the example; "fixed" keeps that of the answer choices.
    """

    options: str = "in_prompt"
    option_order: str = "shuffled"

    def __post_init__(self) -> None:
        if self.options not in ("in_prompt", "none"):
            raise ValueError(
                f"PromptSetting.options must be 'in_prompt' or 'none', not {self.options!r}."
            )
        if self.option_order not in ("shuffled", "fixed"):
            raise ValueError(
                f"PromptSetting.option_order must be 'shuffled' or 'fixed', not {self.option_order!r}."
            )


SETTINGS = {
    "": PromptSetting(),
    "no_options": PromptSetting(options="none"),
    "fixed_options": PromptSetting(option_order="fixed"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """The options of one prompt.

    Attributes:
        text: what `{options}` becomes.
        candidates: the possible targets, in the order of the answer choices (not of their display).
    """

    text: str
    candidates: tuple[str, ...]


def show_options(
    choices: Sequence[str], chooser: choice.Chooser, *, shuffle: bool = True
) -> AnswerOptions:
    r"""Options in a style, and with `shuffle` in an order, chosen for the example.

    Example: choices ("no", "yes") may give text "Options:\n(A) yes\n(B) no" and candidates ("(B)", "(A)").
    """
    header = chooser.pick("option_header", _HEADERS)
    forms = _ITEMS if len(choices) <= _MAX_LETTERED else tuple(i for i in _ITEMS if i[1] is None)
    form, name = chooser.pick("option_item", forms)
    order = chooser.order("option_order", len(choices)) if shuffle else range(len(choices))
    lines = [header] if header else []
    candidates = list(choices)
    for position, index in enumerate(order):
        words = {
            "text": choices[index],
            "upper": chr(ord("A") + position % _MAX_LETTERED),
            "lower": chr(ord("a") + position % _MAX_LETTERED),
            "number": str(position + 1),
            "roman": _roman(position + 1),
        }
        lines.append(form.format(**words))
        if name is not None:
            candidates[index] = name.format(**words)
    return AnswerOptions(text="\n".join(lines), candidates=tuple(candidates))


def _roman(number: int) -> str:
    """A number up to 39 as a lower-case Roman numeral."""
    return (
        "x" * (number // 10)
        + ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")[number % 10]
    )
