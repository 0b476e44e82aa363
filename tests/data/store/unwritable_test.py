"""A prepared store that cannot be written: one error for all splits, at once, and what is finished stays."""

import dataclasses
import errno
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from array_record.python import array_record_module
import pytest

from flantune import testing
from flantune.data import sources
from flantune.data.store import prepare, reader as store_lib, split_writer
from flantune.host import places, workers

ROOT = pathlib.Path(split_writer.__file__).parents[3]
WRITER = array_record_module.ArrayRecordWriter
ROWS = [{"text": f"row {number}", "answer": "a"} for number in range(6)]


def tasks(count=3):
    return [testing.make_task(f"t:{number}", {"train": ROWS}) for number in range(count)]


def run(root, **options):
    options = {"num_processes": 0, **options}
    wanted = [(task, ["train"]) for task in tasks()]
    return prepare.prepare(wanted, store_lib.Store(root), pathlib.Path("."), **options)


@pytest.fixture
def in_time():
    """Ends a test that spins."""

    def stop(*_):
        raise AssertionError("still spinning after 20 s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(
        signal.ITIMER_REAL, 20, 1
    )  # again and again, since errors of a split are caught
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def no_workers(monkeypatch):
    def run(*_):
        raise AssertionError("a worker was started")

    monkeypatch.setattr(workers, "run", run)


@pytest.mark.usefixtures("in_time", "no_workers")
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("link", "{}/link is a link to /nowhere/deep, which does not exist"),
        ("link/below", "{}/link is a link to /nowhere/deep, which does not exist"),
        ("taken/store", "{}/taken is a file"),
        ("/proc/store", "/proc takes no files ("),
    ],
)
def test_it_is_found_out_before_a_worker_starts_and_told_once(tmp_path, caplog, place, expected):
    (tmp_path / "link").symlink_to("/nowhere/deep")
    (tmp_path / "taken").write_text("")
    with pytest.raises(places.PlaceError) as raised:
        run(tmp_path / place, num_processes=2)
    told = f"The prepared store {tmp_path / place} cannot be written: {expected.format(tmp_path)}"
    assert str(raised.value).startswith(told)
    assert "It lacks 't:0', split 'train'; --prepared_dir or" in str(raised.value)
    assert caplog.records == []


@pytest.mark.usefixtures("no_workers")
@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_store_that_holds_all_need_not_be_written(tmp_path, monkeypatch, number):
    run(tmp_path).raise_if_failed()

    def refuse(**given):
        raise OSError(number, os.strerror(number), str(given["dir"]))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert [result.status for result in run(tmp_path).results] == ["fresh"] * 3
    (tmp_path / "t" / "1" / "train" / "manifest.json").unlink()
    with pytest.raises(places.PlaceError) as raised:
        run(tmp_path, num_processes=2)
    assert (
        str(raised.value)
        .lower()
        .startswith(
            f"the prepared store {tmp_path} cannot be written: it takes no files ({os.strerror(number)}). it lacks 't:1'".lower()
        )
    )


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("num_processes", [0, 2])
@pytest.mark.parametrize("name", ["t", "t/0/train.partial"])
def test_a_link_to_nothing_inside_the_store_ends_all_at_once(tmp_path, capfd, name, num_processes):
    link = tmp_path / "store" / name
    link.parent.mkdir(parents=True)
    link.symlink_to("/nowhere/deep")
    with pytest.raises(places.PlaceError) as raised:
        run(tmp_path / "store", num_processes=num_processes)
    told = f"The prepared store {tmp_path}/store cannot be written: {link} is a link to /nowhere/deep, which does not exist."
    assert str(raised.value) == told
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.usefixtures("in_time")
def test_a_folder_of_the_store_that_may_not_be_read_is_told_once(tmp_path):
    run(tmp_path).raise_if_failed()
    path = tmp_path / "t" / "0" / "train" / "manifest.json"
    path.unlink()
    path.symlink_to(path)  # a loop: root may read whatever rights say
    with pytest.raises(places.PlaceError, match="cannot be read: too many levels of symbolic"):
        run(tmp_path)


