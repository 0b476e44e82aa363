"""The numbers that t5x computes from one of its own checkpoints."""

import functools
import pathlib

from flax import serialization
import jax
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
import pytest
import tensorstore

from flantune.configs import ModelConfig
from flantune.inference import beam, decoding, scoring
from flantune.models import stacking, t5

DATA = pathlib.Path(__file__).parents[3] / "shared" / "data" / "t5x_checkpoint"

pytestmark = [
    pytest.mark.skipif(not DATA.exists(), reason=f"no t5x checkpoint at {DATA}"),
    pytest.mark.parametrize("scan_layers", [False, True]),
]


def _read_leaf(node, checkpoint):
    """The tree below `node`, with each TensorStore spec replaced by its array."""
    if not isinstance(node, dict):
        return node
    if "driver" not in node:
        return {name: _read_leaf(child, checkpoint) for name, child in node.items()}
    path = str(checkpoint / node["kvstore"]["path"])
    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": path}}
    return np.asarray(tensorstore.open(spec).result().read().result())


@functools.cache
def _params(scan_layers):
    checkpoint = DATA / "native" / "checkpoint_8"
    content = serialization.msgpack_restore((checkpoint / "checkpoint").read_bytes())
    params = _read_leaf(content["optimizer"]["target"], checkpoint)
    return stacking.stack_layers(params) if scan_layers else params


@functools.cache
def _model(scan_layers):
    config = ModelConfig(
        vocab_size=384,
        emb_dim=32,
        num_heads=4,
        head_dim=12,
        mlp_dim=48,
        num_encoder_layers=3,
        num_decoder_layers=2,
        dropout_rate=0.0,
        dtype="float32",
        scan_layers=scan_layers,
        layer_loop="scan",
    )
    return t5.EncoderDecoder(config)


@functools.cache
def _expected():
    with np.load(DATA / "expected.npz") as arrays:
        return dict(arrays)


def _logits(scan_layers, prefix):
    batch = {
        name.removeprefix(prefix): value
        for name, value in _expected().items()
        if name.startswith((f"{prefix}encoder", f"{prefix}decoder"))
    }
    return batch, jax.jit(_model(scan_layers).apply)(_params(scan_layers), batch)


def test_parameters_are_those_of_the_checkpoint(scan_layers):
    fresh = jax.eval_shape(_model(scan_layers).init, jax.random.key(0))
    params = _params(scan_layers)
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, fresh)


def test_logits_and_loss(scan_layers):
    batch, logits = _logits(scan_layers, "batch_")
    assert_allclose(logits, _expected()["logits"], atol=1e-5)
    log_z = jax.nn.logsumexp(logits, axis=-1)
    targets, weights = batch["decoder_target_tokens"], batch["decoder_loss_weights"]
    nats = log_z - np.take_along_axis(np.asarray(logits), targets[..., None], axis=-1)[..., 0]
    loss = ((nats + 1e-4 * log_z**2) * weights).sum() / weights.sum()
    assert_allclose(loss, _expected()["loss"], rtol=1e-5)
    assert_allclose(-(nats * weights).sum(axis=1), _expected()["scores"], rtol=1e-5)


def test_packed_logits(scan_layers):
    _, logits = _logits(scan_layers, "packed_")
    assert_allclose(logits, _expected()["packed_logits"], atol=1e-5)


def test_greedy_tokens(scan_layers):
    greedy = functools.partial(decoding.greedy, _model(scan_layers), max_decode_length=24)
    tokens = jax.jit(greedy)(_params(scan_layers), _expected()["batch_encoder_input_tokens"])
    assert_array_equal(tokens, _expected()["greedy"])


def test_beam_tokens_and_scores(scan_layers):
    search = functools.partial(
        beam.beam_search, _model(scan_layers), num_beams=4, max_decode_length=24
    )
    found = jax.jit(search)(_params(scan_layers), _expected()["batch_encoder_input_tokens"])
    # t5x lists the best hypothesis last.
    assert_array_equal(found.tokens[:, ::-1], _expected()["beam"])
    assert_allclose(found.scores[:, ::-1], _expected()["beam_scores"], atol=1e-4)


class _NumberVocabulary:
    """A text is its ids: "7 30" has the ids 7 and 30."""

    size, eos_id = 384, 1

    def encode_batch(self, texts):
        return [[int(word) for word in text.split()] for text in texts]

    def decode(self, ids):
        return " ".join(map(str, ids))


def test_scores_of_targets(scan_layers):
    inputs, targets = (
        [
            " ".join(str(token) for token in row if token > 1)
            for row in _expected()[f"batch_{name}_tokens"].tolist()
        ]
        for name in ("encoder_input", "decoder_target")
    )
    scorer = scoring.Scorer(
        model=_model(scan_layers), vocabulary=_NumberVocabulary(), batch_size=4, inputs_length=40
    )
    # Every target after every input; t5x scored the pairs of the diagonal.
    answers = scorer.score(_params(scan_layers), [(text, targets) for text in inputs])
    diagonal = [own[number].log_prob for number, own in enumerate(answers)]
    assert_allclose(diagonal, _expected()["scores"], rtol=0, atol=1e-4)
