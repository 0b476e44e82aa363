"""The vocabulary of a run follows what the run starts from; another one is refused, unless a switch allows it."""

import json
import pathlib
import shutil

import pytest

from flantune import cli
from flantune.data.vocabularies import comparison, vocabulary as vocabulary_lib
from flantune.interop import start_vocabulary
from flantune.run_folder import trained_with

from . import small

WORDS = [f"{first}{second}ing the {second}{first}" for first in "abcdefgh" for second in "mnopqrst"]


@pytest.fixture(scope="module")
def pieces(workplace):
    """Two models of the same size, trained on other text."""
    for name, texts in (("one.model", WORDS), ("two.model", [text[::-1] for text in WORDS])):
        (workplace / name).write_bytes(vocabulary_lib.train(texts, 400))
    return workplace


@pytest.fixture(scope="module")
def without_a_vocabulary(workplace):
    """A run file that names no vocabulary."""
    lines = [line for line in small.RUN.split("\n") if "DataConfig.vocabulary" not in line]
    (workplace / "follows.gin").write_text("\n".join(lines))
    return "follows.gin"


@pytest.fixture(scope="module")
def t5x_run(workplace):
    """The T5X checkpoint in the folder of a t5x run, whose config names the vocabulary."""
    folder = workplace / "t5x_run"
    folder.mkdir()
    shutil.copytree(workplace / "as_t5x", folder / "checkpoint_5")
    (folder / "config.gin").write_text("VOCABULARY_NAME = 'bytes'\nBATCH_SIZE = 4\n")
    return folder


def kept_by(run):
    return trained_with.read(f"runs/{run}").vocabulary.name


@pytest.mark.parametrize("source", ["runs/base", "runs/base/checkpoints/checkpoint_5", "as_hf"])
def test_it_is_that_of_the_start_by_default(without_a_vocabulary, source):
    name = source.replace("/", "_")
    flags = (f"--gin.InitConfig.path={source}", small.STANDING_STILL)
    assert small.train(name, *flags, file=without_a_vocabulary) == 0
    assert kept_by(name) == ("as_hf" if source == "as_hf" else "bytes")
    assert small.answers(f"runs/{name}") == small.answers("runs/base")
    # A start that is gone is not asked for again.
    more = "--gin.experiments.train.num_steps=6"
    gone = "--gin.InitConfig.path=runs/gone"
    assert small.train(name, gone, small.STANDING_STILL, more, file=without_a_vocabulary) == 0


def test_a_t5x_run_names_it(without_a_vocabulary, t5x_run, capsys):
    assert start_vocabulary.name_of("t5x_run") == "bytes"
    assert start_vocabulary.name_of("t5x_run/checkpoint_5") == "bytes"
    text = small.error_of(
        capsys, "train", without_a_vocabulary, "--run_dir", "runs/y", "--gin.InitConfig.path=as_t5x"
    )
    assert (
        "InitConfig.path as_t5x does not say its vocabulary. Give it as DataConfig.vocabulary"
        in text
    )


def test_the_config_of_a_t5x_run_in_its_own_words(tmp_path):
    (tmp_path / "config.gin").write_text(
        "seqio.SentencePieceVocabulary.extra_ids = 100\n"
        "seqio.SentencePieceVocabulary.sentencepiece_model_file = \\\n"
        "    'gs://bucket/cc_all.32000/sentencepiece.model'\n"
    )
    found = start_vocabulary.name_of(str(tmp_path))
    assert found == "gs://bucket/cc_all.32000/sentencepiece.model+100"


def test_without_a_start_one_must_be_named(without_a_vocabulary, capsys):
    text = small.error_of(capsys, "train", without_a_vocabulary, "--run_dir", "runs/z")
    assert "DataConfig.vocabulary is not set, and there is no InitConfig.path" in text
    assert not pathlib.Path("runs/z").exists()


@pytest.mark.parametrize("source", ["runs/base", "as_hf", "t5x_run"])
def test_another_one_is_refused_by_train_and_preflight_alike(pieces, t5x_run, capsys, source):
    flags = [f"--gin.InitConfig.path={source}", "--gin.DataConfig.vocabulary=one.model"]
    fits = "--gin.ModelConfig.vocab_size=512"
    said = f"DataConfig.vocabulary 'one.model' is not the vocabulary {'bytes' if source != 'as_hf' else source!r}"
    text = small.error_of(capsys, "train", "run.gin", "--run_dir", "runs/other", *flags, fits)
    assert said.replace("vocabulary bytes", "vocabulary 'bytes'") in text
    assert "one is of bytes, the other of pieces" in text
    assert not pathlib.Path("runs/other").exists()
    capsys.readouterr()
    assert cli.main(["preflight", "run.gin", *flags, fits, "--json"]) == 1
    checks = {one["what"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert not checks["vocabulary"]["passed"]
    assert checks["vocabulary"]["found"] in text
    allowed = "--gin.InitConfig.other_vocabulary=True"
    capsys.readouterr()
    cli.main(["preflight", "run.gin", *flags, fits, allowed, "--json"])
    checks = {one["what"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["vocabulary"]["passed"]


@pytest.mark.slow
def test_a_switch_allows_another_one(pieces):
    flags = (small.FROM_BASE, "--gin.DataConfig.vocabulary=bytes+12")
    assert small.train("more_sentinels", *flags) == 0  # the same ids for text: no other vocabulary
    swapped = "--gin.DataConfig.vocabulary=one.model"
    big = "--gin.ModelConfig.vocab_size=512"
    assert small.train("of_pieces", swapped, big) == 0
    from_pieces = "--gin.InitConfig.path=runs/of_pieces"
    two = "--gin.DataConfig.vocabulary=two.model"
    allowed = "--gin.InitConfig.other_vocabulary=True"
    assert small.train("swapped", from_pieces, two, big, allowed) == 0
    assert kept_by("swapped") == "two.model"


def test_where_two_vocabularies_differ(pieces):
    one, two = (vocabulary_lib.load(f"{name}.model") for name in ("one", "two"))
    again = vocabulary_lib.SentencePieceVocabulary(one.model, "elsewhere")
    assert comparison.difference(one, again) is None
    assert comparison.difference(one, two).startswith("id ")
    bytes_alone, with_sentinels = (vocabulary_lib.load(name) for name in ("bytes", "bytes+100"))
    assert comparison.difference(bytes_alone, with_sentinels) is None
    assert comparison.difference(one, bytes_alone) == "one is of bytes, the other of pieces"
