import dataclasses
import json
import os
import pathlib
import pickle
import resource
import subprocess
import sys

from hypothesis import given, settings, strategies as st
import pytest

from flantune import metrics
from flantune.data import InstructionTask, TaskFamily, sources
from flantune.data.store import prepare, reader as store_lib
from flantune.prompting import Template


def same(row):
    return row


def task(rows, name="family:set", **kwargs):
    return InstructionTask(
        name=name,
        source=sources.InMemory(train=rows),
        to_fields=same,
        templates=(Template(inputs="{x}"),),
        cluster="tests",
        metrics=(metrics.exact_match,),
        **kwargs,
    )


def stored(rows, root, name="family:set", **kwargs):
    """A store with the rows, and its reader."""
    store = store_lib.Store(root)
    report = prepare.prepare(
        [(task(rows, name), ["train"])], store, pathlib.Path("."), num_processes=0, **kwargs
    )
    report.raise_if_failed()
    return store, store.reader(store.manifest(name, "train"))


_VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=3),
)


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(
        st.fixed_dictionaries({"x": _VALUES, "answer": st.text("aé\n\x00", max_size=9)}),
        max_size=12,
    ),
    rows_per_shard=st.integers(1, 5),
    order=st.randoms(use_true_random=False),
)
def test_what_is_prepared_is_read_back(tmp_path_factory, rows, rows_per_shard, order):
    _, reader = stored(rows, tmp_path_factory.mktemp("store"), rows_per_shard=rows_per_shard)
    assert len(reader) == len(rows)
    assert [reader[index] for index in range(len(rows))] == rows
    wanted = [order.randrange(len(rows)) for _ in range(20)] if rows else []
    assert reader.fetch(wanted) == [rows[index] for index in wanted]


def test_manifest_and_layout(tmp_path):
    rows = [{"x": "a", "answer": "b"}, {"x": 1, "answer": ["c", "d"]}, {"x": "e", "answer": "f"}]
    store, _ = stored(rows, tmp_path, rows_per_shard=2)
    manifest = store.manifest("family:set", "train")
    assert sorted(path.name for path in (tmp_path / "family" / "set" / "train").iterdir()) == [
        "manifest.json",
        "part-00000-of-00002.arrayrecord",
        "part-00001-of-00002.arrayrecord",
    ]
    assert [shard.rows for shard in manifest.shards] == [2, 1]
    assert manifest.schema == {"x": "int|str", "answer": "list[str]|str"}
    assert (manifest.rows, manifest.dropped, manifest.malformed.count) == (3, 0, 0)
    assert manifest.source == {"kind": "in_memory", "splits": ["train"]}
    assert store_lib.Manifest.from_json(manifest.to_json()) == manifest
    assert store.manifest(task(rows), "train") == manifest
    assert store.manifest("family:set", "test") is None


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_that_does_not_exist(tmp_path, row):
    _, reader = stored([{"x": "a", "answer": "b"}] * 2, tmp_path)
    with pytest.raises(IndexError, match=f"2 rows in 'train'; row {row}"):
        reader[row]


def test_names_cannot_leave_the_store(tmp_path):
    with pytest.raises(ValueError, match="cannot be a folder's name"):
        store_lib.Store(tmp_path).manifest("family:..", "train")


def damage(path, how):
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(content[:-1])
    elif how == "flipped":
        place = content.index(b"answer")
        path.write_bytes(content[:place] + b"X" + content[place + 1 :])
    else:
        path.write_bytes(bytes(len(content)))


@pytest.mark.parametrize("how", ["missing", "cut", "flipped", "zeros"])
def test_a_damaged_shard_is_named(tmp_path, how):
    _, reader = stored([{"x": "a", "answer": "b"}], tmp_path)
    (path,) = tmp_path.rglob("*.arrayrecord")
    damage(path, how)
    with pytest.raises(ValueError, match=r"part-00000-of-00001.arrayrecord .*run flantune prepare"):
        reader[0]


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_prepare_mends_a_damaged_shard(tmp_path, how):
    stored([{"x": "a", "answer": "b"}], tmp_path)
    (path,) = tmp_path.rglob("*.arrayrecord")
    damage(path, how)
    _, reader = stored([{"x": "a", "answer": "b"}], tmp_path)
    assert reader[0] == {"x": "a", "answer": "b"}


def test_rows_are_current_after_preparing_again(tmp_path):
    _, before = stored([{"x": "old", "answer": "b"}], tmp_path)
    assert before[0]["x"] == "old"
    _, after = stored([{"x": "new", "answer": "b"}], tmp_path)
    assert after[0]["x"] == "new"


