"""How long commands take to start, beside another checkout of flantune: alternately, each a process of its own.

    git worktree add ../before COMMIT
    python tests/benchmarks/start_up.py ../before

Prints the median seconds of both and the median of the ratios of neighbouring runs; below 1, this checkout is faster.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIRST_STEP = "First step done"  # what the log says after it
TRAIN = "train gin/runs/quickstart.gin --run_dir {run_dir} --gin.OptimizerConfig.warmup_steps=1"
FIVE_STEPS = " --gin.experiments.train.num_steps=5 --gin.EvalSuite.examples_per_task=5"
RESUMED = "first step after a checkpoint"
COMMANDS = {
    "--help": ("--help", 15),
    "recipes": ("recipes", 15),
    "show of one task": ("show quickstart:sort_numbers -n 1", 15),
    "first step of the quickstart": (TRAIN, 7),
    RESUMED: (TRAIN, 9),
}


def start(checkout: pathlib.Path, command: str, place: pathlib.Path) -> subprocess.Popen[str]:
    """The process of a command of a checkout; its run folder and its store are in `place`."""
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "PYTHONPYCACHEPREFIX": str(place / "bytecode"),  # both have compiled modules, as users do
        "FLANTUNE_PREPARED_DIR": str(place / "prepared"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.Popen(
        [sys.executable, "-m", "flantune", *command.format(run_dir=place / "run").split()],
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def seconds(checkout: pathlib.Path, command: str, place: pathlib.Path) -> float:
    """Wall time of a command, or until its first training step; the run folder is gone afterwards, the store stays."""
    started = time.perf_counter()
    with start(checkout, command, place) as process:
        assert process.stderr is not None
        trains = command.startswith("train")
        lines = []
        for line in process.stderr:
            lines.append(line)
            if trains and FIRST_STEP in line:
                break
        took = time.perf_counter() - started
        if trains:
            process.kill()
    if (trains and FIRST_STEP not in lines[-1]) or (not trains and process.returncode):
        raise RuntimeError(f"{command} failed: {''.join(lines[-3:])}")
    shutil.rmtree(place / "run", ignore_errors=True)
    return took


def train_once(checkout: pathlib.Path, place: pathlib.Path) -> None:
    """Leaves a run folder with a checkpoint after five steps in `place/trained`."""
    with start(checkout, TRAIN + FIVE_STEPS, place) as process:
        _, log = process.communicate()
    if process.returncode:
        raise RuntimeError(f"training failed: {log[-500:]}")
    (place / "run").rename(place / "trained")


def compared(name: str, places: dict[pathlib.Path, pathlib.Path]) -> None:
    """Prints the line of a command."""
    command, repeats = COMMANDS[name]
    pairs = []
    for _ in range(repeats + 1):
        pair = []
        for checkout, place in places.items():
            if name == RESUMED:
                shutil.copytree(place / "trained", place / "run")
            pair.append(seconds(checkout, command, place))
        pairs.append(pair)
    del pairs[0]  # it warmed the file cache and wrote bytecode
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / two for one, two in pairs)
    print(f"{name:32}{ours:8.2f}{theirs:8.2f}{ratio:8.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=pathlib.Path, help="a checkout to compare with")
    other = parser.parse_args().other.resolve()
    print(f"{'command':32}{'this':>8}{'other':>8}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        places = {
            checkout: pathlib.Path(folder, str(n)) for n, checkout in enumerate((ROOT, other))
        }
        for checkout, place in places.items():
            train_once(checkout, place)
        for name in COMMANDS:
            compared(name, places)


if __name__ == "__main__":
    main()
