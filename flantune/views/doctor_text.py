"""What `flantune doctor` found, for a person: a line for each check, and below it what to do."""

from collections.abc import Mapping, Sequence

import rich.console
import rich.table
import rich.text

_STYLES = {"problem": "bold red", "warning": "yellow", "unknown": "magenta", "ok": "green"}


def text(findings: Sequence[Mapping[str, str]]) -> rich.console.Group:
    """The findings in their order, the verdict last.

    Args:
        findings: "what", "level", "found" and "advice" of each.
    """
    table = rich.table.Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in findings:
        level = rich.text.Text(one["level"], style=_STYLES[one["level"]])
        table.add_row(level, rich.text.Text(one["what"]), rich.text.Text(one["found"]))
        if one["advice"]:
            table.add_row("", "", rich.text.Text(f"-> {one['advice']}", style="bold"))
    return rich.console.Group(table, rich.text.Text(verdict(findings)))


def verdict(findings: Sequence[Mapping[str, str]]) -> str:
    """Counts in one sentence, such as "1 problem stops a run; 2 warnings."."""
    levels = [one["level"] for one in findings]
    problems, warnings, unknown = (
        levels.count(level) for level in ("problem", "warning", "unknown")
    )
    stops = {0: "Nothing stops a run", 1: "1 problem stops a run"}
    said = stops.get(problems, f"{problems} problems stop a run")
    said += f"; {warnings} warning{'' if warnings == 1 else 's'}"
    if unknown:
        said += f"; {unknown} check{'' if unknown == 1 else 's'} failed"
    return f"{said}."
