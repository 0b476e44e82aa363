from concurrent import futures
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.data.store import prepare, reader as store_lib, split_writer
from flantune.prompting import Template

SRC = pathlib.Path(split_writer.__file__).parents[3]

SLOW = """
import pathlib, time, sys
from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.data.store import prepare, reader
from flantune.prompting import Template

def rows():
    for n in range(10):
        time.sleep(DELAY if n >= 4 else 0)
        yield {"x": str(n), "answer": "b"}

def to_fields(row):
    with open(LOG, "a") as file:
        file.write(row["x"] + "\\n")
    return row

TASK = InstructionTask(name="t:slow", source=sources.InMemory(train=rows), to_fields=to_fields, cluster="c",
    templates=(Template(inputs="{x}"),), metrics=(metrics.exact_match,))

def main():
    report = prepare.prepare([(TASK, ["train"])], reader.Store(STORE), pathlib.Path("."),
        num_processes=1, rows_per_shard=2)
    print(report.results[0].status)

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def slow(tmp_path):
    """Starts a process that prepares ten rows in five shards and stops for a while after the second."""
    store = tmp_path / "store"
    partial = store / "t" / "slow" / "train.partial"

    def start(delay):
        log = tmp_path / "log"
        text = SLOW.replace("LOG", repr(str(log))).replace("STORE", repr(str(store)))
        # The delay is no part of what is fingerprinted: it comes from outside the package.
        (tmp_path / "slow.py").write_text(text.replace("DELAY", "float(sys.argv[1])"))
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "slow.py"), str(delay)],
            env={**os.environ, "PYTHONPATH": str(SRC)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_two_shards(process):
        for _ in range(600):
            if (partial / "part-00001.json").exists():
                return
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        raise AssertionError("no shard in 30 s")

    start.store, start.partial, start.wait = store_lib.Store(store), partial, wait_for_two_shards
    return start


def shards(folder, count):
    return [
        (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in sorted(folder.glob("part-*.arrayrecord"))[:count]
    ]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_after_a_kill_finished_shards_are_kept(tmp_path, slow, how):
    process = slow(60)
    slow.wait(process)
    process.send_signal(how)
    process.wait(timeout=10)  # without waiting for the worker's row
    finished = shards(slow.partial, 2)
    assert slow.store.manifest("t:slow", "train") is None
    output, errors = slow(0).communicate(timeout=30)
    assert output == "prepared\n", errors
    assert shards(slow.partial.with_name("train"), 2) == finished
    assert not slow.partial.exists()
    manifest = slow.store.manifest("t:slow", "train")
    assert [shard.rows for shard in manifest.shards] == [2] * 5
    rows = slow.store.reader(manifest).fetch(range(10))
    assert [row["x"] for row in rows] == [str(n) for n in range(10)]
    calls = (tmp_path / "log").read_text().split()
    assert calls == [
        str(n) for n in range(10)
    ]  # no row of a finished shard went through to_fields again


def test_two_at_once_prepare_once(tmp_path, slow):
    first = slow(0.3)
    slow.wait(first)
    second = slow(0.3)
    results = {first.communicate(timeout=60)[0], second.communicate(timeout=60)[0]}
    assert results == {"prepared\n", "fresh\n"}
    assert (tmp_path / "log").read_text().split() == [str(n) for n in range(10)]


def test_many_at_once_prepare_each_split_once(tmp_path):
    store = store_lib.Store(tmp_path / "store")
    tasks = [
        InstructionTask(
            name=f"t:many{number}",
            cluster="c",
            source=sources.InMemory(train=[{"x": "a", "answer": "b"}]),
            to_fields=dict,
            templates=(Template(inputs="{x}"),),
            metrics=(metrics.exact_match,),
        )
        for number in range(40)
    ]

    def prepare_all(_):
        wanted = [(task, ["train"]) for task in tasks]
        return prepare.prepare(wanted, store, tmp_path, num_processes=0).results

    with futures.ThreadPoolExecutor(8) as threads:
        everyone = list(threads.map(prepare_all, range(8)))
    for of_one_split in zip(*everyone, strict=True):
        statuses = sorted(result.status for result in of_one_split)
        assert statuses == ["fresh"] * 7 + ["prepared"], [result.error for result in of_one_split]
