"""`flantune eval`: a checkpoint on the suites of its run, or others."""

import argparse

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "Score a checkpoint on the suites of its run; gin files and flags win over the run's own."
    )
    shared.add_checkpoint(shared.command(commands, "eval", _run, about))


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments
    from flantune.jobs import gin_files
    from flantune.training import devices
    from flantune.views import show

    shared.parse_gin(parsed, bindings)
    devices.check()
    results = gin_files.bind(experiments.evaluate, checkpoint=parsed.checkpoint, step=parsed.step)()
    show.write_results(results, as_json=parsed.json, console=shared.OUT)
    return 0
