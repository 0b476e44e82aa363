from hypothesis import given, strategies as st
import pytest

from flantune import prompting
from flantune.prompting import template as template_lib


def test_fill_replaces_fields_and_keeps_doubled_braces():
    assert template_lib.fill("{a} + {b} = {{?}}", {"a": "1", "b": "2"}) == "1 + 2 = {?}"


@given(st.text(), st.text())
def test_values_are_never_parsed(first, second):
    assert template_lib.fill("<{a}|{b}>", {"a": first, "b": second}) == f"<{first}|{second}>"


@given(st.text())
def test_escaped_text_survives(text):
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert template_lib.fill(escaped, {}) == text


@pytest.mark.parametrize("text", ["{", "a } b", "{a!r}", "{a:>3}", "{A}", "{a.b}", "{}"])
def test_broken_braces_and_formats_are_refused(text):
    with pytest.raises(ValueError, match="Template"):
        template_lib.parse(text)


def test_a_template_needs_a_field_of_the_example():
    with pytest.raises(ValueError, match="no field"):
        prompting.Template(inputs="Write something.\n{options}")


def test_a_template_must_not_give_the_answer_away():
    with pytest.raises(ValueError, match="away"):
        prompting.Template(inputs="{question} {answer}")


def test_targets_must_hold_the_answer():
    with pytest.raises(ValueError, match="must hold"):
        prompting.Template(inputs="{question}", targets="{rationale}")


def test_extract_takes_what_follows_the_last_trigger():
    template = prompting.Template(
        inputs="{question}", targets="{rationale} So the answer is {answer}."
    )
    assert template.extract("2 and 2. So the answer is 3? No. So the answer is 4.") == "4"
    assert template.extract("It is 4.") is None


@given(st.text(alphabet="abc 123.", min_size=1).map(str.strip).filter(bool))
def test_extract_undoes_targets(answer):
    plain = prompting.Template(inputs="{q}")
    chain = prompting.Template(inputs="{q}", targets="{why} => {answer}!")
    assert plain.extract(answer) == answer
    values = {"why": "since 1 + 1", "answer": answer}
    assert chain.extract(template_lib.fill(chain.targets, values)) == answer


def test_extract_stops_at_a_literal_between_the_answer_and_a_later_field():
    template = prompting.Template(inputs="{q}", targets="{answer} because {why}")
    assert template.extract("yes because it rains because of clouds") == "yes"


@pytest.mark.parametrize(
    "inputs",
    [
        "{premise}\n{hypothesis}n\n{options}",
        "{hypothesis}n",
        "Is it {question}??",
        "Read this:: {text}",
        "{text}.. Continue",
    ],
)
def test_likely_typing_errors_are_refused(inputs):
    with pytest.raises(ValueError, match=r"after a field|doubles a punctuation mark"):
        prompting.Template(inputs=inputs)


@pytest.mark.parametrize(
    "inputs", ["{a}nn {b}", "{a}... and then?", "Really?! {a}", "{number}nd place", "{a}\n---\n{b}"]
)
def test_what_only_looks_like_one_is_allowed(inputs):
    assert prompting.Template(inputs=inputs).inputs == inputs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "chain"}, "kind 'chain'.*does not exist"),
        ({"kind": "cot"}, "must hold reasoning"),
        ({"kind": "cot", "targets": "{why}{answer}"}, "a trigger"),
        ({"kind": "inversion", "targets": "{text}"}, "other than those"),
        ({"kind": "inversion", "targets": "Done."}, "must hold fields"),
        ({"inputs": "{answer} from {text}"}, "only the kind 'inversion' may"),
    ],
)
def test_each_kind_has_what_it_needs(changes, message):
    with pytest.raises(ValueError, match=message):
        prompting.Template(**{"inputs": "{text}", **changes})


def test_an_inversion_is_given_the_answer_and_asks_for_a_field():
    inverted = prompting.Template(inputs="Ask: {answer}", targets="{question}", kind="inversion")
    assert inverted.fields == ("question",)
    assert inverted.extract(" Who? ") == "Who?"


def test_the_target_of_an_answer_has_the_words_around_it():
    assert prompting.Template(inputs="{text}").target_of("yes") == "yes"
    worded = prompting.Template(inputs="{text}", targets="It is {answer}.")
    assert worded.target_of("yes") == "It is yes."
    reasoned = prompting.Template(inputs="{text}", targets="{why} So {answer}.", kind="cot")
    assert reasoned.target_of("yes") is None
    assert reasoned.extract("Because. So yes.") == "yes"
