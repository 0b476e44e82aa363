"""The texts of members that `index.py` compares: `contents` of evaluation rows, `training_rows` of training rows.

A training row's texts are its prompt and target, as rendered in one epoch, and what the task's other training wordings
show, in whatever setting: fields, references, and the constants, such as all solved examples of a task of Natural
Instructions, of which a wording shows two. They hold whatever any epoch and setting can show of the row, but for words
that run over from one of them into another. Exemplars are rows themselves, so prompts are rendered without them: `scan.py`, next to read,
adds the rows of the pool that exemplars come from.
"""

import collections
from collections.abc import Collection, Iterator, Mapping, Sequence
import dataclasses

from flantune.audit.overlap import index as overlap
from flantune.audit.overlap.text import Content, Piece
from flantune.data import members as members_lib
from flantune.data.input import prompts
from flantune.data.store import reader as store_lib
from flantune.prompting import dialog as dialog_lib, filters, rendering, template as template_lib

CONSTANTS_ROW = -1  # stands for what a task shows with any row
_CHUNK_ROWS = 512
_MADE = (
    template_lib.ANSWER,
    template_lib.OPTIONS,
    template_lib.DIALOG,
    template_lib.NEXT_SPEAKER,
    rendering.LABEL,
)


def shown_fields(members: Sequence[members_lib.Member]) -> tuple[str, ...]:
    """Fields that the inputs of some members of one task show, without its answer and its options."""
    task = members[0].task
    names: list[str] = []
    for template in (task.templates[place] for member in members for place in member.usable):
        names += template.input_fields
    others = (*_MADE, task.answer_choices, *task.constants)
    return tuple(name for name in dict.fromkeys(names) if name not in others)


def contents(members: Sequence[members_lib.Member]) -> list[Content]:
    """The own content of every row of a split: the members are of one task and one split."""
    names = shown_fields(members)
    choices = members[0].task.answer_choices
    reader = members[0].reader
    layout = _Layout(names, _common(reader, names), choices if isinstance(choices, str) else None)
    return [
        layout.content(fields)
        for start in range(0, len(reader), _CHUNK_ROWS)
        for fields in reader.fetch(range(start, min(start + _CHUNK_ROWS, len(reader))))
    ]


def material_of(member: members_lib.Member) -> tuple[str, ...]:
    """Fields and constants that a training wording of a member's task shows, of its setting or of another one."""
    task = member.task
    own = [task.templates[place] for place in member.usable]
    templates = [*own, *(template for template in task.templates if not template.held_out)]
    return tuple(dict.fromkeys(name for template in templates for name in template.fields))


def training_rows(
    member: members_lib.Member, where: str = ""
) -> Iterator[tuple[int, tuple[Piece, ...]]]:
    """The texts of a member's rows, and first those that belong to no row, as row `CONSTANTS_ROW`.

    Args:
        member: its setting has no shots.
        where: stands before what each piece is.
    """
    task = member.task
    shown = material_of(member)
    constants = [str(task.constants[name]) for name in shown if name in task.constants]
    yield CONSTANTS_ROW, tuple(Piece(f"{where}task", text) for text in constants)
    inputs = shown_fields((member,))
    choices = _shown_choices(member)
    layout = _Layout(inputs, _common(member.reader, inputs), choices)
    fields = [name for name in shown if name not in task.constants]
    fields += [template_lib.ANSWER, *([choices] if choices else [])]
    for start in range(0, len(member.reader), _CHUNK_ROWS):
        rows = range(start, min(start + _CHUNK_ROWS, len(member.reader)))
        requests = [prompts.Request(member, row, 0) for row in rows]
        for material in prompts.gather(requests, seed=0):
            prompt = prompts.render_one(material, seed=0)
            if prompt is None:
                continue  # no template applies: the row is never trained on
            texts = {"inputs": prompt.inputs, "targets": prompt.targets}
            content = layout.content(material.fields)
            if len(content.parts) + len(content.choices) > 1:
                texts["fields"] = content.text()
            pieces = [Piece(where + name, text) for name, text in texts.items()]
            for name in fields:
                for text in _texts(material.fields.get(name, ())):
                    if text not in prompt.inputs and text not in prompt.targets:
                        pieces.append(Piece(f"{where}{name} in another wording", text))
            yield material.request.row, tuple(pieces)


def _shown_choices(member: members_lib.Member) -> str | None:
    """The field of a row's own choices, where its prompts list them."""
    choices = member.task.answer_choices
    if not isinstance(choices, str) or member.setting.options == "none":
        return None
    shows = any(member.task.templates[place].shows_options for place in member.usable)
    return choices if shows else None


def _common(reader: store_lib.Reader, names: Sequence[str]) -> frozenset[str]:
    """Texts that many of a split's first rows have: wording of the task ("What happened next?"), not a row's own."""
    rows = reader.fetch(range(min(_CHUNK_ROWS, len(reader))))
    counts = collections.Counter(
        text
        for fields in rows
        for name in names
        for text in set(_parts(name, fields.get(name, ())))
    )
    limit = overlap.most_rows(len(rows))
    return frozenset(text for text, count in counts.items() if count > limit)


@dataclasses.dataclass(frozen=True, slots=True)
class _Layout:
    """Which fields are a row's own content, which texts of theirs are not, and the field of the choices."""

    names: Sequence[str]
    common: Collection[str]
    choices: str | None

    def content(self, fields: Mapping[str, rendering.FieldValue]) -> Content:
        parts = [text for name in self.names for text in _parts(name, fields.get(name, ()))]
        choices = _texts(fields.get(self.choices, ())) if self.choices else ()
        return Content(
            parts=tuple(text for text in parts if text not in self.common), choices=tuple(choices)
        )


def _parts(name: str, value: rendering.FieldValue) -> list[str]:
    """A list is one part, as words in a row; the turns of a dialog are spoken one by one."""
    texts = _texts(value)
    if not texts:
        return []
    return texts if name == dialog_lib.TURNS else [" ".join(texts)]


def _texts(value: rendering.FieldValue) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return [filters.text_of(value)]
    return list(value)
