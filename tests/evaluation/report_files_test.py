"""JSON text and file names."""

import json
import pathlib
import urllib.parse

from hypothesis import given, strategies as st

from flantune.evaluation import report_files as files
from flantune.host import atomic


def test_json_keeps_letters_replaces_nan_and_survives_half_surrogates(tmp_path):
    value = {"text": "ñ 漢\ud800", "loss": float("nan"), "list": (1, float("inf"))}
    atomic.write_text(tmp_path / "x.json", files.json_text(value))
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
