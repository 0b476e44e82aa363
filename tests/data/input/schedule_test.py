import collections

from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

from flantune.data.input import schedule


def make(rates, rows, *, block_size=64, seed=0):
    total = sum(rates)
    return schedule.Schedule(
        names=[f"t:{number}" for number in range(len(rates))],
        rates=[rate / total for rate in rates],
        num_rows=rows,
        block_size=block_size,
        seed=seed,
    )


@given(st.integers(1, 5000), st.integers(0, 2**64 - 1))
def test_permuted_is_a_permutation(rows, key):
    places = np.arange(rows)
    images = schedule.permuted(places, np.full(rows, rows), np.full(rows, key, np.uint64))
    assert sorted(images) == list(places)


def test_permutations_of_three_are_even():
    keys = np.arange(6000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    images = np.stack(
        [schedule.permuted(np.full(6000, place), np.full(6000, 3), keys) for place in range(3)], 1
    )
    counts = collections.Counter(map(tuple, images))
    assert len(counts) == 6
    assert all(850 < count < 1150 for count in counts.values())


@settings(max_examples=30)
@given(
    st.lists(st.floats(0.001, 1), min_size=1, max_size=8),
    st.integers(1, 100),
    st.integers(1, 200),
)
def test_every_epoch_has_every_row_once(rates, rows, block_size):
    order = make(rates, [rows + number for number in range(len(rates))], block_size=block_size)
    visits = [visit for block in range(12) for visit in order.block(block)]
    for task in range(len(rates)):
        own = [(visit.epoch, visit.row) for visit in visits if visit.task == task]
        assert len(set(own)) == len(own)
        complete = max((epoch for epoch, _ in own), default=0)
        for epoch in range(complete):
            assert sorted(row for e, row in own if e == epoch) == list(range(rows + task))


def test_shares_are_exact_within_one_example_at_every_block():
    order = make([1, 2, 5], [1000] * 3, block_size=100)
    counts = np.zeros(3)
    for block in range(40):
        for visit in order.block(block):
            counts[visit.task] += 1
        assert np.all(np.abs(counts - (block + 1) * 100 * np.array([1, 2, 5]) / 8) <= 1)


def test_a_block_needs_no_block_before_it():
    assert make([1, 3], [50, 70]).block(7) == make([1, 3], [50, 70]).block(7)


def test_seed_and_epoch_change_the_order():
    first = [visit.row for visit in make([1], [64]).block(0)]
    second = [visit.row for visit in make([1], [64]).block(1)]
    other = [visit.row for visit in make([1], [64], seed=1).block(0)]
    assert first != second
    assert first != other


def test_tasks_are_spread_inside_a_block():
    tasks = [visit.task for visit in make([1, 1], [500] * 2, block_size=400).block(0)]
    assert 60 < sum(tasks[:200]) < 140


def test_one_row_repeats_every_epoch():
    visits = make([1], [1], block_size=5).block(0)
    assert sorted(visit.epoch for visit in visits) == list(range(len(visits)))
    assert {visit.row for visit in visits} == {0}


@pytest.mark.parametrize("block_size", [1, 3, 1024])
def test_blocks_hold_block_size_examples_within_the_number_of_tasks(block_size):
    order = make([3, 1, 1], [10] * 3, block_size=block_size)
    assert all(abs(len(order.block(block)) - block_size) <= 3 for block in range(20))


def in_lanes(lanes, block_size=1024):
    rates, rows = [0.5, 0.3, 0.2], [5000, 300, 40]
    return schedule.Schedule(
        names=["a", "b", "c"],
        rates=rates,
        num_rows=rows,
        block_size=block_size,
        seed=0,
        lanes=lanes,
    )


@pytest.mark.parametrize("lanes", [1, 2, 64])
def test_first_blocks_of_lanes_are_short_and_later_ones_whole(lanes):
    order = in_lanes(lanes)
    before = [order.visits_before(block).sum() for block in range(6 * lanes + 1)]
    sizes = np.diff(before).reshape(6, lanes)
    parts = 1 + np.arange(lanes) / lanes
    whole = np.full(lanes, 1024)
    expected = [64 * parts, 128 * parts, 256 * parts, 512 * parts, whole, whole]
    assert np.abs(sizes - np.stack(expected)).max() <= 3  # one example a task


def test_lanes_come_to_new_blocks_one_after_another():
    order = in_lanes(64)
    before = [order.visits_before(block).sum() for block in range(12 * 64 + 1)]
    ends = np.cumsum(np.diff(before).reshape(12, 64), axis=0)  # in the lane's own examples
    # Every lane uses its examples at the same speed: how many lanes start a block while each uses 64 of them?
    started = np.histogram(ends, bins=np.arange(2048, 10 * 1024, 64))[0]
    assert started.max() <= 6
    assert (started == 0).mean() < 0.1


def test_shares_are_exact_in_short_blocks_too():
    order = in_lanes(4)
    counts = np.zeros(3)
    for block in range(40):
        for visit in order.block(block):
            counts[visit.task] += 1
        assert np.array_equal(counts, order.visits_before(block + 1))
        assert np.all(np.abs(counts - counts.sum() * np.array([0.5, 0.3, 0.2])) <= 3)


@given(st.integers(1, 9), st.integers(1, 70), st.integers(0, 100))
def test_with_lanes_too_every_epoch_has_every_row_once(lanes, block_size, first):
    order = in_lanes(lanes, block_size)
    seen = [
        (visit.task, visit.epoch, visit.row)
        for block in range(first, first + 12)
        for visit in order.block(block)
    ]
    assert len(set(seen)) == len(seen)
    counts = order.visits_before(first + 12) - order.visits_before(first)
    assert [sum(task == number for task, _, _ in seen) for number in range(3)] == counts.tolist()
