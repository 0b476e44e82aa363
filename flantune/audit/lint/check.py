"""`lint`: looks for what goes wrong with tasks in silence: in their rows, their wordings, and their wordings' tokens.

    unprepared.py  rows that are not here, or that `to_fields` cannot read
    rows.py        degenerate tasks, from all prepared rows of a split; leaks.py: answers that a prompt gives away
    splits.py      rows of other splits that stand in train
    wording.py     templates as text
    tokens.py      templates through a vocabulary
    ids.py         plain SeqIO tasks, whose rows are ids

`findings.py` lists the codes, and how a module allows one. `flantune lint` shows the findings.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
import dataclasses

from flantune import prompting
from flantune.audit.lint import (
    findings as lint_findings,
    ids as lint_ids,
    rows as lint_rows,
    splits as lint_splits,
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
from flantune.data.store import manifest as manifest_lib, reader as store_lib
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
    settings: Mapping[str, Sequence[prompting.PromptSetting]] | None = None,
    failures: Sequence[lint_unprepared.Failure] = (),
) -> list[Finding]:
    """The findings of some tasks of a catalog; those that a module allows are marked.

    Args:
        splits: the split to check of each task. Where it is not prepared only the templates are checked. All others that
            are prepared are compared with train.
        settings: in which each task is used; None: in all that it has templates for, with exemplars and without.
        failures: splits that could not be prepared; what the store still has of them is not looked at.

    Raises:
        KeyError: a module allows a code, or names a task, that does not exist.
    """
    tokens = lint_tokens.TokenCheck(vocabulary)
    findings: list[Finding] = []
    for name, split in splits.items():
        task = catalog.tasks[name]
        used = None if settings is None else settings[name]
        failed = {one.split: one for one in failures if one.task == name}
        manifests = _manifests(task, split, store, failed)
        readers = {one: store.reader(found) for one, found in manifests.items() if found}
        findings += lint_unprepared.check(catalog, task, manifests, failed)
        findings += lint_splits.check(task, readers)
        if not task.is_tokenized:
            separators = _separators(catalog, used)
            findings += _check_text(task, split, readers.get(split), used, separators, tokens)
        elif split in readers:
            findings += lint_ids.check(task, readers[split], vocabulary)
    return lint_findings.allow(findings, _allowed(catalog))


def _manifests(
    task: task_lib.InstructionTask,
    split: str,
    store: store_lib.Store,
    failed: Collection[str],
) -> dict[str, manifest_lib.Manifest | None]:
    """Of the split to check, and of each other one that is prepared or could not be; None: it has no rows to look at."""
    found = {
        one: None if one in failed else store.manifest(task, one)
        for one in dict.fromkeys((split, *task.source.splits))
    }
    return {
        one: manifest
        for one, manifest in found.items()
        if manifest or one == split or one in failed
    }


def _check_text(
    task: task_lib.InstructionTask,
    split: str,
    reader: store_lib.Reader | None,
    used: Sequence[prompting.PromptSetting] | None,
    separators: Sequence[prompting.Separators],
    tokens: lint_tokens.TokenCheck,
) -> Iterator[Finding]:
    """Findings of a task's templates, and of the rows of a split where it has them."""
    prompts: list[prompting.Prompt] = []
    if reader is None:
        yield from lint_wording.check(task, (), ())
    else:
        rows = _sample_rows(task, reader)
        prompts = list(_prompts(task, split, reader, rows, used))
        yield from lint_rows.check(task, reader)
        yield from lint_wording.check(task, tuple(reader.manifest.schema), reader.fetch(rows))
    yield from tokens.check(task, lint_tokens.Sample(prompts=prompts, separators=separators))


def _allowed(catalog: catalog_lib.Catalog) -> list[lint_findings.Allowed]:
    allowed = []
    for name in catalog.modules:
        module = task_modules.load(name)
        own = getattr(module, lint_findings.ALLOW, {})
        families = [
            one.name for one in getattr(module, "TASKS", ()) if isinstance(one, task_lib.TaskFamily)
        ]
        known = (*catalog.tasks, *catalog.may_be_absent)
        lint_findings.check_allowed(own, name, known, families)
        allowed.append(own)
    return allowed


def _separators(
    catalog: catalog_lib.Catalog, settings: Sequence[prompting.PromptSetting] | None
) -> list[prompting.Separators]:
    """What may stand between exemplars in some settings; None: the default, and what the modules' settings have."""
    used = [prompting.PromptSetting(shots=1), *catalog.settings.values()]
    found = [
        separators
        for setting in (used if settings is None else settings)
        if setting.is_few_shot
        for separators in setting.separators or (prompting.Separators(),)
    ]
    return list(dict.fromkeys(found))


def _sample_rows(task: task_lib.InstructionTask, reader: store_lib.Reader) -> list[int]:
    if len(reader) <= _ROWS:
        return list(range(len(reader)))
    drawn = (choice.hash64("lint", task.name, number) % len(reader) for number in range(_ROWS))
    return list(dict.fromkeys(drawn))


def _prompts(
    task: task_lib.InstructionTask,
    split: str,
    reader: store_lib.Reader,
    rows: Sequence[int],
    used: Sequence[prompting.PromptSetting] | None,
) -> Iterator[prompting.Prompt]:
    """Rows rendered without exemplars, some in each setting; without settings, for each kind and group of templates."""
    settings = _kinds(task) if used is None else list(dict.fromkeys(map(_without_shots, used)))
    share = max(_MIN_ROWS, len(rows) // len(settings))
    for setting in settings:
        member = members_lib.make_member(
            task.name, task, setting, {split: reader}, split=split, templates="all"
        )
        requests = [prompts_lib.Request(member, row, 0) for row in rows[:share]]
        yield from (one for one in prompts_lib.render(requests, seed=0) if one)


def _kinds(task: task_lib.InstructionTask) -> list[prompting.PromptSetting]:
    """Settings that together use all templates of a task."""
    groups = dict.fromkeys(template.group for template in task.templates)
    return [
        setting
        for kind in _KINDS
        for group in groups
        if members_lib.supports(task, setting := dataclasses.replace(kind, group=group))
    ]


def _without_shots(setting: prompting.PromptSetting) -> prompting.PromptSetting:
    """The setting of an exemplar: the same wordings, and nothing around them."""
    if not setting.is_few_shot:
        return setting
    return dataclasses.replace(
        setting, shots=0, label_balanced=False, separators=(), max_input_tokens=None
    )
