"""Whether a place on disk can be written, and in words why not.

    why_not_writable("runs/link/mine")  ->  "runs/link is a link to /mnt/gone, which does not exist"
    why_not_writable("/proc/store")     ->  "/proc takes no files (no such file or directory)"

The answers are the end of a sentence: "The run folder X cannot be written: " + answer. A place need not exist: then its nearest
folder must take it. Only `check_writable` asks a bucket.
"""

from collections.abc import Iterator
import contextlib
import errno
import os
import pathlib
import re
import stat
import tempfile
from typing import TYPE_CHECKING
import uuid

if TYPE_CHECKING:
    from etils import epath

_PROBE = b"\0" * 4096  # a block: a full disk may still take a file without content


class PlaceError(OSError):
    """A place on disk that cannot be used. The text is a whole sentence that names it; the machine is at fault, not the input."""


def is_bucket(place: "epath.PathLike") -> bool:
    """Whether a path names a place in a bucket: "gs://bucket/run"."""
    return "://" in os.fspath(place)


def why_no_folder(place: str | os.PathLike[str]) -> str | None:
    """Why a place neither is a folder nor can become one, whatever its rights; None where it is or can.

    Finds a file, or a link to nothing, on the way.
    """
    found = _nearest(place)
    return found if isinstance(found, str) else None


def why_not_writable(place: str | os.PathLike[str]) -> str | None:
    """Why files cannot be made in a folder, or the folder itself cannot; None where they can.

    It writes a file that has no name and is gone at once: rights alone do not tell of a full or read-only disk, of root, of
    /proc.
    """
    found = _nearest(place)
    if found is None or isinstance(found, str):
        return found
    try:
        # A link is followed first: only a folder itself takes a file that never has a name.
        with tempfile.TemporaryFile(dir=found.resolve(), buffering=0) as probe:
            probe.write(_PROBE)
    except OSError as error:
        named = "it" if found == pathlib.Path(place).absolute() else found
        return f"{named} takes no files ({reason(error)})"
    return None


def check_writable(what: str, place: "epath.PathLike") -> None:
    """Raises PlaceError where files cannot be made in a folder, or the folder itself cannot: local or in a bucket.

    In a bucket an object is written and removed.

    Args:
        what: begins the sentence: "The run folder gs://bucket/run".
    """
    if not is_bucket(place):
        why = why_not_writable(place)
        if why is not None:
            raise PlaceError(f"{what} cannot be written: {why}.")
        return
    from etils import epath

    probe = epath.Path(place) / f".probe-{uuid.uuid4().hex}"
    try:
        probe.write_text("")
        probe.unlink()
    except Exception as error:  # whatever the bucket's own library raises
        said = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
        raise PlaceError(f"{what} cannot be written: {said}.") from error


def reason(error: BaseException) -> str:
    """The system's word for what went wrong: "no space left on device"; the error's text where it has none.

    Knows the errors of ArrayRecord's writer too, which quote the system: "write() failed: No space left on device; writing ...".
    """
    quoted = re.search(r"\w+\(\) failed: ([^;]+)", str(error))
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    elif quoted:
        text = quoted.group(1)
    else:
        return " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return text[:1].lower() + text[1:]


@contextlib.contextmanager
def writing(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Makes errors of the system one sentence: "WHAT cannot be written: permission denied in FOLDER."

    Args:
        what: names the place: "The run folder runs/mine".
        kinds: errors that mean the same beside OSError, as a library raises them.

    Raises:
        PlaceError: in place of those.
    """
    caught: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except PlaceError:
        raise
    except caught as error:
        raise PlaceError(f"{what} cannot be written: {_because(error)}.") from error


def _because(error: Exception) -> str:
    """The reason of an error and its folder; the file itself may be a temporary one, whose name tells nothing."""
    file = getattr(error, "filename", None)
    if not isinstance(file, str):
        return reason(error)
    in_the_way = isinstance(error, FileExistsError | FileNotFoundError | NotADirectoryError)
    return (in_the_way and why_no_folder(file)) or f"{reason(error)} in {os.path.dirname(file)}"


def _nearest(place: str | os.PathLike[str]) -> pathlib.Path | str | None:
    """The place where it is a folder, else the nearest folder above it; or why there is none. None: a bucket."""
    if is_bucket(place):
        return None
    path = pathlib.Path(place).absolute()
    for there in (path, *path.parents):
        try:
            mode = there.stat().st_mode
        except OSError as error:
            if error.errno == errno.ENOENT and there.is_symlink():
                return f"{there} is a link to {os.readlink(there)}, which does not exist"
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                return f"{there} cannot be reached ({reason(error)})"
        else:
            return there if stat.S_ISDIR(mode) else f"{there} is a file"
    raise AssertionError("the root of the file system is a folder")
