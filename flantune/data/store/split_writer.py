"""`prepare_split`: one split of one task into ArrayRecord shards, resumable, in one step visible to readers.

    <split>.partial/   key.json   part-00000.arrayrecord  part-00000.json ...   shards that are finished, and where each
                                                                               one ends in the source
    <split>/           part-00000-of-00002.arrayrecord ...  manifest.json       the same files, after one rename

The folder `<split>.partial` is locked while it is written. `prepare.py` decides what to prepare; `shard_writer.py` fills
the folder.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import fcntl
import os
import pathlib
import pickle
import shutil
import time
import uuid

from absl import logging
from etils import epath

from flantune.data import task_modules
from flantune.data.store import (
    manifest as manifest_lib,
    reader as store_lib,
    shard_writer,
    split_job,
)
from flantune.data.store.manifest import Manifest
from flantune.data.store.split_job import SplitJob, SplitResult
from flantune.host import atomic, places


def prepare_batch(jobs: list[bytes]) -> list[SplitResult | None]:
    """Results of pickled jobs; None for one that cannot be unpickled here.

    Raises:
        PlaceError: the store cannot be written.
    """
    task_modules.join()
    results: list[SplitResult | None] = []
    for data in jobs:
        try:
            job = pickle.loads(data)
        except (
            Exception
        ):  # whatever its module raises: the caller prepares it itself and meets the error
            results.append(None)
        else:
            results.append(prepare_split(job))
    return results


def prepare_split(job: SplitJob) -> SplitResult:
    """Prepares a split unless its content is already in the store; never raises for what a source or task does.

    Raises:
        PlaceError: the store cannot be written. Shards that are finished stay, for the next call.
    """
    started = time.monotonic()
    try:
        store = store_lib.Store(job.root)
        directory = pathlib.Path(store.split_dir(job.task, job.split))
        with _claimed(store, directory.with_name(f"{job.split}.partial")) as partial:
            return _prepare_claimed(job, directory, partial, started)
    except places.PlaceError:
        raise  # the same for every split
    except Exception as error:  # one broken source never blocks the others
        return split_job.failed(job.task, job.split, error, time.monotonic() - started)


def is_intact(directory: epath.PathLike, manifest: Manifest) -> bool:
    """Whether all shards are there, as large as they were written."""
    try:
        for shard in manifest.shards:
            store_lib.check_shard(os.path.join(directory, shard.file), shard)
    except ValueError:
        return False
    return True


def _prepare_claimed(
    job: SplitJob, directory: pathlib.Path, partial: pathlib.Path, started: float
) -> SplitResult:
    manifest = _still_good(job, directory)
    if (
        manifest is not None
    ):  # another process prepared it while we waited, or only file times changed
        with store_lib.Store(job.root).writing():
            shutil.rmtree(partial)
        split_job.check_malformed(job, manifest)
        return split_job.succeeded(manifest, "fresh", time.monotonic() - started)
    try:
        manifest = _finished(job, partial) or shard_writer.ShardWriter(job, partial).run()
    except places.PlaceError:
        raise
    except Exception:
        shutil.rmtree(
            partial
        )  # to go on, the source or the task must change; then these shards are of no use
        raise
    with store_lib.Store(job.root).writing():
        _swap(partial, directory)
    return split_job.succeeded(manifest, "prepared", time.monotonic() - started)


def _still_good(job: SplitJob, directory: pathlib.Path) -> Manifest | None:
    """The manifest in place, where source files and `to_fields` have the content that it was made from."""
    manifest = store_lib.Store(job.root).manifest(job.task, job.split)
    if (
        manifest is None
        or manifest.to_fields_fingerprint != job.to_fields_fingerprint
        or not is_intact(directory, manifest)
    ):
        return None
    if manifest.source_fingerprint != job.source_fingerprint:
        content = job.content_sha256()
        if content is None or content != manifest.content_sha256:
            return None
        manifest = dataclasses.replace(manifest, source_fingerprint=job.source_fingerprint)
        with store_lib.Store(job.root).writing():
            atomic.write_text(directory / manifest_lib.FILE_NAME, manifest.to_json())
    return manifest


def _finished(job: SplitJob, partial: pathlib.Path) -> Manifest | None:
    """The manifest of a partial folder that was complete when its process died."""
    try:
        manifest = Manifest.from_json((partial / manifest_lib.FILE_NAME).read_text())
    except (FileNotFoundError, ValueError):
        return None
    same = (manifest.source_fingerprint, manifest.to_fields_fingerprint) == (
        job.source_fingerprint,
        job.to_fields_fingerprint,
    )
    known = job.source_fingerprint is not None and same
    return manifest if known and is_intact(partial, manifest) else None


@contextlib.contextmanager
def _claimed(store: store_lib.Store, partial: pathlib.Path) -> Iterator[pathlib.Path]:
    """The partial folder, made and locked; waits where another process holds it. The lock ends with its holder."""
    while True:
        with store.writing():
            descriptor = _opened(partial)
        if descriptor is None:
            continue
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logging.info("Waiting for another process that prepares %s", partial)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_same_folder(descriptor, partial):
                yield partial
                return
        finally:
            os.close(descriptor)


def _opened(partial: pathlib.Path) -> int | None:
    """The folder, made where it is not there; None where another process finished with it at the same moment."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        partial.mkdir()
    try:
        return os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        if partial.is_symlink():  # to nothing, and so for ever
            raise
        return None


def _is_same_folder(descriptor: int, path: pathlib.Path) -> bool:
    """False where the folder was renamed or removed while we waited for its lock."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _swap(partial: pathlib.Path, directory: pathlib.Path) -> None:
    """Puts a complete partial folder in place of the old one."""
    shard_writer.remove_records(partial)
    if directory.exists():
        directory.rename(directory.with_name(f"{directory.name}.old-{uuid.uuid4().hex}"))
    partial.rename(directory)
    for old in directory.parent.glob(f"{directory.name}.old-*"):
        shutil.rmtree(old)
