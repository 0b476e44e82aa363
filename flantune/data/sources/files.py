"""`FileSource`, the base of sources that are files, and what such files need: errors, fingerprints, content hashes.

The kinds of files are in `plain.py`; their parsers are in `formats.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import hashlib
import os
import pathlib

from etils import epath

from flantune.data import fingerprint as fingerprint_lib, names, task as task_lib
from flantune.data.sources import formats
from flantune.host import places

Files = str | tuple[str, ...]
_CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class FileSource:
    """A source whose splits are files. Subclasses say how one file is parsed.

    Attributes:
        files: the files of each split, each with an optional slice.
    """

    files: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split, _ in self.files)

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[task_lib.Row]:
        """Rows of a split, in the order of the files.

        Raises:
            KeyError: no such split.
            FileNotFoundError: no such file.
            ValueError: a row is malformed; `records` gives the others too.
        """
        return rows(self.records(split, data_dir))

    def records(self, split: str, data_dir: pathlib.Path) -> Iterator[formats.Record]:
        """Rows of a split with their places, and the problems of those that are malformed."""
        for spec in self._specs(split):
            name, start, stop = formats.parse_slice(spec)
            path = existing(name, data_dir, type(self).__name__)
            found = formats.take(functools.partial(self._parse, path), start, stop, path)
            yield from self._expand(found)

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the names, sizes and change times of the split's files, and of how they are parsed: no file is opened."""
        return stat_fingerprint(self._described(split), self.paths(split, data_dir))

    def content_sha256(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the content of the split's files, and of how they are parsed."""
        return content_sha256(self._described(split), self.paths(split, data_dir))

    def describe(self) -> dict[str, object]:
        return {
            "kind": type(self).__name__.lower(),
            **dataclasses.asdict(self),
            "files": dict(self.files),
        }

    def _parse(self, path: epath.Path) -> Iterator[formats.Record]:
        raise NotImplementedError(f"{type(self).__name__} must say how a file is parsed.")

    def _expand(self, found: Iterator[formats.Record]) -> Iterator[formats.Record]:
        """The rows of a file's records; a slice takes records, so what one record gives stays in one split."""
        return found

    def _specs(self, split: str) -> tuple[str, ...]:
        check_split(self, split)
        return dict(self.files)[split]

    @property
    def places(self) -> tuple[str, ...]:
        """Its files, below the data directory."""
        names = (formats.parse_slice(spec)[0] for _, specs in self.files for spec in specs)
        return tuple(dict.fromkeys(names))

    def paths(self, split: str, data_dir: pathlib.Path) -> list[epath.Path]:
        """The files of a split, whether they are there or not."""
        return [epath.Path(data_dir) / formats.parse_slice(spec)[0] for spec in self._specs(split)]

    def _described(self, split: str) -> object:
        return {**self.describe(), "files": self._specs(split)}


def set_fields(source: FileSource, splits: Mapping[str, Files], **fields: object) -> None:
    """Sets the fields of a source being made, from its keyword arguments."""
    kind = type(source).__name__
    if not splits:
        raise ValueError(f"{kind} needs at least one split, as in {kind}(train='train.txt').")
    files = tuple((k, (v,) if isinstance(v, str) else tuple(v)) for k, v in splits.items())
    for _, specs in files:
        for spec in specs:
            formats.parse_slice(spec)  # a wrong slice is told where it is written
    for name, value in {"files": files, **fields}.items():
        object.__setattr__(source, name, value)


def check_columns(kind: str, columns: Sequence[str], header: bool) -> None:
    """Raises ValueError unless the names of the columns come from exactly one place."""
    if bool(columns) == header:
        raise ValueError(
            f"{kind} takes either columns=(...) or header=True (the first line names the columns), "
            f"not {'both' if header else 'neither'}."
        )


def check_encoding(kind: str, encoding: str) -> None:
    """Raises ValueError unless a file in this encoding can be read line by line."""
    try:
        is_by_line = b"a\n".decode(encoding) == "a\n"
    except LookupError:
        raise ValueError(f"{kind} has encoding={encoding!r}, which Python does not know.") from None
    except UnicodeDecodeError:
        is_by_line = False
    if not is_by_line:
        raise ValueError(
            f"{kind} reads line by line, and in encoding={encoding!r} a line end has several bytes: "
            "convert the file to UTF-8."
        )


def check_split(source: task_lib.Source, split: str) -> None:
    """Raises KeyError, with the splits that there are, where a source lacks one."""
    if split not in source.splits:
        raise KeyError(
            f"The {type(source).__name__} source has no split {split!r}. "
            f"Splits: {', '.join(repr(name) for name in source.splits)}."
        )


def existing(name: str, data_dir: pathlib.Path, kind: str) -> epath.Path:
    """The path of a file below the data directory.

    Raises:
        FileNotFoundError: there is none; tells what looks like it and how to set the directory.
    """
    path = epath.Path(data_dir) / name
    if path.exists():
        return path
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    missing = path.relative_to(folder).parts[0]
    near = names.closest(missing, [entry.name for entry in folder.iterdir()])
    found = (
        f"In {folder} there is {' or '.join(map(repr, near))}."
        if near
        else f"{folder} has nothing like it."
    )
    raise FileNotFoundError(
        f"{kind}: no file {name!r} below the data directory {str(data_dir)!r}, which --data_dir or "
        f"FLANTUNE_DATA_DIR sets. {found}"
    )


def stat_fingerprint(described: object, paths: Sequence[epath.Path]) -> str | None:
    """A sha256 of a description and of the files' sizes and change times; None where a file is absent."""
    try:
        stats = [size_and_time(path) for path in paths]
    except FileNotFoundError:
        return None
    return fingerprint_lib.value_fingerprint([described, stats])


def content_sha256(described: object, paths: Sequence[epath.Path]) -> str | None:
    """A sha256 of a description and of the files' contents; None where a file is absent."""
    try:
        hashes = [file_sha256(path, *size_and_time(path)) for path in paths]
    except FileNotFoundError:
        return None
    return fingerprint_lib.value_fingerprint([described, hashes])


@functools.lru_cache(maxsize=64)  # several splits may be slices of one file
def file_sha256(path: epath.Path, size: int, time_ns: int) -> str:
    """The sha256 of a file's content; size and change time only tell when to read it again."""
    del size, time_ns
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def size_and_time(path: epath.Path) -> tuple[int, int]:
    """A file's size in bytes and its change time in nanoseconds (of whole seconds in a bucket)."""
    if places.is_bucket(path):
        stat = path.stat()
        return stat.length, int(stat.mtime) * 1_000_000_000
    local = os.stat(path)
    return local.st_size, local.st_mtime_ns


def rows(found: Iterator[formats.Record]) -> Iterator[task_lib.Row]:
    """The rows of records.

    Raises:
        ValueError: a record is malformed.
    """
    for record in found:
        if record.row is None:
            raise ValueError(f"{record.where}: {record.problem}.")
        yield record.row
