"""The checkpoints of a flantune run, read and written array by array, without the optimizer and without a device.

A run's checkpoint is Orbax's (`training/checkpoints.py`): arrays of zarr version 3 in one OCDBT database. Here they are
opened with TensorStore as a `ParamSource`, layers separate also where the run stacks them, and written into a
checkpoint whose tree Orbax makes: so memory holds one array at a time, where Orbax itself would want all.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import functools
import json
import math

from etils import epath
import jax
from jaxtyping import PyTree
import numpy as np
from orbax.checkpoint import v1 as ocp
import tensorstore

from flantune.interop import mismatch, param_source, t5x_leaves
from flantune.training import checkpoints, sharding

_PARAMS, _STATE, _DATA, _STEP = "params", "state", "data", "step"
_CHUNK_BYTES = 64 * 2**20  # of an array, written and read together
_COMPRESSION_LEVEL = 1  # weights shrink little, and higher levels take longer than the disk


@dataclasses.dataclass(frozen=True)
class _Layer:
    """One layer of a stack [layers, ...]: a `Leaf`."""

    stack: t5x_leaves.Leaf
    layer: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stack.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        return self.stack.dtype

    def read(self, index: param_source.Index | None = None) -> np.ndarray:
        part = (slice(self.layer, self.layer + 1), *(index or ()))
        rest = (slice(0, size) for size in self.stack.shape[len(part) :])
        return self.stack.read((*part, *rest))[0]


@dataclasses.dataclass(frozen=True)
class RunCheckpoint:
    """The parameters of a run's checkpoint; a `ParamSource`."""

    folder: epath.Path
    step: int
    _leaves: Mapping[str, t5x_leaves.Leaf]

    @property
    def description(self) -> str:
        return f"The checkpoint {self.folder}"

    @functools.cached_property
    def arrays(self) -> dict[str, param_source.ArrayInfo]:
        return {
            name: param_source.ArrayInfo(leaf.shape, np.dtype(leaf.dtype))
            for name, leaf in self._leaves.items()
        }

    def read(self, name: str, index: param_source.Index | None = None) -> np.ndarray:
        return self._leaves[name].read(index)


def open_run(run_dir: epath.PathLike, step: int | None = None) -> RunCheckpoint:
    """Opens the checkpoint of a step (the last by default) of a run folder.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ValueError: it holds no parameters, or its files are damaged.
    """
    saved = checkpoints.Checkpoints(run_dir)
    steps = saved.steps()
    found = max(steps, default=None) if step is None else step
    if found is None or found not in steps:
        wanted = "checkpoint" if step is None else f"checkpoint of step {step}"
        there = f"steps {', '.join(map(str, steps))}" if steps else "none"
        raise FileNotFoundError(f"{saved.directory} has no {wanted}; it has {there}.")
    folder = saved.path(found)
    stored = {
        name.removeprefix(f"{_PARAMS}/"): leaf
        for name, leaf in _open_arrays(folder / _STATE, folder).items()
    }
    leaves: dict[str, t5x_leaves.Leaf] = {}
    for name, leaf in stored.items():
        if mismatch.is_stack(name):
            layers = mismatch.separate_names(name, leaf.shape[0])
            leaves |= {layer: _Layer(leaf, number) for number, layer in enumerate(layers)}
        else:
            leaves[name] = leaf
    return RunCheckpoint(folder, found, leaves)


def _open_arrays(state: epath.Path, folder: epath.Path) -> dict[str, t5x_leaves.Leaf]:
    """The parameters of an Orbax tree by path, "params/..."; all are opened at once."""
    try:
        entries = json.loads((state / "_METADATA").read_text())["tree_metadata"].values()
        paths = [tuple(str(key["key"]) for key in entry["key_metadata"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"The checkpoint {folder} is damaged: its tree cannot be read.") from error
    paths = [path for path in paths if path[0] == _PARAMS]
    if not paths:
        raise ValueError(f"The checkpoint {folder} holds no parameters.")
    opening = {path: tensorstore.open(_spec(state, path), open=True, read=True) for path in paths}
    leaves: dict[str, t5x_leaves.Leaf] = {}
    for path, future in opening.items():
        try:
            leaves["/".join(path)] = t5x_leaves.StoredLeaf(future.result())
        except ValueError as error:
            reason = str(error).split("\n")[0]
            raise ValueError(
                f"The checkpoint {folder} cannot open {'/'.join(path)!r}: {reason}"
            ) from error
    return leaves


def _spec(state: epath.Path, path: tuple[str, ...]) -> dict[str, object]:
    database = {"driver": "ocdbt", "base": t5x_leaves.kvstore(state)}
    return {"driver": "zarr3", "kvstore": {**database, "path": f"{'.'.join(path)}/"}}


def write(
    run_dir: epath.PathLike,
    source: param_source.ParamSource,
    abstract: PyTree,
    *,
    step: int,
    dtype: np.dtype,
) -> None:
    """Writes `run_dir/checkpoints/checkpoint_<step>`; whoever calls renames `run_dir` when all is written.

    It has parameters and step, so it can be evaluated, decoded from and trained from, but not resumed.

    Args:
        run_dir: a new folder.
        source: every parameter.
        abstract: the model's parameters as nested dicts of shapes, layers separate or stacked.
        step: of the checkpoint.
        dtype: of the written parameters.
    """
    folder = checkpoints.Checkpoints(run_dir).path(step)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Orbax writes its own description of the tree around arrays of one number each; the real ones replace them.
    tiny = jax.tree.map(lambda leaf: np.zeros((1,) * len(leaf.shape), dtype), abstract)
    tree = {_PARAMS: tiny, _STEP: np.asarray(step, np.int32)}
    items = {_STATE: tree, _DATA: checkpoints.no_data_state()}
    ocp.save_checkpointables(folder, items)
    for path, leaf in jax.tree_util.tree_leaves_with_path(abstract):
        name = sharding.path_name(path)
        stored = _create(folder / _STATE, (_PARAMS, *name.split("/")), leaf.shape, dtype)
        for place, ours, index in _parts(name, leaf.shape):
            stored[place].write(source.read(ours, index).astype(dtype, copy=False)).result()


def _parts(
    name: str, shape: tuple[int, ...]
) -> Iterator[tuple[tuple[int | slice, ...], str, param_source.Index | None]]:
    """What is written at a time: where in the array, from which parameter of the source, and which part of it."""
    if mismatch.is_stack(name):
        for number, layer in enumerate(mismatch.separate_names(name, shape[0])):
            yield (number,), layer, None
    else:
        yield (slice(None),) if shape else (), name, None


def _create(
    state: epath.Path, path: tuple[str, ...], shape: tuple[int, ...], dtype: np.dtype
) -> tensorstore.TensorStore:
    chunk = _chunk(shape, dtype, is_stack=mismatch.is_stack("/".join(path)))
    metadata = {
        "shape": list(shape),
        "data_type": str(dtype),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "zstd", "configuration": {"level": _COMPRESSION_LEVEL}},
        ],
    }
    spec = {**_spec(state, path), "metadata": metadata}
    return tensorstore.open(spec, create=True, delete_existing=True).result()


def _chunk(shape: tuple[int, ...], dtype: np.dtype, *, is_stack: bool) -> list[int]:
    """Shape of what is stored together: rows of one layer, up to a number of bytes."""
    if not shape:
        return []
    before = [1] if is_stack else []
    rows, *rest = shape[len(before) :]
    row_bytes = math.prod(rest) * dtype.itemsize
    return [*before, min(rows, max(1, _CHUNK_BYTES // row_bytes)), *rest]
