"""The launchers with stand-ins for gcloud, srun, xpk and flantune that write down the exact words they get."""

import json
import os
import pathlib
import re
import shlex
import stat
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAUNCH = ROOT / "launch"
SCRIPTS = ("gke_xpk.sh", "gpu_slurm.sh", "local.sh", "tpu_pod.sh")
HOSTILE = "gs://b/a b'c\"$(touch pwned)`x`;&*"
RUN = ["gin/runs/tiny.gin", "--run_dir", HOSTILE, '--gin.X.y="q; $z"']
DATA = [RUN[0], RUN[3]]
PLACES = {
    "TPU": "my tpu",
    "ZONE": "z",
    "TYPE": "v5litepod-256",
    "TOPOLOGY": "v5e:16x16",
    "RUNTIME": "r",
    "NODES": "2",
    "GPUS": "4",
    "GPU": "h100",
    "CLUSTER": "c",
    "PROJECT": "p",
    "WORKLOAD": "w",
    "WAIT_S": "0",
}
RECORDER = """
import json, os, pathlib, sys
words = [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]
folder = pathlib.Path(os.environ["RECORDS"])
with open(folder / "calls", "a") as file:
    file.write(json.dumps(words) + "\\n")
for number, (pattern, answer, status) in enumerate(json.loads(os.environ.get("ANSWERS", "[]"))):
    used = folder / f"used_{number}"
    if pattern in " ".join(words) and not used.exists():
        used.touch()  # each answer is given once
        stream = sys.stdout if status == 0 else sys.stderr
        print(answer, file=stream)
        sys.exit(status)
"""


