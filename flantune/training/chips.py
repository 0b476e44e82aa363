"""Accelerators: peak speed, memory and links of what JAX calls one device. The one table of such figures.

Used for the roofline of `flantune compile` and for model FLOPs utilisation. TPU v3 and TPU7x give JAX a device for each of
the two cores of a chip, so their rows hold half of a chip; all others are whole chips. Read `roofline.py` next.

Sources. TPU peaks, bandwidths and links: the pages v3, v4, v5e, v5p, v6e and tpu7x under
https://cloud.google.com/tpu/docs/system-architecture-tpu-vm. Google states what a chip's links carry both ways at once (v5e
400, v5p 1,200, v6e 800, TPU7x 1,200 GB/s); half of it goes each way. v4 and v3: links of 50 and 70 GB/s, six and four of
them (https://arxiv.org/abs/2304.01433, table 4). TPU memory: what libtpu 0.0.42's compiler lets one program use, from its
own message, which is less than the 16, 32 or 95 GB that are sold. NVIDIA: the data sheets of the SXM modules, dense bfloat16,
NVLink one way.
"""

import dataclasses

_GIB = 2**30


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """One JAX device of a kind.

    Attributes:
        name: as topologies name it, for example "v5e".
        device_kinds: what `jax.Device.device_kind` may call it.
        platform: "tpu" or "gpu".
        peak_flops: bfloat16 FLOP/s of matrix products.
        hbm_bytes: memory that a program can use.
        hbm_bytes_per_s: of that memory.
        link_bytes_per_s: what the device can send at once over all its links within a slice or host (ICI, NVLink).
        network_bytes_per_s: what it can send between slices (the data centre's network); None where Google states none.
        devices_per_chip: JAX devices on one chip.
        slice_axes: of a slice's shape: those of a TPU's torus; 1 for GPUs, which are counted.
        largest_slice: chips of the largest one; for GPUs, of as many hosts as anybody may want.
    """

    name: str
    device_kinds: tuple[str, ...]
    platform: str
    peak_flops: float
    hbm_bytes: int
    hbm_bytes_per_s: float
    link_bytes_per_s: float
    network_bytes_per_s: float | None = None
    devices_per_chip: int = 1
    slice_axes: int
    largest_slice: int


_TABLE = (
    Chip(
        name="v3",
        slice_axes=2,
        largest_slice=1024,
        device_kinds=("TPU v3",),
        platform="tpu",
        peak_flops=123e12 / 2,
        hbm_bytes=int(15.48 * _GIB),
        hbm_bytes_per_s=900e9 / 2,
        link_bytes_per_s=4 * 70e9 / 2,
        devices_per_chip=2,
    ),
    Chip(
        name="v4",
        slice_axes=3,
        largest_slice=4096,
        device_kinds=("TPU v4",),
        platform="tpu",
        peak_flops=275e12,
        hbm_bytes=int(30.75 * _GIB),
        hbm_bytes_per_s=1200e9,
        link_bytes_per_s=6 * 50e9,
    ),
    Chip(
        name="v5e",
        slice_axes=2,
        largest_slice=256,
        device_kinds=("TPU v5 lite", "TPU v5e"),
        platform="tpu",
        peak_flops=197e12,
        hbm_bytes=int(15.75 * _GIB),
        hbm_bytes_per_s=819e9,
        link_bytes_per_s=400e9 / 2,
        network_bytes_per_s=6.4e12 / 8 / 256,  # 6.4 Tbit/s for a pod of 256 chips
    ),
    Chip(
        name="v5p",
        slice_axes=3,
        largest_slice=6144,
        device_kinds=("TPU v5", "TPU v5p"),
        platform="tpu",
        peak_flops=459e12,
        hbm_bytes=int(95.74 * _GIB),
        hbm_bytes_per_s=2765e9,
        link_bytes_per_s=1200e9 / 2,
        network_bytes_per_s=50e9 / 8,
    ),
    Chip(
        name="v6e",
        slice_axes=2,
        largest_slice=256,
        device_kinds=("TPU v6 lite", "TPU v6e"),
        platform="tpu",
        peak_flops=918e12,
        hbm_bytes=int(31.25 * _GIB),
        hbm_bytes_per_s=1638e9,
        link_bytes_per_s=800e9 / 2,
        network_bytes_per_s=100e9 / 8,
    ),
    Chip(
        name="tpu7x",
        slice_axes=3,
        largest_slice=9216,
        device_kinds=("TPU7x", "TPU7"),
        platform="tpu",
        peak_flops=2307e12 / 2,
        hbm_bytes=int(94.75 * _GIB),
        hbm_bytes_per_s=7380e9 / 2,
        link_bytes_per_s=1200e9 / 2 / 2,
        network_bytes_per_s=100e9 / 8 / 2,
        devices_per_chip=2,
    ),
    Chip(
        name="a100",
        slice_axes=1,
        largest_slice=4096,
        device_kinds=("NVIDIA A100-SXM4-80GB",),
        platform="gpu",
        peak_flops=312e12,
        hbm_bytes=int(80e9),
        hbm_bytes_per_s=2039e9,
        link_bytes_per_s=600e9 / 2,
    ),
    Chip(
        name="h100",
        slice_axes=1,
        largest_slice=4096,
        device_kinds=("NVIDIA H100 80GB HBM3",),
        platform="gpu",
        peak_flops=989e12,
        hbm_bytes=int(80e9),
        hbm_bytes_per_s=3350e9,
        link_bytes_per_s=900e9 / 2,
    ),
    Chip(
        name="h200",
        slice_axes=1,
        largest_slice=4096,
        device_kinds=("NVIDIA H200",),
        platform="gpu",
        peak_flops=989e12,
        hbm_bytes=int(141e9),
        hbm_bytes_per_s=4800e9,
        link_bytes_per_s=900e9 / 2,
    ),
)

CHIPS = {chip.name: chip for chip in _TABLE}


def of_device_kind(device_kind: str) -> Chip | None:
    """The chip that JAX calls by this name (`jax.Device.device_kind`); None for one that the table lacks, as a CPU."""
    return next((chip for chip in _TABLE if device_kind in chip.device_kinds), None)
