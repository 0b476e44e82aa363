from hypothesis import given, strategies as st
import pytest

from flantune import testing
from flantune.data.input import prompts, tokenize
from flantune.data.vocabularies import vocabulary
from flantune.prompting import Template

BYTES = vocabulary.ByteVocabulary()
QA = testing.make_task(
    "qa:short",
    {"train": [{"text": "", "question": "", "answer": ""}]},
    templates=[Template(inputs="{text}\nQ: {question}?")],
    may_cut=("text",),
)


def tokenized(task, fields, *, inputs_length=32, targets_length=16):
    member = testing.make_member(task, rows=[fields])
    tokenizer = tokenize.Tokenizer(
        BYTES, inputs_length=inputs_length, targets_length=targets_length, seed=0
    )
    return tokenizer.tokenize([prompts.Request(member, 0, 0)])[0]


def test_inputs_and_targets_end_with_eos():
    result = tokenized(QA, {"text": "a", "question": "b", "answer": "c"})
    assert result.inputs == [*BYTES.encode("a\nQ: b?"), 1]
    assert result.targets == [*BYTES.encode("c"), 1]
    assert not result.cut


def test_only_the_field_that_may_be_cut_loses_its_end():
    fields = {"text": "one two three four five six", "question": "who", "answer": "c"}
    result = tokenized(QA, fields)
    assert result.cut
    assert len(result.inputs) <= 32
    assert result.prompt.inputs.endswith("\nQ: who?")
    assert fields["text"].startswith(result.prompt.inputs.removesuffix("\nQ: who?"))
    assert result.prompt.inputs.startswith("one two three")


def test_a_question_that_cannot_fit_is_dropped_not_cut():
    assert tokenized(QA, {"text": "t", "question": "q" * 40, "answer": "c"}) is None


def test_examples_are_dropped_before_anything_is_cut_the_first_named_first():
    task = testing.make_task(
        "ni:task",
        {"train": []},
        templates=[Template(inputs="{definition}{example_1}{example_2}{text}")],
        constants={"definition": "Do. ", "example_1": "<one> ", "example_2": "<two> "},
        may_drop=("example_2", "example_1"),
        may_cut=("text",),
    )
    found = {
        length: tokenized(task, {"text": "abc def ghi", "answer": "x"}, inputs_length=length)
        for length in (64, 24, 18, 12)
    }
    assert found[64].prompt.inputs == "Do. <one> <two> abc def ghi"
    assert found[24].prompt.inputs == "Do. <one> abc def ghi"
    assert found[18].prompt.inputs == "Do. abc def ghi"
    assert found[12].prompt.inputs == "Do. abc"
    assert [found[length].cut for length in (64, 24, 18, 12)] == [False, True, True, True]
    dropped = ("all of 'example_2'",), ("all of 'example_1'", "all of 'example_2'")
    assert [found[length].lost for length in (64, 24, 18)] == [(), *dropped]
    assert found[12].lost == (*dropped[1], "part of 'text'")


def test_what_a_wording_does_not_show_is_not_lost():
    task = testing.make_task(
        "t:two",
        {"train": []},
        templates=[Template(inputs="{text}"), Template(inputs="{more} {text}", held_out=True)],
        may_drop=("more",),
        may_cut=("text",),
    )
    result = tokenized(task, {"text": "abc " * 20, "more": "m", "answer": "a"})
    assert result.lost == ("part of 'text'",)


def test_lost_exemplars_and_ends_of_targets_are_named():
    rows = [{"text": f"{n} " * 4, "answer": "y" * 20} for n in range(4)]
    task = testing.make_task("t:shots", {"train": rows}, templates=[Template(inputs="{text}")])
    member = testing.make_member(task, "2_shot")
    tokenizer = tokenize.Tokenizer(BYTES, inputs_length=50, targets_length=8, seed=0)
    (result,) = tokenizer.tokenize([prompts.Request(member, 0, 0)])
    assert result.lost == (tokenize.LOST_EXEMPLARS, tokenize.LOST_TARGET)
    assert len(result.prompt.exemplars) == 1


