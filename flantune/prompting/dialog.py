r"""Dialogs: `{dialog}` shows a list of turns with the names of the speakers, in a style drawn for the example.

    turns ("Hi!", "Hello.", "Who are you?")  ->  "Conversation:\nUser: Hi!\nAssistant: Hello.\nUser: Who are you?"

`{next_speaker}` is the name of whoever answers. Read `rendering.py` next.
"""

from collections.abc import Sequence
import dataclasses

from flantune.prompting import choice

TURNS = "turns"  # field: texts, the oldest first
ROLES = "roles"  # optional field: who speaks each turn; without it two speakers alternate
_HEADERS = (
    "",
    "Conversation:",
    "Dialog:",
    "This is a conversation.",
    "Two people talk:",
    "Chat so far:",
    "Here is a dialog:",
    "Transcript",
    "The conversation up to now:",
    "Read this chat.",
    "Dialog history:",
    "Messages:",
)
_ITEMS = (
    "{speaker}: {text}",
    "{speaker} - {text}",
    "[{speaker}] {text}",
    "({speaker}) {text}",
    "<{speaker}> {text}",
    "{speaker} says: {text}",
    '{speaker}: "{text}"',
    "- {speaker}: {text}",
    "* {speaker}: {text}",
    "{number}. {speaker}: {text}",
    "({number}) {speaker}: {text}",
    "{speaker}:\n{text}",
    "{speaker} > {text}",
    "{speaker} = {text}",
    "{speaker} wrote: {text}",
)
# Names of the first and second speaker; further roles are numbered.
_SPEAKERS = (
    ("User", "Assistant"),
    ("Human", "AI"),
    ("A", "B"),
    ("Person 1", "Person 2"),
    ("Speaker A", "Speaker B"),
    ("Guest", "Host"),
    ("Question", "Answer"),
    ("Q", "A"),
    ("Customer", "Agent"),
    ("Me", "You"),
    ("Alex", "Sam"),
    ("Caller", "Operator"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Style:
    """How a dialog looks: a header line (or none), the form of a turn, the names of the speakers."""

    header: str
    item: str
    speakers: tuple[str, str]


def pick_style(chooser: choice.Chooser) -> Style:
    """The style of a prompt; its exemplars share it."""
    return Style(
        chooser.pick("dialog_header", _HEADERS),
        chooser.pick("dialog_item", _ITEMS),
        chooser.pick("dialog_speakers", _SPEAKERS),
    )


def show(turns: Sequence[str], roles: Sequence[str], style: Style) -> tuple[str, str]:
    """The text of a dialog, and the name of whoever speaks next.

    Args:
        roles: of each turn, or () where two speakers alternate. The role of the second speaker to appear answers;
            with one role so far, somebody else does.
    """
    spoken = list(roles) or [str(number % 2) for number in range(len(turns))]
    known = list(dict.fromkeys(spoken))
    names = {role: _name(number, style) for number, role in enumerate(known)}
    lines = [style.header] if style.header else []
    for number, (role, text) in enumerate(zip(spoken, turns, strict=True), 1):
        lines.append(style.item.format(speaker=names[role], number=number, text=text))
    last = known.index(spoken[-1]) if spoken else 1
    return "\n".join(lines), _name(1 if last == 0 else 0, style)


def _name(number: int, style: Style) -> str:
    if number < len(style.speakers):
        return style.speakers[number]
    return f"{style.speakers[1]} {number}"
