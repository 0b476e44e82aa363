"""Wrong input to the commands: one sentence with what, where and what is allowed; exit status 2; nothing is written."""

import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

from flantune import cli, testing
from flantune.host import workers
from flantune.jobs import task_search

MODULE = "wrong_input_tasks"
ROWS = [{"text": f"row {number}", "answer": "a"} for number in range(9)]
RUN = testing.run_file(
    {
        "DataConfig.mixture": "wrong:task",
        "DataConfig.modules": (MODULE,),
        "DataConfig.vocabulary": "bytes",
        "DataConfig.inputs_length": 32,
        "DataConfig.targets_length": 16,
        "DataConfig.batch_size": 4,
        "CheckpointConfig.save_every_steps": 3,
        "train.num_steps": 5,
    }
)


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A working folder with a run file, a run folder that has no checkpoint, and a file `taken`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("FLANTUNE_PREPARED_DIR", str(tmp_path / "prepared"))
    (tmp_path / "run.gin").write_text(RUN)
    (tmp_path / "taken").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.gin").write_text(RUN)
    (tmp_path / "prompts.jsonl").write_text('{"inputs": "a"}\n')
    task = testing.make_task("wrong:task", {"train": ROWS, "test": ROWS[:2]})
    with testing.task_module(MODULE, [task]):
        yield


def fails(capsys, *arguments):
    try:
        status = cli.main(list(arguments))
    except SystemExit as stop:  # argparse
        status = stop.code
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert (status, error.startswith("flantune")) == (2, True), error
    return error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            b"x.y = [1, 2\n",
            "EOF in multi-line statement: a bracket or quote is left open",  # Python 3.13: "unexpected EOF"
        ),
        (b"\xff\xfe\x00", "broken.gin: this is no text in UTF-8"),
        (
            b"from __gin__ import dynamic_registration\nfrom flantune import nothing\n",
            "broken.gin, line 2: No module named 'flantune.nothing'",
        ),
    ],
)
def test_a_gin_file_that_cannot_be_read_is_named(capsys, tmp_path, text, expected):
    (tmp_path / "broken.gin").write_bytes(text)
    said = fails(capsys, "prepare", "broken.gin")
    assert "broken.gin" in said
    assert expected in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "def x(:\n",
            "names 'broken_module', which cannot be imported: broken_module.py, line 1: SyntaxError: invalid syntax.",
        ),
        (
            "\nimport no_such_package",
            "broken_module.py, line 2: ModuleNotFoundError: No module named 'no_such_package'. It needs that module.",
        ),
        ("raise RuntimeError('boom')", "imported: broken_module.py, line 1: RuntimeError: boom."),
        ("x = 1\nint('a')", "broken_module.py, line 2: ValueError: invalid literal for int()"),
        ("{}['key']", "broken_module.py, line 1: KeyError: 'key'."),
        ("assert False", "broken_module.py, line 1: AssertionError."),
        ("import sys\n\nsys.exit(3)", "broken_module.py, line 3: SystemExit: 3."),
        (
            "import json\n\njson.loads('x')",  # not the line of json
            "broken_module.py, line 3: JSONDecodeError: Expecting value",
        ),
        (
            "from flantune.prompting import Template\nTemplate(inputs='{a')",
            "broken_module.py, line 2: Template '{a' has a brace that stands alone",
        ),
        (
            "import broken_dependency",
            "broken_module.py, line 1, leads to broken_dependency.py, line 2: ZeroDivisionError: division by zero.",
        ),
        (
            "import broken_text",
            "broken_module.py, line 1, leads to broken_text.py, line 1: SyntaxError: invalid syntax.",
        ),
        ("TASKS = ('x',)", "TASKS of the module 'broken_module' must hold InstructionTask"),
        ("TASKS = 5", "TASKS of the module 'broken_module' must be a tuple, not a int"),
        ("MIXTURES = ({},)", "must hold Mixture, not {}"),
        ("PLANS = ('p',)", "must hold HeldOutPlan, not 'p'"),
        ("SETTINGS = {'loud': 3}", "must be a dictionary of PromptSettings"),
    ],
)
def test_a_module_that_cannot_be_used_says_why(capsys, tmp_path, text, expected):
    (tmp_path / "broken_module.py").write_text(text)
    (tmp_path / "broken_dependency.py").write_text("x = 0\n1 / x\n")
    (tmp_path / "broken_text.py").write_text("def x(:\n")
    sys.modules.pop("broken_module", None)
    assert expected in fails(capsys, "lint", "broken_module")


