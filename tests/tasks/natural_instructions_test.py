"""Natural Instructions: both schemas, Tk-Instruct's layout, the splits, the mixtures."""

import json

import pytest

from flantune.prompting import choice, options, rendering
from tasks import mixtures, natural_instructions, super_ni_test_tasks

(FAMILY,) = natural_instructions.TASKS
NEW = {
    "Definition": ["Say the opposite"],
    "Categories": ["Text to Code -> Other"],
    "Source": ["wordnet", "synthetic"],
    "Instance License": ["MIT"],
    "Positive Examples": [
        {"input": "big", "output": "small", "explanation": "x"},
        {"input": "hot.", "output": "cold!", "explanation": "x"},
        {"input": "old", "output": "new", "explanation": "x"},
    ],
    "Instances": [
        {"id": "1", "input": "wet ", "output": ["dry", "arid"]},
        {"id": "2", "input": "good", "output": [""]},
        {"id": "3", "input": "low", "output": ["high"]},
    ],
}
OLD = {
    "Definition": "Say the opposite",
    "Categories": ["Text to Code -> Other"],
    "Source": ["wordnet", "synthetic"],
    "Instance License": ["MIT"],
    "Positive Examples": NEW["Positive Examples"],
    "Instances": [
        {"input": "wet ", "output": "dry"},
        {"input": "good", "output": ""},
        {"input": "low", "output": "high"},
    ],
}


def make(content, folder, name="task9_opposites"):
    """The task of a file written to a folder, found as a run finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    root = folder
    while not (found := FAMILY.files(root)):
        root = root.parent
    metadata = FAMILY.read_metadata(found[name])
    return FAMILY.make_task(name, json.loads(json.dumps(metadata))), root


def read(task, split, root):
    return [task.to_fields(row) for row in task.source.read(split, root)]


def render(task, index):
    return rendering.render(
        templates=task.templates,
        usable=(index,),
        fields={"input": "wet", "answer": ["dry", "arid"]},
        constants=task.constants,
        answer_choices=None,
        setting=options.PromptSetting(),
        chooser=choice.Chooser(0, 0, "row"),
    )


@pytest.mark.parametrize("folder", ["natural_instructions", "natural-instructions/tasks"])
@pytest.mark.parametrize(("content", "answers"), [(NEW, ["dry", "arid"]), (OLD, ["dry"])])
def test_both_schemas_and_both_folders_are_read(tmp_path, folder, content, answers):
    task, root = make(content, tmp_path / folder)
    assert task.name == "natural_instructions:task9_opposites"
    assert task.cluster == "text_to_code_other"
    assert task.lineage == ("wordnet", "synthetic")
    assert task.licence == "MIT"
    assert task.constants["definition"] == "Say the opposite"
    assert read(task, "test", root) == [{"input": "wet", "answer": answers}]
    assert read(task, "train", root) == [None, {"input": "low", "answer": ["high"]}]


def test_wordings_are_those_of_tk_instruct(tmp_path):
    task, _ = make(NEW, tmp_path / "natural_instructions")
    example_1 = " Positive Example 1 -\nInput: big.\n Output: small.\n\n"
    example_2 = " Positive Example 2 -\nInput: hot.\n Output: cold!\n\n"
    now = "Now complete the following example -\nInput: wet\nOutput: "
    definition = "Definition: Say the opposite.\n\n"
    assert [render(task, index).inputs for index in range(3)] == [
        definition + now,
        definition + example_1 + now,
        definition + example_1 + example_2 + now,
    ]
    assert render(task, 0).references == ("dry", "arid")


@pytest.mark.parametrize("num_examples", [0, 1, 2])
def test_fewer_examples_give_fewer_wordings(tmp_path, num_examples):
    content = {**NEW, "Positive Examples": NEW["Positive Examples"][:num_examples]}
    task, _ = make(content, tmp_path / "natural_instructions")
    assert len(rendering.usable_templates(task.templates, "training")) == num_examples + 1
    for index in range(len(task.templates)):
        assert "wet" in render(task, index).inputs


@pytest.mark.parametrize(("num_instances", "num_test"), [(5, 2), (199, 99), (250, 100)])
def test_the_first_hundred_instances_or_half_are_the_test_split(tmp_path, num_instances, num_test):
    instances = [{"input": f"x{n}", "output": ["y"]} for n in range(num_instances)]
    task, root = make({**NEW, "Instances": instances}, tmp_path / "natural_instructions")
    test = [row["input"] for row in read(task, "test", root)]
    train = [row["input"] for row in read(task, "train", root)]
    assert test == [f"x{n}" for n in range(num_test)]
    assert test + train == [f"x{n}" for n in range(num_instances)]


def test_without_a_folder_there_is_no_task(tmp_path):
    assert FAMILY.files(tmp_path) == {}


def test_the_test_track_is_never_trained_on():
    names = [f"natural_instructions:{name}" for name in super_ni_test_tasks.TEST_TASKS]
    by_name = {mixture.name: mixture for mixture in mixtures.MIXTURES}
    assert len(names) == len(set(names)) == 119
    tasks = [*names, "natural_instructions:task001_quoref_question_generation"]
    members = by_name["super_ni_train"].members(by_name, tasks)
    assert members == ("natural_instructions:task001_quoref_question_generation",)
    evaluated = by_name["super_ni_eval20"].members(by_name, tasks)
    assert len(evaluated) == 20
    assert set(evaluated) <= set(names)


def test_real_tasks_and_mixtures(real_data):
    files = FAMILY.files(real_data)
    by_name = {mixture.name: mixture for mixture in mixtures.MIXTURES}
    names = [f"natural_instructions:{name}" for name in files]
    trained = by_name["super_ni_train"].members(by_name, names)
    assert (len(names), len(trained)) == (620, 620 - 83)
    evaluated = by_name["super_ni_eval20"].members(by_name, names)
    clusters = set()
    for name in evaluated:
        stem = name.split(":")[1]
        task = FAMILY.make_task(stem, FAMILY.read_metadata(files[stem]))
        rows = [row for row in read(task, "test", real_data) if row]
        assert len(rows) >= 99
        assert len(rendering.usable_templates(task.templates, "training")) == 3
        clusters.add(task.cluster)
    assert len(clusters) == 12
