"""The log of a command: which lines it has, how a line looks, and where lines go. `cli.py` sets it up.

Results go to standard output, and are no part of it.
"""

import logging as std_logging
import sys
from typing import TextIO

from absl import flags, logging

from flantune.host import own_records


def to_stderr(debug: bool) -> None:
    """Sends the log to standard error, and nowhere else."""
    flags.FLAGS.mark_as_parsed()  # absl's flags are not ours; other packages warn where nobody parsed them
    logging.set_verbosity(logging.DEBUG if debug else logging.INFO)
    root = std_logging.getLogger()
    # absl's handler writes a line twice where something stands in for sys.stderr, as a progress bar does.
    for handler in list(root.handlers):
        if isinstance(handler, StandardError | logging.ABSLHandler):
            root.removeHandler(handler)
    root.addHandler(StandardError())


class StandardError(std_logging.Handler):
    """Writes to what `sys.stderr` is at the moment: while a bar is shown, something that keeps lines above it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(_Marked())
        self.addFilter(own_records.ours_or_warning)

    def emit(self, record: std_logging.LogRecord) -> None:
        """Writes a line."""
        try:
            stream: TextIO = sys.stderr
            stream.write(self.format(record) + "\n")
            stream.flush()
        except (
            Exception
        ):  # as logging.StreamHandler does: a log that cannot be written stops nothing
            self.handleError(record)


class _Marked(std_logging.Formatter):
    """Time and message; what is more than information says so: "11:28:39 warning: ..."."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(mark)s%(message)s", "%H:%M:%S")

    def format(self, record: std_logging.LogRecord) -> str:
        """The line of a record."""
        is_marked = record.levelno >= std_logging.WARNING
        record.mark = f"{record.levelname.lower()}: " if is_marked else ""
        return super().format(record)
