"""Loss weights: of tasks, of rows, and by example; in the batches, on any number of processes, and in the store."""

import dataclasses
import json

import numpy as np
import pytest

from flantune import testing
from flantune.configs import DataConfig
from flantune.data import InstructionTask, Mixture, catalog as catalog_lib, sources
from flantune.data.input import loading, packing
from flantune.data.store import prepare, reader as store_lib
from flantune.data.vocabularies import vocabulary
from flantune.prompting import Template

BYTES = vocabulary.ByteVocabulary()
PLAIN = [Template(inputs="{text}")]


def rows(name, count):
    """Targets of 1 to 7 characters; the weight of row i is i % 3."""
    return [
        {"text": f"{name}{row}", "answer": "y" * (row % 7 + 1), "weight": row % 3}
        for row in range(count)
    ]


PLAIN_TASK = testing.make_task(
    "w:plain", {"train": rows("p", 40)}, templates=PLAIN, extra_fields=("weight",)
)
HALF = testing.make_task(
    "w:half",
    {"train": rows("h", 21)},
    templates=PLAIN,
    loss_weight=0.5,
    extra_fields=("weight",),
)
BY_ROW = testing.make_task(
    "w:by_row", {"train": rows("r", 21)}, templates=PLAIN, loss_weight="weight"
)
TASKS = [PLAIN_TASK, HALF, BY_ROW]
MIXTURE = Mixture(name="w_all", rates={"w:plain": 2, "w:half": 1, "w:by_row": 1})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    store = testing.prepare(TASKS, root)
    with testing.task_module("weight_tasks", TASKS, [MIXTURE]):
        return catalog_lib.load(["weight_tasks"], store, root), store


def dataset(place, *, mixture="w_all", process=(0, 1), **changes):
    values = {
        "mixture": mixture,
        "modules": (),
        "vocabulary": "bytes",
        "inputs_length": 24,
        "targets_length": 16,
        "batch_size": 8,
        "lanes": 4,
        "block_size": 32,
    }
    return loading.train_dataset(
        loading.bind_mixture(*place, mixture, split="train"),
        DataConfig(**(values | changes)),
        BYTES,
        seed=0,
        process_index=process[0],
        process_count=process[1],
    )


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def examples_of(batch):
    """Text, number of target tokens and their weights of each example of a batch."""
    for row, segments in enumerate(batch["decoder_segment_ids"]):
        for segment in range(1, segments.max() + 1):
            own = segments == segment
            inputs = batch["encoder_input_tokens"][row][
                batch["encoder_segment_ids"][row] == segment
            ]
            text = BYTES.decode(inputs.tolist()).strip()
            yield text, int(own.sum()), batch["decoder_loss_weights"][row][own]


def own_weight(text):
    return {"p": 1.0, "h": 0.5, "r": float(int(text[1:]) % 3)}[text[0]]


def test_weights_of_a_packed_row_by_hand():
    def example(inputs, targets, weight):
        ids = (np.full(count, 5, np.int32) for count in (inputs, targets))
        return packing.Example(*ids, 0, 0, 0, 0, weight)

    batch = packing.make_rows(
        [[example(2, 3, 0.5), example(1, 1, 0.0), example(1, 1, 2.0)], [example(1, 2, 1.5)]],
        inputs_length=5,
        targets_length=6,
    )
    assert batch["decoder_loss_weights"].tolist() == [
        [0.5, 0.5, 0.5, 0, 2, 0],
        [1.5, 1.5, 0, 0, 0, 0],
    ]
    assert batch["decoder_loss_weights"].dtype == np.float32


@pytest.mark.parametrize("pack", [True, False])
def test_tokens_have_the_weight_of_their_task_or_row(place, pack):
    found = [
        one for batch in take(iter(dataset(place, pack=pack)), 20) for one in examples_of(batch)
    ]
    assert {text[0] for text, _, _ in found} == {"p", "h", "r"}
    for text, count, weights in found:
        assert weights.tolist() == [own_weight(text)] * count
    assert any(not weights.any() for _, _, weights in found)  # weight 0 is read and packed


@pytest.mark.parametrize("pack", [True, False])
def test_examples_weigh_the_same_however_long_their_targets_are(place, pack):
    batches = take(iter(dataset(place, mixture="w:plain", loss_weighting="example", pack=pack)), 40)
    found = [one for batch in batches for one in examples_of(batch)]
    assert {count for _, count, _ in found} == set(range(2, 9))
    totals = [float(weights.sum()) for _, _, weights in found]
    assert totals == pytest.approx([totals[0]] * len(totals), rel=1e-5)
    # 1 to 7 characters and an end are 5 tokens in the mean: a mean token weighs 1.
    assert totals[0] == pytest.approx(5, rel=0.05)
    tokens = sum(count for _, count, _ in found)
    assert sum(totals) / tokens == pytest.approx(1, rel=0.05)


