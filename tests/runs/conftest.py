"""One working folder for the tests of a file: tasks, run files, a finished run in three layouts."""

import json

import pytest

from flantune import cli

from . import small


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """The working folder: tasks, run files, a finished run `runs/base`, the same as T5X and in Hugging Face's layout."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "start_test_tasks.py").write_text(small.TASKS)
    (folder / "run.gin").write_text(small.RUN)
    (folder / "with_suite.gin").write_text(small.RUN + small.SUITE)
    rows = [{"word": chr(97 + row) * 3} for row in range(20)]
    (folder / "words.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.MonkeyPatch.context() as patch:
        small.enter(folder, patch)
        assert small.train("base") == 0
        for kind in ("t5x", "hf"):
            assert cli.main(["convert", "runs/base", f"as_{kind}", "--to", kind]) == 0
    return folder


@pytest.fixture(autouse=True)
def in_workplace(workplace, monkeypatch):
    small.enter(workplace, monkeypatch)
