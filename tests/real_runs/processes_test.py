"""Four processes of two CPU devices train one run: what one process trains; killed, stopped and continued, the same run."""

import re
import signal
import time

import numpy as np
import pytest

from flantune.audit.ledger import counts as ledger_counts
from flantune.training import checkpoints

from . import small_runs

pytestmark = pytest.mark.slow
STEPS, SAVE_EVERY = 40, 10
FLAGS = (
    small_runs.NO_EVALUATION,
    f"--gin.experiments.train.num_steps={STEPS}",
    f"--gin.CheckpointConfig.save_every_steps={SAVE_EVERY}",
)


def start_four(run_dir, store):
    return small_runs.start_group(run_dir, store, *FLAGS, count=4, devices=2)


def kill_at(checkpoint, victim, processes):
    """Kills one process when a checkpoint is there; the logs of all, and how long the others lived on."""
    small_runs.wait_until(checkpoint.exists, processes)
    processes[victim].send_signal(signal.SIGKILL)
    killed_s = time.monotonic()
    logs = [process.communicate(timeout=600)[1] for process in processes]
    return logs, time.monotonic() - killed_s


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, store):
    """The folder of the run in one process with all eight devices."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    small_runs.finish([small_runs.start(run_dir, store, *FLAGS, devices=8)])
    return run_dir


@pytest.fixture(scope="module")
def together(tmp_path_factory, store, alone):
    """The folder of the undisturbed run in four processes."""
    run_dir = tmp_path_factory.mktemp("together") / "run"
    log = small_runs.finish(start_four(run_dir, store))[0]
    assert "Process 0 of 4 (coordinator localhost:" in log
    assert "2 of 8 cpu device(s) are its own" in log
    return run_dir


def test_each_process_takes_its_own_part_of_what_one_takes(alone, together):
    whole = checkpoints.Checkpoints(alone).data_state()["batches"]
    parts = checkpoints.Checkpoints(together).data_state()["batches"]
    assert parts["lanes"] == whole["lanes"]  # where each lane of the mixture is
    counts = parts[ledger_counts.KEY]["processes"]
    assert sorted(counts) == ["0", "1", "2", "3"]
    examples = [sum(counts[index]["examples"]) for index in sorted(counts)]
    assert min(examples) > 100
    # Nothing twice and nothing left out: by task and template, the parts add up to the whole.
    for name, numbers in whole[ledger_counts.KEY]["processes"]["0"].items():
        added = np.sum([counts[index][name] for index in sorted(counts)], axis=0)
        np.testing.assert_array_equal(added, numbers, err_msg=name)


def test_each_process_has_lanes_of_its_own(together):
    folder = together / "checkpoints" / f"checkpoint_{STEPS}" / "data"
    files = sorted(folder.glob("process_*-of-4.json"))
    lanes = [set(small_runs.read_json(file)["batches"]["lanes"]) for file in files]
    assert lanes == [{"0"}, {"1"}, {"2"}, {"3"}]


def test_parameters_are_those_of_one_process(alone, together):
    expected, found = (small_runs.final_state(run_dir, STEPS) for run_dir in (alone, together))
    assert expected.keys() == found.keys()
    assert len(expected) > 100
    # Sums over devices of several processes are added in another order.
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name)


def test_killed_stopped_and_continued_it_is_the_same_run(tmp_path, store, together):
    run_dir = tmp_path / "run"
    for victim, step in ((2, SAVE_EVERY), (0, 2 * SAVE_EVERY)):
        processes = start_four(run_dir, store)
        checkpoint = run_dir / "checkpoints" / f"checkpoint_{step}"
        logs, lived_s = kill_at(checkpoint, victim, processes)
        assert lived_s < 60
        for index, process in enumerate(processes):
            if index != victim:
                assert process.returncode == 1, logs[index]
                last = logs[index].strip().split("\n")[-1]
                assert f"Process {victim} of 4 is gone: killed, or on a machine" in last
                assert last.endswith(f"again: the run continues from step {step}.")

    processes = start_four(run_dir, store)
    last = 2 * SAVE_EVERY
    small_runs.wait_until(lambda: small_runs.is_past(run_dir, last, last + 2, STEPS), processes)
    processes[3].send_signal(signal.SIGTERM)
    stopped = [
        re.findall(r"after step (\d+) of 40; resumable", log)
        for log in small_runs.finish(processes)
    ]
    assert stopped[0] != [str(STEPS)]
    assert stopped == [stopped[0]] * 4
    assert len(stopped[0]) == 1

    logs = small_runs.finish(start_four(run_dir, store))
    assert f"step {stopped[0][0]} of {STEPS}" in logs[0]
    # Nothing but the time has changed: the same programs on the same devices, from the same saved numbers.
    expected, found = (small_runs.final_state(folder, STEPS) for folder in (together, run_dir))
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    losses = [
        {line["step"]: line["train/loss"] for line in small_runs.lines(folder)}
        for folder in (together, run_dir)
    ]
    assert losses[0] == losses[1]
    assert sorted(losses[0]) == list(range(1, STEPS + 1))
