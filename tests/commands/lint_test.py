"""`flantune lint`: findings by task, codes with what to do, JSON, exit status, what a module allows."""

import json
import sys

import pytest

from flantune import cli, testing
from flantune.data import InstructionTask, sources
from flantune.prompting import Template

GOOD = [{"text": f"{i} of ten", "answer": f"{i * i}"} for i in range(20)]
SAME = [{"text": f"{i} of ten", "answer": "x"} for i in range(20)]
TASKS = [
    testing.make_task("lint:good", {"train": GOOD}, templates=[Template(inputs="Q: {text}\nA:")]),
    testing.make_task(
        "lint:same", {"test": SAME}, templates=[Template(inputs="Is the the {text}\nA:")]
    ),
]


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """A module with a task that is sound and one that is not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLANTUNE_PREPARED_DIR", str(tmp_path / "prepared"))
    with testing.task_module("lint_command_tasks", TASKS):
        yield sys.modules["lint_command_tasks"]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """Tables whose cells need no second line."""
    monkeypatch.setenv("COLUMNS", "1000")


def run(capsys, *arguments):
    """Exit status and standard output."""
    capsys.readouterr()
    status = cli.main(["lint", *arguments])
    return status, capsys.readouterr().out


def test_errors_give_status_1_and_the_table_says_what_to_do(capsys):
    status, text = run(capsys, "lint_command_tasks")
    assert status == 1
    assert "All 20 rows have the answer 'x'." in text
    assert "single_label" in text
    assert "Leave the task out, or read rows with other answers." in " ".join(text.split())
    assert "2 tasks with the vocabulary bytes: 1 errors, 1 warnings, 0 notes; allowed: 0." in text
    assert "lint:good" not in text


def test_a_task_without_the_split_is_checked_on_its_first_one(capsys):
    _, text = run(capsys, "lint_command_tasks", "--json")
    value = json.loads(text)
    assert value["splits"] == {"lint:good": "train", "lint:same": "test"}
    assert value["counts"] == {
        "single_label": {"findings": 1, "tasks": 1},
        "typo": {"findings": 1, "tasks": 1},
    }
    assert [(one["task"], one["template"]) for one in value["findings"]] == [
        ("lint:same", None),
        ("lint:same", 0),
    ]


def test_tasks_can_be_chosen(capsys):
    assert run(capsys, "lint_command_tasks", "--task", "lint:g*")[0] == 0
    assert cli.main(["lint", "lint_command_tasks", "--task", "lint:sme"]) == 2
    assert "Did you mean 'lint:same'" in capsys.readouterr().err


def test_what_is_allowed_is_no_error(capsys, module):
    module.LINT_ALLOW = {"lint:same": {"single_label": "a constant is what we test"}}
    status, text = run(capsys, "lint_command_tasks")
    assert status == 0
    assert "0 errors, 1 warnings, 0 notes; allowed: 1." in text
    assert "All 20 rows" not in text
    assert "All 20 rows" in run(capsys, "lint_command_tasks", "--notes")[1]


def test_a_trained_vocabulary_without_a_run(capsys):
    status, text = run(capsys, "lint_command_tasks", "--vocabulary", "sentencepiece:400")
    assert status == 1
    assert "vocabulary sentencepiece:400: 1 errors, 1 warnings" in text


def test_a_run_file_brings_modules_and_vocabulary(capsys, tmp_path):
    names = {"mixture": "lint:good", "modules": ("lint_command_tasks",), "vocabulary": "bytes+100"}
    numbers = {"inputs_length": 32, "targets_length": 8, "batch_size": 1}
    lines = [f"configs.DataConfig.{key} = {value!r}" for key, value in (names | numbers).items()]
    header = "from __gin__ import dynamic_registration\nfrom flantune import configs\n"
    (tmp_path / "run.gin").write_text(header + "\n".join(lines) + "\n")
    assert "with the vocabulary bytes+100" in run(capsys, "run.gin")[1]


def test_a_run_file_has_the_tasks_of_its_mixture_checked(capsys, tmp_path):
    header = "from __gin__ import dynamic_registration\nfrom flantune import configs\n"
    values = {"modules": ("lint_command_tasks",), "vocabulary": "bytes", "mixture": "lint:good"}
    values |= {"inputs_length": 32, "targets_length": 8, "batch_size": 1}
    lines = [f"configs.DataConfig.{key} = {value!r}" for key, value in values.items()]
    (tmp_path / "run.gin").write_text(header + "\n".join(lines) + "\n")
    status, text = run(capsys, "run.gin")
    assert status == 0
    assert "1 tasks of 'lint:good' with the vocabulary bytes: 0 errors" in text
    assert "lint:same" not in text
    value = json.loads(run(capsys, "run.gin", "--json")[1])
    assert (value["mixture"], list(value["splits"])) == ("lint:good", ["lint:good"])
    for more in (["--all"], ["lint_command_tasks"]):
        status, text = run(capsys, "run.gin", *more)
        assert status == 1
        assert "2 tasks with the vocabulary bytes" in text
    assert cli.main(["lint", "run.gin", "--task", "lint:same"]) == 2
    assert "'lint:same', which 'lint:good' does not have; --all takes" in capsys.readouterr().err
    assert run(capsys, "run.gin", "--task", "lint:same", "--all")[0] == 1
    assert run(capsys, "run.gin", "lint:good")[0] == 0


def test_a_task_alone_is_searched_in_all_modules(capsys):
    assert run(capsys, "quickstart:sort_numbers", "lint:*")[0] == 2  # none of tasks/ has these
    status, text = run(capsys, "quickstart:sort_numbers", "--json")
    assert status == 0
    assert json.loads(text)["splits"] == {"quickstart:sort_numbers": "train"}


def test_sources_that_are_not_here_leave_the_templates(capsys):
    task = InstructionTask(
        name="lint:gone",
        source=sources.Jsonl(train="gone.jsonl"),
        to_fields=dict,
        templates=(Template(inputs="Is the the {text}\nA:"),),
        cluster="gone",
        metrics=(),
    )
    with testing.task_module("lint_gone", [task]):
        status, text = run(capsys, "lint_gone", "--notes")
        value = json.loads(run(capsys, "lint_gone", "--json")[1])
        assert cli.main(["lint", "lint_gone", "--vocabulary", "sentencepiece:400"]) == 2
    assert status == 0
    assert "a repeated word" in text
    assert "The templates of 1 tasks were checked without rows: lint:gone." in text
    (found,) = (one for one in value["findings"] if one["code"] == "no_rows")
    assert found["severity"] == "note"
    assert "no file 'gone.jsonl' below the data directory '.'" in found["message"]
    assert value["without_rows"] == ["lint:gone"]
    assert "no task has any" in capsys.readouterr().err


def test_rows_on_which_to_fields_fails_are_an_error(capsys, tmp_path):
    (tmp_path / "broken_tasks.py").write_text(BROKEN)
    rows = [{"text": f"{n} of ten", "stars": str(n)} for n in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        status, text = run(capsys, "broken_tasks", "--json")
        summary = run(capsys, "broken_tasks", "--vocabulary", "sentencepiece:400")[1]
        sys.modules.pop("broken_tasks")
    assert status == 1
    found = {one["task"]: one for one in json.loads(text)["findings"] if one["task"] != "b:good"}
    assert {one["code"] for one in found.values()} == {"broken_rows"}
    message = found["b:raises"]["message"]
    file = tmp_path / "broken_tasks.py"
    assert "'b:raises'" in message
    assert "rows.jsonl:1: to_fields raised TypeError: '>' not supported" in message
    assert f"""in row["stars"] > 3 ({file}:7)""" in message
    message = found["b:no_field"]["message"]
    assert "'b:no_field' needs the field 'text'" in message
    assert "rows.jsonl:1" in message
    assert str(file) in message
    assert "The templates of 2 tasks were checked without rows: b:raises, b:no_field." in summary


BROKEN = '''"""Tasks of which two cannot read their rows."""
import dataclasses
from flantune import testing
from flantune.data import sources

def raises(row):
    return {"text": row["text"], "answer": row["stars"] > 3}

def no_field(row):
    return {"answer": row["stars"]}

def good(row):
    return {"text": row["text"], "answer": row["stars"]}

TASKS = [
    dataclasses.replace(
        testing.make_task(f"b:{one.__name__}", {"train": []}, to_fields=one),
        source=sources.Jsonl(train="rows.jsonl"),
    )
    for one in (raises, no_field, good)
]
'''


def test_a_few_rows_that_cannot_be_read_are_a_warning(capsys):
    rows = [{"text": f"{n} of many", "answer": f"{n}"} for n in range(200)]
    task = testing.make_task(
        "lint:few", {"train": rows}, to_fields=lambda row: 1 / int(row["answer"]) and row
    )
    with testing.task_module("lint_few", [task]):
        status, text = run(capsys, "lint_few", "--json")
    (found,) = json.loads(text)["findings"]
    assert (status, found["code"]) == (0, "malformed_rows")
    assert (
        "1 of 200 rows of 'train' cannot be read: train:0: to_fields raised Zero"
        in (found["message"])
    )


def test_without_a_name_there_is_nothing_to_check(capsys):
    assert cli.main(["lint"]) == 2
    (sentence,) = capsys.readouterr().err.strip().split("\n")
    for example in ("gin/runs/quickstart.gin", "tasks.quickstart", "quickstart:sort_numbers"):
        assert example in sentence
    assert cli.main(["lint", "no_such_module"]) == 2
    assert "cannot be imported" in capsys.readouterr().err


def test_a_file_named_for_both_splits_is_an_error(capsys):
    task = testing.make_task("lint:twice", {"train": GOOD, "test": GOOD[:10]})
    with testing.task_module("lint_twice", [task]):
        status, text = run(capsys, "lint_twice")
        sys.modules["lint_twice"].LINT_ALLOW = {
            "lint:twice": {"split_in_train": "there are only ten numbers"}
        }
        allowed, _ = run(capsys, "lint_twice")
    assert (status, allowed) == (1, 0)
    assert "The inputs of 10 of 10 rows of 'test' (100.00%) stand in 'train'" in text


def test_a_split_that_fails_beside_the_one_to_check_is_told(capsys):
    task = testing.make_task("lint:half", {"train": GOOD, "test": [{"text": "x"}]})
    with testing.task_module("lint_half", [task]):
        status, text = run(capsys, "lint_half", "--json")
    (found,) = json.loads(text)["findings"]
    assert (status, found["code"]) == (1, "broken_rows")
    assert "The rows of 'test' cannot be prepared." in found["message"]
    assert json.loads(text)["without_rows"] == []
