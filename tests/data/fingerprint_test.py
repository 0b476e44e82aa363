import functools
import importlib
import importlib.util
import re
import subprocess
import sys
import textwrap

import pytest

from flantune.data import fingerprint

PACKAGE = "fingerprinted"
SOURCE = """
import functools
import json
import re

from fingerprinted import helpers

PREFIX = "a"
UNUSED = 1
_PATTERN = re.compile("x+")


def clean(text):
    return text.strip()


def unrelated(text):
    return text


@functools.lru_cache
def cached(text):
    return json.dumps(clean(text))


class Parser:
    def parse(self, row):
        return PREFIX + clean(row["text"])


def to_fields(row):
    return {"text": clean(row["text"])}


def with_constant(row):
    return {"text": PREFIX + row["text"]}


def with_pattern(row):
    return {"text": _PATTERN.sub("", row["text"])}


def with_module(row):
    return {"text": helpers.shout(row["text"])}


def with_nested(row):
    return [clean(text) for text in row]


def with_cache(row):
    return cached(row["text"])


def with_class(row):
    return Parser().parse(row)


def with_default(row, mark="!"):
    return row


def recursive(row):
    return recursive(row[1:]) if row else other(row)


def other(row):
    return recursive(row)


def make(suffix):
    def inner(row):
        return row + suffix

    return inner
"""
HELPERS = """
MARK = "!"


def shout(text):
    return text.upper() + MARK


def whisper(text):
    return text.lower()
"""


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Imports the package anew, with some of its text replaced."""
    count = iter(range(100))

    def load_changed(old="", new="", in_helpers=False):
        texts = {"task": SOURCE, "helpers": HELPERS, "__init__": ""}
        changed = "helpers" if in_helpers else "task"
        assert old in texts[changed]
        if old:
            texts[changed] = texts[changed].replace(old, new)
        folder = tmp_path / str(next(count))
        (folder / PACKAGE).mkdir(parents=True)
        for name, text in texts.items():
            (folder / PACKAGE / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(folder))
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]
        return importlib.import_module(f"{PACKAGE}.task")

    yield load_changed
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


def same(first, second, name):
    return fingerprint.function_fingerprint(
        getattr(first, name)
    ) == fingerprint.function_fingerprint(getattr(second, name))


@pytest.mark.parametrize(
    ("name", "old", "new", "in_helpers"),
    [
        ("to_fields", "text.strip()", "text.lstrip()", False),
        ("with_constant", 'PREFIX = "a"', 'PREFIX = "b"', False),
        ("with_pattern", '"x+"', '"y+"', False),
        ("with_module", "text.upper()", "text.title()", True),
        ("with_module", 'MARK = "!"', 'MARK = "?"', True),
        ("with_nested", "text.strip()", "text.lstrip()", False),
        ("with_cache", "text.strip()", "text.lstrip()", False),
        ("with_class", "text.strip()", "text.lstrip()", False),
        ("with_class", 'PREFIX = "a"', 'PREFIX = "b"', False),
        ("with_default", 'mark="!"', 'mark="?"', False),
        ("recursive", "return recursive(row)\n", "return recursive(row[2:])\n", False),
    ],
)
def test_a_change_of_something_used_is_seen(load, name, old, new, in_helpers):
    assert not same(load(), load(old, new, in_helpers), name)


@pytest.mark.parametrize(
    ("name", "old", "new", "in_helpers"),
    [
        (
            "to_fields",
            "def unrelated(text):\n    return text",
            "def unrelated(x):\n    return x",
            False,
        ),
        ("to_fields", "UNUSED = 1", "UNUSED = 2", False),
        ("with_module", "text.lower()", "text.title()", True),
        (
            "to_fields",
            "return text.strip()\n\n\n",
            "return text.strip()\n\n\n\n\n# a comment\n\n",
            False,
        ),
    ],
)
def test_a_change_of_something_unused_is_not_seen(load, name, old, new, in_helpers):
    assert same(load(), load(old, new, in_helpers), name)


def test_closures_partials_and_methods_count_their_values(load):
    module = load()
    prints = [
        fingerprint.function_fingerprint(function)
        for function in (
            module.make("a"),
            module.make("b"),
            functools.partial(module.with_default, mark="a"),
            functools.partial(module.with_default, mark="b"),
            module.with_default,
            module.Parser().parse,
        )
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint.function_fingerprint(module.make("a")) == prints[0]
    partial = functools.partial(module.with_default, mark="a")
    assert fingerprint.function_fingerprint(partial) == prints[2]


def test_fingerprints_are_equal_in_another_process_with_another_hash_seed(tmp_path):
    (tmp_path / "steady.py").write_text(
        textwrap.dedent("""
        import re
        WORDS = {"a", "b", "c", "d"}
        PATTERN = re.compile("x")
        def to_fields(row):
            return {"x": row["x"]} if row["x"] in WORDS and PATTERN.match(row["x"]) else None
        """)
    )
    code = "import steady, flantune.data.fingerprint as f; print(f.function_fingerprint(steady.to_fields))"
    prints = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(prints) == 1
    assert re.fullmatch(r"[0-9a-f]{64}\n", prints.pop())


def test_functions_without_source_are_told_apart():
    names: dict = {}
    exec("def a(row): return row['x']\ndef b(row): return row['y']", names)
    first, second = (fingerprint.function_fingerprint(names[key]) for key in "ab")
    assert first != second


@pytest.mark.parametrize("place", ["helpers", "elsewhere"])
def test_a_module_that_moves_keeps_the_name_that_stores_have(monkeypatch, tmp_path, place):
    """A function of the moved module names itself, its module and the module's `__name__`."""
    text = "def shout(text):\n    return type(text).__name__ + MARK\n\nMARK = '!'\n"
    before = _of_moved(tmp_path / "before", "helpers", text, monkeypatch)
    monkeypatch.setattr(fingerprint, "_WRITTEN_AS", {f"{PACKAGE}.elsewhere": f"{PACKAGE}.helpers"})
    assert _of_moved(tmp_path / "after", place, text, monkeypatch) == before
    monkeypatch.setattr(fingerprint, "_WRITTEN_AS", {})
    assert (_of_moved(tmp_path / "plain", place, text, monkeypatch) == before) == (
        place == "helpers"
    )


def _of_moved(folder, place, helpers, monkeypatch):
    """The fingerprint of a function that calls another one, whose module lies at `place`."""
    (folder / PACKAGE).mkdir(parents=True)
    (folder / PACKAGE / "__init__.py").write_text("")
    (folder / PACKAGE / f"{place}.py").write_text(helpers)
    task = f"from {PACKAGE} import {place} as helpers\n\n\ndef to_fields(row):\n    return helpers.shout(row)\n"
    (folder / PACKAGE / "task.py").write_text(task)
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        module = importlib.import_module(f"{PACKAGE}.task")
    return fingerprint.function_fingerprint(module.to_fields)


def test_names_that_stores_have_are_of_modules_that_are_there():
    for name in fingerprint._WRITTEN_AS:
        assert importlib.util.find_spec(name), name
