"""The device mesh, and which array is split along which of its axes.

Here: `make_mesh`, the default logical axis rules (t5x's names and choices), the shardings of parameters, optimizer
state and batches, and the table of parameters. Not here: constraints on activations, which the model names itself
with `flax.linen.with_logical_constraint`. Read `state.py` next.

A rule is a pair (logical axis, mesh axis): "split dimensions of this name along that mesh axis". Of the rules for a
name, the first whose mesh axis is still free in the array wins, as in Flax and t5x. So a parameter ("embed", "mlp") is
split along fsdp and tensor, while an activation ("batch", "length", "embed") has spent fsdp on its batch and keeps
"embed" whole.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import difflib
import functools
import math

from absl import logging
from flax import linen as nn
import jax
from jax.experimental import mesh_utils
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree, Shaped
import numpy as np

from flantune.configs import MeshConfig

MESH_AXES = ("slice", "data", "fsdp", "tensor")

MeshAxes = str | tuple[str, ...] | None
AxisRules = tuple[tuple[str, MeshAxes], ...]
LogicalAxes = tuple[str | None, ...]
AnyMesh = Mesh | AbstractMesh  # of devices, or of sizes alone

# fsdp before data, though data is the mesh's first axis: the other order makes XLA's partitioner (jaxlib 0.10.2, with
# Shardy or without) compute wrong gradients, silently, on meshes where all three axes have more than one device.
# tests/training/sharding_test.py trains such a model; compare https://github.com/openxla/xla/issues/40034.
BATCH_AXES = ("slice", "fsdp", "data")

# t5x's standard_logical_axis_rules with 2-D parameters (t5x/partitioning.py:545-620): its `model` axis is our tensor;
# its `data` axis is split in two, copies of the model (data) and shards of the parameters (fsdp). No rule splits a parameter
# over slices: between them pass gradients alone.
DEFAULT_RULES: AxisRules = (
    ("batch", BATCH_AXES),
    ("vocab", "tensor"),
    ("mlp", "tensor"),
    ("heads", "tensor"),
    ("joined_kv", "tensor"),
    ("embed", "fsdp"),
    ("kv", None),
    ("length", None),
    ("sequence", None),  # between layers; ("sequence", "tensor") splits activations there too
    ("layers", None),
    ("relpos_buckets", None),
    ("lora_rank", None),
)


def mesh_shape(config: MeshConfig, num_devices: int) -> tuple[int, ...]:
    """Devices along each of `MESH_AXES`, one -1 of the config resolved.

    Raises:
        ValueError: the sizes do not multiply to the number of devices.
    """
    sizes = {axis: getattr(config, axis) for axis in MESH_AXES}
    fixed = math.prod(size for size in sizes.values() if size != -1)
    free = [axis for axis, size in sizes.items() if size == -1]
    asked = " x ".join(
        f"{axis}={size}"
        for axis, size in sizes.items()
        if size != -1 and (axis, size) != ("slice", 1)
    )
    if free and num_devices % fixed:
        raise ValueError(
            f"MeshConfig.{free[0]} is -1, which takes what remains of {num_devices} devices, but {asked} = {fixed} "
            f"does not divide {num_devices}. Change {' or '.join(a for a in MESH_AXES if a not in free)}."
        )
    if not free and fixed != num_devices:
        raise ValueError(
            f"MeshConfig asks for {asked} = {fixed} devices, but there are {num_devices}. "
            "Set one of its fields to -1 to take what remains."
        )
    return tuple(num_devices // fixed if size == -1 else size for size in sizes.values())


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Mesh over all devices (or `devices`) with axes slice, data, fsdp and tensor, one -1 of the config resolved.

    TPUs say which slice each is of. Other devices do not: there neighbours, in the order of the devices, make up each slice.

    Raises:
        ValueError: the sizes do not multiply to the number of devices, or there are not as many TPU slices as `slice` says.
    """
    devices = jax.devices() if devices is None else list(devices)
    shape = mesh_shape(config, len(devices))
    # Auto, because jax.make_mesh defaults to Explicit axes, which Flax's constraints refuse.
    axis_types = (AxisType.Auto,) * len(MESH_AXES)
    num_slices = shape[0]
    if devices[0].platform == "tpu":
        found = len({getattr(device, "slice_index", 0) for device in devices})
        if found != num_slices:
            raise ValueError(
                f"MeshConfig.slice is {num_slices}, but the devices are those of {found} TPU slice(s). Make it {found}; data, "
                "fsdp and tensor are the axes within a slice."
            )
        if num_slices > 1:
            within, across = (1, *shape[1:]), (num_slices, 1, 1, 1)
            grid = mesh_utils.create_hybrid_device_mesh(
                within, across, devices, allow_split_physical_axes=True
            )
            return Mesh(grid, MESH_AXES, axis_types=axis_types)
    return jax.make_mesh(shape, MESH_AXES, axis_types=axis_types, devices=devices)


