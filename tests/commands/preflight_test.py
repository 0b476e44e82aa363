"""`flantune preflight` on a tiny run: all checks are told, and the exit status says whether one failed."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from flantune import cli, testing
from flantune.data import Publication, sources
from flantune.testing import tiny

LORA = pathlib.Path(__file__).parents[2] / "gin" / "lora" / "rank8.gin"
ROWS = {"train": [{"text": "a", "answer": "b"}] * 4}


@pytest.fixture
def run_file(tmp_path):
    path = tmp_path / "run.gin"
    path.write_text(
        tiny.run_file(
            {
                "DataConfig.mixture": "pre:echo",
                "DataConfig.modules": ("preflight_tasks",),
                "DataConfig.vocabulary": "bytes",
                "DataConfig.inputs_length": 32,
                "DataConfig.targets_length": 8,
                "DataConfig.batch_size": 4,
                "DataConfig.prepared_dir": str(tmp_path / "store"),
                "CheckpointConfig.save_every_steps": 5,
                "train.num_steps": 5,
            }
        )
    )
    return path


def preflight(capsys, *words):
    status = cli.main(["preflight", "--json", *map(str, words)])
    output = capsys.readouterr()
    checks = json.loads(output.out)["checks"] if output.out else []
    return status, {check["what"]: (check["passed"], check["found"]) for check in checks}


def test_what_is_not_prepared_is_named_and_then_it_passes(run_file, tmp_path, capsys):
    task = testing.make_task("pre:echo", ROWS)
    with testing.task_module("preflight_tasks", [task]):
        status, checks = preflight(capsys, run_file)
        assert status == 1
        assert not checks["data"][0]
        assert "pre:echo (train)" in checks["data"][1]
        assert checks["vocabulary"][0]
        testing.prepare([task], tmp_path / "store")
        status, checks = preflight(capsys, run_file, "--topology", "h100:1")
        assert status == 0
        assert set(checks) == {"data", "store", "vocabulary", "fit", "cost"}
        assert "5 steps of" in checks["cost"][1]
        assert "chip hours of h100" in checks["cost"][1]


def test_every_check_is_told_though_one_fails(run_file, tmp_path, capsys):
    task = testing.make_task("pre:echo", ROWS)
    testing.prepare([task], tmp_path / "store")
    with testing.task_module("preflight_tasks", [task]):
        status, checks = preflight(
            capsys,
            run_file,
            "--topology=h100:1",
            "--gin.InitConfig.path=/nowhere",
            "--gin.DataConfig.vocabulary=gone.model",
            "--gin.DataConfig.batch_size=40000000",
        )
    assert status == 1
    assert checks["data"][0]
    assert "no folder /nowhere" in checks["start"][1]
    assert "t5_1_1_lm100k_SIZE" in checks["start"][1]  # where T5's are published
    assert "'gone.model' does not exist" in checks["vocabulary"][1]
    assert "name it T5.model+100" in checks["vocabulary"][1]  # as recipes' commands do
    assert "h100:1 is too small" in checks["fit"][1]


def test_the_run_folder_is_tried_and_nothing_stays(run_file, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "runs").mkdir()
    with testing.task_module("preflight_tasks", [testing.make_task("pre:echo", ROWS)]):
        for folder in ("runs", "runs/new/deeper"):
            checks = preflight(capsys, run_file, "--run_dir", tmp_path / folder)[1]
            assert checks["run_dir"][0]
        assert not list((tmp_path / "runs").iterdir())
        checks = preflight(capsys, run_file, "--run_dir", tmp_path / "file" / "run")[1]
    passed, found = checks["run_dir"]
    assert not passed
    assert f"{tmp_path / 'file'} is a file" in found


def test_what_is_neither_prepared_nor_there_says_where_it_is_published(run_file, tmp_path, capsys):
    gone = dataclasses.replace(
        testing.make_task("pre:echo", ROWS),
        source=sources.Jsonl(train="echo/rows.jsonl"),
        publication=Publication(
            url="https://example.org/echo", get="Put rows.jsonl into DATA/echo"
        ),
    )
    with testing.task_module("preflight_tasks", [gone]):
        status, checks = preflight(capsys, run_file, "--data_dir", tmp_path)
    assert status == 1
    assert "echo/rows.jsonl (https://example.org/echo)" in checks["data"][1]
    assert "flantune data" in checks["data"][1]
    assert "1 missing of 1 datasets" in checks["store"][1]


def test_evaluations_are_counted(run_file, tmp_path, capsys):
    many = {"train": ROWS["train"], "test": ROWS["train"] * 3}
    task = testing.make_task("pre:echo", many, published_rows={"test": 7})
    suite = """
