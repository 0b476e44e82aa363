"""Alpaca, flan-alpaca, Self-Instruct and InstructGPT's demonstrations: prompts, what is cut, who is left out."""

import json

import pytest

from flantune.audit.lint import job as lint
from flantune.configs import DataConfig
from flantune.data import catalog as catalog_lib
from flantune.data.input import loading, prompts, tokenize
from flantune.data.store import prepare, reader as store_lib
from flantune.data.vocabularies import vocabulary

ROWS = [
    {"instruction": "Name a colour.", "input": "", "output": "Red."},
    {"instruction": "Shorten the text.", "input": "word " * 40, "output": "word"},
    {"instruction": "Explain " * 20, "input": "", "output": "No."},
    {"instruction": "Add.", "input": "1 and 1", "output": "2"},
    {"instruction": "Say nothing.", "input": "", "output": " "},
]
SEEDS = [
    {
        "instruction": "Is it good?",
        "is_classification": True,
        "instances": [{"input": "fine", "output": "yes"}, {"input": "bad", "output": "no"}],
    }
]
MODULES = tuple(
    f"tasks.{name}"
    for name in ("alpaca", "flan_alpaca", "self_instruct", "instructgpt_sft", "mixtures")
)


def write(data_dir, name, rows):
    path = data_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    is_list = name.endswith(".json")
    path.write_text(json.dumps(rows) if is_list else "\n".join(map(json.dumps, rows)))


def bound(data_dir, mixture, split="train"):
    """A mixture over the files of a data directory, prepared."""
    store = store_lib.Store(data_dir / "store")
    catalog = catalog_lib.load(MODULES, store, data_dir)
    names = catalog.members(mixture)
    tasks = [(catalog.task(name), (split,)) for name in names]
    prepare.prepare(tasks, store, data_dir, num_processes=0).raise_if_failed()
    return loading.bind_mixture(catalog, store, mixture, split=split)


def tokenized(mixture, inputs_length=64):
    """Each row of each task of a mixture: prompt, target and whether it was cut; None where it does not fit."""
    tokenizer = tokenize.Tokenizer(
        vocabulary.ByteVocabulary(), inputs_length=inputs_length, targets_length=64, seed=0
    )
    requests = [
        prompts.Request(member, row, 0)
        for member in mixture.members
        for row in range(len(member.reader))
    ]
    return [
        one and (one.prompt.inputs, one.prompt.targets, one.cut)
        for one in tokenizer.tokenize(requests)
    ]


def test_alpaca_has_a_part_for_the_input_only_where_there_is_one(tmp_path):
    write(tmp_path, "alpaca/alpaca_data.json", ROWS)
    without, _, _, with_input = tokenized(bound(tmp_path, "alpaca"), inputs_length=512)
    assert "Instruction:\nName a colour.\n\nResponse:" in without[0]
    assert "Input" not in without[0]
    assert "Instruction:\nAdd.\n\nInput:\n1 and 1\n\nResponse:" in with_input[0]
    assert (without[1], with_input[1]) == ("Red.", "2")


def test_flan_alpaca_has_no_words_of_its_own_and_never_cuts_an_instruction(tmp_path):
    write(tmp_path, "alpaca/alpaca_data.json", ROWS)
    plain, long_input, long_instruction, both = tokenized(bound(tmp_path, "flan_alpaca"))
    assert plain == ("Name a colour.", "Red.", False)
    assert both == ("Add.\n1 and 1", "2", False)
    # 63 bytes: the instruction, the line break and nine words.
    assert long_input == ("Shorten the text.\n" + "word " * 8 + "word", "word", True)
    assert long_instruction is None


def test_self_instruct_has_several_encodings_of_both_files(tmp_path):
    write(tmp_path, "self_instruct/all_instances_82K.jsonl", ROWS[3:4] * 40)
    write(tmp_path, "self_instruct/seed_tasks.jsonl", SEEDS)
    mixture = bound(tmp_path, "self_instruct")
    assert dict(zip([one.name for one in mixture.members], mixture.rates, strict=True)) == {
        "self_instruct:generated": pytest.approx(40 / 42),
        "self_instruct:seed_tasks": pytest.approx(2 / 42),
    }
    found = tokenized(mixture, inputs_length=512)
    shown = {text for text, _, _ in found[:40]}
    assert len(shown) == 6
    assert all("Add." in text and "1 and 1" in text for text in shown)
    assert {target for _, target, _ in found} == {"2", "yes", "no"}


