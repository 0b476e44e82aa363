"""Conversions between the three layouts: nothing is lost, nothing is asked that the source says, nothing is left behind."""

import dataclasses
import os

import jax
import numpy as np
from numpy.testing import assert_array_equal
import pytest

from flantune import testing
from flantune.configs import ModelConfig
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.interop import tree_source
from flantune.jobs import convert, gin_files
from flantune.models import t5

# Sizes that differ from each other, so that no transposition goes unnoticed; bytes+13 fit exactly.
MODEL = dataclasses.replace(
    testing.MODEL,
    num_encoder_layers=3,
    num_decoder_layers=2,
    head_dim=5,
    scan_layers=True,
    dtype="bfloat16",
    dropout_rate=0.1,
)
PARAMS = t5.EncoderDecoder(dataclasses.replace(MODEL, scan_layers=False)).init(jax.random.key(0))
TREE = tree_source.TreeSource("The tree", PARAMS)


def source(**changes):
    values = {
        "kind": convert.FLANTUNE,
        "params": TREE,
        "model": MODEL,
        "step": 12,
        "vocabulary": vocabulary_lib.load("bytes+13"),
    }
    return convert.Source(**values | changes)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same model in each layout."""
    place = tmp_path_factory.mktemp("layouts")
    for kind in convert.KINDS:
        convert.convert(source(), place / kind, to=kind)
    return {kind: place / kind for kind in convert.KINDS}


def opened(folder, kind):
    """A source, with the vocabulary named where the layout has no place for one."""
    return convert.open_source(folder, vocabulary="bytes+13" if kind == convert.T5X else None)


@pytest.mark.parametrize("to", convert.KINDS)
@pytest.mark.parametrize("kind", convert.KINDS)
def test_every_way_keeps_numbers_sizes_and_vocabulary(folders, tmp_path, kind, to):
    found = opened(folders[kind], kind)
    assert found.kind == kind
    done = convert.convert(found, tmp_path / "out", to=to)
    assert (done.dtype, done.arrays) == ("float32", len(TREE.arrays))
    again = opened(tmp_path / "out", to)
    assert again.model == MODEL
    assert again.vocabulary.fingerprint == "bytes+13"
    assert again.params.arrays.keys() == TREE.arrays.keys()
    for name in TREE.arrays:
        assert_array_equal(again.params.read(name), TREE.read(name), err_msg=name)
    if convert.HUGGING_FACE not in (kind, to):
        assert again.step == 12


def test_bfloat16_stays_bfloat16_unless_told(folders, tmp_path):
    narrow = convert.convert(
        opened(folders["t5x"], "t5x"), tmp_path / "hf", to="hf", dtype="bfloat16"
    )
    assert narrow.dtype == "bfloat16"
    kept = convert.convert(convert.open_source(tmp_path / "hf"), tmp_path / "run", to="flantune")
    assert kept.dtype == "bfloat16"
    params = convert.open_source(tmp_path / "run").params
    expected = TREE.read("token_embedder/embedding").astype(
        params.arrays["token_embedder/embedding"].dtype
    )
    assert_array_equal(params.read("token_embedder/embedding"), expected)
    with pytest.raises(ValueError, match="float32 or bfloat16, not 'float16'"):
        convert.convert(source(), tmp_path / "half", to="hf", dtype="float16")


def test_a_vocabulary_file_goes_along(tmp_path):
    texts = [f"{word} the words: cat\n" for word in ("Sort", "Count", "Reverse")]
    (tmp_path / "words.model").write_bytes(vocabulary_lib.train(texts, 400))
    vocabulary = vocabulary_lib.load(os.fspath(tmp_path / "words.model"))
    model = dataclasses.replace(MODEL, vocab_size=400)
    params = t5.EncoderDecoder(model).init(jax.random.key(1))
    made = source(vocabulary=vocabulary, model=model, params=tree_source.TreeSource("It", params))
    convert.convert(made, tmp_path / "run", to="flantune")
    convert.convert(convert.open_source(tmp_path / "run"), tmp_path / "hf", to="hf")
    convert.convert(convert.open_source(tmp_path / "hf"), tmp_path / "again", to="flantune")
    for folder in ("run", "hf", "again"):
        assert (
            convert.open_source(tmp_path / folder).vocabulary.fingerprint == vocabulary.fingerprint
        )


def test_a_converted_run_has_the_config_that_commands_read(folders):
    gin_files.parse([os.fspath(folders["flantune"] / "config.gin")], [])
    assert gin_files.build(ModelConfig) == MODEL


def test_a_checkpoint_of_a_run_may_be_named_itself(folders):
    for place in ("checkpoints", "checkpoints/checkpoint_12"):
        assert convert.open_source(folders["flantune"] / place).step == 12
    with pytest.raises(FileNotFoundError, match="no checkpoint of step 3; it has steps 12"):
        convert.open_source(folders["flantune"], step=3)


def test_a_hugging_face_model_takes_the_step_it_is_given(folders):
    assert convert.open_source(folders["hf"]).step == 0
    assert convert.open_source(folders["hf"], step=1_198_000).step == 1_198_000


def test_a_model_that_does_not_fit_is_shown_as_a_table(folders):
    other = dataclasses.replace(MODEL, num_encoder_layers=4, mlp_dim=40)
    with pytest.raises(ValueError, match="does not fit the model") as raised:
        convert.open_source(folders["t5x"], model=other)
    lines = str(raised.value).split("\n")
    assert any("missing" in line and "encoder/layers_3/mlp/wo/kernel" in line for line in lines)
    assert any("other shape" in line and "16 x 32" in line and "16 x 40" in line for line in lines)


def test_what_the_source_does_not_say_must_be_given(folders, tmp_path):
    found = convert.open_source(folders["t5x"])
    for to in ("hf", "flantune"):
        with pytest.raises(ValueError, match=r"does not say its vocabulary\. Give --vocabulary"):
            convert.convert(found, tmp_path / "out", to=to)
    none = convert.open_source(folders["t5x"], vocabulary="none")
    convert.convert(none, tmp_path / "hf", to="hf")
    assert not (tmp_path / "hf" / "tokenizer_config.json").exists()
    with pytest.raises(ValueError, match="does not say its vocabulary"):
        convert.convert(none, tmp_path / "out", to="flantune")
    with pytest.raises(ValueError, match=r"has 384 ids, but .* only 272 rows"):
        convert.open_source(folders["t5x"], vocabulary="bytes+125")


def test_folders_that_are_no_model_are_refused(tmp_path):
    with pytest.raises(ValueError, match="There is no folder"):
        convert.open_source(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(ValueError, match=r"is no T5X checkpoint .*holds notes\.txt"):
        convert.open_source(tmp_path)


def test_a_destination_in_use_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(ValueError, match="exists and is not empty"):
        convert.convert(source(), tmp_path / "out", to="hf")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
    (tmp_path / "out" / "mine.txt").unlink()
    convert.convert(source(), tmp_path / "out", to="hf")
    assert (tmp_path / "out" / "model.safetensors").exists()


@pytest.mark.parametrize("to", convert.KINDS)
def test_nothing_is_left_of_a_conversion_that_is_stopped(tmp_path, to):
    @dataclasses.dataclass(frozen=True)
    class Stopped(tree_source.TreeSource):
        def read(self, name, index=None):
            if name == "decoder/logits_dense/kernel":
                raise KeyboardInterrupt
            return super().read(name, index)

    with pytest.raises(KeyboardInterrupt):
        convert.convert(source(params=Stopped("It", PARAMS)), tmp_path / "out", to=to)
    assert not list(tmp_path.iterdir())


def test_adapters_are_not_lost_silently(tmp_path, folders):
    run = tmp_path / "run"
    convert.convert(source(), run, to="flantune")
    with (run / "config.gin").open("a") as file:
        file.write("configs.ModelConfig.lora = @configs.LoraConfig()\n")
        file.write("configs.LoraConfig.rank = 2\nconfigs.LoraConfig.alpha = 4.0\n")
        file.write("configs.LoraConfig.targets = ('query',)\n")
    with pytest.raises(ValueError, match=r"trained adapters .* has no start\.json"):
        convert.open_source(run)


def test_numbers_are_those_of_numpy_not_of_a_device(folders):
    array = convert.open_source(folders["flantune"]).params.read("encoder/encoder_norm/scale")
    assert isinstance(array, np.ndarray)
