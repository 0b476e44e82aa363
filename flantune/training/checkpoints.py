"""Checkpoints of a run: parameters, optimizer state, step and data iterator state, one atomic unit per step.

Here: `Checkpoints`, over Orbax v1. `<run>/checkpoints/checkpoint_<step>/` holds `state` (float32 arrays named params,
opt_state, step) and `data` (one JSON file per process). Orbax writes to a temporary name and renames when every
process is done, so a half-written checkpoint is never seen. A checkpoint can be restored on another mesh and by
another number of processes. One whose files have changed since (`checksums.py`) is named and skipped for the one
before. Read `trainer.py` next.
"""

from collections.abc import Awaitable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import difflib
import json
import logging as logging_lib
from typing import Any
import zlib

from absl import logging
from etils import epath
import jax
from jax.experimental import multihost_utils
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from flantune.configs import CheckpointConfig
from flantune.host import buckets
from flantune.training import checksums, state as state_lib

_STATE, _DATA = "state", "data"
_BEST = "best_metric"
_CHECKSUMS = "checksums"  # beside what the caller saves with the data iterator
_DAMAGED_PREFIX = "damaged_"
# What Orbax and TensorStore raise over files that are missing or make no sense. Not the errors of devices and memory:
# another checkpoint would not help.
_UNREADABLE = (ValueError, KeyError, OSError)
_STEP_NAMES = ocp.path.step.standard_name_format(step_prefix="checkpoint")

JsonDict = dict[str, Any]  # Any: whatever JSON holds


class DamagedCheckpointError(ValueError):
    """A checkpoint's files are missing, cut off or changed."""


def merge_process_states(states: Sequence[Mapping[str, Any]]) -> JsonDict:
    """Union of the iterator states that processes saved, merging nested dicts key by key.

    Each process knows its own lanes: [{"lanes": {"0": [3, 5]}}, {"lanes": {"1": [2, 7]}}] gives
    {"lanes": {"0": [3, 5], "1": [2, 7]}}.

    Raises:
        ValueError: two processes saved different values for one key.
    """
    merged: JsonDict = {}
    for state in states:
        for key, value in state.items():
            known = merged.get(key, value)
            if isinstance(known, Mapping) and isinstance(value, Mapping):
                merged[key] = merge_process_states([known, value])
            elif known == value:
                merged[key] = value
            else:
                raise ValueError(
                    f"Processes saved different data iterator states for '{key}': {known!r} and {value!r}."
                )
    return merged


class _DataFiles:
    """The data iterator's state as Orbax saves and loads it: one JSON file per process, and its checksum beside it."""

    def __init__(self, state: Mapping[str, Any] | None = None):
        # Encoded now: the iterator goes on while the file is written.
        self._text = json.dumps(state)
        self._texts: dict[str, str] = {}
        self._sums: dict[str, str] = {}

    async def save(self, directory: ocp.path.PathAwaitingCreation) -> Awaitable[None]:
        name = f"process_{jax.process_index()}-of-{jax.process_count()}"

        async def write() -> None:
            folder = await directory.await_creation()
            (folder / f"{name}.json").write_text(self._text)
            (folder / f"{name}.crc32").write_text(_crc32(self._text))

        return write()

    async def load(self, directory: ocp.path.Path) -> Awaitable[None]:
        async def read() -> None:
            for file in sorted(directory.glob("process_*-of-*.*")):
                (self._texts if file.suffix == ".json" else self._sums)[file.stem] = (
                    file.read_text()
                )

        return read()

    def merged(self, path: epath.Path) -> JsonDict:
        """What was loaded, of all processes. Not part of `load`: Orbax hides the words of its errors.

        Raises:
            DamagedCheckpointError: a file is missing or has changed.
        """
        names = self._texts.keys() | self._sums.keys()
        expected = max((int(name.rpartition("-of-")[2]) for name in names), default=1)
        if len(self._texts) != expected:
            raise DamagedCheckpointError(
                f"{path} is damaged: it should hold the data iterator states of {expected} processes, but has "
                f"{len(self._texts)}."
            )
        for name, text in self._texts.items():
            if self._sums.get(name, _crc32(text)) != _crc32(text):
                raise DamagedCheckpointError(
                    f"{path} is damaged: data/{name}.json is not what was saved."
                )
        return merge_process_states([json.loads(text) for text in self._texts.values()])


def no_data_state() -> _DataFiles:
    """The item "data" of a checkpoint that no run saved, such as a converted one."""
    return _DataFiles({})


