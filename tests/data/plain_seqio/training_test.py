"""Plain SeqIO tasks, once prepared, train where there is neither TensorFlow nor SeqIO."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import pytest

from flantune import testing
from flantune.data.plain_seqio import tasks as seqio_tasks

pytest.importorskip("seqio")


RUN = testing.run_file(
    {
        "DataConfig.mixture": "both_tasks",
        "DataConfig.modules": ("span_mixtures",),
        "DataConfig.seqio_modules": ("span_package.tasks",),
        "DataConfig.vocabulary": "bytes+100",
        "DataConfig.inputs_length": 24,
        "DataConfig.targets_length": 20,
        "DataConfig.batch_size": 4,
        "DataConfig.block_size": 16,
        "CheckpointConfig.save_every_steps": 3,
        "train.num_steps": 3,
        "train.log_every_steps": 1,
    },
    dataclasses.replace(testing.MODEL, vocab_size=368),
)
MIXTURES = """
from flantune import metrics
from flantune.data import InstructionTask, Mixture, sources
from flantune.prompting import Template


def to_fields(row):
    return row


TASKS = (
    InstructionTask(
        name="s:words",
        cluster="words",
        source=sources.InMemory(train=[{"text": "a", "answer": "b"}, {"text": "c", "answer": "d"}]),
        to_fields=to_fields,
        templates=(Template(inputs="Say {text}"),),
        metrics=(metrics.exact_match,),
    ),
)
MIXTURES = (Mixture(name="both_tasks", rates={"s:words": 1, "seqio:spans:bytes": 3}),)
"""
# Put on the path of every process of a training host: TensorFlow and SeqIO cannot be imported there.
WITHOUT_TENSORFLOW = """
import sys

for name in ("tensorflow", "tensorflow_text", "tensorflow_datasets", "seqio"):
    sys.modules[name] = None
"""


READ = """
from tests import runtime_checks

runtime_checks.install()  # as in the process that prepared: fingerprints see the checks
import pathlib
import sys

from flantune.configs import DataConfig
from flantune.data.input import loading
from flantune.data.store import prepare
from flantune.data.vocabularies import vocabulary

config = DataConfig(
    mixture=sys.argv[1], modules=(), vocabulary="bytes+100", inputs_length=24, targets_length=20,
    batch_size=4, block_size=32, seqio_modules=("span_package.tasks",), prepared_dir=sys.argv[2],
)
store = loading.open_store(config)
catalog = loading.load_catalog(config, store, [config.mixture])
wanted = loading.splits_needed(catalog, [(config.mixture, "train")])
tasks = [(catalog.tasks[name], splits) for name, splits in wanted]
print({result.status for result in prepare.prepare(tasks, store, pathlib.Path()).results})
bound = loading.bind_mixture(catalog, store, config.mixture, split="train")
dataset = loading.train_dataset(bound, config, vocabulary.load("bytes+100"), seed=0)
print(next(iter(dataset))["encoder_input_tokens"].shape)
"""


@pytest.fixture
def host(tmp_path):
    """A folder that, on the path, makes a training host: no TensorFlow, no SeqIO, and no user's package."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    return tmp_path / "host"


def run(folder, path, *arguments):
    source = pathlib.Path(seqio_tasks.__file__).parents[3]
    environment = {
        **os.environ,
        "FLANTUNE_PREPARED_DIR": str(folder / "prepared"),
        "PYTHONPATH": os.pathsep.join(map(str, (path, source))),
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def test_prepared_ids_are_read_without_tensorflow_seqio_and_the_module(
    span_ready, span_place, host
):
    done = run(host.parent, host, "-c", READ, "seqio:span_mixture", str(span_place / "prepared"))
    assert done.stdout.splitlines() == ["{'fresh'}", "(4, 24)"]


@pytest.mark.slow
def test_it_trains_without_tensorflow_once_it_is_prepared(span_place, host, tmp_path):
    (tmp_path / "run.gin").write_text(RUN)
    (tmp_path / "span_mixtures.py").write_text(MIXTURES)
    run(tmp_path, span_place, "-m", "flantune", "prepare", "run.gin")
    done = run(tmp_path, host, "-m", "flantune", "train", "run.gin")
    assert "75.00 %  seqio:spans:bytes (32 rows)" in done.stderr
    lines = (tmp_path / "runs" / "run" / "metrics.jsonl").read_text().splitlines()
    assert any("train/loss" in json.loads(line) for line in lines)
