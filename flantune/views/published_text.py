"""Shares by published row counts for a person's terminal, as rich tables, and for a spreadsheet, as CSV.

Several mixtures stand side by side, a column for each. Read `audit/published.py` for what the shares are.
"""

from collections.abc import Mapping, Sequence
import csv
import dataclasses
import io
import json

import rich.console
import rich.text

from flantune.audit.published import Published
from flantune.data import task as task_lib
from flantune.views import ledger_text

_NOTE = (
    "By published row counts: no data were read, and a run counts the rows that it has prepared. '?' is what only a family's "
    "files tell."
)


def text(found: Sequence[Published], by: str = "task") -> rich.console.Group:
    """Shares of submixtures and of tasks, in percent of the examples.

    Args:
        by: "task" adds up the settings of a task; with "setting" each has a line.
    """
    names = [one.mixture for one in found]
    submixtures = _side_by_side([one.by_submixture() for one in found])
    inner = [
        [f"{'  ' * path.count('/')}{path.rpartition('/')[2]}", *shares]
        for path, shares in _in_order(submixtures)
    ]
    tasks = _side_by_side([_shares(one, by) for one in found])
    rows = _rows(found)
    own = [[name, rows[task_lib.split_name(name)[0]], *cells] for name, cells in tasks.items()]
    own.append(["all", f"{len(own)} lines", *("100" for _ in found)])
    parts: list[rich.console.RenderableType] = [rich.text.Text(_NOTE)]
    if inner:
        parts.append(ledger_text.table(["submixture", *(f"{name} %" for name in names)], inner))
    parts.append(ledger_text.table(["task", "rows", *(f"{name} %" for name in names)], own))
    return rich.console.Group(*parts)


def to_json(found: Sequence[Published]) -> list[dict[str, object]]:
    """Each mixture with its tasks by setting, its submixtures, and its tasks in all settings."""
    return [
        {
            **dataclasses.asdict(one),
            "totals": {"submixture": one.by_submixture(), "task": one.by_task()},
        }
        for one in found
    ]


def to_csv(found: Sequence[Published]) -> str:
    """One line for each task and setting of each mixture; several values in a cell are JSON."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["mixture", "task", "share", "rows", "caps", "templates", "submixtures"])
    for one in found:
        for entry in one.entries:
            caps, submixtures = json.dumps(entry.caps), json.dumps(entry.submixtures)
            writer.writerow(
                [
                    one.mixture,
                    entry.task,
                    entry.share,
                    entry.rows,
                    caps,
                    entry.templates,
                    submixtures,
                ]
            )
    return file.getvalue()


def _shares(one: Published, by: str) -> dict[str, float]:
    if by == "task":
        return one.by_task()
    return {entry.task: entry.share for entry in one.entries}


def _side_by_side(columns: Sequence[Mapping[str, float]]) -> dict[str, list[str]]:
    """The cells of each name, in the order of first use; empty where a mixture has no such name."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {
        name: [f"{100 * column[name]:.3g}" if name in column else "" for column in columns]
        for name in names
    }


def _in_order(paths: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """The paths so that each follows the one that it is inside."""
    place = {path: number for number, path in enumerate(paths)}

    def key(path: str) -> list[int]:
        names = path.split("/")
        return [place["/".join(names[:length])] for length in range(1, len(names) + 1)]

    return sorted(paths.items(), key=lambda item: key(item[0]))


def _rows(found: Sequence[Published]) -> dict[str, str]:
    """Published rows of each task."""
    return {
        task_lib.split_name(entry.task)[0]: "?" if entry.rows is None else f"{entry.rows:,}"
        for one in found
        for entry in one.entries
    }
