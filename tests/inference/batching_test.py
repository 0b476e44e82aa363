"""Lengths of batches, and the order in which the device is given work."""

from flantune.inference import batching


def test_buckets_are_powers_of_two_and_the_whole_length():
    assert batching.bucket_lengths(100) == [32, 64, 100]
    assert batching.bucket_lengths(128) == [32, 64, 128]
    assert batching.bucket_lengths(20) == [20]


def test_a_length_goes_to_the_first_bucket_that_holds_it():
    assert [batching.bucket(length, [32, 64, 100]) for length in (1, 32, 33, 65, 100)] == [
        32,
        32,
        64,
        100,
        100,
    ]


def test_each_item_is_given_out_when_the_next_one_was_started():
    events = []

    def start():
        for number in range(3):
            events.append(f"start {number}")
            yield number

    for number in batching.one_ahead(start()):
        events.append(f"read {number}")
    assert events == ["start 0", "start 1", "read 0", "start 2", "read 1", "read 2"]
    assert list(batching.one_ahead([])) == []
