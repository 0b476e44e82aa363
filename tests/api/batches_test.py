"""`flantune.batches`: the batches of a run, on any number of processes, and their text."""

import itertools

import numpy as np
from numpy.testing import assert_array_equal
import pytest

import flantune
from flantune.training import trainer

BINDINGS = {"experiments.train.seed": 4, "DataConfig.batch_size": 8}


class Taken(Exception):  # noqa: N818 - ends a run on purpose
    """The first batches that a run would have trained on."""


def assert_same(found, expected):
    for one, other in itertools.zip_longest(found, expected):
        assert one.keys() == other.keys()
        for name in other:
            assert_array_equal(one[name], other[name], err_msg=name)


def test_they_are_what_the_run_trains_on(tmp_path, monkeypatch):
    def take(learner, *, batches, **_):
        raise Taken([next(batches) for _ in range(3)])

    monkeypatch.setattr(trainer, "train", take)
    with pytest.raises(Taken) as taken:
        flantune.train("run.gin", run_dir=tmp_path / "run", **BINDINGS)
    found = list(flantune.batches("run.gin", num=3, **BINDINGS))
    assert_same(found, taken.value.args[0])
    assert not np.array_equal(
        found[0]["encoder_input_tokens"], next(flantune.batches("run.gin"))["encoder_input_tokens"]
    )


def test_processes_share_them_and_steps_are_passed_over():
    whole = list(flantune.batches("run.gin", num=4, **BINDINGS))
    parts = [
        list(
            flantune.batches(
                "run.gin", num=2, start_step=2, process_index=index, process_count=2, **BINDINGS
            )
        )
        for index in range(2)
    ]
    joined = [
        {name: np.concatenate([one[name], other[name]]) for name in one}
        for one, other in zip(*parts, strict=True)
    ]
    assert_same(joined, whole[2:])


def test_their_text_is_that_of_the_tasks():
    found = flantune.batches("run.gin", num=1)
    assert set(found.tasks) == {"api:copy", "api:late"}
    examples = found.text(next(found))
    assert len(examples) >= 4
    for example in examples:
        word = example["inputs"].removesuffix(" late?").rpartition(" ")[2]
        if example["task"] == "api:copy":
            assert example["inputs"] == ("Copy: ", "Again ")[example["template"]] + word
            assert example["targets"] == word
        else:
            assert example["targets"] in ("no", "yes")
    assert list(found) == []


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"process_index": 2, "process_count": 2}, r"process_index \(2\) must be less than"),
        ({"process_index": -1}, "process_index must be a whole number of at least 0, not -1"),
        ({"process_count": 3}, "must be a multiple of the lanes"),
        ({"num": -1}, "num must be a whole number of at least 0"),
        ({"start_step": -1}, "start_step must be a whole number"),
        ({"DataConfig.mixtur": "x"}, "Did you mean 'mixture'"),
    ],
)
def test_wrong_input_is_one_sentence(how, message):
    with pytest.raises(ValueError, match=message):
        flantune.batches("run.gin", **how)
