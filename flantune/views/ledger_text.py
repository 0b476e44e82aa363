"""A ledger for a person's terminal, as rich tables, and for a spreadsheet, as CSV.

Read `ledger_actual_text.py` next, counted against planned, and `ledger_page.py`, the HTML page.
"""

from collections.abc import Iterable, Iterator, Sequence
import csv
import dataclasses
import io
import json

import rich.console
import rich.table
import rich.text

from flantune.audit.ledger import diff as ledger_diff, totals as ledger_totals
from flantune.audit.ledger.plan import Ledger, TaskEntry

MAX_ROWS = 60  # of a table on a terminal
_MAX_CAUTIONS = 5  # of each kind
_TOTALS = ("examples", "inputs_tokens", "targets_tokens")
_LOSS_COUNTS = {  # by weighting, and whether tasks name weights
    ("token", False): "every target token once",
    ("token", True): "every target token by the weight of its task or row",
    ("example", False): "every example once",
    ("example", True): "every example once, times the weight of its task or row",
}
_UNITS = ((1e12, 1e12, "T"), (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e5, 1e3, "k"))
TASK_HEADER = (
    "task", "rows", "cap", "examples", "%", "tokens", "%", "in", "out", "loss %", "epochs", "cut", "dropped",
)  # fmt: skip
LOST_HEADER = ("shortened", "lost", "% of examples")
UNFIT_HEADER = ("left out", "rows", "measured", "first fits from", "95 % fit from")
TOTAL_HEADER = ("", "tasks", "examples", "%", "tokens", "%", "loss %")


def number(value: int | float) -> str:
    """A count with at most five digits: 12,345 or 1.23 M."""
    for size, divisor, unit in _UNITS:
        if abs(value) >= size:
            return f"{value / divisor:.3g} {unit}"
    if abs(value) >= 10 or value == round(value):
        return f"{value:,.0f}"
    return f"{value:.2g}"


def share(value: float) -> str:
    """A share in percent, with two or three digits that mean something."""
    percent = 100 * value
    return f"{percent:.1f}" if percent >= 10 else f"{percent:.2g}"


def task_cells(entry: TaskEntry) -> list[str]:
    """A task's row under `TASK_HEADER`."""
    return [
        entry.task,
        number(entry.rows),
        ", ".join(map(number, entry.caps)),
        number(entry.examples),
        share(entry.rate),
        number(entry.tokens),
        share(entry.token_share),
        f"{entry.mean_inputs_tokens:.0f}",
        f"{entry.mean_targets_tokens:.0f}",
        share(entry.loss_share),
        f"{entry.epochs:.2g}" if entry.epochs < 10 else f"{entry.epochs:,.0f}",
        share(entry.cut),
        share(entry.dropped),
    ]


def total_cells(total: ledger_totals.Total) -> list[str]:
    """A total's row under `TOTAL_HEADER`."""
    return [
        total.name or "(default)",
        number(total.tasks),
        number(total.examples),
        share(total.rate),
        number(total.inputs_tokens + total.targets_tokens),
        share(total.token_share),
        share(total.loss_share),
    ]