@pytest.mark.parametrize("command", ["lint tasks.mine", "show tasks.mine", "prepare run.gin"])
def test_a_module_of_a_folder_tasks_is_named_by_its_file(capsys, tmp_path, command):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.py").write_text("\nraise RuntimeError('boom')\n")
    binding = "--gin.DataConfig.modules=('tasks.mine',)"
    assert fails(capsys, *command.split(), binding) == (
        "flantune: DataConfig.modules names 'tasks.mine', which cannot be imported: "
        "tasks/mine.py, line 2: RuntimeError: boom."
    )


def test_a_search_says_where_a_module_that_it_leaves_out_fails(tmp_path, caplog):
    (tmp_path / "searched").mkdir()
    (tmp_path / "searched" / "good.py").write_text("TASKS = ()\n")
    (tmp_path / "searched" / "broken.py").write_text("\nraise RuntimeError('boom')\n")
    assert task_search.modules_of("searched") == ("searched.good",)
    (record,) = caplog.records
    assert record.getMessage() == (
        "searched.broken is left out, since it cannot be imported: searched/broken.py, line 2: RuntimeError: boom"
    )


@pytest.mark.parametrize("module", ["tasks", "tasks.sentimental"])
def test_a_plain_file_tasks_says_why_it_is_not_read(capsys, tmp_path, module):
    assert "is not read" not in fails(capsys, "lint", module)
    (tmp_path / "tasks.py").write_text("TASKS = ()\n")
    said = fails(capsys, "lint", module)
    assert f"{tmp_path / 'tasks.py'} is not read: 'tasks' is the package of all folders" in said
    assert f"Name the file my_tasks.py, or move it to {tmp_path / 'tasks'}/NAME.py" in said


@pytest.mark.parametrize("text", ["x = 1\n", "raise RuntimeError('boom')\n"])
@pytest.mark.parametrize("name", ["gin.py", "gin/__init__.py"])
def test_a_file_that_hides_gin_is_named(tmp_path, name, text):
    """In a process of its own: here gin is imported already."""
    (tmp_path / "gin").mkdir()
    (tmp_path / name).write_text(text)
    done = in_own_process("prepare", "run.gin")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith(f"flantune: {tmp_path / name} hides the package gin-config")


def in_own_process(*arguments):
    command = [sys.executable, "-m", "flantune", *arguments]
    root = pathlib.Path(cli.__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("DataConfig.held_out='plam'", "held-out plan 'plam', which does not exist"),
        ("DataConfig.prepared_dir='taken'", "must be a folder, and taken is a file"),
    ],
)
def test_a_binding_of_a_wrong_name_is_refused_before_anything_is_prepared(
    capsys, tmp_path, binding, expected
):
    assert expected in fails(capsys, "prepare", "run.gin", f"--gin.{binding}")
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("modules='tasks'", "modules must be a tuple of module names, not 'tasks'"),
        ("mixture=5", "DataConfig.mixture must be a text, not 5"),
    ],
)
def test_a_binding_of_the_wrong_type_is_one_sentence(binding, expected):
    """In a process of its own, without the tests' checks of every signature."""
    done = in_own_process("prepare", "run.gin", f"--gin.DataConfig.{binding}")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert expected in done.stderr.strip().split("\n")[-1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("prepare run.gin --num_processes -1", "at least 0, not '-1'"),
        ("leakage run.gin --num_processes -1", "at least 0, not '-1'"),
        ("show run.gin wrong:task -n -1", "at least 0, not '-1'"),
        ("ledger run.gin --steps 0", "at least 1, not '0'"),
        ("ledger run.gin --examples 0", "at least 1, not '0'"),
        ("vocab run.gin --output v.model --size 0", "at least 1, not '0'"),
        ("infer --checkpoint old --step -1", "at least 0, not '-1'"),
        ("promptsource --gin.x=3", "promptsource reads no gin file"),
        ("lint nopackage.*", "There is no package 'nopackage' to search"),
        (f"lint {MODULE} --split tset", "'tset', which does not exist. Did you mean 'test'?"),
        ("ledger --actual folder", "--actual folder is no run folder"),
        ("ledger --diff nothing.json taken", "nothing.json is neither a run file (.gin) nor"),
        ("ledger --diff folder taken", "folder is neither a run file (.gin) nor"),
        ("infer --checkpoint old --input folder", "--input folder is a folder"),
        (
            "infer --checkpoint old --input prompts.jsonl --gin.infer.batch_size=0",
            "experiments.infer.batch_size must be a whole number of at least 1, not 0",
        ),
        (
            "infer --checkpoint old --input prompts.jsonl --gin.infer.max_decode_length=-4",
            "experiments.infer.max_decode_length must be a whole number of at least 1, not -4",
        ),
    ],
)
def test_a_wrong_flag_is_one_sentence(capsys, arguments, expected):
    assert expected in fails(capsys, *arguments.split())


