from hypothesis import given, strategies as st
import numpy as np
import pytest

from flantune.data.input import packing

ROW = {"inputs_length": 20, "targets_length": 8}
LENGTHS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), max_size=60)


def example(inputs, targets, *, task=0, template=0):
    return packing.Example(
        np.array(inputs, np.int32), np.array(targets, np.int32), task, template, 0, 0
    )


def examples_of(lengths):
    """Examples whose tokens tell them apart: the n-th has tokens 100 n + 1, 100 n + 2, ..."""
    return [
        example(
            100 * number + np.arange(1, inputs + 1),
            100 * number + np.arange(51, 51 + targets),
            task=number % 5,
            template=number % 3,
        )
        for number, (inputs, targets) in enumerate(lengths)
    ]


def packed(lengths):
    assignment = packing.assign_rows([a for a, _ in lengths], [b for _, b in lengths], **ROW)
    examples = examples_of(lengths)
    rows = [[examples[number] for number in row] for row in assignment]
    return rows, packing.make_rows(rows, **ROW)


@given(LENGTHS)
def test_rows_hold_every_example_once_and_never_overflow(lengths):
    inputs, targets = [pair[0] for pair in lengths], [pair[1] for pair in lengths]
    rows = packing.assign_rows(inputs, targets, **ROW)
    assert sorted(item for row in rows for item in row) == list(range(len(lengths)))
    for row in rows:
        assert row
        assert sum(inputs[item] for item in row) <= 20
        assert sum(targets[item] for item in row) <= 8


@given(LENGTHS)
def test_no_two_rows_would_fit_into_one(lengths):
    rows = packing.assign_rows([a for a, _ in lengths], [b for _, b in lengths], **ROW)
    used = [np.sum([lengths[item] for item in row], axis=0) for row in rows]
    for number, one in enumerate(used):
        for other in used[:number]:
            assert np.any(one + other > (20, 8))


@given(LENGTHS, st.randoms(use_true_random=False))
def test_the_order_of_the_examples_decides_only_which_of_equals_goes_where(lengths, random):
    def rows_of(pairs):
        rows = packing.assign_rows([a for a, _ in pairs], [b for _, b in pairs], **ROW)
        return [[pairs[item] for item in row] for row in rows]

    assert rows_of(random.sample(lengths, len(lengths))) == rows_of(lengths)


def test_equals_keep_their_order():
    rows = packing.assign_rows([2] * 4, [1] * 4, inputs_length=4, targets_length=4)
    assert rows == [[0, 1], [2, 3]]


def test_best_fit_fills_the_fullest_row_that_has_room():
    rows = packing.assign_rows([6, 7, 3, 4], [1] * 4, inputs_length=10, targets_length=10)
    assert [sorted(row) for row in rows] == [[1, 2], [0, 3]]


def test_the_side_that_is_filled_more_decides_which_row_is_fullest():
    lengths = [(1, 9), (8, 7), (1, 1)]
    rows = packing.assign_rows(
        [a for a, _ in lengths], [b for _, b in lengths], inputs_length=10, targets_length=10
    )
    assert rows == [[0, 2], [1]]  # 17 target tokens against 10 input tokens: row 0 is fuller


def test_the_other_side_decides_between_equally_full_rows():
    rows = packing.assign_rows([8, 8, 2], [1, 3, 1], inputs_length=10, targets_length=10)
    assert rows == [[1, 2], [0]]


@pytest.mark.parametrize(("inputs", "targets"), [([3, 11], [1, 1]), ([3, 1], [1, 11])])
def test_an_example_longer_than_a_row_is_an_error(inputs, targets):
    with pytest.raises(ValueError, match=rf"Example 1, of {inputs[1]} \+ {targets[1]} tokens"):
        packing.assign_rows(inputs, targets, inputs_length=10, targets_length=10)


def test_a_packed_row_by_hand():
    batch = packing.make_rows(
        [[example([5, 6, 1], [7, 1], task=3, template=2), example([8, 1], [9, 9, 1], task=4)]],
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
    assert {key: value.tolist() for key, value in batch.items()} == {
        key: [row] for key, row in expected.items()
    }
    assert tuple(batch) == packing.BATCH_KEYS


@given(LENGTHS)
def test_every_example_is_found_again_in_its_segment(lengths):
    rows, batch = packed(lengths)
    for number, row in enumerate(rows):
        arrays = {key: array[number] for key, array in batch.items()}
        assert arrays["encoder_segment_ids"].max(initial=0) <= len(row)
        for segment, one in enumerate(row, start=1):
            own = arrays["encoder_segment_ids"] == segment
            assert arrays["encoder_input_tokens"][own].tolist() == one.inputs.tolist()
            assert arrays["encoder_positions"][own].tolist() == list(range(len(one.inputs)))
            own = arrays["decoder_segment_ids"] == segment
            assert arrays["decoder_target_tokens"][own].tolist() == one.targets.tolist()
            expected = [0, *one.targets[:-1].tolist()][: len(one.targets)]
            assert arrays["decoder_input_tokens"][own].tolist() == expected
            assert arrays["decoder_positions"][own].tolist() == list(range(len(one.targets)))
            assert set(arrays["decoder_task_ids"][own].tolist()) <= {one.task}
            assert set(arrays["decoder_template_ids"][own].tolist()) <= {one.template}


@given(LENGTHS)
def test_padding_is_zero_and_no_task(lengths):
    rows, batch = packed(lengths)
    assert {array.shape for array in batch.values()} == {(len(rows), 20), (len(rows), 8)}
    for key, array in batch.items():
        assert array.dtype == (np.float32 if key == "decoder_loss_weights" else np.int32)
        side = key.split("_")[0]
        padding = batch[f"{side}_segment_ids"] == 0
        empty = -1 if key in ("decoder_task_ids", "decoder_template_ids") else 0
        assert np.all(array[padding] == empty)
    assert np.array_equal(batch["decoder_loss_weights"], batch["decoder_segment_ids"] > 0)
    tokens = sum(len(one.targets) for row in rows for one in row)
    assert batch["decoder_loss_weights"].sum() == tokens


@given(LENGTHS)
def test_a_row_is_the_same_alone_and_among_others(lengths):
    rows, batch = packed(lengths)
    for number, row in enumerate(rows):
        alone = packing.make_rows([row], **ROW)
        for key, array in batch.items():
            assert np.array_equal(array[number], alone[key][0])


def test_an_overfull_row_is_an_error():
    with pytest.raises(ValueError, match="A row of 3 tokens holds 4"):
        packing.make_rows(
            [[example([1, 1], [1]), example([1, 1], [1])]], inputs_length=3, targets_length=3
        )


def test_no_rows_make_empty_arrays():
    batch = packing.make_rows([], **ROW)
    assert {key: array.shape for key, array in batch.items()} == {
        key: (0, 20 if key.startswith("encoder") else 8) for key in packing.BATCH_KEYS
    }


def test_a_block_like_natural_instructions_needs_one_percent_more_than_the_bound():
    rng = np.random.default_rng(0)  # medians and tails of its prompts: 199 and 3 tokens
    inputs = np.clip(rng.lognormal(5.3, 0.7, 1024).astype(int), 5, 1024)
    targets = np.clip(rng.lognormal(1.2, 1.1, 1024).astype(int), 2, 256)
    rows = packing.assign_rows(
        inputs.tolist(), targets.tolist(), inputs_length=1024, targets_length=256
    )
    bound = max(-(-inputs.sum() // 1024), -(-targets.sum() // 256))
    assert len(rows) <= 1.01 * bound
