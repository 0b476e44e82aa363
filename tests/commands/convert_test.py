"""`flantune convert` as a user calls it, and what `flantune infer` makes of its result."""

import json
import os

import jax
import pytest

from flantune import cli, testing
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.inference import predictor
from flantune.interop import tree_source
from flantune.jobs import convert
from flantune.models import t5

PROMPTS = ["Echo: a", "What is two and two?"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A tiny model in Hugging Face's layout, and its predictions in memory."""
    folder = tmp_path_factory.mktemp("models") / "hf"
    network = t5.EncoderDecoder(testing.MODEL)
    params = network.init(jax.random.key(3))
    vocabulary = vocabulary_lib.load("bytes")
    source = convert.Source(
        kind=convert.FLANTUNE,
        params=tree_source.TreeSource("The tree", params),
        model=testing.MODEL,
        step=0,
        vocabulary=vocabulary,
    )
    convert.convert(source, folder, to="hf")
    answers = predictor.Predictor(
        model=network, vocabulary=vocabulary, batch_size=2, inputs_length=32, max_decode_length=8
    ).predict(params, PROMPTS)
    return folder, answers


def test_a_converted_model_answers_as_the_original(model_folder, tmp_path, capsys):
    folder, answers = model_folder
    run, t5x, back = (os.fspath(tmp_path / name) for name in ("run", "t5x", "back"))
    assert cli.main(["convert", os.fspath(folder), t5x, "--to", "t5x", "--step", "5"]) == 0
    assert cli.main(["convert", t5x, run, "--to", "flantune", "--vocabulary", "bytes"]) == 0
    capsys.readouterr()
    assert cli.main(["convert", run, back, "--to", "hf", "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["kind"], done["step"], done["vocabulary"]) == ("flantune", 5, "259 ids")
    (tmp_path / "prompts.jsonl").write_text(
        "\n".join(json.dumps({"inputs": prompt}) for prompt in PROMPTS) + "\n"
    )
    flags = ["--input", os.fspath(tmp_path / "prompts.jsonl"), "--output", f"{run}/out.jsonl"]
    bindings = [
        "--gin.ModelConfig.dtype=float32",
        "--gin.DataConfig.inputs_length=32",
        "--gin.DataConfig.targets_length=8",
    ]
    assert cli.main(["infer", "--checkpoint", run, *flags, *bindings]) == 0
    with open(f"{run}/out.jsonl") as file:
        assert [json.loads(line)["prediction"] for line in file] == answers
    weights = [path / "model.safetensors" for path in (folder, tmp_path / "back")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_errors_are_one_sentence_and_a_mismatch_is_a_table(model_folder, tmp_path, capsys):
    folder, _ = model_folder
    out = os.fspath(tmp_path / "out")
    assert cli.main(["convert", os.fspath(tmp_path / "none"), out, "--to", "hf"]) == 2
    assert "There is no folder" in capsys.readouterr().err
    run_file = tmp_path / "model.gin"
    run_file.write_text(testing.run_file({"ModelConfig.mlp_dim": 24}))
    command = ["convert", os.fspath(folder), out, "--to", "hf", "--model", os.fspath(run_file)]
    assert cli.main(command) == 2
    lines = capsys.readouterr().err.strip().split("\n")
    assert "does not fit the model" in lines[0]
    assert len([line for line in lines if line.startswith("other shape")]) >= 3
    assert not (tmp_path / "out").exists()