def demonstration(number, user, prompt=None):
    text = prompt or f"Write about the number {number}."
    return {"prompt": text, "completion": f"It is {number}.", "user": user}


def test_instructgpt_takes_prompts_as_they_are_and_splits_by_user(tmp_path):
    write(
        tmp_path,
        "instructgpt_sft/mine.jsonl",
        [demonstration(n, f"user {n % 40}") for n in range(80)],
    )
    train, validation = (
        tokenized(bound(tmp_path, "instructgpt_sft", split)) for split in ("train", "validation")
    )
    assert len(train) + len(validation) == 80
    assert validation
    users = [{int(target[6:-1]) % 40 for _, target, _ in rows} for rows in (train, validation)]
    assert not users[0] & users[1]
    assert all(text == f"Write about the number {target[6:-1]}." for text, target, _ in train)


def test_instructgpt_leaves_out_copies_and_what_is_over_200_of_a_user(tmp_path):
    start = "The same long beginning. " * 10
    rows = [demonstration(n, "one") for n in range(205)]
    rows += [demonstration(n, f"other {n}", prompt=f"{start}{n}") for n in range(30)]
    write(tmp_path, "instructgpt_sft/mine.jsonl", rows)
    found = tokenized(bound(tmp_path, "instructgpt_sft"), inputs_length=512)
    assert len(found) == 201
    assert [text for text, _, _ in found if text.startswith("The same")] == [f"{start}0"]


def test_instructgpt_reads_chats_and_drops_what_does_not_fit(tmp_path):
    def chat(number, text):
        said = [("user", f"Hi {number}!"), ("assistant", "Hello."), ("user", text)]
        messages = [{"role": role, "content": content} for role, content in said]
        return {"messages": [*messages, {"role": "assistant", "content": "Bye."}], "user": number}

    rows = [chat(n, "Leave.") for n in range(30)]
    rows += [chat(n, "Leave now. " * 20) for n in range(30, 60)]
    write(tmp_path, "instructgpt_sft/chats.json", rows)
    found = tokenized(bound(tmp_path, "instructgpt_sft"), inputs_length=128)
    prompt, target, _ = next(one for one in found if one)
    assert target == "Bye."
    assert "Hello." in prompt
    assert "Leave." in prompt
    assert None in found
    assert not [one for one in found if one and (one[2] or "Leave now" in one[0])]


def test_instructgpt_tells_a_file_of_another_format(tmp_path, caplog):
    write(tmp_path, "instructgpt_sft/odd.jsonl", [{"question": "?"}])
    with pytest.raises(KeyError, match="instructgpt_sft"):
        bound(tmp_path, "instructgpt_sft")
    assert "it needs 'prompt' and 'completion', or 'messages'" in caplog.text


def test_lint_has_no_error_and_no_warning(tmp_path):
    rows = [
        {
            "instruction": f"Say {n} in words.",
            "input": "now" if n % 2 else "",
            "output": f"It is {n}.",
        }
        for n in range(40)
    ]
    write(tmp_path, "alpaca/alpaca_data.json", rows)
    write(tmp_path, "self_instruct/all_instances_82K.jsonl", rows)
    write(tmp_path, "self_instruct/seed_tasks.jsonl", SEEDS)
    write(tmp_path, "instructgpt_sft/mine.jsonl", [demonstration(n, n) for n in range(80)])
    data = DataConfig(
        mixture="",
        modules=MODULES[:-1],
        vocabulary="bytes",
        inputs_length=512,
        targets_length=64,
        batch_size=1,
        data_dir=str(tmp_path),
        prepared_dir=str(tmp_path / "store"),
    )
    report = lint.lint(data=data)
    assert len(report.splits) == 5
    assert not [one for one in report.findings if one.severity != "note"]
