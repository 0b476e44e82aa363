"""The record of a run's starts, and what differs between them."""

import time

import pytest

from flantune import run_folder
from flantune.run_folder import commit, restarts

FIRST = "configs.A.rate = 0.1\nconfigs.A.size = 3\n"
SECOND = "configs.A.rate = 0.2\nconfigs.A.size = 3\nconfigs.A.name = \\\n    'new'\n"


def _start(folder, step, text):
    """A start as training does it: recorded, then the config is replaced."""
    kept = restarts.files(folder, is_new=step == 0, step=step, devices="1 x cpu", config_text=text)
    commit.write(folder, {**kept, run_folder.CONFIG: text})


def test_each_start_is_kept_with_the_bindings_that_differ(tmp_path):
    begun = time.time()
    for step, text in ((0, FIRST), (40, SECOND), (60, SECOND), (80, FIRST)):
        _start(tmp_path, step, text)
    first, second, third, fourth = restarts.read(tmp_path)
    assert [start.step for start in (first, second, third, fourth)] == [0, 40, 60, 80]
    assert first.changed == third.changed == ()
    assert first.devices == "1 x cpu"
    assert begun - 1 <= first.time <= time.time() + 1
    rate = restarts.Change(name="configs.A.rate", before="0.1", after="0.2")
    assert second.changed == (
        restarts.Change(name="configs.A.name", before=None, after="'new'"),
        rate,
    )
    assert [(change.before, change.after) for change in fourth.changed] == [
        ("'new'", None),
        ("0.2", "0.1"),
    ]
    assert {path.name for path in tmp_path.iterdir()} == {run_folder.CONFIG, restarts.FILE}


def test_a_folder_without_a_record_has_no_starts(tmp_path):
    (tmp_path / run_folder.CONFIG).write_text(FIRST)
    assert restarts.read(tmp_path) == ()


def test_a_config_that_was_there_before_the_record_counts(tmp_path):
    (tmp_path / run_folder.CONFIG).write_text(FIRST)
    _start(tmp_path, 20, FIRST.replace("3", "4"))
    ((change,),) = [start.changed for start in restarts.read(tmp_path)]
    assert (change.name, change.before, change.after) == ("configs.A.size", "3", "4")


def test_a_line_that_cannot_be_read_is_named(tmp_path):
    _start(tmp_path, 0, FIRST)
    path = tmp_path / restarts.FILE
    path.write_text(path.read_text() + '{"step": 3}\n')
    with pytest.raises(ValueError, match=r"starts\.jsonl, line 2, cannot be read"):
        restarts.read(tmp_path)
