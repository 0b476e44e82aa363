"""Finds out which of three layouts a folder holds, and opens the parameters of the model in it.

    opened = open_params("google/flan-t5-small")
    params = load_params.load_params(opened.params, abstract)

A run that trained adapters or chosen parameters offers its whole model: `merged_run.py`.
"""

import dataclasses
import re

from etils import epath
import jax

from flantune import run_folder
from flantune.configs import ModelConfig, published_t5
from flantune.interop import huggingface, merged_run, run_checkpoint, t5x_checkpoint, tree_source
from flantune.interop.param_source import ParamSource
from flantune.models import t5
from flantune.run_folder import start_record
from flantune.training import state as state_lib

FLANTUNE, HUGGING_FACE, T5X = KINDS = ("flantune", "hf", "t5x")
_CHECKPOINTS = "checkpoints"
_STEP_FOLDER = re.compile(r"checkpoint_(\d+)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """A model that was found.

    Attributes:
        kind: one of KINDS.
        folder: where it is; of a run, the run's folder.
        params: to read from.
        step: training steps done; 0 where the source does not count.
    """

    kind: str
    folder: epath.Path
    params: ParamSource
    step: int


def open_params(path: epath.PathLike, step: int | None = None) -> Opened:
    """Opens a T5X checkpoint, a Hugging Face folder, a flantune run or one of its checkpoints; reads metadata only.

    Args:
        path: a folder, local or in a bucket.
        step: of a run or T5X model folder; None: the last.

    Raises:
        FileNotFoundError: there is no such folder or step.
        ValueError: the folder holds none of these.
    """
    folder = epath.Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(
            f"There is no folder {folder} to read parameters from. {published_t5.CHECKPOINTS}."
        )
    run = run_of(folder)
    if run is not None:
        run_dir, step_of_folder = run
        return open_run(run_dir, step if step_of_folder is None else step_of_folder)
    if huggingface.is_model(folder):
        return Opened(
            kind=HUGGING_FACE, folder=folder, params=huggingface.open_model(folder), step=0
        )
    checkpoint = _open_t5x(folder, step)
    return Opened(kind=T5X, folder=folder, params=checkpoint, step=checkpoint.step)


def _open_t5x(folder: epath.Path, step: int | None) -> t5x_checkpoint.T5xCheckpoint:
    of_step = folder / f"checkpoint_{step}"
    try:
        return t5x_checkpoint.open(of_step if step is not None and of_step.exists() else folder)
    except ValueError as error:
        raise ValueError(
            f"{error} It is neither a Hugging Face folder (config.json) nor a flantune run (checkpoints/)."
        ) from error


def run_of(folder: epath.Path) -> tuple[epath.Path, int | None] | None:
    """The flantune run that a folder is, or whose checkpoint it is, and of which step; None if it is neither."""
    for run_dir in (folder, folder.parent, folder.parent.parent):
        place = run_dir / _CHECKPOINTS
        if (folder in (run_dir, place) or folder.parent == place) and place.is_dir():
            match = _STEP_FOLDER.fullmatch(folder.name)
            return run_dir, int(match[1]) if match and folder.parent == place else None
    return None


def open_run(run_dir: epath.Path, step: int | None = None) -> Opened:
    """Opens a run's checkpoint; of one that trained only some parameters, with the others from what it started from."""
    run_folder.finish(run_dir)
    checkpoint = run_checkpoint.open_run(run_dir, step)
    record = start_record.read(run_dir)
    params: ParamSource = checkpoint
    if record is not None and record.is_partial:
        path = record.path if record.kind == HUGGING_FACE else None
        params = merged_run.MergedRun(checkpoint, base_of(record), record.model.lora, path)
    return Opened(kind=FLANTUNE, folder=run_dir, params=params, step=checkpoint.step)


def base_of(record: start_record.StartRecord) -> ParamSource:
    """All parameters that a run started with, without adapters: of its source, or drawn from its seed."""
    if record.path is not None:
        return open_params(record.path, record.step if record.kind == FLANTUNE else None).params
    return from_seed(record.model, record.seed)


def from_seed(model: ModelConfig, seed: int) -> ParamSource:
    """The parameters, in memory, that a run of this model and seed starts from; without adapters."""
    network = t5.EncoderDecoder(dataclasses.replace(model, lora=None))
    params = jax.device_get(state_lib.initial_params(network, seed))
    return tree_source.TreeSource(f"The model of seed {seed}", params)
