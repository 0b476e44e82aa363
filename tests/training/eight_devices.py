"""Runs on eight fake CPU devices for sharding_test.py and partial_test.py, and prints what came out as one line of JSON."""

import dataclasses
import io
import json
import logging
import tempfile

import jax
import numpy as np

from flantune.configs import CheckpointConfig, LoraConfig, MeshConfig, OptimizerConfig
from flantune.models import lora as lora_lib, t5
from flantune.params import trees as param_trees
from flantune.testing import tiny
from flantune.training import (
    checkpoints,
    optimizers,
    partial,
    sharding,
    state as state_lib,
    step as step_lib,
)

from . import linear_model


def _message(function, *arguments):
    try:
        function(*arguments)
    except ValueError as error:
        return str(error)
    return "no error"


def _parts(sizes):
    data, fsdp, tensor = sizes
    config = MeshConfig(data=data, fsdp=fsdp, tensor=tensor)
    devices = jax.devices()[: data * fsdp * tensor]
    return linear_model.parts(mesh_config=config, devices=devices, optimizer="adamw")


def _state_arguments(parts):
    return [parts[name] for name in ("model", "optimizer", "mesh", "rules")]


def _run(sizes):
    """Losses, parameters and layout after three steps, and the state."""
    parts = _parts(sizes)
    mesh, rules = parts["mesh"], parts["rules"]
    state = state_lib.init_state(*_state_arguments(parts), 0)
    train_step = step_lib.make_train_step(**parts, num_steps=3, seed=0)
    batches, losses = linear_model.CountingBatches(), []
    with jax.set_mesh(mesh):
        for _ in range(3):
            state, metrics = train_step(state, sharding.shard_batch(next(batches), mesh, rules))
            losses.append(float(metrics["loss"]))
    shardings = state_lib.shardings_of(state.params)
    rows = sharding.parameter_table(state.params, parts["model"].logical_axes(), shardings)
    (kernel,) = (row for row in rows if row.name == "decoder/layers/kernel")
    moment = state.opt_state[0].mu["decoder"]["layers"]["kernel"]
    leaves = jax.tree_util.tree_leaves_with_path(state.params)
    result = {
        "losses": losses,
        "params": {sharding.path_name(path): np.asarray(leaf).tolist() for path, leaf in leaves},
        "kernel": {
            "spec": list(kernel.spec),
            "bytes": kernel.bytes_per_device,
            "moment": list(moment.sharding.spec),
        },
    }
    return result, state


def _two_slices():
    config = MeshConfig(slice=2, fsdp=2, tensor=2)
    mesh, rules = sharding.make_mesh(config), sharding.axis_rules(config)

    def spec(*axes):
        return list(sharding.partition_spec(axes, (8, 4), mesh, rules))

    return {
        "shape": dict(mesh.shape),
        "devices": [[device.id for device in part.flat] for part in mesh.devices],
        "batch": spec("batch", "length"),
        "kernel": spec("embed", "mlp"),
    }


def _specs():
    mesh = sharding.make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    rules = sharding.DEFAULT_RULES
    by_tensor = sharding.axis_rules(MeshConfig(axis_rules=(("embed", "fsdp"), ("mlp", "tensor"))))
    no_embed = sharding.axis_rules(MeshConfig(axis_rules=(("embed", None),)))
    activation = ("batch", "length", "embed")
    cases = {
        "embed, mlp": (("embed", "mlp"), (4, 6), rules),
        "vocab, embed": (("vocab", "embed"), (4, 6), rules),
        "layers, embed, mlp": (("layers", "embed", "mlp"), (2, 4, 6), rules),
        "odd embed": (("embed", "mlp"), (7, 6), rules),
        "activation": (activation, (8, 5, 4), rules),
        "batch of 2": (activation, (2, 5, 7), rules),
        "embed not sharded by a rule": (("embed", "mlp"), (4, 6), no_embed),
        "activation under a rule for embed": (
            activation,
            (8, 5, 4),
            sharding.activation_rules(by_tensor),
        ),
    }
    return {
        name: list(sharding.partition_spec(axes, shape, mesh, rules, name=name.split()[0]))
        for name, (axes, shape, rules) in cases.items()
        for _ in range(2)  # twice, to see that a warning comes once
    }


