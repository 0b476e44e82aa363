"""`ShardWriter`: the rows of a split's source, through `to_fields`, into ArrayRecord shards of a partial folder.

After each shard it leaves a record of where the shard ends in the source, from which a later process goes on.
`split_writer.py` owns the folder; `data/fields.py` checks rows.
"""

from collections.abc import Iterator
import dataclasses
import itertools
import json
import linecache
import os
import pathlib
import traceback
from typing import Any
import uuid

from absl import logging
from array_record.python import array_record_module
from etils import epath

import flantune
from flantune.data import fields as fields_lib, sources, task as task_lib
from flantune.data.sources import files, formats
from flantune.data.store import manifest as manifest_lib, reader as store_lib, split_job
from flantune.data.store.manifest import Malformed, Manifest, Shard
from flantune.data.store.split_job import SplitJob
from flantune.host import atomic

# One record a group: a random read decodes nothing else. zstd is ArrayRecord's default; it pays for long rows only.
_WRITER_OPTIONS = "group_size:1,zstd:3"
_KEY = "key.json"
_NUM_PROBLEMS_KEPT = 10
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class ShardWriter:
    """Reads the rest of a split's source into shards of a partial folder."""

    def __init__(self, job: SplitJob, partial: pathlib.Path) -> None:
        self._job = job
        self._partial = partial
        self._store = store_lib.Store(job.root)
        self._consumed = 0  # records of the source, good and bad
        self._dropped = 0
        self._malformed = 0
        self._problems: list[str] = []
        self._shards: list[Shard] = []
        self._checker = self._new_checker({})

    def run(self) -> Manifest:
        """Writes what is missing; the manifest of the whole.

        Raises:
            PlaceError: the store cannot be written.
        """
        with self._store.writing():
            self._resume()
        job = self._job
        records = itertools.islice(
            sources.records(job.source, job.split, job.data_dir), self._consumed, None
        )
        while self._write_shard(records):
            pass
        content_sha256 = job.content_sha256()
        if (
            content_sha256 is not None
            and job.source.fingerprint(job.split, job.data_dir) != job.source_fingerprint
        ):
            raise ValueError(
                f"The source of {job.task!r}, split {job.split!r}, changed while it was read; run flantune prepare "
                "again."
            )
        manifest = self._manifest(content_sha256)
        split_job.check_malformed(job, manifest)
        with self._store.writing():
            for number, (old, new) in enumerate(zip(self._shards, manifest.shards, strict=True)):
                assert old.file == _shard_name(number)
                (self._partial / old.file).rename(self._partial / new.file)
            path = epath.Path(self._partial / manifest_lib.FILE_NAME)
            atomic.write_text(path, manifest.to_json())
        return manifest

    def _resume(self) -> None:
        """Takes over the finished shards of an earlier process; clears away everything else."""
        path = self._partial / _KEY
        known = path.exists() and path.read_text() == self._key()
        if known and self._job.source_fingerprint is not None:
            while self._take_over(len(self._shards)):
                pass
        if self._shards:
            logging.info(
                "%s, split %s: %d finished shards kept",
                self._job.task,
                self._job.split,
                len(self._shards),
            )
        kept = {_KEY, *(shard.file for shard in self._shards)} if self._shards else set()
        kept |= {_record_name(number) for number in range(len(self._shards))}
        for entry in self._partial.iterdir():
            if entry.name not in kept:
                entry.unlink()

    def _key(self) -> str:
        """What another process must agree with to go on from these shards."""
        return json.dumps(
            [
                manifest_lib.FORMAT_VERSION,
                self._job.to_fields_fingerprint,
                self._job.source_fingerprint,
                self._job.rows_per_shard,
            ]
        )

    def _take_over(self, number: int) -> bool:
        record_path = self._partial / _record_name(number)
        found = sorted(self._partial.glob(f"part-{number:05d}*.arrayrecord"))
        if not record_path.exists() or not found:
            return False
        record = json.loads(record_path.read_text())
        path = found[0].rename(self._partial / _shard_name(number))
        shard = Shard(**record["shard"])
        if path.stat().st_size != shard.bytes:
            return False
        self._shards.append(shard)
        self._consumed, self._dropped = record["consumed"], record["dropped"]
        self._malformed, self._problems = record["malformed"], record["problems"]
        self._checker = self._new_checker(record["schema"])
        return True

    def _write_shard(self, records: Iterator[formats.Record]) -> bool:
        """Writes one shard under its final name, then its record; False where the source has ended.

        The last shard gets no record: the manifest follows at once, and small splits are many.
        """
        number = len(self._shards)
        temporary = self._partial / f"{_shard_name(number)}.{uuid.uuid4().hex}"
        writer, rows = None, 0
        try:
            for record in records:
                self._consumed += 1
                data = self._encoded(record)
                if data is None:
                    continue
                writer = writer or self._opened(temporary)
                writer.write(data)
                rows += 1
                if rows == self._job.rows_per_shard:
                    break
        finally:
            if writer is not None:
                self._close(writer, temporary)
        if not rows:
            return False
        is_full = rows == self._job.rows_per_shard
        with self._store.writing():
            self._finish_shard(temporary, rows)
            if is_full:
                self._write_record(number)
        return is_full

    def _opened(self, file: pathlib.Path) -> Any:  # array_record has no types
        with self._store.writing():
            return array_record_module.ArrayRecordWriter(os.fspath(file), _WRITER_OPTIONS)

    def _close(self, writer: Any, file: pathlib.Path) -> None:
        """Closes a shard; its writer works in a thread and tells only here that the disk was full."""
        with self._store.writing():
            try:
                writer.close()
            except RuntimeError:
                file.unlink(missing_ok=True)
                raise

    def _finish_shard(self, temporary: pathlib.Path, rows: int) -> None:
        stat = temporary.stat()
        sha256 = files.file_sha256(epath.Path(temporary), stat.st_size, stat.st_mtime_ns)
        name = _shard_name(len(self._shards))
        temporary.rename(self._partial / name)
        self._shards.append(Shard(file=name, rows=rows, bytes=stat.st_size, sha256=sha256))

    def _write_record(self, number: int) -> None:
        """Says where a shard ends in the source, under the key of all the shards here."""
        if number == 0:
            atomic.write_text(self._partial / _KEY, self._key())
        record = {
            "shard": dataclasses.asdict(self._shards[number]),
            "consumed": self._consumed,
            "dropped": self._dropped,
            "malformed": self._malformed,
            "problems": self._problems,
            "schema": self._checker.schema,
        }
        atomic.write_text(self._partial / _record_name(number), json.dumps(record))

    def _encoded(self, record: formats.Record) -> bytes | None:
        """The JSON of a record's fields; None where the row is malformed or dropped (counted)."""
        if record.row is None:
            self._add_malformed(record.where, record.problem)
            return None
        try:
            fields = self._job.to_fields(record.row)
        except Exception as error:  # the task's own code on a row that it did not expect
            self._add_malformed(record.where, _to_fields_problem(error, record.row))
            return None
        if fields is None:
            self._dropped += 1
            return None
        self._checker.check(fields, record.where)
        try:
            return _ENCODER.encode(dict(fields)).encode()
        except UnicodeEncodeError as error:
            self._add_malformed(record.where, f"no UTF-8 text: {error.reason}")
            return None

    def _add_malformed(self, where: str, problem: str) -> None:
        self._malformed += 1
        if len(self._problems) < _NUM_PROBLEMS_KEPT:
            self._problems.append(f"{where}: {problem}")

    def _manifest(self, content_sha256: str | None) -> Manifest:
        job = self._job
        return Manifest(
            task=job.task,
            split=job.split,
            source=json.loads(json.dumps(job.source.describe())),
            source_fingerprint=job.source_fingerprint,
            content_sha256=content_sha256,
            to_fields_fingerprint=job.to_fields_fingerprint,
            schema=self._checker.schema,
            rows=sum(shard.rows for shard in self._shards),
            dropped=self._dropped,
            malformed=Malformed(count=self._malformed, first=tuple(self._problems)),
            shards=tuple(
                dataclasses.replace(shard, file=_final_name(number, len(self._shards)))
                for number, shard in enumerate(self._shards)
            ),
            flantune_version=flantune.__version__,
            **job.facts,
        )

    def _new_checker(self, schema: dict[str, str]) -> fields_lib.FieldChecker:
        return fields_lib.FieldChecker(
            task=self._job.task,
            needed=self._job.needed_fields,
            known=self._job.known_fields,
            answer_choices=self._job.answer_choices,
            weight_field=self._job.weight_field,
            schema=schema,
        )


