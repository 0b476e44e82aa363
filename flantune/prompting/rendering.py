r"""`render`: fields of an example in, prompt and target out, with the choices made.

    fields    {"premise": "It rains.", "label": 1}, answer choices ("no", "yes")
    prompt    inputs "It rains.\nOptions:\n- no\n- yes", targets "yes", candidates ("no", "yes"), template 3

Exemplars are rendered like the query: same template, same styles, their own order of options. Nothing is tokenised or
cut here: `flantune/data/input/tokenize.py` does that.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import difflib

from flantune.prompting import (
    choice,
    dialog as dialog_lib,
    few_shot,
    filters,
    options as options_lib,
    settings as settings_lib,
    template as template_lib,
)

LABEL = "label"  # index of the right answer choice
FieldValue = filters.Value
Fields = Mapping[str, FieldValue]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exemplar:
    """A solved example of a few-shot prompt: its row in the pool and its fields."""

    row: int
    fields: Fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """One rendered example.

    Attributes:
        references: every right answer, as the metrics compare it; `targets` holds one of them.
        candidates: every possible `{answer}`, for ranking; empty where the task has no answer choices, and for
            inversions.
        choices: the answer choices that they stand for: "yes" where the candidate is "(B)".
        template: position of the template in the task.
        input_text: the example's own fields as the template shows them: what a copier of the input would answer.
        query: the end of `inputs` that asks: all of it without exemplars.
        exemplars: rows of the pool, as shown.
        options_style: header and item form of the options shown.
        dialog_style: header, form of a turn and speakers of the dialog shown.
    """

    inputs: str
    targets: str
    references: tuple[str, ...]
    candidates: tuple[str, ...]
    choices: tuple[str, ...]
    template: int
    input_text: str
    query: str = ""
    exemplars: tuple[int, ...] = ()
    options_style: options_lib.Style | None = None
    dialog_style: dialog_lib.Style | None = None


def usable_templates(
    templates: Sequence[template_lib.Template],
    which: str,
    setting: settings_lib.PromptSetting | None = None,
) -> tuple[int, ...]:
    """Positions of a setting's templates of a set: "training", "held_out" (for evaluation only) or "all".

    Where the setting leaves options out, so are wordings that list the answer choices themselves.
    """
    setting = setting or settings_lib.PromptSetting()
    return tuple(
        index
        for index, template in enumerate(templates)
        if (which == "all" or template.held_out == (which == "held_out"))
        and template.kind in setting.kinds
        and template.group == setting.group
        and not (setting.options == "none" and template.writes_choices)
    )


def pick_template(
    templates: Sequence[template_lib.Template],
    usable: Sequence[int],
    fields: Fields,
    chooser: choice.Chooser,
) -> tuple[int, template_lib.Template] | None:
    """The template of an example, with its position; None where none applies to it."""
    applying = [position for position in usable if templates[position].applies(fields)]
    if not applying:
        return None
    position = chooser.pick("template", applying)
    return position, templates[position]


def render(
    *,
    templates: Sequence[template_lib.Template],
    usable: Sequence[int],
    fields: Fields,
    constants: Mapping[str, str],
    answer_choices: Sequence[str] | str | None,
    setting: settings_lib.PromptSetting,
    chooser: choice.Chooser,
    exemplars: Sequence[Exemplar] = (),
    first_reference: bool = False,
) -> Prompt | None:
    """The prompt and target of one example; None where no template applies to it, or to what is left of it.

    Args:
        usable: positions in `templates` to choose from.
        constants: fields that are the same for every example of the task, for example its definition.
        answer_choices: the task's choices, or the name of the field that lists the example's own.
        exemplars: what a few-shot prompt shows before the query, in order.
        first_reference: the target is the first of several references; else one is drawn.

    Raises:
        KeyError: the template names a field that the example lacks, or the answer is missing.
    """
    picked = pick_template(templates, usable, fields, chooser)
    if picked is None:
        return None
    position, template = picked
    wording = _Wording(template, constants, answer_choices, setting, chooser, first_reference)
    query = wording.render(fields, chooser)
    if query is None:
        return None
    pairs = [
        (exemplar.row, wording.render(exemplar.fields, _chooser(chooser, exemplar)))
        for exemplar in exemplars
    ]
    shown = [(row, rendered) for row, rendered in pairs if rendered is not None]
    inputs = asked = query.inputs
    separators = _separators(template, setting, chooser)
    if separators is not None:
        asked = few_shot.join([], asked, separators)
        inputs = few_shot.join(
            [(one.inputs, one.targets) for _, one in shown], query.inputs, separators
        )
    return Prompt(
        inputs=inputs,
        targets=query.targets,
        references=query.references,
        candidates=query.candidates,
        choices=query.choices,
        template=position,
        input_text=template.shown_text(fields),
        query=asked,
        exemplars=tuple(row for row, _ in shown),
        options_style=wording.options_style,
        dialog_style=wording.dialog_style,
    )


def _chooser(query: choice.Chooser, exemplar: Exemplar) -> choice.Chooser:
    return choice.Chooser(query.seed, query.epoch, f"{query.example}/exemplar/{exemplar.row}")


def _separators(
    template: template_lib.Template,
    setting: settings_lib.PromptSetting,
    chooser: choice.Chooser,
) -> settings_lib.Separators | None:
    if setting.is_few_shot:
        if template.separators is not None:
            return template.separators
        if not setting.separators:
            return settings_lib.Separators()
    return chooser.pick("separators", setting.separators) if setting.separators else None


class _Wording:
    """What query and exemplars of a prompt have in common: template and styles."""

    def __init__(
        self,
        template: template_lib.Template,
        constants: Mapping[str, str],
        answer_choices: Sequence[str] | str | None,
        setting: settings_lib.PromptSetting,
        chooser: choice.Chooser,
        first_reference: bool,
    ) -> None:
        self._template = template
        self._first_reference = first_reference
        # Asked by name: a check against the protocol takes as long as rendering.
        self._render_with: Callable[[Fields, choice.Chooser], template_lib.Rendered | None] | None
        self._render_with = getattr(template, "render_with", None)
        self._constants = constants
        self._answer_choices = answer_choices
        self._shuffle = setting.option_order == "shuffled"
        self.options_style: options_lib.Style | None = None
        self.dialog_style: dialog_lib.Style | None = None
        self._inputs = template.inputs
        if template.shows_options:
            if setting.options == "in_prompt":
                self.options_style = options_lib.pick_style(chooser)
            else:
                self._inputs = _without_options(template.inputs)
        if template.shows_dialog:
            self.dialog_style = dialog_lib.pick_style(chooser)

    def render(self, fields: Fields, chooser: choice.Chooser) -> template_lib.Rendered | None:
        if self._render_with is not None:
            return self._render_with(fields, chooser)
        shown = self._options(fields, chooser)
        answers = _answers(fields, shown.candidates)
        answer = answers[0]
        if len(answers) > 1 and not self._first_reference:
            answer = chooser.pick("reference", answers)
        values = _Values(fields, self._constants)
        values[template_lib.OPTIONS] = shown.text
        values[template_lib.ANSWER] = answer
        if self.dialog_style is not None:
            values.add_dialog(self.dialog_style)
        targets = template_lib.fill(self._template.targets, values)
        is_inversion = self._template.kind == "inversion"
        return template_lib.Rendered(
            inputs=template_lib.fill(self._inputs, values),
            targets=targets,
            references=(targets.strip(),) if is_inversion else answers,
            candidates=() if is_inversion else shown.candidates,
            choices=() if is_inversion else shown.choices,
        )

    def _options(self, fields: Fields, chooser: choice.Chooser) -> options_lib.AnswerOptions:
        choices = _choices(self._template, fields, self._answer_choices)
        if self.options_style is None or not choices:
            return options_lib.AnswerOptions(text="", candidates=choices, choices=choices)
        order: Sequence[int] = range(len(choices))
        if self._shuffle:
            order = chooser.order("option_order", len(choices))
        return options_lib.show_options(choices, self.options_style, order)


class _Values(dict[str, FieldValue]):
    """Values by field name: of the example, of the task's constants, and those that the prompt adds."""

    def __init__(self, fields: Fields, constants: Mapping[str, str]) -> None:
        super().__init__()
        self._fields = fields
        self._constants = constants

    def add_dialog(self, style: dialog_lib.Style) -> None:
        turns = _texts(self[dialog_lib.TURNS])
        roles = _texts(self._fields.get(dialog_lib.ROLES, ()))
        roles = roles[max(0, len(roles) - len(turns)) :]  # the oldest turns may be cut
        text, next_speaker = dialog_lib.show(turns, roles, style)
        self[template_lib.DIALOG] = text
        self[template_lib.NEXT_SPEAKER] = next_speaker

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
    fields: Fields,
    answer_choices: Sequence[str] | str | None,
) -> tuple[str, ...]:
    if answer_choices is None:
        return ()
    if isinstance(answer_choices, str):
        return _texts(fields[answer_choices])
    return template.label_words or tuple(answer_choices)


def _answers(fields: Fields, candidates: Sequence[str]) -> tuple[str, ...]:
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
