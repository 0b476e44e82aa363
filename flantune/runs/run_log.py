"""The log of a run in its folder, `log.txt`: kept back until the run begins, so that a refused start leaves no trace."""

from collections.abc import Iterator
import contextlib
import logging as std_logging
import logging.handlers as std_handlers

from absl import logging
from etils import epath

from flantune.host import growing, own_records

FILE = "log.txt"


class _File(std_logging.StreamHandler[growing.Growing]):
    """A line that cannot be written stops nothing: `RunLog.close` says what is wrong, if it still is."""

    def handleError(self, record: std_logging.LogRecord) -> None:  # noqa: N802
        """Nothing."""


class RunLog:
    """What is logged until `open` is held; from then on it stands in the file, after what earlier starts wrote."""

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._file: growing.Growing | None = None
        self._held = std_handlers.MemoryHandler(
            capacity=2**31, flushLevel=std_logging.CRITICAL + 1, flushOnClose=False
        )
        self._held.addFilter(own_records.ours_or_warning)

    @property
    def handler(self) -> std_logging.Handler:
        """For the program's root logger."""
        return self._held

    def open(self) -> None:
        """Writes what was held, and from here on every line; in a bucket every `growing.REWRITE_EVERY_S`."""
        self._file = growing.open_growing(epath.Path(self._run_dir) / FILE)
        file = _File(self._file)
        file.setFormatter(std_logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._held.setTarget(file)
        self._held.flush()
        self._held.capacity = 1  # each line is written as it comes

    def close(self) -> None:
        """Closes the file, if it was opened."""
        self._held.close()
        if self._file is None:
            return
        try:
            self._file.close()
        except OSError as error:
            logging.warning("The end of the log could not be written: %s", error)


@contextlib.contextmanager
def kept(run_dir: str) -> Iterator[RunLog]:
    """Holds the program's log for a run folder."""
    log = RunLog(run_dir)
    root = std_logging.getLogger()
    root.addHandler(log.handler)
    try:
        yield log
    finally:
        root.removeHandler(log.handler)
        log.close()
