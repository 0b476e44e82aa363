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
COMMANDS = {
    "--help": ("--help", 15),
    "recipes": ("recipes", 15),
    "show of one task": ("show quickstart:sort_numbers -n 1", 15),
    "first step of the quickstart": ("train gin/runs/quickstart.gin --run_dir {run_dir}", 7),
}


def seconds(checkout: pathlib.Path, command: str, place: pathlib.Path) -> float:
    """Wall time of a command, or until its first training step; the run folder is gone afterwards, the store stays."""
    run_dir = place / "run"
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "PYTHONPYCACHEPREFIX": str(place / "bytecode"),  # both have compiled modules, as users do
        "FLANTUNE_PREPARED_DIR": str(place / "prepared"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    words = command.format(run_dir=run_dir).split()
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "flantune", *words],
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        trains = words[0] == "train"
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
    shutil.rmtree(run_dir, ignore_errors=True)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=pathlib.Path, help="a checkout to compare with")
    other = parser.parse_args().other.resolve()
    print(f"{'command':28}{'this':>8}{'other':>8}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        places = {
            checkout: pathlib.Path(folder, str(n)) for n, checkout in enumerate((ROOT, other))
        }
        for name, (command, repeats) in COMMANDS.items():
            for checkout, place in places.items():  # warms the file cache, writes bytecode
                seconds(checkout, command, place)
            pairs = [
                tuple(seconds(checkout, command, place) for checkout, place in places.items())
                for _ in range(repeats)
            ]
            ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(one / two for one, two in pairs)
            print(f"{name:28}{ours:8.2f}{theirs:8.2f}{ratio:8.2f}", flush=True)


if __name__ == "__main__":
    main()
