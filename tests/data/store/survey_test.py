"""What a survey finds in a store: whole splits, damage, and what killed processes leave."""

import fcntl
import os

import pytest

from flantune import testing
from flantune.data.store import survey as survey_lib

ROWS = [{"text": f"{n}", "answer": "a"} for n in range(3)]


@pytest.fixture
def root(tmp_path):
    tasks = [testing.make_task(f"s:{name}", {"train": ROWS, "test": ROWS}) for name in "ab"]
    testing.prepare(tasks, tmp_path / "store")
    return tmp_path / "store"


def test_a_whole_store(root):
    found = survey_lib.survey(root)
    files = [path for path in root.rglob("*.arrayrecord")]
    assert found == survey_lib.Survey(
        splits=4,
        bytes=sum(path.stat().st_size for path in files),
        unreadable=(),
        damaged=(),
        in_work=(),
        left_behind=(),
    )


def test_damage_and_leftovers_are_told_apart_and_nothing_changes(root):
    (rows,) = (root / "s/a/train").glob("*.arrayrecord")
    rows.write_bytes(rows.read_bytes()[:-1])
    (root / "s/a/test/manifest.json").write_text("{}")
    (root / "s/b/test/manifest.json").unlink()
    (root / "s/b/validation.partial").mkdir()
    (root / "s/b/train.old-0123").mkdir()
    (root / "s/.index.json.0123.tmp").write_text("")
    (root / "s/b/train/.manifest.json.0123.tmp").write_text("")
    before = sorted(root.rglob("*"))
    found = survey_lib.survey(root)
    assert found.splits == 1
    assert found.damaged == ("s/a/train",)
    assert found.unreadable == ("s/a/test", "s/b/test")
    assert found.in_work == ()
    assert found.left_behind == (
        "s/.index.json.0123.tmp",
        "s/b/train.old-0123",
        "s/b/train/.manifest.json.0123.tmp",
        "s/b/validation.partial",
    )
    assert sorted(root.rglob("*")) == before


def test_a_split_that_a_process_prepares_now_is_in_work(root):
    (root / "s/b/validation.partial").mkdir()
    descriptor = os.open(root / "s/b/validation.partial", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        found = survey_lib.survey(root)
    finally:
        os.close(descriptor)
    assert found.in_work == ("s/b/validation.partial",)
    assert not found.left_behind
