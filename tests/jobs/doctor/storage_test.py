"""Memory, folders and buckets: facts that pass, and facts that do not."""

import pathlib

import pytest

from flantune.jobs.doctor import storage
from flantune.jobs.doctor.storage import Folder, Memory

GIB = 2**30
GOOD = Folder(
    path="runs",
    exists=False,
    is_folder=True,
    there="/here",
    is_writable=True,
    free_bytes=50 * GIB,
    free_files=10**6,
)


def changed(**changes):
    return Folder(**{**vars(GOOD), **changes})


def test_memory_is_the_less_of_the_machine_s_and_the_group_s():
    good = Memory(total=16 * GIB, available=10 * GIB, limit=None, cores=2)
    (found,) = storage.check_memory(good)
    assert (found.level, found.found) == ("ok", "10.0 GiB of 16.0 GiB are free; 2 CPU cores")
    small = Memory(total=16 * GIB, available=GIB // 2, limit=2 * GIB, cores=2)
    (found,) = storage.check_memory(small)
    assert found.level == "warning"
    assert "512.0 MiB of 2.0 GiB" in found.found
    assert "the machine has 16.0 GiB" in found.found


@pytest.mark.parametrize(
    ("facts", "level", "said"),
    [
        (GOOD, "ok", "runs, to be made, 50.0 GiB free"),
        (changed(exists=True), "ok", "runs, 50.0 GiB free"),
        (changed(free_files=None), "ok", "50.0 GiB free"),
        (changed(is_folder=False), "problem", "/here is a file"),
        (changed(is_writable=False), "problem", "no file can be made in /here"),
        (changed(free_bytes=GIB // 4), "warning", "256.0 MiB free"),
        (changed(free_files=7), "warning", "room for 7 more files only"),
    ],
)
def test_a_folder_to_write_to(facts, level, said):
    (found,) = storage.check_written("run folder", facts)
    assert found.level == level
    assert said in found.found
    assert bool(found.advice) == (level != "ok")


def test_checkpoints_must_fit():
    (found,) = storage.check_written("run folder", GOOD, needs_bytes=49 * GIB)
    assert found.level == "ok"
    assert "checkpoints take 49.0 GiB" in found.found
    (found,) = storage.check_written("run folder", GOOD, needs_bytes=51 * GIB)
    assert found.level == "problem"
    assert "50.0 GiB free, and the run writes 51.0 GiB" in found.found


def test_the_facts_of_folders(tmp_path):
    there = storage.folder(str(tmp_path))
    assert there.exists
    assert there.is_writable
    assert there.free_bytes > 0
    to_come = storage.folder(str(tmp_path / "a" / "b"))
    assert (to_come.exists, to_come.is_folder, to_come.there) == (False, True, str(tmp_path))
    (tmp_path / "file").write_text("")
    assert not storage.folder(str(tmp_path / "file" / "a")).is_folder
    assert not storage.folder("/proc/a").is_writable  # root has all permissions there
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_data_folder_that_is_named_must_be_there():
    (found,) = storage.check_data_dir(".", None, exists=True)
    assert found.level == "ok"
    (found,) = storage.check_data_dir("/data", "FLANTUNE_DATA_DIR", exists=True)
    assert found.found == "/data (FLANTUNE_DATA_DIR)"
    (found,) = storage.check_data_dir("/data", "FLANTUNE_DATA_DIR", exists=False)
    assert found.level == "problem"
    (found,) = storage.check_data_dir("/data", "--data_dir", exists=False, splits_are_checked=True)
    assert found.level == "warning"


@pytest.mark.parametrize(
    ("path", "installed", "use_tf", "has_tensorflow", "level", "said"),
    [
        ("gs://b/x", {"gcsfs"}, "0", True, "ok", "gs://b/x"),
        ("gs://b/x", {"gcsfs"}, None, False, "ok", "gs://b/x"),
        ("gs://b/x", {"gcsfs"}, None, True, "warning", "is read with TensorFlow"),
        ("gs://b/x", set(), "False", True, "problem", "needs gcsfs"),
        ("s3://b/x", {"gcsfs"}, "0", True, "problem", "needs s3fs"),
        (
            "s3://b/x",
            {"s3fs"},
            None,
            True,
            "problem",
            "TensorFlow, which is installed and reads no s3",
        ),
        ("hdfs://b/x", {"gcsfs"}, "0", True, "problem", "nothing here reads hdfs:// paths"),
    ],
)
def test_buckets(path, installed, use_tf, has_tensorflow, level, said):
    paths = {"run folder": path, "prepared store": "prepared"}
    (found,) = storage.check_buckets(paths, installed, use_tf, has_tensorflow=has_tensorflow)
    assert (found.what, found.level) == ("run folder", level)
    assert said in found.found


def test_a_compile_cache_never_stops_a_run():
    assert storage.check_compile_cache(None, None)[0].level == "ok"
    assert storage.check_compile_cache("gs://b/x", None)[0].level == "ok"
    assert storage.check_compile_cache("c", GOOD)[0].level == "ok"
    (found,) = storage.check_compile_cache("c", changed(is_writable=False))
    assert found.level == "warning"


def test_the_memory_here_is_counted():
    (found,) = storage.memory()
    assert "CPU cores" in found.found
    assert pathlib.Path("/proc/meminfo").exists() == ("GiB" in found.found)
