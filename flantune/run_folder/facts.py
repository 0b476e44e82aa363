"""What a run folder says about each start: config, versions, devices, command."""

import ast
from collections.abc import Sequence
import difflib
import importlib.metadata
import json
import platform
import re
import subprocess
import sys

from absl import logging
from etils import epath

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


def log_changed_bindings(run_dir: epath.Path, config_text: str) -> None:
    """Logs what a config has otherwise than the folder's own."""
    config = run_dir / CONFIG
    if config.exists() and config.read_text() != config_text:
        changed = difflib.unified_diff(
            config.read_text().split("\n"), config_text.split("\n"), "before", "now", "", "", 0, ""
        )
        logging.warning("This run continues with other bindings:\n%s", "\n".join(changed))


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


def bound_text(run_dir: epath.Path, name: str) -> str | None:
    """The text that a folder's config binds to a name, such as "DataConfig.vocabulary"; None where it binds none.

    For whoever must not parse gin, which would forget the bindings of the program's own run.
    """
    config = run_dir / CONFIG
    if not config.exists():
        return None
    pattern = rf"""^[\w/.]*\b{re.escape(name)}\s*=\s*(?:\\\s*)?(?P<text>'[^'\n]*'|"[^"\n]*")\s*$"""
    match = re.search(pattern, config.read_text(), re.MULTILINE)
    return None if match is None else str(ast.literal_eval(match["text"]))


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
