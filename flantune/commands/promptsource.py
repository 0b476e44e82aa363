"""`flantune promptsource`: which of promptsource's templates are used or refused, and for which rows each has a prompt."""

import argparse
from collections.abc import Sequence
from typing import Any

import rich.table

from flantune.commands import shared

_MODULE = "tasks.promptsource"


def add(commands: shared.Commands) -> None:
    about = (
        "List the datasets of promptsource whose rows are there, with the templates that are refused and why; or, of a "
        "task, the rows for which each template has a prompt, and why not for the others."
    )
    parser = commands.add_parser("promptsource", help=about, description=about)
    parser.add_argument("task", nargs="?", metavar="TASK", help="FAMILY:DATASET (default: all)")
    parser.add_argument("--split", default="train", help="split of the task (default: train)")
    parser.add_argument(
        "--modules",
        default=_MODULE,
        help=f"modules to search, split by commas (default: {_MODULE})",
    )
    parser.add_argument(
        "--data_dir", help="root of source files (else FLANTUNE_DATA_DIR, else here)"
    )
    parser.add_argument("--prepared_dir", help="prepared store, which remembers template files")
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    if bindings:
        raise ValueError(f"promptsource reads no gin file: --gin.{bindings[0]} says nothing to it.")
    from flantune import configs
    from flantune.data import catalog as catalog_lib
    from flantune.data.input import loading
    from flantune.interop import promptsource_report
    from flantune.views import show

    config = configs.DataConfig(
        mixture="",
        modules=tuple(parsed.modules.split(",")),
        vocabulary="bytes",
        inputs_length=1,
        targets_length=1,
        batch_size=1,
        data_dir=parsed.data_dir,
        prepared_dir=parsed.prepared_dir,
    )
    data_dir = loading.data_dir(config)
    catalog = catalog_lib.load(config.modules, loading.open_store(config), data_dir)
    if parsed.task is None:
        rows = promptsource_report.datasets(catalog.tasks.values())
        if not rows and catalog.problems:
            raise ValueError(" ".join(catalog.problems))
        view = _datasets_table(rows)
    else:
        rows = promptsource_report.templates(catalog.task(parsed.task), parsed.split, data_dir)
        view = _templates_table(rows)
    show.write(rows, view, as_json=parsed.json, console=shared.OUT)
    return 0


def _datasets_table(rows: Sequence[dict[str, Any]]) -> rich.table.Table:
    table = rich.table.Table("task", "direct", "inversion", "with choices", "refused, and why")
    for row in rows:
        refused = "\n".join(f"{one['template']}: {one['reason']}" for one in row["refused"])
        counts = (row["direct"], row["inversion"], row["choices_in_prompt"])
        table.add_row(row["task"], *map(str, counts), refused or "-")
    return table


def _templates_table(rows: Sequence[dict[str, Any]]) -> rich.table.Table:
    table = rich.table.Table("template", "kind", "rows", "rows without a prompt, and why")
    for row in rows:
        without = "\n".join(f"{count:,}: {reason}" for reason, count in row["without"].items())
        table.add_row(row["template"], row["kind"], f"{row['rows']:,}", without or "-")
    return table
