"""The largest differences between our models and those of t5x and transformers: one table.

Against transformers: the tiny models of tests/parity, written by our writer and loaded by from_pretrained (needs the hf
extra). Against t5x: numbers that t5x computed from a checkpoint of its own, T5 1.1 only, if their folder is given.

    python -m tests.benchmarks.parity [--t5x_data FOLDER]
"""

import argparse
import pathlib
import tempfile

import jax
import numpy as np
import rich.console
import rich.table

from flantune.configs import ModelConfig
from flantune.inference import beam, decoding, scoring
from flantune.interop import load_params, model_dimensions, t5x_checkpoint
from flantune.models import t5
from flantune.training import loss as loss_lib
from tests.parity import families, in_transformers, make_golden

COLUMNS = ("logits", "loss", "greedy", "beam", "beam_scores", "scores", "bfloat16 logits")


def against_transformers(family):
    examples, model = families.batch(family), families.MODELS[family]
    with tempfile.TemporaryDirectory() as wide, tempfile.TemporaryDirectory() as narrow:
        make_golden.write_folder(wide, family)
        theirs = in_transformers.outputs(in_transformers.load(wide, family), examples)
        make_golden.write_folder(narrow, family, "bfloat16")
        rounded = in_transformers.load(narrow, family, "bfloat16")
        narrow_logits = in_transformers.logits(rounded, examples)
    params = families.params(family)
    gaps = families.differences(families.ours(model, params, examples), theirs, examples)
    ours = families.narrow_logits(model, families.rounded(params), examples)
    real = examples["decoder_target_tokens"] > 0
    gaps["bfloat16 logits"] = float(np.abs(ours - narrow_logits)[real].max())
    return gaps


def against_t5x(folder):
    with np.load(folder / "expected.npz") as arrays:
        expected = dict(arrays)
    source = t5x_checkpoint.open(folder / "native")
    sizes = model_dimensions.infer_model_dimensions(source.arrays)
    network = t5.EncoderDecoder(ModelConfig(**sizes, dtype="float32", scan_layers=False))
    params = load_params.load_params(source, jax.eval_shape(network.init, jax.random.key(0)))
    batch = {
        name.removeprefix("batch_"): value
        for name, value in expected.items()
        if name.startswith(("batch_encoder", "batch_decoder"))
    }
    inputs, targets = batch["encoder_input_tokens"], batch["decoder_target_tokens"]
    weights = batch["decoder_loss_weights"].astype(np.float32)
    logits = jax.jit(network.apply)(params, batch)
    sums = loss_lib.loss_sums(logits, targets, weights, z_loss=1e-4)
    length = expected["greedy"].shape[1]
    greedy = decoding.greedy(network, params, inputs, max_decode_length=length)
    found = beam.beam_search(network, params, inputs, num_beams=4, max_decode_length=length)
    scores = (scoring.target_log_probs(logits, targets) * weights).sum(-1)
    pairs = {  # t5x lists the best hypothesis last
        "logits": (logits, expected["logits"]),
        "loss": (sums.loss / sums.weight, expected["loss"]),
        "beam_scores": (found.scores[:, ::-1], expected["beam_scores"]),
        "scores": (scores, expected["scores"]),
    }
    gaps = {name: float(np.abs(np.asarray(a) - b).max()) for name, (a, b) in pairs.items()}
    gaps["greedy"] = int((np.asarray(greedy) != expected["greedy"]).any(-1).sum())
    beams = np.asarray(found.tokens[:, ::-1])
    return gaps | {"beam": int((beams != expected["beam"]).any(-1).sum())}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--t5x_data", type=pathlib.Path, help="folder of native/ and expected.npz")
    parsed = parser.parse_args()
    table = rich.table.Table("model", "against", *COLUMNS)
    rows = [(name, "transformers", against_transformers(name)) for name in families.MODELS]
    if parsed.t5x_data:
        rows.append(("t5_1_1", "t5x", against_t5x(parsed.t5x_data)))
    for family, other, gaps in rows:
        cells = (gaps.get(name) for name in COLUMNS)
        table.add_row(family, other, *map(_cell, cells))
    rich.console.Console(width=140).print(table)
    print("greedy and beam: rows whose tokens differ; the others: largest absolute difference")


def _cell(value):
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.1e}"


if __name__ == "__main__":
    main()
