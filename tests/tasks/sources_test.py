"""The task modules read their publishers' file layouts: small files written here, and the real ones where they are."""

import itertools

import pytest

from tasks import chain_of_thought, commonsense_qa, copa, sst2, trec

COT = {task.name: task for task in chain_of_thought.TASKS}
STATIC = (*chain_of_thought.TASKS, *commonsense_qa.TASKS, *copa.TASKS, *sst2.TASKS, *trec.TASKS)
# Rows of splits, as the publishers state them or as the file has lines (the largest are left out: time).
REAL_ROWS = {
    "chain_of_thought:qasc": {"train": 884, "validation": 200},
    "sst2:sst2": {"validation": 872, "test": 1821},
    "trec:coarse": {"train": 4952, "validation": 500, "test": 500},
    "commonsense_qa:commonsense_qa": {"validation": 500, "test": 1221},
    "copa:copa": {"train": 400, "validation": 100, "test": 500},
}


def fields(task, split, data_dir):
    return [task.to_fields(row) for row in task.source.read(split, data_dir)]


def write(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))


def test_sst2(tmp_path):
    write(tmp_path, "sst2/dev.tsv", 'it \'s "fun"\t1\ndull\t0\n')
    (task,) = sst2.TASKS
    assert fields(task, "validation", tmp_path) == [
        {"sentence": 'it \'s "fun"', "label": 1},
        {"sentence": "dull", "label": 0},
    ]


def test_trec_is_latin_1_and_its_coarse_type_is_the_label(tmp_path):
    write(tmp_path, "trec/TREC.test", "LOC:city Where is São Paulo ?\nNUM:date When ?\n", "latin-1")
    (task,) = trec.TASKS
    assert [
        (row["question"], task.answer_choices[row["label"]])
        for row in fields(task, "test", tmp_path)
    ] == [("Where is São Paulo ?", "location"), ("When ?", "number")]


def test_commonsense_qa_takes_the_rows_own_choices_and_drops_hidden_answers(tmp_path):
    question = (
        '"question": {"question_concept": "milk", "stem": "Where is milk?", '
        '"choices": [{"label": "A", "text": "roof"}, {"label": "B", "text": "fridge"}]}'
    )
    lines = f'{{"answerKey": "B", {question}}}\n{{"id": "hidden", {question}}}\n'
    write(tmp_path, "commonsense_qa/dev_rand_split.jsonl", lines)
    (task,) = commonsense_qa.TASKS
    assert fields(task, "test", tmp_path) == [
        {
            "question": "Where is milk?",
            "concept": "milk",
            "choices": ["roof", "fridge"],
            "label": 1,
        },
        None,
    ]


def test_copa_words_causes_and_effects_apart(tmp_path):
    items = "".join(
        f'<item id="{i}" asks-for="{asks}" most-plausible-alternative="{label}">'
        "<p>It fell.</p><a1>One.</a1><a2>Two.</a2></item>"
        for i, (asks, label) in enumerate((("cause", 1), ("effect", 2)))
    )
    write(tmp_path, "copa/copa-test.xml", f"<copa-corpus>{items}</copa-corpus>")
    cause, effect = fields(copa.TASKS[0], "test", tmp_path)
    assert (cause["link"], cause["relation"], cause["label"]) == ("because", "cause", 0)
    assert (effect["link"], effect["relation"], effect["label"]) == ("so", "effect", 1)
    assert cause["choices"] == ["One.", "Two."]
    assert (cause["premise"], cause["start"]) == ("It fell.", "It fell")


def test_chain_of_thought_turns_written_line_breaks_into_real_ones(tmp_path):
    row = "Which?\\nOptions:\\n(A) 1\\n(B) 2\t(B)\t1 + 1 = 2\n"
    no_answer = "Which?\t\tBecause.\n"
    write(tmp_path, "flan_cot/aqua_train.tsv", row + no_answer + row * 200)
    task = COT["chain_of_thought:aqua"]
    validation = fields(task, "validation", tmp_path)
    assert validation[0] == {
        "question": "Which?\nOptions:\n(A) 1\n(B) 2",
        "answer": "(B)",
        "rationale": "1 + 1 = 2.",
    }
    assert validation[1] is None
    assert len(validation) == 200
    assert len(fields(task, "train", tmp_path)) == 2


@pytest.mark.parametrize("name", list(REAL_ROWS))
def test_real_files_have_their_published_rows(name, real_data):
    task = next(task for task in STATIC if task.name == name)
    rows = {split: fields(task, split, real_data) for split in REAL_ROWS[name]}
    assert {split: len(found) for split, found in rows.items()} == REAL_ROWS[name]
    for row in itertools.chain(*rows.values()):
        assert set(task.needed_fields()) <= set(row)


def test_every_chain_of_thought_file_that_is_there_can_be_read(real_data):
    found = [task for task in chain_of_thought.TASKS if task.source.fingerprint("train", real_data)]
    assert len(found) >= 7
    for task in found:
        validation = fields(task, "validation", real_data)
        assert len(validation) == 200
        assert all(row and "\\n" not in row["question"] for row in validation)
