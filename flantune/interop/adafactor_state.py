"""The optimizer state of t5x's Adafactor and that of flantune's (Optax), each read as the other.

t5x keeps `param_states/<parameter>/{v_row,v_col,v,m}`, Optax `FactoredState(count, v_row, v_col, v)` with trees like the
parameters. Both factor a matrix whose two sides have at least 128 rows, by the same axes, and fill what is unused with
one zero, so names are all that differs: t5x's own rules for rows and columns hold only for scanned layers. `m` is
momentum, which neither uses by default.
"""

from collections.abc import Mapping
import dataclasses
import functools

import jax
from jaxtyping import PyTree
import numpy as np
import optax

from flantune.interop import load_params, mismatch, param_source, t5x_checkpoint
from flantune.interop.tree_source import TreeSource
from flantune.training import state as state_lib

_STATISTICS = ("v_row", "v_col", "v")
_MOMENTUM = "m"
_UNUSED = (1,)  # shape of a statistic that is not kept


@dataclasses.dataclass(frozen=True)
class _Renamed:
    """A `ParamSource` with other names: {new name: name in `source`}."""

    description: str
    source: param_source.ParamSource
    names: Mapping[str, str]

    @functools.cached_property
    def arrays(self) -> dict[str, param_source.ArrayInfo]:
        return {name: self.source.arrays[old] for name, old in self.names.items()}

    def read(self, name: str, index: param_source.Index | None = None) -> np.ndarray:
        return self.source.read(self.names[name], index)


def optax_statistics(states: param_source.ParamSource) -> param_source.ParamSource:
    """t5x's `encoder/layers_0/mlp/wo/kernel/v_row` by Optax's place, `v_row/encoder/layers_0/mlp/wo/kernel`.

    Raises:
        ValueError: they are no statistics of Adafactor, or hold momentum.
    """
    names = {}
    for name, info in states.arrays.items():
        param, _, statistic = name.rpartition("/")
        if statistic in _STATISTICS:
            names[f"{statistic}/{param}"] = name
        elif statistic != _MOMENTUM:
            raise ValueError(
                f"{states.description} is not that of Adafactor: it has {name!r}, where Adafactor has only "
                f"{', '.join((*_STATISTICS, _MOMENTUM))} of each parameter."
            )
        elif info.shape != _UNUSED:
            raise ValueError(
                f"{states.description} holds momentum ({name!r} {info.shape}), which flantune's Adafactor does not use. "
                "Take the parameters alone."
            )
    return _Renamed(states.description, states, names)


def load_train_state(
    checkpoint: t5x_checkpoint.T5xCheckpoint, abstract: state_lib.TrainState
) -> state_lib.TrainState:
    """Step, parameters and Adafactor statistics of a T5X checkpoint, placed as `abstract` says.

    The step, which counts pretraining too, is the state's and that of the schedule.

    Args:
        abstract: `training.state.abstract_state(...)` of a model with any arrangement of layers and Adafactor.

    Raises:
        ValueError: the checkpoint has no optimizer state, one of another optimizer or of scanned layers, or names or
            shapes differ; nothing large has been read then.
    """
    if checkpoint.optimizer_state is None:
        raise ValueError(f"{checkpoint.description} holds parameters only, no optimizer state.")
    if checkpoint.scanned:
        raise ValueError(
            f"{checkpoint.description} comes from a model with scanned layers, whose statistics are kept by other rules. "
            "Take the parameters alone."
        )
    statistics = optax_statistics(checkpoint.optimizer_state)
    wanted = statistics_tree(abstract.opt_state)
    for source, tree in ((checkpoint, abstract.params), (statistics, wanted)):
        problems = mismatch.compare(source.arrays, tree)
        if problems:
            raise mismatch.MismatchError(problems.table(source.description))
    step = np.asarray(checkpoint.step, np.int32)
    loaded = load_params.load_params(statistics, wanted)
    return state_lib.TrainState(
        step=_placed(step, abstract.step),
        params=load_params.load_params(checkpoint, abstract.params),
        opt_state=_filled(abstract.opt_state, step, loaded),
    )


def statistics_tree(opt_state: optax.OptState) -> dict[str, PyTree]:
    """The statistics of an Adafactor of `training.optimizers.make_optimizer`: {"v_row": tree like the parameters, ...}.

    Raises:
        ValueError: the optimizer is not Adafactor.
    """
    nodes = jax.tree.leaves(opt_state, is_leaf=_is_known)
    found = [node for node in nodes if isinstance(node, optax.FactoredState)]
    if len(found) != 1:
        raise ValueError(
            "The optimizer state holds no statistics of Adafactor: set OptimizerConfig.name to 'adafactor'."
        )
    return {name: getattr(found[0], name) for name in _STATISTICS}


@dataclasses.dataclass(frozen=True)
class _T5xStatistics(_Renamed):
    """Statistics by t5x's names, with the zero that stands for no momentum."""

    @functools.cached_property
    def arrays(self) -> dict[str, param_source.ArrayInfo]:
        unused = param_source.ArrayInfo(_UNUSED, np.dtype(np.float32))
        return {
            name: self.source.arrays[self.names[name]] if name in self.names else unused
            for name in sorted({*self.names, *map(_momentum_beside, self.names)})
        }

    def read(self, name: str, index: param_source.Index | None = None) -> np.ndarray:
        if name in self.names:
            return super().read(name, index)
        unused = np.zeros(_UNUSED, np.float32)
        return unused if index is None else unused[index]


def t5x_statistics(statistics: param_source.ParamSource) -> param_source.ParamSource:
    """The inverse of `optax_statistics`: what t5x keeps as `param_states`.

    `TreeSource("This run", statistics_tree(state.opt_state))` is such a source of arrays in memory.
    """
    names = {}
    for name in statistics.arrays:
        statistic, _, param = name.partition("/")
        names[f"{param}/{statistic}"] = name
    return _T5xStatistics(statistics.description, statistics, names)


def _momentum_beside(name: str) -> str:
    return f"{name.rpartition('/')[0]}/{_MOMENTUM}"


def _is_known(node: object) -> bool:
    return isinstance(node, optax.FactoredState | optax.ScaleByScheduleState)


def _filled(opt_state: PyTree, step: np.ndarray, statistics: Mapping[str, PyTree]) -> PyTree:
    """An abstract optimizer state with its counters at `step` and Adafactor's statistics."""

    def fill(node: PyTree) -> PyTree:
        if isinstance(node, optax.FactoredState):
            return optax.FactoredState(count=_placed(step, node.count), **statistics)
        if isinstance(node, optax.ScaleByScheduleState):
            return optax.ScaleByScheduleState(count=_placed(step, node.count))
        raise ValueError(f"The optimizer keeps {node}, of which T5X's Adafactor knows nothing.")

    return jax.tree.map(fill, opt_state, is_leaf=_is_known)


def _placed(step: np.ndarray, abstract: jax.ShapeDtypeStruct) -> jax.Array:
    tree = load_params.load_params(TreeSource("The step", {"step": step}), {"step": abstract})
    return tree["step"]
