"""Places in buckets, gs:// and s3://: what an object store does otherwise than a disk, known in one place.

An object appears whole or not at all, so nothing is written under another name and renamed: that is a copy and a deletion.
What fsspec does otherwise than one would guess (versions 2026.9 and 2026.10):

- it remembers what a folder holds for good, and misses what other processes wrote since: `settle`;
- a file opened for writing and left by an exception is an object of what was written so far: `write`;
- gcsfs logs at each call what it lacks: `settle` lets each line through once;
- etils.epath takes TensorFlow where it is installed, which needs seconds and reads no s3://: `settle`.
"""

import importlib.util
import logging
import os
import sys
from typing import TYPE_CHECKING

from flantune.host import places

if TYPE_CHECKING:
    from etils import epath

_SETTINGS = {
    "FSSPEC_GCS_USE_LISTINGS_CACHE": "false",
    "FSSPEC_S3_USE_LISTINGS_CACHE": "false",
}
_SAID: set[str] = set()


def absolute(place: "epath.PathLike") -> "epath.Path":
    """The same path from the root; etils.epath would put a bucket below the current folder."""
    from etils import epath

    path = epath.Path(place)
    return path if places.is_bucket(path) else path.absolute()


def settle() -> None:
    """Settings of this process and of those that it starts; what the environment says already, stays.

    Called before anything opens a bucket.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if (
        importlib.util.find_spec("gcsfs") is not None
    ):  # else TensorFlow is all that reads gs:// here
        os.environ.setdefault("EPATH_USE_TF", "0")
    for name in ("gcsfs", "gcsfs.credentials"):
        logging.getLogger(name).addFilter(_not_yet_said)
    if "fsspec" in sys.modules:  # it has read the environment
        import fsspec.config

        fsspec.config.set_conf_env(fsspec.config.conf)


def _not_yet_said(record: logging.LogRecord) -> bool:
    """A filter of the records of a library that says the same at each call, such as which credentials it lacks."""
    text = record.getMessage()
    if text in _SAID:
        return False
    _SAID.add(text)
    return True


def write(place: "epath.PathLike", data: bytes) -> None:
    """Makes an object, or replaces it: readers see the former or all of `data`, whatever happens on the way.

    Raises:
        PlaceError: it cannot be written.
    """
    import fsspec

    try:
        filesystem, path = fsspec.url_to_fs(os.fspath(place))
        filesystem.pipe_file(path, data)
    except Exception as error:  # whatever the bucket's own library raises
        raise places.PlaceError(
            f"{os.fspath(place)} cannot be written: {places.reason(error)}."
        ) from error