def remove_records(partial: pathlib.Path) -> None:
    """Removes what only the resuming of a partial folder needs."""
    for entry in partial.glob("part-?????.json"):
        entry.unlink()
    (partial / _KEY).unlink(missing_ok=True)


def _shard_name(number: int) -> str:
    return f"part-{number:05d}.arrayrecord"


def _final_name(number: int, count: int) -> str:
    return f"part-{number:05d}-of-{count:05d}.arrayrecord"


def _record_name(number: int) -> str:
    return f"part-{number:05d}.json"


def _to_fields_problem(error: Exception, row: task_lib.Row) -> str:
    has = f"; the row has {', '.join(map(repr, row))}" if isinstance(error, KeyError) else ""
    return f"to_fields raised {type(error).__name__}: {error}{has}{_raised_at(error)}"


def _raised_at(error: Exception) -> str:
    """Where in the task's module an error arose, and in which expression, which mostly names the field.

    Example: `, in int(row["stars"]) (my_tasks.py:9)`.
    """
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first one is ours
    if not frames:
        return ""  # `to_fields` is no Python function, such as `dict`
    frame = next(one for one in reversed(frames) if one.filename == frames[0].filename)
    line = linecache.getline(frame.filename, frame.lineno or 0).encode()  # columns count bytes
    end = frame.end_colno if frame.end_lineno == frame.lineno else None
    expression = line[frame.colno : end].decode(errors="replace").strip()
    return f", in {expression or frame.name} ({frame.filename}:{frame.lineno})"
