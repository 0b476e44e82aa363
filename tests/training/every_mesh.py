"""A T5 trained on every mesh of eight fake CPU devices, for every_mesh_test.py; prints one line of JSON.

The model has what real runs have: scanned layers that are computed again, dropout, rows of
several examples. Each mesh begins with the same arrays.
"""

import dataclasses
import json
import re

import jax
import numpy as np

from flantune.configs import MeshConfig, OptimizerConfig
from flantune.models import t5
from flantune.testing import tiny
from flantune.training import optimizers, sharding, state as state_lib, step as step_lib

NUM_STEPS, ROWS, INPUTS, TARGETS = 5, 16, 24, 8
# Adam's normalised updates of the smallest gradients turn rounding into a twentieth of the learning rate.
LEARNING_RATES = {"adafactor": 0.01, "adamw": 1e-4}
# Eight heads, so that eight devices can share them; every other dimension is a multiple of eight already.
MODEL = dataclasses.replace(
    tiny.MODEL,
    num_heads=8,
    num_encoder_layers=2,
    dropout_rate=0.1,
    scan_layers=True,
    layer_loop="scan",  # as off a CPU
    remat="full",
)


def _packed_side(rng, length):
    """Ids and segments of rows with two examples and, in every other row, padding."""
    ids = rng.integers(1, MODEL.vocab_size, (ROWS, length), dtype=np.int32)
    segments = np.where(np.arange(length) < rng.integers(2, length - 3, (ROWS, 1)), 1, 2)
    padding = (np.arange(length) >= length - 2) & (np.arange(ROWS)[:, None] % 2 == 1)
    return np.where(padding, 0, ids), np.where(padding, 0, segments).astype(np.int32)


def _batch(step):
    rng = np.random.default_rng(step)
    inputs, encoder_segments = _packed_side(rng, INPUTS)
    targets, decoder_segments = _packed_side(rng, TARGETS)
    shifted = np.pad(targets, ((0, 0), (1, 0)))[:, :-1]
    starts = np.diff(decoder_segments, axis=1, prepend=0) != 0
    return {
        "encoder_input_tokens": inputs,
        "encoder_segment_ids": encoder_segments,
        "decoder_input_tokens": np.where(starts, 0, shifted),
        "decoder_target_tokens": targets,
        "decoder_segment_ids": decoder_segments,
        "decoder_loss_weights": (targets > 0).astype(np.float32),
    }


@dataclasses.dataclass(frozen=True)
class Run:
    """Losses and parameters after training, and the arrays that one device's program has."""

    losses: list[float]
    params: dict[str, np.ndarray]
    arrays: list[str]


def _train(config, optimizer, initial, *, num_devices=8, microbatches=1):
    mesh = sharding.make_mesh(config, jax.devices()[:num_devices])
    rules = sharding.axis_rules(config)
    model = t5.EncoderDecoder(MODEL)
    optimizer_config = OptimizerConfig(
        name=optimizer, learning_rate=LEARNING_RATES[optimizer], microbatches=microbatches
    )
    transform = optimizers.make_optimizer(optimizer_config, NUM_STEPS, model.logical_axes())
    abstract = state_lib.abstract_state(model, transform, mesh, rules)
    state = state_lib.state_with_params(initial, transform, abstract)
    train_step = step_lib.make_train_step(
        model=model,
        optimizer=transform,
        optimizer_config=optimizer_config,
        num_steps=NUM_STEPS,
        mesh=mesh,
        rules=rules,
        seed=3,
    )
    losses = []
    with jax.set_mesh(mesh):
        batches = [sharding.shard_batch(_batch(step), mesh, rules) for step in range(NUM_STEPS)]
        compiled = train_step.lower(state, batches[0]).compile()
        for batch in batches:
            state, metrics = compiled(state, batch)
            losses.append(float(metrics["loss"]))
    leaves = jax.tree_util.tree_leaves_with_path(jax.device_get(state.params))
    return Run(
        losses=losses,
        params={sharding.path_name(path): leaf for path, leaf in leaves},
        arrays=sorted(set(re.findall(r"f32\[[\d,]+\]", compiled.as_text()))),
    )


def main(*, optimizer, meshes, microbatches=1):
    """Prints what training on one device and on each mesh, a list of MeshConfig's arguments, comes to."""
    initial = jax.device_get(state_lib.initial_params(t5.EncoderDecoder(MODEL), 3))
    alone = _train(MeshConfig(), optimizer, initial, num_devices=1, microbatches=microbatches)
    results = []
    for arguments in meshes:
        run = _train(MeshConfig(**arguments), optimizer, initial, microbatches=microbatches)
        differences = {
            name: float(np.max(np.abs(values - alone.params[name])))
            for name, values in run.params.items()
        }
        moved = max(
            float(np.max(np.abs(values - leaf)))
            for values, leaf in zip(run.params.values(), jax.tree.leaves(initial), strict=True)
        )
        results.append(
            {
                "losses": run.losses,
                "differences": differences,
                "moved": moved,
                "arrays": run.arrays,
            }
        )
    print(json.dumps({"losses": alone.losses, "runs": results}))
