import collections
import re

from hypothesis import given, strategies as st
import pytest

from flantune import prompting
from flantune.prompting import choice, options, rendering, settings

NLI = prompting.Template(inputs="{premise}\nTrue?\n{options}")
CHOICES = ("no", "yes", "maybe")


def render(template=NLI, *, fields=None, example="0", setting="", **changes):
    arguments = {
        "templates": (template,),
        "usable": (0,),
        "fields": {"premise": "It rains.", "label": 1} if fields is None else fields,
        "constants": {},
        "answer_choices": CHOICES,
        "setting": settings.parse(setting),
        "chooser": choice.Chooser(0, 0, example),
    }
    return prompting.render(**(arguments | changes))


def test_the_target_is_the_shown_name_of_the_right_option():
    styles = set()
    for example in map(str, range(300)):
        prompt = render(example=example)
        assert prompt.targets == prompt.candidates[1]
        assert len(set(prompt.candidates)) == 3
        assert prompt.choices == CHOICES
        shown = prompt.inputs.split("True?\n")[1].split("\n")
        (line,) = (line for line in shown if "yes" in line)
        assert prompt.targets in line
        styles.add(line)
    assert len(styles) > 30  # letters and numbers vary with the order


def test_every_option_is_shown_once_in_any_style():
    for example in map(str, range(200)):
        words = re.findall(r"[a-z]+", render(example=example).inputs.split("True?")[1])
        assert [words.count(word) for word in CHOICES] == [1, 1, 1]


def test_without_options_the_target_is_the_text():
    prompt = render(setting="no_options")
    assert prompt.inputs == "It rains.\nTrue?"
    assert (prompt.targets, prompt.candidates) == ("yes", CHOICES)


def test_more_choices_than_letters_have_different_names():
    many = tuple(f"word{number}" for number in range(60))
    names = set()
    for example in map(str, range(60)):
        prompt = render(example=example, answer_choices=many)
        assert len(set(prompt.candidates)) == 60
        assert prompt.targets == prompt.candidates[1]
        names.update(prompt.candidates)
    assert {"BH", "(lx)", "word1"} <= names


def test_label_words_rename_options_target_and_candidates():
    template = prompting.Template(inputs="{premise}\n{options}", label_words=("a", "b", "c"))
    for example in map(str, range(50)):
        prompt = render(template, example=example)
        assert "yes" not in prompt.inputs
        assert prompt.references == (prompt.candidates[1],)


def test_choices_of_a_row_come_from_its_field():
    template = prompting.Template(inputs="{question}\n{options}")
    fields = {"question": "Who?", "people": ["Ann", "Bob"], "label": 0}
    prompt = render(template, fields=fields, answer_choices="people", setting="no_options")
    assert prompt.targets == "Ann"


def test_one_of_several_references_is_the_target():
    template = prompting.Template(inputs="{question}")
    fields = {"question": "Who?", "answer": ["Ann", "Bob"]}
    prompts = [
        render(template, fields=fields, answer_choices=None, example=str(n)) for n in range(50)
    ]
    assert all(prompt.references == ("Ann", "Bob") for prompt in prompts)
    assert {prompt.targets for prompt in prompts} == {"Ann", "Bob"}


def test_the_first_reference_may_always_be_the_target_and_the_others_stay_right():
    template = prompting.Template(inputs="{question}")
    fields = {"question": "Who?", "answer": ["Ann", "Bob"]}
    prompts = [
        render(template, fields=fields, answer_choices=None, example=str(n), first_reference=True)
        for n in range(50)
    ]
    assert {prompt.targets for prompt in prompts} == {"Ann"}
    assert all(prompt.references == ("Ann", "Bob") for prompt in prompts)


def test_input_text_has_the_row_s_fields_but_no_constants():
    template = prompting.Template(inputs="{definition}\n{input}")
    fields = {"input": "3 1 2", "answer": "1 2 3"}
    prompt = render(template, fields=fields, constants={"definition": "Sort."}, answer_choices=None)
    assert prompt.inputs == "Sort.\n3 1 2"
    assert prompt.input_text == "3 1 2"


def test_a_missing_field_names_the_closest_one():
    template = prompting.Template(inputs="{premis}")
    with pytest.raises(KeyError, match=r"'premis'.*'premise'"):
        render(template, answer_choices=None, fields={"premise": "a", "answer": "b"})


def test_held_out_templates_are_never_usable_in_training():
    templates = (NLI, prompting.Template(inputs="{premise}?", held_out=True), NLI)
    assert rendering.usable_templates(templates, "training") == (0, 2)
    assert rendering.usable_templates(templates, "held_out") == (1,)
    assert rendering.usable_templates(templates, "all") == (0, 1, 2)


@given(st.integers(0, 2**40), st.integers(0, 50), st.text(), st.text())
def test_choices_depend_on_seed_epoch_example_and_purpose_alone(seed, epoch, example, purpose):
    chooser = choice.Chooser(seed, epoch, example)
    again = choice.Chooser(seed, epoch, example)
    assert chooser.index(purpose, 1000) == again.index(purpose, 1000)
    assert sorted(chooser.order(purpose, 7)) == list(range(7))


def test_choices_are_even_and_independent_of_each_other():
    choosers = [choice.Chooser(0, 0, str(number)) for number in range(4000)]
    pairs = collections.Counter((c.index("a", 2), c.index("b", 2)) for c in choosers)
    assert all(900 < count < 1100 for count in pairs.values())
    orders = collections.Counter(c.order("a", 3) for c in choosers)
    assert len(orders) == 6
    assert all(560 < count < 780 for count in orders.values())


def test_hash_is_the_same_on_every_machine():
    assert choice.hash64(0, "task", 3) == choice.hash64("0", "task", "3")
    assert choice.hash64(0, "task", 3) == 1011809209985172293
    assert choice.hash64("ab", "c") != choice.hash64("a", "bc")


def test_an_unknown_options_setting_is_refused():
    with pytest.raises(ValueError, match="'in_prompt' or 'none'"):
        prompting.PromptSetting(options="some")


def test_a_fixed_order_is_that_of_the_choices():
    for example in map(str, range(100)):
        shown = render(example=example, setting="fixed_options").inputs
        places = [shown.index(word, shown.index("True?")) for word in CHOICES]
        assert places == sorted(places)


def show(choices, example):
    chooser = choice.Chooser(0, 0, example)
    order = chooser.order("option_order", len(choices))
    return options.show_options(choices, options.pick_style(chooser), order)


@pytest.mark.parametrize("count", [1, 2, 9, 26])
def test_candidates_are_different_in_every_style(count):
    choices = [f"answer{number}x" for number in range(count)]
    for example in map(str, range(300)):
        shown = show(choices, example)
        assert len(set(shown.candidates)) == count
        assert all(word in shown.text for word in choices)


def test_there_are_enough_styles():
    texts = {show(("yes",), str(n)).text for n in range(5000)}
    headers = {text.rpartition("\n")[0] for text in texts}
    items = {text.rpartition("\n")[2] for text in texts}
    assert len(headers) >= 12
    assert len(items) >= 20


@pytest.mark.parametrize(("number", "expected"), [(1, "i"), (4, "iv"), (19, "xix"), (26, "xxvi")])
def test_roman_numerals(number, expected):
    choices = [f"c{position}" for position in range(number)]
    seen = set()
    for example in map(str, range(400)):
        seen |= set(show(choices, example).candidates)
    assert expected in seen
