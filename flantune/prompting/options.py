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
    "Possible answers:",
    "Pick one of these:",
    "The answer is one of the following:",
    "",
)
# (item form, the item's name where that is the target, else None)
_ITEMS = (
    ("- {text}", None),
    ("* {text}", None),
    ('"{text}"', None),
    ("{text}", None),
    ("({upper}) {text}", "({upper})"),
    ("{upper}. {text}", "{upper}"),
    ("{lower}) {text}", "{lower}"),
    ("[{number}] {text}", "{number}"),
)
_MAX_LETTERED = 26


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptSetting:
    """How a task's prompts are made, apart from their wording.

    Attributes:
        options: "in_prompt" fills `{options}`; "none" leaves options out, so the target is the answer's text.
    """

    options: str = "in_prompt"

    def __post_init__(self) -> None:
        if self.options not in ("in_prompt", "none"):
            raise ValueError(
                f"PromptSetting.options must be 'in_prompt' or 'none', not {self.options!r}."
            )


SETTINGS = {"": PromptSetting(), "no_options": PromptSetting(options="none")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """The options of one prompt.

    Attributes:
        text: what `{options}` becomes.
        candidates: the possible targets, in the order of the answer choices (not of their display).
    """

    text: str
    candidates: tuple[str, ...]


def show_options(choices: Sequence[str], chooser: choice.Chooser) -> AnswerOptions:
    r"""Options in a style and an order chosen for the example.

    Example: choices ("no", "yes") may give text "Options:\\n(A) yes\\n(B) no" and candidates ("(B)", "(A)").
    """
    header = chooser.pick("option_header", _HEADERS)
    forms = _ITEMS if len(choices) <= _MAX_LETTERED else tuple(i for i in _ITEMS if i[1] is None)
    form, name = chooser.pick("option_item", forms)
    order = chooser.order("option_order", len(choices))
    lines = [header] if header else []
    candidates = list(choices)
    for position, index in enumerate(order):
        words = {
            "text": choices[index],
            "upper": chr(ord("A") + position % _MAX_LETTERED),
            "lower": chr(ord("a") + position % _MAX_LETTERED),
            "number": str(position + 1),
        }
        lines.append(form.format(**words))
        if name is not None:
            candidates[index] = name.format(**words)
    return AnswerOptions(text="\n".join(lines), candidates=tuple(candidates))