@pytest.fixture
def launch(tmp_path):
    """Runs a launcher; returns its process and what the stand-ins were called with."""
    for name in ("gcloud", "srun", "xpk", "flantune"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!{sys.executable}\n{RECORDER}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(script, *flags, answers=(), **places):
        environment = {
            **os.environ,
            **PLACES,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "FLANTUNE": str(tmp_path / "bin" / "flantune"),
            "RECORDS": str(tmp_path),
            "ANSWERS": json.dumps(answers),
            "TMPDIR": str(tmp_path),
            **places,
        }
        done = subprocess.run(
            [LAUNCH / script, *flags],
            capture_output=True,
            text=True,
            env={name: value for name, value in environment.items() if value is not None},
            timeout=60,
            cwd=tmp_path,
        )
        calls = tmp_path / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        assert not (tmp_path / "pwned").exists()
        return done, [json.loads(line) for line in lines]

    return run


def tpu(*words):
    return ["gcloud", "compute", "tpus", *words, "--zone", "z", "--project", "p"]


def describe(name="my tpu"):
    return [*tpu("queued-resources", "describe", name), "--format", "value(state.state)"]


def train_on_hosts(call):
    """The words that a shell on a host makes of a call's command."""
    return shlex.split(call[call.index("--command") + 1])


def test_are_small_have_no_hyperparameters_and_pass_shellcheck():
    for script in (*SCRIPTS, "shared.sh"):
        text = (LAUNCH / script).read_text()
        assert len(text.splitlines()) <= 80
        assert not re.search(r"learning_rate|batch_size=\d|dropout|num_steps=\d", text)
    command = ["shellcheck", "-x", *(f"launch/{script}" for script in (*SCRIPTS, "shared.sh"))]
    environment = {
        **os.environ,
        "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout


def test_local_prepares_without_a_gpu_and_trains(launch):
    done, calls = launch("local.sh", *RUN)
    assert done.returncode == 0
    assert calls == [["flantune", "prepare", *DATA], ["flantune", "train", *RUN]]


def test_local_says_what_to_change_when_the_machine_is_full(launch):
    done, _ = launch("local.sh", *RUN, answers=[["flantune train", "Killed", 137]])
    assert done.returncode == 137
    assert "OptimizerConfig.microbatches" in done.stderr


def test_slurm_gets_one_process_for_each_gpu(launch):
    done, calls = launch("gpu_slurm.sh", *RUN, SRUN_FLAGS="--partition gpu --time 1:00:00")
    assert done.returncode == 0, done.stderr
    preflight, srun = calls
    assert preflight == [
        "flantune",
        "preflight",
        "--topology",
        "h100:8",
        "--num_slices",
        "1",
        *RUN[1:3],
        *DATA,
    ]
    at = next(place for place, word in enumerate(srun) if word.endswith("/flantune"))
    assert srun[:at] == shlex.split(
        "srun --job-name flantune --nodes 2 --ntasks-per-node 4 --gpus-per-node 4 --label --kill-on-bad-exit=1 "
        "--signal=TERM@180 --partition gpu --time 1:00:00"
    )
    assert srun[at + 1 :] == ["train", "--distributed", *RUN]


@pytest.mark.parametrize(
    ("statuses", "restarts", "status", "starts"),
    [((137,), "2", 0, 2), ((137, 1), "1", 1, 2), ((2,), "2", 2, 1), ((137,), None, 137, 1)],
)
def test_slurm_starts_all_again_where_a_process_is_lost(launch, statuses, restarts, status, starts):
    answers = [("--kill-on-bad-exit", "", one) for one in statuses]
    done, calls = launch("gpu_slurm.sh", *RUN, answers=answers, RESTARTS=restarts)
    assert done.returncode == status
    assert [call[0] for call in calls] == ["flantune", *["srun"] * starts]
    assert done.stderr.count("a process was lost") == starts - 1


@pytest.mark.parametrize("script", ["gke_xpk.sh", "gpu_slurm.sh", "tpu_pod.sh"])
def test_nothing_is_started_where_a_check_fails(launch, script):
    done, calls = launch(script, *RUN, answers=[["preflight", "FAILED fit: too small", 1]])
    assert done.returncode == 1
    assert "nothing was started" in done.stderr
    assert [call[:2] for call in calls] == [["flantune", "preflight"]]


def test_tpu_takes_a_slice_that_is_there(launch):
    done, calls = launch("tpu_pod.sh", *RUN, answers=[["describe", "ACTIVE", 0]])
    assert done.returncode == 0, done.stderr
    preflight, state, copy, install, train = calls
    assert preflight[2:6] == ["--topology", "v5e:16x16", "--num_slices", "1"]
    assert preflight[6:] == ["--ships_commit", str(ROOT), *RUN[1:3], *DATA]
    assert state == describe()
    assert copy[:5] == ["gcloud", "compute", "tpus", "tpu-vm", "scp"]
    assert copy[6:] == ["my tpu:flantune.tar.gz", "--zone", "z", "--project", "p", "--worker=all"]
    everywhere = [*tpu("tpu-vm", "ssh", "my tpu"), "--worker=all", "--batch-size=all", "--command"]
    assert install[:-1] == train[:-1] == everywhere
    start = ["cd", "flantune", "&&", ".venv/bin/flantune", "train", "--distributed"]
    assert train_on_hosts(train) == [*start, *RUN]


def test_tpu_asks_for_slices_waits_and_starts_on_all(launch):
    answers = [
        ["describe", "ERROR: NOT_FOUND: no such resource", 1],
        ["describe", "WAITING_FOR_RESOURCES", 0],
        ["describe", "ACTIVE", 0],
    ]
    done, calls = launch("tpu_pod.sh", *RUN, answers=answers, SLICES="2", SPOT="1")
    assert done.returncode == 0, done.stderr
    assert calls[2] == [
        *tpu("queued-resources", "create", "my tpu"), "--node-count", "2", "--node-prefix", "my tpu",
        "--accelerator-type", "v5litepod-256", "--runtime-version", "r", "--spot",
    ]  # fmt: skip
    assert [call[3:5] for call in calls[3:5]] == [["queued-resources", "describe"]] * 2
    trained = [call[5] for call in calls if "train" in call[-1]]
    assert sorted(trained) == ["my tpu-0", "my tpu-1"]


def test_tpu_is_asked_for_again_when_it_is_taken_away_until_the_run_is_done(launch):
    answers = [
        ["describe", "ACTIVE", 0],
        ["flantune train", "connection closed", 255],
        ["describe", "SUSPENDING", 0],
        ["describe", "SUSPENDED", 0],
        ["describe", "ERROR: NOT_FOUND", 1],
        ["describe", "ACTIVE", 0],
        ["flantune train", "Stopped by SIGTERM after step 7 of 9; resumable: saved in x", 0],
        ["describe", "ACTIVE", 0],
    ]
    done, calls = launch("tpu_pod.sh", *RUN, answers=answers)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("was taken away") == 2
    kinds = [call[4] for call in calls if call[3] == "queued-resources" and call[4] != "describe"]
    assert kinds == ["delete", "create"]
    assert sum("flantune train" in call[-1] for call in calls) == 3


def test_tpu_stops_where_the_run_itself_fails(launch):
    answers = [
        ["describe", "ACTIVE", 0],
        ["flantune train", "flantune: wrong", 2],
        ["describe", "ACTIVE", 0],
    ]
    done, calls = launch("tpu_pod.sh", *RUN, answers=answers)
    assert done.returncode == 1
    assert "--delete gives it back" in done.stderr
    assert sum("flantune train" in call[-1] for call in calls) == 1


def test_tpu_stops_where_the_cloud_cannot_be_asked(launch):
    done, _ = launch("tpu_pod.sh", *RUN, answers=[["describe", "You are not logged in", 1]])
    assert done.returncode == 1
    assert "You are not logged in" in done.stderr


def test_a_slice_and_a_workload_are_given_back_on_request(launch):
    done, calls = launch("tpu_pod.sh", "--delete")
    assert done.returncode == 0
    assert calls == [[*tpu("queued-resources", "delete", "my tpu"), "--force", "--quiet"]]
    done, calls = launch("gke_xpk.sh", "--delete")
    assert done.returncode == 0
    assert calls[1:] == [
        shlex.split("xpk workload delete --cluster c --zone z --project p --workload w")
    ]


def test_xpk_gets_the_command_as_one_word(launch):
    done, calls = launch("gke_xpk.sh", *RUN, SLICES="2")
    assert done.returncode == 0, done.stderr
    preflight, create = calls
    assert preflight[6:8] == ["--ships_folder", str(ROOT)]
    assert create[:-1] == shlex.split(
        "xpk workload create --cluster c --zone z --project p --workload w --tpu-type v5litepod-256 --num-slices 2 "
        f"--max-restarts 100 --base-docker-image python:3.12 --script-dir {shlex.quote(str(ROOT))} --command"
    )
    words = train_on_hosts(create)
    start = ["python", "-m", "flantune", "train", "--distributed"]
    assert words[words.index("&&") + 1 :] == [*start, *RUN]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_dry_run_prints_the_commands_and_runs_none(launch, script):
    done, calls = launch(script, "--dry_run", *RUN)
    assert done.returncode == 0, done.stderr
    assert not calls
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    trained = [line for line in lines if "train" in line or "train" in " ".join(line[-1:])]
    (last,) = trained
    if "--command" in last:
        last = train_on_hosts(last)
    assert last[-len(RUN) :] == RUN


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_a_run_file_they_tell_how_to_be_used(launch, script):
    done, calls = launch(script)
    assert done.returncode == 2
    assert f"launch/{script}" in done.stderr
    assert not calls


@pytest.mark.parametrize(
    ("script", "name"),
    [("gke_xpk.sh", "CLUSTER"), ("gpu_slurm.sh", "GPUS"), ("tpu_pod.sh", "ZONE")],
)
def test_what_is_not_set_is_named(launch, script, name):
    done, calls = launch(script, *RUN, **{name: None})
    assert done.returncode == 2
    assert f"set {name}" in done.stderr
    assert not calls
