"""The log of a command: each line once, warnings marked, other packages' chatter left out."""

import logging as std_logging
import re

from absl import logging
import pytest

from flantune.commands import log

BESIDE_A_BAR = """
from flantune.commands import log
from flantune.training import progress, sharding

log.to_stderr(debug=False)
bar = progress.Progress(0, 10)
bar.update(2, {"train/loss": 1.0, "train/accuracy": 0.5})
sharding.logging.warning("careful")
bar.close()
sharding.logging.warning("afterwards")
"""


@pytest.fixture(autouse=True)
def own_handlers(monkeypatch):
    """The root logger's handlers, for the time of a test."""
    monkeypatch.setattr(std_logging.getLogger(), "handlers", [])
    yield
    logging.set_verbosity(logging.WARNING)


def test_a_line_beside_a_bar_is_written_once(on_terminal):
    """absl 2.5 writes it to the terminal and to the bar's stand-in for it."""
    status, shown = on_terminal("-c", BESIDE_A_BAR)
    assert status == 0, shown
    assert re.findall(r"\d\d:\d\d:\d\d (warning: \w+)$", shown, re.MULTILINE) == [
        "warning: careful",
        "warning: afterwards",
    ]
    assert (shown.count("careful"), shown.count("afterwards")) == (1, 1)
    assert "step 2/10" in shown


def test_what_is_more_than_information_is_marked(capsys):
    log.to_stderr(debug=False)
    log.to_stderr(debug=False)  # a second command in this process
    for name in ("info", "warning", "error"):
        record = logging.get_absl_logger().makeRecord(
            "absl", getattr(std_logging, name.upper()), log.__file__, 1, "said", (), None
        )
        std_logging.getLogger().handle(record)
    said = [line[9:] for line in capsys.readouterr().err.splitlines()]
    assert said == ["said", "warning: said", "error: said"]


def test_other_packages_only_warn(capsys):
    log.to_stderr(debug=False)
    logging.info("a line of no module of flantune")
    logging.warning("a warning of another package")
    assert [line[9:] for line in capsys.readouterr().err.splitlines()] == [
        "warning: a warning of another package"
    ]
