"""Which lines of the log are a run's: ours, and the warnings of other packages, which report every file they touch."""

import logging
import pathlib

_OWN = pathlib.Path(__file__).parent.parent


def ours_or_warning(record: logging.LogRecord) -> bool:
    """A filter of log records."""
    return record.levelno >= logging.WARNING or _OWN in pathlib.Path(record.pathname).parents
