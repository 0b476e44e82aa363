"""Checks a `HeldOutPlan`: `check_names` by cluster, task and lineage, `check` by the text of training prompts as well.

    report = held_out.check(catalog, store, training, plan)
    report.raise_if_violated()

Every violation is named with the offending pair, unless a waiver of the plan covers it. `held_out_plan.py` has the
plans, `overlap_scan.py` compares the texts; read `flantune/leakage.py` next, which runs the checks for a run file.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import fnmatch
import re
from typing import Any

from flantune.data import (
    catalog as catalog_lib,
    loading,
    members as members_lib,
    overlap_rows,
    overlap_scan,
    store as store_lib,
    task as task_lib,
)
from flantune.data.held_out_plan import KINDS, HeldOutPlan, Waiver

_BY_NAME = ("task", "cluster", "lineage")  # kinds that need no rows
_SHOWN = 5
_SAMPLES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Violation:
    """A training task that a plan does not allow.

    Attributes:
        kind: one of `KINDS`.
        evaluation: the evaluation or held-out task; the cluster where the kind is "cluster".
        shared: names of the source datasets that both come from.
        rows: evaluation rows that the training task holds anything of, out of `of` of the split; `by_ngram` of them
            share words in a row, the others are short and held whole.
        training_rows: rows of the training task that hold any of them.
        samples: evaluation row, training row, the piece of it, the words.
    """

    kind: str
    evaluation: str
    training: str
    shared: tuple[str, ...] = ()
    split: str = ""
    rows: int = 0
    by_ngram: int = 0
    of: int = 0
    training_rows: int = 0
    samples: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def share(self) -> float:
        """The part of the evaluation rows that is touched."""
        return self.rows / self.of if self.of else 0.0

    def sentence(self) -> str:
        """What is wrong, in one sentence, with an example."""
        if self.kind == "cluster":
            return f"{self.training} is of the held-out cluster {self.evaluation!r}."
        if self.kind == "task":
            return f"{self.training} is held out and trained on."
        if self.kind == "lineage":
            shared = ", ".join(map(repr, self.shared))
            return f"{self.training} comes from {shared}, as {self.evaluation} does."
        row, training_row, where, words = self.samples[0]
        return (
            f"{self.rows:,} of {self.of:,} rows of {self.evaluation} ({self.split}) are in {self.training_rows:,} rows of "
            f'{self.training}, as {row} is in the {where} of {training_row}: "{words}".'
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What the checks of a plan found.

    Attributes:
        violations: without a waiver; of each kind the worst first.
        waived: the others, each with its waiver.
        unused: waivers that cover nothing; they may be left out.
        unmatched: clusters and tasks of the plan that no module has.
        evaluation: the evaluation rows that were looked for; empty where rows were not compared.
        training_rows: how many training rows were looked through.
    """

    plan: str
    violations: tuple[Violation, ...]
    waived: tuple[tuple[Violation, Waiver], ...] = ()
    unused: tuple[Waiver, ...] = ()
    unmatched: tuple[str, ...] = ()
    evaluation: tuple[overlap_scan.EvaluationRows, ...] = ()
    training_rows: int = 0

    def raise_if_violated(self) -> None:
        """Raises ValueError, naming the worst pairs, where a violation has no waiver."""
        if not self.violations:
            return
        shown = " ".join(f"({one.kind}) {one.sentence()}" for one in self.violations[:_SHOWN])
        more = len(self.violations) - _SHOWN
        raise ValueError(
            f"The held-out plan {self.plan!r} is violated {len(self.violations)} times. {shown}"
            f"{f' And {more} more.' if more > 0 else ''} `flantune leakage` shows all; leave the training tasks out, or "
            "add waivers with a reason to the plan."
        )

    def as_json(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        return {
            "plan": self.plan,
            "violations": [dataclasses.asdict(one) for one in self.violations],
            "waived": [
                {**dataclasses.asdict(one), "reason": waiver.reason} for one, waiver in self.waived
            ],
            "unused_waivers": [dataclasses.asdict(waiver) for waiver in self.unused],
            "unmatched": list(self.unmatched),
            "evaluation": [dataclasses.asdict(rows) for rows in self.evaluation],
            "training_rows": self.training_rows,
        }


def wanted(plan: HeldOutPlan) -> list[tuple[str, str]]:
    """(mixture, split) pairs whose rows `check` needs prepared, besides the run's own."""
    return list(plan.evaluation.items()) if plan.ngram is not None else []


def check_names(
    catalog: catalog_lib.Catalog,
    training: Iterable[str],
    plan: HeldOutPlan,
    *,
    evaluation: Iterable[str] = (),
) -> Report:
    """What needs no rows: clusters, tasks and lineage.

    Args:
        training: names of the tasks trained on, with or without settings.
        evaluation: names of further tasks that the run evaluates.

    Raises:
        KeyError: the plan names an evaluation mixture or task that no module has.
    """
    found, unmatched = _name_violations(catalog, training, plan, evaluation)
    return _judged(plan, found, kinds=_BY_NAME, unmatched=unmatched)


def check(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    training: loading.BoundMixture,
    plan: HeldOutPlan,
    *,
    evaluation: Sequence[members_lib.Member] = (),
    num_processes: int | None = None,
) -> Report:
    """Everything: `check_names`, and the evaluation rows that are in training prompts.

    What was found of unchanged rows and wordings is read from the store.

    Args:
        evaluation: the tasks of the run's suites.
        num_processes: worker processes; None takes one for each core.

    Raises:
        KeyError: as `check_names`.
        ValueError: evaluation rows are not prepared.
    """
    own = [member for member in evaluation if _is_asked(plan, member.task)]
    names = [member.name for member in training.members]
    found, unmatched = _name_violations(catalog, names, plan, [member.name for member in own])
    if plan.ngram is None:
        return _judged(plan, found, kinds=_BY_NAME, unmatched=unmatched)
    asked = [
        member
        for name, split in plan.evaluation.items()
        for member in loading.bind_mixture(
            catalog, store, name, split=split, templates="all"
        ).members
    ]
    scan = overlap_scan.scan(
        store, [*asked, *own], training.members, ngram=plan.ngram, num_processes=num_processes
    )
    report = _judged(plan, [*found, *_overlaps(scan)], kinds=KINDS, unmatched=unmatched)
    return dataclasses.replace(report, evaluation=scan.evaluation, training_rows=scan.training_rows)


def _is_asked(plan: HeldOutPlan, task: task_lib.InstructionTask) -> bool:
    names_nothing = not (plan.clusters or plan.tasks or plan.evaluation)
    return names_nothing or plan.holds_out(task)


def _name_violations(
    catalog: catalog_lib.Catalog,
    training: Iterable[str],
    plan: HeldOutPlan,
    evaluation: Iterable[str],
) -> tuple[list[Violation], tuple[str, ...]]:
    trained = {task.name: task for task in map(catalog.task, training)}
    evaluated = {task.name: task for task in map(catalog.task, evaluation)}
    for name in plan.evaluation:
        evaluated |= {task.name: task for task in map(catalog.task, catalog.members(name))}
    held_out = {name: task for name, task in catalog.tasks.items() if plan.holds_out(task)}
    found = []
    for task in trained.values():
        if task.cluster in plan.clusters:
            found.append(Violation(kind="cluster", evaluation=task.cluster, training=task.name))
        elif task.name in held_out:
            found.append(Violation(kind="task", evaluation=task.name, training=task.name))
    if plan.lineage:
        others = {name: task for name, task in evaluated.items() if name not in trained}
        for task in (held_out | others).values():
            for other in trained.values():
                shared = sorted(_sources(task) & _sources(other))
                if shared and task.name != other.name and other.name not in held_out:
                    found.append(
                        Violation(
                            kind="lineage",
                            evaluation=task.name,
                            training=other.name,
                            shared=tuple(shared),
                        )
                    )
    clusters = {task.cluster for task in catalog.tasks.values()}
    unmatched = [f"cluster {name!r}" for name in plan.clusters if name not in clusters]
    unmatched += [
        f"task {name!r}" for name in plan.tasks if not fnmatch.filter(catalog.tasks, name)
    ]
    return found, tuple(unmatched)


def _sources(task: task_lib.InstructionTask) -> set[str]:
    """Names of the datasets that a task comes from, spelled alike: "commonsense_qa" and "CommonsenseQA" are one."""
    return {re.sub(r"[^a-z0-9]", "", name.casefold()) for name in task.lineage}


def _overlaps(scan: overlap_scan.Scan) -> list[Violation]:
    """A violation for each evaluation split and training task; splits and settings of the latter count together."""
    pairs: dict[tuple[overlap_scan.EvaluationRows, str], list[overlap_scan.TaskOverlap]] = {}
    for one in scan.overlaps:
        pairs.setdefault((one.evaluation, one.training), []).append(one)
    return [_overlap(rows, training, own) for (rows, training), own in pairs.items()]


def _overlap(
    rows: overlap_scan.EvaluationRows, training: str, own: Sequence[overlap_scan.TaskOverlap]
) -> Violation:
    by_ngram = {row for one in own for row in one.found.by_ngram}
    by_text = {row for one in own for row in one.found.by_text}
    training_rows = {(one.training_split, row) for one in own for row in one.found.training_rows}
    samples: dict[int, tuple[str, str, str, str]] = {}
    for one in own:
        for sample in one.found.samples:
            holder = f"{training}/{one.training_split}/{sample.training_row}"
            if sample.training_row == overlap_rows.CONSTANTS_ROW:
                holder = training
            row = f"{rows.task}/{rows.split}/{sample.row}"
            samples.setdefault(sample.row, (row, holder, sample.where, sample.words))
    return Violation(
        kind="ngram",
        evaluation=rows.task,
        training=training,
        split=rows.split,
        rows=len(by_ngram | by_text),
        by_ngram=len(by_ngram),
        of=rows.rows,
        training_rows=len(training_rows),
        samples=tuple(samples.values())[:_SAMPLES],
    )


def _judged(
    plan: HeldOutPlan,
    found: Iterable[Violation],
    *,
    kinds: Sequence[str],
    unmatched: tuple[str, ...],
) -> Report:
    """The report of what was found, after the plan's waivers; those for other `kinds` are no concern of it."""
    ordered = sorted(
        found, key=lambda one: (KINDS.index(one.kind), -one.share, one.evaluation, one.training)
    )
    waivers = {one: _waiver(plan, one) for one in ordered}
    used = [waiver for waiver in waivers.values() if waiver is not None]
    return Report(
        plan=plan.name,
        violations=tuple(one for one, waiver in waivers.items() if waiver is None),
        waived=tuple((one, waiver) for one, waiver in waivers.items() if waiver is not None),
        unused=tuple(
            waiver
            for waiver in plan.waivers
            if waiver not in used and set(waiver.kinds) <= set(kinds)
        ),
        unmatched=unmatched,
    )


def _waiver(plan: HeldOutPlan, violation: Violation) -> Waiver | None:
    """The first waiver of a plan that covers a violation."""
    facts = {name: getattr(violation, name) for name in ("kind", "evaluation", "training", "rows")}
    return next((waiver for waiver in plan.waivers if waiver.covers(**facts)), None)
