"""Devices: what the machine has, what JAX finds, and why they may differ.

A driver may hang and a wrong flag ends a process, so JAX starts in one of its own (`device_probe.py`), with a time limit.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import glob
import importlib.metadata
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

from flantune.jobs.doctor import software
from flantune.jobs.doctor.findings import Finding, ok, problem, warning

_WHAT = "devices"
_PROBE = pathlib.Path(__file__).with_name("device_probe.py")
_SMI_TIMEOUT_S = 20  # it takes 1 to 5 s where the driver is not loaded yet
_SMI = ("nvidia-smi", "--query-gpu=name,memory.total,memory.used", "--format=csv,noheader,nounits")
_END_S = 2.0  # in which a process that can end has ended
_PLUGIN = re.compile(r"jax[-_](cuda|rocm)\d+[-_]plugin\Z|(libtpu)\Z")
_UNKNOWN_FLAG = re.compile(r"Unknown flags? in XLA_FLAGS: (.+)")
_BUSY_SHARE = 0.1  # of a GPU's memory; a display or a driver that stays loaded takes less


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu:
    """One GPU as nvidia-smi tells of it."""

    name: str
    memory_mib: int
    used_mib: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices:
    """What is known of devices.

    Attributes:
        backend: JAX's, "cpu", "gpu" or "tpu"; None: it did not start.
        kinds: of its devices.
        said: what JAX's process wrote to standard error.
        timed_out: whether it was ended after `timeout_s`.
        tpu_chips: on this machine's bus, whether JAX may use them or not.
        gpus: as nvidia-smi lists them.
        gpu_files: device files of GPUs.
        smi_error: why nvidia-smi lists none though there are device files.
        plugins: version of each plug-in for an accelerator that is installed.
        environment: the variables that JAX reads.
        install: the command that installs the plug-in for "gpu" and for "tpu".
    """

    backend: str | None
    kinds: tuple[str, ...] = ()
    count: int = 0
    said: str = ""
    timed_out: bool = False
    timeout_s: int = 0
    tpu_chips: int = 0
    gpus: tuple[Gpu, ...] = ()
    gpu_files: tuple[str, ...] = ()
    smi_error: str = ""
    plugins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    install: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """How a program ended; `status` is None where it was ended because its time was over."""

    status: int | None
    out: str
    error: str


def devices(timeout_s: int, environment: Mapping[str, str]) -> list[Finding]:
    return check(gather(timeout_s, environment))


def gather(timeout_s: int, environment: Mapping[str, str]) -> Devices:
    """What this machine has and what JAX finds; takes as long as JAX takes to start, at most `timeout_s`.

    Args:
        environment: of JAX's process.
    """
    gpu_files = tuple(sorted(glob.glob("/dev/nvidia[0-9]*")) or glob.glob("/dev/dxg"))
    # Before JAX starts, which takes most of a GPU's memory.
    gpus, smi_error = _gpus() if gpu_files else ((), "")
    # -P: neither here nor beside the program does Python look for what it imports.
    probe = run([sys.executable, "-P", str(_PROBE)], timeout_s, environment)
    told: dict[str, object] = {}
    for line in probe.out.splitlines():
        if line.startswith("{"):
            told |= json.loads(line)
    known = {field.name for field in dataclasses.fields(Devices)}
    facts = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in told.items()
        if name in known
    }
    return Devices(
        **{"backend": None, **facts},  # type: ignore[arg-type]  # of the probe, which is ours
        said=probe.error,
        timed_out=probe.status is None,
        timeout_s=timeout_s,
        gpus=gpus,
        gpu_files=gpu_files,
        smi_error=smi_error,
        plugins=_plugins(),
        environment={
            name: environment[name]
            for name in ("JAX_PLATFORMS", "XLA_FLAGS", "CUDA_VISIBLE_DEVICES")
            if name in environment
        },
        install={"gpu": software.install_extra("cuda"), "tpu": software.install_extra("tpu")},
    )


def check(found: Devices) -> list[Finding]:
    """Whether JAX starts, and whether it finds what is there."""
    if found.backend is None:
        return [_not_started(found), *_gpu_findings(found)]
    platforms = found.environment.get("JAX_PLATFORMS")
    chosen = f", JAX_PLATFORMS={platforms}" if platforms else ""
    said = f"{found.count} x {', '.join(found.kinds)} ({found.backend}{chosen})"
    return [ok(_WHAT, said), *_unseen(found), *_gpu_findings(found)]


def _not_started(found: Devices) -> Finding:
    if found.timed_out:
        return problem(
            _WHAT,
            f"JAX has not found its devices after {found.timeout_s} s.{_quoted(found.said)}",
            "A driver hangs or another process holds the devices: see nvidia-smi, or on a TPU host for other Python "
            "processes, and restart the machine if nothing else helps. --device_timeout waits longer.",
        )
    if flags := _UNKNOWN_FLAG.search(found.said):
        return problem(
            _WHAT,
            f"XLA_FLAGS has flags that this jaxlib does not know, and then no program starts: {flags.group(1).strip()}.",
            "Leave them out of XLA_FLAGS, or install the jaxlib that they are for.",
        )
    advice = (
        "Install JAX again, or run python -c 'import jax; print(jax.devices())' to see all it says."
    )
    if platforms := found.environment.get("JAX_PLATFORMS"):
        advice = (
            f"JAX_PLATFORMS is {platforms!r}: unset it, or install the plug-in for that platform: "
            f"{' or '.join(found.install.values())}"
        )
    return problem(_WHAT, f"JAX does not start.{_quoted(found.said)}", advice)


def _unseen(found: Devices) -> Iterator[Finding]:
    """Accelerators that are there and that JAX does not use."""
    kinds = {
        "gpu": (len(found.gpus) or len(found.gpu_files), "GPU", "cuda"),
        "tpu": (found.tpu_chips, "TPU chip", "libtpu"),
    }
    for backend, (count, name, plugin) in kinds.items():
        if not count or found.backend == backend:
            continue
        there = f"{count} {name}{'s' if count > 1 else ''} {'are' if count > 1 else 'is'} here, and JAX uses {found.backend}"
        platforms = found.environment.get("JAX_PLATFORMS")
        if not any(plugin in one for one in found.plugins):
            yield warning(
                _WHAT,
                f"{there}: it has no plug-in for them.",
                found.install.get(backend, "Install it."),
            )
        elif platforms:
            yield warning(
                _WHAT, f"{there}, since JAX_PLATFORMS is {platforms!r}.", "Unset JAX_PLATFORMS."
            )
        else:
            yield warning(
                _WHAT,
                f"{there}, though its plug-in is installed.{_quoted(found.said)}",
                "Check that the driver fits the plug-in, and that CUDA_VISIBLE_DEVICES hides nothing.",
            )


def _gpu_findings(found: Devices) -> Iterator[Finding]:
    if found.smi_error:
        yield warning(
            "gpu memory",
            f"{', '.join(found.gpu_files)} is here, but nvidia-smi does not tell of it: {found.smi_error}",
            "Install or restart NVIDIA's driver.",
        )
    busy = [gpu for gpu in found.gpus if gpu.used_mib > _BUSY_SHARE * gpu.memory_mib]
    if busy:
        used = ", ".join(f"{one.name} {one.used_mib:,} of {one.memory_mib:,} MiB" for one in busy)
        yield warning(
            "gpu memory",
            f"Other processes use GPU memory: {used}.",
            "See nvidia-smi for which; end them or choose other GPUs with CUDA_VISIBLE_DEVICES.",
        )
    elif found.gpus:
        yield ok("gpu memory", f"free on all {len(found.gpus)}")


def _quoted(said: str) -> str:
    """The last line of what a program said, cut to a readable length."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return f" It says: {lines[-1][:300]}" if lines else ""


