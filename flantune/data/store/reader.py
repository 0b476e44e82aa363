"""`Store`: the prepared rows of every task, as ArrayRecord files with a manifest. Read here, written by `prepare.py`.

    root/<family>/<dataset>/<split>/part-00000-of-00004.arrayrecord ...  manifest.json

A record is the JSON of a row's fields. Reading needs neither TensorFlow nor the sources. `root` may be a bucket
(gs://...); preparing needs a local one. `family_tasks` finds the
tasks of a family of files, or remembers them.
"""

import bisect
import collections
from collections.abc import Mapping, Sequence
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import re
import resource
import threading
from typing import Any

from absl import logging
from array_record.python import array_record_module
from etils import epath

from flantune.data import fingerprint as fingerprint_lib, task as task_lib
from flantune.data.sources import files
from flantune.data.store import manifest as manifest_lib
from flantune.data.store.manifest import Manifest, Shard
from flantune.host import atomic, places

INDEX = "index.json"
_NAME = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*\Z")
# No read-ahead: without it every reader keeps a buffer and reads rows that nobody asked for.
_READER_OPTIONS = "readahead_buffer_size:0"
_READER_BUFFER_BYTES = 32_768
_INDEX_THREADS = 8
_MAX_OPEN_READERS = (
    4096  # 3 KB of memory each; reopening one costs more than reading a row (0.1 ms)
)


