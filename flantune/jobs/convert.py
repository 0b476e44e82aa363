"""Converts a T5 between three layouts: a flantune run folder, a Hugging Face folder, a T5X model folder.

The adapters of a run become a folder of PEFT's too.

    convert(open_source("google/flan-t5-small"), "runs/flan_small", to="flantune")

Sizes, vocabulary and step come from the source wherever it says them. Arrays go through memory one at a time. The
result appears under its name when it is whole. `commands/convert.py` is the command line.
"""

from collections.abc import Mapping
import dataclasses
import functools
import math
import os
import time
import uuid

from absl import logging
from etils import epath
import jax
from jaxtyping import PyTree
import numpy as np

from flantune import run_folder
from flantune.configs import DataConfig, LoraConfig, ModelConfig
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.host import places
from flantune.interop import (
    huggingface,
    huggingface_tokenizer,
    huggingface_writer,
    merged_run,
    mismatch,
    model_dimensions,
    peft_writer,
    run_checkpoint,
    sources,
    t5x_checkpoint,
    t5x_native,
)
from flantune.interop.param_source import ArrayInfo, Index, ParamSource
from flantune.jobs import gin_files
from flantune.models import t5
from flantune.run_folder import start_record

FLANTUNE, HUGGING_FACE, T5X = KINDS = sources.KINDS
PEFT = "peft"
NO_VOCABULARY = "none"
_LOG_EVERY_S = 10.0
# Lengths of a model that is no run of ours, in tokens; Flan's (https://arxiv.org/abs/2210.11416). T5 itself has no longest input.
INPUTS_LENGTH, TARGETS_LENGTH = 1024, 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A model that was found.

    Attributes:
        kind: one of KINDS.
        params: to read from.
        model: what the parameters are of.
        step: training steps done; 0 where the source does not say.
        vocabulary: None where there is none, or none is wanted.
        wants_none: whether it was asked for that no vocabulary is written.
        lora: the adapters that a run trained; they are merged in `params`.
        base_path: the Hugging Face folder that they were trained beside, if it was one.
        family: of a Hugging Face model; None: `huggingface_writer` finds it.
    """

    kind: str
    params: ParamSource
    model: ModelConfig
    step: int
    vocabulary: vocabulary_lib.Vocabulary | None
    family: str | None = None
    wants_none: bool = False
    lora: LoraConfig | None = None
    base_path: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Converted:
    """What was done."""

    source: str
    kind: str
    destination: str
    to: str
    step: int
    dtype: str
    arrays: int
    parameters: int
    vocabulary: str
    seconds: float


def open_source(
    path: epath.PathLike,
    *,
    step: int | None = None,
    model: ModelConfig | None = None,
    vocabulary: str | None = None,
) -> Source:
    """Finds out what lies at `path` and opens it; only metadata is read.

    Args:
        path: a folder, local or in a bucket.
        step: of the checkpoint, the last one by default; of a Hugging Face model, what it counts as.
        model: what the parameters are of; None: as the source says or their shapes tell.
        vocabulary: a name as in DataConfig.vocabulary, or "none"; None: the source's own.

    Raises:
        ValueError: there is no model, or its parameters are not those of `model`.
    """
    folder = epath.Path(path).expanduser()
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder} to read a model from.")
    run = sources.run_of(folder)
    if run is not None:
        run_dir, step_of_folder = run
        found = _open_run(run_dir, step if step_of_folder is None else step_of_folder, model)
    elif huggingface.is_model(folder):
        found = _open_hugging_face(folder, step or 0, model, own_vocabulary=vocabulary is None)
    else:
        found = _open_t5x(folder, step, model)
    problems = mismatch.compare(found.params.arrays, abstract_params(found.model))
    if problems:
        raise mismatch.MismatchError(problems.table(found.params.description))
    if vocabulary is not None:
        none = vocabulary == NO_VOCABULARY
        named = None if none else vocabulary_lib.load(vocabulary)
        found = dataclasses.replace(found, vocabulary=named, wants_none=none)
    _check_vocabulary(found)
    return found


@functools.cache
def abstract_params(model: ModelConfig) -> PyTree:
    """Shapes of a model's parameters, as nested dicts."""
    return jax.eval_shape(t5.EncoderDecoder(model).init, jax.random.key(0))


