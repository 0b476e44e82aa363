"""A tiny task and model, and what tests ask of runs of it; the working folder is `conftest.py`'s."""

import json
import pathlib

import numpy as np

from flantune import cli, testing
from flantune.interop import run_checkpoint

TASKS = """
from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.prompting import Template

TASKS = (
    InstructionTask(
        name="start:copy", cluster="copy", to_fields=lambda row: {**row, "answer": row["word"]},
        metrics=(metrics.exact_match,), source=sources.Jsonl(train="words.jsonl[4:]", test="words.jsonl[:4]"),
        templates=(Template(inputs="Copy: {word}"),),
    ),
)
"""
RUN = testing.run_file(
    {
        "DataConfig.mixture": "start:copy",
        "DataConfig.modules": ("start_test_tasks",),
        "DataConfig.vocabulary": "bytes",
        "DataConfig.inputs_length": 32,
        "DataConfig.targets_length": 16,
        "DataConfig.batch_size": 4,
        "DataConfig.block_size": 16,
        "CheckpointConfig.save_every_steps": 5,
        "train.num_steps": 5,
        "train.log_every_steps": 1,
    }
)
SUITE = """
configs.EvalSuite.name = "seen"
configs.EvalConfig.suites = (@configs.EvalSuite(),)
configs.EvalConfig.metric = "exact_match"
configs.EvalConfig.batch_size = 4
configs.EvalConfig.max_decode_length = 4
"""
LORA = ("--gin.LoraConfig.rank=2", "--gin.LoraConfig.alpha=4.0")
FROM_BASE = "--gin.InitConfig.path=runs/base"
STANDING_STILL = "--gin.OptimizerConfig.learning_rate=0.0"


def train(name, *flags, file="run.gin"):
    return cli.main(["train", file, "--run_dir", f"runs/{name}", *flags])


def enter(folder, patch):
    patch.chdir(folder)
    patch.setenv("FLANTUNE_PREPARED_DIR", str(folder / "prepared"))
    patch.syspath_prepend(str(folder))


def answers(run):
    """What a run predicts for two prompts."""
    pathlib.Path("prompts.jsonl").write_text('{"inputs": "Copy: aaa"}\n{"inputs": "Copy: zz"}\n')
    flags = ["--input", "prompts.jsonl", "--output", "answers.jsonl"]
    assert cli.main(["infer", "--checkpoint", run, *flags]) == 0
    return [line["prediction"] for line in read_lines("answers.jsonl")]


def read_lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def params_of(run, step=None):
    source = run_checkpoint.open_run(run, step)
    return {name: source.read(name) for name in source.arrays}


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, err_msg=name)


def error_of(capsys, *arguments):
    capsys.readouterr()
    assert cli.main(list(arguments)) == 2
    return capsys.readouterr().err.split("flantune: ")[-1]
