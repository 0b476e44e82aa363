"""The log of a run in its folder: nothing before the run begins, then everything since its start."""

from absl import logging
from etils import epath
import pytest

from flantune.host import own_records
from flantune.runs import run_log


@pytest.fixture(autouse=True)
def our_lines(monkeypatch):
    """Lines of this file count as ours."""
    logging.set_verbosity(logging.INFO)
    monkeypatch.setattr(own_records, "_OWN", own_records.pathlib.Path(__file__).parent)


def lines(file):
    return [line.split(" ", 2)[2] for line in file.read_text().splitlines()]


def test_lines_are_held_until_the_run_begins(tmp_path):
    folder = tmp_path / "deep" / "run"
    with run_log.kept(str(folder)) as log:
        logging.info("one")
        assert not folder.exists()
        log.open()
        logging.warning("two")
        assert lines(folder / run_log.FILE) == ["INFO one", "WARNING two"]
    logging.info("after it")
    with run_log.kept(str(folder)) as log:
        log.open()
        logging.info("three")
    assert lines(folder / run_log.FILE) == ["INFO one", "WARNING two", "INFO three"]


def test_a_start_that_is_refused_leaves_no_line(tmp_path):
    def start():
        with run_log.kept(str(tmp_path / "run")):
            logging.info("one")
            raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        start()
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("memory_bucket")
def test_a_run_in_a_bucket_has_its_log_there():
    for word in ("one", "two"):
        with run_log.kept("gs://b/run") as log:
            logging.info(word)
            log.open()
    assert lines(epath.Path("gs://b/run") / run_log.FILE) == ["INFO one", "INFO two"]
