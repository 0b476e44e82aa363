"""The commands that run a job: prepare, train, eval, infer. Read `experiments.py` next: it has the jobs."""

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
    for add_one in (_add_prepare, _add_train, _add_eval, _add_infer):
        add_one(commands)


def _add_prepare(commands: shared.Commands) -> None:
    about = "Read every source of a run into the prepared store, once."
    parser = shared.command(commands, "prepare", _run_prepare, about)
    parser.add_argument(
        "--num_processes",
        type=shared.whole_number(0),
        help="worker processes; 0: none (default: one for each core)",
    )


def _add_train(commands: shared.Commands) -> None:
    about = "Train, evaluate and report; continues where the run folder left off."
    parser = shared.command(commands, "train", _run_train, about)
    parser.add_argument("--run_dir", help="the run's folder (default: runs/NAME for NAME.gin)")
    parser.add_argument(
        "--profile_steps",
        metavar="FIRST:LAST",
        help="trace these steps, both included, for XProf and TensorBoard: 10:15",
    )
    process_flags.add(parser)


def _add_eval(commands: shared.Commands) -> None:
    about = (
        "Score a checkpoint on the suites of its run; gin files and flags win over the run's own."
    )
    _add_checkpoint(shared.command(commands, "eval", _run_eval, about))


def _add_infer(commands: shared.Commands) -> None:
    about = "Answer prompts with a checkpoint: JSON lines with `inputs`, or plain lines on standard input."
    parser = shared.command(commands, "infer", _run_infer, about)
    _add_checkpoint(parser)
    parser.add_argument("--input", help="JSONL file with `inputs` (default: standard input)")
    parser.add_argument(
        "--output", help="JSONL file that gets `prediction` added (default: standard output)"
    )


def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", required=True, metavar="RUN_DIR", help="a run's folder")
    parser.add_argument(
        "--step", type=shared.whole_number(0), help="step of the checkpoint (default: the last)"
    )


def _run_prepare(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments
    from flantune.jobs import gin_files
    from flantune.views import show

    shared.parse_gin(parsed, bindings)
    given = {} if parsed.num_processes is None else {"num_processes": parsed.num_processes}
    result = gin_files.bind(experiments.prepare, **given)()
    show.write(
        result.as_json(), show.prepare_table(result), as_json=parsed.json, console=shared.OUT
    )
    return 1 if result.failed else 0


def _run_train(parsed: argparse.Namespace, bindings: list[str]) -> int:
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


def _run_eval(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments
    from flantune.jobs import gin_files
    from flantune.views import show

    shared.parse_gin(parsed, bindings)
    results = gin_files.bind(experiments.evaluate, checkpoint=parsed.checkpoint, step=parsed.step)()
    show.write_results(results, as_json=parsed.json, console=shared.OUT)
    return 0


def _run_infer(parsed: argparse.Namespace, bindings: list[str]) -> int:
    from flantune import experiments
    from flantune.inference import prompts_file
    from flantune.jobs import gin_files

    shared.check_output("--output", parsed.output)
    shared.parse_gin(parsed, bindings)
    rows = prompts_file.read(parsed.input)
    job = gin_files.bind(
        experiments.infer,
        checkpoint=parsed.checkpoint,
        step=parsed.step,
        prompts=[row["inputs"] for row in rows],
    )
    prompts_file.write(rows, job(), parsed.output, as_json=parsed.json or bool(parsed.input))
    return 0


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
