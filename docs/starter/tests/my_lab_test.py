"""The tasks of `tasks/my_lab.py`, whatever they are: every wording is used, options and answers agree, lint finds no error.

The last test is about the rows that come with the project: write what must hold of yours in its place.
"""

import json
import pathlib

import pytest

from flantune import cli, testing
from flantune.data import task_modules
from flantune.data.input import prompts

ROOT = pathlib.Path(__file__).resolve().parents[1]
TASKS = {task.name: task for task in task_modules.load("tasks.my_lab").TASKS}
SPLITS = ("train", "test")


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    """Paths of data and run files are relative to the folder of the project."""
    monkeypatch.chdir(ROOT)


def rendered(task, split):
    """(fields, prompt) of every row of a split in four epochs, each with a wording drawn for it."""
    member = testing.make_member(task, split=split, templates="all")
    rows = range(len(member.reader))
    requests = [prompts.Request(member, row, epoch) for epoch in range(4) for row in rows]
    found = prompts.render(requests, seed=0)
    assert None not in found, "no wording applies to some row"
    return [(member.reader[r.row], prompt) for r, prompt in zip(requests, found, strict=True)]


@pytest.mark.parametrize("name", TASKS)
def test_every_wording_is_used_and_has_an_answer(name):
    task = TASKS[name]
    found = rendered(task, "train")
    assert {prompt.template for _, prompt in found} == set(range(len(task.templates)))
    assert all(prompt.inputs and prompt.targets for _, prompt in found)


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.answer_choices])
@pytest.mark.parametrize("split", SPLITS)
def test_options_and_answers_agree(name, split):
    """Choices have the names of the task, and the target is the option of the row's label."""
    task = TASKS[name]
    with_options = 0
    for fields, prompt in rendered(task, split):
        assert sorted(prompt.choices) == sorted(task.answer_choices)
        right = prompt.choices.index(task.answer_choices[fields["label"]])
        assert prompt.targets == prompt.candidates[right]
        if prompt.options_style is not None:
            with_options += 1
            assert all(choice in prompt.inputs for choice in prompt.choices)
    assert with_options > 0


@pytest.mark.parametrize("name", TASKS)
def test_no_row_is_in_both_splits(name):
    train, test = (
        {json.dumps(fields, sort_keys=True) for fields, _ in rendered(TASKS[name], split)}
        for split in SPLITS
    )
    assert train
    assert test
    assert not train & test


def test_lint_finds_no_error(tmp_path):
    assert cli.main(["lint", "gin/runs/my_lab.gin", "--prepared_dir", str(tmp_path)]) == 0


@pytest.mark.skipif("my_lab:thing" not in TASKS, reason="the task of the example is gone")
@pytest.mark.parametrize("split", SPLITS)
def test_the_thing_is_a_word_of_its_message(split):
    for fields, prompt in rendered(TASKS["my_lab:thing"], split):
        assert fields["message"] in prompt.inputs
        assert prompt.targets == fields["answer"]
        assert fields["answer"] in fields["message"]
