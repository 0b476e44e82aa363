"""How `flantune compile` finds out whether a training step fits: by compiling it, or by an estimate.

Here: `prove`. On a TPU the figures are the compiler's. On a GPU, for which there is no compiler without one, memory is
estimated: parameters, optimizer state and batch exactly as they would be placed, and on top of them the arrays kept for the
backward pass, a layer's own while it is computed, and gradients. Read `ahead_of_time.py` and `activations.py` next.
"""

from collections.abc import Sequence
import dataclasses
import math

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh
from jaxtyping import PyTree
import optax

from flantune.configs import MeshConfig, ModelConfig, OptimizerConfig
from flantune.training import (
    activations,
    ahead_of_time,
    collectives,
    feasibility,
    flops as flops_lib,
    partial,
    sharding,
    state as state_lib,
    step as step_lib,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A training step to be.

    Attributes:
        model: as it trains; a `partial.PartialModel` where only a part of the parameters is trained.
        plain_model: the same without rematerialisation, whose layers show what is computed again.
        model_config: of it, for its FLOPs.
        frozen_dtype: of the parameters that are not trained.
        optimizer: from `optimizers.make_optimizer`.
        optimizer_config: of it.
        mesh_config: how devices are split.
        batch: shapes of the global batch.
        num_steps: of the run, for schedules.
    """

    model: state_lib.Model
    plain_model: state_lib.Model
    model_config: ModelConfig
    frozen_dtype: str = "float32"
    optimizer: optax.GradientTransformation
    optimizer_config: OptimizerConfig
    mesh_config: MeshConfig
    batch: step_lib.AbstractBatch
    num_steps: int


def prove(
    job: Job, topology: ahead_of_time.Topology, *, optimization: str = "O1"
) -> feasibility.Feasibility:
    """Compiles a training step, or estimates it where the topology has no devices to compile for.

    Raises:
        ValueError: the mesh does not fit the devices, or the rows not the mesh, or there is no such level of optimization.
    """
    ahead_of_time.check_optimization(optimization)
    mesh, rules = _mesh(topology, job.mesh_config), sharding.axis_rules(job.mesh_config)
    batch = sharding.abstract_batch(job.batch, mesh, rules)
    state = state_lib.abstract_state(job.model, job.optimizer, mesh, rules)
    frozen = partial.abstract_frozen(job.model, mesh, rules, job.frozen_dtype)
    kept, layers = _activations(job, state, frozen)
    shards = sharding.batch_shards(mesh)
    if isinstance(mesh, AbstractMesh):
        way = "estimate"
        memory = _estimate(job, state, frozen, batch, kept, layers, shards)
        made = ahead_of_time.CompiledStep(memory=memory, refusal="", hlo_text="", seconds=0.0)
    else:
        way = optimization
        made = _compile(job, state, frozen, batch, mesh, rules, optimization)
    rows, inputs_length = job.batch["encoder_input_tokens"].shape
    lengths = {
        "inputs_length": inputs_length,
        "targets_length": job.batch["decoder_target_tokens"].shape[1],
    }
    flops = flops_lib.step_flops(
        job.model_config,
        flops_lib.shapes_by_name(partial.all_params(state.params, frozen)),
        flops_lib.shapes_by_name(state.params),
        rows=rows,
        **lengths,
    )
    found = feasibility.Feasibility(
        topology=topology,
        mesh=dict(mesh.shape),
        rows=rows,
        **lengths,
        num_params=_num_params(state.params) + _num_params(frozen),
        num_trained=_num_params(state.params),
        way=way,
        memory=made.memory,
        refusal=made.refusal,
        largest=_largest(kept, layers if layers is not kept else (), shards),
        levers=(),
        model_flops=flops.model,
        repeated_flops=flops.repeated,
        traffic=_traffic(made, topology),
        seconds=made.seconds,
    )
    if found.fits:
        return found
    levers = feasibility.levers(found, job.model_config, job.optimizer_config)
    return dataclasses.replace(found, levers=levers)


def _mesh(topology: ahead_of_time.Topology, config: MeshConfig) -> sharding.AnyMesh:
    if topology.devices is not None:
        return sharding.make_mesh(config, topology.devices)
    shape = sharding.mesh_shape(config, topology.num_devices)
    axis_types = (AxisType.Auto,) * len(shape)
    return AbstractMesh(shape, sharding.MESH_AXES, axis_types=axis_types)


def _num_params(tree: PyTree) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _activations(
    job: Job, state: state_lib.TrainState, frozen: PyTree
) -> tuple[Sequence[activations.KeptArray], Sequence[activations.KeptArray]]:
    """What a microbatch keeps for the backward pass, and what it would without rematerialisation."""
    parts = job.optimizer_config.microbatches
    batch = {
        name: jax.ShapeDtypeStruct((leaf.shape[0] // parts, *leaf.shape[1:]), leaf.dtype)
        for name, leaf in job.batch.items()
    }

    def of(model: state_lib.Model) -> Sequence[activations.KeptArray]:
        return activations.kept(model, state.params, batch, job.optimizer_config, frozen)

    kept = of(job.model)
    return kept, kept if job.model_config.remat == "none" else of(job.plain_model)


def _compile(
    job: Job,
    state: state_lib.TrainState,
    frozen: PyTree,
    batch: step_lib.AbstractBatch,
    mesh: Mesh,
    rules: sharding.AxisRules,
    optimization: str,
) -> ahead_of_time.CompiledStep:
    train_step = step_lib.make_train_step(
        model=job.model,
        optimizer=job.optimizer,
        optimizer_config=job.optimizer_config,
        num_steps=job.num_steps,
        mesh=mesh,
        rules=rules,
        seed=0,
    )
    assert isinstance(train_step, jax.stages.Wrapped)  # it is jitted
    return ahead_of_time.compile_step(
        train_step, state, batch, mesh, frozen=frozen, optimization=optimization
    )


def _traffic(
    made: ahead_of_time.CompiledStep, topology: ahead_of_time.Topology
) -> collectives.Traffic | None:
    if not made.hlo_text:
        return None
    return collectives.count(
        made.hlo_text, num_devices=topology.num_devices, num_slices=topology.num_slices
    )


def _bytes_per_device(tree: object) -> int:
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _estimate(
    job: Job,
    state: state_lib.TrainState,
    frozen: PyTree,
    batch: step_lib.AbstractBatch,
    kept: Sequence[activations.KeptArray],
    layers: Sequence[activations.KeptArray],
    shards: int,
) -> ahead_of_time.Memory:
    """Memory of one device without a compiler; temporaries are kept arrays, the arrays of one layer, and gradients.

    Of gradients there are two, the sum and the newest, where microbatches are summed.
    """
    state_bytes = _bytes_per_device(state)
    one_layer = max((sum(group) for group in _by_tower(layers).values()), default=0)
    activation_bytes = sum(array.bytes for array in kept) + one_layer
    return ahead_of_time.Memory(
        arguments=state_bytes + _bytes_per_device(frozen) + _bytes_per_device(batch),
        outputs=state_bytes,
        aliased=state_bytes,
        temporaries=activation_bytes // shards
        + min(2, job.optimizer_config.microbatches) * _bytes_per_device(state.params),
        code=0,
    )


def _by_tower(arrays: Sequence[activations.KeptArray]) -> dict[str, list[int]]:
    """Bytes of one layer's arrays, of each tower."""
    towers: dict[str, list[int]] = {}
    for array in arrays:
        if array.layers > 1:
            towers.setdefault(array.where.split("/")[0], []).append(array.bytes // array.layers)
    return towers


def _largest(
    kept: Sequence[activations.KeptArray],
    repeated: Sequence[activations.KeptArray],
    shards: int,
    count: int = 8,
) -> tuple[feasibility.LargeArray, ...]:
    arrays = [
        feasibility.LargeArray(
            bytes_per_device=array.bytes // shards,
            array=f"{array.dtype}[{','.join(map(str, array.shape))}]",
            where=array.where,
            repeated=False,
        )
        for array in kept
    ]
    arrays += [
        feasibility.LargeArray(
            bytes_per_device=array.bytes // array.layers // shards,
            array=f"{array.dtype}[{','.join(map(str, array.shape[1:]))}]",
            where=array.where,
            repeated=True,
        )
        for array in repeated
        if array.layers > 1
    ]
    return tuple(sorted(arrays, key=lambda array: -array.bytes_per_device)[:count])