def _gpus() -> tuple[tuple[Gpu, ...], str]:
    """The GPUs that nvidia-smi lists, or why it lists none."""
    try:
        ended = run(_SMI, _SMI_TIMEOUT_S)
    except FileNotFoundError:
        return (), "it is not installed."
    if ended.status is None:
        return (), f"it has not answered after {_SMI_TIMEOUT_S} s."
    if ended.status:
        return (), " ".join((ended.out + ended.error).split()) or f"status {ended.status}."
    return parse_smi(ended.out), ""


def parse_smi(text: str) -> tuple[Gpu, ...]:
    """Example: "NVIDIA H200, 143771, 4" is one GPU of which 4 MiB are used; what it does not say ("[N/A]") counts as 0."""
    found = []
    for line in text.splitlines():
        name, total, used = (cell.strip() for cell in line.rsplit(",", 2))
        found.append(Gpu(name=name, memory_mib=_number(total), used_mib=_number(used)))
    return tuple(found)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


def _plugins() -> dict[str, str]:
    names = {one.name: one.version for one in importlib.metadata.distributions() if one.name}
    return {name: version for name, version in names.items() if _PLUGIN.match(name.lower())}


def run(
    command: Sequence[str], timeout_s: int, environment: Mapping[str, str] | None = None
) -> Ended:
    """Runs a program, and ends it with all that it started when its time is over, whether they end or not.

    A process that hangs in a driver does not even end when it is killed.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
            env=environment,
            start_new_session=True,
        )
        try:
            status: int | None = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_END_S)
        out.seek(0)
        error.seek(0)
        return Ended(status=status, out=out.read(), error=error.read())
