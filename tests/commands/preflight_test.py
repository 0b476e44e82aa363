"""`flantune preflight` on a tiny run: all checks are told, and the exit status says whether one failed."""

import json
import pathlib

import pytest

from flantune import cli, testing
from flantune.testing import tiny

LORA = pathlib.Path(__file__).parents[2] / "gin" / "lora" / "rank8.gin"
ROWS = {"train": [{"text": "a", "answer": "b"}] * 4}


@pytest.fixture
def run_file(tmp_path):
    path = tmp_path / "run.gin"
    path.write_text(
        tiny.run_file(
            {
                "DataConfig.mixture": "pre:echo",
                "DataConfig.modules": ("preflight_tasks",),
                "DataConfig.vocabulary": "bytes",
                "DataConfig.inputs_length": 32,
                "DataConfig.targets_length": 8,
                "DataConfig.batch_size": 4,
                "DataConfig.prepared_dir": str(tmp_path / "store"),
                "CheckpointConfig.save_every_steps": 5,
                "train.num_steps": 5,
            }
        )
    )
    return path


def preflight(capsys, *words):
    status = cli.main(["preflight", "--json", *map(str, words)])
    output = capsys.readouterr()
    checks = json.loads(output.out)["checks"] if output.out else []
    return status, {check["what"]: (check["passed"], check["found"]) for check in checks}


def test_what_is_not_prepared_is_named_and_then_it_passes(run_file, tmp_path, capsys):
    task = testing.make_task("pre:echo", ROWS)
    with testing.task_module("preflight_tasks", [task]):
        status, checks = preflight(capsys, run_file)
        assert status == 1
        assert not checks["data"][0]
        assert "pre:echo (train)" in checks["data"][1]
        assert checks["vocabulary"][0]
        testing.prepare([task], tmp_path / "store")
        status, checks = preflight(capsys, run_file, "--topology", "h100:1")
        assert status == 0
        assert set(checks) == {"data", "vocabulary", "fit"}


def test_every_check_is_told_though_one_fails(run_file, tmp_path, capsys):
    task = testing.make_task("pre:echo", ROWS)
    testing.prepare([task], tmp_path / "store")
    with testing.task_module("preflight_tasks", [task]):
        status, checks = preflight(
            capsys,
            run_file,
            "--topology=h100:1",
            "--gin.InitConfig.path=/nowhere",
            "--gin.DataConfig.vocabulary=gone.model",
            "--gin.DataConfig.batch_size=40000000",
        )
    assert status == 1
    assert checks["data"][0]
    assert "no folder /nowhere" in checks["start"][1]
    assert "t5_1_1_lm100k_SIZE" in checks["start"][1]  # where T5's are published
    assert "'gone.model' does not exist" in checks["vocabulary"][1]
    assert "name it T5.model+100" in checks["vocabulary"][1]  # as recipes' commands do
    assert "h100:1 is too small" in checks["fit"][1]


def test_a_wrong_binding_is_wrong_input(run_file, capsys):
    assert preflight(capsys, run_file, "--gin.DataConfig.mixtur=x")[0] == 2


def test_a_step_of_adapters_needs_less_than_one_of_all_parameters(run_file, tmp_path, capsys):
    task = testing.make_task("pre:echo", ROWS)
    testing.prepare([task], tmp_path / "store")
    with testing.task_module("preflight_tasks", [task]):
        found = [
            preflight(
                capsys, run_file, *lora, "--topology", "h100:1", "--gin.ModelConfig.emb_dim=512"
            )
            for lora in ([], [LORA])
        ]
    assert [status for status, _ in found] == [0, 0]
    whole, adapters = (float(checks["fit"][1].split()[1]) for _, checks in found)
    assert adapters < whole
