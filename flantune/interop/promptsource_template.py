"""`JinjaTemplate`: one wording of promptsource, which stands where a `prompting.Template` does.

    fields {"premise": "It rained.", "label": 0, ...}  ->  Rendered(inputs="It rained. ...", targets="...", ...)

A Jinja template makes its whole prompt itself, options and target included: the options of a prompt setting do not change
it, but one that lists its choices is not used where a setting leaves options out.
It may have nothing to say about a row: then the row has no prompt in this wording. Read `promptsource.py` next.
"""

from collections.abc import Iterable, Mapping
import copy
import dataclasses
import functools
import re
from typing import Any

from flantune import prompting
from flantune.interop import promptsource_jinja as jinja_lib, promptsource_rows as rows
from flantune.prompting import choice, rendering
from flantune.prompting.template import Rendered

# Stands for the separator inside a row's own text while a template is rendered: as long, and without case.
_PROTECTED = "\ue0f0\ue0f1\ue0f2"
# Calls by which a template may change a list or dictionary of the row, which others see too.
_CHANGES = re.compile(
    r"\.\s*(append|extend|insert|pop|popitem|remove|sort|reverse|clear|update|setdefault)\s*\("
)
_FIRST_DRAW = choice.Chooser(0, 0, "whether a template applies")


@dataclasses.dataclass(frozen=True, kw_only=True)
class JinjaTemplate(prompting.Template):
    """A wording of promptsource; `inputs` and `targets` are the Jinja before and after its first |||.

    A condition may begin in one and end in the other: they are rendered as one text. Every further ||| in `targets`
    begins another right answer. `label_words` and `separators` are not used.

    Attributes:
        name: unique in its dataset.
        answer_choices: Jinja for all possible targets, with ||| between them; None for free text.
        choices_in_prompt: whether the prompt lists the choices, as the file says.
        metrics: as promptsource names them, in one spelling: "accuracy", "rouge", ...
        languages: of the wording, as ISO 639 codes.
    """

    name: str
    answer_choices: str | None = None
    choices_in_prompt: bool = False
    metrics: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Nothing of what a `prompting.Template` checks: `promptsource.read` checks Jinja."""

    @classmethod
    def from_source(cls, jinja: str, **values: Any) -> "JinjaTemplate":
        """The template of a whole text of Jinja, as the files have it; `values` are the other attributes."""
        inputs, _, targets = jinja.partition(jinja_lib.SEPARATOR)
        return cls(inputs=inputs, targets=targets, **values)

    @property
    def jinja(self) -> str:
        """The whole text."""
        return f"{self.inputs}{jinja_lib.SEPARATOR}{self.targets}"

    @property
    def shows_options(self) -> bool:
        """False: the prompt lists its choices itself, if at all."""
        return False

    @property
    def writes_choices(self) -> bool:
        """What the file says of it."""
        return self.choices_in_prompt

    @property
    def shows_dialog(self) -> bool:
        """False: a dialog is written in Jinja too."""
        return False

    @functools.cached_property
    def fields(self) -> tuple[str, ...]:
        """Columns of the row that the template looks up."""
        names = {*jinja_lib.variables(self.jinja), *jinja_lib.variables(self.answer_choices or "")}
        return tuple(sorted(names - {jinja_lib.CHOICES}))

    @functools.cached_property
    def input_fields(self) -> tuple[str, ...]:
        """Columns that the prompt itself looks up, in order of first use."""
        found: list[str] = []
        for name in jinja_lib.variables_before_separator(self.jinja):
            is_choices = name == jinja_lib.CHOICES
            found += jinja_lib.variables(self.answer_choices or "") if is_choices else [name]
        return tuple(dict.fromkeys(found))

    def applies(self, fields: rendering.Fields) -> bool:
        """Whether the template has a prompt for a row; `prepare` has noted it."""
        noted = fields.get(rows.NOT_RENDERED)
        if isinstance(noted, list | tuple):
            return self.name not in noted
        return isinstance(self.outcome(fields), Rendered)

    def render_with(self, fields: rendering.Fields, chooser: choice.Chooser) -> Rendered | None:
        """The prompt and target of a row; None where there are none, as when a field was shortened to nothing."""
        outcome = self.outcome(fields, chooser)
        if isinstance(outcome, str):  # an unlucky draw: that of `applies` has a prompt
            outcome = self.outcome(fields)
        return outcome if isinstance(outcome, Rendered) else None

    def outcome(
        self, fields: rendering.Fields, chooser: choice.Chooser = _FIRST_DRAW
    ) -> Rendered | str:
        """What the template makes of a row, or why it makes nothing of it."""
        return self.outcome_of(values_of(fields, self.fields), chooser)

    def outcome_of(
        self, values: Mapping[str, object], chooser: choice.Chooser = _FIRST_DRAW
    ) -> Rendered | str:
        """The same, of the values of a row's columns (see `values_of`)."""
        own = dict(values)
        if _CHANGES.search(f"{self.jinja}{self.answer_choices}"):
            own = copy.deepcopy(own)
        try:
            return self._rendered(own, chooser)
        except Exception as error:  # the expressions of a template may raise anything
            return f"{type(error).__name__}: {error}"

    def _rendered(self, values: dict[str, object], chooser: choice.Chooser) -> Rendered | str:
        candidates: tuple[str, ...] = ()
        if self.answer_choices is not None:
            shown = jinja_lib.render(self.answer_choices, values, chooser).split(
                jinja_lib.SEPARATOR
            )
            values[jinja_lib.CHOICES] = [item.strip() for item in shown]
            candidates = tuple(_plain(item) for item in shown)
        text = jinja_lib.render(self.jinja, values, chooser)
        if not text.strip():
            return "the whole text is empty"
        inputs, *answers = (_plain(part) for part in text.split(jinja_lib.SEPARATOR))
        if not inputs or not answers or not all(answers):
            return "the prompt is empty" if not inputs else "the target is empty"
        is_inversion = (
            self.kind == "inversion"
        )  # is never ranked, and may put words around a choice
        if candidates and not is_inversion and not set(answers) <= set(candidates):
            return "the target is none of the answer choices"
        target = chooser.pick("reference", answers) if len(answers) > 1 else answers[0]
        return Rendered(
            inputs=inputs,
            targets=target,
            references=(target,) if is_inversion else tuple(answers),
            candidates=() if is_inversion else candidates,
            choices=() if is_inversion else candidates,
        )

    def shown_text(self, fields: rendering.Fields) -> str:
        """The texts of the row that the prompt looks up: what a copier of the input would answer."""
        values = (rows.decode(fields[name]) for name in self.input_fields if name in fields)
        return " ".join(text for value in values for text in rows.texts(value))

    def target_of(self, answer: str) -> str:
        """The answer itself, with the words around it: candidates are whole targets."""
        return answer

    def extract(self, prediction: str) -> str | None:
        """The answer in a prediction: all of it."""
        return prediction.strip()


def values_of(fields: rendering.Fields, columns: Iterable[str]) -> dict[str, object]:
    """The values of a row's columns as templates see them; a column that the row lacks is left out."""
    return {
        name: rows.decode(fields[name], jinja_lib.SEPARATOR, _PROTECTED)
        for name in columns
        if name in fields and fields[name] != rows.MISSING
    }


def _plain(text: str) -> str:
    """A rendered part without outer white space, the row's own separators restored."""
    return text.strip().replace(_PROTECTED, jinja_lib.SEPARATOR)
