"""t5x itself, where it is installed: it trains on flantune's mixture, and each reads the other's checkpoints."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import textwrap

import jax
import numpy as np
from numpy.testing import assert_allclose
import pytest

from flantune import testing
from flantune.configs import ModelConfig
from flantune.interop import (
    adafactor_state,
    load_params,
    t5x as flantune_t5x,
    t5x_checkpoint,
    t5x_native,
    t5x_orbax,
)
from flantune.interop.model_dimensions import infer_model_dimensions
from flantune.models import t5

pytestmark = [
    pytest.mark.t5x,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("t5x") is None, reason="t5x is not installed (gin/t5x/README.md)"
    ),
]

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 4
LENGTHS = {"inputs": 64, "targets": 32}
MODULE = "live_t5x_tasks"
TASKS = """
    from flantune.data import InstructionTask, Mixture, equal, sources
    from flantune import metrics
    from flantune.prompting import Template

    def rows(start):
        return [{"text": f"{row} and 1", "answer": str(row + 1)} for row in range(start, start + 40)]

    TASKS = (
        InstructionTask(
            name="live:add",
            cluster="arithmetic",
            source=sources.InMemory(train=rows(0), validation=rows(40), test=rows(80)),
            to_fields=dict,
            templates=(Template(inputs="Add: {text}"),),
            metrics=(metrics.exact_match,),
        ),
    )
    MIXTURES = (Mixture(name="live_mixture", rates={"live:*": equal()}),)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("live_t5x")
    (place / f"{MODULE}.py").write_text(textwrap.dedent(TASKS))
    return place


def _run(place, program, *files, **macros):
    """`python -m t5x.PROGRAM` on a flantune mixture; the log is in the message if it fails."""
    macros = {
        "MIXTURE": "live_mixture",
        "MODULES": (MODULE,),
        "VOCABULARY_NAME": "bytes",
        "TASK_FEATURE_LENGTHS": LENGTHS,
        "PREPARED_DIR": str(place / "prepared"),
    } | macros
    command = [sys.executable, "-m", f"t5x.{program}"]
    command += [f"--gin_file={file}" for file in files]
    command += [f"--gin.{name}={value!r}" for name, value in macros.items()]
    path = os.pathsep.join([str(ROOT), str(place), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-8000:]


@pytest.fixture(scope="module")
def trained(place):
    """A model's folder in which t5x has trained four steps."""
    model_dir = place / "model"
    bindings = {"TRAIN_STEPS": STEPS, "EVAL_PERIOD": STEPS, "EVAL_STEPS": 1}
    bindings["utils.SaveCheckpointConfig.period"] = STEPS
    _run(place, "train", "gin/t5x/train_tiny.gin", MODEL_DIR=str(model_dir), **bindings)
    return model_dir


def _scores_of_t5x(place, checkpoint, name):
    output = place / name
    model = place / "tiny_model.gin"
    model.write_text(
        'include "t5x/examples/t5/t5_1_1/tiny.gin"\n'
        'network.T5Config.vocab_size = 384\nnetwork.T5Config.dtype = "float32"\n'
    )
    files = (str(model), "gin/t5x/infer.gin")
    bindings = {"INFER_OUTPUT_DIR": str(output), "CHECKPOINT_PATH": str(checkpoint)}
    _run(place, "infer", *files, **bindings, **{"infer.mode": "score"})
    (file,) = output.glob("live:add-score.jsonl-*")
    return [json.loads(line)["score"] for line in file.read_text().splitlines()]


def _our_scores(place, checkpoint):
    """Sum of the log-probabilities of each target, by flantune's model on SeqIO's batch."""
    import seqio

    source = t5x_checkpoint.open(checkpoint)
    dimensions = infer_model_dimensions(source.arrays)
    model = t5.EncoderDecoder(
        ModelConfig(**dimensions, dropout_rate=0.0, dtype="float32", scan_layers=False)
    )
    params = load_params.load_params(source, jax.eval_shape(model.init, jax.random.key(0)))
    with testing.temporary_registries(), pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        name = flantune_t5x.mixture(
            "live_mixture",
            modules=(MODULE,),
            vocabulary="bytes",
            lengths=LENGTHS,
            prepared_dir=str(place / "prepared"),
        )
        converter = seqio.EncDecFeatureConverter(pack=False)
        dataset = seqio.get_dataset(name, LENGTHS, converter, "test", shuffle=False, num_epochs=1)
        batch = next(iter(dataset.batch(1000).as_numpy_iterator()))
    logits = np.asarray(model.apply(params, batch), np.float64)
    log_z = np.log(np.exp(logits).sum(axis=-1))
    targets = batch["decoder_target_tokens"]
    log_probabilities = np.take_along_axis(logits, targets[..., None], -1)[..., 0] - log_z
    return (log_probabilities * batch["decoder_loss_weights"]).sum(axis=1)


def test_flantune_reads_what_t5x_trained_and_scores_alike(place, trained):
    checkpoint = t5x_checkpoint.open(trained)
    assert checkpoint.step == STEPS
    assert checkpoint.optimizer_state is not None
    theirs = _scores_of_t5x(place, trained / f"checkpoint_{STEPS}", "scores_theirs")
    assert len(theirs) == 40
    assert_allclose(theirs, _our_scores(place, trained), rtol=1e-4)


@pytest.mark.parametrize("writer", [t5x_native, t5x_orbax])
def test_t5x_infers_from_what_flantune_writes(writer, place, trained):
    name = writer.__name__.rpartition(".")[2]
    source = t5x_checkpoint.open(trained)
    written = writer.write(place / name, source, step=STEPS)
    theirs = _scores_of_t5x(place, written, f"scores_{name}")
    assert_allclose(theirs, _our_scores(place, trained), rtol=1e-4)


def test_t5x_trains_on_from_what_flantune_writes(place, trained):
    source = t5x_checkpoint.open(trained)
    statistics = adafactor_state.optax_statistics(source.optimizer_state)
    states = adafactor_state.t5x_statistics(statistics)
    written = t5x_orbax.write(place / "again", source, step=STEPS, optimizer_state=states)
    bindings = {"TRAIN_STEPS": 2 * STEPS, "EVAL_PERIOD": STEPS, "EVAL_STEPS": 1}
    bindings |= {"INITIAL_CHECKPOINT_PATH": str(written)}
    bindings["utils.RestoreCheckpointConfig.mode"] = "specific"
    bindings["utils.SaveCheckpointConfig.period"] = STEPS
    model_dir = place / "further"
    _run(place, "train", "gin/t5x/train_tiny.gin", MODEL_DIR=str(model_dir), **bindings)
    assert t5x_checkpoint.open(model_dir).step == 2 * STEPS
