"""One working folder for the tests of a file: tasks, run files, a finished run in three layouts."""

import json

import jax
import pytest

from flantune import cli

from . import small


@pytest.fixture(scope="module", autouse=True)
def compilation_cache(tmp_path_factory):
    """What one run compiles, the next ones need not."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compilation_cache")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="module")
def workplace(compilation_cache, tmp_path_factory):
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