def _restored_on_other_meshes(state):
    """Whether a checkpoint of `state` is the same on other meshes, and its parameters alone too."""
    equal = []
    with tempfile.TemporaryDirectory() as run_dir:
        store = checkpoints.Checkpoints(run_dir, CheckpointConfig(save_every_steps=1))
        store.save(3, state, {})
        store.wait()
        store.close()
        for sizes in ((8, 1, 1), (1, 1, 1)):
            abstract = state_lib.abstract_state(*_state_arguments(_parts(sizes)))
            equal.append(_same(store.restore(abstract)[0], state))
        equal.append(_same(store.restore_params(abstract.params), state.params))
    return equal


def _lora(sizes):
    """Losses of three steps on one batch of a T5's adapters, the fingerprint of its base, and how both lie on the devices."""
    data, fsdp, tensor = sizes
    mesh_config = MeshConfig(data=data, fsdp=fsdp, tensor=tensor)
    mesh = sharding.make_mesh(mesh_config, jax.devices()[: data * fsdp * tensor])
    lora = LoraConfig(rank=2, alpha=4.0, targets=("query", "wo"))
    whole = t5.EncoderDecoder(dataclasses.replace(tiny.MODEL, scan_layers=True, lora=lora))
    names = [name for name, _ in param_trees.leaves(whole.logical_axes())]
    model = partial.PartialModel(whole, frozenset(filter(lora_lib.is_adapter, names)))
    config = OptimizerConfig(name="adamw", learning_rate=0.03)
    parts = {
        "model": model,
        "optimizer": optimizers.make_optimizer(config, 3, model.logical_axes()),
        "mesh": mesh,
        "rules": sharding.axis_rules(mesh_config),
    }
    abstract = partial.frozen_part(model, state_lib.abstract_params(whole, mesh, parts["rules"]))
    frozen = jax.jit(
        lambda: partial.frozen_part(model, state_lib.initial_params(whole, 0)),
        out_shardings=state_lib.shardings_of(abstract),
    )()
    state = state_lib.init_state(*_state_arguments(parts), 0)
    train_step = step_lib.make_train_step(**parts, optimizer_config=config, num_steps=3, seed=0)
    batch, losses = next(linear_model.CountingBatches()), []
    with jax.set_mesh(mesh):
        batch = sharding.shard_batch(batch, mesh, parts["rules"])
        for _ in range(3):
            state, metrics = train_step(state, batch, frozen)
            losses.append(float(metrics["loss"]))
        fingerprint = partial.fingerprint(frozen)
    wo = state.params["encoder"]["layers"]["mlp"]["wo"]
    kernel = frozen["encoder"]["layers"]["mlp"]["wo"]["kernel"]
    specs = {"kernel": kernel, "lora_a": wo["lora_a"], "lora_b": wo["lora_b"]}
    return {
        "losses": losses,
        "fingerprint": fingerprint,
        "specs": {name: list(array.sharding.spec) for name, array in specs.items()},
    }


def _same(actual, expected):
    pairs = zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    return all(np.array_equal(np.asarray(left), np.asarray(right)) for left, right in pairs)


def main():
    """Prints the results."""
    log = io.StringIO()
    logging.getLogger("absl").addHandler(logging.StreamHandler(log))
    runs = {}
    for sizes in ((1, 1, 1), (8, 1, 1), (1, 8, 1), (2, 2, 2)):
        runs[",".join(map(str, sizes))], state = _run(sizes)
    mesh = sharding.make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    six = next(linear_model.CountingBatches(num_rows=6))
    results = {
        "mesh_shape": dict(sharding.make_mesh(MeshConfig(data=-1, fsdp=4)).shape),
        "does_not_divide": _message(sharding.make_mesh, MeshConfig(fsdp=3)),
        "too_few": _message(sharding.make_mesh, MeshConfig(data=2, fsdp=2)),
        "two_slices": _two_slices(),
        "specs": _specs(),
        "batch_error": _message(sharding.shard_batch, six, mesh),
        "runs": runs,
        "lora": {",".join(map(str, sizes)): _lora(sizes) for sizes in ((1, 1, 1), (2, 2, 2))},
        "restored_on_other_meshes": _restored_on_other_meshes(state),
    }
    print(json.dumps(results | {"log": log.getvalue()}))
