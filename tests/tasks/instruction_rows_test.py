"""A folder in which every file of instruction rows is a task."""

import gzip
import json
import logging

from flantune.data import catalog as catalog_lib
from flantune.data.store import prepare, reader as store_lib
from flantune.prompting import choice, rendering, settings
from tasks import instruction_rows

ALPACA = [{"instruction": f"Add {n}.", "input": "1" if n else "", "output": "2"} for n in range(30)]
CHAT = [
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": f"Hi {n}!"},
            {"role": "assistant", "content": "Hello."},
            {"role": "user", "content": "Bye."},
            {"role": "assistant", "content": "See you."},
        ]
    }
    for n in range(20)
]
PLAIN = [{"inputs": f"1 + {n} =", "targets": ["2", "two"]} for n in range(5)]
SEED = {
    "instruction": "Good or bad?",
    "is_classification": True,
    "instances": [{"input": "a", "output": "good"}, {"input": "b", "output": ""}],
}


def write(data_dir, name, rows, as_list=False):
    text = json.dumps(rows) if as_list else "\n".join(map(json.dumps, rows))
    path = data_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())


def prepared(data_dir, tmp_path):
    store = store_lib.Store(tmp_path / "store")
    catalog = catalog_lib.load(("tasks.instruction_rows",), store, data_dir)
    tasks = [(task, task.source.splits) for task in catalog.tasks.values()]
    prepare.prepare(tasks, store, data_dir, num_processes=0).raise_if_failed()
    rows = {}
    for task, splits in tasks:
        for split in splits:
            reader = store.reader(store.manifest(task, split))
            name = task.name.partition(":")[2]
            rows[name, split] = (task, reader.fetch(range(len(reader))))
    return rows


def prompts(task, fields):
    """The prompt of every template."""
    return [
        rendering.render(
            templates=task.templates,
            usable=[position],
            fields=fields,
            constants={},
            answer_choices=None,
            setting=settings.PromptSetting(),
            chooser=choice.Chooser(0, 0, "row"),
        )
        for position in range(len(task.templates))
    ]


def test_every_format_is_a_task(tmp_path):
    data_dir = tmp_path / "data"
    write(data_dir, "instruction_rows/my rows.json", ALPACA, as_list=True)
    write(data_dir, "instruction_rows/chats.jsonl.gz", CHAT)
    write(data_dir, "instruction_rows/plain.jsonl", PLAIN)
    write(data_dir, "self_instruct/seeds.jsonl", [SEED])
    (data_dir / "instruction_rows" / "README.md").write_text("no rows")
    rows = prepared(data_dir, tmp_path)
    sizes = {key: len(found) for key, (_, found) in rows.items()}
    assert sizes == {
        ("my_rows", "train"): 27,
        ("my_rows", "validation"): 3,
        ("chats", "train"): 36,
        ("chats", "validation"): 4,
        ("plain", "train"): 5,
        ("seeds", "train"): 1,
    }
    _, seeds = rows["seeds", "train"]
    assert seeds[0]["is_classification"] is True


def test_the_input_has_a_part_of_its_own_where_there_is_one(tmp_path):
    write(tmp_path / "data", "instruction_rows/a.jsonl", ALPACA)
    task, (without, with_input, _) = prepared(tmp_path / "data", tmp_path)["a", "validation"]
    assert prompts(task, without)[0].inputs == "Instruction:\nAdd 0.\n\nResponse:"
    assert prompts(task, with_input)[0].inputs == "Instruction:\nAdd 1.\n\nInput:\n1\n\nResponse:"
    assert all("Add 1." in prompt.inputs for prompt in prompts(task, with_input))
    assert {prompt.targets for prompt in prompts(task, without)} == {"2"}


def test_a_chat_shows_its_turns_after_the_system_message(tmp_path):
    write(tmp_path / "data", "instruction_rows/a.jsonl", CHAT)
    task, rows = prepared(tmp_path / "data", tmp_path)["a", "validation"]
    first, second = (prompts(task, fields)[0] for fields in rows[:2])
    assert first.inputs.startswith("Be brief.\n\n")
    assert (first.targets, second.targets) == ("Hello.", "See you.")
    for text in ("Hi 0!", "Hello.", "Bye."):
        assert text in second.inputs


def test_finished_prompts_stay_as_they_are(tmp_path):
    write(tmp_path / "data", "instruction_rows/a.json", PLAIN, as_list=True)
    task, rows = prepared(tmp_path / "data", tmp_path)["a", "train"]
    (prompt,) = prompts(task, rows[0])
    assert (prompt.inputs, prompt.references) == ("1 + 0 =", ("2", "two"))


def test_a_file_of_another_format_is_told_and_blocks_nothing(tmp_path, caplog):
    write(tmp_path / "data", "instruction_rows/odd.jsonl", [{"question": "?"}])
    write(tmp_path / "data", "instruction_rows/plain.jsonl", PLAIN)
    with caplog.at_level(logging.ERROR):
        rows = prepared(tmp_path / "data", tmp_path)
    assert list(rows) == [("plain", "train")]
    assert "instruction_rows/odd.jsonl: the first row has 'question'; it needs" in caplog.text


def test_the_real_files(real_data, tmp_path):
    found = {name: path.name for name, path in instruction_rows.files(real_data).items()}
    assert found == {
        "gpteacher_roleplay": "gpteacher_roleplay.json",
        "seed_tasks": "seed_tasks.jsonl",
    }
    rows = {key: len(found) for key, (_, found) in prepared(real_data, tmp_path).items()}
    assert rows == {
        ("gpteacher_roleplay", "train"): 2946,
        ("gpteacher_roleplay", "validation"): 200,
        ("seed_tasks", "train"): 158,
        ("seed_tasks", "validation"): 17,
    }
