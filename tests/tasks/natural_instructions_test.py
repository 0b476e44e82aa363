"""Natural Instructions: both schemas, Tk-Instruct's layout, the splits, the mixtures."""

import json

import pytest

from flantune.audit import held_out as held_out_lib
from flantune.data import catalog as catalog_lib
from flantune.prompting import PromptSetting, choice, rendering
from tasks import held_out, mixtures, natural_instructions, super_ni_test_tasks

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
        setting=PromptSetting(),
        chooser=choice.Chooser(0, 0, "row"),
    )


def catalog_of(tasks):
    return catalog_lib.Catalog(
        modules=("tasks",),
        tasks={task.name: task for task in tasks},
        mixtures={mixture.name: mixture for mixture in mixtures.MIXTURES},
        plans={plan.name: plan for plan in held_out.PLANS},
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


def render_setting(task, setting):
    """The one wording of a setting."""
    (index,) = rendering.usable_templates(
        task.templates, "training", natural_instructions.SETTINGS[setting]
    )
    return render(task, index).inputs


def test_encodings_are_those_of_tk_instruct(tmp_path):
    negative = [{"input": "dry", "output": "dry", "explanation": "Same word"}]
    task, _ = make({**NEW, "Negative Examples": negative}, tmp_path / "natural_instructions")
    example_1 = " Positive Example 1 -\nInput: big.\n Output: small.\n"
    example_2 = " Positive Example 2 -\nInput: hot.\n Output: cold!\n"
    negative_1 = " Negative Example 1 -\nInput: dry.\n Output: dry.\n\n"
    now = "Now complete the following example -\nInput: wet\nOutput: "
    definition = "Definition: Say the opposite.\n\n"
    both = f"{example_1}\n{example_2}\n"
    encodings = {
        "definition": definition + now,
        "positive_2": both + now,
        "definition_positive_2": definition + both + now,
        "definition_positive_2_negative_2": definition + both + negative_1 + now,
        "definition_positive_2_explained": (
            f"{definition}{example_1} Explanation: x.\n\n{example_2} Explanation: x.\n\n{now}"
        ),
    }
    assert [render(task, index).inputs for index in range(5)] == list(encodings.values())
    assert {name: render_setting(task, name) for name in encodings} == encodings
    assert render_setting(task, "definition_positive_1") == f"{definition}{example_1}\n{now}"
    assert render(task, 0).references == ("dry", "arid")
    assert task.may_drop[0] == "negative_1"
    assert task.may_drop[-1] == "positive_1"


@pytest.mark.parametrize("num_examples", [0, 1, 2])
def test_fewer_examples_are_all_shown(tmp_path, num_examples):
    content = {**NEW, "Positive Examples": NEW["Positive Examples"][:num_examples]}
    task, _ = make(content, tmp_path / "natural_instructions")
    usable = rendering.usable_templates(task.templates, "training")
    assert len(usable) == (5 if num_examples else 4)
    for index in usable:
        inputs = render(task, index).inputs
        assert "wet" in inputs
        assert "Say the opposite" in inputs or "Positive Example 1" in inputs
    assert render_setting(task, "definition_positive_4").count("Example") == num_examples


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


def test_the_test_track_and_its_source_datasets_are_never_trained_on(tmp_path):
    names = super_ni_test_tasks.TEST_TASKS
    assert len(names) == len(set(names)) == 119
    written = {name: {**NEW, "Source": [f"source of {name}"]} for name in names}
    written["task1_free"] = {**NEW, "Source": ["nothing evaluated"]}
    written["task2_shared"] = {**NEW, "Source": ["wordnet", f"Source-of {names[70]}"]}
    written["task3_winowhy_why"] = {**NEW, "Source": ["winowhy"]}
    root = tmp_path / "natural_instructions"
    tasks = [make(content, root, name)[0] for name, content in written.items()]
    catalog = catalog_of(tasks)
    assert catalog.members("super_ni_train") == ("natural_instructions:task1_free",)
    evaluated = catalog.members("super_ni_eval20")
    assert len(evaluated) == 20
    assert {name.partition(":")[2] for name in evaluated} <= set(names)


def test_real_tasks_and_mixtures(real_data):
    files = FAMILY.files(real_data)
    tasks = [FAMILY.make_task(name, FAMILY.read_metadata(path)) for name, path in files.items()]
    catalog = catalog_of(tasks)
    trained = catalog.members("super_ni_train")
    # 83 of the test track, 70 of its source datasets, 2 of Winograd schemas.
    assert (len(tasks), len(trained)) == (620, 620 - 83 - 70 - 2)
    plan = catalog.plans["super_ni"]
    assert held_out_lib.check_names(catalog, trained, plan).violations == ()
    evaluated = catalog.members("super_ni_eval20")
    clusters = set()
    for name in evaluated:
        stem = name.split(":")[1]
        task = FAMILY.make_task(stem, FAMILY.read_metadata(files[stem]))
        rows = [row for row in read(task, "test", real_data) if row]
        assert len(rows) >= 99
        assert len(rendering.usable_templates(task.templates, "training")) == 5
        clusters.add(task.cluster)
    assert len(clusters) == 12