configs.EvalSuite.name = "all"
configs.EvalConfig.suites = (@configs.EvalSuite(),)
configs.EvalConfig.metric = "exact_match"
configs.EvalConfig.batch_size = 4
configs.EvalConfig.max_decode_length = 8
configs.EvalConfig.every_steps = 2
"""
    run_file.write_text(run_file.read_text() + suite)
    with testing.task_module("preflight_tasks", [task]):
        stated = preflight(capsys, run_file)[1]["evaluation"][1]
        testing.prepare([task], tmp_path / "store")
        prepared = preflight(capsys, run_file)[1]["evaluation"][1]
        few = preflight(capsys, run_file, "--gin.EvalSuite.examples_per_task=3")[1]["evaluation"][1]
    # Of 5 steps the 2nd, the 4th and the last are evaluated, and the initial parameters.
    assert stated.startswith("4 times 7 questions with at most 56 tokens")
    assert prepared.startswith("4 times 12 questions with at most 96 tokens")
    assert few.startswith("4 times 3 questions with at most 24 tokens")


def git(folder, *words):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch, run_file):
    """A repository in which the run file, what it includes and a task module are committed; the working folder."""
    folder = tmp_path / "checkout"
    (folder / "shipped_tasks").mkdir(parents=True)
    (folder / "shipped_tasks" / "__init__.py").write_text("")
    (folder / "shipped_tasks" / "echo.py").write_text(
        "from flantune import testing\nTASKS = (testing.make_task('pre:echo', {'train': [{'text': 'a', 'answer': 'b'}]}),)\n"
    )
    (folder / "part.gin").write_text("from flantune import configs\n")
    text = run_file.read_text().replace("preflight_tasks", "shipped_tasks.echo")
    (folder / "mine.gin").write_text(text + 'include "part.gin"\n')
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "all")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [name for name in sys.modules if name.startswith("shipped_tasks")]:
        del sys.modules[name]


def shipped(capsys, run="mine.gin", flag="--ships_commit"):
    return preflight(capsys, run, flag, ".")[1]["files"]


def test_what_the_commit_has_is_shipped(checkout, capsys):
    assert shipped(capsys) == (True, f"4 files that the run reads are in the commit of {checkout}")


def test_what_the_commit_lacks_is_refused(checkout, tmp_path, capsys):
    (checkout / "part.gin").write_text("from flantune import configs\n\n")
    (checkout / "shipped_tasks" / "echo.py").write_text(
        (checkout / "shipped_tasks" / "echo.py").read_text() + "\n"
    )
    (checkout / "new.gin").write_text((checkout / "mine.gin").read_text())
    (checkout / "hidden.gin").write_text((checkout / "mine.gin").read_text())
    (checkout / ".gitignore").write_text("hidden.gin\n")
    passed, found = shipped(capsys, "new.gin")
    assert not passed
    for words in ("new.gin is untracked", "part.gin is modified", "echo.py is modified"):
        assert words in found
    git(checkout, "add", "new.gin")  # added is not committed
    assert "new.gin is modified" in shipped(capsys, "new.gin")[1]
    assert "hidden.gin is ignored by git" in shipped(capsys, "hidden.gin")[1]
    outside = tmp_path / "outside.gin"
    outside.write_text((checkout / "mine.gin").read_text())
    assert f"{outside} is outside" in shipped(capsys, outside)[1]
    assert "name it as from" in shipped(capsys, checkout / "mine.gin")[1]


def test_of_a_folder_only_what_is_outside_is_refused(checkout, tmp_path, capsys):
    (checkout / "new.gin").write_text((checkout / "mine.gin").read_text())
    assert shipped(capsys, "new.gin", "--ships_folder")[0]
    outside = tmp_path / "outside.gin"
    outside.write_text((checkout / "mine.gin").read_text())
    assert f"{outside} is outside" in shipped(capsys, outside, "--ships_folder")[1]


def test_a_folder_that_git_does_not_know_is_refused(checkout, tmp_path, capsys):
    passed, found = preflight(capsys, "mine.gin", "--ships_commit", tmp_path)[1]["files"]
    assert not passed
    assert "not a git repository" in found


def test_a_wrong_binding_is_wrong_input(run_file, capsys):
    assert preflight(capsys, run_file, "--gin.DataConfig.mixtur=x")[0] == 2


def test_a_step_of_adapters_needs_less_than_one_of_all_parameters(run_file, tmp_path, capsys):
    task = testing.make_task("pre:echo", ROWS)
    testing.prepare([task], tmp_path / "store")
    with testing.task_module("preflight_tasks", [task]):
        found = [
            preflight(
                capsys, run_file, *lora, "--topology", "h100:1", "--gin.ModelConfig.emb_dim=512"
            )
            for lora in ([], [LORA])
        ]
    assert [status for status, _ in found] == [0, 0]
    whole, adapters = (float(checks["fit"][1].split()[1]) for _, checks in found)
    assert adapters < whole
