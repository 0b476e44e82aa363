"""`flantune data`: what a run needs, where it is published, and whether it is there, prepared, left out or missing."""

import dataclasses
import json

import pytest

from flantune import cli, testing
from flantune.data import Publication, TaskFamily, sources
from flantune.data.store import prepare as prepare_lib, reader as store_lib

ECHO = dataclasses.replace(
    testing.make_task("own:echo", {"train": []}),
    source=sources.Jsonl(train="echo/rows.jsonl[1:]", validation="echo/rows.jsonl[:1]"),
    licence="MIT",
    publication=Publication(
        url="https://example.org/echo", get="curl -o DATA/echo/rows.jsonl U", download_bytes=66
    ),
)
FOLDER = TaskFamily(
    name="folder",
    files=lambda data_dir: {},
    read_metadata=lambda path: {},
    make_task=lambda name, metadata: ECHO,
    folders=("mine",),
    licence="yours",
    publication=Publication(url="", get="Put files into DATA/mine"),
)
ROW = '{"text": "a", "answer": "b"}\n'


@pytest.fixture
def run_file(tmp_path):
    path = tmp_path / "run.gin"
    path.write_text(
        testing.run_file(
            {
                "DataConfig.mixture": "own:echo",
                "DataConfig.modules": ("data_tasks",),
                "DataConfig.data_dir": str(tmp_path),
                "DataConfig.prepared_dir": str(tmp_path / "store"),
            }
        )
    )
    with testing.task_module("data_tasks", [ECHO, FOLDER]):
        yield path


def data(capsys, *words):
    status = cli.main(["data", "--json", *map(str, words)])
    output = capsys.readouterr()
    return status, json.loads(output.out)["datasets"] if output.out else output.err


def test_what_is_missing_says_where_to_get_it(run_file, tmp_path, capsys):
    status, (found,) = data(capsys, run_file)
    assert status == 1
    assert found["state"] == "missing"
    assert found["missing"] == ["own:echo (train)"]
    assert found["url"] == "https://example.org/echo"
    assert found["get"] == f"curl -o {tmp_path}/echo/rows.jsonl U"
    assert (found["places"], found["licences"]) == (["echo/rows.jsonl"], ["MIT"])
    assert (found["download_bytes"], found["source_bytes"]) == (66, 0)


def test_what_is_there_counts_once_and_what_is_prepared_need_not_be_there(
    run_file, tmp_path, capsys
):
    file = tmp_path / "echo" / "rows.jsonl"
    file.parent.mkdir()
    file.write_text(ROW * 3)
    status, (found,) = data(capsys, "own:echo", "--gin_file", run_file)
    assert (status, found["state"]) == (0, "there")
    assert found["source_bytes"] == 3 * len(ROW)  # both splits read the one file
    store = store_lib.Store(tmp_path / "store")
    prepare_lib.prepare([(ECHO, ("train",))], store, tmp_path, num_processes=0).raise_if_failed()
    file.unlink()
    status, (found,) = data(capsys, run_file)
    assert (status, found["state"], found["source_bytes"]) == (0, "prepared", 0)
    shards = store.manifest("own:echo", "train").shards
    assert found["prepared_bytes"] == sum(shard.bytes for shard in shards) > 0
    status, (found,) = data(capsys, "own:echo", "--gin_file", run_file)
    assert (status, found["missing"]) == (1, ["own:echo (validation)"])


def test_a_family_without_files_says_its_folder(run_file, tmp_path, capsys):
    status, (found,) = data(capsys, run_file, "--gin.DataConfig.mixture=folder:*")
    assert status == 1
    assert (found["tasks"], found["places"]) == (["folder:*"], ["mine/"])
    assert (found["licences"], found["get"]) == (["yours"], f"Put files into {tmp_path}/mine")


def test_what_a_run_does_without_is_left_out_unless_it_is_all(run_file, tmp_path, capsys):
    skip = "--gin.DataConfig.skip_absent=True"
    status, (found,) = data(capsys, run_file, skip)
    assert (status, found["state"]) == (1, "missing")
    testing.prepare(
        [testing.make_task("own:other", {"train": [json.loads(ROW)]})], tmp_path / "store"
    )
    with testing.task_module("more_tasks", [testing.make_task("own:other", {"train": []})]):
        both = '--gin.DataConfig.modules=("data_tasks", "more_tasks")'
        status, found = data(capsys, run_file, skip, both, "--gin.DataConfig.mixture=own:*")
    assert status == 0
    assert {one["state"]: one["tasks"] for one in found} == {
        "left out": ["own:echo"],
        "prepared": ["own:other"],
    }


def test_a_recipe_goes_by_its_name_and_needs_no_vocabulary(tmp_path, capsys):
    status, found = data(
        capsys, "alpaca_t5_small", "--data_dir", tmp_path, "--prepared_dir", tmp_path
    )
    assert status == 1
    assert "https://github.com/tatsu-lab/stanford_alpaca" in [one["url"] for one in found]
    status, told = data(capsys, "alpaca_t5_smal", "--data_dir", tmp_path)
    assert status == 2
    assert "recipe is called 'alpaca_t5_small'" in told


def test_a_module_of_tasks_has_all_splits(tmp_path, capsys):
    status, (found,) = data(
        capsys, "tasks.trec", "--data_dir", tmp_path, "--prepared_dir", tmp_path
    )
    assert status == 1
    assert [one.split()[-1] for one in found["missing"]] == ["(train)", "(validation)", "(test)"]
    assert found["places"] == ["trec/TREC.train", "trec/TREC.test"]


def test_lines_are_not_folded_and_what_is_made_in_code_is_there(tmp_path, capsys):
    assert cli.main(["data", "quickstart", "--prepared_dir", str(tmp_path)]) == 0
    assert "rows are made in code" in capsys.readouterr().out
    assert cli.main(["data", "tasks.gsm8k", "--data_dir", str(tmp_path / ("x" * 90))]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("grade-school-math into" in line and line.endswith("/gsm8k") for line in lines)
    assert lines[-1] == "1 dataset: 1 missing."
