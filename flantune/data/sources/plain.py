"""Sources that are plain files: text, TSV, CSV, JSON, XML, and the tasks of Natural Instructions.

What all files share is in `files.py`, and the parsers are in `formats.py`.
"""

from collections.abc import Iterator
import dataclasses

from etils import epath

from flantune.data.sources import files, formats


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
