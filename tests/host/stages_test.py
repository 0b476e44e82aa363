"""Stages in the log: named, with their time, when they end."""

from absl import logging
import pytest

from flantune.host import stages


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (7.52, "7.5 s"),
        (59.96, "1 min 00 s"),
        (75.2, "1 min 15 s"),
        (7384.0, "2 h 03 min"),
    ],
)
def test_durations_are_short(seconds, text):
    assert stages.duration(seconds) == text


def test_a_stage_that_an_error_ends_has_no_line(caplog):
    logging.set_verbosity(logging.INFO)
    with stages.stage("first"):
        pass
    with pytest.raises(ValueError, match="no"), stages.stage("second"):
        raise ValueError("no")
    assert [record.getMessage() for record in caplog.records] == ["first: done in 0.0 s"]
