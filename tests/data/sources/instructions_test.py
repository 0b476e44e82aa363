import json

import pytest

from flantune.data import sources


def records(tmp_path, text, spec="rows.json"):
    (tmp_path / "rows.json").write_text(text)
    return list(sources.Instructions(train=spec).records("train", tmp_path))


def test_alpaca_as_a_list_and_as_lines(tmp_path):
    rows = [
        {"instruction": "Add.", "input": "1 1", "output": "2"},
        {"instruction": "Greet.", "input": "", "response": "Hi!"},
        {"instruction": "Wave.", "input": None, "output": "👋", "id": 7},
        {"instruction": "Sing.", "input": "<noinput>", "output": "La."},
        {"instruction": "Dance.", "output": "No."},
    ]
    expected = [
        {"instruction": "Add.", "input": "1 1", "output": "2"},
        {"instruction": "Greet.", "input": "", "output": "Hi!"},
        {"instruction": "Wave.", "input": "", "output": "👋", "id": 7},
        {"instruction": "Sing.", "input": "", "output": "La."},
        {"instruction": "Dance.", "input": "", "output": "No."},
    ]
    as_list = records(tmp_path, json.dumps(rows, indent=1))
    as_lines = records(tmp_path, "\ufeff" + "\r\n".join(json.dumps(row) for row in rows))
    assert [record.row for record in as_list] == expected
    assert [record.row for record in as_lines] == expected
    assert as_list[1].where.endswith("rows.json:item 1")
    assert as_lines[1].where.endswith("rows.json:2")


def test_a_seed_task_gives_a_row_for_each_instance(tmp_path):
    seed = {
        "id": "seed_0",
        "instruction": "Sort.",
        "is_classification": True,
        "instances": [{"input": "a", "output": "x"}, {"input": "", "output": "y"}],
    }
    found = records(tmp_path, "\n".join([json.dumps(seed)] * 2), "rows.json[1:]")
    shared = {"id": "seed_0", "instruction": "Sort.", "is_classification": True}
    assert [record.row for record in found] == [
        {**shared, "input": "a", "output": "x"},
        {**shared, "input": "", "output": "y"},
    ]
    assert found[1].where.endswith("rows.json:2, instance 1")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            {"instructions": "a", "output": "b"},
            "no key instruction, only 'instructions', 'output'; closest: 'instructions'",
        ),
        ({"instruction": "a"}, "no key output or response, only 'instruction'"),
        ({"instruction": "a", "output": None}, "output is null, not a text"),
        ({"instruction": ["a"], "output": "b"}, "instruction is a list, not a text"),
        ({"instruction": "a", "input": {"x": None}, "output": "b"}, "input is a dict, not a text"),
        ({"instruction": "a", "instances": []}, "instances must be a list of objects, not []"),
        ({"instruction": "a", "instances": [None]}, "the instance is a NoneType, not an object"),
    ],
)
def test_malformed_rows_are_told(tmp_path, row, problem):
    (record,) = records(tmp_path, json.dumps([row]))
    assert (record.row, record.problem) == (None, problem)


def test_the_real_files(real_data):
    teacher = sources.Instructions(train="alpaca_format/gpteacher_roleplay.json")
    rows = list(teacher.read("train", real_data))
    assert len(rows) == 3146
    assert all(set(row) == {"instruction", "input", "output"} for row in rows)
    seeds = sources.Instructions(train="self_instruct/seed_tasks.jsonl")
    rows = list(seeds.read("train", real_data))
    assert len({row["id"] for row in rows}) == 175
    assert len({row["id"] for row in rows if row["is_classification"]}) == 26
