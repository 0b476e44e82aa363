"""What a run folder says about its run from the start: config, versions, devices, mixture."""

from collections.abc import Mapping, Sequence
import difflib
import importlib.metadata
import json
import platform
import subprocess
import sys

from absl import logging
from etils import epath

from flantune.host import atomic
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


def write_start(
    run_dir: epath.Path,
    *,
    config_text: str,
    devices: Sequence[str],
    mixture: Sequence[Mapping[str, object]],
) -> None:
    """Writes what is known before the first step; a config that differs from the folder's own is logged."""
    run_dir.mkdir(parents=True, exist_ok=True)
    config = run_dir / CONFIG
    if config.exists() and config.read_text() != config_text:
        changed = difflib.unified_diff(
            config.read_text().split("\n"), config_text.split("\n"), "before", "now", "", "", 0, ""
        )
        logging.warning("This run continues with other bindings:\n%s", "\n".join(changed))
    atomic.write_text(config, config_text)
    versions = {
        "python": platform.python_version(),
        "packages": package_versions(),
        "git_commit": git_commit(),
        "devices": list(devices),
        "command": sys.argv,
    }
    atomic.write_text(run_dir / "versions.json", json.dumps(versions, indent=2) + "\n")
    atomic.write_text(run_dir / "mixture.json", json.dumps(list(mixture), indent=1) + "\n")


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
