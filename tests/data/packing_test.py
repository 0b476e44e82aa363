from hypothesis import given, strategies as st
import numpy as np
import pytest

from flantune.data import packing

LENGTHS = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 8)), max_size=60)


def example(inputs, targets, *, task=0, template=0):
    return packing.Example(
        np.array(inputs, np.int32), np.array(targets, np.int32), task, template, 0, 0
    )


@given(LENGTHS)
def test_rows_hold_every_example_once_and_never_overflow(lengths):
    inputs, targets = [pair[0] for pair in lengths], [pair[1] for pair in lengths]
    rows = packing.assign_rows(inputs, targets, inputs_length=20, targets_length=8)
    assert sorted(item for row in rows for item in row) == list(range(len(lengths)))
    for row in rows:
        assert sum(inputs[item] for item in row) <= 20
        assert sum(targets[item] for item in row) <= 8


def test_best_fit_fills_the_fullest_row_that_has_room():
    rows = packing.assign_rows([6, 7, 3, 4], [1] * 4, inputs_length=10, targets_length=10)
    assert [sorted(row) for row in rows] == [[1, 2], [0, 3]]


def test_an_example_longer_than_a_row_is_an_error():
    with pytest.raises(ValueError, match="does not fit"):
        packing.assign_rows([11], [1], inputs_length=10, targets_length=10)


def test_a_packed_row_by_hand():
    row = packing.make_row(
        [example([5, 6, 1], [7, 1], task=3, template=2), example([8, 1], [9, 9, 1], task=4)],
        inputs_length=7,
        targets_length=6,
    )
    expected = {
        "encoder_input_tokens": [5, 6, 1, 8, 1, 0, 0],
        "encoder_segment_ids": [1, 1, 1, 2, 2, 0, 0],
        "encoder_positions": [0, 1, 2, 0, 1, 0, 0],
        "decoder_target_tokens": [7, 1, 9, 9, 1, 0],
        "decoder_input_tokens": [0, 7, 0, 9, 9, 0],
        "decoder_loss_weights": [1, 1, 1, 1, 1, 0],
        "decoder_segment_ids": [1, 1, 2, 2, 2, 0],
        "decoder_positions": [0, 1, 0, 1, 2, 0],
        "decoder_task_ids": [3, 3, 4, 4, 4, -1],
        "decoder_template_ids": [2, 2, 0, 0, 0, -1],
    }
    assert {key: value.tolist() for key, value in row.items()} == expected
    assert tuple(row) == packing.BATCH_KEYS


def test_a_long_tail_packs_close_to_the_bound():
    rng = np.random.default_rng(0)
    inputs = np.clip(rng.lognormal(4.8, 0.9, 1024).astype(int), 5, 1024)
    targets = np.clip(rng.lognormal(2, 1, 1024).astype(int), 2, 256)
    rows = packing.assign_rows(
        inputs.tolist(), targets.tolist(), inputs_length=1024, targets_length=256
    )
    bound = max(inputs.sum() / 1024, targets.sum() / 256)
    assert len(rows) <= 1.02 * bound
