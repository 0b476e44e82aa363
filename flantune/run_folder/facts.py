"""What a run folder says about each start: config, versions, devices, command."""

from collections.abc import Sequence
import importlib.metadata
import json
import platform
import subprocess
import sys

from flantune.run_folder.names import CONFIG

_PACKAGES = (
    "flantune",
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "seqio",
    "tensorflow",
    "numpy",
    "sentencepiece",
)


def files(*, config_text: str, devices: Sequence[str]) -> dict[str, str]:
    """What is kept of each start, by file name: bindings, versions, devices, command."""
    versions = {
        "python": platform.python_version(),
        "packages": package_versions(),
        "git_commit": git_commit(),
        "devices": list(devices),
        "command": sys.argv,
    }
    return {CONFIG: config_text, "versions.json": json.dumps(versions, indent=2) + "\n"}


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide results; one that is not installed is left out."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def git_commit() -> str | None:
    """The commit of the working folder, with "-dirty" where files differ from it; None outside a git checkout."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