def _crc32(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _as_tree(state: state_lib.TrainState) -> dict[str, PyTree]:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


class _HideOrbaxDetails(logging_lib.Filter):
    """Drops what of Orbax's own lines buries those of the run: about 60 of INFO per save, and tracebacks.

    A save that fails is logged by each of Orbax's threads, a thousand lines in all, before its error is raised.
    """

    def filter(self, record: logging_lib.LogRecord) -> bool:
        if "/orbax/" not in record.pathname:
            return True
        record.exc_info = None
        return record.levelno > logging_lib.INFO


_HIDE_ORBAX_DETAILS = _HideOrbaxDetails()


def _saved_shapes(path: epath.Path) -> dict[str, PyTree]:
    """The saved state's tree with shapes instead of arrays, from its metadata alone."""
    with _reading(path):
        shapes = ocp.metadata(path, checkpointable_name=_STATE).metadata
    if not jax.tree.leaves(shapes):
        raise DamagedCheckpointError(f"{path} is damaged: its description cannot be read.")
    return shapes


@contextlib.contextmanager
def _reading(path: epath.Path) -> Iterator[None]:
    """Turns an error over unreadable files into one that names the checkpoint."""
    try:
        yield
    except DamagedCheckpointError:
        raise
    except _UNREADABLE as error:
        raise DamagedCheckpointError(f"{path} is damaged: {_reason(error)}.") from error


def _reason(error: BaseException) -> str:
    """The first cause of an error, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


def _check_unchanged(tree: PyTree, expected: Mapping[str, int], path: epath.Path) -> None:
    changed = checksums.differences(tree, expected)
    if changed:
        listed = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" * (len(changed) > 5))
        raise DamagedCheckpointError(
            f"{path} is damaged: what it holds is not what was saved, in {listed}."
        )


def _metric(metrics: Mapping[str, float], name: str) -> float:
    if name not in metrics:
        closest = difflib.get_close_matches(name, metrics, n=1, cutoff=0.0)
        raise KeyError(
            f"CheckpointConfig.best_metric is {name!r}, which the evaluation does not give. Did you mean {closest[0]!r}?"
        )
    return float(metrics[name])


def _preservation(
    config: CheckpointConfig,
) -> ocp.training.preservation_policies.PreservationPolicy:
    """Which checkpoints stay."""
    policies = ocp.training.preservation_policies
    wanted = [policies.LatestN(config.keep_last)]
    if config.keep_every_steps:
        wanted.append(policies.EveryNSteps(config.keep_every_steps))
    if config.keep_best:
        wanted.append(
            policies.BestN(
                get_metric_fn=lambda metrics: metrics[_BEST],
                reverse=not config.best_is_highest,
                n=config.keep_best,
                keep_checkpoints_without_metrics=False,
            )
        )
    return policies.AnyPreservationPolicy(wanted)


def _set_aside(paths: Sequence[epath.Path]) -> None:
    """Renames damaged checkpoints, by process 0, and waits for it."""
    if not paths:
        return
    if jax.process_index() == 0:
        for path in paths:
            target = path.parent / f"{_DAMAGED_PREFIX}{path.name}"
            if target.exists():
                target.rmtree()  # an older copy of the same step
            path.rename(target)
            logging.error("%s is set aside as %s.", path, target.name)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("damaged checkpoints are set aside")


class Checkpoints:
    """The checkpoints of one run folder. With several processes, each calls every method.

    Making one reads and writes nothing. Without a config it can only be read from, also while another program trains.
    """

    def __init__(self, run_dir: epath.PathLike, config: CheckpointConfig | None = None):
        # Orbax wants an absolute path.
        self.directory = buckets.absolute(run_dir) / "checkpoints"
        self._config = config
        logging.get_absl_logger().addFilter(_HIDE_ORBAX_DETAILS)
        self._writer: ocp.training.Checkpointer | None = None

    def path(self, step: int) -> epath.Path:
        """Folder of the checkpoint of a step."""
        return self.directory / _STEP_NAMES.build_name(step)

    def steps(self) -> tuple[int, ...]:
        """Steps that have a complete checkpoint, ascending."""
        if not self.directory.exists():
            return ()
        return tuple(sorted(found.step for found in _STEP_NAMES.find_all(self.directory)))

    def latest_step(self) -> int | None:
        """The last step that has a complete checkpoint; None without any."""
        return max(self.steps(), default=None)

    def step_to_resume(self, num_steps: int) -> int | None:
        """The last step that has a complete checkpoint; None without any.

        Raises:
            ValueError: it is beyond `num_steps`.
        """
        step = self.latest_step()
        if step is not None and step > num_steps:
            raise ValueError(
                f"{self.directory} is at step {step}, beyond num_steps = {num_steps}. "
                "Ask for more steps or use another run folder."
            )
        return step

    def save(
        self,
        step: int,
        state: state_lib.TrainState,
        data_state: Mapping[str, object],
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """Starts saving in the background; the state may be donated as soon as this returns.

        Waits for the save before, if it still runs, and raises its error, if it failed. `metrics` are those of this
        step, if it was evaluated: what `CheckpointConfig.best_metric` chooses by.

        Raises:
            KeyError: the metrics lack `best_metric`.
            OSError: the save before failed.
        """
        tree, best = _as_tree(state), None
        if self._config is not None and self._config.best_metric is not None and metrics:
            best = {_BEST: _metric(metrics, self._config.best_metric)}
        place = {**data_state, _CHECKSUMS: checksums.of(tree)}
        writer = self._open_writer()
        with self._explained():
            writer.save_checkpointables_async(
                step, {_STATE: tree, _DATA: _DataFiles(place)}, force=True, metrics=best
            )

    def wait(self) -> None:
        """Blocks until the last save is complete.

        Raises:
            OSError: it failed.
        """
        if self._writer is not None:
            with self._explained():
                self._writer.wait()

    def close(self) -> None:
        """Waits and frees the background threads."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with self._explained():
                writer.close()

    def restore(
        self, abstract: state_lib.TrainState, step: int | None = None
    ) -> tuple[state_lib.TrainState, JsonDict]:
        """State and data iterator state, placed as `abstract` says: of a step, or of the last that is whole.

        Damaged checkpoints are logged. When this can save too, those after the one that is used are set aside as
        `damaged_checkpoint_<step>`, so that the run can save these steps again.

        Raises:
            ValueError: names or shapes differ from those of `abstract`; one message lists all.
            DamagedCheckpointError: the one asked for, or every one, is damaged.
            FileNotFoundError: there is no such checkpoint.
        """
        if step is not None:
            return self._restore(self._existing(step), abstract)
        damaged: list[epath.Path] = []
        for path in reversed([self.path(found) for found in self.steps()]):
            try:
                restored = self._restore(path, abstract)
            except DamagedCheckpointError as error:
                logging.error("%s", error)
                damaged.append(path)
                continue
            if self._config is not None:
                _set_aside(damaged)
            return restored
        if damaged:
            raise DamagedCheckpointError(
                f"Every checkpoint in {self.directory} is damaged: {', '.join(path.name for path in damaged)}. The log says "
                "how. Restore one from a copy, or begin in another run folder."
            )
        return self._restore(self._existing(None), abstract)

    def _restore(
        self, path: epath.Path, abstract: state_lib.TrainState
    ) -> tuple[state_lib.TrainState, JsonDict]:
        tree = _as_tree(abstract)
        state_lib.check_same_tree(tree, _saved_shapes(path), what=f"The checkpoint {path}")
        data = _DataFiles()
        with _reading(path):
            restored = ocp.load_checkpointables(path, {_STATE: tree, _DATA: data})
            place = data.merged(path)
        _check_unchanged(restored[_STATE], place.pop(_CHECKSUMS, {}), path)
        return state_lib.TrainState(**restored[_STATE]), place

    def restore_params(self, abstract_params: PyTree, step: int | None = None) -> state_lib.Params:
        """Parameters alone of a step (the last by default), placed and cast as `abstract_params` says.

        Raises:
            ValueError: names or shapes differ from those of `abstract_params`.
            FileNotFoundError: there is no such checkpoint.
        """
        path = self._existing(step)
        saved = _saved_shapes(path)["params"]
        state_lib.check_same_tree(abstract_params, saved, what=f"The checkpoint {path}")
        context = ocp.Context()
        context.pytree.loading.partial_load = True
        data = _DataFiles()
        with _reading(path), context:
            restored = ocp.load_checkpointables(
                path, {_STATE: {"params": abstract_params}, _DATA: data}
            )
            found = data.merged(path).get(_CHECKSUMS, {})
        if all(leaf.dtype == "float32" for leaf in jax.tree.leaves(abstract_params)):
            _check_unchanged(restored[_STATE], found, path)
        return restored[_STATE]["params"]

    def data_state(self, step: int | None = None) -> JsonDict:
        """What was saved beside the state of a step (the last by default), the data iterator's state among it.

        Raises:
            FileNotFoundError: there is no such checkpoint.
        """
        path, data = self._existing(step), _DataFiles()
        with _reading(path):
            ocp.load_checkpointables(path, {_DATA: data})
            return data.merged(path)

    def _existing(self, step: int | None) -> epath.Path:
        steps = self.steps()
        if not steps or (step is not None and step not in steps):
            wanted = "checkpoint" if step is None else f"checkpoint of step {step}"
            there = f"steps {', '.join(map(str, steps))}" if steps else "none"
            raise FileNotFoundError(f"{self.directory} has no {wanted}; it has {there}.")
        return self.path(steps[-1] if step is None else step)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns an error of writing into one sentence that says what is still there."""
        try:
            yield
        except _UNREADABLE as error:
            kept = ", ".join(map(str, self.steps())) or "none"
            raise OSError(
                f"Saving a checkpoint in {self.directory} failed: {_reason(error)}. The complete checkpoints there are of "
                f"steps: {kept}. Make room or repair the disk; the same command then continues from the last one."
            ) from error

    def _open_writer(self) -> ocp.training.Checkpointer:
        if self._config is None:
            raise ValueError(
                f"{self.directory} was opened without a CheckpointConfig, for reading only."
            )
        if self._writer is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._writer = ocp.training.Checkpointer(
                self.directory,
                preservation_policy=_preservation(self._config),
                step_name_format=_STEP_NAMES,
                cleanup_tmp_directories=True,
            )
        return self._writer