def axis_rules(config: MeshConfig) -> AxisRules:
    """Rules of the config, then the default rules.

    Raises:
        KeyError: a rule names an unknown logical axis or mesh axis.
    """
    logical_names = [name for name, _ in DEFAULT_RULES]
    for logical, mesh_axis in config.axis_rules:
        for kind, name, known in (
            ("logical axis", logical, logical_names),
            ("mesh axis", mesh_axis, MESH_AXES),
        ):
            if name is not None and name not in known:
                closest = difflib.get_close_matches(name, known, n=1)
                hint = f" Did you mean {closest[0]!r}?" if closest else ""
                raise KeyError(
                    f"MeshConfig.axis_rules names the {kind} {name!r}, which is none of {', '.join(known)}.{hint}"
                )
    return (*config.axis_rules, *DEFAULT_RULES)


def activation_rules(rules: AxisRules) -> AxisRules:
    """The same rules with those of "batch" first, so that no other dimension takes its mesh axes from it."""
    return tuple(sorted(rules, key=lambda rule: rule[0] != "batch"))


@functools.cache
def _warn_once(message: str) -> None:
    logging.warning("%s", message)


def _fitting_axes(wanted: MeshAxes, size: int, mesh: AnyMesh, name: str) -> MeshAxes:
    """Those of the wanted mesh axes that have more than one device and divide a dimension of this size."""
    kept: list[str] = []
    for axis in (wanted,) if isinstance(wanted, str) else wanted or ():
        shards = math.prod(mesh.shape[other] for other in (*kept, axis))
        if mesh.shape[axis] > 1 and size % shards == 0:
            kept.append(axis)
        elif mesh.shape[axis] > 1:
            _warn_once(
                f"{name}: a dimension of {size} is not split along mesh axis {axis!r}, which needs a multiple of {shards}."
            )
    return tuple(kept) if len(kept) > 1 else kept[0] if kept else None


def _mesh_axes(axes: LogicalAxes, rules: AxisRules) -> tuple[MeshAxes, ...]:
    """The mesh axes that the rules give each dimension, before asking whether they divide it."""
    spec = nn.logical_to_mesh_axes(axes, rules)
    assert spec is not None
    return tuple(spec)


def partition_spec(
    axes: LogicalAxes,
    shape: tuple[int, ...],
    mesh: AnyMesh,
    rules: AxisRules,
    *,
    name: str = "array",
) -> PartitionSpec:
    """Mesh axes of each dimension of one array, leaving out those that do not divide it (logged once).

    Raises:
        ValueError: there are not as many logical axes as dimensions.
    """
    if len(axes) != len(shape):
        raise ValueError(
            f"'{name}' has shape {shape} but logical axes {axes}: name one axis per dimension."
        )
    wanted = _mesh_axes(axes, rules)
    return PartitionSpec(
        *(
            _fitting_axes(mesh_axes, size, mesh, name)
            for mesh_axes, size in zip(wanted, shape, strict=True)
        )
    )


def _is_axes(node: object) -> bool:
    return isinstance(node, tuple) and all(isinstance(name, str | None) for name in node)


def path_name(path: jax.tree_util.KeyPath) -> str:
    """Name of a leaf from its path in a tree: "encoder/layers_0/mlp/wo/kernel"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def param_shardings(
    logical_axes: PyTree, shapes: PyTree, mesh: AnyMesh, rules: AxisRules
) -> PyTree[NamedSharding]:
    """Sharding of each parameter, from a tree of logical axes and one of arrays or shapes of the same structure."""
    return jax.tree_util.tree_map_with_path(
        lambda path, axes, leaf: NamedSharding(
            mesh, partition_spec(axes, leaf.shape, mesh, rules, name=path_name(path))
        ),
        logical_axes,
        shapes,
        is_leaf=_is_axes,
    )


def optimizer_shardings(
    opt_state: PyTree, params: PyTree, shardings: PyTree[NamedSharding], mesh: AnyMesh
) -> PyTree[NamedSharding]:
    """Sharding of each optimizer leaf: its parameter's where the shapes agree, else a copy on every device.

    The parameter of a leaf is the one whose path ends the leaf's path. Factored statistics have other shapes than
    their parameter, and are small: a row and a column for a matrix.
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    by_path = {
        path: (leaf.shape, sharding)
        for (path, leaf), sharding in zip(leaves, jax.tree.leaves(shardings), strict=True)
    }
    replicated = NamedSharding(mesh, PartitionSpec())

    def of_leaf(
        path: jax.tree_util.KeyPath, leaf: Shaped[jax.ShapeDtypeStruct, "..."]
    ) -> NamedSharding:
        for start in range(len(path)):
            shape, sharding = by_path.get(path[start:], (None, None))
            if sharding is not None:
                return sharding if shape == leaf.shape else replicated
        return replicated

    return jax.tree_util.tree_map_with_path(of_leaf, opt_state)


