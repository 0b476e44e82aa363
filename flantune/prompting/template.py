"""`Template`: the text of a prompt and of its target, with `{field}` where a field goes.

`{answer}`, `{options}`, `{dialog}` and `{next_speaker}` are filled by `rendering.py`; `{field|filter}` shapes a value
(`filters.py`); `{{` and `}}` stand for single braces. Read `options.py` next.
"""

from collections.abc import Mapping
import dataclasses
import difflib
import functools
import re
import string
from typing import Protocol, runtime_checkable

from flantune.prompting import choice, dialog as dialog_lib, filters, settings as settings_lib

ANSWER = "answer"
OPTIONS = "options"
DIALOG = "dialog"
NEXT_SPEAKER = "next_speaker"
_MADE = (ANSWER, OPTIONS, DIALOG, NEXT_SPEAKER)  # filled by rendering, not by the example
_FIELD_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")
# Slips that earlier collections shipped: a line break that lost its backslash, and a mark written twice. An ellipsis of
# three dots and pairs such as "?!" are no slips.
_TYPOS = (
    (
        re.compile(r"\}n(?=\n|\{|$)"),
        "has an 'n' after a field, perhaps a line break without its backslash",
    ),
    (re.compile(r"([?!,;:])\1|(?<!\.)\.\.(?!\.)"), "doubles a punctuation mark"),
)


@functools.lru_cache(maxsize=65_536)
def parse(text: str) -> tuple[tuple[str, str | None, tuple[str, ...]], ...]:
    """Triples of literal text, the field after it (None at the end) and the field's filters.

    Example: `parse("Sum {a} and {b|strip}.")` is
    `(("Sum ", "a", ()), (" and ", "b", ("strip",)), (".", None, ()))`.

    Raises:
        ValueError: a brace stands alone, a field is not a plain lower-case name, or a filter does not exist.
    """
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"Template {text!r} has a brace that stands alone ({error}).") from error
    parsed = []
    for literal, field, spec, conversion in pieces:
        name, *names = (field or "").split("|")
        if field is not None and (spec or conversion or not _FIELD_NAME.match(name)):
            raise ValueError(
                f"Template {text!r} has the field {{{field}}}; a field is a lower-case name without format or "
                "conversion, and a literal brace is doubled."
            )
        _check_filters(text, name, names)
        parsed.append((literal, None if field is None else name, tuple(names)))
    return tuple(parsed)


def _check_filters(text: str, field: str, names: list[str]) -> None:
    if names and field in _MADE:
        raise ValueError(
            f"Template {text!r} filters {{{field}}}, whose text is compared or shown as it is."
        )
    for name in names:
        if name not in filters.FILTERS:
            near = difflib.get_close_matches(name, filters.FILTERS, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"Template {text!r} uses the filter {name!r}, which does not exist. Did you mean {near!r}? "
                f"Filters: {', '.join(filters.FILTERS)}."
            )


@functools.lru_cache(maxsize=65_536)
def fields_of(text: str) -> tuple[str, ...]:
    """The names of the fields in `text`, in order of first use."""
    return tuple(dict.fromkeys(field for _, field, _ in parse(text) if field is not None))


def fill(text: str, values: Mapping[str, filters.Value]) -> str:
    """`text` with every field replaced by its filtered value; values are never parsed themselves."""
    return "".join(
        literal if field is None else literal + filters.apply(names, values[field])
        for literal, field, names in parse(text)
    )


def _check_typos(text: str) -> None:
    for pattern, problem in _TYPOS:
        match = pattern.search(text)
        if match:
            around = text[max(0, match.start() - 15) : match.end() + 15]
            raise ValueError(f"Template {text!r} {problem}: {around!r}.")


@dataclasses.dataclass(frozen=True, slots=True)
class Rendered:
    """What a wording makes of an example; see `rendering.Prompt`."""

    inputs: str
    targets: str
    references: tuple[str, ...]
    candidates: tuple[str, ...]
    choices: tuple[str, ...]


