"""`import flantune`: what it offers, and that it costs nothing."""

import inspect
import subprocess
import sys

import pytest

import flantune

NAMES = ["batches", "ledger", "load", "render", "train"]


def test_importing_flantune_imports_nothing_else():
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import flantune\n"
        "dir(flantune), flantune.__version__\n"
        "heavy = {'jax', 'jaxlib', 'numpy', 'tensorflow', 'seqio', 'gin', 'etils'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "ours = {name for name in sys.modules if name.startswith('flantune')}\n"
        "assert ours == {'flantune'}, ours\n"
        "assert callable(flantune.batches)\n"
        "assert 'tensorflow' not in sys.modules and 'seqio' not in sys.modules\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge._backends, 'a device was touched'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_name_is_a_documented_function():
    assert sorted(flantune.__all__) == NAMES
    assert set(NAMES) <= set(dir(flantune))
    for name in NAMES:
        function = getattr(flantune, name)
        assert inspect.isfunction(function)
        assert function.__name__ == name
        assert "Raises:" in function.__doc__


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="module 'flantune' has no attribute 'predict'"):
        _ = flantune.predict
    assert not hasattr(flantune, "gin_files")
