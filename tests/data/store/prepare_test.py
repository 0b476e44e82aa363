import functools
import importlib
import json
import os
import pathlib
import sys
import textwrap

import pytest

from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.data.store import prepare, reader as store_lib
from flantune.prompting import Template


def same(row):
    return row


def make_task(name="t:a", source=None, to_fields=same, **kwargs):
    return InstructionTask(
        name=name,
        **{
            "source": source or sources.InMemory(train=[{"x": "a", "answer": "b"}]),
            "to_fields": to_fields,
            "templates": (Template(inputs="{x}"),),
            "cluster": "tests",
            "metrics": (metrics.exact_match,),
            **kwargs,
        },
    )


def run(tasks, root, data_dir=pathlib.Path("."), **kwargs):
    if isinstance(tasks, InstructionTask):
        tasks = [tasks]
    return prepare.prepare(
        [(task, task.source.splits) for task in tasks],
        store_lib.Store(root),
        data_dir,
        **{"num_processes": 0, **kwargs},
    )


def statuses(report):
    return [result.status for result in report.results]


def error(task, tmp_path, **kwargs):
    (result,) = run(task, tmp_path / "store", tmp_path, **kwargs).failed
    return result.error


def files_of(root):
    return {
        str(path.relative_to(root)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of tasks that worker processes can import too."""
    monkeypatch.syspath_prepend(str(tmp_path))
    # Python takes bytecode for that of a source of the same size and second.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name, text):
        header = """
import time, os
from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.prompting import Template
def task(name, to_fields, **splits):
    return InstructionTask(name=name, source=sources.Jsonl(**splits), to_fields=to_fields, cluster="c",
        templates=(Template(inputs="{x}"),), metrics=(metrics.exact_match,))
"""
        (tmp_path / f"{name}.py").write_text(header + textwrap.dedent(text))
        sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    return write


# ---- counts, drops and malformed rows


def test_dropped_and_malformed_rows_are_counted(tmp_path):
    lines = [json.dumps({"x": str(n), "answer": "b"}) for n in range(200)]
    lines[7] = "{"
    (tmp_path / "a.jsonl").write_text("\n".join(lines))

    def to_fields(row):
        if row["x"] == "9":
            raise ValueError("nine")
        return row if int(row["x"]) % 2 else None

    task = make_task(source=sources.Jsonl(train="a.jsonl"), to_fields=to_fields)
    report = run(task, tmp_path / "store", tmp_path)
    report.raise_if_failed()
    manifest = store_lib.Store(tmp_path / "store").manifest(task, "train")
    assert (manifest.rows, manifest.dropped, manifest.malformed.count) == (98, 100, 2)
    assert manifest.malformed.first[0].endswith(
        "a.jsonl:8: not JSON: Expecting property name enclosed in double quotes at column 2"
    )
    assert "a.jsonl:10: to_fields raised ValueError: nine, in " in manifest.malformed.first[1]
    assert report.as_json()["malformed"] == 2


def test_too_many_malformed_rows_stop_the_source(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"x": "a", "answer": "b"}\n' * 98 + "{\n{\n")
    task = make_task(source=sources.Jsonl(train="a.jsonl"))
    message = error(task, tmp_path)
    assert "2 of 100 rows are malformed, more than 0.01 of them" in message
    assert "a.jsonl:99: not JSON" in message
    assert store_lib.Store(tmp_path / "store").manifest(task, "train") is None
    assert list((tmp_path / "store" / "t" / "a").iterdir()) == []
    assert not run(task, tmp_path / "store", tmp_path, max_malformed_fraction=0.02).failed


def test_a_key_that_the_rows_lack_is_told_with_those_they_have(tmp_path):
    message = error(make_task(to_fields=lambda row: {"x": row["premis"]}), tmp_path)
    assert "train:0: to_fields raised KeyError: 'premis'; the row has 'x', 'answer'" in message


def test_the_expression_that_raised_is_told_with_its_place(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"größe": "zwölf"}')

    def to_fields(row):
        return {"x": "größer", "answer": str(int(row["größe"]))}

    message = error(make_task(source=sources.Jsonl(train="a.jsonl"), to_fields=to_fields), tmp_path)
    line = to_fields.__code__.co_firstlineno + 1
    assert f"""in int(row["größe"]) ({__file__}:{line})""" in message


def test_the_place_is_in_the_task_and_not_in_what_it_calls(tmp_path):
    def to_fields(row):
        return {"x": json.loads(row["x"]), "answer": "b"}

    message = error(make_task(to_fields=to_fields), tmp_path)
    assert """in json.loads(row["x"]) (""" in message
    assert "JSONDecodeError" in error(make_task(to_fields=to_fields), tmp_path)


# ---- fields


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        (
            {"premise": "a", "answer": "b"},
            ["'t:a' needs the field 'premis'", "Closest: 'premise'", "train:0"],
        ),
        ({"premis": "a"}, ["needs the field 'answer'", "gives only 'premis'"]),
        ({"premis": None, "answer": "b"}, ["the field 'premis' is a NoneType", "train:0"]),
        ({"premis": ["a", 1], "answer": "b"}, ["'premis' is a list that holds a int"]),
        ({"premis": float("nan"), "answer": "b"}, ["'premis' is nan"]),
        ({"premis": "a", "answer": []}, ["the answer is an empty list"]),
    ],
)
def test_wrong_fields_are_told(tmp_path, row, parts):
    task = make_task(source=sources.InMemory(train=[row]), templates=(Template(inputs="{premis}"),))
    message = error(task, tmp_path)
    assert all(part in message for part in parts), message


def test_fields_that_are_no_dict_are_told(tmp_path):
    assert "must give a dict or None, not a list" in error(make_task(to_fields=list), tmp_path)


@pytest.mark.parametrize(
    ("label", "choices", "part"),
    [
        (2, ("no", "yes"), "the label 2 is none of the 2 choices of answer_choices, 0 to 1"),
        (-1, "choices", "the label -1 is none of the 2 choices of the field 'choices'"),
        ("yes", ("no", "yes"), "must be the index of a choice, not 'yes'"),
    ],
)
def test_wrong_labels_are_told(tmp_path, label, choices, part):
    row = {"x": "a", "label": label, "choices": ["a", "b"]}
    rows = sources.InMemory(train=[row])
    task = make_task(source=rows, answer_choices=choices, extra_fields=("choices",))
    assert part in error(task, tmp_path)


def test_a_field_that_no_template_uses_is_told_unless_the_task_keeps_it(tmp_path):
    rows = sources.InMemory(train=[{"x": "a", "answer": "b", "number": 3}])
    message = error(make_task(source=rows), tmp_path / "a")
    assert "gives the field 'number', which no template uses (train:0)" in message
    kept = make_task(source=rows, extra_fields=("number",))
    run(kept, tmp_path / "b").raise_if_failed()
    assert "'number'" in error(make_task(source=rows), tmp_path / "b")  # not only when it is read


def test_a_template_changed_after_preparing_is_checked_against_the_store(tmp_path):
    run(make_task(), tmp_path / "store").raise_if_failed()
    task = make_task(templates=(Template(inputs="{y}"),))
    assert "needs the field 'y'" in error(task, tmp_path)


def test_a_field_that_is_a_constant_is_not_needed_in_rows(tmp_path):
    template = Template(inputs="{definition} {x}")
    task = make_task(templates=(template,), constants={"definition": "Do."}, licence="MIT")
    run(task, tmp_path).raise_if_failed()
    manifest = store_lib.Store(tmp_path).manifest(task, "train")
    assert (manifest.constants, manifest.licence) == ({"definition": "Do."}, "MIT")


# ---- what is fresh


def test_preparing_twice_does_nothing(tmp_path):
    task = make_task()
    assert statuses(run(task, tmp_path)) == ["prepared"]
    before = files_of(tmp_path)
    assert statuses(run(task, tmp_path)) == ["fresh"]
    assert files_of(tmp_path) == before


def test_only_the_task_whose_to_fields_changed_is_prepared_again(tmp_path, module):
    (tmp_path / "a.jsonl").write_text('{"x": "a", "answer": "b"}\n')
    text = """
    def clean(text):
        return text.strip()
    def first(row):
        return {"x": clean(row["x"]), "answer": "b"}
    def second(row):
        return row
    TASKS = [task("t:first", first, train="a.jsonl"), task("t:second", second, train="a.jsonl")]
    """
    assert (
        statuses(run(module("changing", text).TASKS, tmp_path / "store", tmp_path))
        == ["prepared"] * 2
    )
    changed = module("changing", text.replace("text.strip()", "text.upper()"))
    assert statuses(run(changed.TASKS, tmp_path / "store", tmp_path)) == ["prepared", "fresh"]
    store = store_lib.Store(tmp_path / "store")
    assert store.reader(store.manifest("t:first", "train"))[0]["x"] == "A"


def test_fewer_choices_are_checked_on_the_rows_again(tmp_path):
    source = sources.InMemory(train=[{"x": "a", "label": 2}])
    run(
        make_task(source=source, answer_choices=("a", "b", "c")), tmp_path / "store"
    ).raise_if_failed()
    assert "label 2" in error(make_task(source=source, answer_choices=("a", "b")), tmp_path)


def test_a_changed_source_is_read_again_and_a_touched_one_is_not(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": "a", "answer": "b"}\n')
    task = make_task(source=sources.Jsonl(train="a.jsonl"))
    store = store_lib.Store(tmp_path / "store")
    run(task, store.root, tmp_path)
    shard = tmp_path / "store/t/a/train/part-00000-of-00001.arrayrecord"
    inode = shard.stat().st_ino
    os.utime(path, ns=(1, 1))  # what a fresh clone does
    assert statuses(run(task, store.root, tmp_path)) == ["fresh"]
    assert shard.stat().st_ino == inode
    assert store.manifest(task, "train").source_fingerprint == task.source.fingerprint(
        "train", tmp_path
    )
    path.write_text('{"x": "c", "answer": "b"}\n')
    assert statuses(run(task, store.root, tmp_path)) == ["prepared"]
    assert store.reader(store.manifest(task, "train"))[0]["x"] == "c"


def test_without_its_source_the_store_is_enough(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"x": "a", "answer": "b"}\n')
    task = make_task(source=sources.Jsonl(train="a.jsonl"))
    run(task, tmp_path / "store", tmp_path).raise_if_failed()
    (tmp_path / "a.jsonl").unlink()
    assert statuses(run(task, tmp_path / "store", tmp_path)) == ["fresh"]
    changed = make_task(source=sources.Jsonl(train="a.jsonl"), to_fields=lambda row: dict(row))
    assert "no file 'a.jsonl'" in error(changed, tmp_path)


def test_changed_facts_are_written_without_reading_the_source(tmp_path):
    run(make_task(), tmp_path)
    (shard,) = tmp_path.rglob("*.arrayrecord")
    inode = shard.stat().st_ino
    task = make_task(licence="MIT", lineage=("glue",))
    assert statuses(run(task, tmp_path)) == ["fresh"]
    manifest = store_lib.Store(tmp_path).manifest(task, "train")
    assert (manifest.licence, manifest.lineage, shard.stat().st_ino) == ("MIT", ("glue",), inode)


# ---- failures and processes


def test_a_broken_source_does_not_stop_the_others(tmp_path, module):
    (tmp_path / "good.jsonl").write_text('{"x": "a", "answer": "b"}\n')
    (tmp_path / "bad.jsonl").write_text("{\n")
    tasks = module(
        "broken",
        """
        def to_fields(row):
            return row
        def die(row):
            os._exit(7)
        TASKS = [
            task("t:good", to_fields, train="good.jsonl"),
            task("t:bad", to_fields, train="bad.jsonl"),
            task("t:missing", to_fields, train="god.jsonl"),
            task("t:deadly", die, train="good.jsonl"),
            *(task(f"t:good{n}", to_fields, train="good.jsonl") for n in range(30)),
        ]
        """,
    ).TASKS
    seen = []
    report = run(
        tasks,
        tmp_path / "store",
        tmp_path,
        num_processes=2,
        on_progress=lambda result, done, total: seen.append((done, total)),
    )
    assert statuses(report) == ["prepared", "failed", "failed", "failed"] + ["prepared"] * 30
    bad, missing, deadly = report.failed
    assert "1 of 1 rows are malformed" in bad.error
    assert "'good.jsonl'" in missing.error
    assert "status 7" in deadly.error
    assert seen == [(n + 1, 34) for n in range(34)]
    with pytest.raises(ValueError, match="3 of 34 splits cannot be prepared"):
        report.raise_if_failed()
    assert len(report.as_json()["failures"]) == 3


def test_a_missing_split_fails_alone(tmp_path):
    task = make_task()
    report = prepare.prepare(
        [(task, ["train", "test"])], store_lib.Store(tmp_path), tmp_path, num_processes=0
    )
    assert statuses(report) == ["prepared", "failed"]
    assert "no split 'test'. Splits: 'train'" in report.failed[0].error


def test_a_task_that_cannot_be_pickled_is_prepared_in_this_process(tmp_path):
    assert statuses(run(make_task(to_fields=lambda row: row), tmp_path, num_processes=2)) == [
        "prepared"
    ]


def test_a_split_that_a_bucket_lacks_cannot_be_prepared_into_it(monkeypatch):
    monkeypatch.setattr(store_lib.Store, "manifest", lambda *_: None)  # without asking the network
    with pytest.raises(ValueError, match="local folder"):
        run(make_task(), "gs://bucket/store")


def test_workers_import_no_tensorflow(tmp_path, module):
    (tmp_path / "a.jsonl").write_text('{"x": "a", "answer": "b"}\n')
    tasks = module(
        "light",
        """
        import sys
        def to_fields(row):
            return {"x": str({"tensorflow", "jax"} & set(sys.modules)), "answer": str(os.getpid())}
        TASKS = [task("t:a", to_fields, train="a.jsonl")]
        """,
    ).TASKS
    run(tasks, tmp_path / "store", tmp_path, num_processes=1).raise_if_failed()
    store = store_lib.Store(tmp_path / "store")
    row = store.reader(store.manifest("t:a", "train"))[0]
    assert row["x"] == "set()"
    assert row["answer"] != str(os.getpid())


# ---- shards and sources that changed


def test_shards_of_another_to_fields_are_not_taken_over(tmp_path):
    calls = []

    def broken_rows():
        yield from ({"x": str(n), "answer": "b"} for n in range(4))
        if not calls:
            calls.append(1)
            raise KeyboardInterrupt

    source = sources.InMemory(train=broken_rows)
    with pytest.raises(KeyboardInterrupt):
        run(make_task(source=source), tmp_path, rows_per_shard=2)
    assert len(list(tmp_path.rglob("part-*.arrayrecord"))) == 2
    task = make_task(source=source, to_fields=lambda row: {**row, "x": row["x"] + "!"})
    run(task, tmp_path, rows_per_shard=2).raise_if_failed()
    store = store_lib.Store(tmp_path)
    rows = store.reader(store.manifest(task, "train")).fetch(range(4))
    assert [row["x"] for row in rows] == ["0!", "1!", "2!", "3!"]


def test_a_source_that_changes_while_it_is_read_fails(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"x": "a", "answer": "b"}\n')

    def to_fields(row, path):
        os.utime(path, ns=(1, 1))
        return row

    task = make_task(
        source=sources.Jsonl(train="a.jsonl"),
        to_fields=functools.partial(to_fields, path=tmp_path / "a.jsonl"),
    )
    assert "changed while it was read" in error(task, tmp_path)


def test_real_copa(real_data, tmp_path):
    def to_fields(row):
        return {"x": row["p"], "answer": row[f"a{row['most-plausible-alternative']}"]}

    task = make_task(source=sources.Xml(train="copa/copa-dev.xml"), to_fields=to_fields)
    run(task, tmp_path, real_data).raise_if_failed()
    assert store_lib.Store(tmp_path).manifest(task, "train").rows == 500
