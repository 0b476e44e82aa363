"""Places in buckets: objects that are whole or not there, and what libraries say about them, once."""

import logging
import os
import time

from etils import epath
import pytest

from flantune.host import atomic, buckets, growing, places


def test_an_object_is_written_once_under_its_own_name(memory_bucket):
    atomic.write_text("gs://b/run/config.gin", ["one\n", "two\n"])
    atomic.write_bytes("gs://b/run/raw", b"\0")
    assert sorted(memory_bucket.store) == ["gs://b/run/config.gin", "gs://b/run/raw"]
    assert epath.Path("gs://b/run/config.gin").read_text() == "one\ntwo\n"


def test_an_error_on_the_way_leaves_the_former_object(memory_bucket):
    def parts():
        yield "half"
        raise KeyError("gone")

    atomic.write_text("gs://b/file", "whole")
    with pytest.raises(KeyError):
        atomic.write_text("gs://b/file", parts())
    assert epath.Path("gs://b/file").read_text() == "whole"


def test_what_a_library_raises_is_a_sentence_with_the_place(memory_bucket, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("Forbidden\nby the owner.")

    monkeypatch.setattr(memory_bucket, "pipe_file", refuse)
    with pytest.raises(
        places.PlaceError, match=r"^gs://b/file cannot be written: Forbidden by the owner\.$"
    ):
        atomic.write_text("gs://b/file", "x")


def test_a_bucket_is_an_absolute_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert os.fspath(buckets.absolute("gs://b/run")) == "gs://b/run"
    assert os.fspath(buckets.absolute("run")) == str(tmp_path / "run")


def test_a_line_of_a_library_is_logged_once(caplog):
    buckets.settle()
    logger = logging.getLogger("gcsfs")
    for _ in range(3):
        logger.warning("no %s", "credentials of this test")
    assert [one.getMessage() for one in caplog.records] == ["no credentials of this test"]


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_growing_object_is_written_in_the_background_and_at_the_end(memory_bucket, monkeypatch):
    monkeypatch.setattr(growing, "REWRITE_EVERY_S", 0.05)
    path = epath.Path("gs://b/log.txt")
    file = growing.open_growing(path)
    file.write("one\n")
    wait_for(path)
    assert path.read_text() == "one\n"
    file.write("two\n")
    file.close()
    assert path.read_text() == "one\ntwo\n"
    file = growing.open_growing(path)
    file.write("three\n")
    file.close()
    assert path.read_text() == "one\ntwo\nthree\n"


def test_what_went_wrong_in_the_background_is_raised_once_and_tried_again(
    memory_bucket, monkeypatch
):
    monkeypatch.setattr(growing, "REWRITE_EVERY_S", 0.05)
    real, failed = memory_bucket.pipe_file, []

    def fail_once(self, path, value, **options):
        if failed:
            return real(self, path, value, **options)
        failed.append(path)
        raise OSError("503")

    monkeypatch.setattr(memory_bucket, "pipe_file", fail_once)
    file = growing.open_growing("gs://b/metrics.jsonl")
    file.write("one\n")
    wait_for(epath.Path("gs://b/metrics.jsonl"))
    with pytest.raises(places.PlaceError, match=r"metrics\.jsonl cannot be written: 503\."):
        file.write("two\n")
    file.close()
    assert epath.Path("gs://b/metrics.jsonl").read_text() == "one\ntwo\n"
