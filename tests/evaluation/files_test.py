"""Atomic writes, JSON text and file names."""

import json
import pathlib
import urllib.parse

from hypothesis import given, strategies as st
import pytest

from flantune.evaluation import files


def test_a_writer_that_fails_leaves_the_former_file_and_nothing_else(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("former")

    def parts():
        yield "half of "
        raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        files.write_atomically(path, parts())
    assert [item.name for item in tmp_path.iterdir()] == ["report.json"]
    assert path.read_text() == "former"


def test_a_reader_sees_the_former_file_until_all_is_written(tmp_path):
    path = tmp_path / "new" / "report.json"
    seen = []

    def parts():
        yield "a"
        seen.append(path.exists())
        yield "b"

    files.write_atomically(path, parts())
    assert seen == [False]
    assert path.read_text() == "ab"
    assert [item.name for item in path.parent.iterdir()] == ["report.json"]


def test_json_keeps_letters_replaces_nan_and_survives_half_surrogates(tmp_path):
    value = {"text": "ñ 漢\ud800", "loss": float("nan"), "list": (1, float("inf"))}
    files.write_atomically(tmp_path / "x.json", [files.json_text(value)])
    text = pathlib.Path(tmp_path / "x.json").read_text(encoding="utf-8")
    assert "ñ 漢" in text
    assert json.loads(text) == {"text": "ñ 漢\ud800", "loss": None, "list": [1, None]}


def test_task_names_become_file_names_that_can_be_read_back():
    assert files.safe_name("nli:rte#few_shot") == "nli%3Arte%23few_shot"
    assert files.safe_name("a/../b") == "a%2F..%2Fb"
    assert files.safe_name("..") == "%2E."


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_file_names_lose_nothing(name):
    safe = files.safe_name(name)
    assert set(safe).isdisjoint('/\\:*?"<>|#\0')
    if len(safe) <= 180:
        assert urllib.parse.unquote(safe) == name


def test_very_long_names_stay_short_and_different():
    first, second = files.safe_name("a" * 500 + "1"), files.safe_name("a" * 500 + "2")
    assert first != second
    assert max(len(first), len(second)) < 200
