"""What `to_fields` of several modules share."""

import pytest

from tasks import row_fields


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("who wrote it", "who wrote it?"),
        ("Who wrote it ?", "Who wrote it?"),
        ("Who wrote  it??", "Who wrote it?"),
        (" Name the river. ", "Name the river."),
        ('Who asked "Why?"', 'Who asked "Why?"'),
    ],
)
def test_a_question_ends_with_one_mark(text, expected):
    assert row_fields.as_question(text) == expected


@pytest.mark.parametrize(
    ("choices", "label"),
    [(("a", "b"), -1), (("a", "b"), 2), (("a", " "), 0), (("a  b", "a b "), 0)],
)
def test_rows_whose_choices_make_no_task_are_dropped(choices, label):
    assert row_fields.with_choices({}, choices, label) is None


def test_choices_are_kept_in_their_order_and_without_extra_spaces():
    fields = row_fields.with_choices({"goal": "x"}, (" b\n", "a"), 1)
    assert fields == {"goal": "x", "choices": ["b", "a"], "label": 1}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("By Dr. Roe. It rained all day. It stopped.", "By Dr. Roe. It rained all day."),
        ('He said "It rained." Then he left.', 'He said "It rained."'),
        ("no end at\nall", "no end at all"),
        ("word " * 80, ("word " * 60).strip()),
    ],
)
def test_the_first_sentence_has_four_words_and_at_most_sixty(text, sentence):
    assert row_fields.first_sentence(text) == sentence


def test_references_are_clean_and_each_once():
    assert row_fields.answers("b ", "", "a", " b") == ["b", "a"]
