"""Fields of the commonsense cluster that need more than a copy."""

import pytest

from tasks import commonsense

from . import collection


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man sits down.  He", "A man sits down. He"),
        ("[header] How to peel [title] Cut it. [step] Use", "How to peel. Cut it. Use"),
        (" . [substeps] Rinse.", ". Rinse."),
        ("[step] ", ""),
    ],
)
def test_tags_of_hellaswag_become_ends_of_sentences(text, expected):
    assert commonsense.without_tags(text) == expected


def test_rows_of_hidden_labels_are_dropped():
    for name, task in collection.tasks().items():
        if task in commonsense.TASKS:
            row = collection.example_rows()[name][0]
            assert task.to_fields(row) is not None
            assert task.to_fields({**row, "label": -1}) is None


def test_story_cloze_counts_its_endings_from_one():
    row = {"context": "One. Two.", "endings": ["Good.", "Bad."], "label": 2}
    assert commonsense.story_cloze_fields(row)["label"] == 1
    assert commonsense.story_cloze_fields({**row, "label": 0}) is None


def test_the_full_stop_before_an_ending_of_hellaswag_is_no_part_of_it():
    row = {
        "context": "[header] How to dry [step] Hang it",
        "endings": [" . [substeps] Wait.", ", then wait.", " up.", "."],
        "activity_label": "Drying",
        "label": 0,
    }
    assert commonsense.hellaswag_fields(row) is None  # the last ending is empty
    fields = commonsense.hellaswag_fields({**row, "endings": row["endings"][:3]})
    assert fields["beginning"] == "How to dry. Hang it"
    assert fields["choices"] == ["Wait.", ", then wait.", "up."]
