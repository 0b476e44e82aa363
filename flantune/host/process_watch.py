"""How a process of several ends when another one is gone, instead of waiting for it for ever.

Here: `Watch`. A collective whose other side is gone may never return. So threads listen to the coordination service, which
process 0 runs, and end the process with a sentence. `processes.py` makes it.
"""

import atexit
from collections.abc import Callable, Container
import contextlib
import ctypes
import os
import re
import signal
import socket
import sys
import threading
import time
from typing import Protocol, runtime_checkable

from absl import logging
import jax

from flantune.host import error_text

_WORD_KEY = "flantune/stopped"  # where a process that fails leaves its last sentence
_LISTEN_MS = 5_000
_LOOK_EVERY_S = 1.5
# A process that fails stays so long that the others can read its last sentence; one that reads it waits a little longer,
# since an error of all processes should be told by each as its own.
_STAY_S, _GRACE_S = 2.0, 2.5
# Process 0 may write reports for long after the others are done. One that has not left after the barrier is lost.
_END_KEY, _END_TIMEOUT_S = "flantune/end", 3600
_ABORT_WAIT_S = 40.0  # longer than the heartbeats of a lost process are waited for
_LEAVE_TIMEOUT_S, _LEAVE_EVERY_S = 10.0, 0.1
# How XLA reports a collective that failed, in errors of several types.
_COLLECTIVE_ERROR = re.compile(
    r"(UNKNOWN|UNAVAILABLE|INTERNAL|ABORTED|CANCELLED|DEADLINE_EXCEEDED|FAILED_PRECONDITION): "
)


@runtime_checkable
class Client(Protocol):
    """What is needed of JAX's client of the coordination service."""

    def blocking_key_value_get(self, key: str, timeout_in_ms: int) -> str: ...

    def key_value_set(self, key: str, value: str) -> None: ...

    def wait_at_barrier(self, barrier_id: str, timeout_in_ms: int) -> None: ...

    def get_live_nodes(self, process_ids: list[int]) -> Container[int]: ...


