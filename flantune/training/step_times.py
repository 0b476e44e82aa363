"""How long steps take, and how long of it the devices wait for data. No step is waited for.

A thread waits for each step's results and notes the time, so the host can run ahead. A step lasts from the end of the one
before to its own end. Of that, the data wait is the time in which this process still takes or places the step's batch,
while its devices have nothing left to do:

    step k - 1 on the devices   |=========|                 |===== step k =====|
    batch k on the host               |---------------------|
    data wait of step k                   |=================|

While the devices still work on the step before, taking a batch costs nothing and counts nothing. The rest of a step is
its compute: kernels, communication, and the host where it is late for another reason. With several processes, the time
that one waits for another's data is compute of the first. The thread may notice an end up to 5 ms late, when other Python
code runs (`sys.getswitchinterval`): of steps that are about as short, only the sum is right.
"""

from collections.abc import Iterator
from concurrent import futures
import contextlib
import dataclasses
import time
from typing import Protocol, runtime_checkable


@runtime_checkable
class Result(Protocol):
    """Anything that a step computes: a `jax.Array`."""

    def block_until_ready(self) -> object:
        """Waits until the step is done."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepTime:
    """What a step took, in seconds: all of it, and of that the wait for data."""

    total_s: float
    data_wait_s: float


@dataclasses.dataclass(frozen=True)
class Running:
    """A step that is on its way: when its batch was taken and placed, from and to, and when it will be done."""

    fetched: tuple[float, float]
    done: "futures.Future[float]"


class StepTimes:
    """Times the steps of a run, in their order: `fetching`, `start`, and later `finish` for each."""

    def __init__(self) -> None:
        self._watcher = futures.ThreadPoolExecutor(1, "step-times")
        self._fetched: tuple[float, float] | None = None
        self._before: float | None = None

    @contextlib.contextmanager
    def fetching(self) -> Iterator[None]:
        """Around taking and placing the next step's batch."""
        start = time.monotonic()
        yield
        self._fetched = (start, time.monotonic())

    def start(self, result: Result) -> Running:
        """A step that has been given to the devices."""
        fetched, self._fetched = self._fetched or (0.0, 0.0), None
        return Running(fetched, self._watcher.submit(_time_of, result))

    def finish(self, step: Running) -> StepTime | None:
        """What it took, waiting for its end; None for the first step, which compiles."""
        done, before = step.done.result(), self._before
        self._before = done
        if before is None:
            return None
        start, end = step.fetched
        return StepTime(total_s=done - before, data_wait_s=max(0.0, end - max(start, before)))

    def skip(self) -> None:
        """Leaves out the time since the last step: there was a pause."""
        self._before = None if self._before is None else time.monotonic()

    def close(self) -> None:
        """Ends the thread once the steps on their way are done."""
        self._watcher.shutdown(wait=False)


def _time_of(result: Result) -> float:
    result.block_until_ready()
    return time.monotonic()