@pytest.mark.parametrize(
    ("setting", "options"),
    [("", {}), ("", {"may_cut": ("text",)}), ("", {"may_drop": ("text",)}), ("2_shot", {})],
)
def test_an_example_is_kept_from_the_length_that_it_needs(setting, options):
    rows = [{"text": "abc " * (n + 1), "question": "q" * n, "answer": "y"} for n in range(9)]
    task = testing.make_task(
        "t:needed", {"train": rows}, templates=[Template(inputs="{text}? {question}")], **options
    )
    member = testing.make_member(task, setting)
    requests = [prompts.Request(member, row, 0) for row in range(9)]

    def tokenizer(length):
        return tokenize.Tokenizer(BYTES, inputs_length=length, targets_length=8, seed=0)

    needed = tokenizer(8).needed(requests)
    assert needed == tokenizer(400).needed(requests)
    for request, length in zip(requests, needed, strict=True):
        assert tokenizer(length).tokenize([request]) != [None]
        assert tokenizer(length - 1).tokenize([request]) == [None]


def test_nothing_is_cut_without_leave():
    task = testing.make_task("echo:a", {"train": []})
    assert tokenized(task, {"text": "long " * 20, "answer": "c"}) is None


@given(st.text(max_size=200), st.text(max_size=20))
def test_every_prompt_that_comes_back_fits_and_holds_the_question(text, question):
    result = tokenized(QA, {"text": text, "question": question, "answer": "c"}, inputs_length=64)
    if result is not None:
        assert len(result.inputs) <= 64
        assert f"Q: {question}?" in result.prompt.inputs
    else:
        assert len(f"\nQ: {question}?".encode()) > 63


def test_long_targets_lose_their_end_and_count_as_cut():
    result = tokenized(QA, {"text": "a", "question": "b", "answer": "c" * 20})
    assert result.targets == BYTES.encode("c" * 16)
    assert result.cut


def test_a_task_without_held_out_templates_cannot_be_asked_for_them():
    with pytest.raises(ValueError, match="in the set 'held_out'; task 'qa:short' has none"):
        testing.make_member(QA, templates="held_out")


def unconditional(task, fields, *, setting="", inputs_length=128):
    member = testing.make_member(task, setting, split="test", rows=[fields])
    tokenizer = tokenize.Tokenizer(BYTES, inputs_length=inputs_length, targets_length=16, seed=0)
    requests = [prompts.Request(member, 0, 0)]
    (result,) = tokenizer.tokenize(requests)
    return result.prompt, tokenizer.unconditional(requests, [result.prompt])[0]


def test_the_unconditional_prompt_is_the_wording_without_the_example():
    task = testing.make_task(
        "qa:wet",
        {"train": [{"text": "Sun.", "label": 0}], "test": []},
        templates=[Template(inputs="{definition}{text}\nWet?\n{options}")],
        constants={"definition": "Decide. "},
        answer_choices=("no", "yes"),
    )
    prompt, without = unconditional(task, {"text": "Rain.", "label": 1})
    assert without == prompt.inputs.replace("Rain.", "")
    assert without.startswith("Decide. \nWet?\n")
    shown, without = unconditional(task, {"text": "Rain.", "label": 1}, setting="1_shot")
    assert "Sun." in shown.inputs
    assert "Sun." not in without
    assert shown.query.replace("Rain.", "") == without


def test_choices_that_the_wording_shows_itself_stay_in_the_unconditional_prompt():
    task = testing.make_task(
        "qa:who",
        {"train": [], "test": []},
        templates=[Template(inputs="{text} {people|choices}?")],
        answer_choices="people",
    )
    _, without = unconditional(task, {"text": "Who", "people": ["Ann", "Bob"], "label": 1})
    assert without == " Ann or Bob?"


def test_a_dialog_loses_its_turns_in_the_unconditional_prompt():
    task = testing.make_task(
        "qa:mood",
        {"train": [], "test": []},
        templates=[Template(inputs="Mood?\n{dialog}", kind="dialog")],
        answer_choices=("bad", "good"),
    )
    _, without = unconditional(task, {"turns": ["Hello!", "Go away."], "label": 0})
    assert without.startswith("Mood?\n")
    assert "Hello" not in without


def test_an_unconditional_prompt_that_does_not_fit_is_none():
    task = testing.make_task(
        "qa:long",
        {"train": [], "test": []},
        templates=[Template(inputs="{definition}{text}")],
        constants={"definition": "d" * 40},
        may_drop=("definition",),
    )
    prompt, without = unconditional(task, {"text": "t", "answer": "a"}, inputs_length=32)
    assert prompt.inputs == "t"
    assert without is None
