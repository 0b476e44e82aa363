r"""Templates through the real vocabulary: unknown characters, lost line breaks, unclear boundaries, options alike.

T5's own vocabulary writes "a\n\nb" and "a b" with the same ids, and "{" and "<" as unknown. Whether that hurts depends on
the wording: "Question: ...\n\nAnswer: ..." stays clear, "{passage}\n\n{question}" does not. `wording.py` looks at the
text alone; read `check.py` next.
"""

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import functools
import itertools
import re

from flantune import prompting
from flantune.audit.lint import findings as lint_findings
from flantune.audit.lint.findings import Finding
from flantune.data import task as task_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.prompting import filters, template as template_lib

_WORD = "x"  # stands for a field
_SHOWN = 5  # characters of a message
_UNCLEAR = 0.1  # share of the prompts from which a boundary inside the text is a finding
Problem = tuple[str, str, int | None]  # code, message, template


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """Rendered rows of a task without exemplars, and the separators that its few-shot prompts may get; none: it has no such."""

    prompts: Sequence[prompting.Prompt]
    separators: Sequence[prompting.Separators]


class TokenCheck:
    """Checks tasks with one vocabulary."""

    def __init__(self, vocabulary: vocabulary_lib.Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.is_known = functools.cache(self._is_known)

    def check(self, task: task_lib.InstructionTask, sample: Sample) -> Iterator[Finding]:
        """Findings of a task."""
        for code, message, template in itertools.chain(
            self._unknown(task, sample.prompts),
            self._lost_whitespace(task),
            self._boundaries(task, sample),
            self._options(sample.prompts),
        ):
            yield Finding(code=code, task=task.name, message=message, template=template)

    def survived(self, text: str) -> str:
        """A text after encoding and decoding."""
        return self._vocabulary.decode(self._vocabulary.encode(text))

    def _is_known(self, character: str) -> bool:
        return vocabulary_lib.UNK_ID not in self._vocabulary.encode(character)

    def unknown(self, text: str) -> list[str]:
        """The different characters of a text that the vocabulary does not know."""
        return [character for character in dict.fromkeys(text) if not self.is_known(character)]

    def _unknown(
        self, task: task_lib.InstructionTask, prompts: Sequence[prompting.Prompt]
    ) -> Iterator[Problem]:
        in_wording: set[str] = set()
        for number, template in lint_findings.wordings(task):
            texts = [
                literal
                for text in (template.inputs, template.targets)
                for literal, _, _ in template_lib.parse(text)
            ]
            characters = self.unknown("".join([*texts, *(template.label_words or ())]))
            in_wording.update(characters)
            if characters:
                yield "unknown_character", f"The wording has {_list(characters)}.", number
        for code, what, texts in _shared_wording(task, prompts):
            characters = self.unknown("".join(texts))
            in_wording.update(characters)
            if characters:
                yield code, f"The {what} have {_list(characters)}.", None
        yield from self._unknown_in_data(prompts, in_wording)

    def _unknown_in_data(
        self, prompts: Sequence[prompting.Prompt], in_wording: set[str]
    ) -> Iterator[Problem]:
        counts: collections.Counter[str] = collections.Counter()
        touched = 0
        for prompt in prompts:
            characters = [
                character
                for character in self.unknown(prompt.inputs + prompt.targets)
                if character not in in_wording
            ]
            counts.update(characters)
            touched += bool(characters)
        if touched:
            frequent = [character for character, _ in counts.most_common()]
            yield (
                "unknown_in_data",
                f"The fields of {touched:,} of {len(prompts):,} sampled prompts have {_list(frequent)}.",
                None,
            )

    def _lost_whitespace(self, task: task_lib.InstructionTask) -> Iterator[Problem]:
        for number, template in lint_findings.wordings(task):
            text = fixed_text(template.inputs, task).strip()
            kept = self.survived(text)
            breaks = text.count("\n") - kept.count("\n")
            runs = len(re.findall(r"[ \t]{2,}", text)) - len(re.findall(r"[ \t]{2,}", kept))
            lost = [
                f"{count} {one if count == 1 else several}"
                for count, one, several in (
                    (breaks, "line break", "line breaks"),
                    (runs, "run of spaces", "runs of spaces"),
                )
                if count > 0
            ]
            if lost:
                yield "lost_whitespace", f"The inputs lose {' and '.join(lost)}.", number

    def _boundaries(self, task: task_lib.InstructionTask, sample: Sample) -> Iterator[Problem]:
        for number, template in lint_findings.wordings(task) if sample.separators else ():
            own = [prompt for prompt in sample.prompts if prompt.template == number]
            found: dict[tuple[str, str], None] = {}  # several separators may have one problem
            for separators in [template.separators] if template.separators else sample.separators:
                found.update(
                    dict.fromkeys(self._boundary_problems(task, template, separators, own))
                )
            yield from ((code, message, number) for code, message in found)

    def _boundary_problems(
        self,
        task: task_lib.InstructionTask,
        template: prompting.Template,
        separators: prompting.Separators,
        prompts: Sequence[prompting.Prompt],
    ) -> Iterator[tuple[str, str]]:
        after_inputs, after_targets = boundaries(task, template, separators)
        lost = False
        for what, boundary in (
            ("the input of a solved example and its target", after_inputs),
            ("one solved example and the next", after_targets),
        ):
            if not self._inner(boundary).strip(" "):
                lost = True
                yield "lost_boundary", f"Of {boundary!r} between {what} only a space is left."
        if lost:
            return
        if self._inner(after_inputs) == self._inner(after_targets):
            yield (
                "same_boundaries",
                f"Targets follow inputs after {after_inputs!r}, and the next example follows after {after_targets!r}: "
                "the same tokens.",
            )
            return
        yield from self._boundary_in_text(separators, (after_inputs, after_targets), prompts)

    def _inner(self, boundary: str) -> str:
        """What is left of a boundary between two words."""
        return self.survived(f"{_WORD}{boundary}{_WORD}")[len(_WORD) : -len(_WORD)]

    def _boundary_in_text(
        self,
        separators: prompting.Separators,
        boundaries_: tuple[str, str],
        prompts: Sequence[prompting.Prompt],
    ) -> Iterator[tuple[str, str]]:
        after_inputs, after_targets = map(self._inner, boundaries_)
        marks = separators
        counts = {"input_end_in_text": 0, "boundary_in_text": 0}
        for prompt in prompts:
            text = self.survived(
                f"{marks.inputs_prefix}{prompt.inputs}{marks.x_y_delimiter}{marks.targets_prefix}{prompt.targets}"
            )
            counts["input_end_in_text"] += text.count(after_inputs) > 1
            counts["boundary_in_text"] += text.count(after_targets) > 0
        for (code, count), boundary in zip(counts.items(), boundaries_, strict=True):
            if count > _UNCLEAR * len(prompts):
                yield (
                    code,
                    f"{boundary!r} stands elsewhere too in {count:,} of {len(prompts):,} sampled examples.",
                )

    def _options(self, prompts: Sequence[prompting.Prompt]) -> Iterator[Problem]:
        """Different candidates with the same tokens; the same text twice is for `rows.py`."""
        found: list[str] = []  # of each prompt that has some, the first pair
        for prompt in prompts:
            known: dict[tuple[int, ...], str] = {}
            pairs = []
            for candidate in dict.fromkeys(prompt.candidates):
                first = known.setdefault(tuple(self._vocabulary.encode(candidate)), candidate)
                if first != candidate:
                    pairs.append(f"{first!r} and {candidate!r}")
            found += pairs[:1]
        if found:
            yield (
                "options_alike",
                f"In {len(found):,} of {len(prompts):,} sampled prompts two candidates have the same tokens: {found[0]}.",
                None,
            )


def fixed_text(text: str, task: task_lib.InstructionTask) -> str:
    """What is the same in every prompt of a template: its own text and the task's constants, a word for each field."""
    values: Mapping[str, filters.Value] = {
        field: task.constants.get(field, _WORD) for field in template_lib.fields_of(text)
    }
    return template_lib.fill(text, values)


def boundaries(
    task: task_lib.InstructionTask,
    template: prompting.Template,
    separators: prompting.Separators,
) -> tuple[str, str]:
    """The fixed text between an exemplar's last input field and its target, and between that and the next example's field."""
    head, tail = _edges(template.inputs, task)
    target_head, target_tail = _edges(template.targets, task)
    marks = separators
    return (
        f"{tail}{marks.x_y_delimiter}{marks.targets_prefix}{target_head}",
        f"{target_tail}{marks.example_separator}{marks.inputs_prefix}{head}",
    )


def _edges(text: str, task: task_lib.InstructionTask) -> tuple[str, str]:
    """The fixed text before the first field of an example and after the last one."""
    pieces = [
        literal + task.constants.get(field or "", "")
        if field is None or field in task.constants
        else literal + "\x00"
        for literal, field, _ in template_lib.parse(text)
    ]
    joined = "".join(pieces)
    return joined.split("\x00")[0], joined.split("\x00")[-1]


def _shared_wording(
    task: task_lib.InstructionTask, prompts: Sequence[prompting.Prompt]
) -> Iterator[tuple[str, str, list[str]]]:
    """Text that all templates of a task share: its choices, and the styles of options and dialogs drawn for the sample."""
    if isinstance(task.answer_choices, tuple):
        yield "unknown_character", "answer choices", list(task.answer_choices)
    options = {prompt.options_style for prompt in prompts} - {None}
    dialogs = {prompt.dialog_style for prompt in prompts} - {None}
    for what, styles in (("option styles", options), ("dialog styles", dialogs)):
        parts = sorted(part for style in styles for part in _parts(style))
        yield "unknown_in_styles", what, parts


def _parts(style: object) -> Iterator[str]:
    """The texts of a style, without the names of what it formats."""
    for value in dataclasses.astuple(style):  # type: ignore[call-overload]
        for text in (value,) if isinstance(value, str) else value or ():
            yield re.sub(r"\{\w+\}", "", text)


def _list(characters: Iterable[str]) -> str:
    listed = list(characters)
    shown = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in listed[:_SHOWN])
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{shown}{more}, unknown to the vocabulary"