class FullDisk:
    """An ArrayRecord writer whose disk is full after some shards."""

    left = 1

    def __init__(self, path, options):
        self._path = path
        self._writer = WRITER(path, options)

    def write(self, data):
        self._writer.write(data)

    def close(self):
        self._writer.close()
        if FullDisk.left == 0:
            raise RuntimeError(
                f"write() failed: No space left on device; writing {self._path}; at byte 65536; "
                "Failed to close chunk_writer"
            )
        FullDisk.left -= 1


def test_a_full_disk_keeps_finished_shards_and_the_next_start_goes_on(tmp_path, monkeypatch):
    FullDisk.left = 1
    with monkeypatch.context() as patch:
        patch.setattr(array_record_module, "ArrayRecordWriter", FullDisk)
        with pytest.raises(places.PlaceError) as raised:
            run(tmp_path, rows_per_shard=2)
    told = f"The prepared store {tmp_path} cannot be written: no space left on device."
    assert str(raised.value) == told
    partial = tmp_path / "t" / "0" / "train.partial"
    kept = {path.name for path in partial.iterdir()}
    assert kept == {"key.json", "part-00000.arrayrecord", "part-00000.json"}
    inode = (partial / "part-00000.arrayrecord").stat().st_ino
    run(tmp_path, rows_per_shard=2).raise_if_failed()
    store = store_lib.Store(tmp_path)
    rows = store.reader(store.manifest("t:0", "train")).fetch(range(6))
    assert [row["text"] for row in rows] == [row["text"] for row in ROWS]
    first = partial.with_name("train") / "part-00000-of-00003.arrayrecord"
    assert first.stat().st_ino == inode


MODULE = """
from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.prompting import Template

def rows():
    for number in range(3000):
        yield {"x": str(hash(str(number))) * 20, "answer": "b"}

def task(number):
    return InstructionTask(name=f"t:{number}", source=sources.InMemory(train=rows), to_fields=dict,
        cluster="c", templates=(Template(inputs="{x}"),), metrics=(metrics.exact_match,))

TASKS = tuple(map(task, range(4)))
"""


def test_a_disk_that_fills_up_under_the_workers_is_one_sentence_and_status_1(tmp_path):
    """Files of at most 40 kB stand in for the full disk: the same error of the system, in real workers."""
    (tmp_path / "big_tasks.py").write_text(MODULE)
    (tmp_path / "run.gin").write_text(
        testing.run_file(
            {
                "DataConfig.mixture": "t:*",
                "DataConfig.modules": ("big_tasks",),
                "DataConfig.vocabulary": "bytes",
                "DataConfig.inputs_length": 32,
                "DataConfig.targets_length": 16,
                "DataConfig.batch_size": 4,
            }
        )
    )
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000)); "
        "from flantune import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, "prepare", "run.gin", "--prepared_dir", "store"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    told = "flantune: The prepared store store cannot be written: file too large.\n"
    assert (done.returncode, done.stderr, done.stdout) == (1, told, "")


def test_one_cause_of_many_splits_is_told_once(tmp_path, caplog, monkeypatch):
    monkeypatch.chdir(pathlib.Path(__file__).parent)

    def broken():
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/data/rows.jsonl")

    source = sources.InMemory(train=broken)
    wanted = [(dataclasses.replace(task, source=source), ["train"]) for task in tasks(5)]
    report = prepare.prepare(wanted, store_lib.Store(tmp_path), tmp_path, num_processes=0)
    assert len(report.failed) == 5
    told = "/data/rows.jsonl: permission denied (unwritable_test.py, line "
    (failure,) = report.as_json()["failures"]
    assert failure.startswith(f"[t:0, train; t:1, train; t:2, train; and 2 more] {told}"), failure
    with pytest.raises(ValueError, match="5 of 5 splits cannot be prepared") as raised:
        report.raise_if_failed()
    assert str(raised.value).count("permission denied") == 1
    assert not caplog.records  # whoever asked for it is told, once
