"""`Finding`: one problem of a task or template, the table of codes, and what a module allows.

A module may allow a code for some of its tasks, with the reason:

    LINT_ALLOW = {"family:*": {"conflicting_duplicates": "several answers are right"}}

Read `check.py` next: it runs the checks.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
import dataclasses
import fnmatch

from flantune import prompting
from flantune.data import names as names_lib, task as task_lib
from flantune.prompting import template as template_lib

SEVERITIES = ("error", "warning", "note")
ALLOW = "LINT_ALLOW"  # what a module exports
Allowed = Mapping[str, Mapping[str, str]]  # reason by code by pattern of task names


@dataclasses.dataclass(frozen=True, slots=True)
class Code:
    """A kind of finding: how bad it is, what it is, and what to do about it."""

    severity: str
    about: str
    fix: str


CODES = {
    # A vocabulary's view of the wording.
    "unknown_character": Code(
        "error",
        "the wording holds characters that the vocabulary does not know",
        "Use other characters, or a vocabulary with byte fallback (flantune vocab).",
    ),
    "unknown_in_styles": Code(
        "warning",
        "some styles of options or dialogs, drawn for each example, hold characters that the vocabulary does not know",
        "Use a vocabulary with byte fallback (flantune vocab); otherwise these marks all look alike.",
    ),
    "unknown_in_data": Code(
        "warning",
        "the rows hold characters that the vocabulary does not know",
        "Replace them in to_fields, or use a vocabulary with byte fallback (flantune vocab).",
    ),
    "lost_whitespace": Code(
        "warning",
        "line breaks or runs of spaces of the wording do not survive the vocabulary",
        "Mark the parts with words or punctuation, or use a vocabulary that keeps line breaks.",
    ),
    "lost_boundary": Code(
        "warning",
        "nothing but a space is left between the parts of a few-shot prompt",
        "Give the setting or template separators with words or punctuation, or use a vocabulary that keeps line breaks.",
    ),
    "same_boundaries": Code(
        "error",
        "the end of a question and the end of a solved example look the same",
        "Give x_y_delimiter and example_separator different tokens.",
    ),
    "boundary_in_text": Code(
        "warning",
        "what ends a solved example also stands inside examples",
        "Choose an example_separator that the fields do not hold, or an inputs_prefix.",
    ),
    "input_end_in_text": Code(
        "note",
        "what ends the input of a solved example also stands inside the input",
        "End the template in words such as 'Answer:', or give the separators a targets_prefix.",
    ),
    "options_alike": Code(
        "error",
        "two answer candidates have the same tokens",
        "Rename one of them with label_words, or use a vocabulary that tells them apart.",
    ),
    # The wording itself.
    "same_template": Code(
        "warning",
        "two templates are the same but for case, spacing and punctuation",
        "Remove one of them, or reword it.",
    ),
    "held_out_template_seen": Code(
        "error",
        "a held-out template is the same as one that trains",
        "Reword it: a held-out wording must be new.",
    ),
    "typo": Code("warning", "a likely typing error", "Correct the template."),
    "doubled_punctuation": Code(
        "warning",
        "a field often ends in the mark that the template puts after it",
        "Drop the mark from the template, or strip it in to_fields.",
    ),
    "unused_field": Code(
        "note",
        "the prepared rows hold a field that no template uses",
        "Use it in a template, or drop it in to_fields.",
    ),
    # The rows.
    "no_rows": Code(
        "note",
        "rows are not here, and were not checked",
        "Put what the finding names below --data_dir, and run lint again.",
    ),
    "broken_rows": Code(
        "error",
        "rows are here, and cannot be prepared",
        "Mend to_fields, or the file; a run would stop here too.",
    ),
    "malformed_rows": Code(
        "warning",
        "some rows cannot be read, and are left out",
        "Mend to_fields, or the file; DataConfig.max_malformed_fraction says how many may be.",
    ),
    "split_in_train": Code(
        "error",
        "most rows of another split are rows of train",
        "Name another file or slice for one of the splits; see audit/lint/splits.py for tasks of few inputs.",
    ),
    "rows_in_train": Code(
        "warning",
        "rows of another split stand in train",
        "Drop them in one of the splits, or take splits by hash of the inputs (sources.Grouped).",
    ),
    "few_rows_in_train": Code(
        "note",
        "a few rows of another split stand in train, as in most published sets",
        "Drop them in one of the splits where scores must be exact.",
    ),
    "single_label": Code(
        "error",
        "every row has the same answer",
        "Leave the task out, or read rows with other answers.",
    ),
    "majority_label": Code(
        "warning",
        "nearly every row has the same answer",
        "Balance the rows in to_fields, or leave the task out of accuracy averages.",
    ),
    "label_sorted": Code(
        "warning",
        "the rows are sorted by answer, so a slice of the file is no sample of it",
        "Take splits by hash or from files of their own, not as slices such as [:100].",
    ),
    "conflicting_duplicates": Code(
        "warning",
        "rows with the same input have different answers",
        "Merge the answers into one row's references, or drop the rows in to_fields.",
    ),
    "exact_duplicates": Code(
        "note",
        "rows occur more than once",
        "Drop the copies in to_fields.",
    ),
    "empty_answer": Code(
        "error",
        "rows have no answer",
        "Return None for them in to_fields.",
    ),
    "repeated_option": Code(
        "warning",
        "rows list a choice twice, so that a right answer may count as wrong",
        "Drop these rows in to_fields.",
    ),
    "answer_in_prompt": Code(
        "warning",
        "the right answer stands in the prompt far more often than the wrong ones",
        "Remove the field that gives it away, or leave the task out.",
    ),
    "answer_is_span": Code(
        "note",
        "the answer mostly is a part of the prompt",
        "Nothing, where the task is to find or copy it; otherwise remove the field that holds it.",
    ),
    "field_is_answer": Code(
        "warning",
        "a field that the prompt shows is the answer itself",
        "Remove the field from the templates.",
    ),
    # Rows of ids, of plain SeqIO tasks.
    "unknown_ids": Code(
        "warning",
        "rows hold the id of what the vocabulary does not know",
        "Use a vocabulary with byte fallback (flantune vocab) for the task and the run.",
    ),
    "inner_eos": Code(
        "warning",
        "inputs or targets go on after an end of sequence, at which generation stops",
        "Append the end of sequence last, once.",
    ),
    "no_eos": Code(
        "warning",
        "targets that are not cut have no end of sequence, so a model never learns to stop",
        "Add seqio.preprocessors.append_eos to the task.",
    ),
    "cut_ids": Code(
        "note",
        "rows are longer than the run's lengths",
        "Raise DataConfig.inputs_length or targets_length, or shorten the rows in the task's preprocessors.",
    ),
    "no_ids": Code(
        "note",
        "rows have empty inputs or targets and were left out",
        "Filter them in the task's preprocessors.",
    ),
    "row_in_constants": Code(
        "warning",
        "rows stand, with their answers, in the task's own constants (its solved examples)",
        "Drop these rows in to_fields, or other solved examples.",
    ),
}


def wordings(task: task_lib.InstructionTask) -> list[tuple[int, prompting.Template]]:
    """The templates of a task with their positions, without those of another language, whose text is a program."""
    return [
        (number, template)
        for number, template in enumerate(task.templates)
        if not isinstance(template, template_lib.SelfRendering)
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem.

    Attributes:
        template: position of the template, None where it is about the whole task.
        allowed: why the module allows it, None where it does not.
    """

    code: str
    task: str
    message: str
    template: int | None = None
    allowed: str | None = None

    @property
    def severity(self) -> str:
        return CODES[self.code].severity

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.code,
            "severity": self.severity,
            "task": self.task,
            "template": self.template,
            "message": self.message,
            "fix": CODES[self.code].fix,
            "allowed": self.allowed,
        }