def lost_rows(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Rows under `LOST_HEADER`: what the examples of each task lose to fit, the task with most tokens first."""
    return [
        (entry.task, part, share(lost))
        for entry in by_tokens(ledger)
        for part, lost in ledger_totals.by_share(entry.lost)
    ]


def unfit_rows(ledger: Ledger) -> list[list[str]]:
    """Rows under `UNFIT_HEADER`: the tasks that the plan leaves out."""
    return [
        [
            one.task,
            number(one.rows),
            number(one.measured),
            *(number(length) if length else "never" for length in (one.least_needed, one.needed)),
        ]
        for one in ledger.unfit
    ]


def unfit_line(ledger: Ledger) -> str:
    """What the tasks that the plan leaves out mean for the run."""
    return (
        f"NOT THE WHOLE MIXTURE: {len(ledger.unfit)} of its tasks are left out of this plan. They have a rate in tokens, and "
        f"no example that was measured fits inputs_length={ledger.inputs_length}; train refuses the mixture. Raise "
        "DataConfig.inputs_length, give the tasks may_drop or may_cut, or leave them out."
    )


def facts(ledger: Ledger) -> list[tuple[str, str]]:
    """What the ledger is of, and its totals."""
    total = ledger_totals.overall(ledger)
    tokens = total.inputs_tokens + total.targets_tokens
    num_tasks = f"{len(ledger.tasks)}"
    if ledger.unfit:
        num_tasks += f" of {len(ledger.tasks) + len(ledger.unfit)}"
    slots = ledger.num_rows
    sizes = ledger.batch_sizes or [(ledger.num_steps, ledger.batch_size)]
    inputs_fill = total.inputs_tokens / (slots * ledger.inputs_length)
    targets_fill = total.targets_tokens / (slots * ledger.targets_length)
    return [
        ("mixture", f"{ledger.mixture} ({ledger.split}), {num_tasks} tasks"),
        ("steps", ", then ".join(f"{steps:,} of {rows:,} rows" for steps, rows in sizes)),
        (
            "row",
            f"{ledger.inputs_length:,} + {ledger.targets_length:,} tokens, {ledger.vocabulary}",
        ),
        (
            "examples per row",
            f"{ledger.examples_per_row:.2f} ± {2 * ledger.examples_per_row_error:.2f}"
            if ledger.pack
            else "1 (not packed)",
        ),
        ("examples", number(total.examples)),
        (
            "tokens",
            f"{number(tokens)}: inputs {number(total.inputs_tokens)}, targets {number(total.targets_tokens)}",
        ),
        ("rows filled", f"inputs {inputs_fill:.0%}, targets {targets_fill:.0%}"),
        ("loss counts", _LOSS_COUNTS[ledger.loss_weighting, ledger.has_own_weights]),
    ]


def by_tokens(ledger: Ledger) -> list[TaskEntry]:
    """The tasks, the largest share of tokens first."""
    return sorted(ledger.tasks, key=lambda entry: (-entry.token_share, entry.task))


def plan_text(ledger: Ledger) -> rich.console.Group:
    """Facts, tasks, totals and warnings."""
    tasks = by_tokens(ledger)
    header, rows = without_empty(TASK_HEADER, [task_cells(entry) for entry in tasks])
    parts: list[rich.console.RenderableType] = [table(("ledger", ""), facts(ledger))]
    if ledger.unfit:
        parts.append(rich.text.Text(unfit_line(ledger), style="bold red"))
        parts.append(table(UNFIT_HEADER, _shortened(unfit_rows(ledger))))
    parts.append(table(header, _shortened(rows)))
    for name, totals in totals_of(ledger):
        parts.append(table((name, *TOTAL_HEADER[1:]), _shortened(map(total_cells, totals))))
    lost = lost_rows(ledger)
    if lost:
        parts.append(table(LOST_HEADER, _shortened(lost), text_columns=(0, 1)))
    parts += [rich.text.Text(line) for line in _caution_lines(ledger)]
    return rich.console.Group(*parts)


def _shortened(rows: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    """As many rows as a terminal takes, and how many more there are."""
    rows = list(rows)
    more = len(rows) - MAX_ROWS
    if more <= 0:
        return rows
    return [*rows[:MAX_ROWS], [f"and {more} more (--json has all)", *[""] * (len(rows[0]) - 1)]]


def cautions(ledger: Ledger) -> dict[str, list[str]]:
    """The warnings by their kind, the tasks with most tokens first."""
    found: dict[str, list[str]] = {}
    for one in ledger_totals.cautions(dataclasses.replace(ledger, tasks=tuple(by_tokens(ledger)))):
        found.setdefault(one.code.replace("_", " "), []).append(f"{one.task}: {one.message}")
    return found


def _caution_lines(ledger: Ledger) -> Iterator[str]:
    for kind, lines in cautions(ledger).items():
        yield f"{kind}: {len(lines)} tasks"
        yield from (f"  {line}" for line in lines[:_MAX_CAUTIONS])
        if len(lines) > _MAX_CAUTIONS:
            yield f"  and {len(lines) - _MAX_CAUTIONS} more (--json has all)"


def totals_of(ledger: Ledger) -> list[tuple[str, list[ledger_totals.Total]]]:
    """The totals worth a table: those of more than one line."""
    named = (
        ("submixture", ledger_totals.by_submixture(ledger)),
        ("setting", ledger_totals.by_setting(ledger)),
        ("cluster", ledger_totals.by_cluster(ledger)),
    )
    return [(name, totals) for name, totals in named if len(totals) > 1]


def plan_json(ledger: Ledger) -> dict[str, object]:
    """The ledger, which `flantune ledger --diff` reads, with its totals and warnings."""
    return {
        **ledger.to_json(),
        "totals": {
            name: [dataclasses.asdict(total) for total in totals]
            for name, totals in (
                ("all", [ledger_totals.overall(ledger)]),
                ("submixture", ledger_totals.by_submixture(ledger)),
                ("setting", ledger_totals.by_setting(ledger)),
                ("cluster", ledger_totals.by_cluster(ledger)),
            )
        },
        "warnings": [dataclasses.asdict(one) for one in ledger_totals.cautions(ledger)],
    }


def plan_csv(ledger: Ledger) -> str:
    """One line for each task, with all that is known of it; several values in a cell are JSON."""
    return to_csv(ledger.tasks, TaskEntry)


def to_csv(entries: Iterable[object], kind: type) -> str:
    """One line for each of some dataclasses of a kind, one column for each field."""
    names = [field.name for field in dataclasses.fields(kind)]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    for entry in entries:
        values = [getattr(entry, name) for name in names]
        writer.writerow(
            json.dumps(value, ensure_ascii=False) if isinstance(value, dict | tuple) else value
            for value in values
        )
    return file.getvalue()


def diff_text(difference: ledger_diff.Difference) -> rich.console.Group:
    """What differs between two ledgers."""
    rows = [
        (change.task, f"{change.tokens:+,.0f}", _what(change))
        for change in difference.changes[:MAX_ROWS]
    ]
    more = len(difference.changes) - len(rows)
    last = f"{difference.unchanged} tasks are the same."
    if more:
        last = f"{more} more tasks differ (--json has all). {last}"
    parts: list[rich.console.RenderableType] = []
    if difference.facts:
        pairs = [(name, _value(a), _value(b)) for name, (a, b) in difference.facts.items()]
        parts.append(table(("", "first", "second"), pairs))
    if rows:
        parts.append(table(("task", "tokens", "what"), rows, text_columns=(0, 2)))
    return rich.console.Group(*parts, rich.text.Text(last))


def _what(change: ledger_diff.Change) -> str:
    if change.kind != "changed":
        return f"only in the {'second' if change.kind == 'added' else 'first'}"
    return "\n".join(
        f"{name}: {_value(first)} → {_value(second)}"
        for name, (first, second) in change.fields.items()
        if name not in _TOTALS  # the change of tokens stands beside
    )


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 10_000 else number(value)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def without_empty(
    header: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """The columns in which any row has something."""
    kept = [i for i in range(len(header)) if any(row[i] not in ("", "0") for row in rows)]
    return [header[i] for i in kept], [[row[i] for i in kept] for row in rows]


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    text_columns: Sequence[int] = (0,),
) -> rich.table.Table:
    """A table whose columns are numbers, but for some."""
    made = rich.table.Table()
    is_pair = len(header) == 2
    for position, name in enumerate(header):
        is_text = is_pair or position in text_columns
        made.add_column(name, justify="left" if is_text else "right")
    for row in rows:
        made.add_row(*(rich.text.Text(cell) for cell in row))
    return made
