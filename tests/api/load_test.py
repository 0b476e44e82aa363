"""`flantune.load`: runs, Hugging Face folders and T5X checkpoints, beside what the commands say."""

import json
import os
import pathlib

import jax
import numpy as np
from numpy.testing import assert_allclose
import pytest

import flantune
from flantune import cli, configs
from flantune.jobs import convert

PROMPTS = ["Copy: aaa", "Is zz late?", "Again w", "Copy: " + "b" * 40]


@pytest.fixture(scope="module")
def model(trained, workplace):
    assert trained is not None
    return flantune.load(workplace / "run")


@pytest.fixture(scope="module")
def folders(trained, workplace):
    """The run in the other layouts."""
    assert trained is not None
    source = convert.open_source(workplace / "run")
    for kind in ("hf", "t5x"):
        convert.convert(source, workplace / kind, to=kind)
    return {kind: workplace / kind for kind in ("hf", "t5x")}


def predictions(suite):
    """Rows of the predictions that the evaluation at the end of the run wrote."""
    (file,) = pathlib.Path("run/eval/5/predictions", suite).glob("*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_run_answers_as_flantune_infer_does(model, tmp_path):
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"inputs": one}) for one in PROMPTS))
    files = ["--input", os.fspath(tmp_path / "in.jsonl"), "--output", f"{tmp_path}/out.jsonl"]
    for how, bindings in (
        ({}, []),
        ({"num_beams": 2}, ["--gin.DecodingConfig.num_beams=2"]),
        (
            {"temperature": 1.5, "seed": 3},
            ["--gin.DecodingConfig.temperature=1.5", "--gin.DecodingConfig.seed=3"],
        ),
    ):
        assert cli.main(["infer", "--checkpoint", "run", *files, *bindings]) == 0
        lines = (tmp_path / "out.jsonl").read_text().splitlines()
        assert model.predict(PROMPTS, **how) == [json.loads(line)["prediction"] for line in lines]
    assert len({*model.predict(PROMPTS)}) > 1


def test_a_run_predicts_and_scores_as_its_evaluation_did(model):
    written = predictions("written")
    answers = model.predict([row["inputs"] for row in written], max_decode_length=4)
    assert answers == [row["prediction"] for row in written]
    ranked = predictions("ranked")
    options = [[option["text"] for option in row["options"]] for row in ranked]
    scores = model.score([row["inputs"] for row in ranked], options)
    expected = [[option["log_prob"] for option in row["options"]] for row in ranked]
    assert np.shape(expected) == (4, 2)
    assert_allclose([[one.log_prob for one in own] for own in scores], expected, rtol=1e-5)
    tokens = [[option["num_tokens"] for option in row["options"]] for row in ranked]
    assert [[one.num_tokens for one in own] for own in scores] == tokens


def test_lengths_and_step_are_the_runs_unless_given(model):
    assert (model.step, model.inputs_length, model.max_decode_length) == (5, 48, 16)
    other = flantune.load("run", step=4, inputs_length=100, max_decode_length=3)
    assert (other.step, other.inputs_length, other.max_decode_length) == (4, 100, 3)
    assert other.score("x", "y") != model.score("x", "y")
    assert other.predict("b" * 90) is not None
    with pytest.raises(ValueError, match="91 tokens with its EOS, where at most 48"):
        model.predict("b" * 90)
    assert flantune.load("run/checkpoints/checkpoint_4").score("x", "y") == other.score("x", "y")


def test_other_layouts_answer_as_the_run(model, folders):
    expected = model.predict(PROMPTS), model.embed(PROMPTS)
    for kind, how in (("hf", {}), ("t5x", {"vocabulary": "bytes"})):
        loaded = flantune.load(folders[kind], max_decode_length=16, **how)
        assert loaded.network.config.dtype == "float32"
        assert loaded.inputs_length == 1024
        assert loaded.predict(PROMPTS) == expected[0]
        # Padded to other lengths there.
        assert_allclose(loaded.embed(PROMPTS), expected[1], rtol=1e-4, atol=1e-5)


def test_on_a_cpu_stacked_layers_are_taken_apart(model, folders, workplace):
    """A stack's parameters would be copied out of it for every token."""
    convert.convert(convert.open_source(folders["hf"]), workplace / "again", to="flantune")
    assert "scan_layers = True" in (workplace / "again" / "config.gin").read_text()
    loaded = flantune.load(workplace / "again", dtype="float32", max_decode_length=16)
    assert loaded.network.config.scan_layers == (jax.default_backend() != "cpu")
    assert ("layers" in loaded.params["encoder"]) == (jax.default_backend() != "cpu")
    assert loaded.predict(PROMPTS) == model.predict(PROMPTS)
    assert_allclose(loaded.embed(PROMPTS), model.embed(PROMPTS), rtol=1e-4, atol=1e-5)


def test_activations_may_be_bfloat16(model, folders):
    for path in ("run", folders["hf"]):
        narrow = flantune.load(path, dtype="bfloat16")
        assert narrow.network.config.dtype == "bfloat16"
        assert narrow.params["token_embedder"]["embedding"].dtype == np.float32
        vectors = narrow.embed(PROMPTS[:2])
        assert vectors.dtype == np.float32
        assert not np.array_equal(vectors, model.embed(PROMPTS[:2]))
        assert_allclose(vectors, model.embed(PROMPTS[:2]), atol=0.1)
    with pytest.raises(ValueError, match="'float16' is refused"):
        flantune.load("run", dtype="float16")


def test_a_mesh_may_be_given(model):
    count = jax.device_count()
    loaded = flantune.load("run", mesh=configs.MeshConfig(data=1, fsdp=count))
    assert loaded.mesh.shape["fsdp"] == count
    assert loaded.predict(PROMPTS) == model.predict(PROMPTS)


def test_what_cannot_be_loaded_is_one_sentence(folders, tmp_path):
    with pytest.raises(
        ValueError, match=r"does not say its vocabulary\. Give vocabulary=: the path"
    ):
        flantune.load(folders["t5x"])
    with pytest.raises(ValueError, match="leave out vocabulary='bytes'"):
        flantune.load("run", vocabulary="bytes")
    with pytest.raises(FileNotFoundError, match="There is no folder nowhere to load a model from"):
        flantune.load("nowhere")
    with pytest.raises(FileNotFoundError, match="99"):
        flantune.load("run", step=99)
    with pytest.raises(ValueError, match="inputs_length must be a whole number"):
        flantune.load("run", inputs_length=0)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match=r"has no config\.gin"):
        flantune.load(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is no T5X checkpoint"):
        flantune.load(tmp_path / "empty")


@pytest.mark.hf
def test_a_hugging_face_folder_answers_as_in_transformers(folders):
    transformers = pytest.importorskip("transformers", reason="only with the hf extra")
    torch = pytest.importorskip("torch", reason="only with the hf extra")
    theirs = transformers.T5ForConditionalGeneration.from_pretrained(folders["hf"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders["hf"])
    loaded = flantune.load(folders["hf"])
    answers, vectors = loaded.predict(PROMPTS, max_decode_length=8), loaded.embed(PROMPTS)
    for prompt, answer, vector in zip(PROMPTS, answers, vectors, strict=True):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        with torch.no_grad():
            states = theirs.encoder(input_ids=ids).last_hidden_state[0]
            written = theirs.generate(ids, max_new_tokens=8, do_sample=False)[0]
        assert_allclose(vector, states.mean(dim=0).numpy(), rtol=1e-4, atol=1e-4)
        # Not by their tokenizer: an untrained model writes ids that stand for no byte.
        assert answer == loaded.vocabulary.decode(written[1:].tolist())
