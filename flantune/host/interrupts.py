"""Ctrl-C in words: `during` names the part of a job that it broke, and a command adds how to go on.

How training ends on a signal without being broken is in `training/preemption.py`.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import signal
import threading
from types import FrameType

STATUS = 130  # of a program that Ctrl-C ended: 128 and the signal's number
_IMPORT = "<frozen importlib"  # the file of the frames that import
_GC_CALLBACK = "_xla_gc_callback"  # JAX's
_AGAIN_S = 0.05  # a Ctrl-C that waits asks again
_PRESSED: list[int] = []  # signals since `remember`


class Interrupted(KeyboardInterrupt):
    """A Ctrl-C whose text says what it broke, and, once a command has added it, how to go on."""


def remember() -> Callable[[], bool]:
    """From now on Ctrl-C waits for imports to end, and is remembered; the result says whether it was pressed.

    Raised inside an import, it can crash an extension module that is half initialised, or become another error, as in
    NumPy. In a callback of the garbage collector, such as JAX's, it is lost.
    """
    _PRESSED.clear()
    again: threading.Timer | None = None

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal again
        _PRESSED.append(number)
        if not _must_wait(frame):
            signal.default_int_handler(number, frame)
        if again is None or not again.is_alive():  # pressed twice, it still comes once
            again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody ignores it
        signal.signal(signal.SIGINT, interrupt)
    return lambda: bool(_PRESSED)


def _must_wait(frame: FrameType | None) -> bool:
    """Whether an import, or a callback of the garbage collector, is running in a frame."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_IMPORT) or code.co_name == _GC_CALLBACK:
            return True
        frame = frame.f_back
    return False


@contextlib.contextmanager
def during(what: str) -> Iterator[None]:
    """While it runs, a Ctrl-C is an `Interrupted` with the text "Stopped in WHAT."; the innermost part counts."""
    before = len(_PRESSED)
    try:
        yield
        if len(_PRESSED) > before:
            raise KeyboardInterrupt
    except Interrupted:
        raise
    except KeyboardInterrupt as interrupt:
        raise Interrupted(f"Stopped in {what}.") from interrupt