class Store:
    """A folder of prepared tasks. Cheap to make; may be pickled and shared by threads."""

    def __init__(self, root: epath.PathLike) -> None:
        self.root = epath.Path(root)

    def split_dir(self, task: str, split: str) -> epath.Path:
        """Where the rows of a split of the task "family:dataset" lie.

        Raises:
            ValueError: a name that cannot be a folder's.
        """
        family, _, dataset = task.partition(":")
        for name in (family, dataset, split):
            if not _NAME.match(name):
                raise ValueError(
                    f"{task!r}, split {split!r}: {name!r} cannot be a folder's name; use letters, digits, '_', '-', "
                    "'.', not starting with '.'."
                )
        return (
            self.root / f"{family}/{dataset}/{split}"
        )  # joined once: it is asked for thousands of times

    def manifest(self, task: str | task_lib.InstructionTask, split: str) -> Manifest | None:
        """The manifest of a split, or None where it is not prepared or was prepared in another format.

        Raises:
            PlaceError: the store cannot be read.
        """
        name = task if isinstance(task, str) else task.stored_as
        path = self.split_dir(name, split) / manifest_lib.FILE_NAME
        try:
            return Manifest.from_json(path.read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None  # half-written manifests do not exist, so an unreadable one is of another version
        except OSError as error:
            raise places.PlaceError(
                f"The prepared store {os.fspath(self.root)} cannot be read: {places.reason(error)} ({os.fspath(path)})."
            ) from error

    def writing(self) -> contextlib.AbstractContextManager[None]:
        """While it runs, an error of the system is a `PlaceError` that names the store; so is one of ArrayRecord's writer."""
        what = f"The prepared store {os.fspath(self.root)}"
        return places.writing(what, RuntimeError)

    def reader(self, manifest: Manifest) -> "Reader":
        """Random access to the rows of a prepared split; no file is opened yet."""
        return Reader(os.fspath(self.split_dir(manifest.task, manifest.split)), manifest)


class Reader:
    """Rows of one split, by number. May be pickled and shared by threads."""

    def __init__(self, directory: str, manifest: Manifest) -> None:
        self.manifest = manifest
        self._directory = directory
        self._paths = [os.path.join(directory, shard.file) for shard in manifest.shards]
        self._starts = [0, *itertools.accumulate(shard.rows for shard in manifest.shards)]

    def __len__(self) -> int:
        return self.manifest.rows

    def __getitem__(self, row: int) -> dict[str, Any]:
        """The fields of a row.

        Raises:
            IndexError: no such row.
            ValueError: its file is damaged or missing.
        """
        return self.fetch((row,))[0]

    def fetch(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The fields of some rows, in the order asked for, with one read for each shard."""
        places: dict[
            int, list[tuple[int, int]]
        ] = {}  # shard: (row in the shard, position in the result)
        for position, row in enumerate(rows):
            if not 0 <= row < len(self):
                raise IndexError(
                    f"{self.manifest.task!r} has {len(self)} rows in {self.manifest.split!r}; row {row} is not one."
                )
            shard = bisect.bisect_right(self._starts, row) - 1
            places.setdefault(shard, []).append((row - self._starts[shard], position))
        result: list[dict[str, Any]] = [{}] * len(rows)
        for shard, wanted in places.items():
            records = self._read(shard, [row for row, _ in wanted])
            for (_, position), record in zip(wanted, records, strict=True):
                result[position] = json.loads(record)
        return result

    def _read(self, shard: int, rows: list[int]) -> list[bytes]:
        path = self._paths[shard]
        reader = _OPEN_READERS.get(path, self.manifest.shards[shard])
        try:
            return list(reader.read(rows))
        except RuntimeError as error:
            raise ValueError(
                f"{path} is damaged ({error}). Remove {self._directory} and run flantune prepare."
            ) from error


class _OpenReaders:
    """A process's ArrayRecord readers used last; they share ArrayRecord's one pool of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: collections.OrderedDict[tuple[str, str], Any] = collections.OrderedDict()

    def get(self, path: str, shard: Shard) -> Any:  # array_record has no types
        """The open reader of a shard.

        Raises:
            ValueError: the file is missing or has another size or number of rows than the manifest says.
        """
        key = (path, shard.sha256)  # the same path holds other rows once it is prepared again
        with self._lock:
            if key in self._readers:
                self._readers.move_to_end(key)
                return self._readers[key]
        reader = _open(path, shard)
        soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        with self._lock:
            self._readers[key] = reader
            while len(self._readers) > min(_MAX_OPEN_READERS, soft_limit // 2):
                # Not closed: another thread may be reading. Its file closes when nobody holds it.
                self._readers.popitem(last=False)
        return reader


def check_shard(path: str, shard: Shard) -> None:
    """Raises ValueError where a shard's file is missing or not as large as it was written; opens nothing."""
    try:
        size = epath.Path(path).stat().length if places.is_bucket(path) else os.stat(path).st_size
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: run flantune prepare.") from None
    if size != shard.bytes:
        raise ValueError(
            f"{path} has {size} bytes, not the {shard.bytes} it was written with: run flantune prepare."
        )


def _open(path: str, shard: Shard) -> Any:
    check_shard(path, shard)
    reader = array_record_module.ArrayRecordReader(
        path, options=_READER_OPTIONS, file_reader_buffer_size=_READER_BUFFER_BYTES
    )
    # A damaged end of the file raises nothing; the reader just claims to have no rows.
    if not reader.ok() or reader.num_records() != shard.rows:
        raise ValueError(
            f"{path} is damaged ({reader.num_records()} rows, not {shard.rows}). Remove its folder and run "
            "flantune prepare."
        )
    return reader


_OPEN_READERS = _OpenReaders()  # one for the process: file descriptors are


def family_tasks(
    family: task_lib.TaskFamily,
    store: Store,
    data_dir: pathlib.Path,
    problems: list[str] | None = None,
) -> tuple[task_lib.InstructionTask, ...]:
    """The tasks of a family: from its files where they are, else as the store's index remembers them.

    Files that did not change are not read. The index is written anew where something changed.

    Args:
        problems: gets a sentence for each file that cannot be read; without it they are logged as errors.
    """
    path = store.root / family.name / INDEX
    index = _read_index(path)
    found = family.files(data_dir)
    if found:
        fresh, errors = _fresh_index(family, found, index)
        for sentence in errors:
            logging.error("%s", sentence)
        if problems is not None:
            problems += errors
        if fresh != index:
            _write_index(path, fresh)
        index = fresh
    return tuple(family.make_task(name, entry["metadata"]) for name, entry in index.items())


def _fresh_index(
    family: task_lib.TaskFamily, found: Mapping[str, pathlib.Path], index: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The index of the files that are there, and the problems of those that cannot be read."""
    reader = fingerprint_lib.function_fingerprint(family.read_metadata)
    entries = {}
    for name, file in found.items():
        size, time_ns = files.size_and_time(epath.Path(file))
        entries[name] = {
            "file": os.fspath(file),
            "size": size,
            "mtime_ns": time_ns,
            "read_metadata": reader,  # the metadata is what this function made of the file
        }
    metadata = {
        name: entry["metadata"]
        for name, entry in index.items()
        if entries.get(name) == {key: entry[key] for key in entry if key != "metadata"}
    }
    errors = []
    with concurrent.futures.ThreadPoolExecutor(_INDEX_THREADS) as pool:
        stale = [name for name in found if name not in metadata]
        reads = {name: pool.submit(family.read_metadata, found[name]) for name in stale}
        for name, read in reads.items():
            try:
                # As the index gives it back: a tuple would be a list the next time.
                metadata[name] = json.loads(json.dumps(read.result()))
            except Exception as error:  # the file may be anything; it is named and the others go on
                errors.append(f"Family {family.name!r}: {found[name]} cannot be read: {error!r}.")
    return {
        name: {**entries[name], "metadata": metadata[name]} for name in sorted(metadata)
    }, errors


def _read_index(path: epath.Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}


def _write_index(path: epath.Path, index: dict[str, Any]) -> None:
    try:
        atomic.write_text(path, json.dumps(index, ensure_ascii=False))
    except OSError as error:  # a store for reading only: the next start reads the same files again
        logging.warning("The index %s cannot be written: %s", path, error)
