"""Signals are kept for the end of a step, and handlers come back afterwards."""

import os
import signal
import threading

import pytest

from flantune.training import preemption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_to_be_asked_for(number):
    before = signal.getsignal(number)
    with preemption.stop_requests() as request:
        assert not request.is_due(1)
        os.kill(os.getpid(), number)
        assert request.is_due(2)
        assert request.is_due(3)
        assert request.name == number.name
    assert signal.getsignal(number) == before


def test_a_second_interrupt_breaks():
    with preemption.stop_requests() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.is_due(1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_second_notice_of_preemption_changes_nothing():
    with preemption.stop_requests() as request:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
        assert request.is_due(1)


def test_another_thread_than_the_main_one_leaves_signals_alone():
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def run():
        with preemption.stop_requests() as request:
            found.append((request.is_due(1), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(False, before)]
