"""The stages of a job in its log: each is named with its time when it ends.

11:28:39 prepare: done in 18.8 s
"""

from collections.abc import Iterator
import contextlib
import time

from absl import logging


class Stage:
    """A part of a job, which begins when this is made. One that an error ends has no line."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()

    def end(self) -> None:
        """Logs the stage and its time."""
        logging.info("%s: done in %s", self._name, duration(time.monotonic() - self._began))


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """What happens inside is a stage."""
    running = Stage(name)
    yield
    running.end()


def duration(seconds: float) -> str:
    """Example: `duration(75.2)` is "1 min 15 s", `duration(7.52)` is "7.5 s"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
