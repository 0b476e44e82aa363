"""`flantune.render`: examples as `flantune show` has them."""

import json
import re

import pytest

import flantune
from flantune import cli

MODULES = ["api_test_tasks"]


def test_examples_are_those_of_flantune_show(capsys):
    found = flantune.render("api:late", setting="2_shot", num_examples=4, seed=3, modules=MODULES)
    flags = ["--setting", "2_shot", "-n", "4", "--seed", "3", "--modules", *MODULES, "--json"]
    assert cli.main(["show", "api:late", *flags]) == 0
    shown = json.loads(capsys.readouterr().out)["examples"]
    assert [json.loads(json.dumps(vars(one))) for one in found] == shown
    assert [one.row for one in found] == [0, 1, 2, 3]


def test_text_and_choices_are_plain_values():
    (example,) = flantune.render("api:late", num_examples=1, modules=MODULES)
    assert (example.inputs, example.targets, example.fit) == ("Is eeeee late?", "no", "whole")
    assert (example.template, example.exemplars) == (0, ())
    assert set(example.candidates) == {"no", "yes"}
    assert str(example) == "Is eeeee late?\n---\nno"
    shots = flantune.render("api:late#2_shot", num_examples=1, modules=MODULES)[0]
    assert len(shots.exemplars) == 2
    assert shots.inputs.endswith(shots.query)
    assert shots.inputs.count("late?") == 3


def test_split_and_lengths_may_be_given():
    (test,) = flantune.render("api:copy", split="test", num_examples=1, modules=MODULES)
    assert test.targets == "a"
    (short,) = flantune.render("api:copy", num_examples=1, modules=MODULES, inputs_length=6)
    assert short.fit == "dropped"


def test_without_modules_every_task_is_searched():
    (example,) = flantune.render("quickstart:sort_numbers", num_examples=1)
    numbers = re.findall(r"\d+", example.inputs)
    assert example.targets.split() == sorted(numbers, key=int)


@pytest.mark.parametrize(
    ("task", "how", "error", "message"),
    [
        ("api:lat", {}, KeyError, "Did you mean 'api:late'"),
        ("api:late", {"setting": "2_shots"}, KeyError, "2_shot"),
        ("api:late", {"split": "dev"}, KeyError, "split 'dev'"),
        ("api_all", {}, ValueError, "'api_all' is a mixture, not a task"),
        ("api:late", {"modules": "api_test_tasks"}, ValueError, "must be a tuple of module names"),
        ("api:late", {"num_examples": -1}, ValueError, "num_examples must be a whole number"),
    ],
)
def test_wrong_input_is_one_sentence(task, how, error, message):
    with pytest.raises(error, match=message):
        flantune.render(task, **{"modules": MODULES, **how})
