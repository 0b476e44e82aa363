"""Checks every signature of flantune at run time, shapes of arrays among them, and finds the optional real data."""

from collections.abc import Callable
import importlib.metadata
import os
import pathlib
import signal

import hypothesis
import pytest

from . import pseudo_terminal, runtime_checks

# A shell starts background jobs with Ctrl-C ignored, and processes inherit that: tests of Ctrl-C need it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests compile more than they compute: less optimisation takes a third off, and another third where jaxlib can still make code
# for a CPU without fusion emitters (before 0.11). Set before anything imports JAX; processes that tests start inherit it.
_FLAGS = ["--xla_backend_optimization_level=0"]
if importlib.metadata.version("jaxlib").startswith("0.10."):
    _FLAGS.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(_FLAGS))
# A slow machine is no failure of a property.
hypothesis.settings.register_profile("flantune", deadline=None)
hypothesis.settings.load_profile("flantune")
runtime_checks.install()

_SHARED_DATA = pathlib.Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def write_step():
    """`step_results.write_step`, for tests in several folders."""
    from . import step_results  # loads flantune, whose signatures are checked from here on

    return step_results.write_step


@pytest.fixture(scope="session")
def compilation_cache(tmp_path_factory):
    """JAX keeps what it compiles, from now on; the value is the environment with which other processes share it."""
    import jax

    settings = {
        "jax_compilation_cache_dir": str(tmp_path_factory.mktemp("compilation_cache")),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    yield {name.upper(): str(value) for name, value in settings.items()}
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="session")
def real_data() -> pathlib.Path:
    """A folder of real datasets beside the checkout; it is not part of the project."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("no real data beside this checkout")
    return _SHARED_DATA


@pytest.fixture
def on_terminal() -> Callable[..., tuple[int, str]]:
    """`pseudo_terminal.python`: runs a program where it sees a terminal, and returns what a person saw."""
    return pseudo_terminal.python
