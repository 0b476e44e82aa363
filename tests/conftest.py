"""Checks every signature of flantune at run time, shapes of arrays among them, and finds the optional real data."""

import os
import pathlib
import signal

import hypothesis
import pytest

from . import runtime_checks

# A shell starts background jobs with Ctrl-C ignored, and processes inherit that: tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests compile more than they compute: less optimisation takes a third off. Set before anything imports JAX.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# A slow machine is no failure of a property.
hypothesis.settings.register_profile("flantune", deadline=None)
hypothesis.settings.load_profile("flantune")
runtime_checks.install()

_SHARED_DATA = pathlib.Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """A folder of real datasets beside the checkout; it is not part of the project."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("no real data beside this checkout")
    return _SHARED_DATA
