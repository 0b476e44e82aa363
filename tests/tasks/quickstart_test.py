"""The quickstart tasks: enough of them, disjoint splits, and answers checked against an independent derivation."""

import collections
import datetime
import difflib
import itertools
import pathlib
import re

import pytest

from flantune.prompting import PromptSetting, choice, rendering
from tasks import mixtures, quickstart, quickstart_rows

NOWHERE = pathlib.Path("/nowhere")
BY_NAME = {task.name.removeprefix("quickstart:"): task for task in quickstart.TASKS}
TASKS = pytest.mark.parametrize("name", list(BY_NAME))
SPLITS = ("train", "validation", "test")
FIRST_ROWS = {"train": 600, "validation": 50, "test": 100}  # whole splits take a minute
ROWS = {}


def rows_of(name, split):
    """The first rows of a split, made once for all tests."""
    if (name, split) not in ROWS:
        rows = BY_NAME[name].source.read(split, NOWHERE)
        ROWS[name, split] = list(itertools.islice(rows, FIRST_ROWS[split]))
    return ROWS[name, split]


def rendered(task, fields, template, seed=0):
    return rendering.render(
        templates=task.templates,
        usable=(template,),
        fields=fields,
        constants=task.constants,
        answer_choices=task.answer_choices,
        setting=PromptSetting(),
        chooser=choice.Chooser(seed, 0, "row"),
    )


def inputs_of(fields):
    return tuple(
        (name, str(value)) for name, value in fields.items() if name not in ("answer", "label")
    )


def answer_of(task, fields):
    if task.answer_choices is None:
        return fields["answer"]
    choices = task.answer_choices
    return (fields[choices] if isinstance(choices, str) else choices)[fields["label"]]


# The answers once more, each worked out another way than by the maker of its rows.


def opposite(word):
    pairs = "hot cold big small old new wet dry fast slow open shut full empty hard soft high low rich poor good bad"
    words = pairs.split()
    place = words.index(word)
    return words[place + 1 if place % 2 == 0 else place - 1]


def kind_of(word):
    kinds = {
        "animal": "dog cat horse cow sheep goat duck",
        "fruit": "apple pear plum peach cherry lemon grape",
        "colour": "red blue green black white brown pink",
        "tool": "hammer saw drill spade rake axe brush",
        "garment": "hat coat shirt shoe sock belt scarf",
    }
    return next(kind for kind, words in kinds.items() if word in words.split())


def people_there(fields):
    """How many of the two people the fact places there."""
    return len(re.findall(rf"\w+ is in the {fields['place']}\.", fields["fact"]))


def weekday_later(fields):
    monday = datetime.date(2024, 1, 1)
    start = next(
        day
        for day in (monday + datetime.timedelta(days=n) for n in range(7))
        if f"{day:%A}" == fields["day"]
    )
    return f"{start + datetime.timedelta(days=int(fields['shift'].split()[0])):%A}"


def calendar_month_later(fields):
    names = [f"{datetime.date(2024, month, 1):%B}" for month in range(1, 13)]
    return names[(names.index(fields["month"]) + int(fields["shift"].split()[0])) % 12]


def odd_word(fields):
    kinds = collections.Counter(kind_of(word) for word in fields["words"].split())
    return next(word for word in fields["words"].split() if kinds[kind_of(word)] == 1)


CHECKS = {
    "copy_words": lambda f: f["words"],
    "reverse_words": lambda f: " ".join(f["words"].split()[::-1]),
    "opposite_words": lambda f: " ".join(opposite(word) for word in f["words"].split()),
    "first_word": lambda f: re.match(r"\w+", f["words"])[0],
    "last_word": lambda f: re.search(r"\w+$", f["words"])[0],
    "count_words": lambda f: str(f["words"].count(" ") + 1),
    "count_kind": lambda f: str([kind_of(word) for word in f["words"].split()].count(f["kind"])),
    "add_items": lambda f: str(int(f["a"]) + int(f["b"])),
    "take_items": lambda f: str(int(f["a"]) - int(f["b"])),
    "larger_number": lambda f: str(f["a"] if f["a"] > f["b"] else f["b"]),
    "smaller_number": lambda f: str(f["a"] if f["a"] < f["b"] else f["b"]),
    "sort_numbers": lambda f: " ".join(
        str(n) for n in range(100) if str(n) in f["numbers"].split()
    ),
    "sort_words": lambda f: " ".join(
        word
        for letter in "abcdefghijklmnopqrstuvwxyz"
        for word in f["words"].split()
        if word[0] == letter
    ),
    "find_kind": lambda f: next(w for w in f["words"].split() if kind_of(w) == f["kind"]),
    "odd_one_out": odd_word,
    "all_of_kind": lambda f: ("no", "yes")[{kind_of(w) for w in f["words"].split()} == {f["kind"]}],
    "both_there": lambda f: ("no", "yes")[people_there(f) == 2],
    "either_there": lambda f: ("no", "yes")[people_there(f) >= 1],
    "day_later": weekday_later,
    "month_later": calendar_month_later,
    "largest_number": lambda f: str(sorted(int(n) for n in f["numbers"].split())[-1]),
    "smallest_number": lambda f: str(sorted(int(n) for n in f["numbers"].split())[0]),
    "first_in_alphabet": lambda f: sorted(f["words"].split())[0],
}


