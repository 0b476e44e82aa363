"""What libtpu is told on a machine without a TPU, where its compiler is of use (`flantune compile`).

JAX asks every accelerator library that is installed for devices. Without these variables libtpu then looks for the name of
a TPU host, and reports errors that no user can do anything about.
"""

from collections.abc import Iterator
import os
import pathlib

WITHOUT_TPU = {
    "TPU_SKIP_MDS_QUERY": "1",  # the network is not asked which TPU host this is
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",  # any that there is
}
_GOOGLE = "0x1ae0"  # PCI vendor; of network cards and disks of Google Cloud too
_OTHER_CLASSES = ("0x01", "0x02")  # PCI classes of storage and of networks
_PCI = pathlib.Path("/sys/bus/pci/devices")


def be_quiet_without_tpu(devices: pathlib.Path = _PCI) -> None:
    """Sets the variables unless the machine may have a TPU, where libtpu finds them out and reports what is wrong.

    Before JAX asks for devices. What the user has set stays, and `JAX_FORCE_TPU_INIT` says that there is a TPU.
    """
    if "JAX_FORCE_TPU_INIT" in os.environ or any(
        _is_accelerator(path) for path in _listed(devices)
    ):
        return
    for name, value in WITHOUT_TPU.items():
        os.environ.setdefault(name, value)


def _listed(devices: pathlib.Path) -> Iterator[pathlib.Path]:
    return devices.iterdir() if devices.is_dir() else iter(())


def _is_accelerator(device: pathlib.Path) -> bool:
    """Whether a PCI device is Google's, and neither a disk nor a network card."""
    if _text(device / "vendor") != _GOOGLE:
        return False
    return not _text(device / "class").startswith(_OTHER_CLASSES)


def _text(file: pathlib.Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return ""  # it went away, or says nothing of itself