def _open_run(run_dir: epath.Path, step: int | None, model: ModelConfig | None) -> Source:
    opened = sources.open_run(run_dir, step)
    config = run_dir / run_folder.CONFIG
    if model is None and not config.exists():
        raise ValueError(
            f"{run_dir} has no {run_folder.CONFIG}: say with a gin file which model it holds."
        )
    name = None
    if config.exists():
        gin_files.parse([os.fspath(config)], [])
        model = model or gin_files.build(ModelConfig)
        name = gin_files.optional_binding(DataConfig, "vocabulary")
    assert model is not None
    lora = model.lora
    merged = opened.params if isinstance(opened.params, merged_run.MergedRun) else None
    if lora is not None and merged is None:
        raise ValueError(
            f"{run_dir} trained adapters (ModelConfig.lora), but has no {start_record.FILE} that says beside which base."
        )
    model = dataclasses.replace(model, lora=None)  # merged
    vocabulary = None
    if (run_dir / run_folder.VOCABULARY).exists():
        vocabulary = vocabulary_lib.load(os.fspath(run_dir / run_folder.VOCABULARY))
    elif isinstance(name, str) and vocabulary_lib.size_to_train(name) is None:
        vocabulary = vocabulary_lib.load(name)
    return Source(
        kind=FLANTUNE,
        params=opened.params,
        model=model,
        step=opened.step,
        vocabulary=vocabulary,
        lora=lora,
        base_path=None if merged is None else merged.base_path,
    )


def _open_hugging_face(
    folder: epath.Path, step: int, model: ModelConfig | None, *, own_vocabulary: bool
) -> Source:
    params = huggingface.open_model(folder)
    return Source(
        kind=HUGGING_FACE,
        params=params,
        model=model or params.model,
        step=step,
        vocabulary=vocabulary_lib.load(os.fspath(folder)) if own_vocabulary else None,
        family=params.family,
    )


def _open_t5x(folder: epath.Path, step: int | None, model: ModelConfig | None) -> Source:
    params = t5x_checkpoint.open(folder if step is None else folder / f"checkpoint_{step}")
    if model is None:
        sizes = model_dimensions.infer_model_dimensions(params.arrays)
        model = ModelConfig(**sizes)  # type: ignore[arg-type]
    return Source(kind=T5X, params=params, model=model, step=params.step, vocabulary=None)


def no_vocabulary(source: Source, option: str) -> str:
    """What to say where a vocabulary is needed and the source has none; `option` is how to give it."""
    return (
        f"{source.params.description} does not say its vocabulary. Give {option}: the path of a SentencePiece model or of a "
        "Hugging Face folder, 'bytes' or 'bytes+125'."
    )


def _check_vocabulary(source: Source) -> None:
    size = 0 if source.vocabulary is None else source.vocabulary.size
    if size > source.model.vocab_size:
        raise ValueError(
            f"The vocabulary has {size} ids, but {source.params.description} only {source.model.vocab_size} "
            "rows of the embedding: it is another model's."
        )


def convert(
    source: Source, destination: epath.PathLike, *, to: str, dtype: str | None = None
) -> Converted:
    """Writes a model in another layout.

    Args:
        source: as `open_source` gives it.
        destination: a folder that does not exist or is empty.
        to: one of KINDS, or PEFT.
        dtype: of the parameters, "float32" or "bfloat16"; None: the source's own, if it is one of these.

    Raises:
        ValueError: the destination is in use, a vocabulary is missing, or the layout cannot hold this model.
    """
    started = time.monotonic()
    final = epath.Path(destination).expanduser()
    if to not in _WRITERS:
        raise ValueError(f"A model is converted to {', '.join(_WRITERS)}, not to {to!r}.")
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise ValueError(f"{final} exists and is not empty: name another folder.")
    needs_one = to == FLANTUNE or (to == HUGGING_FACE and not source.wants_none)
    if needs_one and source.vocabulary is None:
        raise ValueError(no_vocabulary(source, "--vocabulary"))
    dtype = dtype or _dtype_of(source.params.arrays)
    if dtype not in huggingface_writer.DTYPES:
        allowed = " or ".join(huggingface_writer.DTYPES)
        raise ValueError(
            f"Parameters are written as {allowed}, not {dtype!r}; T5's activations exceed float16's range."
        )
    params = _Progress(_adapters(source) if to == PEFT else source.params)
    source = dataclasses.replace(source, params=params)
    _write_whole(source, final, to, dtype)
    sizes = [math.prod(info.shape) for info in params.arrays.values()]
    return Converted(
        source=params.description,
        kind=source.kind,
        destination=os.fspath(final),
        to=to,
        step=source.step,
        dtype=dtype,
        arrays=len(sizes),
        parameters=sum(sizes),
        vocabulary="none" if source.vocabulary is None else f"{source.vocabulary.size} ids",
        seconds=round(time.monotonic() - started, 1),
    )


