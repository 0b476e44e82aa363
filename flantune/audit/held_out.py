"""Checks a `HeldOutPlan`: `check_names` by cluster, task and lineage, `check` by the text of training prompts as well.

    report = held_out.check(catalog, store, training, plan)
    report.raise_if_violated()

Every violation is named with the offending pair, unless a waiver of the plan covers it. `data/held_out_plan.py` has the
plans, `data/held_out_names.py` what can be told by names, `audit/overlap/scan.py` compares the texts; read `flantune/audit/leakage.py`
next, which runs the checks for a run file.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import fnmatch
from typing import Any

from flantune.audit.overlap import rows as overlap_rows, scan as overlap_scan
from flantune.data import (
    catalog as catalog_lib,
    held_out_names,
    members as members_lib,
    task as task_lib,
)
from flantune.data.held_out_names import Violation
from flantune.data.held_out_plan import BY_NAME, KINDS, HeldOutPlan, Waiver
from flantune.data.input import loading
from flantune.data.store import reader as store_lib

_SHOWN = 5
_SAMPLES = 3


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
        left_out: tasks that the training mixture's own `Mixture.held_out` keeps out of it.
    """

    plan: str
    violations: tuple[Violation, ...]
    waived: tuple[tuple[Violation, Waiver], ...] = ()
    unused: tuple[Waiver, ...] = ()
    unmatched: tuple[str, ...] = ()
    evaluation: tuple[overlap_scan.EvaluationRows, ...] = ()
    training_rows: int = 0
    left_out: tuple[str, ...] = ()

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
            "left_out": list(self.left_out),
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
    found = _by_name(catalog, training, plan, evaluation)
    return _judged(plan, found, kinds=BY_NAME, unmatched=_unmatched(catalog, plan))


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
    found = _by_name(catalog, names, plan, [member.name for member in own])
    unmatched = _unmatched(catalog, plan)
    left_out = tuple(sorted(catalog.left_out(training.name)))
    if plan.ngram is None:
        report = _judged(plan, found, kinds=BY_NAME, unmatched=unmatched)
        return dataclasses.replace(report, left_out=left_out)
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
    return dataclasses.replace(
        report,
        evaluation=scan.evaluation,
        training_rows=scan.training_rows,
        left_out=left_out,
    )


def _is_asked(plan: HeldOutPlan, task: task_lib.InstructionTask) -> bool:
    names_nothing = not (plan.clusters or plan.tasks or plan.evaluation)
    return names_nothing or plan.holds_out(task)


def _by_name(
    catalog: catalog_lib.Catalog,
    training: Iterable[str],
    plan: HeldOutPlan,
    evaluation: Iterable[str],
) -> list[Violation]:
    evaluated = [
        *evaluation,
        *(member for name in plan.evaluation for member in catalog.members(name)),
    ]
    return held_out_names.violations(
        catalog.tasks,
        dict.fromkeys(catalog.task(name).name for name in training),
        dict.fromkeys(catalog.task(name).name for name in evaluated),
        plan,
    )


def _unmatched(catalog: catalog_lib.Catalog, plan: HeldOutPlan) -> tuple[str, ...]:
    clusters = {task.cluster for task in catalog.tasks.values()}
    unmatched = [f"cluster {name!r}" for name in plan.clusters if name not in clusters]
    unmatched += [
        f"task {name!r}" for name in plan.tasks if not fnmatch.filter(catalog.tasks, name)
    ]
    return tuple(unmatched)


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
    waivers = {
        one: plan.waiver(one.kind, one.evaluation, one.training, one.rows) for one in ordered
    }
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
