"""`Template`: the text of a prompt and of its target, with `{field}` where a field goes.

`{answer}` and `{options}` are filled by `rendering.py`; `{{` and `}}` stand for single braces. Read `options.py` next.
"""

from collections.abc import Mapping
import dataclasses
import functools
import re
import string

ANSWER = "answer"
OPTIONS = "options"
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
def parse(text: str) -> tuple[tuple[str, str | None], ...]:
    """Pairs of literal text and the field after it (None at the end).

    Example: `parse("Sum {a} and {b}.")` is `(("Sum ", "a"), (" and ", "b"), (".", None))`.

    Raises:
        ValueError: a brace stands alone, or a field is not a plain lower-case name.
    """
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"Template {text!r} has a brace that stands alone ({error}).") from error
    for _, field, spec, conversion in pieces:
        if field is not None and (spec or conversion or not _FIELD_NAME.match(field)):
            raise ValueError(
                f"Template {text!r} has the field {{{field}}}; a field is a lower-case name without format or "
                "conversion, and a literal brace is doubled."
            )
    return tuple((literal, field) for literal, field, _, _ in pieces)


def fields_of(text: str) -> tuple[str, ...]:
    """The names of the fields in `text`, in order of first use."""
    return tuple(dict.fromkeys(field for _, field in parse(text) if field is not None))


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with every field replaced by its value; values are never parsed themselves."""
    return "".join(
        literal if field is None else literal + values[field] for literal, field in parse(text)
    )


def _check_typos(text: str) -> None:
    for pattern, problem in _TYPOS:
        match = pattern.search(text)
        if match:
            around = text[max(0, match.start() - 15) : match.end() + 15]
            raise ValueError(f"Template {text!r} {problem}: {around!r}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """One wording of a task.

    Attributes:
        inputs: the prompt.
        targets: what the model must write; holds `{answer}`.
        label_words: this wording's own names for the task's static answer choices, in their order.
        held_out: kept for evaluation only: never used in training.

    Raises:
        ValueError: a template without a field of the example, a target without `{answer}`, or a likely typing error.
    """

    inputs: str
    targets: str = "{answer}"
    label_words: tuple[str, ...] | None = None
    held_out: bool = False

    def __post_init__(self) -> None:
        if not set(fields_of(self.inputs)) - {OPTIONS}:
            raise ValueError(
                f"Template inputs {self.inputs!r} use no field of the example: every prompt would be the same."
            )
        if ANSWER in fields_of(self.inputs):
            raise ValueError(
                f"Template inputs {self.inputs!r} give the answer away with {{answer}}."
            )
        for text in (self.inputs, self.targets):
            _check_typos(text)
        if ANSWER not in fields_of(self.targets):
            raise ValueError(f"Template targets {self.targets!r} must hold {{answer}}.")

    @property
    def shows_options(self) -> bool:
        """Whether the prompt lists the answer options."""
        return OPTIONS in fields_of(self.inputs)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields that an example or the task's constants must supply."""
        names = fields_of(self.inputs) + fields_of(self.targets)
        return tuple(name for name in dict.fromkeys(names) if name not in (ANSWER, OPTIONS))

    def extract(self, prediction: str) -> str | None:
        """The answer in a prediction: what stands where the target has `{answer}`; None if its trigger is missing.

        The trigger is the literal text before `{answer}`, so a chain-of-thought target
        `{rationale} So the answer is {answer}.` yields what follows the last "So the answer is".
        """
        pieces = [*parse(self.targets), ("", None)]
        place = next(i for i, (_, field) in enumerate(pieces) if field == ANSWER)
        trigger = pieces[place][0].strip()
        tail, next_field = pieces[place + 1][0].strip(), pieces[place + 1][1]
        if trigger:
            _, found, prediction = prediction.rpartition(trigger)
            if not found:
                return None
        if tail and next_field is not None:
            return prediction.split(tail)[0].strip()
        return prediction.strip().removesuffix(tail).strip()