def batch_shards(mesh: AnyMesh) -> int:
    """Devices, or groups of them, that each have rows of their own under the default rules."""
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES)


def _batch_sharding(rows: Mapping[str, int], mesh: AnyMesh, rules: AxisRules) -> NamedSharding:
    """Sharding of the arrays of a global batch with so many rows each.

    Raises:
        ValueError: the number of rows is no multiple of the shards.
    """
    sharding = NamedSharding(mesh, PartitionSpec(*_mesh_axes(("batch",), activation_rules(rules))))
    axes = sharding.spec[0] or ()
    axes = [axis for axis in ((axes,) if isinstance(axes, str) else axes) if mesh.shape[axis] > 1]
    shards = math.prod(mesh.shape[axis] for axis in axes)
    for name, count in rows.items():
        if count % shards:
            raise ValueError(
                f"A batch of {count} rows ('{name}') cannot be split over {' x '.join(axes)} = {shards} devices. "
                f"Make DataConfig.batch_size a multiple of {shards}."
            )
    return sharding


def shard_batch(
    batch: Mapping[str, Shaped[np.ndarray, "batch ..."]],
    mesh: Mesh,
    rules: AxisRules = DEFAULT_RULES,
) -> dict[str, Shaped[jax.Array, "batch ..."]]:
    """Global arrays whose rows are those of all processes in order, split along the mesh axes of "batch".

    Raises:
        ValueError: the number of rows is no multiple of the shards.
    """
    rows = {name: array.shape[0] * jax.process_count() for name, array in batch.items()}
    sharding = _batch_sharding(rows, mesh, rules)
    return {
        name: jax.make_array_from_process_local_data(
            sharding, array, (rows[name], *array.shape[1:])
        )
        for name, array in batch.items()
    }


def abstract_batch(
    shapes: Mapping[str, jax.ShapeDtypeStruct],
    mesh: AnyMesh,
    rules: AxisRules = DEFAULT_RULES,
) -> dict[str, jax.ShapeDtypeStruct]:
    """What `shard_batch` makes of global arrays with these shapes, as shapes with shardings.

    Raises:
        ValueError: the number of rows is no multiple of the shards.
    """
    sharding = _batch_sharding({name: leaf.shape[0] for name, leaf in shapes.items()}, mesh, rules)
    return {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
        for name, leaf in shapes.items()
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParameterRow:
    """One parameter in the table of parameters."""

    name: str
    shape: tuple[int, ...]
    axes: LogicalAxes
    spec: PartitionSpec
    bytes_per_device: int


def parameter_table(
    params: PyTree, logical_axes: PyTree, shardings: PyTree[NamedSharding]
) -> tuple[ParameterRow, ...]:
    """One row per parameter, in the tree's order; `params` are arrays or shapes."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    axes = jax.tree.leaves(logical_axes, is_leaf=_is_axes)
    return tuple(
        ParameterRow(
            name=path_name(path),
            shape=tuple(leaf.shape),
            axes=leaf_axes,
            spec=sharding.spec,
            bytes_per_device=math.prod(sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize,
        )
        for (path, leaf), leaf_axes, sharding in zip(
            leaves, axes, jax.tree.leaves(shardings), strict=True
        )
    )


def format_parameter_table(rows: Sequence[ParameterRow]) -> str:
    """The table as aligned text with a header and totals, ending in a newline."""
    cells = [("parameter", "shape", "logical axes", "mesh axes", "bytes per device")]
    cells += [
        (
            row.name,
            " x ".join(map(str, row.shape)),
            ", ".join(str(axis) for axis in row.axes),
            ", ".join("-" if axis is None else str(axis) for axis in row.spec),
            f"{row.bytes_per_device:,}",
        )
        for row in rows
    ]
    total = sum(math.prod(row.shape) for row in rows)
    total_bytes = sum(row.bytes_per_device for row in rows)
    cells.append((f"total of {len(rows)}", f"{total:,}", "", "", f"{total_bytes:,}"))
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True))
        + "  "
        + row[-1].rjust(widths[-1])
        for row in cells
    ]
    return "\n".join(lines) + "\n"
