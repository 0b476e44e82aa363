"""`flantune show`: a mixture's tasks and shares, or a task's templates and rendered examples."""

import argparse

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = "Show a mixture's tasks and shares, or a task's templates and rendered examples."
    parser = shared.command(commands, "show", _run, about)
    parser.add_argument("--mixture", help="mixture or task to show (default: the run's)")
    parser.add_argument("--task", help="show this task's templates and examples instead")
    parser.add_argument("--split", help="split of rows and examples (default: the run's)")
    parser.add_argument(
        "--examples", type=int, default=3, help="rendered examples of --task (default: 3)"
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments, gin_files, show

    shared.parse_gin(parsed, bindings)
    if parsed.task:
        job = gin_files.bind(
            experiments.describe_task,
            task=parsed.task,
            split=parsed.split,
            num_examples=parsed.examples,
        )
        value = job()
        show.write(value, show.task_text(value), as_json=parsed.json, console=shared.OUT)
        return 0
    rows = gin_files.bind(
        experiments.describe_mixture, mixture=parsed.mixture, split=parsed.split
    )()
    show.write(rows, show.mixture_table(rows), as_json=parsed.json, console=shared.OUT)
    return 0
