"""Rows of other splits that stand in train."""

import pytest

from flantune import testing
from flantune.audit.lint import splits as lint_splits
from flantune.prompting import Template

TRAIN = [{"text": f"number {n}", "answer": f"{n}"} for n in range(300)]
NEW = [{"text": f"other {n}", "answer": f"{n}"} for n in range(300)]


def findings(tmp_path, **rows):
    task = testing.make_task("t:splits", rows, templates=[Template(inputs="Read: {text}")])
    store = testing.prepare([task], tmp_path)
    readers = {split: store.reader(store.manifest(task, split)) for split in rows}
    return [(one.code, one.message) for one in lint_splits.check(task, readers)]


def test_splits_without_common_rows_have_no_finding(tmp_path):
    assert findings(tmp_path, train=TRAIN, validation=NEW[:100], test=NEW[100:]) == []
    assert findings(tmp_path / "no_train", validation=TRAIN, test=TRAIN) == []


@pytest.mark.parametrize(
    ("copies", "code"),
    [
        (1, "few_rows_in_train"),
        (2, "rows_in_train"),
        (100, "rows_in_train"),
        (101, "split_in_train"),
    ],
)
def test_the_share_says_how_bad_it_is(tmp_path, copies, code):
    test = [*NEW[copies:200], *TRAIN[50 : 50 + copies]]
    ((found, message),) = findings(tmp_path, train=TRAIN, test=test)
    assert found == code
    assert message == (
        f"The inputs of {copies} of 200 rows of 'test' ({copies / 200:.2%}) stand in 'train', {copies} of them with the "
        f"same answer. Row {200 - copies} is row 50 of 'train': 'number 50'."
    )


def test_case_and_white_space_make_no_other_row(tmp_path):
    ((code, message),) = findings(
        tmp_path, train=TRAIN, test=[{"text": " NUMBER\n7", "answer": "7 "}]
    )
    assert code == "split_in_train"
    assert "Row 0 is row 7 of 'train': 'NUMBER 7'." in message


def test_the_same_inputs_with_another_answer_are_a_warning_whatever_their_share(tmp_path):
    test = [{**row, "answer": "other"} for row in TRAIN[:9]] + [TRAIN[9]]
    ((code, message),) = findings(tmp_path, train=TRAIN, test=test)
    assert code == "rows_in_train"
    assert "10 of 10 rows of 'test' (100.00%) stand in 'train', 1 of them" in message
    assert "Row 9 is row 9 of 'train'" in message  # the copy


def test_every_other_split_is_compared(tmp_path):
    found = findings(tmp_path, test=TRAIN[:5], train=TRAIN, validation=TRAIN[5:9])
    assert [code for code, _ in found] == ["split_in_train"] * 2
    assert ["'test'" in message for _, message in found] == [True, False]


def test_rows_that_show_nothing_are_no_copies(tmp_path):
    empty = [{"text": " ", "answer": "x"}] * 3
    assert findings(tmp_path, train=[*TRAIN, *empty], test=[*NEW, *empty]) == []
