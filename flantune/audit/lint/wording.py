"""Templates as text: copies, likely typing errors, fields that nobody shows. No vocabulary; `tokens.py` has that.

Errors that a template alone shows for sure (an unknown filter, `}n`, `??`) are refused when it is made. Here are those
that may be meant so, and those that only the rows show: a field that ends in the mark which the template adds.
"""

from collections.abc import Collection, Iterator, Sequence
import itertools
import re

from flantune import prompting
from flantune.audit.lint import findings as lint_findings
from flantune.audit.lint.findings import Finding
from flantune.data import task as task_lib
from flantune.prompting import dialog as dialog_lib, filters, rendering, template as template_lib

_MARKS = ".?!,;:"
_ADDED = ".?!,"  # a colon after a question mark may be meant
_DOUBLED = 0.1  # share of the rows from which a doubled mark is a finding
_PAIRS = (("(", ")"), ("[", "]"), ("“", "”"))
_TYPOS = (
    (re.compile(r"\b(?!that|had)([a-z]{2,}) \1\b", re.IGNORECASE), "a repeated word"),
    (re.compile(r"(?<=[^ \n]) +[,;?!](?=[ \n]|$)"), "a space before a mark"),
    (re.compile(r"(?<=[a-z])[,;?!](?=[A-Za-z])"), "no space after a mark"),
    (re.compile(r"(?<=[^ \n.])  +(?=[^ \n])"), "two spaces in a row"),
    (re.compile(r"[^\S\n]+\n"), "spaces at the end of a line"),
)
_FIELD = "\x00"  # stands for a field: no mark, no letter, no space


def check(
    task: task_lib.InstructionTask, schema: Sequence[str], rows: Sequence[rendering.Fields]
) -> Iterator[Finding]:
    """Findings of a task's templates.

    Args:
        schema: names of the fields that the prepared rows have.
        rows: some of them.
    """
    for code, message, template in (
        *_same(lint_findings.wordings(task)),
        *_typos(task),
        *_doubled(task, rows),
        *((code, message, None) for code, message in _unused(task, schema)),
    ):
        yield Finding(code=code, task=task.name, message=message, template=template)


def _same(templates: Sequence[tuple[int, prompting.Template]]) -> Iterator[tuple[str, str, int]]:
    keys = {number: _key(template) for number, template in templates}
    for (first, one), (second, other) in itertools.combinations(templates, 2):
        if keys[first] != keys[second] or one.group != other.group:
            continue
        if one.held_out != other.held_out:
            yield (
                "held_out_template_seen",
                f"Templates {first} and {second} are the same, but only one is held out.",
                second,
            )
        else:
            yield (
                "same_template",
                f"Templates {first} and {second} differ at most in case, spacing and marks.",
                second,
            )


def _key(template: prompting.Template) -> tuple[object, ...]:
    """What is left of a template without case, white space and punctuation (a field's braces stay)."""
    texts = (
        re.sub(r"[^\w{}|]", "", text.casefold()) for text in (template.inputs, template.targets)
    )
    return (*texts, template.kind, template.label_words)


def _typos(task: task_lib.InstructionTask) -> Iterator[tuple[str, str, int]]:
    for number, template in lint_findings.wordings(task):
        for part in ("inputs", "targets"):
            text = getattr(template, part)
            skeleton = _skeleton(text)
            for pattern, problem in _TYPOS:
                match = pattern.search(skeleton)
                if match:
                    yield "typo", f"The {part} have {problem}: {_around(skeleton, match)}.", number
            yield from (
                ("typo", f"The {part} have {problem}.", number)
                for problem in (*_unpaired(skeleton), *_glued(text, task.constants))
            )


def _skeleton(text: str) -> str:
    """The literal text, with one character for each field."""
    return "".join(
        literal + ("" if field is None else _FIELD)
        for literal, field, _ in template_lib.parse(text)
    )


def _around(skeleton: str, match: re.Match[str]) -> str:
    return repr(skeleton[max(0, match.start() - 12) : match.end() + 12].replace(_FIELD, "{…}"))


def _unpaired(skeleton: str) -> Iterator[str]:
    # "a)" and "1)" number things.
    text = re.sub(r"(?<!\w)\w{1,3}\)", "", skeleton)
    for left, right in _PAIRS:
        if text.count(left) != text.count(right):
            yield f"{text.count(left)} {left!r} and {text.count(right)} {right!r}"
    if text.count('"') % 2:
        yield "an odd number of double quotes"


def _glued(text: str, constants: Collection[str]) -> Iterator[str]:
    """Letters that touch a field; a constant may bring its own space."""
    pieces = template_lib.parse(text)
    for (literal, field, _), (after, *_) in zip(pieces, [*pieces[1:], ("", None, ())], strict=True):
        if field is None or field in constants:
            continue
        if literal[-1:].isalnum():
            yield f"{literal[-8:]!r} right before the field {field!r}"
        if after[:1].isalnum() and not re.match(r"(s|es|th|st|nd|rd|'s)\b", after):
            yield f"{after[:8]!r} right after the field {field!r}"


def _doubled(
    task: task_lib.InstructionTask, rows: Sequence[rendering.Fields]
) -> Iterator[tuple[str, str, int]]:
    """Marks that a template adds to fields which end in one already."""
    for number, template in lint_findings.wordings(task):
        pieces = template_lib.parse(template.inputs)
        for (_, field, names), (after, *_) in itertools.pairwise(pieces):
            if field is None or after[:1] not in tuple(_ADDED):
                continue
            texts = [filters.apply(names, row[field]) for row in rows if field in row]
            ended = sum(text.rstrip()[-1:] in tuple(_MARKS) for text in texts)
            if texts and ended > _DOUBLED * len(texts):
                yield (
                    "doubled_punctuation",
                    f"{after[:1]!r} follows the field {field!r}, which ends in a mark in {ended:,} of {len(texts):,} "
                    "sampled rows.",
                    number,
                )


def _unused(task: task_lib.InstructionTask, schema: Sequence[str]) -> Iterator[tuple[str, str]]:
    used = {field for template in task.templates for field in template.fields}
    used |= {rendering.LABEL, template_lib.ANSWER, dialog_lib.ROLES, *task.extra_fields}
    used |= {name for name in (task.answer_choices, task.loss_weight) if isinstance(name, str)}
    unused = [name for name in schema if name not in used]
    if unused:
        yield "unused_field", f"No template uses {', '.join(map(repr, unused))}."
