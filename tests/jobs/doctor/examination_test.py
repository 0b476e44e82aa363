"""`flantune doctor` as a whole: every check is told, also those that fail themselves; its status says whether a run would stop."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from flantune import cli, testing
from flantune.data import sources
from flantune.jobs.doctor import devices, findings, software, storage
from flantune.testing import tiny

ROWS = {"train": [{"text": "a", "answer": "b"}] * 4}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder; devices, which take seconds, are as on a machine without an accelerator."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLANTUNE_DATA_DIR", raising=False)
    monkeypatch.setenv("FLANTUNE_PREPARED_DIR", str(tmp_path / "store"))
    cpu = devices.Devices(backend="cpu", kinds=("cpu",), count=1)
    monkeypatch.setattr(devices, "gather", lambda timeout_s, environment: cpu)
    return tmp_path


@pytest.fixture
def run_file(here):
    path = here / "run.gin"
    path.write_text(
        tiny.run_file(
            {
                "DataConfig.mixture": "doc:echo",
                "DataConfig.modules": ("doctor_tasks",),
                "DataConfig.vocabulary": "bytes",
                "DataConfig.inputs_length": 32,
                "DataConfig.targets_length": 8,
                "DataConfig.batch_size": 4,
                "CheckpointConfig.save_every_steps": 5,
                "train.num_steps": 5,
            }
        )
    )
    return path


def doctor(capsys, *words):
    """The status, and level and text of each check."""
    status = cli.main(["doctor", "--json", *map(str, words)])
    told = json.loads(capsys.readouterr().out)
    assert told["problems"] == sum(one["level"] == "problem" for one in told["checks"])
    for one in told["checks"]:
        assert bool(one["advice"]) == (one["level"] != "ok"), one
    return status, {one["what"]: (one["level"], one["found"]) for one in told["checks"]}


def test_an_empty_folder_is_as_it_should_be(capsys):
    status, checks = doctor(capsys)
    assert status == 0
    assert set(checks) == {
        "python",
        "packages",
        "versions",
        "names here",
        "memory",
        "devices",
        "compile cache",
        "data folder",
        "prepared store",
        "run folder",
        "temporary folder",
    }
    assert {what for what, (level, _) in checks.items() if level == "problem"} == set()


def test_a_run_is_looked_at_too(run_file, here, capsys):
    task = testing.make_task("doc:echo", ROWS)
    with testing.task_module("doctor_tasks", [task]):
        status, checks = doctor(capsys, run_file)
        assert status == 0
        assert checks["run file"] == (
            "ok",
            "binds all that training needs; mixture 'doc:echo'",
        )
        assert checks["splits"][0] == "warning"
        assert "1 of 1 splits are not prepared yet: doc:echo (train)" in checks["splits"][1]
        assert checks["run folder"][1].startswith("runs/run, to be made")
        testing.prepare([task], here / "store")
        _, checks = doctor(capsys, run_file)
        assert checks["splits"] == ("ok", "all 1 are prepared")
        assert "1 split in" in checks["prepared rows"][1]


def test_a_stale_split_and_one_without_a_source_are_told_apart(run_file, here, capsys):
    (here / "rows.jsonl").write_text('{"text": "a", "answer": "b"}\n')

    def task(name, file):
        source = sources.Jsonl(train=file)
        return dataclasses.replace(testing.make_task(name, ROWS), source=source)

    there, gone = task("doc:echo", "rows.jsonl"), task("doc:gone", "gone.jsonl")
    with testing.task_module("doctor_tasks", [there, gone]):
        assert cli.main(["prepare", str(run_file)]) == 0
        (here / "rows.jsonl").write_text('{"text": "changed", "answer": "b"}\n')
        capsys.readouterr()
        status, checks = doctor(capsys, run_file)
        assert (status, checks["splits"][0]) == (0, "warning")
        assert (
            "are not what their source, to_fields or files are now: doc:echo (train)"
            in checks["splits"][1]
        )
        status, checks = doctor(capsys, run_file, "--gin.DataConfig.mixture=doc:*")
        assert status == 1
        status, checks = doctor(capsys, run_file, "--gin.DataConfig.mixture=doc:gone")
        assert (status, checks["splits"][0]) == (1, "problem")
        assert "doc:gone (train)" in checks["splits"][1]


def test_what_stops_a_run_gives_status_1(run_file, here, capsys):
    assert doctor(capsys, "--data_dir", "nowhere")[0] == 1
    (here / "file").write_text("")
    status, checks = doctor(capsys, "--run_dir", "file/run", "--prepared_dir", "file")
    assert status == 1
    assert checks["run folder"][0] == checks["prepared store"][0] == "problem"
    status, checks = doctor(capsys, "--run_dir", "hdfs://place/run")
    assert (status, checks["run folder"][0]) == (1, "problem")
    with testing.task_module("doctor_tasks", [testing.make_task("doc:echo", ROWS)]):
        status, checks = doctor(capsys, run_file, "--gin.InitConfig.path=nowhere")
        assert (status, checks["start"][0]) == (1, "problem")
        status, checks = doctor(capsys, run_file, "--gin.DataConfig.mixture=doc:ecko")
        assert (status, checks["splits"][0]) == (1, "problem")
        assert "Did you mean 'doc:echo'" in checks["splits"][1]
        status, checks = doctor(capsys, run_file, "--gin.DataConfig.mixtur=x")
        assert (status, checks["run file"][0]) == (1, "problem")
        assert "Did you mean 'mixture'" in checks["run file"][1]
        status, checks = doctor(capsys, run_file, "--gin.ModelConfig.emb_dim=1000000000")
        assert (status, checks["run folder"][0]) == (1, "problem")
        assert "of checkpoints" in checks["run folder"][1]


def test_a_check_that_fails_itself_is_told_and_the_others_are_made(capsys, monkeypatch):
    def broken():
        raise RuntimeError("no such\nfile system")

    monkeypatch.setattr(storage, "memory", broken)
    monkeypatch.setattr(software, "names", lambda: sys.exit("stopped"))
    status, checks = doctor(capsys)
    assert status == 0
    assert checks["memory"] == (
        "unknown",
        "This check failed itself: RuntimeError: no such file system",
    )
    assert checks["names here"] == ("unknown", "This check failed itself: SystemExit: stopped")
    assert checks["temporary folder"][0] == "ok"
    assert cli.main(["doctor"]) == 0
    assert "; 2 checks failed.\n" in capsys.readouterr().out


def test_a_module_that_stops_the_program_is_told(run_file, here, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(here))
    (here / "doctor_tasks.py").write_text("import sys\nsys.exit(3)\n")
    status, checks = doctor(capsys, run_file)
    assert (status, checks["splits"][0]) == (1, "problem")
    assert "doctor_tasks.py, line 2" in checks["splits"][1]


def test_the_text_says_what_to_do(capsys):
    assert cli.main(["doctor", "--data_dir", "nowhere"]) == 1
    out = capsys.readouterr().out
    assert "problem" in out
    assert "-> Make it or name another" in out
    assert "1 problem stops a run; " in out


def test_bindings_go_with_a_run_file(capsys):
    assert cli.main(["doctor", "--gin.DataConfig.mixture=x"]) == 2
    assert "goes with a run file" in capsys.readouterr().err


def test_the_environment_stays_as_it_was(capsys, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    before = dict(os.environ)
    doctor(capsys)
    assert dict(os.environ) == before


def test_it_runs_where_files_hide_packages(here):
    """As its console script does: in a process that puts the current folder first when it starts."""
    (here / "gin.py").write_text("raise RuntimeError('not gin-config')\n")
    (here / "packaging.py").write_text("raise RuntimeError('not packaging')\n")
    code = "import sys; sys.path.pop(0); from flantune import cli; sys.exit(cli.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "gin/runs/tiny.gin", "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    checks = json.loads(done.stdout)["checks"]
    hidden = [one["found"] for one in checks if one["what"] == "names here"]
    for name in ("gin", "packaging"):
        assert any(name in one for one in hidden), name
    levels = {one["what"]: one["level"] for one in checks}
    assert levels["run file"] == findings.UNKNOWN
    assert levels["devices"] == findings.OK


def test_a_flag_that_ends_programs_does_not_end_this_one(here):
    """XLA aborts the process at a flag that it does not know, and the checks of a run start JAX."""
    done = subprocess.run(
        [sys.executable, "-m", "flantune", "doctor", "gin/runs/quickstart.gin", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "XLA_FLAGS": "--xla_of_tomorrow=1"},
    )
    assert done.returncode == 1, done.stderr
    levels = {one["what"]: one["level"] for one in json.loads(done.stdout)["checks"]}
    assert levels["devices"] == "problem"
    assert (levels["run folder"], levels["run file"]) == ("ok", "ok")
