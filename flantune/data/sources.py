"""Where a task's rows come from: files, TFDS, memory. Implementations of `task.Source`; nothing is read when one is made.

    sources.Tsv(train="cot/gsm8k.tsv[200:]", validation="cot/gsm8k.tsv[:200]", columns=("question", "answer"))
    sources.Tfds("bool_q:1.0.0", train="train", validation="validation[:200]")

A split names a file below the data directory, or several, joined in order; `[start:stop]` takes some of a file's rows,
as a Python slice. TensorFlow is imported only while a `Tfds` is read. `files.py` has what all files share, `formats.py` the
parsers; read `prepare.py` next, which reads each source once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import fnmatch
import os
import pathlib
import re

from etils import epath
import numpy as np

from flantune.data import files, fingerprint as fingerprint_lib, formats, task as task_lib

Rows = Sequence[task_lib.Row] | Callable[[], Iterable[task_lib.Row]]
_VERSION = re.compile(r"\d+\.\d+\.\d+\Z")  # TFDS keeps unfinished ones beside, with longer names
_TFDS_DIR = "TFDS_DATA_DIR"  # the variable that TFDS itself reads


@dataclasses.dataclass(frozen=True, init=False)
class Lines(files.FileSource):
    """Plain text: a row `{column: line}` for each line."""

    column: str
    encoding: str

    def __init__(
        self, *, column: str = "text", encoding: str = "utf-8", **splits: files.Files
    ) -> None:
        files.set_fields(self, splits, column=column, encoding=encoding)

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        return formats.read_lines(path, encoding=self.encoding, column=self.column)


@dataclasses.dataclass(frozen=True, init=False)
class Tsv(files.FileSource):
    """Tab-separated values without quoting.

    Attributes:
        columns: names of the columns, where the file has no header.
        header: whether the first line names the columns.
    """

    columns: tuple[str, ...]
    header: bool
    encoding: str

    def __init__(
        self,
        *,
        columns: tuple[str, ...] = (),
        header: bool = False,
        encoding: str = "utf-8",
        **splits: files.Files,
    ) -> None:
        files.check_columns(type(self).__name__, columns, header)
        files.set_fields(self, splits, columns=tuple(columns), header=header, encoding=encoding)

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        return formats.read_tsv(path, encoding=self.encoding, columns=self.columns)


@dataclasses.dataclass(frozen=True, init=False)
class Csv(files.FileSource):
    """Comma-separated values, quoted as RFC 4180 has it; columns and header as in `Tsv`."""

    columns: tuple[str, ...]
    header: bool
    delimiter: str
    encoding: str

    def __init__(
        self,
        *,
        columns: tuple[str, ...] = (),
        header: bool = False,
        delimiter: str = ",",
        encoding: str = "utf-8",
        **splits: files.Files,
    ) -> None:
        files.check_columns(type(self).__name__, columns, header)
        options = {"header": header, "delimiter": delimiter, "encoding": encoding}
        files.set_fields(self, splits, columns=tuple(columns), **options)

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        return formats.read_csv(
            path, encoding=self.encoding, columns=self.columns, delimiter=self.delimiter
        )


@dataclasses.dataclass(frozen=True, init=False)
class Jsonl(files.FileSource):
    """One JSON object a line."""

    encoding: str

    def __init__(self, *, encoding: str = "utf-8", **splits: files.Files) -> None:
        files.set_fields(self, splits, encoding=encoding)

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        return formats.read_jsonl(path, encoding=self.encoding)


@dataclasses.dataclass(frozen=True, init=False)
class Json(files.FileSource):
    """A JSON list of objects, or an object with the list under the key `items`."""

    items: str
    encoding: str

    def __init__(self, *, items: str = "", encoding: str = "utf-8", **splits: files.Files) -> None:
        files.set_fields(self, splits, items=items, encoding=encoding)

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        return formats.read_json(path, encoding=self.encoding, items=self.items)


@dataclasses.dataclass(frozen=True, init=False)
class Xml(files.FileSource):
    """Elements named `item`: their attributes and the texts of their children."""

    item: str

    def __init__(self, *, item: str = "item", **splits: files.Files) -> None:
        files.set_fields(self, splits, item=item)

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        return formats.read_xml(path, item=self.item)


@dataclasses.dataclass(frozen=True, init=False)
class NaturalInstructions(files.FileSource):
    """The instances of one task file: `NaturalInstructions("ni/task1.json", train="[100:]", test="[:100]")`.

    A row is {"id", "input", "output": list of texts}. Without slices, all of the file is "train".
    """

    def __init__(self, path: str, **splits: str) -> None:
        for split, piece in splits.items():
            if not piece.startswith("["):
                raise ValueError(f"{path}: split {split!r} must be like '[100:]', not {piece!r}.")
        pieces = splits or {"train": ""}
        files.set_fields(self, {split: path + piece for split, piece in pieces.items()})

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        return formats.read_natural_instructions(path)


@dataclasses.dataclass(frozen=True, init=False)
class Tfds:
    """A TensorFlow dataset that is already built, in the data directory or in TFDS_DATA_DIR.

    A split is a TFDS split or slice: `Tfds("glue/rte:2.0.0", train="train", validation="validation[:200]")`. Without a
    version, the newest one that is there.
    """

    name: str
    tfds_splits: tuple[tuple[str, str], ...]

    def __init__(self, name: str, **splits: str) -> None:
        if not splits:
            raise ValueError(f"Tfds({name!r}) needs at least one split, as in train='train'.")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "tfds_splits", tuple(splits.items()))

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split, _ in self.tfds_splits)

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[task_lib.Row]:
        """Rows of a split in the order of its shards: texts, numbers, lists and dictionaries of them.

        Raises:
            FileNotFoundError: the dataset is not there.
            KeyError: no such split.
        """
        files.check_split(self, split)
        directory = self._directory(data_dir)
        if directory is None:
            raise FileNotFoundError(
                f"TFDS dataset {self.name!r} is neither below the data directory {str(data_dir)!r} (--data_dir or "
                f"FLANTUNE_DATA_DIR sets it) nor below {_TFDS_DIR}. Build it with: "
                f"tfds build {self.name} --data_dir={data_dir}"
            )
        return _tfds_rows(directory, dict(self.tfds_splits)[split])

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the names, sizes and change times of the dataset's files."""
        paths = self._paths(data_dir)
        return files.stat_fingerprint(self._described(split), paths) if paths else None

    def content_sha256(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the content of the dataset's files."""
        paths = self._paths(data_dir)
        return files.content_sha256(self._described(split), paths) if paths else None

    def describe(self) -> dict[str, object]:
        return {"kind": "tfds", "name": self.name, "splits": dict(self.tfds_splits)}

    def _described(self, split: str) -> object:
        files.check_split(self, split)
        return {"kind": "tfds", "name": self.name, "split": dict(self.tfds_splits)[split]}

    def _paths(self, data_dir: pathlib.Path) -> list[epath.Path]:
        directory = self._directory(data_dir)
        return [] if directory is None else sorted(directory.iterdir())

    def _directory(self, data_dir: pathlib.Path) -> epath.Path | None:
        """The folder of the dataset's newest version that fits the name."""
        name, _, wanted = self.name.partition(":")
        for root in (data_dir, os.environ.get(_TFDS_DIR)):
            folder = epath.Path(root or "") / name
            if root and folder.exists():
                versions = [path.name for path in folder.iterdir() if _VERSION.match(path.name)]
                found = fnmatch.filter(versions, wanted or "*")  # TFDS allows "1.*.*"
                if found:
                    return folder / max(
                        found, key=lambda version: [int(n) for n in version.split(".")]
                    )
        return None


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class InMemory:
    """Rows of each split, or a function without arguments that gives them; for generated data and tests."""

    rows: Mapping[str, Rows]

    def __init__(self, **splits: Rows) -> None:
        if not splits:
            raise ValueError("InMemory needs at least one split, as in InMemory(train=[...]).")
        object.__setattr__(self, "rows", dict(splits))

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.rows)

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[task_lib.Row]:
        del data_dir
        files.check_split(self, split)
        rows = self.rows[split]
        return iter(rows() if callable(rows) else rows)

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the rows, or of the source text of the function that gives them."""
        del data_dir
        files.check_split(self, split)
        rows = self.rows[split]
        if callable(rows):
            return fingerprint_lib.function_fingerprint(rows)
        return fingerprint_lib.value_fingerprint(list(rows))

    def describe(self) -> dict[str, object]:
        return {"kind": "in_memory", "splits": list(self.rows)}


def records(
    source: task_lib.Source, split: str, data_dir: pathlib.Path
) -> Iterator[formats.Record]:
    """The rows of any source with their places; a source that only has `read` gets "split:number" for a place."""
    if isinstance(source, files.FileSource):
        return source.records(split, data_dir)
    rows = source.read(split, data_dir)
    return (formats.Record(f"{split}:{number}", row) for number, row in enumerate(rows))


def _tfds_rows(directory: epath.Path, split: str) -> Iterator[task_lib.Row]:
    import seqio  # 6 to 10 s, and TensorFlow with it: only where a TFDS dataset is read
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # or TensorFlow takes all of the GPU's memory
    source = seqio.TfdsDataSource(
        tfds_data_dir=os.fspath(directory), splits={"rows": split}, read_only=True
    )
    for row in source.get_dataset("rows", shuffle=False).as_numpy_iterator():
        yield {name: _python_value(value) for name, value in row.items()}


def _python_value(value: object) -> object:
    """Texts, numbers and lists of what TFDS gives as bytes, NumPy values and ragged tensors."""
    if isinstance(value, dict):
        return {name: _python_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_python_value(item) for item in value]
    if isinstance(value, bytes):
        # A row that is not UTF-8 gets characters that `prepare` counts as malformed.
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, np.ndarray | np.generic):
        return _python_value(value.tolist())
    to_list = getattr(value, "to_list", None)  # tf.RaggedTensor, named without importing TensorFlow
    return _python_value(to_list()) if to_list else value
