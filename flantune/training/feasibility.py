"""What is known of a training step before it runs: `Feasibility`, the verdict of `flantune compile`.

Here: whether it fits, its bounds, and what to change where it does not. How it is found out is in `proof.py`; read that next.
"""

import dataclasses
import math
from typing import Any

from flantune.configs import ModelConfig, OptimizerConfig
from flantune.training import (
    ahead_of_time,
    collectives,
    flops as flops_lib,
    roofline as roofline_lib,
    sharding,
)

# Share of a device's memory that a step may need by each way of finding out. O1 found up to 11 % less than the default
# level on the sizes that were compiled at both; JAX takes 75 % of a GPU's memory unless told otherwise.
USABLE = {"O1": 0.85, "default": 1.0, "estimate": 0.75}
NOT_COMPILED = (
    "not compiled: XLA's GPU compiler is not to be had without a GPU through JAX's public interface. Memory is an estimate: "
    "against compiled TPU steps such estimates were between 41 % too low (the largest model, many devices) and 55 % too high "
    "(the smallest, one device). What collectives send is not known."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LargeArray:
    """One of the largest arrays of a step, before any split along the tensor axis.

    Attributes:
        bytes_per_device: of its share of the rows.
        array: shape of the whole and dtype.
        where: module and operation.
        repeated: it is there only while rematerialisation computes a layer again; else from forward to backward pass.
    """

    bytes_per_device: int
    array: str
    where: str
    repeated: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feasibility:
    """What is known of a step before it runs.

    Attributes:
        topology: where it is to run.
        mesh: devices along each axis.
        rows: of the global batch, with `inputs_length` and `targets_length` places each.
        num_params: of the model, of which
        num_trained: are trained.
        way: how memory was found: a level of optimization, or "estimate".
        memory: of one device; None where the compiler gave up.
        refusal: its words then.
        hbm_bytes: of one device; `usable_bytes` of them by `USABLE`.
        largest: arrays, the largest first.
        levers: what to change; empty where it fits.
        model_flops: of a step; `repeated_flops` come on top by rematerialisation.
        traffic: collectives; None where there is no program.
        seconds: that compiling took.
    """

    topology: ahead_of_time.Topology
    mesh: dict[str, int]
    rows: int
    inputs_length: int
    targets_length: int
    num_params: int
    num_trained: int
    way: str
    memory: ahead_of_time.Memory | None
    refusal: str
    largest: tuple[LargeArray, ...]
    levers: tuple[str, ...]
    model_flops: int
    repeated_flops: int
    traffic: collectives.Traffic | None
    seconds: float

    @property
    def usable_bytes(self) -> int:
        return int(self.topology.chip.hbm_bytes * USABLE[self.way])

    @property
    def fits(self) -> bool:
        return self.memory is not None and self.memory.total <= self.usable_bytes

    @property
    def roofline(self) -> roofline_lib.Roofline | None:
        """Bounds of the step's time; None where the memory, which is read and written, is not known."""
        memory, traffic = self.memory, self.traffic
        if memory is None:
            return None
        return roofline_lib.roofline(
            self.topology.chip,
            self.topology.num_devices,
            model_flops=self.model_flops,
            repeated_flops=self.repeated_flops,
            memory_bytes=memory.arguments + memory.outputs + 2 * memory.temporaries,
            link_bytes=traffic.bytes_sent if traffic else None,
            network_bytes=traffic.network_bytes_sent if traffic else None,
        )

    @property
    def slot_tokens(self) -> int:
        """Places for tokens in a batch."""
        return flops_lib.slot_tokens(
            rows=self.rows, inputs_length=self.inputs_length, targets_length=self.targets_length
        )

    def as_json(self) -> dict[str, Any]:
        """Every figure; bytes and seconds."""
        place = self.topology
        value: dict[str, Any] = {
            "topology": {
                "name": place.name,
                "chip": dataclasses.asdict(place.chip),
                "num_devices": place.num_devices,
                "num_slices": place.num_slices,
            }
        }
        for field in dataclasses.fields(self)[1:]:
            value[field.name] = _plain(getattr(self, field.name))
        if self.memory is not None:
            value["memory"]["total"] = self.memory.total
        value["roofline"] = roofline = _plain(self.roofline)
        if self.roofline is not None:
            roofline |= {
                "step_s": self.roofline.step_s,
                "bound_by": self.roofline.bound_by,
                "utilisation": self.roofline.utilisation,
                "tokens_per_s": self.slot_tokens / self.roofline.step_s,
            }
        return value | {
            "fits": self.fits,
            "compiled": self.way != "estimate",
            "usable_bytes": self.usable_bytes,
            "slot_tokens": self.slot_tokens,
        }


def _plain(item: object) -> Any:
    """A field as JSON has it."""
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return dataclasses.asdict(item)
    return [_plain(one) for one in item] if isinstance(item, tuple) else item


def levers(found: Feasibility, model: ModelConfig, optimizer: OptimizerConfig) -> tuple[str, ...]:
    """What makes a step smaller, the cheapest first."""
    shards = math.prod(found.mesh[axis] for axis in sharding.BATCH_AXES)
    memory, names = found.memory, []
    if found.way == "O1" and memory is not None and memory.total <= found.topology.chip.hbm_bytes:
        names.append(
            "--optimization default finds out exactly: by O1 it is within the chip's memory, but too near its end."
        )
    if model.remat != "full":
        names.append(
            f"ModelConfig.remat = 'full' instead of '{model.remat}': keeps one array a layer, for "
            f"{_more_flops(model, found):.0%} more FLOPs than the model's."
        )
    if (
        any(array.where.startswith("loss") for array in found.largest)
        and optimizer.vocabulary_chunks == 1
    ):
        names.append("OptimizerConfig.vocabulary_chunks: never holds all logits.")
    if found.rows > shards * optimizer.microbatches:
        names.append(
            f"OptimizerConfig.microbatches above {optimizer.microbatches}: {found.rows // shards} rows of a device pass one "
            "after another, the numbers stay the same."
        )
        names.append(
            f"DataConfig.batch_size: each of {shards} groups of devices has {found.rows // shards} rows of {found.rows}; "
            f"{shards} is the least."
        )
    if found.mesh["data"] > 1:
        names.append(
            "MeshConfig.fsdp instead of data: splits parameters and optimizer state over more devices."
        )
    names.append(
        f"MeshConfig.tensor above {found.mesh['tensor']}: splits heads, MLP and vocabulary of each row."
    )
    names.append("A larger slice, or chips with more memory.")
    return tuple(names)


def _more_flops(model: ModelConfig, found: Feasibility) -> float:
    full = dataclasses.replace(model, remat="full")
    repeated = flops_lib.repeated_flops(
        full, inputs_length=found.inputs_length, targets_length=found.targets_length
    )
    return found.rows * repeated / found.model_flops
