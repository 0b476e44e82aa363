"""`flantune leakage`: what of a run's evaluation is in its training prompts. Exit status 1 where it must not be."""

import argparse
from typing import TYPE_CHECKING

import rich.console
import rich.table
import rich.text

from flantune.commands import shared

if TYPE_CHECKING:
    from flantune.audit import held_out
    from flantune.data import held_out_names


def add(commands: shared.Commands) -> None:
    about = (
        "Look for a run's evaluation in its training: by cluster, task, source datasets, and the words of every prompt. "
        "Exit status 1 where a plan or a suite is violated."
    )
    parser = shared.command(commands, "leakage", _run, about)
    parser.add_argument(
        "--plan", help="held-out plan (default: DataConfig.held_out, else all suites of the run)"
    )
    parser.add_argument(
        "--num_processes",
        type=shared.whole_number(0),
        help="worker processes; 0: none (default: one for each core)",
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune.audit import leakage
    from flantune.jobs import gin_files
    from flantune.views import show

    shared.parse_gin(parsed, bindings)
    given = {"plan": parsed.plan, "num_processes": parsed.num_processes}
    report = gin_files.bind(leakage.find, **given)()
    show.write(report.as_json(), _text(report), as_json=parsed.json, console=shared.OUT)
    return 1 if report.violations else 0


def _text(report: "held_out.Report") -> rich.console.Group:
    parts: list[rich.console.RenderableType] = []
    overlaps = [one for one in report.violations if one.kind == "ngram"]
    others = [one for one in report.violations if one.kind in ("cluster", "task")]
    if overlaps:
        parts.append(_overlap_table(overlaps))
    lines = [f"{one.kind}: {one.sentence()}" for one in others]
    lines += _lineage_lines([one for one in report.violations if one.kind == "lineage"])
    lines += [f"waived: {one.sentence()} Reason: {waiver.reason}." for one, waiver in report.waived]
    lines += [
        f"The waiver of {waiver.evaluation} and {waiver.training} covers nothing: it can go."
        for waiver in report.unused
    ]
    if report.unmatched:
        lines.append(
            f"In no module are {len(report.unmatched)} of the plan's names: {', '.join(report.unmatched)}."
        )
    parts += [rich.text.Text(line) for line in (*lines, _summary(report))]
    return rich.console.Group(*parts)


def _lineage_lines(violations: "list[held_out_names.Violation]") -> list[str]:
    """A line for each training task and the sources that it shares, with all that come from them too."""
    pairs: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in violations:
        pairs.setdefault((one.training, one.shared), []).append(one.evaluation)
    return [
        f"lineage: {training} comes from {', '.join(map(repr, shared))}, as does {', '.join(others)}."
        for (training, shared), others in pairs.items()
    ]


def _overlap_table(overlaps: "list[held_out_names.Violation]") -> rich.table.Table:
    """The pairs, the worst first; an example of each, for its rows are what one wants to look at."""
    table = rich.table.Table(show_lines=True)
    table.add_column("rows", justify="right")
    table.add_column("of", justify="right")
    table.add_column("by n-gram", justify="right")
    table.add_column("evaluation, training, an example")
    for one in overlaps:
        row, training_row, where, words = one.samples[0]
        text = rich.text.Text(f"{one.evaluation} ({one.split})\n{one.training}", style="bold")
        text.append(
            f" ({one.training_rows:,} rows)\n{row} in the {where} of {training_row}: {words}",
            style="not bold",
        )
        table.add_row(f"{one.rows:,}", f"{one.of:,}", f"{one.by_ngram:,}", text)
    return table


def _summary(report: "held_out.Report") -> str:
    rows = sum(one.rows for one in report.evaluation)
    unchecked = sum(one.unchecked for one in report.evaluation)
    counts: dict[str, int] = {}
    for one in report.violations:
        counts[one.kind] = counts.get(one.kind, 0) + 1
    found = ", ".join(f"{count} by {kind}" for kind, count in counts.items()) or "none"
    return (
        f"Plan: {report.plan}. {rows:,} evaluation rows in {report.training_rows:,} training rows; {unchecked:,} are too "
        f"short to be looked for. Violations: {found}; waived: {len(report.waived)}. Tasks that the mixture leaves out for "
        f"its plan: {len(report.left_out)}."
    )