def test_readers_travel_to_other_processes(tmp_path):
    _, reader = stored([{"x": str(n), "answer": "b"} for n in range(4)], tmp_path, rows_per_shard=2)
    assert reader[3]["x"] == "3"
    assert pickle.loads(pickle.dumps(reader))[3]["x"] == "3"


def test_more_readers_than_file_descriptors(tmp_path):
    """400 readers within 128 descriptors, in another process as the limit holds for a whole one."""
    rows = [{"x": "a", "answer": "b"}] * 400
    stored(rows, tmp_path, rows_per_shard=1)
    code = f"""
import os, resource
from flantune.data.store import reader as store
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
s = store.Store({str(tmp_path)!r})
reader = s.reader(s.manifest("family:set", "train"))
for _ in range(2):
    assert len(reader.fetch(range(400))) == 400
print(len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 100
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 128


def test_reading_needs_neither_tensorflow_nor_the_sources(tmp_path):
    stored([{"x": "a", "answer": "b"}], tmp_path)
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["tensorflow", "tensorflow_datasets", "seqio", "jax"]))  # importing them raises
from flantune.data.store import reader as store
s = store.Store({str(tmp_path)!r})
print(s.reader(s.manifest("family:set", "train"))[0])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "{'x': 'a', 'answer': 'b'}\n", run.stderr


def read_metadata(path):
    with (path.parent / "log").open("a") as log:
        log.write(path.stem)
    return json.loads(path.read_text())


def read_more_metadata(path):
    return {**json.loads(path.read_text()), "more": "x"}


FOLDER = TaskFamily(
    name="folder",
    files=lambda data_dir: {p.stem: p for p in sorted((data_dir / "sets").glob("*.json"))},
    read_metadata=read_metadata,
    make_task=lambda name, metadata: task([], f"folder:{name}", constants=dict(metadata)),
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data" / "sets").mkdir(parents=True)
    for name in "abc":
        (tmp_path / "data" / "sets" / f"{name}.json").write_text(json.dumps({"definition": name}))
    return tmp_path / "data"


def test_a_family_reads_only_what_changed(tmp_path, folder):
    store, log = store_lib.Store(tmp_path / "store"), folder / "sets" / "log"

    def names():
        log.write_text("")
        tasks = store_lib.family_tasks(FOLDER, store, folder)
        return {t.name: t.constants["definition"] for t in tasks}

    assert names() == {"folder:a": "a", "folder:b": "b", "folder:c": "c"}
    assert sorted(log.read_text()) == ["a", "b", "c"]
    assert names()
    assert log.read_text() == ""
    (folder / "sets" / "b.json").write_text('{"definition": "longer"}')
    (folder / "sets" / "c.json").unlink()
    (folder / "sets" / "d.json").write_text('{"definition": "d"}')
    assert names() == {"folder:a": "a", "folder:b": "longer", "folder:d": "d"}
    assert sorted(log.read_text()) == ["b", "d"]


def test_a_family_reads_all_again_with_another_function(tmp_path, folder):
    store = store_lib.Store(tmp_path / "store")
    store_lib.family_tasks(FOLDER, store, folder)
    changed = dataclasses.replace(FOLDER, read_metadata=read_more_metadata)
    tasks = store_lib.family_tasks(changed, store, folder)
    assert [t.constants["more"] for t in tasks] == ["x"] * 3


def test_a_family_without_its_folder_is_remembered(tmp_path, folder):
    store, family = store_lib.Store(tmp_path / "store"), FOLDER
    here = store_lib.family_tasks(family, store, folder)
    elsewhere = store_lib.family_tasks(family, store, tmp_path / "nothing")
    assert [(t.name, t.constants) for t in elsewhere] == [(t.name, t.constants) for t in here]
    assert len(here) == 3
    empty = store_lib.Store(tmp_path / "another_store")
    assert store_lib.family_tasks(family, empty, tmp_path / "nothing") == ()


def test_a_broken_file_of_a_family_is_named_and_the_others_stay(tmp_path, folder):
    (folder / "sets" / "b.json").write_text("{")
    problems: list[str] = []
    store = store_lib.Store(tmp_path / "store")
    tasks = store_lib.family_tasks(FOLDER, store, folder, problems)
    assert [t.name for t in tasks] == ["folder:a", "folder:c"]
    assert len(problems) == 1
    assert os.path.join("sets", "b.json") in problems[0]
