"""Signals to stop: SIGTERM, as preemption, SLURM and Kubernetes send it, and SIGINT (Ctrl-C).

The step in progress ends and is saved before the run stops, on all processes after the same step. `trainer.py` asks
after every step.
"""

from collections.abc import Iterator
import contextlib
import os
import signal
import threading
from types import FrameType

from absl import logging
import jax
from jax.experimental import multihost_utils

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """Training has stopped on a signal; everything is saved, and the same command continues."""


class StopRequest:
    """Whether a signal has come, to this process or to any other of the run."""

    def __init__(self) -> None:
        self._signal: str | None = None

    @property
    def name(self) -> str:
        """Of the signal, as this process knows it."""
        return self._signal or "a signal to another process"

    def is_due(self, step: int) -> bool:
        """Whether to stop after this step. With several processes, all must ask after every step; all get one answer."""
        if jax.process_count() == 1:
            return self._signal is not None
        # The first step that no process has passed when the notice reaches it.
        return multihost_utils.reached_preemption_sync_point(step)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._signal = signal.Signals(number).name
        again = " Press Ctrl-C again to stop at once." if number == signal.SIGINT else ""
        logging.warning("%s: saving after this step.%s", self._signal, again)
        if jax.process_count() > 1 and number == signal.SIGINT:
            os.kill(
                os.getpid(), signal.SIGTERM
            )  # what JAX's notice to the other processes listens to


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """What tells that a signal has come, in place of breaking a step in the middle; a second Ctrl-C breaks.

    With several processes SIGTERM stays with JAX's preemption service, which tells all of them. Only a program's main
    thread can catch signals: elsewhere they do what they did before.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    caught = _SIGNALS if jax.process_count() == 1 else (signal.SIGINT,)
    before = {number: signal.signal(number, request._receive) for number in caught}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
