"""Saving and restoring: bit-exact, atomic, with errors that name what differs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flantune.configs import CheckpointConfig
from flantune.training import checkpoints, state as state_lib

from . import linear_model


@functools.cache
def _state(**model):
    """A state, not to be donated or changed, and its abstract twin."""
    parts = linear_model.parts(**model)
    arguments = [parts[name] for name in ("model", "optimizer", "mesh", "rules")]
    return state_lib.init_state(*arguments, 3), state_lib.abstract_state(*arguments)


def _at_step(state, step):
    return state_lib.TrainState(
        step=jnp.full([], step, jnp.int32), params=state.params, opt_state=state.opt_state
    )


def _assert_same(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.fixture
def store(tmp_path):
    with_config = checkpoints.Checkpoints(tmp_path, CheckpointConfig(save_every_steps=1))
    yield with_config
    with_config.close()


@pytest.mark.parametrize("optimizer", ["adafactor", "adamw"])
def test_state_and_data_state_come_back_bit_exact(store, optimizer):
    state, abstract = _state(optimizer=optimizer)
    store.save(3, state, {"lanes": {"0": [1, 2]}, "note": "x"})
    store.wait()
    restored, data_state = store.restore(abstract)
    _assert_same(restored, state)
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert data_state == {"lanes": {"0": [1, 2]}, "note": "x"}


def test_state_that_is_donated_right_after_the_save_is_saved_as_it_was(store):
    expected, abstract = _state()
    state = jax.tree.map(jnp.copy, expected)
    store.save(1, state, {})
    jax.block_until_ready(
        jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf * 0 - 1, tree), donate_argnums=0)(state)
    )
    store.wait()
    _assert_same(store.restore(abstract)[0], expected)


def test_only_the_last_checkpoints_are_kept_and_any_of_them_can_be_restored(store):
    state, abstract = _state()
    for step in (1, 2, 9, 10):
        store.save(step, _at_step(state, step), {"index": step})
    store.wait()
    assert store.steps() == (9, 10)
    assert store.latest_step() == 10
    restored, data_state = store.restore(abstract, step=9)
    assert int(restored.step) == data_state["index"] == 9


def test_half_written_checkpoint_is_not_seen_and_is_cleared_by_the_next_save(store):
    state, _ = _state()
    store.save(1, state, {})
    store.wait()
    store.close()
    half = store.directory / "checkpoint_2.orbax-checkpoint-tmp"
    (half / "state").mkdir(parents=True)
    reader = checkpoints.Checkpoints(store.directory.parent)
    assert reader.latest_step() == 1
    assert half.exists()  # a reader leaves alone what a trainer may be writing
    store.save(3, state, {})
    store.wait()
    assert store.steps() == (1, 3)
    assert not half.exists()


def test_parameters_alone_can_be_restored_without_config_optimizer_or_data(store):
    state, abstract = _state()
    store.save(4, state, {"index": 4})
    store.wait()
    reader = checkpoints.Checkpoints(store.directory.parent)
    _assert_same(reader.restore_params(abstract.params), state.params)
    with pytest.raises(ValueError, match="for reading only"):
        reader.save(5, state, {})


def test_other_tree_is_refused_with_all_differences_in_one_message(store):
    state, _ = _state()
    store.save(1, state, {})
    store.wait()
    parts = linear_model.parts(emb_dim=4)
    wanted = state_lib.abstract_state(*(parts[n] for n in ("model", "optimizer", "mesh", "rules")))
    wanted.params["decoder"]["extra"] = wanted.params["token_embedder"].pop("embedding")
    with pytest.raises(ValueError, match="does not fit") as error:
        store.restore(wanted)
    message = str(error.value)
    assert "lacks params/decoder/extra" in message
    assert "has unexpected params/token_embedder/embedding" in message
    assert "params/decoder/logits_dense/kernel ((8, 16) instead of (4, 16))" in message
    with pytest.raises(ValueError, match="lacks decoder/extra"):
        store.restore_params(wanted.params)


def test_missing_checkpoint_names_those_that_exist(store):
    state, abstract = _state()
    with pytest.raises(FileNotFoundError, match="has no checkpoint; it has none"):
        store.restore(abstract)
    store.save(2, state, {})
    store.wait()
    with pytest.raises(FileNotFoundError, match="no checkpoint of step 5; it has steps 2"):
        store.restore(abstract, step=5)


def test_iterator_states_of_processes_are_merged_by_lane():
    merged = checkpoints.merge_process_states(
        [{"epoch": 1, "lanes": {"0": [3, 5]}}, {"epoch": 1, "lanes": {"1": [2, 7]}}]
    )
    assert merged == {"epoch": 1, "lanes": {"0": [3, 5], "1": [2, 7]}}


def test_iterator_states_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="different data iterator states for 'epoch': 1 and 2"):
        checkpoints.merge_process_states([{"epoch": 1}, {"epoch": 2}])


def test_data_state_of_two_processes_is_read_by_one(store):
    state, abstract = _state()
    store.save(1, state, {"lanes": {"0": 4}})
    store.wait()
    data = store.path(1) / "data"
    (data / "process_0-of-1.json").rename(data / "process_0-of-2.json")
    with pytest.raises(ValueError, match="of 2 processes, but has 1"):
        store.restore(abstract)
    (data / "process_1-of-2.json").write_text('{"lanes": {"1": 5}}')
    assert store.restore(abstract)[1] == {"lanes": {"0": 4, "1": 5}}
