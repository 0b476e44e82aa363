"""Rows per second of `flantune prepare`, start-up included: Natural Instructions, both splits of every task.

Measures the real folder where it lies beside the checkout, else a generated one of the same shape (620 task files of 250
rows). Each round prepares into an empty store and then once more, when nothing is left to do. Prints medians.

    python tests/benchmarks/prepare.py [--num_processes 2] [--rounds 3]
"""

import argparse
import json
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
    """The report of one run of the command, and its seconds from start to end."""
    command = [sys.executable, "-m", "flantune", "prepare", str(root / "run.gin"), "--json"]
    command += [f"--data_dir={data_dir}", f"--num_processes={num_processes}"]
    command += [f"--gin.DataConfig.prepared_dir='{root / 'store'}'"]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout), time.perf_counter() - start


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
            report, seconds = prepare(data_dir, root, arguments.num_processes)
            first.append(seconds)
            assert not report["failed"]
            assert report["prepared"]
            again, seconds = prepare(data_dir, root, arguments.num_processes)
            second.append(seconds)
            assert again["fresh"] == report["prepared"]
    seconds, rows = statistics.median(first), report["rows"]
    print(f"{report['prepared']} splits, {rows:,} rows, {arguments.num_processes} processes")
    print(f"from nothing      {seconds:8.2f} s   {rows / seconds:10,.0f} rows/s")
    print(f"nothing to do     {statistics.median(second):8.2f} s")
    print(f"all rounds        {', '.join(f'{one:.2f}' for one in first)} s")


if __name__ == "__main__":
    main()
