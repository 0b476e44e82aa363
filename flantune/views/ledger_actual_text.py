"""Counted against planned, by task or by template, for a terminal and a spreadsheet. Read `ledger_text.py` first."""

from collections.abc import Iterator, Sequence

import rich.console
import rich.text

from flantune.audit.ledger.comparison import Actual, Comparison, TemplateTotal
from flantune.views import ledger_text

TASK_HEADER = (
    "task", "examples planned", "counted", "tokens planned", "counted", "difference", "in errors", "epochs",
    "cut planned", "cut counted", "dropped planned", "dropped counted",
)  # fmt: skip
TEMPLATE_HEADER = (
    "task", "template", "kind", "wording", "examples", "% of task", "inputs", "targets", "cut",
)  # fmt: skip
TEMPLATE_TEXTS = (0, 2, 3)  # columns that are no numbers
_WORDING = 50  # characters shown


def text(actual: Actual, by: str) -> rich.console.Group:
    """The tasks or their templates, the largest counts first, and the totals."""
    if by == "template":
        made = ledger_text.table(
            TEMPLATE_HEADER, _shown(template_rows(actual)), text_columns=TEMPLATE_TEXTS
        )
    else:
        header, rows = ledger_text.without_empty(TASK_HEADER, task_rows(actual))
        made = ledger_text.table(header, _shown(rows))
    return rich.console.Group(made, *map(rich.text.Text, lines(actual)))


def to_csv(actual: Actual, by: str) -> str:
    """One line for each task or template."""
    if by == "template":
        return ledger_text.to_csv(actual.templates, TemplateTotal)
    return ledger_text.to_csv(actual.tasks, Comparison)


def task_rows(actual: Actual) -> list[list[str]]:
    """A row of each task under `TASK_HEADER`, most tokens first."""
    number = ledger_text.number
    return [
        [
            one.task,
            number(one.planned_examples),
            number(one.counted_examples),
            number(one.planned_tokens),
            number(one.counted_tokens),
            f"{one.counted_tokens / one.planned_tokens - 1:+.1%}" if one.planned_tokens else "",
            f"{one.deviations:+.1f}",
            f"{one.epochs:.2f}",
            number(one.planned_cut),
            number(one.counted_cut),
            number(one.planned_dropped),
            number(one.counted_dropped),
        ]
        for one in sorted(actual.tasks, key=lambda one: -one.counted_tokens)
    ]


def template_rows(actual: Actual) -> list[list[str]]:
    """A row of each template under `TEMPLATE_HEADER`: tasks with most tokens first, their templates in their order."""
    tokens = {one.task: one.counted_tokens for one in actual.tasks}
    number = ledger_text.number
    return [
        [
            one.task,
            str(one.template),
            one.kind,
            _start(one.wording),
            number(one.examples),
            ledger_text.share(one.share),
            number(one.inputs_tokens),
            number(one.targets_tokens),
            number(one.cut),
        ]
        for one in sorted(actual.templates, key=lambda one: (-tokens[one.task], one.task))
    ]


def _start(wording: str) -> str:
    """The start of a wording in one line."""
    line = " ".join(wording.split())
    return line if len(line) <= _WORDING else f"{line[: _WORDING - 1]}…"


def _shown(rows: list[list[str]]) -> list[list[str]]:
    """As many rows as a terminal takes."""
    more = len(rows) - ledger_text.MAX_ROWS
    if more <= 0:
        return rows
    last = [f"and {more} more (--csv has all)", *[""] * (len(rows[0]) - 1)]
    return [*rows[: ledger_text.MAX_ROWS], last]


def lines(actual: Actual) -> Iterator[str]:
    """The totals, in sentences."""
    number, tasks = ledger_text.number, actual.tasks
    planned = sum(one.planned_tokens for one in tasks)
    counted = sum(one.counted_tokens for one in tasks)
    targets = sum(one.counted_targets for one in tasks)
    yield (
        f"Counted over {actual.batches:,} batches, until step {actual.step:,}: {number(counted)} tokens, "
        f"{counted / planned - 1:+.2%} against the plan."
    )
    yield from _sizes(actual)
    yield (
        f"{_against('Cut', [(one.planned_cut, one.counted_cut) for one in tasks])}; "
        f"{_against('dropped', [(one.planned_dropped, one.counted_dropped) for one in tasks])}."
    )
    if actual.on_device is not None:
        agree = "the same" if actual.on_device == targets else "which differs"
        yield (
            f"Target tokens counted by task: {targets:,}; by the training steps: {actual.on_device:,}, {agree}."
        )


def _sizes(actual: Actual) -> Iterator[str]:
    """What the plan takes for the batch size, where that is not plain."""
    planned = actual.planned
    if planned.batch_sizes:
        parts = ", then ".join(f"{steps:,} of {rows:,} rows" for steps, rows in planned.batch_sizes)
        yield f"The batch size changed: planned are {parts}."
    if actual.unknown_sizes:
        yield (
            f"The run folder does not say the size of its first {actual.unknown_sizes:,} batches, planned with "
            f"DataConfig.batch_size={planned.batch_sizes[0][1] if planned.batch_sizes else planned.batch_size}: where it "
            "was another one, the plan is off."
        )


def _against(what: str, pairs: Sequence[tuple[float, int]]) -> str:
    planned, counted = (sum(numbers) for numbers in zip(*pairs, strict=True))
    return f"{what} examples: {counted:,}, planned {ledger_text.number(planned)}"
