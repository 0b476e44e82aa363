import dataclasses
import json

import numpy as np
import pytest

from flantune import testing
from flantune.audit.ledger import counts as ledger_counts
from flantune.configs import DataConfig
from flantune.data import Mixture, catalog as catalog_lib
from flantune.data.input import loading, packing
from flantune.data.vocabularies import vocabulary
from flantune.prompting import Template

BYTES = vocabulary.ByteVocabulary()
TASKS = [
    testing.make_task(
        f"t:{name}",
        {"train": [{"text": "x" * (row % 7 + 1), "answer": f"{row}"} for row in range(rows)]},
        templates=[Template(inputs="{text};"), Template(inputs="Read: {text};")],
        may_cut=("text",),
    )
    for name, rows in (("a", 40), ("b", 7))
]
# Some of its prompts do not fit and have nothing that may be cut; others have targets that lose their end.
LONG = testing.make_task(
    "t:long",
    {
        "train": [
            {"text": "x" * (40 if row % 3 == 0 else 3), "answer": "y" * (20 if row % 4 == 0 else 2)}
            for row in range(24)
        ]
    },
    templates=[Template(inputs="{text}")],
)
MIXTURES = [
    Mixture(name="both", rates={"t:a": 3, "t:b": 1}),
    Mixture(name="losing", rates={"t:a": 1, "t:long": 1}),
]
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
TASKS_OF = {"both": {"t:a": 2, "t:b": 2}, "losing": {"t:a": 2, "t:long": 1}}


def example(inputs, targets, task, template=0, *, cut=False):
    ids = (np.full(count, 5, np.int32) for count in (inputs, targets))
    return packing.Example(*ids, task, template, 0, 0, 1.0, cut)


def as_lists(counts):
    return {name: numbers.tolist() for name, numbers in vars(counts).items()}


def test_a_batch_is_counted_by_task_and_template():
    rows = [
        [example(3, 2, 1), example(4, 1, 1, 2, cut=True), example(1, 1, 0)],
        [example(2, 3, 2), example(1, 1, 1, 2)],
        [],
    ]
    batch = packing.make_rows(rows, inputs_length=10, targets_length=5)
    batch |= packing.shortfall(rows, [2, 0, 2])
    cells = ledger_counts.Cells([1, 3, 1])
    assert cells.pairs() == [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0)]
    counts = ledger_counts.count(batch, cells)
    assert as_lists(counts) == {
        "examples": [1, 1, 0, 2, 1],
        "cut": [0, 0, 0, 1, 0],
        "inputs_tokens": [1, 3, 0, 5, 2],
        "targets_tokens": [1, 2, 0, 2, 3],
        "dropped": [1, 0, 2],
    }
    assert cells.by_task(counts.inputs_tokens).tolist() == [1, 8, 2]


SIZE = DATA.batch_size


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    store = testing.prepare([*TASKS, LONG], root)
    with testing.task_module("count_tasks", [*TASKS, LONG], MIXTURES):
        return catalog_lib.load(["count_tasks"], store, root), store


def dataset(place, mixture="both", process=(0, 1), batch_size=SIZE):
    return loading.train_dataset(
        loading.bind_mixture(*place, mixture, split="train"),
        dataclasses.replace(DATA, batch_size=batch_size),
        BYTES,
        seed=0,
        process_index=process[0],
        process_count=process[1],
        with_shortfall=True,
    )


def batches(place, *, mixture="both", process=(0, 1), tasks=None, batch_size=SIZE):
    return ledger_counts.Counted(
        loading.prefetched(dataset(place, mixture, process, batch_size)),
        tasks or TASKS_OF[mixture],
        process_index=process[0],
        process_count=process[1],
    )


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
    assert {tuple(batch) for batch in taken} == {packing.BATCH_KEYS}  # all that a device needs
    raw = iter(dataset(place))
    expected = ledger_counts.Counts.zeros(counted.cells)
    for _ in range(5):
        expected += ledger_counts.count(next(raw), counted.cells)
    assert as_lists(counted.counts) == as_lists(expected)
    assert (counted.counts.examples > 0).all()  # each template of each task
    targets = sum(float(batch["decoder_loss_weights"].sum()) for batch in taken)
    assert counted.counts.targets_tokens.sum() == targets
    inputs = sum(int((batch["encoder_segment_ids"] > 0).sum()) for batch in taken)
    assert counted.counts.inputs_tokens.sum() == inputs


