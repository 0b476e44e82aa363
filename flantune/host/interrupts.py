"""Ctrl-C in words: `during` names the part of a job that it broke, and a command adds how to go on.

How training ends on a signal without being broken is in `training/preemption.py`.
"""

from collections.abc import Iterator
import contextlib


class Interrupted(KeyboardInterrupt):
    """A Ctrl-C whose text says what it broke, and, once a command has added it, how to go on."""


@contextlib.contextmanager
def during(what: str) -> Iterator[None]:
    """While it runs, a Ctrl-C is an `Interrupted` with the text "Stopped in WHAT."; the innermost part counts."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as interrupt:
        raise Interrupted(f"Stopped in {what}.") from interrupt
