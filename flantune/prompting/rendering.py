r"""`render`: fields of an example in, prompt and target out, with the choices made.

    fields    {"premise": "It rains.", "label": 1}, answer choices ("no", "yes")
    prompt    inputs "It rains.\nOptions:\n- no\n- yes", targets "yes", candidates ("no", "yes"), template 3

Nothing is tokenised or cut here: `flantune/data/pipeline.py` does that.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import difflib

from flantune.prompting import choice, filters, options, template as template_lib

LABEL = "label"  # index of the right answer choice
FieldValue = filters.Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """One rendered example.

    Attributes:
        references: every right answer, as the metrics compare it; `targets` holds one of them.
        candidates: every possible `{answer}`, for ranking; empty where the task has no answer choices.
        template: position of the template in the task.
        input_text: the example's own fields as the template shows them: what a copier of the input would answer.
    """

    inputs: str
    targets: str
    references: tuple[str, ...]
    candidates: tuple[str, ...]
    template: int
    input_text: str


def usable_templates(templates: Sequence[template_lib.Template], which: str) -> tuple[int, ...]:
    """Positions of the templates of a set: "training", "held_out" (for evaluation only) or "all"."""
    return tuple(
        index
        for index, template in enumerate(templates)
        if which == "all" or template.held_out == (which == "held_out")
    )


def render(
    *,
    templates: Sequence[template_lib.Template],
    usable: Sequence[int],
    fields: Mapping[str, FieldValue],
    constants: Mapping[str, str],
    answer_choices: Sequence[str] | str | None,
    setting: options.PromptSetting,
    chooser: choice.Chooser,
) -> Prompt:
    """The prompt and target of one example.

    Args:
        usable: positions in `templates` to choose from.
        constants: fields that are the same for every example of the task, for example its definition.
        answer_choices: the task's choices, or the name of the field that lists the example's own.

    Raises:
        KeyError: the template names a field that the example lacks, or the answer is missing.
    """
    position = chooser.pick("template", usable)
    template = templates[position]
    choices = _choices(template, fields, answer_choices)
    shown = options.AnswerOptions(text="", candidates=choices)
    if choices and template.shows_options and setting.options == "in_prompt":
        shown = options.show_options(choices, chooser, shuffle=setting.option_order == "shuffled")
    references = _references(fields, shown.candidates)
    answer = chooser.pick("reference", references) if len(references) > 1 else references[0]
    inputs_text = template.inputs
    if template.shows_options and not shown.text:
        inputs_text = _without_options(inputs_text)
    values = _Values(fields, constants)
    own = [name for name in template_lib.fields_of(inputs_text) if name in fields]
    return Prompt(
        inputs=template_lib.fill(
            inputs_text, values.with_extra({template_lib.OPTIONS: shown.text})
        ),
        targets=template_lib.fill(
            template.targets, values.with_extra({template_lib.ANSWER: answer})
        ),
        references=references,
        candidates=shown.candidates,
        template=position,
        input_text=" ".join(filters.text_of(fields[name]) for name in own),
    )


class _Values(dict[str, FieldValue]):
    """Values by field name: of the example, of the task's constants, and those that the prompt adds."""

    def __init__(self, fields: Mapping[str, FieldValue], constants: Mapping[str, str]) -> None:
        super().__init__()
        self._fields = fields
        self._constants = constants

    def with_extra(self, extra: Mapping[str, FieldValue]) -> "_Values":
        values = _Values(self._fields, self._constants)
        values.update(extra)
        return values

    def __missing__(self, name: str) -> FieldValue:
        if name in self._fields:
            return self._fields[name]
        if name in self._constants:
            return self._constants[name]
        known = [*self._fields, *self._constants]
        raise KeyError(
            f"A template uses the field {name!r}, which the example lacks. Fields: {', '.join(known)}. "
            f"Closest: {difflib.get_close_matches(name, known, n=1, cutoff=0.0)}."
        )


def _choices(
    template: template_lib.Template,
    fields: Mapping[str, FieldValue],
    answer_choices: Sequence[str] | str | None,
) -> tuple[str, ...]:
    if answer_choices is None:
        return ()
    if isinstance(answer_choices, str):
        return _texts(fields[answer_choices])
    return template.label_words or tuple(answer_choices)


def _references(fields: Mapping[str, FieldValue], candidates: Sequence[str]) -> tuple[str, ...]:
    if candidates:
        return (candidates[int(filters.text_of(fields[LABEL]))],)
    return _texts(fields[template_lib.ANSWER])


def _texts(value: FieldValue) -> tuple[str, ...]:
    """A list's items, or a single value as a list of one."""
    if isinstance(value, str | int | float):
        return (filters.text_of(value),)
    return tuple(value)


def _without_options(text: str) -> str:
    """The template without `{options}`: its own line goes, and inside a line the space before it."""
    lines = []
    for line in text.split("\n"):
        if line.strip() == "{options}":
            continue
        lines.append(line.replace(" {options}", "").replace("{options}", ""))
    return "\n".join(lines).rstrip("\n")
