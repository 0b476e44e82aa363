"""`lint`: looks for what goes wrong with tasks in silence: in their rows, their wordings, and their wordings' tokens.

    unprepared.py  rows that are not here, or that `to_fields` cannot read
    rows.py        degenerate tasks, from all prepared rows of a split; leaks.py: answers that a prompt gives away
    wording.py     templates as text
    tokens.py      templates through a vocabulary
    ids.py         plain SeqIO tasks, whose rows are ids

`findings.py` lists the codes, and how a module allows one. `flantune lint` shows the findings.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses

from flantune import prompting
from flantune.audit.lint import (
    findings as lint_findings,
    ids as lint_ids,
    rows as lint_rows,
    tokens as lint_tokens,
    unprepared as lint_unprepared,
    wording as lint_wording,
)
from flantune.audit.lint.findings import Finding
from flantune.data import (
    catalog as catalog_lib,
    members as members_lib,
    task as task_lib,
    task_modules,
)
from flantune.data.input import prompts as prompts_lib
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.prompting import choice

_ROWS = 64  # rendered rows of a task
_MIN_ROWS = 16  # of a kind and group of templates
# Each shows the templates of other kinds; together, all.
_KINDS = (
    prompting.PromptSetting(),
    prompting.PromptSetting(chain_of_thought=True),
    prompting.PromptSetting(inversion=True),
)


def lint(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    vocabulary: vocabulary_lib.Vocabulary,
    *,
    splits: Mapping[str, str],
    failures: Sequence[lint_unprepared.Failure] = (),
) -> list[Finding]:
    """The findings of some tasks of a catalog; those that a module allows are marked.

    Args:
        splits: the split to check of each task. Where it is not prepared only the templates are checked.
        failures: splits that could not be prepared; what the store still has of them is not looked at.

    Raises:
        KeyError: a module allows a code, or names a task, that does not exist.
    """
    tokens = lint_tokens.TokenCheck(vocabulary)
    separators = _separators(catalog)
    findings: list[Finding] = []
    for name, split in splits.items():
        task = catalog.tasks[name]
        failed = {one.split: one for one in failures if one.task == name}
        manifest = None if split in failed else store.manifest(task, split)
        findings += lint_unprepared.check(catalog, task, {split: manifest}, failed)
        sample: list[prompting.Prompt] = []
        if manifest is None:
            findings += () if task.is_tokenized else lint_wording.check(task, (), ())
        elif task.is_tokenized:
            findings += lint_ids.check(task, manifest, store.reader(manifest), vocabulary)
        else:
            reader = store.reader(manifest)
            rows = _sample_rows(task, reader)
            sample = list(_prompts(task, split, reader, rows))
            findings += lint_rows.check(task, reader)
            findings += lint_wording.check(task, tuple(manifest.schema), reader.fetch(rows))
        if not task.is_tokenized:
            shown = lint_tokens.Sample(prompts=sample, separators=separators)
            findings += tokens.check(task, shown)
    return lint_findings.allow(findings, _allowed(catalog))


def _allowed(catalog: catalog_lib.Catalog) -> list[lint_findings.Allowed]:
    allowed = []
    for module in catalog.modules:
        own = getattr(task_modules.load(module), lint_findings.ALLOW, {})
        lint_findings.check_allowed(own, module, catalog.tasks)
        allowed.append(own)
    return allowed


def _separators(catalog: catalog_lib.Catalog) -> list[prompting.Separators]:
    """What may stand between exemplars: the default, and what the modules' few-shot settings have."""
    own = [
        separators
        for setting in catalog.settings.values()
        if setting.is_few_shot
        for separators in setting.separators
    ]
    return list(dict.fromkeys([prompting.Separators(), *own]))


def _sample_rows(task: task_lib.InstructionTask, reader: store_lib.Reader) -> list[int]:
    if len(reader) <= _ROWS:
        return list(range(len(reader)))
    drawn = (choice.hash64("lint", task.name, number) % len(reader) for number in range(_ROWS))
    return list(dict.fromkeys(drawn))


def _prompts(
    task: task_lib.InstructionTask, split: str, reader: store_lib.Reader, rows: Sequence[int]
) -> Iterator[prompting.Prompt]:
    """Rows rendered without exemplars, some for each kind and group of templates that the task has."""
    groups = dict.fromkeys(template.group for template in task.templates)
    settings = [
        setting
        for kind in _KINDS
        for group in groups
        if members_lib.supports(task, setting := dataclasses.replace(kind, group=group))
    ]
    share = max(_MIN_ROWS, len(rows) // len(settings))
    for setting in settings:
        member = members_lib.make_member(
            task.name, task, setting, {split: reader}, split=split, templates="all"
        )
        requests = [prompts_lib.Request(member, row, 0) for row in rows[:share]]
        yield from (one for one in prompts_lib.render(requests, seed=0) if one)
