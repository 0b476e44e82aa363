"""Checks every signature of flantune at run time, shapes of arrays among them, and finds the optional real data."""

from collections.abc import Callable
import gc
import importlib.metadata
import os
import pathlib
import shutil
import signal
import tempfile

import hypothesis
import pytest

from . import pseudo_terminal, runtime_checks

# A shell starts background jobs with Ctrl-C ignored, and processes inherit that: tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests compile more than they compute: less optimisation takes a third off, one thread an eighth, and another third where jaxlib
# can still make code for a CPU without fusion emitters (before 0.11). Set before anything imports JAX; processes that tests
# start inherit it, the workers of pytest-xdist among them.
_FLAGS = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if importlib.metadata.version("jaxlib").startswith("0.10."):
    _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(_FLAGS))
# What one test compiles, no other needs to: a folder for this run of the tests, and all its processes.
_OWN_CACHE = None
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _OWN_CACHE = tempfile.mkdtemp(prefix="flantune-tests-compiled-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _OWN_CACHE
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# As in every command: read once in a process, by the first path in a bucket.
os.environ.setdefault("EPATH_USE_TF", "0")
# A slow machine is no failure of a property.
hypothesis.settings.register_profile("flantune", deadline=None)
hypothesis.settings.load_profile("flantune")
runtime_checks.install()


def pytest_collection_finish() -> None:
    """Garbage is collected less often, and not among what stays: an eighth of the time where much is traced."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def pytest_unconfigure() -> None:
    """The run is over, and its cache goes; workers leave the one that they were given."""
    if _OWN_CACHE is not None:
        shutil.rmtree(_OWN_CACHE, ignore_errors=True)


_SHARED_DATA = pathlib.Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def write_step():
    """`step_results.write_step`, for tests in several folders."""
    from . import step_results  # loads flantune, whose signatures are checked from here on

    return step_results.write_step


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """A folder of real datasets beside the checkout; it is not part of the project."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("no real data beside this checkout")
    return _SHARED_DATA


@pytest.fixture
def memory_bucket(monkeypatch):
    """`memory_bucket.Bucket`, empty: what gs:// paths name while the test runs."""
    from . import memory_bucket

    return memory_bucket.install(monkeypatch)


@pytest.fixture
def on_terminal() -> Callable[..., tuple[int, str]]:
    """`pseudo_terminal.python`: runs a program where it sees a terminal, and returns what a person saw."""
    return pseudo_terminal.python
