"""Saving and restoring: bit-exact, atomic, with errors that name what differs."""

import functools
import logging as logging_lib
import pathlib
import re
import sys

from absl import logging
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
    with pytest.raises(checkpoints.DamagedCheckpointError, match="of 2 processes, but has 1"):
        store.restore(abstract, 1)
    (data / "process_1-of-2.json").write_text('{"lanes": {"1": 5}}')
    assert store.restore(abstract)[1] == {"lanes": {"0": 4, "1": 5}}


LARGER = {
    "vocab_size": 64,
    "emb_dim": 32,
}  # small arrays lie in the index, not in files of their own


def _files(folder, pattern):
    found = pathlib.Path(folder).rglob(pattern)
    return [path for path in found if path.is_file() and path.stat().st_size]


def _change_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [_change_a_bit, _cut_off, lambda path: path.unlink()])
@pytest.mark.parametrize("files", ["state/ocdbt.process_0/d/*", "state/d/*", "data/*.json"])
def test_a_damaged_checkpoint_is_named_and_skipped_for_the_one_before(store, caplog, damage, files):
    state, abstract = _state(**LARGER)
    for step in (3, 6):
        store.save(step, _at_step(state, step), {"index": step})
    store.wait()
    found = _files(store.path(6), files)
    assert found
    for path in found:
        damage(path)
    with pytest.raises(checkpoints.DamagedCheckpointError, match="checkpoint_6 is damaged: "):
        store.restore(abstract, 6)
    reader = checkpoints.Checkpoints(store.directory.parent)
    restored, place = reader.restore(abstract)
    assert int(restored.step) == place["index"] == 3
    assert "checkpoint_6 is damaged" in caplog.text
    assert store.steps() == (3, 6)  # a reader leaves alone what it finds
    assert int(store.restore(abstract)[0].step) == 3
    assert store.steps() == (3,)
    assert (store.directory / "damaged_checkpoint_6").is_dir()
    store.close()
    store.save(6, _at_step(state, 6), {"index": 6})
    store.wait()
    assert int(store.restore(abstract)[0].step) == 6


def test_when_every_checkpoint_is_damaged_none_is_touched(store):
    state, abstract = _state(**LARGER)
    for step in (1, 2):
        store.save(step, _at_step(state, step), {})
    store.wait()
    for path in _files(store.directory, "state/ocdbt.process_0/d/*"):
        _cut_off(path)
    with pytest.raises(checkpoints.DamagedCheckpointError, match="checkpoint_2, checkpoint_1"):
        store.restore(abstract)
    assert store.steps() == (1, 2)


def test_a_changed_parameter_is_seen_by_those_who_want_only_parameters(store):
    state, abstract = _state(**LARGER)
    store.save(1, state, {})
    store.wait()
    for path in _files(store.path(1), "state/ocdbt.process_0/d/*"):
        _change_a_bit(path)
    with pytest.raises(checkpoints.DamagedCheckpointError, match="not what was saved, in params/"):
        store.restore_params(abstract.params)


@pytest.mark.parametrize(
    ("config", "scores", "kept"),
    [
        ({"keep_last": 1}, {}, (6,)),
        ({"keep_last": 1, "keep_every_steps": 2}, {}, (2, 4, 6)),
        ({"keep_last": 1, "keep_best": 1}, {1: 0.1, 2: 0.9, 4: 0.5}, (2, 6)),
        (
            {"keep_last": 1, "keep_best": 2, "best_is_highest": False},
            {1: 0.1, 2: 0.9, 4: 0.5},
            (1, 4, 6),
        ),
    ],
)
def test_what_is_kept(tmp_path, config, scores, kept):
    best_metric = "eval/seen/accuracy" if "keep_best" in config else None
    store = checkpoints.Checkpoints(
        tmp_path, CheckpointConfig(save_every_steps=1, best_metric=best_metric, **config)
    )
    state, _ = _state()
    for step in range(1, 7):
        metrics = {"eval/seen/accuracy": scores[step]} if step in scores else None
        store.save(step, _at_step(state, step), {}, metrics)
    store.close()
    assert store.steps() == kept


def test_a_metric_that_no_evaluation_gives_is_named(tmp_path):
    config = CheckpointConfig(save_every_steps=1, keep_best=1, best_metric="eval/sen/accuracy")
    store = checkpoints.Checkpoints(tmp_path, config)
    with pytest.raises(KeyError, match="Did you mean 'eval/seen/accuracy'"):
        store.save(1, _state()[0], {}, {"eval/seen/accuracy": 0.5, "eval/other/bleu": 1.0})
    with pytest.raises(ValueError, match="go together"):
        CheckpointConfig(save_every_steps=1, keep_best=1)


_FULL_DISK = """
import pathlib, resource, signal, time
from flantune.training import trainer
from training import linear_model

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write beyond the limit fails, as on a full disk

def fill(step, state, metrics):
    while not (pathlib.Path({run_dir!r}) / "checkpoints" / "checkpoint_7").exists():
        time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_FSIZE, ({largest_file}, resource.RLIM_INFINITY))

callbacks = [trainer.Callback(every_steps=14, on_step=fill)]
linear_model.train({run_dir!r}, callbacks=callbacks, log_every_steps=50)
"""


@pytest.mark.parametrize(
    ("largest_file", "failed", "last"),
    [
        (1000, "Saving", "steps: 7"),
        pytest.param(200, "Writing .*wall_time.json", "File too large", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_stops_the_run_and_keeps_the_last_checkpoint(
    tmp_path, run_python, largest_file, failed, last
):
    done = run_python(_FULL_DISK.format(run_dir=str(tmp_path), largest_file=largest_file))
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert re.match(f"OSError: {failed}", said)
    assert f"{last}. Make room or repair the disk" in said
    _, abstract = _state()
    assert int(checkpoints.Checkpoints(tmp_path).restore(abstract)[0].step) == 7
    assert int(linear_model.train(tmp_path).step) == 20


def test_orbax_s_errors_are_logged_without_tracebacks_and_ours_with(tmp_path, caplog):
    checkpoints.Checkpoints(tmp_path)
    logger = logging.get_absl_logger()
    try:
        raise OSError("No space left on device")
    except OSError:
        failure = sys.exc_info()
    for path in ("/site-packages/orbax/checkpoint/future.py", "/flantune/training/trainer.py"):
        logger.handle(
            logger.makeRecord("absl", logging_lib.ERROR, path, 1, "It failed.", (), failure)
        )
    assert caplog.text.count("It failed.") == 2
    assert caplog.text.count("Traceback") == 1
