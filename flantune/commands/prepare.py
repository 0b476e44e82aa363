"""`flantune prepare`: every source of a run into the prepared store."""

import argparse

from flantune.commands import shared
from flantune.host import interrupts


def add(commands: shared.Commands) -> None:
    about = "Read every source of a run into the prepared store, once."
    parser = shared.command(commands, "prepare", _run, about)
    parser.add_argument(
        "--num_processes",
        type=shared.whole_number(0),
        help="worker processes; 0: none (default: one for each core)",
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments
    from flantune.jobs import gin_files
    from flantune.views import show

    shared.parse_gin(parsed, bindings)
    given = {} if parsed.num_processes is None else {"num_processes": parsed.num_processes}
    job = gin_files.bind(experiments.prepare, **given)
    with interrupts.during(
        "the preparation; what is prepared is kept, and the same command goes on"
    ):
        result = job()
    show.write(
        result.as_json(), show.prepare_table(result), as_json=parsed.json, console=shared.OUT
    )
    return 1 if result.failed else 0
