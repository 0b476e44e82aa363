"""Writes parameters as a Hugging Face model: safetensors in shards, `config.json`, `generation_config.json`.

One array is in memory at a time. The folder appears under its name when it is whole. transformers then loads it:
T5ForConditionalGeneration, MT5ForConditionalGeneration or UMT5ForConditionalGeneration, as `config.json` says. Tokenizer
files are written by `huggingface_tokenizer.py`, the names are in `huggingface_names.py`.
"""

from collections.abc import Mapping
import json
import math

from etils import epath
import ml_dtypes
import numpy as np

from flantune.configs import ModelConfig
from flantune.interop import (
    huggingface,
    huggingface_config,
    huggingface_names as names,
    safetensors_file,
)
from flantune.interop.param_source import ArrayInfo, ParamSource

DTYPES: Mapping[str, np.dtype] = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
SHARD_BYTES = 5_000_000_000  # transformers' own limit was 5 GB up to version 4


def write(
    folder: epath.PathLike,
    source: ParamSource,
    model: ModelConfig,
    *,
    dtype: str,
    family: str | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes weights and configs into a folder that exists; the caller renames it when all else is written too.

    Args:
        folder: where to; its files are overwritten.
        source: every parameter of `model` and no other.
        model: what the parameters are of.
        dtype: "float32" or "bfloat16". Never float16: T5's activations exceed its range (65,504).
        family: "t5", "mt5" or "umt5"; None: as `huggingface_config.from_model` finds it.
        shard_bytes: of the arrays of a file at most, unless one array is larger.

    Raises:
        ValueError: another dtype, or transformers has no such T5.
    """
    if dtype not in DTYPES:
        raise ValueError(f"A model is written as {' or '.join(DTYPES)}, not {dtype!r}.")
    path = epath.Path(folder)
    config = huggingface_config.from_model(model, dtype=dtype, family=family)
    _write_json(path / huggingface_config.FILE, config)
    _write_json(path / "generation_config.json", huggingface_config.generation_config())
    shards = _split({_theirs(name): name for name in source.arrays}, source, dtype, shard_bytes)
    files = [
        huggingface.WEIGHTS
        if len(shards) == 1
        else f"model-{number:05}-of-{len(shards):05}.safetensors"
        for number in range(1, len(shards) + 1)
    ]
    total = 0
    places: dict[str, str] = {}
    for file, shard in zip(files, shards, strict=True):
        infos = {theirs: info for theirs, (_, info) in shard.items()}

        def read(theirs: str, shard: Mapping[str, tuple[str, ArrayInfo]] = shard) -> np.ndarray:
            ours, info = shard[theirs]
            array = source.read(ours)
            array = array.T if names.is_transposed(ours) else array
            return array.astype(info.dtype, copy=False)

        total += safetensors_file.write_file(path / file, infos, read)
        places |= dict.fromkeys(infos, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
        _write_json(path / huggingface.INDEX, index)


def _theirs(name: str) -> str:
    theirs = names.to_theirs(name)
    if theirs is None:
        raise ValueError(f"Hugging Face's T5 has no parameter for {name!r}.")
    return theirs


def _split(
    ours: Mapping[str, str], source: ParamSource, dtype: str, shard_bytes: int
) -> list[dict[str, tuple[str, ArrayInfo]]]:
    """The arrays of each file: their name -> our name, and what is written."""
    shards: list[dict[str, tuple[str, ArrayInfo]]] = [{}]
    filled = 0
    for theirs in sorted(ours):
        name = ours[theirs]
        shape = source.arrays[name].shape
        info = ArrayInfo(shape[::-1] if names.is_transposed(name) else shape, DTYPES[dtype])
        size = math.prod(shape) * info.dtype.itemsize
        if shards[-1] and filled + size > shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][theirs] = (name, info)
        filled += size
    return shards


def _write_json(file: epath.Path, value: Mapping[str, object]) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n")
