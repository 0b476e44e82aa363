"""The FLAN part of Flan 2022: splits, published counts, and the rows of its new tasks."""

import pytest
import yaml

from tasks import flan2022

from . import collection

TASKS = {task.name.partition(":")[2]: task for task in flan2022.TASKS}


def rows(key):
    return collection.example_rows()[f"flan2022:{key}"]


def test_published_rows_add_up_to_the_published_sums():
    counts = flan2022.PUBLISHED_ROWS.values()
    assert len(counts) == 71
    assert sum(counts) == 114_400_460
    assert sum(min(count, 30_000) for count in counts) == 1_495_430
    assert sum(count >= 30_000 for count in counts) == 41


def test_every_task_has_its_published_rows():
    assert set(TASKS) == set(flan2022.PUBLISHED_ROWS)
    assert {key: dict(task.published_rows) for key, task in TASKS.items()} == {
        key: {"train": flan2022.PUBLISHED_ROWS[key]} for key in TASKS
    }


@pytest.mark.parametrize(
    ("key", "splits"),
    [
        ("rte", ("train[:-200]", "train[-200:]", "validation")),  # as in 2021
        ("snli", ("train", "validation", "test")),
        ("samsum", ("train", "validation", "test")),
        ("drop", ("train[:-200]", "train[-200:]", "dev")),
        ("winogrande", ("train_xl[:-200]", "train_xl[-200:]", "validation")),
        ("aeslc", ("train", "validation[-200:]", "test")),
    ],
)
def test_splits_have_no_cap(key, splits):
    assert tuple(dict(TASKS[key].source.tfds_splits).values()) == splits


def test_no_wsc273_and_the_fixed_wsc():
    assert "wsc273" not in TASKS
    assert TASKS["wsc"].source.name == "super_glue/wsc.fixed:1.0.2"
    text = TASKS["wsc"].to_fields(rows("wsc")[1])["text"]
    assert text == "The ladder leaned on the wall. When *it* slid, the paint came off too."


def test_lambada_asks_for_the_last_word_and_drops_a_passage_without_one():
    fields = flan2022.lambada_fields({"passage": "he shut  the\ndoor\n"})
    assert fields == {"passage": "he shut the", "answer": "door"}
    assert flan2022.lambada_fields({"passage": "he shut the door ."}) is None
    assert flan2022.lambada_fields({"passage": "door"}) is None


def test_science_questions_have_the_options_a_to_d_and_one_of_them_is_the_answer():
    given = r"Ice is \n (A) a gas (B) a liquid (C) a solid  (D) a plasma"
    fields = flan2022.science_fields({"input": given, "output": "a solid"})
    assert fields == {
        "question": "Ice is",
        "choices": ["a gas", "a liquid", "a solid", "a plasma"],
        "label": 2,
    }
    assert flan2022.science_fields({"input": given, "output": "snow"}) is None
    three = {"input": r"Ice is \n (A) a gas (B) a liquid (C) a solid", "output": "a solid"}
    assert flan2022.science_fields(three) is None


def test_splits_and_counts_are_those_that_were_read_from_the_collections_code(real_data):
    facts = yaml.safe_load((real_data.parent / "facts" / "flan2022.yaml").read_text())
    members = {one["key"]: one for one in facts["submixtures"]["FLAN"]["members"]}
    assert set(TASKS) == set(members)
    for key, task in TASKS.items():
        assert flan2022.PUBLISHED_ROWS[key] == members[key]["cases"][0]
        if isinstance(members[key]["splits"], dict):  # the two new ones are only trained on
            assert task.source.describe()["splits"] == members[key]["splits"], key
