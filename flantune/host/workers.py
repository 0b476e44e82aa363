"""`run`: jobs in worker processes. A worker that dies costs its own job only, and none outlives its parent.

Workers are spawned, not forked: the caller may have threads (jax does). `concurrent.futures` would give up on all jobs
when one worker dies, and leave workers behind when the caller is killed.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import multiprocessing
from multiprocessing import connection, reduction
import os
import pickle
import signal
import threading
import traceback
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Crash:
    """A worker died on a job, without a Python error: out of memory, killed, or a fault in native code."""

    exit_code: int | None

    def __str__(self) -> str:
        code = self.exit_code
        if code is not None and code < 0:
            return f"its process was ended by {signal.Signals(-code).name} (out of memory?)"
        # Workers import the main script anew (spawn): unguarded, it would prepare again inside each of them.
        return f"its process ended with status {code} (a script that prepares needs if __name__ == '__main__')"


@dataclasses.dataclass(frozen=True)
class _Raised:
    """What `function` raised in a worker."""

    error: Exception


def run(
    function: Callable[[Job], Result], jobs: Sequence[Job], num_processes: int
) -> Iterator[tuple[int, Result | Crash]]:
    """The results of `function` on jobs, with the job's position, in the order in which they end.

    Args:
        function: a function of a module; it and its results must be picklable.
        num_processes: at most so many workers, at least 1.

    Raises:
        ValueError: fewer than one worker.
        Exception: what `function` raised, or that its result cannot be pickled; a note has the worker's traceback.

    Workers die when the caller closes the iterator, is interrupted or is killed.
    """
    if num_processes < 1:
        raise ValueError(
            f"num_processes must be a whole number of at least 1, not {num_processes}."
        )
    waiting = list(range(len(jobs)))[::-1]
    busy: dict[connection.Connection, tuple[_Worker[Job, Result], int]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < num_processes:
                _give(_Worker(function), busy, jobs, waiting)
            for ready in connection.wait(list(busy)):
                assert isinstance(ready, connection.Connection)
                worker, job = busy.pop(ready)
                try:
                    result: Result | Crash | _Raised = ready.recv()
                except (EOFError, ConnectionError):
                    result = worker.crash()
                else:
                    if waiting:
                        _give(worker, busy, jobs, waiting)
                    else:
                        worker.stop()
                if isinstance(result, _Raised):
                    raise result.error
                yield job, result
    finally:
        for worker, _ in busy.values():
            worker.stop()


class _Worker(Generic[Job, Result]):
    """A process that does one job after another."""

    def __init__(self, function: Callable[[Job], Result]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, function), daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe ends when the worker does

    def stop(self) -> None:
        self._process.terminate()
        self._process.join()
        self.pipe.close()

    def crash(self) -> Crash:
        self._process.join()
        self.pipe.close()
        return Crash(self._process.exitcode)


def _give(
    worker: _Worker[Job, Result],
    busy: dict[connection.Connection, tuple[_Worker[Job, Result], int]],
    jobs: Sequence[Job],
    waiting: list[int],
) -> None:
    job = waiting.pop()
    busy[worker.pipe] = (worker, job)
    with contextlib.suppress(ConnectionError):  # it died while it started: `recv` tells
        worker.pipe.send(jobs[job])


def _serve(pipe: connection.Connection, function: Callable[[Job], Result]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which stops us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send_bytes(_answer(function, job))


def _answer(function: Callable[[Job], Result], job: Job) -> bytes:
    """The pickled result, or what was raised instead; an error that cannot be pickled keeps its name and text."""
    try:
        return bytes(reduction.ForkingPickler.dumps(function(job)))
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        try:
            error.add_note(text)
            pickled = pickle.dumps(_Raised(error))
            pickle.loads(
                pickled
            )  # one whose class takes other arguments fails here, not in the parent
            return pickled
        except Exception:
            return pickle.dumps(_Raised(RuntimeError(f"{type(error).__name__}: {error}\n{text}")))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)  # in the middle of a job, whatever it waits for
