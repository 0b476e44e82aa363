"""The job of `flantune lint`: prepares the tasks of some modules, checks them, and shows the findings.

The checks: `check.py`. Every code, its severity and what to do: `findings.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import fnmatch

import rich.box
import rich.console
import rich.table
import rich.text

from flantune import prompting
from flantune.audit.lint import (
    check as lint_lib,
    findings as lint_findings,
    unprepared as lint_unprepared,
)
from flantune.audit.lint.findings import Finding
from flantune.configs import DataConfig
from flantune.data import catalog as catalog_lib, names as names_lib, task as task_lib
from flantune.data.input import loading, mixture_vocabulary
from flantune.data.plain_seqio import tasks as seqio_tasks
from flantune.data.store import prepare as prepare_lib, reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib

_MAX_TASKS = 20  # with the same code, in the table
_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What was checked and found.

    Attributes:
        mixture: whose tasks were checked, in the settings that it has them in; "" where all of the modules' were.
        vocabulary: by the config's name.
        splits: the split of each task that was checked.
        skipped: members that could not be looked at, and why.
        without_rows: tasks of which only the templates were checked.
    """

    modules: tuple[str, ...]
    mixture: str
    vocabulary: str
    splits: dict[str, str]
    findings: tuple[Finding, ...]
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    without_rows: tuple[str, ...] = ()

    @property
    def has_errors(self) -> bool:
        """Whether there is an error that no module allows."""
        return any(one.severity == "error" and one.allowed is None for one in self.findings)

    def as_json(self) -> dict[str, object]:
        return {
            "modules": list(self.modules),
            "mixture": self.mixture,
            "vocabulary": self.vocabulary,
            "splits": self.splits,
            "skipped": self.skipped,
            "without_rows": list(self.without_rows),
            "counts": {
                code: {"findings": len(found), "tasks": len({one.task for one in found})}
                for code, found in by_code(self.findings).items()
            },
            "findings": [one.as_json() for one in self.findings],
        }


def lint(*, data: DataConfig, tasks: Sequence[str] = (), every_task: bool = False) -> Report:
    """Checks the tasks of the config's mixture, in its settings; without a mixture, those of its modules in all settings.

    Prepares what is missing.

    Args:
        data: its split is checked; of a task that lacks it, its first one. Plain SeqIO tasks are those of its mixture or,
            without one, of all its modules' mixtures; they are prepared for its lengths and vocabulary.
        tasks: names, or patterns of names, of the tasks to check; none: all.
        every_task: those of the modules that are not in the mixture too.

    Raises:
        KeyError: a name or pattern matches no task, or none has the split.
    """
    store, folder = loading.open_store(data), loading.data_dir(data)
    mixture = "" if every_task else data.mixture
    catalog = catalog_lib.load(
        data.modules, store, folder, skip_absent=data.skip_absent and bool(mixture)
    )
    catalog, skipped = _with_seqio_tasks(catalog, store, data, tasks)
    settings = None
    if mixture:
        settings = _settings(catalog, mixture, skipped)
        skipped |= dict.fromkeys(catalog.absent(mixture), "It is absent, and the run does without.")
    chosen = _chosen(catalog, mixture, list(catalog.tasks if settings is None else settings), tasks)
    known = {split for name in chosen for split in catalog.tasks[name].source.splits}
    if (
        data.split not in known and data.split != DataConfig.split
    ):  # misspelt, unless it is the default
        raise KeyError(names_lib.unknown("You asked to check the split", data.split, known))
    splits = {name: _split(catalog.tasks[name], data.split) for name in chosen}
    # All splits, since train is compared with the others.
    wanted = [(task, task.source.splits) for task in map(catalog.tasks.__getitem__, splits)]
    prepared = prepare_lib.prepare(
        wanted, store, folder, max_malformed_fraction=data.max_malformed_fraction
    )
    failures = lint_unprepared.failures(wanted, prepared, folder)
    findings = lint_lib.lint(
        catalog,
        store,
        _vocabulary(catalog, store, data, failures),
        splits=splits,
        settings=settings,
        failures=failures,
    )
    return Report(
        modules=catalog.modules,
        mixture=mixture,
        vocabulary=data.vocabulary,
        splits=splits,
        findings=tuple(findings),
        skipped=skipped,
        without_rows=tuple(one.task for one in failures if one.split == splits[one.task]),
    )


