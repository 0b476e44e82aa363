"""Models in Hugging Face's layout: a folder with `config.json` and safetensors, as a `ParamSource`.

T5 1.0, 1.1 and Flan-T5, mT5, ByT5 and umT5, in one file or in shards. Nothing of the weights is read before `read`.
Written by `huggingface_writer.py`; the vocabulary is read by `flantune.data.vocabularies.vocabulary`.
"""

from collections.abc import Mapping
import dataclasses
import json

from absl import logging
from etils import epath
import numpy as np

from flantune.configs import ModelConfig
from flantune.interop import huggingface_config, huggingface_names as names, safetensors_file
from flantune.interop.param_source import ArrayInfo, Index

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_TORCH_WEIGHTS = "pytorch_model.bin"
_COMPARED_ROWS = 4096  # at a time


@dataclasses.dataclass(frozen=True)
class _Stored:
    """Where a parameter lies, and what it is there."""

    file: safetensors_file.SafetensorsFile
    name: str
    is_transposed: bool

    @property
    def info(self) -> ArrayInfo:
        info = self.file.arrays[self.name]
        return dataclasses.replace(info, shape=info.shape[::-1]) if self.is_transposed else info

    def read(self, index: Index | None) -> np.ndarray:
        if not self.is_transposed:
            return self.file.read(self.name, index)
        if index is not None:
            index = (*index, *(slice(None),) * (len(self.info.shape) - len(index)))[::-1]
        return self.file.read(self.name, index).T


@dataclasses.dataclass(frozen=True)
class HuggingFaceModel:
    """A model on disk; a `ParamSource`.

    Attributes:
        folder: it lies in.
        model: its sizes, as `config.json` has them.
        family: "t5", "mt5" or "umt5".
    """

    folder: epath.Path
    model: ModelConfig
    family: str
    _stored: Mapping[str, _Stored]

    @property
    def description(self) -> str:
        return f"The Hugging Face model {self.folder}"

    @property
    def arrays(self) -> dict[str, ArrayInfo]:
        """Every parameter by name; one that T5 does not have keeps the name it has there."""
        return {name: stored.info for name, stored in self._stored.items()}

    def read(self, name: str, index: Index | None = None) -> np.ndarray:
        """A parameter, [inputs, outputs] if it is a kernel, or a part of it."""
        return self._stored[name].read(index)


def is_model(folder: epath.PathLike) -> bool:
    """Whether a folder looks like a model in Hugging Face's layout."""
    path = epath.Path(folder)
    found = (huggingface_config.FILE, WEIGHTS, INDEX, _TORCH_WEIGHTS)
    return any((path / name).exists() for name in found)


def open_model(folder: epath.PathLike) -> HuggingFaceModel:
    """Reads the config and the headers of the weights.

    Raises:
        ValueError: the folder holds no T5 that we can read; the message says what is wrong and what to do.
    """
    path = epath.Path(folder)
    config = huggingface_config.read(path)
    files = _files(path)
    per_layer = huggingface_config.bias_per_layer(config)
    stored: dict[str, _Stored] = {}
    for file in files:
        for name in file.arrays:
            ours = names.to_ours(name, bias_per_layer=per_layer) or name
            is_matrix = ours != name and names.is_transposed(ours)
            if len(file.arrays[name].shape) != 2:
                is_matrix = False  # of a wrong shape; whoever compares shapes will say so
            stored[ours] = _Stored(file, name, is_matrix)
    _resolve_aliases(stored)
    tied = _resolve_logits(stored, config, path)
    model = huggingface_config.to_model(config, tied=tied, what=str(path / huggingface_config.FILE))
    return HuggingFaceModel(path, model, config["model_type"], stored)


def _files(folder: epath.Path) -> list[safetensors_file.SafetensorsFile]:
    """The opened files of a folder.

    Raises:
        ValueError: there are none, or a shard of the index is missing or lacks arrays.
    """
    if (folder / INDEX).exists():
        return _shards(folder)
    if (folder / WEIGHTS).exists():
        return [safetensors_file.open_file(folder / WEIGHTS)]
    found = [
        name
        for name in (_TORCH_WEIGHTS, f"{_TORCH_WEIGHTS}.index.json")
        if (folder / name).exists()
    ]
    if found:
        raise ValueError(
            f"{folder} has its weights in {found[0]}, which is not read because it can run code. Write safetensors "
            f"where transformers is installed: transformers.AutoModelForSeq2SeqLM.from_pretrained({str(folder)!r})"
            ".save_pretrained(ANOTHER_FOLDER)."
        )
    raise ValueError(f"{folder} has no weights: neither {WEIGHTS} nor {INDEX}.")


def _shards(folder: epath.Path) -> list[safetensors_file.SafetensorsFile]:
    try:
        places: dict[str, str] = json.loads((folder / INDEX).read_text())["weight_map"]
        shards = sorted(set(places.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / INDEX} is damaged: it has no weight_map.") from error
    missing = [name for name in shards if not (folder / name).exists()]
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} of the {len(shards)} files that {INDEX} names: {', '.join(missing)}."
        )
    files = {name: safetensors_file.open_file(folder / name) for name in shards}
    lost = [name for name, shard in places.items() if name not in files[shard].arrays]
    if lost:
        raise ValueError(
            f"{folder / places[lost[0]]} lacks {lost[0]!r}, which {INDEX} says it holds ({len(lost)} in all)."
        )
    return list(files.values())


def _resolve_aliases(stored: dict[str, _Stored]) -> None:
    """Keeps one of the embedding's names, and drops a table that older files hold and no model uses."""
    for alias in names.EMBEDDING_ALIASES:
        found = stored.pop(alias, None)
        if found is not None:
            stored.setdefault(names.EMBEDDING, found)
    for name in names.UNUSED:
        stored.pop(name, None)


def _resolve_logits(
    stored: dict[str, _Stored], config: huggingface_config.JsonDict, folder: epath.Path
) -> bool:
    """Finds out which array makes the logits, as transformers does; whether they are tied in T5 1.0's way."""
    embedding, head = stored.get(names.EMBEDDING), stored.get(names.LOGITS)
    scales = huggingface_config.scales_tied_logits(config)
    if head is None:
        if not scales and embedding is not None:
            logging.warning(
                "%s has no %s: logits use a copy of the embedding, as in transformers.",
                folder,
                names.LM_HEAD,
            )
            stored[names.LOGITS] = dataclasses.replace(embedding, is_transposed=True)
        return scales
    if not scales or embedding is None:
        return False
    if _equal(embedding, head):
        del stored[names.LOGITS]
        return True
    if huggingface_config.bias_per_layer(config):
        return False
    raise ValueError(
        f"{folder / huggingface_config.FILE} says that logits are made with the embedding, but {names.LM_HEAD} differs from "
        f'{names.SHARED}. Write "tie_word_embeddings": false into it if this is a T5 1.1.'
    )


def _equal(embedding: _Stored, head: _Stored) -> bool:
    """Whether two arrays have the same bytes, each row by row as it is stored."""
    first, second = (stored.file.arrays[stored.name] for stored in (embedding, head))
    if first != second:
        return False
    rows = range(0, first.shape[0], _COMPARED_ROWS)
    parts = ((slice(row, row + _COMPARED_ROWS),) for row in rows)
    return all(
        embedding.file.read(embedding.name, part).tobytes()
        == head.file.read(head.name, part).tobytes()
        for part in parts
    )
