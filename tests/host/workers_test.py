"""Errors of worker processes reach the caller as they are."""

import errno
import os
import time

import pytest

from flantune.host import places, workers


class OddError(Exception):
    """Cannot be unpickled: pickle calls it with one argument."""

    def __init__(self, place, problem):
        super().__init__(f"{place}: {problem}")


def work(job):
    if job == "full":
        with places.writing("The store S"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if job == "odd":
        raise OddError("here", "broken")
    if job == "lambda":
        return lambda: None
    if job == "wait":
        time.sleep(600)
    return job.upper()


def test_what_a_job_raises_is_raised_here_and_the_other_workers_end(capfd):
    start = time.monotonic()
    with pytest.raises(places.PlaceError, match="S cannot be written: no space left") as raised:
        list(workers.run(work, ["full", "wait"], 2))
    assert time.monotonic() - start < 60
    assert "in work" in "".join(raised.value.__notes__)  # --debug shows the worker's traceback
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("job", "expected"), [("odd", "OddError: here: broken"), ("lambda", "lambda")]
)
def test_what_cannot_be_pickled_is_told_in_its_words(job, expected):
    with pytest.raises(Exception, match=expected):
        list(workers.run(work, [job], 1))


def test_results_come_with_the_place_of_their_job():
    assert sorted(workers.run(work, ["a", "b", "c"], 2)) == [(0, "A"), (1, "B"), (2, "C")]