def _settings(
    catalog: catalog_lib.Catalog, mixture: str, skipped: Mapping[str, str]
) -> dict[str, list[prompting.PromptSetting]]:
    """The tasks of a mixture, each with the settings that the mixture has it in."""
    try:
        members = catalog.members(mixture)
    except KeyError as error:
        said = error.args[0]
        more = [why for why in dict.fromkeys(skipped.values()) if why not in said]
        raise KeyError(" ".join([said, *more])) from error
    found: dict[str, list[prompting.PromptSetting]] = {}
    for member in members:
        found.setdefault(catalog.task(member).name, []).append(catalog.setting(member))
    return found


def _chosen(
    catalog: catalog_lib.Catalog, mixture: str, names: Sequence[str], patterns: Sequence[str]
) -> list[str]:
    """Those of some tasks that any pattern matches, in their order.

    Raises:
        KeyError: a pattern matches none of them.
    """
    for pattern in patterns:
        if fnmatch.filter(names, pattern):
            continue
        if mixture and fnmatch.filter(catalog.tasks, pattern):
            raise KeyError(
                f"You asked to check the task {pattern!r}, which {mixture!r} does not have; --all takes every task of the "
                "modules."
            )
        problem = names_lib.unknown("You asked to check the task", pattern, names)
        raise KeyError(" ".join([problem, *catalog.problems]))
    if not names:
        raise KeyError(" ".join(["The modules have no task to check.", *catalog.problems]))
    return [
        name
        for name in names
        if not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    ]


def _with_seqio_tasks(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    tasks: Sequence[str],
) -> tuple[catalog_lib.Catalog, dict[str, str]]:
    """The catalog with the plain SeqIO tasks that some mixtures or names reach, and why others are not there."""
    names = [data.mixture] if data.mixture else list(catalog.mixtures)
    names += [
        name
        for name in tasks
        if name.startswith(seqio_tasks.PREFIX) and not names_lib.is_pattern(name)
    ]
    reached = seqio_tasks.reached(catalog, names)
    try:
        extended = seqio_tasks.extend(catalog, names, data, store)
    except (
        ValueError
    ) as error:  # the vocabulary is still to be trained, or a module cannot be imported
        return catalog, dict.fromkeys(reached, str(error))
    found = {*extended.tasks, *extended.mixtures}
    reasons = " ".join(extended.problems[len(catalog.problems) :])
    return extended, {name: reasons for name in reached if name not in found}


def _split(task: task_lib.InstructionTask, split: str) -> str:
    splits = task.source.splits
    return split if split in splits else splits[0]


def _vocabulary(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    failures: Sequence[lint_unprepared.Failure],
) -> vocabulary_lib.Vocabulary:
    """The config's vocabulary.

    One that is trained is the run's or, without a run or without all of its rows, that of all prepared tasks together.

    Raises:
        ValueError: it is to be trained, and no task has rows.
    """
    failed = {one.task for one in failures if one.split == data.split}

    def bind() -> loading.BoundMixture:
        if data.mixture and not failed:
            return loading.bind_mixture(catalog, store, data.mixture, split=data.split)
        prepared = {
            name: task
            for name, task in catalog.tasks.items()
            if name not in failed and store.manifest(task, data.split) is not None
        }
        if not prepared:
            reasons = " ".join(one.error for one in failures[:1])
            raise ValueError(
                f"{data.vocabulary} is trained on rows, and no task has any: name another one with --vocabulary. {reasons}"
            )
        every = dataclasses.replace(catalog, tasks=prepared, mixtures={})
        return loading.bind_mixture(every, store, "*", split=data.split)

    return mixture_vocabulary.of_config(data, store, bind)


