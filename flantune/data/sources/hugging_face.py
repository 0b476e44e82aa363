"""`HuggingFace`: rows of a Hugging Face dataset on disk, read with pyarrow. Nothing is ever downloaded or copied.

    hf/rte/dataset_dict.json  train/state.json  train/data-00000-of-00002.arrow ...   what `save_to_disk` writes
    hf/rte/data/train-00000-of-00001.parquet ...                                      what a repository of the hub holds
    hf/rte/train.jsonl.gz  validation.arrow  test/a.parquet  test/b.parquet           a folder of files

The `datasets` package is not needed: these are plain Arrow and Parquet files, and pyarrow neither imports pandas nor
fills a cache. Use it as `sources.HuggingFace`. Read `chat.py` next.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import functools
import json
import pathlib
import re
from typing import TYPE_CHECKING, Any

from etils import epath

from flantune.data import names, task as task_lib
from flantune.data.sources import compression, files, formats

if TYPE_CHECKING:
    import pyarrow

_SUFFIXES = (".arrow", ".parquet", ".jsonl", ".json")
_BATCH_ROWS = 1_000


@dataclasses.dataclass(frozen=True, init=False)
class HuggingFace:
    """A dataset below the data directory: `HuggingFace("hf/rte", train="train", validation="validation[:200]")`.

    A split is a split of the dataset, all of it or a slice of its rows. A dataset saved without splits has the one that
    it was made from, or "train".

    Attributes:
        folder: what `save_to_disk` wrote, or a folder of .arrow, .parquet, .jsonl or .json files named for their splits.
        label_names: a column of class labels, "label", gets a second one, "label_name", with the label's name; it is
            empty where the label is missing (null or -1).
    """

    folder: str
    dataset_splits: tuple[tuple[str, str], ...]
    label_names: bool

    def __init__(self, folder: str, *, label_names: bool = False, **splits: str) -> None:
        if not splits:
            raise ValueError(
                f"HuggingFace({folder!r}) needs at least one split, as in train='train'."
            )
        for spec in splits.values():
            if not formats.parse_slice(spec)[0]:
                raise ValueError(
                    f"HuggingFace({folder!r}): {spec!r} names no split of the dataset."
                )
        object.__setattr__(self, "folder", folder)
        object.__setattr__(self, "dataset_splits", tuple(splits.items()))
        object.__setattr__(self, "label_names", label_names)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split, _ in self.dataset_splits)

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[task_lib.Row]:
        """Rows of a split: texts, numbers, lists and dictionaries of them.

        Raises:
            KeyError: no such split, here or in the dataset.
            FileNotFoundError: no such folder.
            ValueError: a file is damaged, or a row of a JSON file is malformed.
        """
        return files.rows(self.records(split, data_dir))

    def records(self, split: str, data_dir: pathlib.Path) -> Iterator[formats.Record]:
        """Rows of a split with their places."""
        name, start, stop = formats.parse_slice(self._spec(split))
        paths = split_files(files.existing(self.folder, data_dir, type(self).__name__), name)
        place = f"{self.folder}, split {name!r},"
        return formats.take(functools.partial(self._parse, paths), start, stop, place)

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the names, sizes and change times of the split's files."""
        paths = self.paths(split, data_dir)
        return files.stat_fingerprint(self._described(split), paths) if paths else None

    def content_sha256(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the content of the split's files."""
        paths = self.paths(split, data_dir)
        return files.content_sha256(self._described(split), paths) if paths else None

    def describe(self) -> dict[str, object]:
        return {
            "kind": "huggingface",
            "folder": self.folder,
            "splits": dict(self.dataset_splits),
            "label_names": self.label_names,
        }

    def _spec(self, split: str) -> str:
        files.check_split(self, split)
        return dict(self.dataset_splits)[split]

    def _described(self, split: str) -> object:
        return {**self.describe(), "splits": self._spec(split)}

    @property
    def places(self) -> tuple[str, ...]:
        """Its folder below the data directory."""
        return (f"{self.folder}/",)

    def paths(self, split: str, data_dir: pathlib.Path) -> list[epath.Path]:
        """The files of a split; none where the dataset is not there."""
        try:
            name = formats.parse_slice(self._spec(split))[0]
            return split_files(epath.Path(data_dir) / self.folder, name)
        except (FileNotFoundError, NotADirectoryError) as error:
            del error  # the source is not here
            return []

    def _parse(self, paths: list[epath.Path]) -> Iterator[formats.Record]:
        for path in paths:
            if compression.without_suffix(path.name).endswith((".jsonl", ".json")):
                yield from formats.read_objects(path, encoding="utf-8")
            else:
                yield from _read_table(path, label_names=self.label_names)


def split_files(folder: epath.Path, split: str) -> list[epath.Path]:
    """The files of a dataset's split, in order.

    Raises:
        KeyError: the dataset has no such split; names those that it has.
        FileNotFoundError: no such folder, or an unfinished one.
    """
    if (folder / "dataset_dict.json").exists():
        known = json.loads((folder / "dataset_dict.json").read_text())["splits"]
        if split not in known:
            raise _unknown_split(folder, split, known)
        return _saved_files(folder / split)
    if (folder / "state.json").exists():
        own = json.loads((folder / "state.json").read_text()).get("_split") or "train"
        if split != own:
            raise _unknown_split(folder, split, [own])
        return _saved_files(folder)
    return _named_files(folder, split)


def _saved_files(folder: epath.Path) -> list[epath.Path]:
    """The files of one dataset that `save_to_disk` wrote."""
    state = json.loads((folder / "state.json").read_text())
    if state.get("_indices_data_files"):
        raise ValueError(
            f"{folder} was saved by a version of datasets before 2.0, with its rows in another order than in the "
            "files: load it with datasets and save it again."
        )
    return [folder / entry["filename"] for entry in state["_data_files"]]


def _named_files(folder: epath.Path, split: str) -> list[epath.Path]:
    """The files of a split in a folder, in its folder `data`, or in a folder named for the split."""
    found: list[epath.Path] = []
    stems: list[str] = []
    for place in (folder, folder / "data"):
        for path in sorted(place.iterdir()) if place.exists() else []:
            stem = _stem(path.name)
            if path.is_dir() and path.name != "data":
                inner = [entry for entry in sorted(path.iterdir()) if _stem(entry.name)]
                stems += [path.name] if inner else []
                found += inner if path.name == split else []
            elif stem:
                stems.append(stem)
                found += [path] if _is_of_split(stem, split) else []
    if not found:
        if not folder.exists():
            raise FileNotFoundError(f"There is no folder {folder}.")
        raise _unknown_split(folder, split, sorted(set(stems)))
    return found


def _stem(name: str) -> str:
    """A data file's name without its suffixes; "" for any other file."""
    name = compression.without_suffix(name)
    stem, dot, suffix = name.rpartition(".")
    return stem if dot + suffix in _SUFFIXES and stem != "dataset_info" else ""


def _is_of_split(stem: str, split: str) -> bool:
    """Whether a file belongs to a split: "train", "train-00000-of-00002", or "NAME-train" as in datasets' own cache."""
    return re.fullmatch(rf"(.*-)?{re.escape(split)}([-_.]\d.*)?", stem) is not None


def _unknown_split(folder: epath.Path, split: str, known: list[str]) -> KeyError:
    return KeyError(names.unknown(f"The dataset {folder} is asked for the split", split, known))


def _read_table(path: epath.Path, *, label_names: bool) -> Iterator[formats.Record]:
    """The rows of an Arrow or Parquet file."""
    import pyarrow  # 0.2 s: only where such a file is read

    number = 0
    try:
        with path.open("rb") as file:
            for batch in _batches(file, path.suffix == ".parquet"):
                named = _class_labels(batch.schema) if label_names else {}
                for row in batch.to_pylist():
                    yield formats.Record(f"{path}:row {number}", _with_names(row, named))
                    number += 1
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error


def _batches(file: object, is_parquet: bool) -> Iterator["pyarrow.RecordBatch"]:
    import pyarrow

    if is_parquet:
        from pyarrow import parquet

        yield from parquet.ParquetFile(file).iter_batches(batch_size=_BATCH_ROWS)
        return
    stream = pyarrow.PythonFile(file, mode="r")
    if stream.read(6) == b"ARROW1":  # the format with an index; `datasets` writes the one without
        reader = pyarrow.ipc.open_file(stream)
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        stream.seek(0)
        yield from pyarrow.ipc.open_stream(stream)


def _class_labels(schema: "pyarrow.Schema") -> dict[str, list[str]]:
    """The names of the labels of each column of class labels, as `datasets` notes them in the file."""
    noted = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(noted)["info"]["features"] if noted else {}
    return {
        column: feature["names"]
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def _with_names(row: dict[str, Any], named: Mapping[str, list[str]]) -> dict[str, Any]:
    for column, labels in named.items():
        label = row[column]
        is_known = isinstance(label, int) and 0 <= label < len(labels)
        row[f"{column}_name"] = labels[label] if is_known else ""
    return row