@pytest.mark.parametrize(
    "flag",
    [
        "ledger run.gin --csv",
        "ledger run.gin --html",
        "vocab run.gin --size 400 --output",
        "infer --checkpoint old --input prompts.jsonl --output",
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(capsys, tmp_path, flag):
    assert "folder is a folder; name a file" in fails(capsys, *flag.split(), "folder")
    assert f"cannot be written: {tmp_path / 'taken'} is a file" in fails(
        capsys, *flag.split(), "taken/x"
    )
    assert not (tmp_path / "prepared").exists()


def test_an_output_in_a_folder_that_is_not_there_makes_the_folder(tmp_path, capsys):
    assert cli.main(["ledger", "run.gin", "--csv", "new/deep/plan.csv"]) == 0
    assert "wrong:task" in (tmp_path / "new" / "deep" / "plan.csv").read_text()


def test_a_run_that_is_refused_leaves_no_folder(capsys, tmp_path):
    assert "--run_dir taken is a file" in fails(capsys, "train", "run.gin", "--run_dir", "taken")
    refused = ["train", "run.gin", "--gin.ModelConfig.vocab_size=20", "--run_dir"]
    assert "vocab_size (20) must be at least" in fails(capsys, *refused, "new")
    assert not (tmp_path / "new").exists()
    # What was there stays.
    assert "vocab_size (20) must be at least" in fails(capsys, *refused, "old")
    assert (tmp_path / "old" / "config.gin").read_text() == RUN


@pytest.mark.parametrize("command", ["prepare run.gin", "train run.gin --run_dir new"])
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("link/store", "{}/link is a link to /nowhere, which does not exist"),
        ("taken/store", "{}/taken is a file"),
        ("/proc/store", "/proc takes no files"),
    ],
)
def test_a_store_that_cannot_be_made_is_one_sentence_and_status_1(
    capsys, tmp_path, command, place, expected
):
    (tmp_path / "link").symlink_to("/nowhere")
    assert cli.main([*command.split(), "--prepared_dir", place]) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"flantune: The prepared store {place} cannot be ")
    assert expected.format(tmp_path) in told
    assert told.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--profile_steps", "3:6"], "must lie within the run: experiments.train.num_steps is 5"),
        (["--profile_steps", "3"], "profile_steps must be FIRST:LAST, both included"),
        (["--gin.experiments.train.wandb_project=p"], "wandb is not installed: pip install"),
    ],
)
def test_what_cannot_be_watched_is_said_before_anything_is_prepared(
    capsys, tmp_path, monkeypatch, flags, expected
):
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    assert expected in fails(capsys, "train", "run.gin", "--run_dir", "new", *flags)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "prepared").exists()


def test_fewer_than_one_worker_is_an_error_and_no_endless_loop():
    with pytest.raises(ValueError, match="at least 1, not -1"):
        list(workers.run(len, ["a"], -1))


def test_prepare_reads_what_the_held_out_plan_evaluates(capsys, monkeypatch):
    """A host without the sources can check the plan then."""
    from flantune.data.held_out_plan import HeldOutPlan

    module = types.ModuleType("wrong_input_plans")
    module.PLANS = (HeldOutPlan(name="plan", evaluation={"wrong:task": "test"}),)
    monkeypatch.setitem(sys.modules, "wrong_input_plans", module)
    command = ["prepare", "run.gin", "--json", "--gin.DataConfig.held_out=plan"]
    command.append(f"--gin.DataConfig.modules=('{MODULE}', 'wrong_input_plans')")
    assert cli.main(command) == 0
    assert json.loads(capsys.readouterr().out)["prepared"] == 2
    assert pathlib.Path(os.environ["FLANTUNE_PREPARED_DIR"], "wrong", "task", "test").is_dir()