def _dtype_of(arrays: Mapping[str, ArrayInfo]) -> str:
    """The narrowest dtype that loses nothing of the source."""
    found = {str(info.dtype) for info in arrays.values()}
    return "bfloat16" if found == {"bfloat16"} else "float32"


def _write_whole(source: Source, final: epath.Path, to: str, dtype: str) -> None:
    """Writes under a temporary name and renames; in a bucket, where folders cannot be renamed, in place."""
    is_bucket = places.is_bucket(final)
    place = final if is_bucket else final.parent / f".{final.name}.{uuid.uuid4().hex}.tmp"
    place.mkdir(parents=True, exist_ok=is_bucket)
    try:
        _WRITERS[to](source, place, final, dtype)
        if not is_bucket:
            if final.exists():
                final.rmdir()
            place.rename(final)
    except BaseException:  # Ctrl-C too
        place.rmtree(missing_ok=True)
        raise


def _write_run(source: Source, place: epath.Path, final: epath.Path, dtype: str) -> None:
    vocabulary = source.vocabulary
    name = os.fspath(final / run_folder.VOCABULARY)
    if isinstance(vocabulary, vocabulary_lib.SentencePieceVocabulary):
        (place / run_folder.VOCABULARY).write_bytes(vocabulary.model)
    elif vocabulary is not None:
        name = vocabulary.fingerprint  # of bytes, it is the name too
    (place / run_folder.CONFIG).write_text(_config_text(source.model, name))
    run_checkpoint.write(
        place,
        source.params,
        abstract_params(source.model),
        step=source.step,
        dtype=huggingface_writer.DTYPES[dtype],
    )


def _config_text(model: ModelConfig, vocabulary: str) -> str:
    """The `config.gin` of a run that `flantune infer` and `eval` accept; it has no mixture, which `eval` must be given."""
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    values = {f"ModelConfig.{name}": value for name, value in fields.items() if value is not None}
    values |= {
        "DataConfig.mixture": "",
        "DataConfig.modules": (),
        "DataConfig.vocabulary": vocabulary,
        "DataConfig.inputs_length": INPUTS_LENGTH,
        "DataConfig.targets_length": TARGETS_LENGTH,
        "DataConfig.batch_size": 64,
    }
    lines = ["from __gin__ import dynamic_registration", "from flantune import configs", ""]
    lines += [f"configs.{name} = {value!r}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def _write_hugging_face(source: Source, place: epath.Path, final: epath.Path, dtype: str) -> None:
    del final
    huggingface_writer.write(place, source.params, source.model, dtype=dtype, family=source.family)
    if source.vocabulary is not None:
        huggingface_tokenizer.write(place, source.vocabulary)


def _write_t5x(source: Source, place: epath.Path, final: epath.Path, dtype: str) -> None:
    del final
    t5x_native.write(place, source.params, step=source.step, dtype=dtype)


def _adapters(source: Source) -> ParamSource:
    """What a run trained, without its base."""
    if source.lora is None or not isinstance(source.params, merged_run.MergedRun):
        raise ValueError(
            f"{source.params.description} has no adapters to write as PEFT's: only runs with ModelConfig.lora have."
        )
    return source.params.run


def _write_peft(source: Source, place: epath.Path, final: epath.Path, dtype: str) -> None:
    del final
    assert source.lora is not None  # as _adapters checked
    peft_writer.write(place, source.params, source.lora, dtype=dtype, base=source.base_path)


_WRITERS = {
    FLANTUNE: _write_run,
    HUGGING_FACE: _write_hugging_face,
    T5X: _write_t5x,
    PEFT: _write_peft,
}


class _Progress:
    """A source that logs how many of its arrays were read, every few seconds."""

    def __init__(self, source: ParamSource) -> None:
        self._source = source
        self._done = 0
        self._last = time.monotonic()
        self.description = source.description
        self.arrays = source.arrays

    def read(self, name: str, index: Index | None = None) -> np.ndarray:
        self._done += 1
        if time.monotonic() - self._last > _LOG_EVERY_S:
            self._last = time.monotonic()
            logging.info("Converting array %d of %d.", self._done, len(self.arrays))
        return self._source.read(name, index)
