"""`launch/gpu_slurm.sh` for real: several local processes train, one is killed, one is preempted, the run finishes."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from . import small_runs

pytestmark = pytest.mark.slow
STEPS, SAVE_EVERY = 40, 10
FLAGS = (
    "--gin.EvalSuite.examples_per_task=1",
    "--gin.EvalConfig.max_decode_length=4",
    f"--gin.experiments.train.num_steps={STEPS}",
    f"--gin.CheckpointConfig.save_every_steps={SAVE_EVERY}",
)


class Launched:
    """The launcher with the stand-in for srun; reads its log as it comes."""

    def __init__(self, folder, run_dir, store):
        words = small_runs.train_command(run_dir, store, *FLAGS)[1:]
        self.process = subprocess.Popen(
            [small_runs.ROOT / "launch" / "gpu_slurm.sh", *words],
            cwd=small_runs.ROOT,
            env={**small_runs.environment(store), **_tools(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_until(self, condition):
        small_runs.wait_until(lambda: condition() or self.process.poll() is not None, [])
        assert condition(), "".join(self.log)

    def _read(self):
        for line in self.process.stderr:
            self.log.append(line)

    def tasks(self):
        """The process ids of each step that was started."""
        lines = [line for line in list(self.log) if line.startswith("tasks ")]
        return [[int(word) for word in line.split()[1:]] for line in lines]

    def log_of_step(self, number):
        places = [place for place, line in enumerate(self.log) if line.startswith("tasks ")]
        return "".join(self.log[places[number] :])

    def finish(self):
        output = self.process.stdout.read()
        status = self.process.wait(timeout=600)
        self._reader.join()
        return status, output, "".join(self.log)


def _tools(folder):
    """Two processes on one node; srun and flantune as commands."""
    commands = {
        "srun": [sys.executable, small_runs.ROOT / "tests" / "real_runs" / "srun.py"],
        "flantune": [sys.executable, "-m", "flantune"],
    }
    for name, words in commands.items():
        path = folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec {" ".join(map(str, words))} "$@"\n')
        path.chmod(0o755)
    return {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "FLANTUNE": str(folder / "bin" / "flantune"),
        "NODES": "1",
        "GPUS": "2",
        "GPU": "h100",
        "RESTARTS": "1",
        "STANDIN_JOB_ID": str(os.getpid()),  # JAX makes the coordinator's port of it
    }


def test_processes_of_a_step_are_killed_preempted_and_finish(tmp_path):
    store, run_dir = tmp_path / "prepared", tmp_path / "run"
    words = small_runs.train_command(run_dir, store, *FLAGS)[1:]
    words = [*words[: words.index("--run_dir")], "--prepared_dir", str(store)]
    subprocess.run(
        [sys.executable, "-m", "flantune", "prepare", *words],
        cwd=small_runs.ROOT,
        env=small_runs.environment(store),
        check=True,
        capture_output=True,
    )

    first = Launched(tmp_path, run_dir, store)
    first.wait_until((run_dir / "checkpoints" / f"checkpoint_{SAVE_EVERY}").exists)
    os.kill(first.tasks()[0][1], signal.SIGKILL)  # a node is lost: the launcher starts all again
    first.wait_until(lambda: len(first.tasks()) == 2)
    first.wait_until(lambda: f"step {SAVE_EVERY + 2}/{STEPS}" in first.log_of_step(1))
    os.kill(first.tasks()[1][1], signal.SIGTERM)  # one is preempted: all save and end
    status, output, log = first.finish()
    assert status == 0, log
    assert "FAILED" not in output
    assert "gpu_slurm.sh: a process was lost (status 137): starting all again" in log
    assert f"step {SAVE_EVERY} of {STEPS}" in log
    stopped = re.findall(r"([01]): .* after step (\d+) of 40; resumable", log)
    assert sorted(index for index, _ in stopped) == ["0", "1"]
    assert len({step for _, step in stopped}) == 1
    assert re.search(r"flantune: Stopped after step \d+ of 40. The same command continues.", log)

    status, _, log = Launched(tmp_path, run_dir, store).finish()  # the same command
    assert status == 0, log
    assert f"step {stopped[0][1]} of {STEPS}" in log
    assert [line["step"] for line in small_runs.lines(run_dir) if "train/loss" in line] == list(
        range(1, STEPS + 1)
    )
    for name in ("report.json", "report.md", "report.html"):
        assert (run_dir / name).stat().st_size > 0
