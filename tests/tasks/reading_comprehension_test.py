"""Fields of the reading comprehension cluster: markup, dates, nested fields, questions without an answer."""

import numpy as np
import pytest

from flantune import metrics
from tasks import reading_comprehension

from . import collection


def rows(key):
    return collection.example_rows()[f"flan2021:{key}"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("1904-May-3", "3 May 1904"),
        ("-May-3", "3 May"),
        ("1904--3", "3 1904"),
        ("1990-91", "1990-91"),
        ("3-yard", "3-yard"),
        ("-3", "-3"),
    ],
)
def test_dates_of_drop_are_written_out(answer, expected):
    assert reading_comprehension.plain_date(answer) == expected


def test_drop_counts_the_validated_answers_and_needs_one_of_its_own():
    row = rows("drop")[0]
    assert reading_comprehension.drop_fields(row)["answer"] == ["270", "270 feet"]
    assert reading_comprehension.drop_fields({**row, "answer": ""}) is None


def test_multirc_loses_its_tags_and_rows_without_label():
    row = rows("multirc")[0]
    assert reading_comprehension.multirc_fields(row)["passage"] == (
        "Mira sold her boat to Jon and Petra. They paid with a goat and two hens. Mira gave the goat to her aunt and "
        "kept the hens."
    )
    assert reading_comprehension.multirc_fields({**row, "label": -1}) is None


def test_multirc_is_scored_by_the_f1_of_yes_and_no_wording_answers_by_a_letter():
    (task,) = (one for one in reading_comprehension.TASKS if one.name == "flan2021:multirc")
    f1, accuracy = task.metrics
    targets, predictions = [("yes",), ("yes",), ("no",), ("no",)], ["yes", "no", "yes", "no"]
    assert f1.name == "f1_of_yes"
    assert f1.prepare(targets, predictions)(np.arange(4)) == 0.5
    assert f1.prepare(targets, predictions)(np.array([0, 1, 3])) == pytest.approx(2 / 3)
    assert accuracy is metrics.accuracy
    assert task.answer_choices == ("no", "yes")
    assert not any(one.shows_options or one.label_words for one in task.templates)


def test_openbookqa_reads_choices_in_the_order_of_their_letters():
    row = rows("openbookqa")[0]
    fields = reading_comprehension.openbookqa_fields(row)
    assert fields["choices"][fields["label"]] == "stores water in its stem"
    twice = {**row["question"], "choice_A": "drinks from rivers"}
    assert reading_comprehension.openbookqa_fields({**row, "question": twice}) is None


def test_squad_has_titles_in_words_and_every_answer_once():
    fields = reading_comprehension.squad_fields(rows("squad_v1")[0])
    assert (fields["title"], fields["answer"]) == ("Alder Bridge", ["1904", "in 1904"])


def test_squad_2_says_what_has_no_answer_and_never_the_plausible_one():
    row = rows("squad_v2")[0]
    assert reading_comprehension.squad_fields(row)["answer"] == ["unanswerable"]
    assert reading_comprehension.squad_fields({**row, "is_impossible": False}) is None


def test_bool_q_answers_no_for_false():
    no = reading_comprehension.bool_q_fields(rows("bool_q")[1])
    assert no["label"] == 0
    assert no["question"] == "does the alder bridge carry cars?"
