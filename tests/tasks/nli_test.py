"""The order of classes, the rows that are dropped, and CB's clauses."""

import pickle

import pytest

from tasks import nli

from . import collection

TASKS = {task.name.removeprefix("flan2021:"): task for task in nli.TASKS}
# What TFDS calls a class, and what the task answers.
MEANINGS = {
    "yes": ("e", "entailment"),
    "it is not possible to tell": ("n", "neutral"),
    "it's impossible to say": ("n", "neutral"),
    "no": ("c", "contradiction", "not_entailment"),
}


@pytest.mark.parametrize("key", list(TASKS))
def test_choices_are_in_the_order_of_tfds_classes(key):
    task = TASKS[key]
    features = collection.tfds_features()[task.source.name.partition(":")[0]]["features"]
    for choice, label in zip(task.answer_choices, features["label"]["labels"], strict=True):
        assert label in MEANINGS[choice.lower()]


# In CB contradiction is class 1 and neutral class 2; label words of other sets have them the other way round.
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("anli_r1", ("proves", "leaves open", "proves wrong")),
        ("cb", ("makes certain", "rules out", "leaves undecided")),
        ("snli", ("has to be true", "may or may not be true", "has to be false")),
    ],
)
def test_an_inversion_names_the_class_in_that_order(key, words):
    (inversion,) = (one for one in TASKS[key].templates if one.kind == "inversion")
    assert inversion.label_words == words


def test_rows_without_a_label_or_a_text_are_dropped():
    row = {"premise": "A dog runs.", "hypothesis": " It moves. ", "label": 0}
    to_fields = TASKS["snli"].to_fields
    assert to_fields(row) == {"premise": "A dog runs.", "hypothesis": "It moves.", "label": 0}
    assert to_fields({**row, "label": -1}) is None
    assert to_fields({**row, "premise": " "}) is None


def test_clauses_of_cb_lose_their_full_stop():
    row = {"premise": "He saw that it rained.", "hypothesis": "it rained. ", "label": 0, "idx": 3}
    assert TASKS["cb"].to_fields(row)["hypothesis"] == "it rained"


def test_mnli_tasks_differ_only_in_their_test_split():
    matched, mismatched = (
        dict(TASKS[f"mnli_{name}"].source.tfds_splits) for name in ("matched", "mismatched")
    )
    assert matched.pop("test") == "validation_matched"
    assert mismatched.pop("test") == "validation_mismatched"
    assert matched == mismatched


def test_tasks_pickle():
    for task in pickle.loads(pickle.dumps(nli.TASKS)):
        for row in collection.example_rows()[task.name]:
            assert task.to_fields(row) == TASKS[task.name.removeprefix("flan2021:")].to_fields(row)
