"""The wheel, installed where no checkout is: recipes, task modules and the quickstart come with it, and so do your own tasks."""

import json
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile

import pytest

from flantune.jobs import project

from . import notebook_cells

pytestmark = pytest.mark.slow
ROOT = pathlib.Path(__file__).resolve().parents[2]
SHORT = (
    "--gin.experiments.train.num_steps=2",
    "--gin.OptimizerConfig.warmup_steps=1",
    "--gin.EvalSuite.examples_per_task=1",
)
MINE = """
from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.prompting import Template
from tasks import row_fields


def rows():
    return [{"word": f"w{n}", "answer": f"w{n}"} for n in range(8)]


def to_fields(row):
    assert row_fields.__name__ == "tasks.row_fields"
    return row


TASKS = (
    InstructionTask(
        name="mine:echo", cluster="echo", source=sources.InMemory(train=rows, test=rows),
        to_fields=to_fields, templates=(Template(inputs="Say {word}"),), metrics=(metrics.exact_match,),
    ),
)
"""
OVER = ("--gin.DataConfig.modules=('tasks.mine','tasks.quickstart','tasks.mixtures')",)


def pip(*arguments):
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-index", "--no-deps"]
    subprocess.run(command, check=True, cwd="/", capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An environment with the wheel and our dependencies, but not the checkout."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip("--python", str(python), "install", str(wheel))
    (packages,) = folder.glob("lib/python*/site-packages")
    # A folder that a .pth file names gets none of its own .pth files read: ours, of the editable installation, is one.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture
def flantune(python, tmp_path, tmp_path_factory):
    """Runs `flantune` in an empty folder; returns its standard output and error."""
    store = tmp_path_factory.mktemp("store")

    def run(*arguments, folder="."):
        given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [python.with_name("flantune"), *arguments],
            cwd=tmp_path / folder,
            env={**given, "FLANTUNE_PREPARED_DIR": str(store)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return run


def test_the_wheel_holds_all_gin_files_and_task_modules_and_no_other_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert {name.split("/")[0].split("-")[0] for name in names} == {"flantune"}
        for folder, ending in (("gin", ".gin"), ("tasks", ".py")):
            ours = {path for path in (ROOT / folder).rglob(f"*{ending}")}
            assert len(ours) > 30
            for path in ours:
                name = f"flantune/shipped/{path.relative_to(ROOT).as_posix()}"
                assert archive.read(name) == path.read_bytes()
        constraints = archive.read("flantune/shipped/constraints.txt")
        assert constraints == (ROOT / "constraints.txt").read_bytes()
        for file in project.FILES:
            name = f"flantune/shipped/{project.FOLDER}/{file}"
            assert archive.read(name) == (ROOT / project.FOLDER / file).read_bytes()
        assert not [n for n in names if n.startswith("flantune/shipped/gin/") and n.endswith(".py")]


def test_nothing_of_the_checkout_is_seen(python, tmp_path):
    code = "import flantune, gin, sys; print(flantune.__file__); print(gin.config_str, sys.path)"
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    place, rest = done.stdout.splitlines()
    assert pathlib.Path(place).is_relative_to(python.parents[1])
    assert repr(str(ROOT)) not in rest


def test_recipes_tasks_and_the_quickstart_from_an_empty_folder(flantune, tmp_path):
    recipes = json.loads(flantune("recipes", "--json")[0])["recipes"]
    assert {one["name"] for one in recipes} == {path.stem for path in ROOT.glob("gin/runs/*.gin")}
    shown = flantune("show", "quickstart:sort_numbers", "--json")[0]
    assert json.loads(shown)["task"] == "quickstart:sort_numbers"
    _, log = flantune("train", "gin/runs/quickstart.gin", *SHORT)
    assert (tmp_path / "runs" / "quickstart" / "report.html").exists()
    assert "Path not found" not in log
    assert "in this process" not in log.replace("in 1 process(es)", "")


def test_the_doctor_finds_nothing_wrong_with_it(flantune):
    checks = json.loads(flantune("doctor", "gin/runs/quickstart.gin", "--json")[0])["checks"]
    levels = {one["what"]: one["level"] for one in checks}
    assert levels["names here"] == levels["devices"] == levels["run file"] == "ok"
    (tested,) = [one["found"] for one in checks if one["what"] == "versions"]
    assert "shipped/constraints.txt" in tested


def test_a_new_project_trains_and_passes_its_test(flantune, python, tmp_path):
    written = json.loads(flantune("init", "my_words", "--json")[0])
    assert written["next"][1:] == ["flantune train gin/runs/my_words.gin", "python -m pytest"]
    flantune("train", "gin/runs/my_words.gin", *SHORT, folder="my_words")
    report = json.loads((tmp_path / "my_words/runs/my_words/report.json").read_text())
    assert [suite["name"] for suite in report["results"]["tuned"]["suites"]] == [
        "unseen_messages",
        "unseen_wordings",
    ]
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-m", "pytest"],
        cwd=tmp_path / "my_words",
        env=given,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("is_package", [False, True])
def test_tasks_of_your_own_stand_beside_those_that_come_with_it(flantune, tmp_path, is_package):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.py").write_text(MINE)
    if is_package:
        (tmp_path / "tasks" / "__init__.py").write_text('"""Mine."""\n')
    for name in ("mine:echo", "quickstart:sort_numbers"):
        assert json.loads(flantune("show", name, "--json")[0])["task"] == name
    run = ("gin/runs/quickstart.gin", *OVER, "--gin.DataConfig.mixture=mine:echo")
    out, log = flantune("prepare", *run, "--num_processes=2", "--json")
    assert json.loads(out)["failed"] == 0
    assert "in this process" not in log
    assert "that comes with flantune" not in log


def test_a_module_of_your_own_stands_for_ours_of_that_name_and_the_log_says_so(flantune, tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "sentiment.py").write_text(MINE)
    shown, log = flantune("show", "tasks.sentiment", "--json")
    assert [row["task"] for row in json.loads(shown)["rows"]] == ["mine:echo"]
    assert f"sentiment.py in {tmp_path / 'tasks'}: these stand for the modules" in log
    # Of ours, those that need what it had are left out of a search, and no more.
    shown, log = flantune("show", "quickstart:sort_numbers", "--json")
    assert json.loads(shown)["task"] == "quickstart:sort_numbers"
    left_out = (
        r"tasks\.flan2022 is left out, since it cannot be imported: .*, line \d+: AssertionError"
    )
    assert re.search(left_out, log)


def test_a_gin_file_of_your_own_stands_for_ours_of_that_name(flantune, tmp_path):
    (tmp_path / "gin" / "runs").mkdir(parents=True)
    text = (ROOT / "gin" / "runs" / "quickstart.gin").read_text()
    (tmp_path / "gin" / "runs" / "quickstart.gin").write_text(text.replace("smoke run", "my run"))
    (tmp_path / "gin" / "runs" / "mine.gin").write_text("# Without a header\n")
    out, log = flantune("recipes", "--json")
    found = {one["name"]: one["system"] for one in json.loads(out)["recipes"]}
    assert set(found) == {path.stem for path in ROOT.glob("gin/runs/*.gin")}
    assert [name for name, system in found.items() if system == "my run"] == ["quickstart"]
    assert "No recipe: " in log
    assert "mine.gin: its header has the fields none" in log
    _, log = flantune("show", "gin/runs/quickstart.gin")
    assert "quickstart.gin stands for the file of that name that comes with flantune" in log


def test_a_file_named_tasks_is_no_package_of_tasks(flantune, tmp_path):
    """Invoke's, for example."""
    (tmp_path / "tasks.py").write_text("raise RuntimeError('not for flantune')\n")
    shown = flantune("show", "quickstart:sort_numbers", "--json")[0]
    assert json.loads(shown)["task"] == "quickstart:sort_numbers"


def test_the_notebook_runs_without_a_checkout(python, tmp_path):
    printed = notebook_cells.run(
        ROOT / "docs" / "notebooks" / "first_model.ipynb", tmp_path, str(python)
    )
    assert "% of the tokens" in printed
    assert "nats" in printed
