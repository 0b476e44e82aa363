import json

import numpy as np
import pytest

from flantune import testing
from flantune.configs import DataConfig
from flantune.data import (
    Mixture,
    catalog as catalog_lib,
    ledger,
    ledger_counts,
    loading,
    packing,
    vocabulary,
)
from flantune.prompting import Template

BYTES = vocabulary.ByteVocabulary()
TASKS = [
    testing.make_task(
        f"t:{name}",
        {"train": [{"text": "x" * (row % 7 + 1), "answer": f"{row}"} for row in range(rows)]},
        templates=[Template(inputs="{text};")],
    )
    for name, rows in (("a", 40), ("b", 7))
]
MIXTURE = Mixture(name="both", rates={"t:a": 3, "t:b": 1})
DATA = DataConfig(
    mixture="both",
    modules=(),
    vocabulary="bytes",
    inputs_length=24,
    targets_length=12,
    batch_size=8,
    lanes=4,
    block_size=16,
)
NAMES = ["t:a", "t:b"]


def example(inputs, targets, task):
    return packing.Example(
        np.full(inputs, 5, np.int32), np.full(targets, 6, np.int32), task, 0, 0, 0
    )


def as_tuples(counts):
    return (
        counts.examples.tolist(),
        counts.inputs_tokens.tolist(),
        counts.targets_tokens.tolist(),
    )


def test_a_batch_is_counted_by_task():
    rows = [[example(3, 2, 1), example(4, 1, 1), example(1, 1, 0)], [example(2, 3, 2)], []]
    batch = packing.make_rows(rows, inputs_length=10, targets_length=5)
    assert as_tuples(ledger_counts.count(batch, 4)) == ([1, 2, 1, 0], [1, 7, 2, 0], [1, 3, 3, 0])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    store = testing.prepare(TASKS, root)
    with testing.task_module("count_tasks", TASKS, [MIXTURE]):
        catalog = catalog_lib.load(["count_tasks"], store, root)
    return catalog, store, loading.bind_mixture(catalog, store, "both", split="train")


def batches(place, *, process=(0, 1), names=NAMES):
    dataset = loading.train_dataset(
        place[2], DATA, BYTES, seed=0, process_index=process[0], process_count=process[1]
    )
    return ledger_counts.Counted(loading.prefetched(dataset), names, process_index=process[0])


def take(counted, count):
    for _ in range(count):
        next(counted)
    return counted


def saved(*counted):
    """The states of all processes, merged as a checkpoint's are."""
    from flantune.training import checkpoints

    states = [json.loads(json.dumps(one.get_state())) for one in counted]
    return checkpoints.merge_process_states(states)


def test_counts_are_those_of_the_batches_taken_not_of_those_made_ahead(place):
    counted = batches(place)
    taken = [next(counted) for _ in range(5)]
    expected = ledger_counts.Counts.zeros(2)
    for batch in taken:
        expected += ledger_counts.count(batch, 2)
    assert as_tuples(counted.counts) == as_tuples(expected)
    targets = sum(float(batch["decoder_loss_weights"].sum()) for batch in taken)
    assert counted.counts.targets_tokens.sum() == targets
    inputs = sum(int((batch["encoder_segment_ids"] > 0).sum()) for batch in taken)
    assert counted.counts.inputs_tokens.sum() == inputs


def test_a_restart_continues_the_counts(place):
    straight = take(batches(place), 12)
    state = saved(take(batches(place), 5))
    again = batches(place)
    take(again, 3)  # a run that fell back to an older checkpoint forgets what came after it
    again.set_state(state)
    assert as_tuples(take(again, 7).counts) == as_tuples(straight.counts)
    assert again.get_state() == straight.get_state()


def test_counts_survive_changing_numbers_of_processes(place):
    straight = take(batches(place), 12)
    state = saved(take(batches(place), 2))
    four = [batches(place, process=(index, 4)) for index in range(4)]
    for one in four:
        one.set_state(state)
        take(one, 4)
    state = saved(*four)
    assert set(state[ledger_counts.KEY]["processes"]) == {"0", "1", "2", "3"}
    two = [batches(place, process=(index, 2)) for index in range(2)]
    for one in two:
        one.set_state(state)
        take(one, 6)
    counted = saved(*two)[ledger_counts.KEY]
    assert counted["batches"] == 12
    assert as_tuples(ledger_counts.total(counted)) == as_tuples(straight.counts)


def test_a_state_without_counts_or_of_other_tasks_starts_anew(place):
    state = saved(take(batches(place), 3))
    for other in (
        {"lanes": state["lanes"]},
        saved(take(batches(place, names=["t:a", "t:c"]), 3)),
    ):
        again = batches(place)
        again.set_state(other)
        assert again.counts.examples.sum() == 0
        next(again)
        assert again.get_state()[ledger_counts.KEY]["batches"] == 1


def test_what_was_counted_agrees_with_the_plan(place):
    catalog, store, bound = place
    counted = take(batches(place), 100)
    planned = ledger.plan(
        catalog, store, bound, DATA, BYTES, num_steps=100, seed=0, num_examples=16
    )
    for one in ledger_counts.compare(planned, counted.counts):
        assert one.counted_examples == pytest.approx(one.planned_examples, rel=0.02)
        assert one.counted_tokens == pytest.approx(one.planned_tokens, rel=0.03)
        assert abs(one.deviations) < 4
    shares = counted.counts.examples / counted.counts.examples.sum()
    assert shares == pytest.approx([0.75, 0.25], abs=0.005)


def test_a_task_that_was_not_planned_so_stands_out(place):
    catalog, store, bound = place
    planned = ledger.plan(
        catalog, store, bound, DATA, BYTES, num_steps=100, seed=0, num_examples=16
    )
    counts = take(batches(place), 100).counts
    wrong = ledger_counts.Counts(
        examples=counts.examples,
        inputs_tokens=counts.inputs_tokens * np.array([1, 2]),
        targets_tokens=counts.targets_tokens,
    )
    a, b = ledger_counts.compare(planned, wrong)
    assert abs(a.deviations) < 4 < b.deviations
