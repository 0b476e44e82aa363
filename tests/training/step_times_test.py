"""What a step takes, and how much of it the device waits for data."""

import threading
import types

import pytest

from flantune.training import step_times


class _Result:
    """What a step computes; it is ready when the test says so."""

    def __init__(self):
        self._ready = threading.Event()

    def block_until_ready(self):
        assert self._ready.wait(10)

    def be_ready(self, running):
        """Lets the step end, and waits until its time is noted."""
        self._ready.set()
        running.done.result(10)


@pytest.fixture
def clock(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    stub = types.SimpleNamespace(monotonic=lambda: clock.now)
    monkeypatch.setattr(step_times, "time", stub)
    return clock


def test_only_waiting_with_nothing_on_the_device_is_data_wait(clock):
    times = step_times.StepTimes()
    results = [_Result() for _ in range(4)]
    with times.fetching():
        clock.now = 1.0
    first = times.start(results[0])
    with times.fetching():  # from 1 to 9, and the first step ends at 5
        clock.now = 5.0
        results[0].be_ready(first)
        clock.now = 9.0
    assert times.finish(first) is None  # it compiled
    second = times.start(results[1])
    with times.fetching():  # from 9 to 11, and the second step ends at 12
        clock.now = 11.0
    third = times.start(results[2])
    clock.now = 12.0
    results[1].be_ready(second)
    assert times.finish(second) == step_times.StepTime(total_s=7.0, data_wait_s=4.0)
    clock.now = 15.0
    results[2].be_ready(third)
    assert times.finish(third) == step_times.StepTime(total_s=3.0, data_wait_s=0.0)
    with times.fetching():  # all of it with an idle device; the host then takes a second of its own
        clock.now = 17.0
    clock.now = 18.0
    fourth = times.start(results[3])
    clock.now = 20.0
    results[3].be_ready(fourth)
    assert times.finish(fourth) == step_times.StepTime(total_s=5.0, data_wait_s=2.0)
    times.close()


def test_a_pause_counts_for_no_step(clock):
    times = step_times.StepTimes()
    for start, wait in ((0.0, None), (100.0, 1.0)):
        clock.now = start
        times.skip()
        with times.fetching():
            clock.now += 1.0
        result = _Result()
        running = times.start(result)
        clock.now += 2.0
        result.be_ready(running)
        found = times.finish(running)
        assert found == (wait and step_times.StepTime(total_s=3.0, data_wait_s=wait))
    times.close()
