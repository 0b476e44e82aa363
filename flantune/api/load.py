"""`flantune.load`: a model from a run folder, a Hugging Face folder or a T5X checkpoint, ready to answer."""

import dataclasses
import os

from etils import epath

from flantune import configs, run_folder
from flantune.api import run_files
from flantune.configs import MeshConfig, ModelConfig
from flantune.inference.loaded_model import LoadedModel
from flantune.interop import sources
from flantune.jobs import convert, gin_files
from flantune.runs import assembly

_ALL_DEVICES = MeshConfig()


def load(
    path: str | os.PathLike[str],
    *,
    step: int | None = None,
    dtype: str | None = None,
    vocabulary: str | None = None,
    inputs_length: int | None = None,
    max_decode_length: int | None = None,
    model: ModelConfig | None = None,
    mesh: MeshConfig = _ALL_DEVICES,
) -> LoadedModel:
    """The model that lies at `path`, its parameters on the devices of this process.

        model = flantune.load("runs/mine")
        model.predict(["Sort: 3 1 2"])

    What a run trained beside frozen parameters is put together with them, as `flantune infer` does. Parameters are float32.

    Args:
        path: a run folder or one of its checkpoints, a Hugging Face folder or a T5X checkpoint, local or in a bucket.
        step: of the checkpoint; None: the last.
        dtype: of the activations, "float32" or "bfloat16"; None: as the run says, else "float32".
        vocabulary: as `DataConfig.vocabulary` names one. A run has its own, and a Hugging Face folder may; a T5X checkpoint
            has none.
        inputs_length: longest prompt in tokens; None: the run's, else 1,024.
        max_decode_length: longest prediction in tokens; None: the run's targets_length, else 256.
        model: what the parameters are of; None: as the source says, or their shapes tell.
        mesh: how rows and parameters are split over the devices; by default each has all parameters and a share of the rows.

    Raises:
        FileNotFoundError: there is no such folder, or no such checkpoint in it.
        ValueError: the folder holds no model, its parameters are not those of `model`, or a vocabulary is missing.
    """
    for name, value in (("inputs_length", inputs_length), ("max_decode_length", max_decode_length)):
        if value is not None:
            configs.check_whole(name, value)
    folder = epath.Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} to load a model from.")
    run = sources.run_of(folder)
    if run is None:
        loaded = _foreign(folder, step, dtype, vocabulary, model, mesh)
    else:
        if vocabulary is not None:
            raise ValueError(
                f"{folder} is a run of flantune, whose ids are those of its own vocabulary: leave out vocabulary={vocabulary!r}."
            )
        run_dir, step_of_folder = run
        loaded = _run(
            run_dir, step if step_of_folder is None else step_of_folder, dtype, model, mesh
        )
    return dataclasses.replace(
        loaded,
        inputs_length=inputs_length or loaded.inputs_length,
        max_decode_length=max_decode_length or loaded.max_decode_length,
    )


def _run(
    run_dir: epath.Path,
    step: int | None,
    dtype: str | None,
    model: ModelConfig | None,
    mesh: MeshConfig,
) -> LoadedModel:
    config = run_dir / run_folder.CONFIG
    if not config.exists():
        raise ValueError(f"{run_dir} has no {run_folder.CONFIG}, which says what model it holds.")
    with run_files.parsed(os.fspath(config), {}):
        model = model or gin_files.build(ModelConfig)
        model = dataclasses.replace(model, dtype=dtype or model.dtype)
        restore = gin_files.bind(
            assembly.restore, checkpoint=os.fspath(run_dir), step=step, model=model, mesh=mesh
        )
    return assembly.ready_to_answer(restore())


def _foreign(
    folder: epath.Path,
    step: int | None,
    dtype: str | None,
    vocabulary: str | None,
    model: ModelConfig | None,
    mesh: MeshConfig,
) -> LoadedModel:
    source = convert.open_source(folder, step=step, model=model, vocabulary=vocabulary)
    if source.vocabulary is None:
        raise ValueError(convert.no_vocabulary(source, "vocabulary="))
    return assembly.read_model(
        source.params,
        dataclasses.replace(source.model, dtype=dtype or "float32"),
        source.vocabulary,
        mesh,
        step=source.step,
        inputs_length=convert.INPUTS_LENGTH,
        max_decode_length=convert.TARGETS_LENGTH,
    )
