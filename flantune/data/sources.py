"""Where a task's rows come from: files, TFDS, memory. Implementations of `task.Source`; nothing is read when one is made.

    sources.Tsv(train="cot/gsm8k.tsv[200:]", validation="cot/gsm8k.tsv[:200]", columns=("question", "answer"))
    sources.Chat(train="chats.jsonl.gz", turns="all")
    sources.Tfds("bool_q:1.0.0", train="train", validation="validation[:200]")

A split names a file below the data directory, or several, joined in order; `[start:stop]` takes some of a file's rows,
as a Python slice. Files whose names end in .gz, .bz2, .xz or .zst are decompressed. The sources of this file are plain
files and memory; those of other files are `Instructions` (`instruction_source.py`), `Chat` (`chat_source.py`),
`ByUser` (`user_source.py`), `HuggingFace` (`hf_source.py`) and `Tfds` (`tfds_source.py`). `files.py` has what all files
share, `formats.py` the parsers; read `prepare.py` next, which reads each source once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import pathlib

from etils import epath

from flantune.data import files, fingerprint as fingerprint_lib, formats, task as task_lib
from flantune.data.chat_source import Chat
from flantune.data.hf_source import HuggingFace
from flantune.data.instruction_source import Instructions
from flantune.data.tfds_source import Tfds
from flantune.data.user_source import ByUser

__all__ = [
    "ByUser",
    "Chat",
    "Csv",
    "HuggingFace",
    "InMemory",
    "Instructions",
    "Json",
    "Jsonl",
    "Lines",
    "NaturalInstructions",
    "Tfds",
    "Tsv",
    "Xml",
    "records",
]
Rows = Sequence[task_lib.Row] | Callable[[], Iterable[task_lib.Row]]


@dataclasses.dataclass(frozen=True, init=False)
class Lines(files.FileSource):
    """Plain text: a row `{column: line}` for each line."""

    column: str
    encoding: str

    def __init__(
        self, *, column: str = "text", encoding: str = "utf-8", **splits: files.Files
    ) -> None:
        files.check_encoding(type(self).__name__, encoding)
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
        files.check_encoding(type(self).__name__, encoding)
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
        files.check_encoding(type(self).__name__, encoding)
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
        files.check_encoding(type(self).__name__, encoding)
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
    if isinstance(source, files.FileSource | HuggingFace | ByUser):
        return source.records(split, data_dir)
    rows = source.read(split, data_dir)
    return (formats.Record(f"{split}:{number}", row) for number, row in enumerate(rows))