@pytest.mark.parametrize("mixture", ["both", "losing"])
def test_a_restart_continues_the_counts(place, mixture):
    straight = take(batches(place, mixture=mixture), 12)
    for before in range(1, 12):  # at the start, middle and end of blocks
        state = saved(take(batches(place, mixture=mixture), before))
        again = batches(place, mixture=mixture)
        take(again, 3)  # a run that fell back to an older checkpoint forgets what came after it
        again.set_state(state)
        assert as_lists(take(again, 12 - before).counts) == as_lists(straight.counts)
        assert again.get_state() == straight.get_state()


@pytest.mark.parametrize("mixture", ["both", "losing"])
def test_counts_survive_changing_numbers_of_processes(place, mixture):
    straight = take(batches(place, mixture=mixture), 12)
    state = saved(take(batches(place, mixture=mixture), 2))
    four = [batches(place, mixture=mixture, process=(index, 4)) for index in range(4)]
    for one in four:
        one.set_state(state)
        take(one, 4)
    state = saved(*four)
    assert set(state[ledger_counts.KEY]["processes"]) == {"0", "1", "2", "3"}
    two = [batches(place, mixture=mixture, process=(index, 2)) for index in range(2)]
    for one in two:
        one.set_state(state)
        take(one, 6)
    counted = saved(*two)[ledger_counts.KEY]
    assert counted["batches"] == 12
    assert counted["sizes"] == [[12, SIZE]]
    assert as_lists(ledger_counts.total(counted)) == as_lists(straight.counts)


def test_a_change_of_the_batch_size_is_kept(place):
    state = saved(take(batches(place), 3))
    other = batches(place, batch_size=2 * SIZE)
    other.set_state(state)
    state = saved(take(other, 2))
    again = batches(place)
    again.set_state(state)
    counted = saved(take(again, 1))[ledger_counts.KEY]
    assert ledger_counts.sizes(counted) == [(3, SIZE), (2, 2 * SIZE), (1, SIZE)]
    assert counted["batches"] == 6


def test_a_state_that_lacks_sizes_says_so(place):
    state = saved(take(batches(place), 3))
    del state[ledger_counts.KEY]["sizes"]
    again = batches(place)
    again.set_state(state)
    counted = saved(take(again, 2))[ledger_counts.KEY]
    assert ledger_counts.sizes(counted) == [(3, None), (2, SIZE)]


def test_cut_and_dropped_examples_are_those_of_the_blocks_that_were_read(place):
    counted = batches(place, mixture="losing")
    take(counted, 60)
    counts, cells = counted.counts, counted.cells
    of_task = cells.by_task(counts.examples)
    assert counts.dropped[0] == 0
    assert counts.cut[:2].sum() == 0
    # Of 24 rows 8 cannot fit; of the other 16, 4 have targets that are cut.
    visits = of_task[1] + counts.dropped[1]
    assert counts.dropped[1] / visits == pytest.approx(8 / 24, abs=0.03)
    assert counts.cut[2] / of_task[1] == pytest.approx(4 / 16, abs=0.03)
    # Each lane has dropped what its blocks until here hold: read anew, block by block.
    source = dataset(place, "losing")
    expected = 0
    for lane, (block, row) in counted.get_state()["lanes"].items():
        read = range(int(lane), block + (row > 0), source.lanes)
        expected += sum(source.packer.packed(one).dropped.count(1) for one in read)
    assert counts.dropped[1] == expected > 20


def test_the_place_stays_small_and_knows_nothing_of_the_counts(place):
    counted = take(batches(place), 2)
    state = counted.get_state()
    assert set(state) == {"lanes", ledger_counts.KEY}
    assert set(iter(dataset(place)).get_state()) == {"lanes"}


def test_a_state_without_counts_or_of_other_tasks_starts_anew(place):
    state = saved(take(batches(place), 3))
    for other in (
        {"lanes": state["lanes"]},
        saved(take(batches(place, tasks={"t:a": 2, "t:c": 2}), 3)),
        saved(take(batches(place, tasks={"t:a": 3, "t:b": 2}), 3)),
    ):
        again = batches(place)
        again.set_state(other)
        assert again.counts.examples.sum() == 0
        next(again)
        assert again.get_state()[ledger_counts.KEY]["batches"] == 1
