"""Checkpoints of a run: parameters, optimizer state, step and data iterator state, one atomic unit per step.

Here: `Checkpoints`, over Orbax v1. `<run>/checkpoints/checkpoint_<step>/` holds `state` (float32 arrays named params,
opt_state, step) and `data` (one JSON file per process). Orbax writes to a temporary name and renames when every
process is done, so a half-written checkpoint is never seen. A checkpoint can be restored on another mesh and by
another number of processes. Read `trainer.py` next.
"""

from collections.abc import Awaitable, Mapping, Sequence
import dataclasses
import json
import logging as logging_lib
from typing import Any

from absl import logging
from etils import epath
import jax
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from flantune.configs import CheckpointConfig
from flantune.training import state as state_lib

_STATE, _DATA = "state", "data"
_STEP_NAMES = ocp.path.step.standard_name_format(step_prefix="checkpoint")

JsonDict = dict[str, Any]  # Any: whatever JSON holds


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
    """The data iterator's state as Orbax saves and loads it: one JSON file per process."""

    def __init__(self, state: Mapping[str, Any] | None = None):
        # Encoded now: the iterator goes on while the file is written.
        self._text = json.dumps(state)
        self.texts: list[str] = []
        self.num_expected = 0

    async def save(self, directory: ocp.path.PathAwaitingCreation) -> Awaitable[None]:
        name = f"process_{jax.process_index()}-of-{jax.process_count()}.json"

        async def write() -> None:
            (await directory.await_creation() / name).write_text(self._text)

        return write()

    async def load(self, directory: ocp.path.Path) -> Awaitable[None]:
        async def read() -> None:
            files = sorted(directory.glob("process_*-of-*.json"))
            self.texts = [file.read_text() for file in files]
            self.num_expected = int(files[0].stem.rpartition("-of-")[2]) if files else 1

        return read()

    def merged(self, path: epath.Path) -> JsonDict:
        """What was loaded, of all processes. Not part of `load`: Orbax hides the words of its errors."""
        if len(self.texts) != self.num_expected:
            raise ValueError(
                f"The checkpoint {path} should hold the data iterator states of {self.num_expected} "
                f"processes, but has {len(self.texts)}."
            )
        return merge_process_states([json.loads(text) for text in self.texts])


def _as_tree(state: state_lib.TrainState) -> dict[str, PyTree]:
    return {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}


class _HideOrbaxDetails(logging_lib.Filter):
    """Drops Orbax's own INFO lines, about 60 per save, which bury those of the run."""

    def filter(self, record: logging_lib.LogRecord) -> bool:
        return record.levelno > logging_lib.INFO or "/orbax/" not in record.pathname


_HIDE_ORBAX_DETAILS = _HideOrbaxDetails()


def _saved_shapes(path: epath.Path) -> dict[str, PyTree]:
    """The saved state's tree with shapes instead of arrays, from its metadata alone."""
    return ocp.metadata(path, checkpointable_name=_STATE).metadata


class Checkpoints:
    """The checkpoints of one run folder. With several processes, each calls every method.

    Making one reads and writes nothing. Without a config it can only be read from, also while another program trains.
    """

    def __init__(self, run_dir: epath.PathLike, config: CheckpointConfig | None = None):
        # Orbax wants an absolute path.
        self.directory = epath.Path(run_dir).absolute() / "checkpoints"
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
        self, step: int, state: state_lib.TrainState, data_state: Mapping[str, object]
    ) -> None:
        """Starts saving in the background; the state may be donated as soon as this returns.

        Waits for the save before, if it still runs, and raises its error, if it failed.
        """
        self._open_writer().save_checkpointables_async(
            step, {_STATE: _as_tree(state), _DATA: _DataFiles(data_state)}, force=True
        )

    def wait(self) -> None:
        """Blocks until the last save is complete; raises its error, if it failed."""
        if self._writer is not None:
            self._writer.wait()

    def close(self) -> None:
        """Waits and frees the background threads."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def restore(
        self, abstract: state_lib.TrainState, step: int | None = None
    ) -> tuple[state_lib.TrainState, JsonDict]:
        """State and data iterator state of a step (the last by default), placed as `abstract` says.

        Raises:
            ValueError: names or shapes differ from those of `abstract`; one message lists all.
            FileNotFoundError: there is no such checkpoint.
        """
        path = self._existing(step)
        tree = _as_tree(abstract)
        state_lib.check_same_tree(tree, _saved_shapes(path), what=f"The checkpoint {path}")
        data = _DataFiles()
        restored = ocp.load_checkpointables(path, {_STATE: tree, _DATA: data})
        return state_lib.TrainState(**restored[_STATE]), data.merged(path)

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
        with context:
            restored = ocp.load_checkpointables(path, {_STATE: {"params": abstract_params}})
        return restored[_STATE]["params"]

    def _existing(self, step: int | None) -> epath.Path:
        steps = self.steps()
        if not steps or (step is not None and step not in steps):
            wanted = "checkpoint" if step is None else f"checkpoint of step {step}"
            there = f"steps {', '.join(map(str, steps))}" if steps else "none"
            raise FileNotFoundError(f"{self.directory} has no {wanted}; it has {there}.")
        return self.path(steps[-1] if step is None else step)

    def _open_writer(self) -> ocp.training.Checkpointer:
        if self._config is None:
            raise ValueError(
                f"{self.directory} was opened without a CheckpointConfig, for reading only."
            )
        if self._writer is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            policies = ocp.training.preservation_policies
            self._writer = ocp.training.Checkpointer(
                self.directory,
                preservation_policy=policies.LatestN(self._config.keep_last),
                step_name_format=_STEP_NAMES,
                cleanup_tmp_directories=True,
            )
        return self._writer
