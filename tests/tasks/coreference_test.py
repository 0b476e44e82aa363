"""Fields of the coreference cluster: places of pronouns, and rows that make no task."""

import pytest

from tasks import coreference

from . import collection


def rows(key):
    return collection.example_rows()[f"flan2021:{key}"]


@pytest.mark.parametrize(
    ("word", "position", "expected"),
    [
        ("he", 3, (11, 13)),  # as counted
        ("he", 5, (18, 20)),  # with a comma after it
        ("he", 9, (18, 20)),  # counted too far: the nearest one
        ("He", 0, (11, 13)),
        ("the", 3, None),
    ],
)
def test_find_word(word, position, expected):
    text = "She knew  \nhe saw he, then fell"
    assert coreference.find_word(text, word, position) == expected


def test_wsc_marks_the_pronoun_that_is_meant_and_no_other():
    fields = coreference.wsc_fields(rows("wsc")[1])
    assert fields == {
        "text": "The kettle stood next to the vase. When the cat knocked *it* over, water ran out of it.",
        "noun": "the vase",
        "pronoun": "it",
        "label": 1,
    }


def test_wsc_drops_rows_without_label_or_pronoun():
    row = rows("wsc")[0]
    assert coreference.wsc_fields({**row, "label": -1}) is None
    assert coreference.wsc_fields({**row, "span2_text": "theyscold"}) is None


def test_wsc273_marks_the_pronoun_at_its_place_and_drops_rows_whose_place_is_wrong():
    row = rows("wsc273")[1]
    fields = coreference.wsc273_fields(row)
    assert fields["text"] == "The sheet did not go over the mattress. *It* was too small."
    assert fields["choices"] == ["The sheet", "The mattress"]
    assert coreference.wsc273_fields({**row, "pronoun_end": row["pronoun_end"] + 1}) is None


def test_winogrande_needs_one_blank_and_two_different_names():
    row = rows("winogrande")[0]
    assert coreference.winogrande_fields({**row, "sentence": "No blank."}) is None
    assert coreference.winogrande_fields({**row, "sentence": "_ and _ fell."}) is None
    assert coreference.winogrande_fields({**row, "option2": " lamp"}) is None
    assert coreference.winogrande_fields({**row, "label": -1}) is None
