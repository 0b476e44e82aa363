"""Opens a T5X checkpoint of any generation as a `ParamSource`, with its step and its optimizer's state.

    checkpoint = t5x_checkpoint.open("flan_t5_small/checkpoint_1198000")
    checkpoint.read("encoder/layers_0/attention/query/kernel")

Opening reads metadata only. The kinds of checkpoints are `t5x_native.py` and `t5x_orbax.py`; `load_params.py` makes
jax arrays of a source.
"""

from collections.abc import Mapping
import dataclasses
import functools
import re

from etils import epath
import numpy as np

from flantune.interop import param_source, t5x_layout, t5x_leaves, t5x_native, t5x_orbax

_STEP_FOLDER = re.compile(r"checkpoint_(\d+)")
_TENSORFLOW_INDEX = ".index"
_PARAMS, _STATE = "target/", "state/param_states/"
_STEP = "state/step"


@dataclasses.dataclass(frozen=True)
class LeafSource:
    """A `ParamSource` over arrays that are not read yet."""

    description: str
    leaves: Mapping[str, t5x_leaves.Leaf]

    @functools.cached_property
    def arrays(self) -> dict[str, param_source.ArrayInfo]:
        return {
            name: param_source.ArrayInfo(leaf.shape, leaf.dtype)
            for name, leaf in self.leaves.items()
        }

    def read(self, name: str, index: param_source.Index | None = None) -> np.ndarray:
        if name not in self.leaves:
            raise KeyError(f"{self.description} has no array {name!r}.")
        return self.leaves[name].read(index)


@dataclasses.dataclass(frozen=True)
class T5xCheckpoint(LeafSource):
    """The parameters of a T5X checkpoint, a `ParamSource`.

    Attributes:
        leaves: the parameters by name, layers separate and kernels [inputs, outputs].
        step: training steps done, those of pretraining included.
        scanned: whether the model that was saved scans its layers.
        optimizer_state: t5x's `param_states`, a `ParamSource` too, named by parameter and statistic:
            `encoder/layers_0/mlp/wo/kernel/v_row`. None: only the parameters were saved. Of a scanned model the arrays
            are as they were saved.
    """

    step: int
    scanned: bool
    optimizer_state: LeafSource | None


def open(path: epath.PathLike) -> T5xCheckpoint:
    """Opens a checkpoint folder, local or `gs://`: `checkpoint_<step>` itself, or its parent for the last step.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no T5X checkpoint, or one with something missing.
    """
    given = epath.Path(path).expanduser()
    folder = _with_checkpoint(given.parent if given.name == t5x_native.FILE else given)
    what = f"The T5X checkpoint {folder}"
    leaves = _find_leaves(folder, what)
    params = _below(leaves, _PARAMS)
    if not params:
        top = sorted({name.split("/")[0] for name in leaves})
        raise ValueError(
            f"{folder} is no T5X checkpoint: its tree has {', '.join(top)}, not 'target' and 'state'."
        )
    scanned = t5x_layout.is_scanned(params)
    states = _below(leaves, _STATE)
    return T5xCheckpoint(
        description=what,
        leaves=t5x_layout.separate(params, what=what),
        step=_step(leaves, what),
        scanned=scanned,
        optimizer_state=(
            LeafSource(f"The optimizer state of the T5X checkpoint {folder}", states)
            if states
            else None
        ),
    )


def _below(leaves: Mapping[str, t5x_leaves.Leaf], prefix: str) -> dict[str, t5x_leaves.Leaf]:
    return {
        name.removeprefix(prefix): leaf
        for name, leaf in sorted(leaves.items())
        if name.startswith(prefix)
    }


def _step(leaves: Mapping[str, t5x_leaves.Leaf], what: str) -> int:
    if _STEP not in leaves:
        raise ValueError(f"{what} has no {_STEP!r}.")
    return int(leaves[_STEP].read())


def _with_checkpoint(folder: epath.Path) -> epath.Path:
    """`folder` itself if it is a checkpoint, or the one of the last step in it."""
    if (folder.parent / f"{folder.name}{_TENSORFLOW_INDEX}").exists():
        raise _tensorflow_error(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} to read a T5X checkpoint from.")
    if _is_checkpoint(folder):
        return folder
    names = sorted(child.name for child in folder.iterdir())
    steps = [int(match[1]) for match in map(_STEP_FOLDER.fullmatch, names) if match]
    for step in sorted(steps, reverse=True):
        if _is_checkpoint(folder / f"checkpoint_{step}"):
            return folder / f"checkpoint_{step}"
    if any(name.endswith(_TENSORFLOW_INDEX) for name in names):
        raise _tensorflow_error(folder)
    listed = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "nothing"
    raise ValueError(
        f"{folder} is no T5X checkpoint and has none in it: it should hold a file 'checkpoint', a folder 'state' that "
        f"Orbax wrote, or folders 'checkpoint_<step>' with either, but it holds {listed}."
    )


def _is_checkpoint(folder: epath.Path) -> bool:
    file = folder / t5x_native.FILE
    if file.is_file():
        return not _is_of_tensorflow(file)
    return t5x_orbax.is_item(folder / t5x_orbax.ITEM) or t5x_orbax.is_item(folder)


def _is_of_tensorflow(file: epath.Path) -> bool:
    """TensorFlow's file of this name is a text that names the last checkpoint of its folder."""
    start = b"model_checkpoint_path"
    with file.open("rb") as opened:
        return opened.read(len(start)) == start


def _tensorflow_error(folder: epath.Path) -> ValueError:
    return ValueError(
        f"{folder} is a TensorFlow checkpoint (Mesh TensorFlow's T5), not one of T5X. Convert it first with t5x's "
        "scripts/convert_tf_checkpoint.py, or take the checkpoint that t5x publishes of the same model."
    )


def _find_leaves(folder: epath.Path, what: str) -> dict[str, t5x_leaves.Leaf]:
    """The leaves of whichever generation it is, told by content."""
    if not (folder / t5x_native.FILE).is_file():
        item = folder / t5x_orbax.ITEM
        return t5x_orbax.find_leaves(item if t5x_orbax.is_item(item) else folder, what=what)
    content = t5x_native.load_msgpack(folder / t5x_native.FILE, what=what)
    if isinstance(content.get("optimizer"), Mapping):
        return t5x_native.find_leaves(folder, content, what=what)
    if t5x_orbax.holds_placeholders(content):
        return t5x_orbax.find_placeholders(folder, content, what=what)
    raise ValueError(
        f"{folder} is no T5X checkpoint: its file 'checkpoint' holds {', '.join(sorted(map(str, content)))} instead of "
        "'version' and 'optimizer'."
    )
