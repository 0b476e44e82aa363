"""STS-B's rounding, quotes of QQP, hidden labels."""

import pytest

from tasks import paraphrase

TASKS = {task.name.removeprefix("flan2021:"): task for task in paraphrase.TASKS}


@pytest.mark.parametrize(
    ("label", "answer"),
    [
        (0.0, "0"),
        (0.5, "0"),  # a half goes to the even number, as in "%.0f"
        (1.5, "2"),
        (2.5, "2"),
        (2.5999999046325684, "3"),  # float32
        (3.5, "4"),
        (4.5, "4"),
        (5.0, "5"),
    ],
)
def test_likeness_is_rounded_to_a_whole_number(label, answer):
    task = TASKS["stsb"]
    fields = task.to_fields({"sentence1": "A dog.", "sentence2": "A cat.", "label": label})
    assert task.answer_choices[fields["label"]] == answer == f"{label:.0f}"


def test_no_wording_of_stsb_replaces_its_grades_by_letters_or_words():
    for template in TASKS["stsb"].templates:
        assert not template.shows_options
        assert template.label_words is None


def test_stsb_is_scored_by_the_numbers_in_its_targets():
    task = TASKS["stsb"]
    template = next(one for one in task.templates if one.targets == "{answer} out of 5")
    answers = [template.extract(f"{grade} out of 5") for grade in "0254"]
    for metric in task.metrics:
        (value,) = metric(list("0254"), answers).values()
        assert value == pytest.approx(1)


def test_doubled_quotes_of_qqp_become_one():
    row = {"question1": 'What is ""slack""? ', "question2": "Why slack", "label": 0}
    expected = {"question1": 'What is "slack"?', "question2": "Why slack", "label": 0}
    assert TASKS["glue_qqp"].to_fields(row) == expected


@pytest.mark.parametrize("key", ["glue_mrpc", "stsb"])
def test_rows_with_a_hidden_label_or_an_empty_text_are_dropped(key):
    row = {"sentence1": "A dog.", "sentence2": "A cat.", "label": 1}
    assert TASKS[key].to_fields(row)["label"] == 1
    assert TASKS[key].to_fields({**row, "label": -1}) is None
    assert TASKS[key].to_fields({**row, "sentence2": " "}) is None
