"""The log of a run in its folder, `log.txt`: kept back until the run begins, so that a refused start leaves no trace."""

from collections.abc import Iterator
import contextlib
import logging as std_logging
import logging.handlers
import pathlib

from flantune.host import own_records

FILE = "log.txt"


class RunLog:
    """What is logged until `open` is held; from then on it stands in the file, after what earlier starts wrote."""

    def __init__(self, run_dir: str) -> None:
        self._run_dir = run_dir
        self._held = logging.handlers.MemoryHandler(
            capacity=2**31, flushLevel=std_logging.CRITICAL + 1, flushOnClose=False
        )
        self._held.addFilter(own_records.ours_or_warning)

    @property
    def handler(self) -> std_logging.Handler:
        """For the program's root logger."""
        return self._held

    def open(self) -> None:
        """Writes what was held, and from here on every line; a bucket takes no appending, so there it stays unwritten."""
        if "://" in self._run_dir:
            return
        folder = pathlib.Path(self._run_dir)
        folder.mkdir(parents=True, exist_ok=True)
        file = std_logging.FileHandler(folder / FILE, encoding="utf-8", errors="backslashreplace")
        file.setFormatter(std_logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._held.setTarget(file)
        self._held.flush()
        self._held.capacity = 1  # each line is written as it comes

    def close(self) -> None:
        """Closes the file, if it was opened."""
        target = self._held.target
        self._held.close()
        if target is not None:
            target.close()


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
