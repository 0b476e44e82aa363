"""`flantune init`: what it writes works, and it writes all of it or nothing."""

import json
import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from flantune import cli
from flantune.host import shipped
from flantune.jobs import project

ROOT = pathlib.Path(__file__).resolve().parents[2]
STARTER = ROOT / project.FOLDER
SHORT = (
    "--gin.experiments.train.num_steps=2 --gin.OptimizerConfig.warmup_steps=1"
    " --gin.EvalSuite.examples_per_task=1"
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder to write projects into."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def fails(capsys, folder):
    assert cli.main(["init", str(folder)]) == 2
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error.startswith("flantune: ")
    return error


def run(command, folder):
    """Runs a command as a shell would that has `flantune` and `python`."""
    words = shlex.split(command)
    words = {"flantune": ["-m", "flantune"], "python": []}[words[0]] + words[1:]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


def test_all_files_get_the_name_and_the_next_commands_are_told(here, capsys):
    assert cli.main(["init", "new_words", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    folder = here / "new_words"
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written == set(told["files"])
    assert {"tasks/new_words.py", "gin/runs/new_words.gin", "tests/new_words_test.py"} < written
    assert not [name for name in written if "my_lab" in (folder / name).read_text()]
    assert told["next"] == [
        "cd new_words",
        "flantune train gin/runs/new_words.gin",
        "python -m pytest",
    ]
    assert [path.name for path in here.iterdir()] == ["new_words"]


def test_a_long_path_is_told_on_one_line(here, capsys):
    folder = here / "two words" / ("x" * 60)
    folder.mkdir(parents=True)
    assert cli.main(["init", str(folder / "lab")]) == 0
    assert f"  cd '{folder}/lab'\n" in capsys.readouterr().out


def test_the_files_of_the_starter_are_all_named():
    tracked = subprocess.run(
        ["git", "ls-files", "--others", "--cached", "--exclude-standard", project.FOLDER],
        cwd=ROOT,
        capture_output=True,
        text=True,
    ).stdout.split()
    if not tracked:
        pytest.skip("this is no git checkout")
    assert sorted(tracked) == sorted(f"{project.FOLDER}/{file}" for file in project.FILES)
    assert len((STARTER / "README.md").read_text().splitlines()) <= 10


def test_a_project_passes_its_own_test(here):
    project.write(here / "lab")
    assert "9 passed" in run("python -m pytest", here / "lab")


@pytest.mark.slow
def test_a_broken_task_fails_the_test_of_the_project(here):
    project.write(here / "lab")
    module = here / "lab" / "tasks" / "lab.py"
    text = module.read_text()
    module.write_text(text.replace('TOPICS.index(row["topic"])', "0"))
    assert module.read_text() != text
    with pytest.raises(AssertionError, match="1 failed"):
        run("python -m pytest -k lint", here / "lab")


@pytest.mark.slow
def test_every_command_of_the_readme_runs(here):
    project.write(here / "lab")
    readme = (here / "lab" / "README.md").read_text()
    commands = [part for part in readme.split("`")[1::2] if part.split()[0] == "flantune"]
    assert [command.split()[1] for command in commands] == ["show", "lint", "train", "doctor"]
    for command in commands:
        run(f"{command} {SHORT}" if " train " in command else command, here / "lab")
    assert (here / "lab" / "runs" / "lab" / "report.html").exists()


@pytest.mark.parametrize("name", ["my-lab", "My_Lab", "3d", "class", "_lab", "läb", "a.b"])
def test_a_name_that_no_module_can_have_is_refused(name, here, capsys):
    error = fails(capsys, name)
    assert f"{name!r} cannot name a project" in error
    assert "lower-case letters a to z, digits and underscores" in error
    assert not list(here.iterdir())


def test_the_closest_allowed_name_is_told(capsys):
    assert fails(capsys, "My lab-2").endswith("for example 'my_lab_2'.")
    assert fails(capsys, "3d").endswith("no keyword of Python.")


def test_a_name_of_ours_is_refused(here, capsys):
    """Its module or run file would stand for the one that comes with flantune."""
    assert "tasks/sst2.py would stand for" in fails(capsys, "sst2")
    assert (shipped.folder() / "gin/runs/tiny.gin").exists()
    assert "gin/runs/tiny.gin would stand for" in fails(capsys, "tiny")
    assert not list(here.iterdir())


def test_a_folder_with_something_in_it_stays_as_it_is(here, capsys):
    (here / "lab").mkdir()
    (here / "lab" / "notes.txt").write_text("mine")
    assert "lab is there and is not empty" in fails(capsys, "lab")
    assert [path.name for path in (here / "lab").iterdir()] == ["notes.txt"]
    (here / "file").write_text("mine")
    assert "file is there and is no folder" in fails(capsys, "file")
    (here / "link").symlink_to("nowhere")
    assert "link is there and is no folder" in fails(capsys, "link")
    assert "no folder" in fails(capsys, "nowhere/lab")


def test_an_empty_folder_is_filled_unless_somebody_is_in_it(here, capsys, monkeypatch):
    (here / "lab").mkdir()
    assert cli.main(["init", "lab"]) == 0
    (here / "inside").mkdir()
    monkeypatch.chdir(here / "inside")
    assert "run flantune init inside" in fails(capsys, ".")


def test_nothing_is_left_where_writing_fails(here, monkeypatch):
    real = pathlib.Path.write_text

    def full(path, text, **keywords):
        if path.name == "pytest.ini":
            raise OSError(28, "No space left on device")
        return real(path, text, **keywords)

    monkeypatch.setattr(pathlib.Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        project.write(here / "lab")
    assert not list(here.iterdir())


def test_init_takes_no_bindings(capsys):
    assert cli.main(["init", "lab", "--gin.DataConfig.mixture=x"]) == 2
    assert "takes no bindings" in capsys.readouterr().err