def by_code(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """The findings of each code, the worst codes first."""
    found: dict[str, list[Finding]] = {}
    for one in findings:
        found.setdefault(one.code, []).append(one)
    order = list(lint_findings.CODES)
    return {
        code: found[code]
        for code in sorted(
            found, key=lambda code: (_rank(lint_findings.CODES[code].severity), order.index(code))
        )
    }


def _rank(severity: str) -> int:
    return lint_findings.SEVERITIES.index(severity)


def text(report: Report, *, show_all: bool) -> rich.console.Group:
    """The findings by task, then each code with what to do about it.

    Args:
        show_all: notes and allowed findings too, and every task of a code.
    """
    shown = [
        one
        for one in report.findings
        if show_all or (one.severity != "note" and one.allowed is None)
    ]
    parts: list[rich.console.RenderableType] = []
    rows = list(_task_rows(shown, None if show_all else _MAX_TASKS))
    if rows:
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("task", "code", "template", "finding"):
            table.add_column(name, overflow="fold", no_wrap=name == "code")
        for row in rows:
            table.add_row(*row)
        parts.append(table)
    if report.findings:
        parts.append(_code_table(report.findings))
    allowed = sum(one.allowed is not None for one in report.findings)
    counts = {
        severity: sum(one.severity == severity and one.allowed is None for one in report.findings)
        for severity in lint_findings.SEVERITIES
    }
    parts += [
        rich.text.Text(f"Not checked: {name}. {reason}") for name, reason in report.skipped.items()
    ]
    found = ", ".join(f"{count:,} {severity}s" for severity, count in counts.items())
    parts.append(
        rich.text.Text(
            f"{len(report.splits):,} tasks{f' of {report.mixture!r}' if report.mixture else ''} with the vocabulary "
            f"{report.vocabulary}: {found}; allowed: {allowed:,}."
        )
    )
    if report.without_rows:
        parts.append(rich.text.Text(_without_rows(report.without_rows)))
    return rich.console.Group(*parts)


def _without_rows(tasks: Sequence[str]) -> str:
    shown = ", ".join(tasks[:_MAX_TASKS])
    more = f" and {len(tasks) - _MAX_TASKS:,} more" if len(tasks) > _MAX_TASKS else ""
    return f"The templates of {len(tasks):,} tasks were checked without rows: {shown}{more}."


def _task_rows(findings: Sequence[Finding], limit: int | None) -> Iterator[list[rich.text.Text]]:
    """One row for each task and code, with the first finding; the tasks with the worst findings first."""
    groups: dict[str, dict[str, list[Finding]]] = {}
    for code, found in by_code(findings).items():
        own: dict[str, list[Finding]] = {}
        for one in found:
            own.setdefault(one.task, []).append(one)
        for task in list(own)[:limit]:
            groups.setdefault(task, {})[code] = own[task]
    for task, codes in groups.items():
        name = rich.text.Text(task)
        for code, found in codes.items():
            yield [name, *_cells(code, found)]
            name = rich.text.Text()


def _cells(code: str, findings: Sequence[Finding]) -> list[rich.text.Text]:
    templates = [str(one.template) for one in findings if one.template is not None]
    message = findings[0].message
    if len(findings) > 1:
        message += f" (and {len(findings) - 1} more)"
    severity = lint_findings.CODES[code].severity
    return [
        rich.text.Text(code, style=_STYLES[severity]),
        rich.text.Text(", ".join(dict.fromkeys(templates))),
        rich.text.Text(message),
    ]


def _code_table(findings: Sequence[Finding]) -> rich.table.Table:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("code", "severity", "findings", "tasks", "allowed", "what to do"):
        is_number = name in ("findings", "tasks", "allowed")
        table.add_column(
            name,
            justify="right" if is_number else "left",
            no_wrap=name != "what to do",
            overflow="fold",
        )
    for code, found in by_code(findings).items():
        about = lint_findings.CODES[code]
        table.add_row(
            rich.text.Text(code, style=_STYLES[about.severity]),
            about.severity,
            f"{len(found):,}",
            f"{len({one.task for one in found}):,}",
            f"{sum(one.allowed is not None for one in found):,}",
            rich.text.Text(f"{about.about[:1].upper()}{about.about[1:]}. {about.fix}"),
        )
    return table
