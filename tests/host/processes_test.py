"""Processes of one run: how they find each other, and that none waits for ever for one that is gone."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from flantune import cli
from flantune.host import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A process of a group, without a model: joins, says so, and waits or fails.
MEMBER = """
import sys, time
from flantune.host import processes
index, count, address, job = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
place = {} if address == "detect" else dict(coordinator_address=address, count=count, index=index)
group = processes.join(detect=address == "detect", timeout_s=3 if job == "short" else 60, **place)
assert (group.index, group.count) == (index, count)
with group.watched(lambda: "Start again."):
    print("joined", flush=True)
    if job == "fail" and index == 1:
        raise ValueError("the disk is full")
    time.sleep(0 if job == "end" else 120)
print("ended", flush=True)
"""


def free_address():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return f"localhost:{free.getsockname()[1]}"


def begin(index, count, address, job, **environment):
    given = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return subprocess.Popen(
        [sys.executable, "-c", MEMBER, str(index), str(count), address, job],
        env={**given, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (
            "--process_count 2",
            "--coordinator_address, --process_count and --process_index go together",
        ),
        ("--distributed --process_index 0", "--distributed needs none of them"),
        ("--coordinator_address host --process_count 2 --process_index 1", "HOST:PORT"),
        (
            "--coordinator_address host:99999 --process_count 2 --process_index 1",
            "not 'host:99999'",
        ),
        ("--coordinator_address host:80 --process_count 2 --process_index 2", "from 0 to 1"),
        ("--coordinator_address host:80 --process_count 0 --process_index 0", "at least 1, not 0"),
        ("--join_timeout 0", "--join_timeout"),
    ],
)
def test_wrong_flags_are_told_before_anything_is_joined(flags, expected, tmp_path, capsys):
    run = "gin/runs/quickstart.gin"
    try:
        status = cli.main(
            ["train", str(ROOT / run), "--run_dir", str(tmp_path / "run"), *flags.split()]
        )
    except SystemExit as stop:  # argparse
        status = stop.code
    assert status == 2
    assert expected in capsys.readouterr().err.strip().split("\n")[-1]
    assert not (tmp_path / "run").exists()


def test_a_port_in_use_is_named():
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=rf"^Port {port} of .* is in use on this machine"):
            processes.join(coordinator_address=f"localhost:{port}", count=2, index=0)


def test_a_slurm_job_without_srun_is_told_so(monkeypatch):
    for name in ("SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    expected = (
        "SLURM_STEP_NODELIST, SLURM_PROCID, SLURM_LOCALID are not set: start flantune with srun"
    )
    with pytest.raises(ValueError, match=expected):
        processes.join(detect=True)


def test_where_nothing_is_detected_the_flags_are_named():
    process = begin(0, 1, "detect", "end")
    _, error = process.communicate(timeout=60)
    last = error.strip().split("\n")[-1]
    assert process.returncode == 1
    assert re.match(r"ValueError: --distributed finds neither .* Name the processes: --coord", last)


@pytest.mark.slow
def test_processes_of_a_slurm_step_find_each_other():
    port = int(free_address().rpartition(":")[2])
    step = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    step["JAX_COORDINATOR_PORT"] = str(port)
    group = [
        begin(index, 2, "detect", "end", **step, SLURM_PROCID=str(index), SLURM_LOCALID=str(index))
        for index in range(2)
    ]
    for process in group:
        output, error = process.communicate(timeout=60)
        assert (process.returncode, output) == (0, "joined\nended\n"), error


def test_a_process_that_waits_in_vain_for_another_ends_with_a_sentence():
    address = free_address()
    process = begin(0, 2, address, "short")
    output, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert output == ""
    assert (
        f"Waited 3 s for the 2 processes of the run (this is process 0, coordinator {address}), and "
        "not all have come"
    ) in error


def test_an_error_of_one_process_ends_the_others_with_its_words():
    address = free_address()
    group = [begin(index, 2, address, "fail") for index in range(2)]
    ends = [process.communicate(timeout=60) for process in group]
    assert [process.returncode for process in group] == [1, 2]  # 2: wrong input, as of a command
    assert "ValueError: the disk is full" in ends[1][1]
    word = "Process 1 of 2 has stopped: the disk is full. All processes stop. Start again."
    assert ends[0][1].count(word) == 1
    assert "ended" not in ends[0][0]


@pytest.mark.parametrize(
    ("victim", "within_s"),
    [(0, 20), pytest.param(1, 50, marks=pytest.mark.slow)],  # found by missing heartbeats: 30 s
)
def test_the_others_end_with_a_sentence_when_one_is_killed(victim, within_s):
    address = free_address()
    group = [begin(index, 3, address, "wait") for index in range(3)]
    for process in group:
        assert process.stdout.readline() == "joined\n"
    killed_s = time.monotonic()
    group[victim].send_signal(signal.SIGKILL)
    for index, process in enumerate(group):
        _, error = process.communicate(timeout=90)
        if index != victim:
            assert process.returncode == 1
            last = error.strip().split("\n")[-1]
            assert f"Process {victim} of 3 is gone: killed, or on a machine that failed" in last
            assert last.endswith("All processes stop. Start again.")
    assert time.monotonic() - killed_s < within_s
