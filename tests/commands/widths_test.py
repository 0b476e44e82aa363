"""What commands print is whole on a narrow terminal, a wide one and in a file."""

import re

import pytest
import rich.console

from flantune import cli, testing
from flantune.commands import shared
from flantune.views import show

MODULE = "widths_tasks"
FAMILY = "a_family_with_a_long_name"  # as those of natural_instructions
ROWS = [{"text": f"row {number} of some {number % 7} words", "answer": "a"} for number in range(30)]
RUN = testing.run_file(
    {
        "DataConfig.mixture": f"{FAMILY}:*",
        "DataConfig.modules": (MODULE,),
        "DataConfig.vocabulary": "bytes",
        "DataConfig.inputs_length": 32,
        "DataConfig.targets_length": 16,
        "DataConfig.batch_size": 4,
        "CheckpointConfig.save_every_steps": 3,
        "train.num_steps": 5,
    }
)
RUN += """
configs.EvalSuite.name = "seen"
configs.EvalSuite.split = "test"
configs.EvalConfig.suites = (@configs.EvalSuite(),)
configs.EvalConfig.metric = "exact_match"
configs.EvalConfig.batch_size = 4
configs.EvalConfig.max_decode_length = 4
"""
COMMANDS = (
    "show run.gin",
    f"show {MODULE} --modules {MODULE}",
    f"show run.gin {FAMILY}:first_of_its_tasks -n 1",
    "ledger run.gin",
    f"lint {MODULE}",
    "leakage run.gin --num_processes 0",
    "vocab run.gin --size 400 --output words.model",
    "prepare run.gin --num_processes 0",
    pytest.param("compile run.gin --topology h100:4", marks=pytest.mark.slow),
    "recipes",
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return tmp_path_factory.mktemp("widths")


@pytest.fixture(autouse=True)
def in_workplace(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("FLANTUNE_PREPARED_DIR", str(workplace / "prepared"))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)  # some commands set it
    (workplace / "run.gin").write_text(RUN)
    tasks = [
        testing.make_task(f"{FAMILY}:{name}", {"train": ROWS, "test": ROWS[:2]})
        for name in ("first_of_its_tasks", "second_of_its_tasks")
    ]
    with testing.task_module(MODULE, tasks):
        yield


def words(text):
    """Words and numbers that no column may break, without punctuation and the seconds of `prepare`."""
    found = {word.strip(".,:()") for word in re.findall(r"[\w.,:%+()-]+", text)}
    return {word for word in found if len(word) <= 20 and not re.fullmatch(r"\d\.\d\d", word)}


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_lost_at_any_width(command, capsys, monkeypatch):
    views = []
    write = show.write

    def recorded(value, view, **keywords):
        views.append(view)
        write(value, view, **keywords)

    monkeypatch.setattr(show, "write", recorded)
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.main(command.split()) in (0, 1)
    printed = {60: capsys.readouterr().out}
    for width in (80, 200, 1000):
        console = rich.console.Console(width=width)
        write(None, views[0], as_json=False, console=console)
        printed[width] = capsys.readouterr().out
    for width, text in printed.items():
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        assert words(printed[1000]) - {"template"} <= words(text), (
            width
        )  # lint's is an empty column
    assert len(words(printed[1000])) > 5


def test_a_file_or_pipe_is_wide():
    assert shared.OUT.width == 200


def test_a_narrow_terminal_gets_whole_names(on_terminal, workplace):
    (workplace / "on_terminal_tasks.py").write_text(
        "from flantune import testing\n"
        f"TASKS = (testing.make_task('{FAMILY}:first_of_its_tasks', {{'train': []}}),)\n"
    )
    arguments = ("show", "on_terminal_tasks", "--modules", "on_terminal_tasks")
    status, text = on_terminal("-m", "flantune", *arguments, width=60)
    assert status == 0, text
    assert f"{FAMILY}:first_of_its_tasks" in text
    assert max(map(len, text.splitlines())) <= 60
