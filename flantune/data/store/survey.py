"""`survey`: what lies in a prepared store on a local disk, and what of it is damaged or was left behind."""

from collections.abc import Iterator
import dataclasses
import fcntl
import os
import pathlib

from flantune.data.store import manifest as manifest_lib, split_writer
from flantune.data.store.manifest import Manifest


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """What lies in a store; splits and leftovers as paths below its root.

    Attributes:
        splits: how many can be read.
        bytes: of their rows.
        unreadable: without a manifest, or with one of another format.
        damaged: with a row file that is missing or of another size than it was written with.
        in_work: being prepared now.
        left_behind: what a process that was killed has left; `flantune prepare` takes up a split where it is.
    """

    splits: int
    bytes: int
    unreadable: tuple[str, ...]
    damaged: tuple[str, ...]
    in_work: tuple[str, ...]
    left_behind: tuple[str, ...]


def survey(root: pathlib.Path) -> Survey:
    """Looks at every split's manifest and at the sizes of its files; opens no file of rows, and changes nothing."""
    splits = size = 0
    found: dict[str, list[str]] = {
        kind: [] for kind in ("unreadable", "damaged", "in_work", "left_behind")
    }
    for path in _entries(root):
        kind = _leftover(path)
        if kind is None:
            manifest = _manifest(path)
            if manifest is None:
                kind = "unreadable"
            elif not split_writer.is_intact(path, manifest):
                kind = "damaged"
            else:
                splits += 1
                size += sum(shard.bytes for shard in manifest.shards)
        if kind is not None:
            found[kind].append(path.relative_to(root).as_posix())
    return Survey(
        splits=splits, bytes=size, **{kind: tuple(sorted(paths)) for kind, paths in found.items()}
    )


def _entries(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Folders of splits, and temporary files and folders at any depth, named as `split_writer.py` and `host/atomic.py` do."""
    for folder, folders, files in os.walk(root):
        depth = len(pathlib.Path(folder).relative_to(root).parts)
        yield from (pathlib.Path(folder, name) for name in files if _is_temporary(name))
        if depth == 2:  # root/family/dataset
            yield from (pathlib.Path(folder, name) for name in folders)
        if depth == 3:
            folders.clear()


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


def _leftover(path: pathlib.Path) -> str | None:
    if _is_temporary(path.name) or ".old-" in path.name:
        return "left_behind"
    if path.name.endswith(".partial"):
        return "in_work" if _is_locked(path) else "left_behind"
    return None


def _is_locked(folder: pathlib.Path) -> bool:
    """Whether a process prepares into it: it holds the folder's lock as long as it lives."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # it was finished at this moment
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _manifest(path: pathlib.Path) -> Manifest | None:
    try:
        return Manifest.from_json((path / manifest_lib.FILE_NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
