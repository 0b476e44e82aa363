"""Ctrl-C: what it broke, and what goes on or finishes it; exit status 130."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from flantune import cli, testing
from flantune.runs import build, preparation, training_run

ROOT = pathlib.Path(cli.__file__).parent.parent
MODULE = "interrupted_tasks"
ROWS = [{"text": f"row {number}", "answer": "a"} for number in range(9)]


def run_file(module):
    text = testing.run_file(
        {
            "DataConfig.mixture": "stop:task",
            "DataConfig.modules": (module,),
            "DataConfig.vocabulary": "bytes",
            "DataConfig.inputs_length": 32,
            "DataConfig.targets_length": 16,
            "DataConfig.batch_size": 4,
            "CheckpointConfig.save_every_steps": 3,
            "train.num_steps": 2,
        }
    )
    return f"""{text}
configs.EvalSuite.name = "seen"
configs.EvalSuite.split = "test"
configs.EvalConfig.suites = (@configs.EvalSuite(),)
configs.EvalConfig.metric = "exact_match"
configs.EvalConfig.batch_size = 4
configs.EvalConfig.max_decode_length = 4
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLANTUNE_PREPARED_DIR", str(tmp_path / "prepared"))
    (tmp_path / "run.gin").write_text(run_file(MODULE))
    task = testing.make_task("stop:task", {"train": ROWS, "test": ROWS[:2]})
    with testing.task_module(MODULE, [task]):
        yield tmp_path


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.usefixtures("workplace")
def test_what_was_broken_is_told_with_what_goes_on(capsys, monkeypatch):
    def told(command, owner, name):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupt)
            assert cli.main(command.split()) == 130
        return capsys.readouterr().err.strip().split("\n")[-1]

    train = "train run.gin --run_dir run"
    goes_on = "No step was saved yet: nothing is lost, and the same command goes on."
    assert told(train, preparation, "opened") == (
        f"flantune: Stopped in the preparation of the data. {goes_on}"
    )
    assert not pathlib.Path("run").exists()
    assert told(train, build, "build") == (f"flantune: Stopped in the set-up of the run. {goes_on}")
    assert told("prepare run.gin", preparation, "fill") == (
        "flantune: Stopped in the preparation; what is prepared is kept, and the same command goes on."
    )
    assert told(train, training_run.TrainingRun, "report") == (
        "flantune: Stopped in the last evaluation. The run is trained, and step 2 is saved: "
        "flantune eval --checkpoint run evaluates it, and the same command evaluates it and writes the report."
    )
    further = f"{train} --gin.experiments.train.num_steps=4"
    assert told(further, training_run.TrainingRun, "train") == (
        "flantune: Stopped in training. The same command continues from step 2 of 4."
    )
    assert cli.main(["eval", "--checkpoint", "run"]) == 0


TASKS = """
import os, pathlib, time
from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.prompting import Template

def wait(name):
    if name in os.environ["WAIT_IN"].split():
        pathlib.Path(name).write_text("")
        time.sleep(120)

def to_fields(row):
    wait("preparing")
    return row

def score(reference, prediction):
    wait("scoring")
    return 1.0

ROWS = [{"text": str(number), "answer": "a"} for number in range(9)]
TASKS = (InstructionTask(name="stop:task", cluster="c", source=sources.InMemory(train=ROWS, test=ROWS),
    to_fields=to_fields, templates=(Template(inputs="{text}"),),
    metrics=(metrics.Metric(name="exact_match", score=score),)),)
"""


@pytest.mark.slow  # two processes that train
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("preparing", "Stopped in the preparation of the data. No step was saved yet: nothing is"),
        ("scoring", "Stopped in the last evaluation. The run is trained, and step 2 is saved:"),
    ],
)
def test_a_real_ctrl_c_ends_at_once_and_the_same_command_finishes(tmp_path, place, expected):
    (tmp_path / "waiting_tasks.py").write_text(TASKS)
    (tmp_path / "run.gin").write_text(run_file("waiting_tasks"))

    def start(waits):
        return subprocess.Popen(
            [sys.executable, "-m", "flantune", "train", "run.gin", "--run_dir", "run"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "FLANTUNE_PREPARED_DIR": "prepared",
                "WAIT_IN": waits,
            },
            stderr=subprocess.PIPE,
            text=True,
        )

    process = start(place)
    end = time.monotonic() + 120
    while not (tmp_path / place).exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in log
    assert log.strip().split("\n")[-1].startswith(f"flantune: {expected}"), log
    again = start("")
    _, log = again.communicate(timeout=120)
    assert again.returncode == 0, log
    assert (tmp_path / "run" / "report.json").exists()


def ended(body, folder):
    """(exit status, lines of standard error) of the program whose `cli.main` has this body; `import slow` interrupts itself."""
    (folder / "slow.py").write_text(
        "import os, pathlib, signal, time\n"
        "for _ in range(2):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "time.sleep(0.2)\n"
        "pathlib.Path('imported').touch()\n"
    )
    script = (
        "import os, signal, sys, time\n"
        "from flantune import __main__, cli\n"
        "from flantune.host import interrupts\n"
        "def press():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
        f"def main():\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
        "cli.main = main\n"
        "sys.exit(__main__.program())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr.splitlines()


def test_ctrl_c_waits_for_an_import_to_end(tmp_path):
    assert ended("import slow\ntime.sleep(60)", tmp_path) == (130, ["flantune: stopped."])
    assert (tmp_path / "imported").exists()


def test_another_error_in_place_of_an_interrupt_is_one(tmp_path):
    body = """
    try:
        press()
    except KeyboardInterrupt:
        raise ImportError("an extension module failed")
    """
    assert ended(body, tmp_path) == (130, ["flantune: stopped."])


def test_an_error_without_ctrl_c_is_itself(tmp_path):
    status, lines = ended("raise ImportError('an extension module failed')", tmp_path)
    assert status == 1
    assert lines[-1] == "ImportError: an extension module failed"


def test_a_lost_interrupt_is_raised_where_its_part_ends(tmp_path):
    body = """
    class Loses:
        def __del__(self):
            press()
    with interrupts.during("a part"):
        Loses()
    """
    status, lines = ended(body, tmp_path)
    assert status == 130
    assert lines[-1] == "flantune: stopped."
