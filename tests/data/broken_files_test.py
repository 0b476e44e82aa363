"""Broken files through `experiments.prepare`: what is malformed is counted and named, and too much of it stops."""

import gzip
import importlib
import json
import logging

import pytest

from flantune import configs, experiments
from flantune.data.store import reader as store_lib

GOOD = [json.dumps({"x": f"quéstion {number}", "y": "b"}) for number in range(300)]
MODULE = """
from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.prompting import Template

def to_fields(row):
    return {"x": row["x"].strip(), "answer": row["y"]}

TASKS = (InstructionTask(name="own:rows", cluster="c", source=sources.Jsonl(train="FILE"), to_fields=to_fields,
    templates=(Template(inputs="{x}"),), metrics=(metrics.exact_match,)),)
"""


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Prepares the bytes of a file with a task of the user's own module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(content, name="rows.jsonl", **options):
        (tmp_path / name).write_bytes(content)
        module = f"own_{abs(hash(name))}"
        (tmp_path / f"{module}.py").write_text(MODULE.replace("FILE", name))
        importlib.invalidate_caches()
        data = configs.DataConfig(
            mixture="own:rows",
            modules=(module,),
            vocabulary="bytes",
            inputs_length=64,
            targets_length=8,
            batch_size=8,
            data_dir=str(tmp_path),
            prepared_dir=str(tmp_path / "store"),
            **options,
        )
        return experiments.prepare(data=data, num_processes=0).as_json()

    return run


def lines(*changes):
    """The good rows with some lines replaced."""
    own = list(GOOD)
    for number, text in changes:
        own[number - 1] = text
    return "\n".join(own).encode()


BROKEN_LINES = {
    "broken JSON": ('{"x": "a", "y"', "not JSON: Expecting ':' delimiter at column 15"),
    "no object": ("[1, 2]", "a list, not an object with named fields"),
    "a missing key": ('{"x": "a"}', "to_fields raised KeyError: 'y'; the row has 'x'"),
    "a null": (
        '{"x": null, "y": "b"}',
        "to_fields raised AttributeError: 'NoneType' object has no attribute 'strip'",
    ),
    "a nested null": (
        '{"x": {"text": null}, "y": "b"}',
        "to_fields raised AttributeError: 'dict' object has no attribute 'strip'",
    ),
    "half a surrogate pair": ('{"x": "a \\ud800", "y": "b"}', "no UTF-8 text"),
    "endless brackets": ("[" * 100_000, "not JSON that Python reads"),
    "endless digits": ('{"x": ' + "1" * 5_000 + "}", "not JSON that Python reads"),
}


@pytest.mark.parametrize("kind", BROKEN_LINES)
def test_a_few_malformed_rows_are_left_out_and_named(prepare, tmp_path, caplog, kind):
    text, problem = BROKEN_LINES[kind]
    with caplog.at_level(logging.WARNING):
        result = prepare(lines((17, text)))
    assert (result["rows"], result["malformed"], result["failures"]) == (299, 1, [])
    (place,) = result["malformed_rows"]
    assert place.startswith(f"own:rows, train: {tmp_path}/rows.jsonl:17: {problem}")
    assert "1 malformed rows are left out" in caplog.text
    assert "rows.jsonl:17" in caplog.text
    manifest = store_lib.Store(tmp_path / "store").manifest("own:rows", "train")
    assert manifest.malformed.first[0].startswith(f"{tmp_path}/rows.jsonl:17: {problem}")


def test_more_than_one_percent_stops_and_says_how_to_allow_it(prepare):
    broken = lines(*((number, "{") for number in (5, 6, 7, 8)))
    result = prepare(broken)
    (failure,) = result["failures"]
    assert "4 of 300 rows are malformed, more than 0.01 of them" in failure
    assert "rows.jsonl:5" in failure
    assert "DataConfig.max_malformed_fraction" in failure
    allowed = prepare(broken, max_malformed_fraction=0.02)
    assert (allowed["rows"], allowed["malformed"], allowed["prepared"]) == (296, 4, 1)
    # Already in the store: a run that does not allow as much does not take it either.
    assert "4 of 300 rows" in prepare(broken)["failures"][0]
    assert prepare(broken, max_malformed_fraction=0.02)["fresh"] == 1


def test_exactly_one_percent_is_allowed(prepare):
    assert prepare(lines((1, "{"), (2, "{"), (3, "{")))["failures"] == []


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_the_allowed_part_is_checked(prepare, value):
    with pytest.raises(ValueError, match=r"DataConfig.max_malformed_fraction must be at least 0"):
        prepare(b"", max_malformed_fraction=value)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + lines(),
        lines().replace(b"\n", b"\r\n"),
        lines() + b"\n\n",
    ],
    ids=["byte order mark", "Windows line ends", "empty lines at the end"],
)
def test_harmless_differences_lose_nothing(prepare, tmp_path, content):
    result = prepare(content)
    assert (result["rows"], result["malformed"]) == (300, 0)
    store = store_lib.Store(tmp_path / "store")
    reader = store.reader(store.manifest("own:rows", "train"))
    assert reader[0] == {"x": "quéstion 0", "answer": "b"}
    assert reader[299] == {"x": "quéstion 299", "answer": "b"}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_stops_with_the_first_place(prepare, encoding):
    rows = "\n".join(f'{{"x": "quéstion {number}", "y": "b"}}' for number in range(300))
    (failure,) = prepare(rows.encode(encoding))["failures"]
    assert "rows are malformed" in failure
    assert "rows.jsonl:1: not utf-8" in failure


def test_old_line_ends_are_one_long_row_and_stop(prepare):
    (failure,) = prepare(lines().replace(b"\n", b"\r"))["failures"]
    assert "1 of 1 rows are malformed" in failure


def test_a_compressed_file_that_ends_early_is_not_half_a_dataset(prepare, tmp_path):
    whole = gzip.compress(lines())
    (failure,) = prepare(whole[:-20], "rows.jsonl.gz")["failures"]
    assert "rows.jsonl.gz cannot be decompressed: Compressed file ended" in failure
    assert store_lib.Store(tmp_path / "store").manifest("own:rows", "train") is None
    assert prepare(whole, "rows.jsonl.gz")["rows"] == 300
