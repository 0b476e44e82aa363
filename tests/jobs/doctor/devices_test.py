"""Devices: what is told of each machine, and programs that hang or crash."""

import os
import sys
import time

import pytest

from flantune.jobs.doctor import devices
from flantune.jobs.doctor.devices import Devices, Gpu

INSTALL = {"gpu": "pip install gpus", "tpu": "pip install tpus"}
CPU = Devices(backend="cpu", kinds=("cpu",), count=1, install=INSTALL)
H200 = Gpu(name="NVIDIA H200", memory_mib=143771, used_mib=4)
GPU = Devices(
    backend="gpu",
    kinds=("NVIDIA H200",),
    count=1,
    gpus=(H200,),
    gpu_files=("/dev/nvidia0",),
    plugins={"jax-cuda12-plugin": "0.10.2"},
    install=INSTALL,
)


def changed(facts, **changes):
    return Devices(**{**vars(facts), **changes})


def told(facts):
    return [(one.what, one.level) for one in devices.check(facts)]


def test_machines_as_they_should_be():
    assert told(CPU) == [("devices", "ok")]
    assert told(GPU) == [("devices", "ok"), ("gpu memory", "ok")]
    tpu = Devices(backend="tpu", kinds=("TPU v5 lite",), count=4, tpu_chips=4)
    assert told(tpu) == [("devices", "ok")]
    assert devices.check(tpu)[0].found == "4 x TPU v5 lite (tpu)"


@pytest.mark.parametrize(
    ("facts", "found", "advice"),
    [
        (changed(GPU, backend="cpu", plugins={}), "no plug-in", "pip install gpus"),
        (
            changed(GPU, backend="cpu", environment={"JAX_PLATFORMS": "cpu"}),
            "since JAX_PLATFORMS is 'cpu'",
            "Unset JAX_PLATFORMS",
        ),
        (
            changed(GPU, backend="cpu", said="a\nno CUDA-capable device\n"),
            "It says: no CUDA-capable device",
            "driver",
        ),
        (changed(CPU, tpu_chips=4), "4 TPU chips are here, and JAX uses cpu", "pip install tpus"),
        (
            changed(CPU, tpu_chips=1, plugins={"libtpu": "0.0.30"}),
            "1 TPU chip is here",
            "driver",
        ),
    ],
)
def test_an_accelerator_that_jax_does_not_use_is_a_warning(facts, found, advice):
    (one,) = [one for one in devices.check(facts) if one.level == "warning"]
    assert found in one.found
    assert advice in one.advice


def test_gpu_memory_that_others_use_is_a_warning():
    busy = changed(GPU, gpus=(Gpu(name="NVIDIA H200", memory_mib=143771, used_mib=100_000),))
    assert told(busy) == [("devices", "ok"), ("gpu memory", "warning")]
    assert "100,000 of 143,771 MiB" in devices.check(busy)[1].found
    broken = changed(GPU, gpus=(), smi_error="Driver/library version mismatch")
    assert told(broken) == [("devices", "ok"), ("gpu memory", "warning")]


def test_what_does_not_start_stops_a_run():
    slow = Devices(backend=None, timed_out=True, timeout_s=60, said="waiting for chip 0\n")
    (found,) = devices.check(slow)
    assert found.level == "problem"
    assert "after 60 s. It says: waiting for chip 0" in found.found
    broken = Devices(backend=None, said="no such platform", environment={"JAX_PLATFORMS": "cuda"})
    (found,) = devices.check(broken)
    assert found.level == "problem"
    assert "JAX_PLATFORMS is 'cuda'" in found.advice
    assert "JAX_PLATFORMS" not in devices.check(Devices(backend=None))[0].advice


def test_what_nvidia_smi_tells():
    text = "NVIDIA H200, 143771, 4\nNVIDIA GB10, [N/A], [N/A]\n"
    unknown = Gpu(name="NVIDIA GB10", memory_mib=0, used_mib=0)
    assert devices.parse_smi(text) == (H200, unknown)


def test_a_cpu_is_found_by_a_process_of_its_own():
    found = devices.gather(120, {**os.environ, "JAX_PLATFORMS": "cpu"})
    assert (found.backend, found.count, found.timed_out) == ("cpu", 1, False)
    assert "constraints.txt 'jax[cuda" in found.install["gpu"]
    assert found.install["tpu"].endswith("'jax[tpu]'")


def test_a_flag_that_xla_does_not_know_is_named():
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_of_tomorrow=1"}
    (found,) = devices.devices(120, environment)
    assert found.level == "problem"
    assert found.found.endswith("--xla_of_tomorrow=1.")


def test_a_program_that_hangs_is_left_behind(tmp_path):
    """With what it started: its child would hold the files that it writes to."""
    child = tmp_path / "child"
    code = (
        "import os, subprocess, sys, time\n"
        f"started = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(child)!r}, 'w').write(str(started.pid))\n"
        "print('so far', flush=True)\n"
        "time.sleep(60)\n"
    )
    started = time.monotonic()
    ended = devices.run([sys.executable, "-c", code], 5)
    assert time.monotonic() - started < 30
    assert ended.status is None
    assert ended.out == "so far\n"
    while _is_running(child.read_text()):  # it is dead once the system comes to it
        assert time.monotonic() - started < 30
        time.sleep(0.05)


def _is_running(process):
    """Whether a process is neither gone nor dead and not yet collected."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
