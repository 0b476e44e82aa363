"""What can be asked of any source: its rows with their places, for reports of malformed rows; what it reads, and from where."""

from collections.abc import Iterator
import pathlib
from typing import Protocol, runtime_checkable

from etils import epath

from flantune.data import task as task_lib
from flantune.data.sources import files, formats
from flantune.data.sources.tfds import Tfds


@runtime_checkable
class WithRecords(Protocol):
    """A source that knows the places of its rows, and goes on after a malformed one."""

    def records(self, split: str, data_dir: pathlib.Path) -> Iterator[formats.Record]: ...


@runtime_checkable
class OnDisk(Protocol):
    """A source that reads files below the data directory; one of your own may be such a source too."""

    @property
    def places(self) -> tuple[str, ...]:
        """Files, and folders (with a "/" at the end), below the data directory."""
        ...

    def paths(self, split: str, data_dir: pathlib.Path) -> list[epath.Path]:
        """The files of a split."""
        ...


def records(
    source: task_lib.Source, split: str, data_dir: pathlib.Path
) -> Iterator[formats.Record]:
    """The rows of any source with their places; a source that only has `read` gets "split:number" for a place."""
    if isinstance(source, WithRecords):
        return source.records(split, data_dir)
    rows = source.read(split, data_dir)
    return (formats.Record(f"{split}:{number}", row) for number, row in enumerate(rows))


def places(source: task_lib.Source) -> tuple[str, ...]:
    """What it reads below the data directory; () where it reads nothing there, such as rows made in code."""
    return source.places if isinstance(source, OnDisk) else ()


def paths(source: task_lib.Source, split: str, data_dir: pathlib.Path) -> list[epath.Path]:
    """The files of a split, there or not; none where it reads nothing below the data directory."""
    return source.paths(split, data_dir) if isinstance(source, OnDisk) else []


def files_here(
    source: task_lib.Source, split: str, data_dir: pathlib.Path
) -> dict[epath.Path, int]:
    """The files of a split that are there, with their sizes in bytes."""
    found: dict[epath.Path, int] = {}
    for path in paths(source, split, data_dir):
        if path.is_file():
            found[path], _ = files.size_and_time(path)
    return found


def how_to_get(source: task_lib.Source, data_dir: object) -> str:
    """The command that brings its files below the data directory; "" where the source knows none."""
    return source.build_command(data_dir) if isinstance(source, Tfds) else ""
