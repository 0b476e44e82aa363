"""`Chat`: conversations as chat messages, one of them a JSON object; a row for an assistant's reply.

    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi!"},
                  {"role": "assistant", "content": "Hello."}]}
    ->  {"turns": ["Hi!"], "roles": ["user"], "answer": "Hello.", "system": "Be brief."}

Use it as `sources.Chat`. Read `instructions.py` next.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses

from etils import epath

from flantune.data import names
from flantune.data.sources import files, formats

_ROLES = ("user", "assistant")
_SYSTEM = "system"
_ASKED = ("last", "all")


@dataclasses.dataclass(frozen=True, init=False)
class Chat(files.FileSource):
    """JSONL (or a JSON list) of objects with `messages`: a list of {"role": ..., "content": text}.

    Roles are user and assistant, and system for the first message only. A row has the texts before a reply as "turns",
    who spoke them as "roles", the reply as "answer", and "system", which is empty where there is none. Other keys of the
    object are kept. A slice takes conversations, so that all turns of one are in the same split.

    Attributes:
        turns: "last" gives a row for the last reply of a conversation, "all" one for each.
    """

    turns: str
    encoding: str

    def __init__(
        self, *, turns: str = "last", encoding: str = "utf-8", **splits: files.Files
    ) -> None:
        if turns not in _ASKED:
            raise ValueError(f"Chat has turns={turns!r}; it must be 'last' or 'all'.")
        files.check_encoding(type(self).__name__, encoding)
        files.set_fields(self, splits, turns=turns, encoding=encoding)

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        return formats.read_objects(path, encoding=self.encoding)

    def _expand(self, found: Iterator[formats.Record]) -> Iterator[formats.Record]:
        for record in found:
            if record.row is None:
                yield record
                continue
            try:
                rows = _rows(record.row)
            except ValueError as error:
                yield formats.Record(record.where, None, str(error))
                continue
            for row in rows if self.turns == "all" else rows[-1:]:
                yield formats.Record(record.where, row)


def _rows(conversation: Mapping[str, object]) -> list[dict[str, object]]:
    """A row for each reply of a conversation.

    Raises:
        ValueError: it is no list of messages, or nobody replies.
    """
    if "messages" not in conversation:
        near = names.closest("messages", conversation, count=1)
        closest = f"; closest: {near[0]!r}" if near else ""
        raise ValueError(f"no key 'messages', only {', '.join(map(repr, conversation))}{closest}")
    messages = conversation["messages"]
    if not isinstance(messages, list):
        raise ValueError(f"messages is a {type(messages).__name__}, not a list")
    spoken = [_checked(number, message) for number, message in enumerate(messages, 1)]
    system = spoken.pop(0)[1] if spoken and spoken[0][0] == _SYSTEM else ""
    for role in _ROLES:
        if role not in [speaker for speaker, _ in spoken]:
            raise ValueError(f"no message of the {role}")
    kept = {name: value for name, value in conversation.items() if name != "messages"}
    rows = [
        {**kept, **_turns(spoken[:place]), "answer": text, "system": system}
        for place, (role, text) in enumerate(spoken)
        if role == "assistant" and place > 0
    ]
    if not rows:
        raise ValueError("the assistant speaks only first and replies to nothing")
    return rows


def _checked(number: int, message: object) -> tuple[str, str]:
    """Role and text of a message, counted from 1."""
    if not isinstance(message, dict):
        raise ValueError(f"message {number} is a {type(message).__name__}, not an object")
    role, text = message.get("role"), message.get("content")
    allowed = (*_ROLES, _SYSTEM) if number == 1 else _ROLES
    if not isinstance(role, str) or role not in allowed:
        raise ValueError(f"message {number} has the role {role!r}, not {' or '.join(allowed)}")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"message {number} has the content {text!r}, not a text")
    return role, text


def _turns(spoken: Sequence[tuple[str, str]]) -> dict[str, object]:
    return {"turns": [text for _, text in spoken], "roles": [role for role, _ in spoken]}