@runtime_checkable
class SelfRendering(Protocol):
    """A template of another language, which makes the whole prompt itself."""

    def render_with(
        self, fields: Mapping[str, filters.Value], chooser: choice.Chooser
    ) -> Rendered | None:
        """The prompt of an example; None where the template has none for it."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """One wording of a task.

    Attributes:
        inputs: the prompt.
        targets: what the model must write.
        kind: "direct" asks for the answer; "cot" for reasoning and then the answer, after a trigger ("So the answer
            is"); "inversion" gives the answer and asks for something else; "dialog" shows turns of a conversation.
        label_words: this wording's own names for the task's static answer choices, in their order.
        held_out: kept for evaluation only: never used in training.
        group: only settings that name this group use the template.
        separators: this wording's own, between the exemplars of a few-shot prompt.

    Raises:
        ValueError: a template without a field of the example, a target without `{answer}` (or an inversion that repeats
            what it was given), reasoning without a trigger, or a likely typing error.
    """

    inputs: str
    targets: str = "{answer}"
    kind: str = "direct"
    label_words: tuple[str, ...] | None = None
    held_out: bool = False
    group: str = ""
    separators: settings_lib.Separators | None = None

    def __post_init__(self) -> None:
        if self.kind not in settings_lib.KINDS:
            near = difflib.get_close_matches(self.kind, settings_lib.KINDS, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"Template {self.inputs!r} has the kind {self.kind!r}, which does not exist. Did you mean {near!r}? Kinds: "
                f"{', '.join(settings_lib.KINDS)}."
            )
        if not set(fields_of(self.inputs)) - {OPTIONS, NEXT_SPEAKER}:
            raise ValueError(
                f"Template inputs {self.inputs!r} use no field of the example: every prompt would be the same."
            )
        for text in (self.inputs, self.targets):
            _check_typos(text)
        if self.kind == "inversion":
            self._check_inversion()
        else:
            self._check_answer()

    def _check_answer(self) -> None:
        if ANSWER in fields_of(self.inputs):
            raise ValueError(
                f"Template inputs {self.inputs!r} give the answer away with {{answer}}; only the kind 'inversion' may."
            )
        if ANSWER not in fields_of(self.targets):
            raise ValueError(f"Template targets {self.targets!r} must hold {{answer}}.")
        if self.kind == "dialog" and DIALOG not in fields_of(self.inputs):
            raise ValueError(
                f"Template inputs {self.inputs!r} of kind 'dialog' must hold {{dialog}}."
            )
        if self.kind == "cot" and (len(fields_of(self.targets)) < 2 or not self._trigger.strip()):
            raise ValueError(
                f"Template targets {self.targets!r} of kind 'cot' must hold reasoning, a trigger and {{answer}}, as in "
                "'{rationale} So the answer is {answer}.'"
            )

    def _check_inversion(self) -> None:
        asked = fields_of(self.targets)
        repeated = set(asked) & set(fields_of(self.inputs))
        if not asked or repeated or OPTIONS in asked:
            raise ValueError(
                f"Template targets {self.targets!r} of kind 'inversion' must hold fields of the example other than those "
                f"of its inputs, {self.inputs!r}."
            )

    @functools.cached_property
    def shows_options(self) -> bool:
        """Whether the prompt lists the answer options."""
        return OPTIONS in fields_of(self.inputs)

    @property
    def writes_choices(self) -> bool:
        """Whether the wording itself lists the answer choices, so that no setting can leave them out."""
        return False

    @functools.cached_property
    def shows_dialog(self) -> bool:
        """Whether it shows the turns of a conversation."""
        return bool({DIALOG, NEXT_SPEAKER} & {*fields_of(self.inputs), *fields_of(self.targets)})

    @functools.cached_property
    def fields(self) -> tuple[str, ...]:
        """Fields that an example or the task's constants must supply."""
        names = fields_of(self.inputs) + fields_of(self.targets)
        turns = (dialog_lib.TURNS,) if self.shows_dialog else ()
        return tuple(name for name in dict.fromkeys((*names, *turns)) if name not in _MADE)

    def applies(self, fields: Mapping[str, filters.Value]) -> bool:
        """Whether the wording has a prompt for an example."""
        del fields
        return True

    def shown_text(self, fields: Mapping[str, filters.Value]) -> str:
        """The example's own fields as the prompt shows them, joined by spaces."""
        names = [name for name in self.input_fields if name in fields]
        return " ".join(filters.text_of(fields[name]) for name in names)

    @functools.cached_property
    def input_fields(self) -> tuple[str, ...]:
        """Fields that the prompt shows; among them the answer, where an inversion gives it."""
        turns = (dialog_lib.TURNS,) if self.shows_dialog else ()
        made = (OPTIONS, DIALOG, NEXT_SPEAKER)
        return tuple(name for name in (*fields_of(self.inputs), *turns) if name not in made)

    def target_of(self, answer: str) -> str | None:
        """The target that gives an answer; None where it holds more of the example, such as reasoning."""
        if set(fields_of(self.targets)) != {ANSWER}:
            return None
        return fill(self.targets, {ANSWER: answer})

    @property
    def _trigger(self) -> str:
        """The literal text before `{answer}` in the target."""
        return next(literal for literal, field, _ in parse(self.targets) if field == ANSWER)

    def extract(self, prediction: str) -> str | None:
        """The answer in a prediction: what stands where the target has `{answer}`; None if its trigger is missing.

        The trigger is the literal text before `{answer}`, so a chain-of-thought target
        `{rationale} So the answer is {answer}.` yields what follows the last "So the answer is". An inversion's
        prediction is compared whole.
        """
        if self.kind == "inversion":
            return prediction.strip()
        pieces = [*parse(self.targets), ("", None, ())]
        place = next(i for i, (_, field, _) in enumerate(pieces) if field == ANSWER)
        trigger = pieces[place][0].strip()
        tail, next_field = pieces[place + 1][0].strip(), pieces[place + 1][1]
        if trigger:
            _, found, prediction = prediction.rpartition(trigger)
            if not found:
                return None
        if tail and next_field is not None:
            return prediction.split(tail)[0].strip()
        return prediction.strip().removesuffix(tail).strip()
