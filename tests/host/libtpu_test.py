"""libtpu reports what it does not find, but only on a machine that may have a TPU."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

from flantune.host import libtpu

NETWORK_CARD = ("0x1ae0", "0x020000")  # of Google Cloud
DISK = ("0x1ae0", "0x010802")
OTHER_ACCELERATOR = ("0x10de", "0x120000")
TPU = ("0x1ae0", "0x120000")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in (*libtpu.WITHOUT_TPU, "JAX_FORCE_TPU_INIT"):
        monkeypatch.setenv(name, "")  # so that it is taken back afterwards
        monkeypatch.delenv(name)


def folder_of(path: pathlib.Path, *devices: tuple[str, str]) -> pathlib.Path:
    """A folder as /sys/bus/pci/devices."""
    for number, (vendor, kind) in enumerate(devices):
        device = path / f"0000:00:{number:02x}.0"
        device.mkdir()
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    return path


def given() -> dict[str, str]:
    return {name: os.environ[name] for name in libtpu.WITHOUT_TPU if name in os.environ}


def test_a_machine_without_a_tpu_is_named_to_libtpu(tmp_path):
    libtpu.be_quiet_without_tpu(folder_of(tmp_path, NETWORK_CARD, DISK, OTHER_ACCELERATOR))
    assert given() == libtpu.WITHOUT_TPU


def test_a_machine_without_pci_has_no_tpu(tmp_path):
    libtpu.be_quiet_without_tpu(tmp_path / "nothing")
    assert given() == libtpu.WITHOUT_TPU


def test_a_tpu_is_left_alone(tmp_path):
    libtpu.be_quiet_without_tpu(folder_of(tmp_path, NETWORK_CARD, TPU))
    assert not given()


def test_who_says_that_there_is_a_tpu_is_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_FORCE_TPU_INIT", "1")
    libtpu.be_quiet_without_tpu(folder_of(tmp_path))
    assert not given()


def test_what_is_set_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "host-7")
    libtpu.be_quiet_without_tpu(folder_of(tmp_path))
    assert given() == {**libtpu.WITHOUT_TPU, "TPU_WORKER_HOSTNAMES": "host-7"}


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="make tpu installs libtpu")
def test_jax_then_finds_its_devices_without_a_word():
    """libtpu 0.0.42 reports "Failed to find host bounds" and "unexpected worker hostname" otherwise."""
    program = (
        "from flantune.host import libtpu; libtpu.be_quiet_without_tpu(); import jax; jax.devices()"
    )
    # Else libtpu gives up before it says anything while another process on the machine uses it.
    environment = os.environ | {"ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
