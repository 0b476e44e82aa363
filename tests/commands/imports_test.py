"""Commands import what they need: help is there at once, and what needs no device waits for none."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("words", "needless"),
    [
        (["--help"], {"etils", "gin", "jax", "numpy", "seqio", "tensorflow"}),
        (["recipes"], {"jax", "seqio", "tensorflow"}),
        (["show", "quickstart:sort_numbers", "-n", "1"], {"jax", "seqio", "tensorflow"}),
    ],
)
def test_a_command_imports_no_more_than_it_needs(words, needless):
    script = (
        "import sys\n"
        "from flantune import cli\n"
        "try:\n"
        f"    status = cli.main({words!r})\n"
        "except SystemExit as error:\n"
        "    status = error.code\n"
        f"sys.exit(status or sorted({needless!r} & set(sys.modules)) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
