"""`flantune train`: trains, evaluates and reports; its log goes into the run folder too."""

import argparse
import functools
import pathlib
import sys

from absl import logging

from flantune.commands import process_flags, shared
from flantune.host import error_text, interrupts

_KINDS = ("model", "mixture", "vocabulary")  # of what a run is trained with
_GOES_ON = "nothing is lost, and the same command goes on"


def add(commands: shared.Commands) -> None:
    about = "Train, evaluate and report; continues where the run folder left off."
    parser = shared.command(commands, "train", _run, about)
    parser.add_argument("--run_dir", help="the run's folder (default: runs/NAME for NAME.gin)")
    parser.add_argument(
        "--profile_steps",
        metavar="FIRST:LAST",
        help="trace these steps, both included, for XProf and TensorBoard: 10:15",
    )
    parser.add_argument(
        "--allow_other",
        action="append",
        default=[],
        choices=_KINDS,
        help="go on in a folder that was trained with another model, mixture or vocabulary; repeatable",
    )
    process_flags.add(parser)


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    with interrupts.during(f"the start of the run; {_GOES_ON}"):
        from flantune import experiments
        from flantune.jobs import gin_files
        from flantune.training import devices, preemption
        from flantune.views import show

        files = shared.parse_gin(parsed, bindings)
        run_dir = parsed.run_dir or f"runs/{pathlib.Path(files[-1]).stem}"
        shared.check_folder("--run_dir", run_dir)
        flags = {"profile_steps": parsed.profile_steps, "allow_other": tuple(parsed.allow_other)}
        given = {name: value for name, value in flags.items() if value}
        job = gin_files.bind(
            experiments.train, run_dir=run_dir, config_text=gin_files.resolved(), **given
        )
        group = process_flags.join(parsed)
    with group.watched(functools.partial(_how_to_continue, run_dir)):
        devices.check()
        group.log_place()
        try:
            results = job()
        except preemption.Stopped as stopped:
            said = error_text.sentence(stopped)
            print(f"flantune: {said} The same command continues.", file=sys.stderr)
            return 0
        except KeyboardInterrupt as broken:
            said = str(broken) or "Stopped in the set-up of the run."
            num_steps = gin_files.optional_binding(experiments.train, "num_steps")
            raise interrupts.Interrupted(f"{said} {_how_to_go_on(run_dir, num_steps)}") from broken
    if group.index == 0:
        if results is not None:
            show.write_results(results, as_json=parsed.json, console=shared.OUT)
        logging.info("Report: %s/report.html", run_dir)
    return 0


def _how_to_continue(run_dir: str) -> str:
    from flantune.training import checkpoints

    step = checkpoints.Checkpoints(run_dir).latest_step()
    begins = (
        "begins anew, since it has no checkpoint yet"
        if step is None
        else f"continues from step {step}"
    )
    return f"Start the same command in all processes again: the run {begins}."


def _how_to_go_on(run_dir: str, num_steps: object) -> str:
    """What is there of a run that Ctrl-C broke, and what finishes it."""
    from flantune.training import checkpoints

    step = checkpoints.Checkpoints(run_dir).latest_step()
    if step is None:
        return f"No step was saved yet: {_GOES_ON}."
    if step == num_steps:
        return (
            f"The run is trained, and step {step} is saved: flantune eval --checkpoint {run_dir} evaluates it, and the "
            "same command evaluates it and writes the report."
        )
    return f"The same command continues from step {step} of {num_steps}."
