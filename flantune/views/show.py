"""Results for a person's terminal, as rich tables, or for a program, as JSON. Called by `commands/` alone."""

from collections.abc import Sequence
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import rich.console
import rich.panel
import rich.table
import rich.text

from flantune.views import evaluation_text, report, whole_tables

if TYPE_CHECKING:
    from flantune.data.store import prepare
    from flantune.evaluation.results import Results

_MAX_ROWS = 60
_MAX_MEMBERS = 5  # of a mixture


def write(
    value: object,
    view: rich.console.RenderableType,
    *,
    as_json: bool,
    console: rich.console.Console,
) -> None:
    """Writes `value` as JSON, or `view` with its tables whole at the console's width."""
    if as_json:
        console.file.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    else:
        console.print(whole_tables.whole(view), highlight=False)


def write_lines(value: object, lines: str, *, as_json: bool, console: rich.console.Console) -> None:
    """Writes `value` as JSON or lines as they stand: nothing is folded, so that commands and paths can be copied."""
    if as_json:
        write(value, "", as_json=True, console=console)
    else:
        console.print(rich.text.Text(lines), soft_wrap=True)


def write_results(results: "Results", *, as_json: bool, console: rich.console.Console) -> None:
    """The summary of an evaluation beside its baselines, and where it was written."""
    if as_json:
        value = report.results_json(results.tuned, results.baselines)
        if results.written is not None:
            value["written"] = dataclasses.asdict(results.written)
        write(value, "", as_json=True, console=console)
        return
    header, rows = report.summary_rows(results.tuned, results.baselines)
    write(None, _table(header, rows), as_json=False, console=console)
    if results.written is not None:
        # A path is copied: it must not be broken where the terminal ends.
        console.print(rich.text.Text(evaluation_text.written(results.written)), soft_wrap=True)


def prepare_table(result: "prepare.PrepareReport") -> rich.table.Table:
    """Counts; failures and malformed rows, where there are any, one by one."""
    rows = [
        (key.replace("_", " "), f"{item:,}" if isinstance(item, int) else _cell(item))
        for key, item in result.as_json().items()
        if item != []
    ]
    return _table(("prepared store", ""), rows)


def mixture_table(rows: Sequence[dict[str, Any]]) -> rich.table.Table:
    """Tasks of a mixture, the largest share first."""
    ordered = sorted(rows, key=lambda row: (-row["rate"], row["task"]))
    cells = [
        (
            row["task"],
            row["cluster"],
            f"{row['rate']:.3%}",
            f"{row['rows']:,}",
            str(row["templates"]),
        )
        for row in ordered[:_MAX_ROWS]
    ]
    if len(ordered) > _MAX_ROWS:
        rest = sum(row["rate"] for row in ordered[_MAX_ROWS:])
        cells.append((f"and {len(ordered) - _MAX_ROWS} more", "", f"{rest:.3%}", "", ""))
    total = f"{sum(row['rows'] for row in rows):,}"
    cells.append(
        (f"{len(rows)} tasks", f"{len({r['cluster'] for r in rows})} clusters", "", total, "")
    )
    return _table(("task", "cluster", "share of examples", "rows", "templates"), cells)


def description(value: dict[str, Any]) -> rich.console.RenderableType:
    """What `experiments.describe` found, for a terminal."""
    if "mixture" in value:
        return mixture_table(value["rows"])
    if "modules" in value:
        return _modules_table(value["modules"])
    if "module" in value:
        tables = []
        if value["rows"] or not value["mixtures"]:
            tables.append(_module_table(value["rows"]))
        if value["mixtures"]:
            tables.append(_mixtures_table(value["mixtures"]))
        return rich.console.Group(*tables)
    return _task_text(value)


def _modules_table(rows: Sequence[dict[str, Any]]) -> rich.table.Table:
    table = rich.table.Table("module")
    for name in ("tasks", "mixtures"):
        table.add_column(name, justify="right")
    table.add_column("about")
    for row in rows:
        absent = " Its files are not in the data directory." if row["absent"] else ""
        counts = (f"{row['tasks']:,}", f"{row['mixtures']:,}")
        table.add_row(row["module"], *counts, row["about"] + absent)
    return table


def _mixtures_table(rows: Sequence[dict[str, Any]]) -> rich.table.Table:
    cells = [
        (
            row["mixture"],
            _listed(row["members"])
            + (f"; not {_listed(row['exclude'])}" if row["exclude"] else ""),
            row["unit"],
            row["held_out"] or "",
        )
        for row in rows
    ]
    return _table(("mixture", "members", "rates count", "held-out plan"), cells)


def _listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - _MAX_MEMBERS
    return ", ".join(names[:_MAX_MEMBERS]) + (f" and {more} more" if more > 0 else "")


def _module_table(rows: Sequence[dict[str, Any]]) -> rich.table.Table:
    cells = [
        (
            row["task"],
            row["cluster"],
            ", ".join(row["splits"]),
            f"{row['templates']} ({', '.join(row['kinds'])})",
            row["licence"],
        )
        for row in rows
    ]
    cells.append((f"{len(rows)} tasks", "", "", "", ""))
    return _table(("task", "cluster", "splits", "templates", "licence"), cells)


def _task_text(value: dict[str, Any]) -> rich.console.Group:
    """A task's facts, its templates and some rendered examples."""
    facts = [
        (key, _cell(item)) for key, item in value.items() if key not in ("templates", "examples")
    ]
    templates = [
        (
            f"{item['number']}" if item["used"] else f"({item['number']})",
            item["kind"] + (f", {item['group']}" if item["group"] else ""),
            item["inputs"],
            item["targets"],
            "evaluation only" if item["held_out"] else "",
        )
        for item in value["templates"]
    ]
    return rich.console.Group(
        _table(("task", ""), facts),
        _table(("template", "kind", "inputs", "targets", ""), templates),
        *(_example_panel(item) for item in value["examples"]),
    )


def _example_panel(item: dict[str, Any]) -> rich.panel.Panel:
    """One rendered row: the choices made, the prompt with its exemplars dimmed, and the target."""
    if "inputs" not in item:
        return rich.panel.Panel(rich.text.Text(item["fit"]), title=f"row {item['row']}")
    choices = [f"row {item['row']}", f"template {item['template']}"]
    if item["exemplars"]:
        choices.append(f"exemplars {', '.join(map(str, item['exemplars']))}")
    for key in ("options_style", "dialog_style"):
        if item[key]:
            shown = [repr(part) for part in item[key] if part]
            choices.append(f"{key.replace('_', ' ')} {' '.join(shown)}")
    num_references = len(item["references"])
    choices.append(f"{num_references} reference{'s' if num_references != 1 else ''}")
    choices.append(f"{item['inputs_tokens']} + {item['targets_tokens']} tokens, {item['fit']}")
    text = rich.text.Text(item["inputs"])
    text.stylize("dim", 0, len(item["inputs"]) - len(item["query"]))
    text.append("\n" + "─" * 12 + "\n", style="dim")
    text.append(item["targets"], style="bold green")
    if item["candidates"]:
        text.append("\ncandidates: " + " | ".join(item["candidates"]), style="cyan")
    return rich.panel.Panel(text, title=rich.text.Text(" · ".join(choices)), title_align="left")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> rich.table.Table:
    table = rich.table.Table(*header)
    for row in rows:
        # Text, because a prompt's brackets are no markup.
        table.add_row(*(rich.text.Text(str(cell)) for cell in row))
    return table


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return "\n".join(_cell(item) for item in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return str(value)
