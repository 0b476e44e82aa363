"""What people see while a run trains: a bar on a terminal, lines in the log elsewhere."""

import io
import sys

from absl import logging
import pytest

from flantune.training import progress

VALUES = {
    "train/loss": 2.5,
    "train/accuracy": 0.25,
    "train/seconds_per_step": 0.5,
    "train/data_wait_seconds_per_step": 0.05,
    "train/tokens_per_second": 12345.6,
    "train/model_flops_utilisation": 0.412,
}
PARTS = ("loss 2.5000", "0.5 s a step", "12,346 tokens/s", "10 % data wait", "41.2 % MFU")


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _show(values):
    shown = progress.Progress(start_step=0, num_steps=100)
    shown.update(40, values)
    shown.close()


def test_a_terminal_gets_a_bar_with_loss_speed_and_time_left(monkeypatch, caplog):
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    _show(VALUES)
    for part in ("step 40/100", *PARTS, "0:00:30 left"):
        assert part in terminal.getvalue()
    assert not caplog.text


def test_what_was_found_out_stays_beside_the_bar_and_is_a_line_of_the_log(monkeypatch, caplog):
    logging.set_verbosity(logging.INFO)
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "250")
    shown = progress.Progress(start_step=0, num_steps=100)
    shown.update(40, VALUES)
    shown.tell(40, "seen exact_match 0.500")
    shown.update(60, VALUES)
    shown.close()
    assert caplog.messages == ["step 40/100  seen exact_match 0.500"]
    last = terminal.getvalue().rpartition("step 60/100")[2]
    for part in (*PARTS, "seen exact_match 0.500 (step 40)"):
        assert part in last


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (VALUES, ("step 40/100", *PARTS, "0:00:30 left")),
        ({"train/num_bad_steps": 3.0}, ("step 40/100  no step with a finite loss",)),
    ],
)
def test_the_log_gets_a_line_where_there_is_no_terminal(caplog, values, parts):
    logging.set_verbosity(logging.INFO)
    _show(values)
    for part in parts:
        assert part in caplog.text