def test_there_are_enough_tasks_and_one_cluster_is_held_out():
    training = next(m for m in mixtures.MIXTURES if m.name == "quickstart_train")
    held_out = next(m for m in mixtures.MIXTURES if m.name == "quickstart_held_out")
    clusters = {task.cluster for task in quickstart.TASKS}
    trained = {task.cluster for task in quickstart.TASKS if task.name in training.rates}
    assert len(training.rates) >= 16
    assert len(trained) >= 6
    assert clusters - trained == {quickstart.HELD_OUT_CLUSTER}
    assert not set(training.rates) & set(held_out.rates)
    assert {*training.rates, *held_out.rates} == {task.name for task in quickstart.TASKS}


@TASKS
def test_has_five_training_wordings_and_two_held_out(name):
    task = BY_NAME[name]
    assert len(rendering.usable_templates(task.templates, "training")) >= 5
    assert len(rendering.usable_templates(task.templates, "held_out")) >= 2


def test_no_two_wordings_are_alike():
    texts = [template.inputs for task in quickstart.TASKS for template in task.templates]
    assert len(set(texts)) == len(texts)
    for task in quickstart.TASKS:
        own = [template.inputs for template in task.templates]
        for place, text in enumerate(own):
            for other in own[place + 1 :]:
                assert difflib.SequenceMatcher(None, text, other).ratio() < 0.9, (text, other)


@TASKS
def test_held_out_wordings_use_only_words_that_training_shows(name):
    trained = " ".join(
        template.inputs
        for task in quickstart.TASKS
        for template in task.templates
        if not template.held_out
    )
    known = set(re.findall(r"[a-z]+", trained.lower()))
    for template in BY_NAME[name].templates:
        assert not set(re.findall(r"[a-z]+", template.inputs.lower())) - known, template.inputs


@TASKS
def test_splits_have_different_rows_and_share_no_input(name):
    # The wordings show all inputs of a row (the next test), so equal prompts need equal inputs.
    inputs = {split: [inputs_of(row) for row in rows_of(name, split)] for split in SPLITS}
    assert {split: len(set(inputs[split])) for split in SPLITS} == FIRST_ROWS
    assert not set(inputs["train"]) & set(inputs["validation"] + inputs["test"])
    assert not set(inputs["validation"]) & set(inputs["test"])


@TASKS
def test_every_wording_shows_every_input_of_a_row(name):
    task = BY_NAME[name]
    rows = rows_of(name, "test")[:20]
    needed = set(rows[0]) - {"answer", "label"}
    for index, template in enumerate(task.templates):
        assert {*template.fields, *(("choices",) if "choices" in needed else ())} == needed
        for row in rows:
            prompt = rendered(task, row, index)
            assert "{" not in prompt.inputs
            assert 1 <= len(prompt.targets.split()) <= 4
            assert len(prompt.inputs.split()) <= 45


@TASKS
def test_answers_are_right(name):
    task = BY_NAME[name]
    for split in SPLITS:
        for row in rows_of(name, split)[:300]:
            assert answer_of(task, row) == CHECKS[name](row), row


@TASKS
def test_no_answer_is_much_commoner_than_the_others(name):
    answers = collections.Counter(answer_of(BY_NAME[name], row) for row in rows_of(name, "train"))
    assert max(answers.values()) <= 0.6 * answers.total()


@TASKS
def test_to_fields_keeps_what_the_wordings_need(name):
    task = BY_NAME[name]
    fields = task.to_fields(rows_of(name, "test")[0])
    assert set(task.needed_fields()) <= set(fields)


@pytest.mark.parametrize("name", ["all_of_kind", "both_there", "day_later"])
def test_the_makers_with_the_fewest_inputs_fill_the_training_split(name):
    rows = list(BY_NAME[name].source.read("train", NOWHERE))
    assert len({inputs_of(row) for row in rows}) == quickstart_rows.TRAIN_ROWS
    if "label" in rows[0]:  # the answers stay balanced to the end
        assert 0.4 < sum(row["label"] for row in rows) / len(rows) < 0.6


def test_rows_are_the_same_each_time():
    again = itertools.islice(BY_NAME["sort_numbers"].source.read("test", NOWHERE), 50)
    assert list(again) == rows_of("sort_numbers", "test")[:50]


def test_a_maker_with_too_few_inputs_is_told():
    def make(draw):
        return {"word": draw.pick("word", "abc"), "answer": "x"}

    with pytest.raises(ValueError, match="different rows of split 'train'"):
        list(quickstart_rows.rows("small", make, "train", 10))
