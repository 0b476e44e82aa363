"""Prompts of rows: exemplars come from the training split, and never are the query or a copy of it."""

import dataclasses

import pytest

from flantune import testing
from flantune.data.input import prompts, tokenize
from flantune.data.vocabularies import vocabulary
from flantune.prompting import Template

NUM_ROWS = 40


def rows(split, count):
    return [{"text": f"{split} {number}?", "answer": f"a{number % 3}"} for number in range(count)]


QA = testing.make_task(
    "qa:few",
    {"train": rows("train", NUM_ROWS), "test": rows("test", 5)},
    templates=[Template(inputs="Q: {text}"), Template(inputs="{text} Well?")],
)


def render(member, row=0, *, epoch=0, seed=0):
    return prompts.render([prompts.Request(member, row, epoch)], seed=seed)[0]


def test_exemplars_come_from_the_training_split_whatever_the_query_is_of():
    prompt = render(testing.make_member(QA, "4_shot", split="test"))
    assert prompt.inputs.count("train ") == 4
    assert prompt.inputs.count("test 0?") == 1
    for row in prompt.exemplars:
        assert f"train {row}?" in prompt.inputs
        assert f"a{row % 3}" in prompt.inputs


def test_the_query_is_never_its_own_exemplar():
    member = testing.make_member(QA, f"{NUM_ROWS}_shot")
    for row in range(NUM_ROWS):
        prompt = render(member, row)
        assert sorted(prompt.exemplars) == [other for other in range(NUM_ROWS) if other != row]
        assert prompt.inputs.count(f"train {row}?") == 1


def test_a_copy_of_the_query_is_never_an_exemplar():
    copies = [{"text": "Same?" if row % 2 else f"Own {row}?", "answer": "x"} for row in range(20)]
    task = testing.make_task("qa:copies", {"train": copies})
    member = testing.make_member(task, "9_shot")
    for row in range(20):
        inputs = render(member, row).inputs
        assert inputs.count("Same?") == 1 if row % 2 else inputs.count("Same?") <= 1


def test_all_exemplars_have_the_querys_template():
    member = testing.make_member(QA, "3_shot")
    for row in range(20):
        inputs = render(member, row).inputs
        assert (inputs.count("Q: "), inputs.count("Well?")) in ((4, 0), (0, 4))


def test_the_number_of_shots_is_drawn_and_epochs_differ():
    member = testing.make_member(QA, "few_shot")
    found = [render(member, row).exemplars for row in range(NUM_ROWS)]
    assert {len(exemplars) for exemplars in found} == {1, 2, 3, 4, 5}
    assert render(member, 0) == render(member, 0)
    assert render(member, 0, epoch=1).exemplars != found[0]
    assert render(member, 0, seed=1).exemplars != found[0]


def test_a_batch_gives_what_each_row_gives_alone():
    members = [testing.make_member(QA, name) for name in ("", "few_shot", "2_shot.label_balanced")]
    requests = [
        prompts.Request(member, row, epoch)
        for row in range(5)
        for member in members
        for epoch in (0, 1)
    ]
    alone = [prompts.render([request], seed=3)[0] for request in requests]
    assert prompts.render(requests, seed=3) == alone


def test_balanced_exemplars_have_every_answer():
    skewed = [{"text": f"t{n}?", "answer": "rare" if n % 5 == 0 else "often"} for n in range(200)]
    task = testing.make_task("qa:skewed", {"train": skewed})
    balanced = testing.make_member(task, "4_shot.label_balanced")
    plain = testing.make_member(task, "4_shot")
    assert all(render(balanced, row).inputs.count("rare") == 2 for row in range(30))
    assert {render(plain, row).inputs.count("rare") for row in range(30)} != {2}


def test_a_small_pool_gives_fewer_exemplars():
    task = testing.make_task("qa:tiny", {"train": rows("train", 3)})
    assert len(render(testing.make_member(task, "5_shot")).exemplars) == 2


def tokenized(member, row, inputs_length):
    tokenizer = tokenize.Tokenizer(
        vocabulary.ByteVocabulary(), inputs_length=inputs_length, targets_length=16, seed=0
    )
    return tokenizer.tokenize([prompts.Request(member, row, 0)])[0]


@pytest.mark.parametrize("length", [12, 20, 30, 40, 60, 80, 120, 200])
def test_as_many_of_the_first_exemplars_as_fit_and_the_query_whole(length):
    member = testing.make_member(QA, "5_shot", split="test")
    whole = render(member)
    found = tokenized(member, 0, length)
    if found is None:
        assert len(whole.query) >= length
        return
    kept = len(found.prompt.exemplars)
    assert found.prompt.exemplars == whole.exemplars[:kept]
    assert found.prompt.query == whole.query
    assert len(found.inputs) <= length
    assert found.cut == (kept < 5)
    if kept < 5:
        more = prompts.render_one(
            prompts.gather([prompts.Request(member, 0, 0)], seed=0)[0], seed=0, shots=kept + 1
        )
        assert len(more.inputs) >= length


def test_a_setting_may_give_exemplars_less_room():
    member = testing.make_member(QA, "5_shot", split="test")

    def with_room(tokens):
        setting = dataclasses.replace(member.setting, max_input_tokens=tokens)
        return tokenized(dataclasses.replace(member, setting=setting), 0, 500)

    assert len(tokenized(member, 0, 500).inputs) > 60
    assert len(with_room(60).inputs) <= 60
    alone = with_room(5)
    assert alone.prompt.exemplars == ()
    assert "test 0?" in alone.prompt.inputs


def test_a_query_with_shots_is_dropped_rather_than_cut():
    task = testing.make_task(
        "qa:long", {"train": rows("train", 9)}, may_cut=("text",), templates=QA.templates
    )
    long = [{"text": "word " * 50, "answer": "x"}]
    assert tokenized(testing.make_member(task, "2_shot", rows=long, split="test"), 0, 64) is None
    cut = tokenized(testing.make_member(task, rows=long), 0, 64)
    assert cut.cut


def test_the_oldest_turns_go_first():
    task = testing.make_task(
        "chat:long",
        {"train": []},
        templates=[Template(inputs="{dialog}", kind="dialog")],
        may_cut=("turns",),
    )
    turns = [{"turns": [f"turn {n}" for n in range(20)], "roles": ["u", "b"] * 10, "answer": "x"}]
    found = tokenized(testing.make_member(task, rows=turns), 0, 160)
    assert "turn 19" in found.prompt.inputs
    assert "turn 0\n" not in found.prompt.inputs
    assert found.cut
