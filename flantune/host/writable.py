"""Whether a folder can be written: tried, not asked for, so that buckets and their permissions count too."""

import os
import pathlib
import uuid

from etils import epath


def check(folder: epath.PathLike) -> None:
    """Writes an object where a folder is, or would be made, and removes it; leaves nothing behind.

    Raises:
        OSError: it cannot be written; the sentence says why.
    """
    path = epath.Path(folder).expanduser()
    if "://" not in os.fspath(path):
        path = _nearest(pathlib.Path(path).absolute())
    probe = path / f".flantune-probe-{uuid.uuid4().hex}"
    try:
        probe.write_text("")
        probe.unlink()
    except Exception as error:  # whatever the bucket's own library raises
        said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
        raise OSError(f"{os.fspath(folder)} cannot be written: {said}") from error


def _nearest(folder: pathlib.Path) -> epath.Path:
    """The folder itself, or the one above it in which it would be made."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"{folder} cannot be written: {there} is a file.")
    return epath.Path(there)