def test_own_weights_multiply_those_by_example(place):
    found = list(examples_of(next(iter(dataset(place, loss_weighting="example")))))
    per_example = {own_weight(text): float(weights.sum()) for text, _, weights in found}
    assert set(per_example) == {0.0, 0.5, 1.0, 2.0}
    for weight, total in per_example.items():
        assert total == pytest.approx(weight * per_example[1.0], rel=1e-5)


@pytest.mark.parametrize("processes", [2, 4])
def test_weights_do_not_depend_on_the_number_of_processes(place, processes):
    alone = take(iter(dataset(place, loss_weighting="example")), 8)
    parts = [
        take(iter(dataset(place, loss_weighting="example", process=(p, processes))), 8)
        for p in range(processes)
    ]
    for step, batch in enumerate(alone):
        together = [part[step]["decoder_loss_weights"] for part in parts]
        assert np.array_equal(batch["decoder_loss_weights"], np.concatenate(together))


def test_weights_are_the_same_after_a_restart(place):
    straight = take(iter(dataset(place, loss_weighting="example")), 12)
    first = iter(dataset(place, loss_weighting="example"))
    take(first, 5)
    second = iter(dataset(place, loss_weighting="example"))
    second.set_state(json.loads(json.dumps(first.get_state())))
    for batch, again in zip(straight[5:], take(second, 7), strict=True):
        assert np.array_equal(batch["decoder_loss_weights"], again["decoder_loss_weights"])


def test_a_mixture_of_which_nothing_fits_has_no_scale(place):
    with pytest.raises(ValueError, match=r"None of the first 1,024 examples of the mixture fits"):
        dataset(place, loss_weighting="example", inputs_length=2)


def test_an_unknown_weighting_is_refused(place):
    with pytest.raises(ValueError, match=r"DataConfig\.loss_weighting must be"):
        dataset(place, loss_weighting="tokens")


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), 1e39, True])
def test_a_task_s_weight_is_checked(weight):
    with pytest.raises(ValueError, match=r"'w:bad': the loss weight must be a finite number of at"):
        dataclasses.replace(PLAIN_TASK, name="w:bad", loss_weight=weight)


def test_a_constant_is_no_weight():
    with pytest.raises(ValueError, match="names the constant 'weight', a text"):
        dataclasses.replace(PLAIN_TASK, constants={"weight": "1"}, loss_weight="weight")


# ---- the store


def same(row):
    return row


def prepared(tmp_path, lines, **changes):
    """What becomes of a file of rows, one a line."""
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    arguments = {
        "name": "w:file",
        "source": sources.Jsonl(train="rows.jsonl"),
        "to_fields": same,
        "templates": tuple(PLAIN),
        "cluster": "tests",
        "metrics": (),
        "loss_weight": "weight",
    }
    task = InstructionTask(**(arguments | changes))
    store = store_lib.Store(tmp_path / "store")
    return prepare.prepare([(task, ("train",))], store, tmp_path, num_processes=0).results[0]


@pytest.mark.parametrize("weight", [-0.5, float("nan"), float("inf"), "1", True, None])
def test_a_row_s_weight_is_checked_and_its_place_named(tmp_path, weight):
    good = {"text": "a", "answer": "b", "weight": 1}
    result = prepared(tmp_path, [good, {**good, "weight": weight}])
    assert result.status == "failed"
    assert f"'w:file': the loss weight must be a finite number of at least 0, not {weight!r} (" in (
        result.error
    )
    assert result.error.endswith("rows.jsonl:2).")


def test_a_row_without_its_weight_is_refused(tmp_path):
    result = prepared(tmp_path, [{"text": "a", "answer": "b", "wieght": 1}])
    assert "needs the field 'weight', for its templates, answer or loss weight" in result.error
    assert "Closest: 'wieght'" in result.error


def test_rows_are_checked_again_when_another_field_becomes_the_weight(tmp_path):
    lines = [{"text": "a", "answer": "b", "weight": 1, "other": -1}]
    extra = {"extra_fields": ("weight", "other")}
    assert prepared(tmp_path, lines, **extra).status == "prepared"
    assert prepared(tmp_path, lines, **extra).status == "fresh"
    assert "not -1" in prepared(tmp_path, lines, **extra, loss_weight="other").error


def test_another_number_needs_no_new_preparation(tmp_path):
    lines = [{"text": "a", "answer": "b"}]
    assert prepared(tmp_path, lines, loss_weight=1.0).status == "prepared"
    assert prepared(tmp_path, lines, loss_weight=3).status == "fresh"
