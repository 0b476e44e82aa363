"""Which lines of the log are a run's: ours, and the warnings of other packages, which report every file they touch."""

from collections.abc import Iterator
import contextlib
import logging
import pathlib

from absl import logging as absl_logging

_OWN = pathlib.Path(__file__).parent.parent


def ours_or_warning(record: logging.LogRecord) -> bool:
    """A filter of log records."""
    return record.levelno >= logging.WARNING or _OWN in pathlib.Path(record.pathname).parents


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Lets the lines of a run through, as the command line does, in a program that shows warnings alone."""
    logger, verbosity = absl_logging.get_absl_logger(), absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.INFO)
    logger.addFilter(ours_or_warning)
    try:
        yield
    finally:
        logger.removeFilter(ours_or_warning)
        absl_logging.set_verbosity(verbosity)
