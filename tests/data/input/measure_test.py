import dataclasses
import json

import pytest

from flantune import testing
from flantune.data import catalog as catalog_lib
from flantune.data.input import loading, measure, tokenize
from flantune.data.vocabularies import vocabulary
from flantune.prompting import Template

BYTES = vocabulary.ByteVocabulary()
# Inputs of 4 bytes and their end, targets of 1 byte and its end; the last row can neither be cut nor fit.
ROWS = [{"text": "abcd", "answer": "x"}] * 3 + [{"text": "y" * 40, "answer": "xyz"}]


def make_task(rows=ROWS, **changes):
    return testing.make_task(
        "m:short", {"train": rows}, templates=[Template(inputs="{text}")], **changes
    )


def measured(task, *, num_examples=8, inputs_length=16, setting=""):
    tokenizer = tokenize.Tokenizer(BYTES, inputs_length=inputs_length, targets_length=8, seed=0)
    member = testing.make_member(task, setting)
    return measure.measure(member, tokenizer, seed=0, num_examples=num_examples)


def test_means_are_over_what_fits_and_shares_over_all():
    found = measured(make_task())
    assert found == measure.Lengths(
        inputs_tokens=5.0,
        targets_tokens=2.0,
        inputs_error=0.0,
        targets_error=0.0,
        cut=0.0,
        dropped=0.25,
        examples=8,  # two epochs of the four rows
        loss_weight=1.0,
        weighted_targets=2.0,
        least_needed=41,  # 40 characters and the end
        needed=41,
    )
    assert found.tokens_per_visit == 0.75 * 7


def test_cut_examples_count_with_what_is_left_of_them():
    found = measured(make_task(may_cut=("text",)))
    assert (found.cut, found.dropped) == (0.25, 0.0)
    assert found.lost == {"part of 'text'": 0.25}
    assert (found.least_needed, found.needed) == (0, 0)
    assert 5.0 < found.inputs_tokens <= (3 * 5 + 16) / 4
    assert found.inputs_error > 0


@pytest.mark.parametrize(
    ("inputs_length", "least", "most"), [(8, 11, 105), (104, 105, 105), (105, 106, 0), (110, 0, 0)]
)
def test_what_dropped_examples_need_is_a_percentile_of_all(inputs_length, least, most):
    # With their end they need 11 to 110, and the 95th of these hundred 105.
    rows = [{"text": "z" * (row + 10), "answer": "x"} for row in range(100)]
    found = measured(make_task(rows), num_examples=100, inputs_length=inputs_length)
    assert (found.least_needed, found.needed) == (least, most)


def test_a_large_split_is_sampled_the_same_way_each_time():
    rows = [{"text": "z" * (row % 10 + 1), "answer": "x"} for row in range(500)]
    first, second = (measured(make_task(rows), num_examples=100) for _ in range(2))
    assert first == second
    assert first.examples == 100
    # The mean of all rows is 5.5 and the end; the error says how far a sample may be off.
    assert abs(first.inputs_tokens - 6.5) < 4 * first.inputs_error
    assert first.inputs_error == pytest.approx(2.87 / 10, rel=0.15)


def test_exemplars_count():
    rows = [{"text": f"{row:02}", "answer": "x"} for row in range(20)]
    zero = measured(make_task(rows), inputs_length=64)
    two = measured(make_task(rows), inputs_length=64, setting="2_shot")
    # Twice the exemplar's two characters, "\n\n", its answer and "\n\n\n".
    assert two.inputs_tokens == zero.inputs_tokens + 2 * (2 + 2 + 1 + 3)


def test_an_empty_split_has_no_lengths():
    assert measured(make_task([])).examples == 0


@pytest.fixture
def bind(tmp_path):
    """Binds a task's only member to a store that all calls share."""

    def bound(task):
        store = testing.prepare([task], tmp_path)
        with testing.task_module("measure_tasks", [task]):
            catalog = catalog_lib.load(["measure_tasks"], store, tmp_path)
        return store, loading.bind_mixture(catalog, store, task.name, split="train").members

    return bound


def measurer(store, **changes):
    arguments = {"inputs_length": 16, "targets_length": 8, "seed": 0, "num_examples": 8}
    return measure.Measurer(BYTES, store=store, **(arguments | changes))


def forged(store):
    """Replaces what the store remembers by something that no measurement gives."""
    (file,) = (store.root / "measures").iterdir()
    known = json.loads(file.read_text())
    for entry in known.values():
        entry["lengths"]["inputs_tokens"] = 99.0
    file.write_text(json.dumps(known))


def test_what_is_known_is_not_measured_again(bind):
    store, members = bind(make_task())
    assert measurer(store).measure(members)["m:short"].inputs_tokens == 5.0
    forged(store)
    assert measurer(store).measure(members)["m:short"].inputs_tokens == 99.0
    for changes in ({"seed": 1}, {"inputs_length": 17}, {"num_examples": 9}):
        assert measurer(store, **changes).measure(members)["m:short"].inputs_tokens < 99.0


@pytest.mark.parametrize(
    "changed",
    [
        make_task([*ROWS[:3], {"text": "new", "answer": "x"}]),
        make_task(may_cut=("text",)),
        dataclasses.replace(make_task(), templates=(Template(inputs="{text}!"),)),
    ],
)
def test_changed_rows_or_wordings_are_measured_again(bind, changed):
    store, members = bind(make_task())
    measurer(store).measure(members)
    forged(store)
    store, members = bind(changed)
    assert measurer(store).measure(members)["m:short"].inputs_tokens < 99.0


def test_a_broken_file_is_measured_again(bind):
    store, members = bind(make_task())
    measurer(store).measure(members)
    (file,) = (store.root / "measures").iterdir()
    for text in ("{", "[]", '{"m:short train": {"lengths": {"old": 1}}}'):
        file.write_text(text)
        assert measurer(store).mean_tokens(members[0]) == 0.75 * 7


def test_a_token_rate_of_a_task_that_never_fits_is_refused(bind):
    store, members = bind(make_task(ROWS[3:]))
    with pytest.raises(ValueError, match=r"'m:short' needs 41 for the first of its examples, 41"):
        measurer(store).mean_tokens(members[0])
