"""`flantune train`: trains, evaluates and reports; its log goes into the run folder too."""

import argparse
from collections.abc import Iterator
import contextlib
import functools
import logging as std_logging
import pathlib
import sys

from absl import logging

from flantune.commands import process_flags, shared
from flantune.host import error_text


def add(commands: shared.Commands) -> None:
    about = "Train, evaluate and report; continues where the run folder left off."
    parser = shared.command(commands, "train", _run, about)
    parser.add_argument("--run_dir", help="the run's folder (default: runs/NAME for NAME.gin)")
    parser.add_argument(
        "--profile_steps",
        metavar="FIRST:LAST",
        help="trace these steps, both included, for XProf and TensorBoard: 10:15",
    )
    process_flags.add(parser)


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments
    from flantune.jobs import gin_files
    from flantune.views import show

    files = shared.parse_gin(parsed, bindings)
    run_dir = parsed.run_dir or f"runs/{pathlib.Path(files[-1]).stem}"
    shared.check_folder("--run_dir", run_dir)
    given = {} if parsed.profile_steps is None else {"profile_steps": parsed.profile_steps}
    job = gin_files.bind(
        experiments.train, run_dir=run_dir, config_text=gin_files.resolved(), **given
    )
    from flantune.training import preemption

    group = process_flags.join(parsed)
    keeps_log = group.index == 0 and "://" not in run_dir  # a bucket takes no appending
    with (
        group.watched(functools.partial(_how_to_continue, run_dir)),
        _log_to_file(run_dir) if keeps_log else contextlib.nullcontext(),
    ):
        group.log_place()
        try:
            results = job()
        except preemption.Stopped as stopped:
            said = error_text.sentence(stopped)
            print(f"flantune: {said} The same command continues.", file=sys.stderr)
            return 0
    if results is not None and group.index == 0:
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


@contextlib.contextmanager
def _log_to_file(run_dir: str) -> Iterator[None]:
    """Adds the log to a run's folder; one that is new and got nothing but the log goes with a run that is refused."""
    folder = pathlib.Path(run_dir)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    handler = std_logging.FileHandler(folder / "log.txt")
    handler.setFormatter(std_logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(shared.ours_or_warning)
    std_logging.getLogger().addHandler(handler)
    try:
        yield
    except BaseException:
        if is_new and [path.name for path in folder.iterdir()] == ["log.txt"]:
            (folder / "log.txt").unlink()
            folder.rmdir()
        raise
    finally:
        std_logging.getLogger().removeHandler(handler)
        handler.close()
