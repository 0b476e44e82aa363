"""Places that cannot be written: why, in words, and that asking leaves nothing."""

import errno
import os
import pathlib
import pickle
import tempfile

import pytest

from flantune import cli
from flantune.host import error_text, places


@pytest.fixture
def spot(tmp_path):
    (tmp_path / "taken").write_text("")
    (tmp_path / "link").symlink_to("/nowhere/at all")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    (tmp_path / "good_link").symlink_to(tmp_path / "folder")
    return tmp_path


@pytest.mark.parametrize("place", ["folder", "folder/new/deep", "good_link", "good_link/new", ""])
def test_a_place_that_can_be_written_is_none_and_is_left_as_it_was(spot, place):
    before = sorted(spot.rglob("*"))
    assert places.why_no_folder(spot / place) is None
    assert places.why_not_writable(spot / place) is None
    assert sorted(spot.rglob("*")) == before


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("taken", "{}/taken is a file"),
        ("taken/x/y", "{}/taken is a file"),
        ("link", "{}/link is a link to /nowhere/at all, which does not exist"),
        ("link/x/y", "{}/link is a link to /nowhere/at all, which does not exist"),
        ("loop/x", "{}/loop/x cannot be reached (too many levels of symbolic links)"),
        ("n" * 300, "{}/" + "n" * 300 + " cannot be reached (file name too long)"),
    ],
)
def test_what_stands_in_the_way_is_named(spot, place, expected):
    assert places.why_no_folder(spot / place) == expected.format(spot)
    assert places.why_not_writable(str(spot / place)) == expected.format(spot)


def test_a_relative_place_is_named_in_full(spot, monkeypatch):
    monkeypatch.chdir(spot)
    assert places.why_not_writable("taken/x") == f"{spot}/taken is a file"


@pytest.mark.skipif(not pathlib.Path("/proc/self").exists(), reason="no /proc here")
def test_a_folder_that_lets_root_write_and_takes_no_file_is_found_out():
    assert places.why_no_folder("/proc/store") is None
    assert places.why_not_writable("/proc/store").startswith("/proc takes no files (")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only file system"),
        (errno.ENOSPC, "no space left on device"),
        (errno.EDQUOT, "disk quota exceeded"),
    ],
)
def test_the_systems_word_is_told(spot, monkeypatch, number, words):
    def refuse(**given):
        raise OSError(number, os.strerror(number), str(given["dir"]))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    expected = f"{spot}/folder takes no files ({words})"
    assert places.why_not_writable(spot / "folder" / "new").lower() == expected.lower()


def test_a_disk_that_takes_a_file_and_no_content_is_full(spot, monkeypatch):
    monkeypatch.setattr(
        tempfile,
        "TemporaryFile",
        lambda **_: open("/dev/full", "wb", buffering=0),  # noqa: SIM115
    )
    assert places.why_not_writable(spot) == "it takes no files (no space left on device)"


def test_a_bucket_is_not_asked():
    assert places.why_not_writable("gs://bucket/store") is None


def test_an_error_while_writing_is_one_sentence_that_names_the_place(spot):
    with (
        pytest.raises(places.PlaceError) as raised,
        places.writing("The prepared store S", RuntimeError),
    ):
        (spot / "taken" / "x" / "file").write_text("")
    expected = f"The prepared store S cannot be written: {spot}/taken is a file."
    assert str(raised.value) == expected
    with (
        pytest.raises(
            places.PlaceError, match=r"^S cannot be written: permission denied in /S/t\.$"
        ),
        places.writing("S"),
    ):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/S/t/.key.json.3f.tmp")
    with (
        pytest.raises(places.PlaceError, match=r"^S cannot be written: no space left on device"),
        places.writing("S", RuntimeError),
    ):
        raise RuntimeError(
            "write() failed: No space left on device; writing /S/a; at byte 9; Failed to close"
        )
    with pytest.raises(RuntimeError, match="mine"), places.writing("S"):
        raise RuntimeError("mine")


def test_such_an_error_comes_whole_out_of_another_process_and_ends_with_1():
    error = pickle.loads(pickle.dumps(places.PlaceError("S cannot be written: it is full.")))
    assert error_text.sentence(error) == "S cannot be written: it is full."
    assert error_text.exit_status(error) == 1


def test_a_raw_error_of_the_system_is_told_without_its_number(monkeypatch, capsys):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/mine/report.json")
    assert error_text.sentence(full) == "runs/mine/report.json: no space left on device"
    assert error_text.exit_status(full) == 1
    missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a.jsonl")
    assert error_text.sentence(missing) == "a.jsonl: no such file or directory"
    assert error_text.exit_status(missing) == 2
    assert error_text.sentence(FileNotFoundError("There is no file.")) == "There is no file."

    def refuse(*_):
        raise full

    monkeypatch.setattr("flantune.commands.recipes._run", refuse)
    assert cli.main(["recipes"]) == 1
    told = capsys.readouterr().err
    assert told == "flantune: runs/mine/report.json: no space left on device\n"