def check_allowed(
    allowed: Allowed, module: str, tasks: Iterable[str], families: Collection[str] = ()
) -> None:
    """Raises KeyError where a module allows a code, or names a pattern of tasks, that does not exist.

    Args:
        families: of the module; which tasks such a one has is known only where its files are.
    """
    tasks = list(tasks)
    for pattern, codes in allowed.items():
        in_family = pattern.partition(":")[0] in families
        if not in_family and not fnmatch.filter(tasks, pattern):
            raise KeyError(names_lib.unknown(f"{module}.{ALLOW} names the task", pattern, tasks))
        for code in codes:
            if code not in CODES:
                raise KeyError(names_lib.unknown(f"{module}.{ALLOW} allows", code, CODES))


def allow(findings: Sequence[Finding], allowed: Sequence[Allowed]) -> list[Finding]:
    """The findings, those marked that some module allows."""
    reasons = [
        (pattern, code, reason)
        for own in allowed
        for pattern, codes in own.items()
        for code, reason in codes.items()
    ]

    def marked(finding: Finding) -> Finding:
        for pattern, code, reason in reasons:
            if code == finding.code and fnmatch.fnmatchcase(finding.task, pattern):
                return dataclasses.replace(finding, allowed=reason)
        return finding

    return [marked(finding) for finding in findings]
