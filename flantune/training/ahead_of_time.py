"""Compiling a training step for accelerators that are not there, and what its memory comes to.

Here: `topology` (the devices of a slice by name), `compile_step`, `Memory`. PyPI's libtpu holds the whole TPU compiler and
needs no TPU. Not here: FLOPs (`flops.py`), bytes of collectives (`collectives.py`) and the verdict (`proof.py`); read
the last next.
"""

from collections.abc import Sequence
import dataclasses
import difflib
import importlib.util
import math
import os
import re
import time
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import Mesh
from jaxtyping import PyTree

from flantune.host import libtpu
from flantune.training import chips, state as state_lib, step as step_lib

# Without it a second process on the machine that loads libtpu dies on its lock file.
_LIBTPU_ENVIRONMENT = {**libtpu.WITHOUT_TPU, "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
_NAME = re.compile(r"(?P<chip>\w+):(?P<shape>\d+(?:x\d+)*)")
# As Google's consoles name slices: "v5litepod-16", "v4-512"; the number is of chips, or of cores where a chip has two.
_ACCELERATOR_TYPE = re.compile(r"(?P<chip>\w+)-(?P<count>\d+)")
_COUNTED_PER_CHIP = {"v3": 2, "v4": 2, "v5p": 2}
# Slices that Google Cloud rents most, and hosts of GPUs: what a misspelt name is compared with.
_USUAL_SHAPES = {
    2: ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
    3: ("2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8", "8x8x8"),
    1: ("1", "2", "4", "8"),
}
OPTIMIZATION_LEVELS = {"O1": "O1", "default": "UNKNOWN"}  # by jax_optimization_level's names


def check_optimization(level: str) -> None:
    """Raises ValueError where there is no such level of optimization."""
    if level not in OPTIMIZATION_LEVELS:
        raise ValueError(
            f"--optimization must be one of {', '.join(OPTIMIZATION_LEVELS)}, not {level!r}."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Topology:
    """Accelerators that are wired together.

    Attributes:
        name: as it was asked for, for example "v5e:16x16".
        chip: what each device is.
        num_devices: of all slices.
        num_slices: such topologies, joined by the data centre's network.
        devices: to compile for; None where there is no compiler for them here.
    """

    name: str
    chip: chips.Chip
    num_devices: int
    num_slices: int = 1
    devices: tuple[jax.Device, ...] | None = None


def topology(name: str, num_slices: int = 1) -> Topology:
    """The topology of a name: a chip and the size of a slice in chips, "v5e:16x16" or "v5p:4x4x4"; or "h100:8".

    Raises:
        ValueError: there is no such chip or slice, or libtpu is not installed.
    """
    chip, shape = _parse(name)
    if chip.platform == "gpu":
        if num_slices > 1:
            raise ValueError(f"--num_slices is for TPU slices; {name} counts its GPUs itself.")
        return Topology(name=name, chip=chip, num_devices=shape[0])
    if importlib.util.find_spec("libtpu") is None:
        raise ValueError(
            "Compiling for a TPU needs libtpu, not a TPU: pip install -c constraints.txt '.[tpu]'"
        )
    for variable, value in _LIBTPU_ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    per_host = (*(1 + (size % 2 == 0) for size in shape[:2]), 1)  # hosts of 2 x 2 chips, or 1
    options: dict[str, object] = {"chips_per_host_bounds": per_host, "num_slices": num_slices}
    if chip.name == "v4":
        options["chip_config_name"] = "megacore"  # else each of a chip's two cores is a device
    try:
        found = topologies.get_topology_desc(name, "tpu", **options)
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(f"libtpu has no topology {name!r}: {error}") from error
    return Topology(
        name=name,
        chip=chip,
        num_devices=len(found.devices),
        num_slices=num_slices,
        devices=tuple(found.devices),
    )


def _parse(name: str) -> tuple[chips.Chip, tuple[int, ...]]:
    """Chip and shape of a topology's name."""
    match = _NAME.fullmatch(name)
    chip = chips.CHIPS.get(match["chip"]) if match else None
    if match is None or chip is None:
        raise ValueError(
            f"There is no topology {name!r}. {_suggestion(name)} Chips: {', '.join(chips.CHIPS)}."
        )
    shape = tuple(int(size) for size in match["shape"].split("x"))
    if len(shape) != chip.slice_axes:
        raise ValueError(
            f"A slice of {chip.name} has {chip.slice_axes} {'axes' if chip.slice_axes > 1 else 'axis'}, "
            f"not {len(shape)} as in {name!r}. {_suggestion(name, [chip])}"
        )
    if not 1 <= math.prod(shape) <= chip.largest_slice:
        raise ValueError(
            f"{name!r} has {math.prod(shape):,} chips; a slice of {chip.name} has 1 to {chip.largest_slice:,}."
        )
    return chip, shape


def _suggestion(name: str, among: Sequence[chips.Chip] = tuple(chips.CHIPS.values())) -> str:
    """The topology that a wrong name may mean: that of an accelerator type, or the one spelt most like it."""
    known = {
        f"{chip.name}:{shape}": (chip.name, math.prod(map(int, shape.split("x"))))
        for chip in among
        for shape in _USUAL_SHAPES[chip.slice_axes]
    }
    kind = _ACCELERATOR_TYPE.fullmatch(name)
    if kind:
        chip_name = kind["chip"].replace("litepod", "e")
        size = int(kind["count"]) // _COUNTED_PER_CHIP.get(chip_name, 1)
        same = [topology for topology, is_of in known.items() if is_of == (chip_name, size)]
        if same:
            return f"The accelerator type {name} has the topology {same[0]!r}, or another shape."
    near = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"Did you mean {near[0]!r}?"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of one device's memory that a step needs at once.

    Attributes:
        arguments: parameters, frozen ones too, optimizer state and batch.
        outputs: the new state and metrics.
        aliased: part of the outputs that takes the arguments' place.
        temporaries: activations, gradients, gathered weights.
        code: the program.
    """

    arguments: int
    outputs: int
    aliased: int
    temporaries: int
    code: int

    @property
    def total(self) -> int:
        return self.arguments + self.outputs - self.aliased + self.temporaries + self.code


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledStep:
    """What the compiler made of a step.

    Attributes:
        memory: of one device; None where the compiler gave up because there is not enough.
        refusal: the compiler's words then.
        hlo_text: the program; empty where there is none.
        seconds: that lowering and compiling took.
    """

    memory: Memory | None
    refusal: str
    hlo_text: str
    seconds: float


def compile_step(
    train_step: jax.stages.Wrapped,
    state: state_lib.TrainState,
    batch: step_lib.AbstractBatch,
    mesh: Mesh,
    *,
    frozen: PyTree = None,
    optimization: str = "O1",
) -> CompiledStep:
    """Compiles a jitted step for the mesh's devices, which may not exist.

    Args:
        train_step: from `step.make_train_step`.
        state: shapes and shardings, from `state.abstract_state`.
        batch: shapes and shardings, from `sharding.abstract_batch`.
        mesh: of a topology's devices.
        frozen: shapes and shardings of the parameters that a `PartialModel` does not train.
        optimization: "O1" compiles three to four times faster and finds up to 11 % less memory; "default" is what a run
            gets.
    """
    start_s = time.monotonic()
    before = jax.config.jax_optimization_level  # type: ignore[attr-defined]
    jax.config.update("jax_optimization_level", OPTIMIZATION_LEVELS[optimization])
    try:
        with jax.set_mesh(mesh):
            platform = mesh.devices.flat[0].platform
            lowered = train_step.trace(state, batch, frozen).lower(lowering_platforms=(platform,))
            compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        seconds = time.monotonic() - start_s
        return CompiledStep(memory=None, refusal=str(error), hlo_text="", seconds=seconds)
    finally:
        jax.config.update("jax_optimization_level", before)
    return CompiledStep(
        memory=_memory(compiled.memory_analysis()),
        refusal="",
        hlo_text=compiled.as_text(),
        seconds=time.monotonic() - start_s,
    )


def _memory(stats: Any) -> Memory:
    """The compiler's own figures; JAX gives them a type that it does not publish."""
    return Memory(
        arguments=stats.argument_size_in_bytes,
        outputs=stats.output_size_in_bytes,
        aliased=stats.alias_size_in_bytes,
        temporaries=stats.temp_size_in_bytes,
        code=stats.generated_code_size_in_bytes,
    )
