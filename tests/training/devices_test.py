"""Devices that are not there, in processes of their own: JAX keeps what it started."""

import os
import pathlib
import subprocess
import sys

import pytest

from flantune.training import devices

ROOT = pathlib.Path(devices.__file__).parents[2]


def started(platforms, *arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": platforms},
        capture_output=True,
        text=True,
        **options,
    )


CODE = """
import jax
from flantune.training import devices
for platforms in ("cpuu", "tpu,nothing", "rocm", "cpuu"):
    jax.config.update("jax_platforms", platforms)
    try:
        devices.check()
    except ValueError as error:
        print(error)
jax.config.update("jax_platforms", "cpu")
devices.check()
print(jax.default_backend())
"""


def test_what_was_asked_what_there_is_and_what_to_do_are_told_each_time():
    done = started("", "-c", CODE)
    typo, tpu, rocm, again, backend = done.stdout.splitlines()
    assert typo.startswith("JAX_PLATFORMS asks for 'cpuu', which JAX cannot start here (")
    assert "'cpuu' is not in the list of known backends" in typo
    assert "Did you mean 'cpu'? This machine has 1 cpu device(s). Unset JAX_PLATFORMS" in typo
    assert tpu.startswith("JAX_PLATFORMS asks for 'tpu,nothing'")
    assert "Did you mean" not in rocm
    assert again == typo  # the CPU that it found is not taken in silence
    assert backend == "cpu"


@pytest.mark.parametrize(
    "command",
    [
        "train run.gin --run_dir new",
        "eval --checkpoint old",
        "infer --checkpoint old",
        "convert old new --to hf",
    ],
)
def test_every_command_that_needs_devices_says_so_before_any_work(tmp_path, command):
    (tmp_path / "old").mkdir()
    run = (ROOT / "gin" / "runs" / "tiny.gin").read_text()
    run += 'configs.DataConfig.mixture = "a:b"\nconfigs.DataConfig.modules = ()\n'
    (tmp_path / "run.gin").write_text(run)
    (tmp_path / "old" / "config.gin").write_text(run)
    done = started("cudaa", "-m", "flantune", *command.split(), cwd=tmp_path, input="a\n")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("flantune: JAX_PLATFORMS asks for 'cudaa', which JAX cannot")
    assert "Did you mean 'cuda'?" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()
