"""`flantune vocab`: a vocabulary of a mixture in a file, and what it does to the mixture's text."""

import argparse
import json

import pytest

from flantune import testing
from flantune.commands import vocab
from flantune.configs import DataConfig
from flantune.data import Mixture, catalog as catalog_lib
from flantune.data.input import loading, mixture_vocabulary
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.prompting import Template

WORDS = ("garden", "window", "button", "silver", "orange", "planet", "basket", "yellow")
TASK = testing.make_task(
    "vocab:words",
    {
        "train": [
            {"text": f"{WORDS[row % 8]} {WORDS[row % 7]}", "answer": f"{WORDS[row % 5]} é"}
            for row in range(60)
        ]
    },
    templates=[Template(inputs="Repeat:\n{text}"), Template(inputs="Say  {text}")],
)
MODULE = "vocab_test_tasks"
RUN = f"""
from __gin__ import dynamic_registration
from flantune import configs
from flantune import experiments

configs.DataConfig.mixture = "vocab_all"
configs.DataConfig.modules = ("{MODULE}",)
configs.DataConfig.vocabulary = "sentencepiece:460"
configs.DataConfig.inputs_length = 32
configs.DataConfig.targets_length = 16
configs.DataConfig.batch_size = 4
configs.DataConfig.block_size = 64
"""


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.gin").write_text(RUN)
    mixtures = [
        Mixture(name="vocab_all", rates={"vocab:*": 1}),
        Mixture(name="vocab_few", rates={"vocab:words": 1}),
    ]
    with testing.task_module(MODULE, [TASK], mixtures):
        yield tmp_path


def run(*arguments):
    parser = argparse.ArgumentParser()
    vocab.add(parser.add_subparsers())
    parsed = parser.parse_args(["vocab", "run.gin", "--prepared_dir", "prepared", *arguments])
    return parsed.run(parsed, [])


def test_it_writes_the_vocabulary_of_the_run(workplace, capsys):
    assert run("--output", "deep/words.model", "--json") == 0
    value = json.loads(capsys.readouterr().out)
    vocabulary = vocabulary_lib.load("deep/words.model")
    assert value["vocabulary"] == "deep/words.model"
    assert value["size"] == vocabulary.size <= 460
    assert (value["sentinels"], value["survive"], value["unknown"]) == (100, 1.0, 0.0)
    assert value["newlines_kept"]
    assert value["space_runs_kept"]
    assert 1 < value["tokens_per_word"] < 4  # bytes would need 7
    assert vocabulary.encode("<extra_id_0>") == [vocabulary.size - 1]
    assert [path.name for path in (workplace / "deep").iterdir()] == ["words.model"]


def test_it_is_the_one_that_training_makes_on_the_spot(workplace):
    run("--output", "one.model")
    config = DataConfig(
        mixture="vocab_all",
        modules=(MODULE,),
        vocabulary="sentencepiece:460",
        inputs_length=32,
        targets_length=16,
        batch_size=4,
        block_size=64,
        prepared_dir="elsewhere",
    )
    store = testing.prepare([TASK], workplace / "elsewhere")
    catalog = catalog_lib.load([MODULE], store, workplace)
    bound = loading.bind_mixture(catalog, store, "vocab_all", split="train")
    model = mixture_vocabulary.trained(store, config, bound, 460)
    assert (workplace / "one.model").read_bytes() == model


def test_size_and_mixture_may_be_given(capsys):
    run("--output", "few.model", "--size", "430", "--mixture", "vocab_few")
    shown = capsys.readouterr().out
    assert "few.model" in shown
    assert "tokens per word" in shown
    assert vocabulary_lib.load("few.model").size <= 430


def test_a_size_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="SIZE must be a whole number from 361"):
        run("--output", "small.model", "--size", "100")
    parser = argparse.ArgumentParser()
    vocab.add(parser.add_subparsers())
    parsed = parser.parse_args(["vocab", "run.gin", "--output", "x.model"])
    with pytest.raises(ValueError, match=r"Give --size: DataConfig\.vocabulary is 'bytes'"):
        parsed.run(parsed, ["configs.DataConfig.vocabulary='bytes'"])
