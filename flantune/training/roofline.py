"""The least time that a step can take on given chips: by computing, by memory, by links. Bounds, not forecasts.

Each bound takes the chip's stated peak and nothing in its way; the step's bound is the largest of them, as if all the rest
happened meanwhile. Real steps take longer: published runs of large models reach half to two thirds of the peak.
"""

import dataclasses

from flantune.training import chips


@dataclasses.dataclass(frozen=True, kw_only=True)
class Roofline:
    """Bounds of one step, in seconds.

    Attributes:
        model_s: the model's matrix products at the peak.
        compute_s: with those that rematerialisation repeats.
        memory_s: each argument read, each output written, each temporary written and read, once.
        links_s: what collectives send within a slice, over all links of a device at once; None where it is not known.
        network_s: what they send between slices; None where it is not known.
    """

    model_s: float
    compute_s: float
    memory_s: float
    links_s: float | None
    network_s: float | None

    @property
    def bounds(self) -> dict[str, float]:
        """Those that are known."""
        named = {
            "compute": self.compute_s,
            "memory": self.memory_s,
            "links": self.links_s,
            "network": self.network_s,
        }
        return {name: bound for name, bound in named.items() if bound is not None}

    @property
    def step_s(self) -> float:
        return max(self.bounds.values())

    @property
    def utilisation(self) -> float:
        """Model FLOPs by those that the chips could do in a step as short as this; repeated ones do not count."""
        return self.model_s / self.step_s

    @property
    def bound_by(self) -> str:
        return max(self.bounds, key=lambda name: self.bounds[name])


def roofline(
    chip: chips.Chip,
    num_devices: int,
    *,
    model_flops: int,
    repeated_flops: int,
    memory_bytes: int,
    link_bytes: int | None,
    network_bytes: int | None,
) -> Roofline:
    """Bounds of a step.

    Args:
        chip: what each device is.
        num_devices: that share the step's work.
        model_flops: of the whole step.
        repeated_flops: that rematerialisation adds, of the whole step.
        memory_bytes: that one device reads and writes at least.
        link_bytes: that one device sends within its slice; None: not known.
        network_bytes: that one device sends to other slices; None: not known.
    """
    peak = num_devices * chip.peak_flops
    network = chip.network_bytes_per_s
    return Roofline(
        model_s=model_flops / peak,
        compute_s=(model_flops + repeated_flops) / peak,
        memory_s=memory_bytes / chip.hbm_bytes_per_s,
        links_s=None if link_bytes is None else link_bytes / chip.link_bytes_per_s,
        network_s=network_bytes / network if network_bytes and network else None,
    )
