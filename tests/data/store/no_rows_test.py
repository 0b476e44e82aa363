"""Splits without rows: a slice beyond its file is refused, rows that were all dropped are told."""

import dataclasses
import json

import pytest

from flantune import testing
from flantune.data import sources
from flantune.data.input import loading
from flantune.data.store import manifest as manifest_lib, prepare, reader as store_lib


@pytest.fixture(autouse=True)
def rows(tmp_path):
    lines = [json.dumps({"text": str(number), "answer": "a"}) for number in range(50)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    (tmp_path / "blank.jsonl").write_text("")


def run(tmp_path, *tasks):
    wanted = [(task, ["train"]) for task in tasks]
    store = store_lib.Store(tmp_path / "store")
    return prepare.prepare(wanted, store, tmp_path, num_processes=0)


def of(files, name="t:a", **changes):
    task = testing.make_task(name, {"train": []}, **changes)
    return dataclasses.replace(task, source=sources.Jsonl(train=files))


@pytest.mark.parametrize("files", ["rows.jsonl[100:]", ("rows.jsonl", "rows.jsonl[100:]")])
def test_a_slice_beyond_its_file_is_refused_each_time(tmp_path, files):
    for _ in range(2):
        report = run(tmp_path, of(files))
        told = (
            f"The slice [100:] of {tmp_path}/rows.jsonl takes no row: it has 50, numbered from 0."
        )
        assert report.failures() == [f"[t:a, train] {told}"]
        with pytest.raises(ValueError, match="1 of 1 splits cannot be prepared"):
            report.raise_if_failed()


@pytest.mark.parametrize(
    ("bounds", "told"), [("50:", "50:"), ("-9:-9", "-9:-9"), (":0", ":0"), ("7:3", "7:3")]
)
def test_the_slice_is_told_as_it_is_written(tmp_path, bounds, told):
    (failure,) = run(tmp_path, of(f"rows.jsonl[{bounds}]")).failures()
    assert f"The slice [{told}] of" in failure


def test_a_slice_that_reaches_into_its_file_is_fine(tmp_path):
    report = run(tmp_path, of("rows.jsonl[49:100]"))
    assert [(result.status, result.rows) for result in report.results] == [("prepared", 1)]


def test_a_store_that_was_prepared_so_is_refused_too(tmp_path):
    task = of("rows.jsonl[100:]")
    run(tmp_path, of("blank.jsonl")).raise_if_failed()
    path = tmp_path / "store" / "t" / "a" / "train" / manifest_lib.FILE_NAME
    manifest = manifest_lib.Manifest.from_json(path.read_text())
    fingerprint = task.source.fingerprint("train", tmp_path)
    path.write_text(dataclasses.replace(manifest, source_fingerprint=fingerprint).to_json())
    assert "The slice [100:]" in run(tmp_path, task).failures()[0]


@pytest.mark.parametrize(
    ("files", "to_fields", "dropped"),
    [("rows.jsonl[:9]", lambda row: None, 9), ("blank.jsonl", dict, 0)],
)
def test_a_split_without_rows_is_told_and_fresh_the_next_time(
    tmp_path, caplog, files, to_fields, dropped
):
    task = of(files, to_fields=to_fields)
    for status in ("prepared", "fresh"):
        caplog.clear()
        report = run(tmp_path, task)
        assert [result.status for result in report.results] == [status]
        (record,) = caplog.records
        assert record.getMessage() == (
            f"t:a, split train, has no rows: to_fields dropped {dropped}, and 0 are malformed."
        )


def test_a_mixture_none_of_whose_tasks_has_a_row_says_what_became_of_them(tmp_path):
    tasks = [of("rows.jsonl", f"t:{name}", to_fields=lambda row: None) for name in "abcde"]
    store = testing.prepare(tasks, tmp_path)
    with testing.task_module("rowless", tasks):
        catalog = catalog_of(store, tmp_path)
        with pytest.raises(ValueError, match="has no example") as raised:
            loading.bind_mixture(catalog, store, "t:*", split="train")
    told = str(raised.value).partition(": ")[2]
    assert told.startswith("the split 'train' has no rows in t:a (to_fields dropped 50, and 0 are")
    assert told.endswith("t:c (to_fields dropped 50, and 0 are malformed) and 2 more.")


def catalog_of(store, data_dir):
    from flantune.data import catalog

    return catalog.load(["rowless"], store, data_dir)
