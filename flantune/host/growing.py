"""Text files that grow line by line: appended to on a disk; in a bucket, which takes no appending, written anew now and then."""

import io
import threading
from typing import Protocol, runtime_checkable

from etils import epath

from flantune.host import atomic, places

REWRITE_EVERY_S = 30.0  # of an object in a bucket: what a kill may cost


@runtime_checkable
class Growing(Protocol):
    """A file that is open for more."""

    def write(self, text: str) -> None:
        """Adds a text."""

    def close(self) -> None:
        """Nothing is added any more; all is written."""


def open_growing(file: epath.PathLike) -> Growing:
    """Opens a file after what it holds, or a new one."""
    path = epath.Path(file)
    if places.is_bucket(path):
        return _Rewritten(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return _Appended(path)


class _Appended:
    """A local file, flushed after each text."""

    def __init__(self, path: epath.Path) -> None:
        self._file = open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115

    def write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Rewritten:
    """An object, written anew in the background every `REWRITE_EVERY_S`, and at the end.

    Not while somebody writes: the libraries of buckets log from threads of their own, and would wait for a log that waits
    for them.
    """

    def __init__(self, path: epath.Path) -> None:
        self._path = path
        self._text = io.StringIO()
        self._text.write(path.read_text() if path.exists() else "")
        self._saved = self._text.tell()
        self._error: Exception | None = None
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._save_now_and_then, daemon=True)
        self._thread.start()

    def write(self, text: str) -> None:
        """Adds a text; raises what went wrong in the background, once: it is tried again."""
        self._text.write(text)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        self._is_closed.set()
        self._thread.join()
        self._save()

    def _save_now_and_then(self) -> None:
        while not self._is_closed.wait(REWRITE_EVERY_S):
            try:
                self._save()
            except OSError as error:
                self._error = error

    def _save(self) -> None:
        text = self._text.getvalue()
        if len(text) > self._saved:
            atomic.write_text(self._path, text)
            self._saved = len(text)
