"""MMLU, BIG-Bench Hard and GSM8K read their publishers' file layouts, and each of their wordings renders."""

import json

import pytest

from flantune.prompting import choice, rendering, settings
from tasks import bbh, gsm8k, held_out, mmlu

MMLU_ROW = 'What is 2 + 2?,3,4,"5, or so",6,B\n'
BBH_FILE = {"canary": "x", "examples": [{"input": "not True is", "target": "False"}]}
GSM8K_ROW = {
    "question": "A hen lays 3 eggs a day. A week?",
    "answer": "7 * 3 = <<7*3=21>>21\n#### 2,100",
}


@pytest.fixture
def folder(tmp_path):
    """The three publishers' files, with a row each."""
    files = {
        "mmlu/test/abstract_algebra_test.csv": MMLU_ROW,
        "mmlu/test/virology_test.csv": MMLU_ROW,
        "mmlu/dev/virology_dev.csv": MMLU_ROW * 5,
        "bbh/boolean_expressions.json": json.dumps(BBH_FILE),
        "gsm8k/test.jsonl": json.dumps(GSM8K_ROW) + "\n",
        "gsm8k/train.jsonl": (json.dumps(GSM8K_ROW) + "\n") * 501,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def family_tasks(module, data_dir):
    (family,) = module.TASKS
    found = family.files(data_dir)
    return {
        name: family.make_task(name, family.read_metadata(path)) for name, path in found.items()
    }


def rows(task, split, data_dir):
    return [task.to_fields(row) for row in task.source.read(split, data_dir)]


def test_mmlu_has_a_task_for_each_subject_with_its_group(folder):
    tasks = family_tasks(mmlu, folder)
    clusters = {task.name: task.cluster for task in tasks.values()}
    assert clusters == {
        "mmlu:abstract_algebra": "exam_questions_stem",
        "mmlu:virology": "exam_questions_other",
    }
    virology = tasks["virology"]
    fields = {"question": "What is 2 + 2?", "choices": ["3", "4", "5, or so", "6"], "label": 1}
    assert rows(virology, "test", folder) == [fields]
    assert len(rows(virology, "train", folder)) == 5
    assert virology.constants == {"subject": "virology"}


def test_mmlu_groups_have_the_published_numbers_of_subjects():
    counts = {group: len(set(names.split())) for group, names in mmlu._GROUPS.items()}
    assert counts == {"stem": 18, "humanities": 13, "social_sciences": 12}


def test_bbh_has_a_task_for_each_file(folder):
    (task,) = family_tasks(bbh, folder).values()
    assert task.name == "bbh:boolean_expressions"
    assert task.source.splits == ("test",)
    assert rows(task, "test", folder) == [{"input": "not True is", "answer": "False"}]


def test_gsm8k_takes_the_number_and_leaves_the_calculator_marks_out(folder):
    (task,) = gsm8k.TASKS
    fields = {
        "question": "A hen lays 3 eggs a day. A week?",
        "rationale": "7 * 3 = 21",
        "answer": "2100",
    }
    assert rows(task, "test", folder) == [fields]
    assert [len(rows(task, split, folder)) for split in ("validation", "train")] == [500, 1]


@pytest.mark.parametrize(
    ("prediction", "number"),
    [("2100", "2100"), ("It is $2,100.00 a day.", "2100"), ("-3.50", "-3.5"), ("none", "none")],
)
def test_gsm8k_predictions_are_compared_by_their_last_number(prediction, number):
    (task,) = gsm8k.TASKS
    assert task.postprocess(prediction) == number


def test_every_wording_renders_and_its_target_gives_the_answer_back(folder):
    tasks = [
        *family_tasks(mmlu, folder).values(),
        *family_tasks(bbh, folder).values(),
        *gsm8k.TASKS,
    ]
    for task in tasks:
        (fields,) = rows(task, "test", folder)
        assert len({template.inputs for template in task.templates}) == len(task.templates) >= 6
        for number, template in enumerate(task.templates):
            prompt = rendering.render(
                templates=task.templates,
                usable=(number,),
                fields=fields,
                constants=task.constants,
                answer_choices=task.answer_choices,
                setting=settings.PromptSetting(),
                chooser=choice.Chooser(0, 0, "row"),
            )
            assert "{" not in prompt.inputs + prompt.targets
            assert prompt.inputs == prompt.inputs.strip()
            assert template.extract(prompt.targets) == prompt.references[0]


def test_real_files_have_their_published_rows(real_data):
    exams = family_tasks(mmlu, real_data)
    assert len(exams) == 12
    assert sum(len(rows(task, "test", real_data)) for task in exams.values()) == 2831
    assert all(len(rows(task, "train", real_data)) == 5 for task in exams.values())
    assert (
        sum(len(rows(t, "test", real_data)) for t in family_tasks(bbh, real_data).values()) == 1937
    )
    assert len(rows(gsm8k.TASKS[0], "test", real_data)) == 1319
    everything = [row for task in exams.values() for row in rows(task, "test", real_data)]
    assert None not in everything


def test_plans_name_what_they_evaluate():
    names = [plan.name for plan in held_out.PLANS]
    assert len(set(names)) == len(names)
    for plan in held_out.PLANS:
        assert plan.evaluation
        # T0 is evaluated on validation rows: the labels of most of its test splits are hidden.
        expected = "validation" if plan.name == "t0" else "test"
        assert all(split == expected for split in plan.evaluation.values())
