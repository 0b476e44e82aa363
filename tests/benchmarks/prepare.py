"""Rows per second of `flantune prepare`, start-up included: Natural Instructions, both splits of every task.

Measures the real folder where it lies beside the checkout, else a generated one of the same shape (620 task files of 250
rows). Each round prepares into an empty store and then once more, when nothing is left to do. Prints medians.

    python tests/benchmarks/prepare.py [--num_processes 2] [--rounds 3]
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
REAL_DATA = ROOT.parent / "shared" / "data"
FOLDER = "natural_instructions"
TASKS, ROWS, WORDS = 620, 250, 40
RUN_FILE = """
from __gin__ import dynamic_registration
from flantune import configs
from flantune import experiments
configs.DataConfig.mixture = "natural_instructions:*"
configs.DataConfig.modules = ("tasks.natural_instructions",)
configs.DataConfig.vocabulary = "bytes"
configs.DataConfig.inputs_length = 1024
configs.DataConfig.targets_length = 256
configs.DataConfig.batch_size = 8
configs.EvalSuite.name = "test"
configs.EvalSuite.mixture = "natural_instructions:*"
configs.EvalConfig.suites = (@configs.EvalSuite(),)
configs.EvalConfig.metric = "rouge_l"
configs.EvalConfig.batch_size = 8
configs.EvalConfig.max_decode_length = 8
experiments.prepare.data = @configs.DataConfig()
experiments.prepare.evaluation = @configs.EvalConfig()
"""


def generate(folder):
    """Task files in the published schema, each row with an input of 40 words and a short output."""
    folder.mkdir()
    for task in range(TASKS):
        content = {
            "Definition": [f"Definition of task {task}. " * 10],
            "Categories": ["Generated"],
            "Positive Examples": [{"input": "a b", "output": "c", "explanation": "d"}] * 2,
            "Negative Examples": [],
            "Instances": [
                {"id": f"{task}-{row}", "input": f"word{row} " * WORDS, "output": [f"yes {row}"]}
                for row in range(ROWS)
            ],
        }
        (folder / f"task{task:04d}_generated.json").write_text(json.dumps(content, indent=1))


def prepare(data_dir, root, num_processes):
    """The report of one run of the command, its seconds from start to end, and those of all its processes' cores."""
    command = [sys.executable, "-m", "flantune", "prepare", str(root / "run.gin"), "--json"]
    command += [f"--data_dir={data_dir}", f"--num_processes={num_processes}"]
    command += [f"--gin.DataConfig.prepared_dir='{root / 'store'}'"]
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    seconds, after = time.perf_counter() - start, os.times()
    busy = sum(after[2:4]) - sum(before[2:4])  # of children, user and system
    return json.loads(done.stdout), seconds, busy


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, data_dir = pathlib.Path(folder), REAL_DATA
        (root / "run.gin").write_text(RUN_FILE)
        if not (data_dir / FOLDER).is_dir():
            data_dir = root
            generate(root / FOLDER)
        first, second = [], []
        for _ in range(arguments.rounds):
            shutil.rmtree(root / "store", ignore_errors=True)
            report, *times = prepare(data_dir, root, arguments.num_processes)
            first.append(times)
            assert not report["failed"]
            assert report["prepared"]
            again, *times = prepare(data_dir, root, arguments.num_processes)
            second.append(times)
            assert again["fresh"] == report["prepared"]
    rows = report["rows"]
    print(f"{report['prepared']} splits, {rows:,} rows, {arguments.num_processes} processes")
    for name, times in (("from nothing", first), ("nothing to do", second)):
        seconds, busy = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{name:14} {seconds:6.2f} s  {rows / seconds:9,.0f} rows/s  ({busy:.2f} s of cores)")
    print(f"all rounds     {', '.join(f'{seconds:.2f}' for seconds, _ in first)} s")


if __name__ == "__main__":
    main()