class Watch:
    """Listens for the loss or the last sentence of another process, and then ends this one."""

    def __init__(
        self,
        *,
        client: Client,
        coordinator_address: str,
        index: int,
        count: int,
        heartbeat_timeout_s: float,
        how_to_continue: Callable[[], str],
    ) -> None:
        """Args: this process is `index` of `count`; `how_to_continue` gives the end of the last sentence."""
        self._client = client
        self._coordinator_address = coordinator_address
        self._index, self._count = index, count
        self._heartbeat_timeout_s = heartbeat_timeout_s
        self._how_to_continue = how_to_continue
        self._over = threading.Event()  # all went well, or this process tells its own error
        self._threads: list[threading.Thread] = []
        self._heard = threading.Lock()  # taken by the thread that hears first, and kept

    def start(self) -> None:
        _set_abort_handler(ctypes.cast(_wait_in_abort, ctypes.c_void_p))
        listeners = [self._listen_for_word, self._look_for_loss]
        if self._index > 0:
            listeners.append(self._knock_at_first)
        self._threads = [threading.Thread(target=listen, daemon=True) for listen in listeners]
        for thread in self._threads:
            thread.start()

    def wait_for_all(self) -> None:
        """Waits until all processes are done, or one is lost: process 0, which runs the service, must not go first."""
        self._client.wait_at_barrier(_END_KEY, _END_TIMEOUT_S * 1000)

    def end(self) -> None:
        """Stops listening, and leaves the coordination service; process 0 leaves last."""
        self._over.set()
        if self._index == 0:
            self._wait_for_leave()
        # Here and not when the interpreter ends: it ends what the threads wait for, and they must not outlive Python.
        jax.distributed.shutdown()
        for thread in self._threads:
            thread.join()
        _set_abort_handler(None)

    def _wait_for_leave(self) -> None:
        others = list(range(1, self._count))
        last_s = time.monotonic() + _LEAVE_TIMEOUT_S
        while time.monotonic() < last_s:
            live = self._client.get_live_nodes([0, *others])
            if not any(index in live for index in others):
                return
            time.sleep(_LEAVE_EVERY_S)

    def leave(self, error: BaseException) -> None:
        """Tells the others of an error, and lets the interpreter end without them."""
        if _is_of_another(error):
            logging.error("Another process did not answer: %s", error_text.sentence(error)[:500])
            # The threads end the process as soon as it is known which one it was.
            time.sleep(self._heartbeat_timeout_s + 4 * _GRACE_S)
        self._over.set()
        what = error_text.sentence(error)[:500].removesuffix(".")
        word = f"Process {self._index} of {self._count} has stopped: {what}."
        self._tell(word)
        time.sleep(_STAY_S)
        # Comes before JAX's own clean-up, which would wait for the others, while they wait for this process.
        atexit.register(_exit, error_text.exit_status(error))

    def _tell(self, word: str) -> None:
        """Leaves the word for all; the first one counts, so that all tell the same loss and not those that follow it."""
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # another came first, or 0 is gone
            self._client.key_value_set(_WORD_KEY, word)

    def _listen_for_word(self) -> None:
        while not self._over.is_set():
            try:
                self._stop(self._client.blocking_key_value_get(_WORD_KEY, _LISTEN_MS))
            except jax.errors.JaxRuntimeError as error:
                if "DEADLINE_EXCEEDED" not in str(error):
                    self._stop(self._is_gone("Process 0"))

    def _look_for_loss(self) -> None:
        everyone = range(self._count)
        while not self._over.wait(_LOOK_EVERY_S):
            try:
                live = self._client.get_live_nodes(list(everyone))
            except jax.errors.JaxRuntimeError:
                return  # no service: the other thread knows why
            gone = [str(index) for index in everyone if index not in live]
            if gone:
                what = "Process" if len(gone) == 1 else "Processes"
                word = self._is_gone(f"{what} {', '.join(gone)}")
                self._tell(word)
                self._stop(word)

    def _knock_at_first(self) -> None:
        """Asks the port of the coordination service itself: an abort holds up all answers of JAX's client."""
        host, _, port = self._coordinator_address.rpartition(":")
        while not self._over.wait(_LOOK_EVERY_S):
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            except ConnectionRefusedError:
                self._stop(self._is_gone("Process 0"))
            except OSError as error:  # a busy network; heartbeats tell whether it is more
                logging.warning("Process 0 did not answer at once: %s.", error)

    def _is_gone(self, what: str) -> str:
        verb = "are" if what.startswith("Processes") else "is"
        return (
            f"{what} of {self._count} {verb} gone: killed, or on a machine that failed or cannot be "
            "reached."
        )

    def _stop(self, word: str) -> None:
        if not self._heard.acquire(blocking=False) or self._over.wait(_GRACE_S):
            return
        exit_with(f"{word} All processes stop. {self._how_to_continue()}")


def _is_of_another(error: BaseException | None) -> bool:
    """Whether a step or a save failed because another process did not take part in it."""
    while error is not None:
        if _COLLECTIVE_ERROR.match(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _wait_in_abort(number: int) -> None:
    """What SIGABRT calls while a `Watch` listens.

    Native code ends the process, without asking Python, where the coordination service is gone (JAX's client, for which
    `jax.distributed.initialize` takes no callback) and sometimes where a collective's other side is (Gloo). Waiting here
    gives the threads of `Watch` the time to say what has happened; without them the process aborts a little later.
    """
    logging.error(
        "Native code gives up, for the reason above; finding out whether a process is gone."
    )
    time.sleep(_ABORT_WAIT_S)


def _set_abort_handler(handler: ctypes.c_void_p | None) -> None:
    """Python's own handlers run in the main thread alone, which may never come back from native code. None: as at first."""
    set_handler = ctypes.CDLL(None).signal
    set_handler.argtypes = (ctypes.c_int, ctypes.c_void_p)
    set_handler.restype = ctypes.c_void_p
    set_handler(signal.SIGABRT, handler)


def exit_with(sentence: str) -> None:
    """Logs an error and ends the process, whatever its other threads wait for."""
    logging.error("%s", sentence)
    _exit(1)


def _exit(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)
