"""What the benchmarks give to transformers is the same computation as ours."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flantune import testing
from flantune.data.input import packing
from flantune.interop import huggingface_names
from flantune.models import t5
from flantune.training import loss as loss_lib

torch = pytest.importorskip("torch", reason="only with the hf extra")
pytest.importorskip("transformers", reason="only with the hf extra")
from tests.benchmarks import training_transformers  # noqa: E402 - it needs both

pytestmark = pytest.mark.hf
MODEL = dataclasses.replace(testing.MODEL, num_encoder_layers=2, num_decoder_layers=2)


def example(rng, inputs, targets):
    ids = [
        rng.integers(2, MODEL.vocab_size, length).astype(np.int32) for length in (inputs, targets)
    ]
    return packing.Example(*ids, 0, 0, 0, 0)


def losses(rows, *, is_packed):
    """Mean loss of a batch's target tokens with the same parameters: ours and theirs."""
    batch = packing.make_rows(rows, inputs_length=16, targets_length=8)
    if not is_packed:
        batch = {name: array for name, array in batch.items() if "segment_ids" not in name}
    network = training_transformers.make_model(MODEL).eval()
    state = network.state_dict()
    params = {}
    for name, tensor in state.items():
        ours = huggingface_names.to_ours(name, bias_per_layer=False)
        if ours is None or name in huggingface_names.EMBEDDING_ALIASES:
            continue
        array = tensor.numpy()
        node = params
        *path, last = ours.split("/")
        for part in path:
            node = node.setdefault(part, {})
        node[last] = array.T if huggingface_names.is_transposed(ours) else array
    logits = t5.EncoderDecoder(MODEL).apply(jax.tree.map(jnp.asarray, params), batch)
    weights = batch["decoder_loss_weights"]
    targets = jnp.asarray(batch["decoder_target_tokens"])
    sums = loss_lib.loss_sums(logits, targets, jnp.asarray(weights))
    with torch.no_grad():
        tensors = {name: torch.from_numpy(array).long() for name, array in batch.items()}
        theirs = training_transformers.loss(network, tensors).item()
    return float(sums.cross_entropy / sums.weight), theirs


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_loss_of_the_same_parameters_is_the_same(is_packed):
    rng = np.random.default_rng(0)
    rows = [[example(rng, 7, 3), example(rng, 6, 4)], [example(rng, 12, 5)]]
    if not is_packed:
        rows = [row[:1] for row in rows]
    with jax.default_matmul_precision("highest"):
        ours, theirs = losses(rows, is_packed=is_packed)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_parameters_are_as_many_as_ours():
    network = training_transformers.make_model(MODEL)
    shapes = jax.eval_shape(t5.EncoderDecoder(MODEL).init, jax.random.key(0))
    ours = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))
    assert sum(parameter.numel() for parameter in network.parameters()) == ours
