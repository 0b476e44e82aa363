"""Exemplars: which rows of a pool, and how they and the query become one text."""

import itertools
import re

from hypothesis import given, strategies as st

from flantune import prompting
from flantune.prompting import choice, few_shot, settings

FLAN_2021 = prompting.Separators(
    inputs_prefix="0 ",
    targets_prefix="1 ",
    x_y_delimiter=" X ",
    example_separator=" X ",
    final_suffix="FLAN",
)
QA = prompting.Template(inputs="Q: {text}\nA:")
NLI = prompting.Template(inputs="{text}\n{options}")


def render(template=QA, *, setting="2_shot", exemplars=(), example="q", **changes):
    arguments = {
        "templates": (template,),
        "usable": (0,),
        "fields": {"text": "2+2?", "answer": "4"},
        "constants": {},
        "answer_choices": None,
        "setting": settings.parse(setting) if isinstance(setting, str) else setting,
        "chooser": choice.Chooser(0, 0, example),
        "exemplars": [
            prompting.Exemplar(row=row, fields=fields) for row, fields in enumerate(exemplars)
        ],
    }
    return prompting.render(**(arguments | changes))


SUMS = [{"text": "1+1?", "answer": "2"}, {"text": "1+2?", "answer": "3"}]


def test_exemplars_come_before_the_query_in_the_same_template():
    prompt = render(exemplars=SUMS)
    assert prompt.inputs == "Q: 1+1?\nA:\n\n2\n\n\nQ: 1+2?\nA:\n\n3\n\n\nQ: 2+2?\nA:"
    assert prompt.targets == "4"
    assert prompt.exemplars == (0, 1)
    assert prompt.inputs.endswith(prompt.query)
    assert prompt.input_text == "2+2?"


def test_separators_of_flan_2021():
    setting = prompting.PromptSetting(shots=1, separators=(FLAN_2021,))
    template = prompting.Template(inputs="{text}")
    prompt = render(template, exemplars=SUMS[:1], setting=setting)
    assert prompt.inputs == "0 1+1? X 1 2 X 0 2+2? X 1 FLAN"
    without = render(template, setting=prompting.PromptSetting(separators=(FLAN_2021,)))
    assert without.inputs == "0 2+2? X 1 FLAN"


def test_a_templates_own_separators_win_where_there_are_shots():
    own = prompting.Template(
        inputs="{text}",
        separators=prompting.Separators(x_y_delimiter=" = ", example_separator="; "),
    )
    assert render(own, exemplars=SUMS).inputs == "1+1? = 2; 1+2? = 3; 2+2? ="
    assert render(own, setting="").inputs == "2+2?"


def test_one_of_several_separators_is_drawn_for_each_example():
    several = tuple(prompting.Separators(example_separator=mark) for mark in ("\n--\n", "\n##\n"))
    setting = prompting.PromptSetting(shots=1, separators=several)
    seen = {render(exemplars=SUMS[:1], example=str(n), setting=setting).inputs for n in range(20)}
    assert len(seen) == 2


def test_options_of_a_prompt_share_their_style_but_not_their_order():
    orders = set()
    for example in map(str, range(40)):
        prompt = render(
            NLI,
            example=example,
            setting="3_shot",
            fields={"text": "query", "label": 1},
            exemplars=[{"text": f"t{n}", "label": 0} for n in range(3)],
            answer_choices=("no", "yes"),
        )
        blocks = [block.split("\n\n")[0] for block in prompt.inputs.split("\n\n\n")]
        shapes = {
            block.partition("\n")[2].replace("yes", "*").replace("no", "*") for block in blocks
        }
        assert len(shapes) == 1  # header, items and names
        orders.add(tuple(block.find("yes") < block.find("no") for block in blocks))
        for block in blocks[:3]:  # an exemplar's target is the shown name of its own right option
            shown, _, target = block.partition("\n\n")
            (line,) = (line for line in shown.split("\n") if re.search(r"\bno\b", line))
            assert target in line
    assert len(orders) > 4


def test_the_exemplars_reasoning_is_shown():
    cot = prompting.Template(
        inputs="{text}", targets="{why} So the answer is {answer}.", kind="cot"
    )
    prompt = render(
        cot,
        fields={"text": "2+2?", "answer": "4", "why": "Two twos."},
        exemplars=[{"text": "1+1?", "answer": "2", "why": "Two ones."}],
        setting="1_shot.chain_of_thought",
    )
    assert "Two ones. So the answer is 2." in prompt.inputs
    assert prompt.targets == "Two twos. So the answer is 4."
    assert cot.extract(prompt.targets) == "4"
    assert cot.extract("No idea") is None


def select(candidates, *, shots, query="q", label_of=None):
    return few_shot.select(
        candidates,
        shots=shots,
        query_text=query,
        text_of=lambda pair: pair[0],
        label_of=label_of,
        chooser=choice.Chooser(0, 0, "q"),
    )


def test_duplicates_of_the_query_and_of_each_other_are_left_out():
    pool = [("Q ", "1"), ("a", "1"), ("A  ", "2"), ("b", "1")]
    assert select(pool, shots=3) == [("a", "1"), ("b", "1")]


def test_balanced_exemplars_have_each_answer_as_often():
    pool = [(f"t{n}", "yes") for n in range(10)] + [("u", "no"), ("v", "no"), ("w", "maybe")]
    labels = [label for _, label in select(pool, shots=6, label_of=lambda pair: pair[1])]
    assert sorted(labels) == ["maybe", "no", "no", "yes", "yes", "yes"]


def test_the_order_of_balanced_exemplars_does_not_alternate_always():
    pool = [(f"{label}{n}", label) for n in range(4) for label in ("yes", "no")]
    orders = set()
    for example in map(str, range(30)):
        found = few_shot.select(
            pool,
            shots=4,
            query_text="",
            text_of=lambda pair: pair[0],
            label_of=lambda pair: pair[1],
            chooser=choice.Chooser(0, 0, example),
        )
        orders.add(tuple(label for _, label in found))
    assert len(orders) > 3


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 1000))
def test_candidates_are_each_row_once_without_the_excluded_one(num_rows, excluded, example):
    rows = list(few_shot.candidate_rows(choice.Chooser(0, 0, str(example)), num_rows, [excluded]))
    assert sorted(rows) == [row for row in range(num_rows) if row != excluded]


def test_candidates_are_spread_over_the_pool():
    firsts = [next(few_shot.candidate_rows(choice.Chooser(0, 0, str(n)), 10)) for n in range(1000)]
    assert all(70 < firsts.count(row) < 130 for row in range(10))
    again = few_shot.candidate_rows(choice.Chooser(0, 0, "7"), 1_000_000)
    assert list(itertools.islice(again, 5)) == list(
        itertools.islice(few_shot.candidate_rows(choice.Chooser(0, 0, "7"), 1_000_000), 5)
    )
