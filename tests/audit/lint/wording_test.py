import dataclasses

import pytest

from flantune import testing
from flantune.audit.lint import wording as lint_wording
from flantune.prompting import Template

ROW = {"text": "One.", "other": "two", "answer": "x"}


def found(*templates, rows=(ROW,), schema=("text", "answer"), **changes):
    """[(code, template, message)] of templates."""
    task = testing.make_task("t:words", {"train": []}, templates=templates, **changes)
    return [(one.code, one.template, one.message) for one in lint_wording.check(task, schema, rows)]


def codes(*templates, **keywords):
    return [code for code, _, _ in found(*templates, **keywords)]


def test_ordinary_templates_have_no_findings():
    assert not found(
        Template(inputs="Read this (carefully):\n{text}\n\nWhat does it say?"),
        Template(inputs='"{text}" - is that so?\nA) yes\nB) no\n1. ...'),
        Template(inputs="{text}\n\n{text}'s {text}s, the {text}th, e.g. 3.5"),
        Template(inputs="Is {text} that that-clause?"),
    )


@pytest.mark.parametrize(
    "inputs", ["Read   the text: {text}", "READ THE TEXT {text}!", "Read the text:\n\n{text}"]
)
def test_templates_that_differ_only_in_form(inputs):
    first = Template(inputs="Read the text: {text}")
    assert (
        "same_template",
        1,
        "Templates 0 and 1 differ at most in case, spacing and marks.",
    ) in found(first, Template(inputs=inputs))


def test_templates_that_differ_in_more_are_not_the_same():
    first = Template(inputs="Read: {text}")
    for changes in (
        {"inputs": "Read: {text|strip}"},
        {"targets": "It is {answer}"},
        {"group": "own"},
        {"label_words": ("a", "b")},
    ):
        second = dataclasses.replace(first, **changes)
        assert "same_template" not in codes(first, second, answer_choices=("no", "yes"))


def test_a_held_out_template_that_trains():
    first = Template(inputs="Read: {text}")
    assert codes(first, Template(inputs="read {text}", held_out=True)) == ["held_out_template_seen"]


@pytest.mark.parametrize(
    ("inputs", "problem"),
    [
        ("Read the the text: {text}", "a repeated word: 'Read the the text: {…}'"),
        ("Is it so , {text} ?", "a space before a mark"),
        ("Read,then answer: {text}", "no space after a mark"),
        ("Read  this: {text}", "two spaces in a row"),
        ("Read this: \n{text}", "spaces at the end of a line"),
        ("Read (this: {text}", "1 '(' and 0 ')'"),
        ('Read "this: {text}', "an odd number of double quotes"),
        ("Read{text}", "'Read' right before the field 'text'"),
        ("{text}Answer", "'Answer' right after the field 'text'"),
    ],
)
def test_likely_typing_errors(inputs, problem):
    ((code, template, message),) = found(Template(inputs=inputs))
    assert (code, template) == ("typo", 0)
    assert problem in message


def test_constants_may_bring_their_own_space():
    template = Template(inputs="{example}Now: {text}")
    assert not found(template, constants={"example": "Input: a\n\n"})


def test_marks_that_fields_have_already():
    template = Template(inputs="{text}, and {other}.")
    assert found(template, schema=("text", "other")) == [
        (
            "doubled_punctuation",
            0,
            "',' follows the field 'text', which ends in a mark in 1 of 1 sampled rows.",
        )
    ]
    assert not found(template, schema=("text",), rows=[{"text": "one", "other": "(two)"}])
    # One row in twenty is the row's own affair.
    rows = [{"text": "so?", "other": "b"}, *[{"text": "one", "other": "b"}] * 19]
    assert not found(template, schema=("text",), rows=rows)


def test_fields_that_nobody_shows():
    template = Template(inputs="{text}")
    assert found(template, schema=("text", "answer", "id", "label")) == [
        ("unused_field", None, "No template uses 'id'.")
    ]
    assert not found(template, schema=("text", "id"), extra_fields=("id",))
    assert not found(template, schema=("text", "options"), answer_choices="options")
