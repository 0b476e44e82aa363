"""`flantune doctor`: what is wrong with this machine, installation and its folders. Exit status 1 where a run would stop."""

import argparse
from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib
import sys

from flantune.commands import shared


def add(commands: shared.Commands) -> None:
    about = (
        "Look for what stops a run here, and say what to do: Python, packages, files that hide packages, memory, devices, "
        "the data folder, the prepared store, the run folder, buckets; with a run file, its own paths and splits too. Exit "
        "status 1 where something stops a run."
    )
    parser = shared.command(commands, "doctor", _run, about, files="[RUN.gin]")
    parser.add_argument(
        "--run_dir", help="the run's folder, as train gets it (default: runs/NAME for NAME.gin)"
    )
    parser.add_argument(
        "--device_timeout",
        type=shared.whole_number(1),
        default=60,
        metavar="SECONDS",
        help="how long JAX may take to find its devices (default: 60)",
    )


def _run(parsed: argparse.Namespace, bindings: list[str]) -> int:
    files = [*parsed.gin_file, *parsed.files]
    if bindings and not files:
        raise ValueError(f"--gin.{bindings[0]} goes with a run file: flantune doctor RUN.gin.")
    try:
        with _looking_elsewhere():
            from flantune.jobs.doctor import examination
            from flantune.views import doctor_text, show
    except Exception as error:  # whatever stands in the way of the checks themselves
        raise ValueError(
            f"The checks cannot be loaded ({type(error).__name__}: {error}). If a file here has the name of a module of Python, "
            "rename it, or run flantune doctor in another folder; else install flantune again."
        ) from error
    default = f"runs/{pathlib.Path(files[-1]).stem}" if files else "runs"
    question = examination.Question(
        data_dir=parsed.data_dir,
        prepared_dir=parsed.prepared_dir,
        run_dir=parsed.run_dir or default,
        parse=(lambda: shared.parse_gin(parsed, bindings)) if files else None,
        device_timeout_s=parsed.device_timeout,
        environment=dict(os.environ),
    )
    with _without_devices():
        found = examination.examine(question)
    rows = [dataclasses.asdict(one) for one in found]
    problems = sum(one.level == "problem" for one in found)
    show.write(
        {"checks": rows, "problems": problems},
        doctor_text.text(rows),
        as_json=parsed.json,
        console=shared.OUT,
    )
    return 1 if problems else 0


@contextlib.contextmanager
def _without_devices() -> Iterator[None]:
    """JAX, where a check imports it, takes the CPU and no flags, which could end this process.

    Devices and flags are looked at by a process of their own.
    """
    before = dict(os.environ)
    os.environ.pop("XLA_FLAGS", None)
    os.environ["JAX_PLATFORMS"] = "cpu"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _looking_elsewhere() -> Iterator[None]:
    """Imports of the block do not look here first: a file that hides a package is to be told, not to be met."""
    before = list(sys.path)
    here = pathlib.Path.cwd()
    sys.path[:] = [path for path in before if pathlib.Path(path).resolve() != here]
    try:
        yield
    finally:
        sys.path[:] = before
