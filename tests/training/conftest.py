"""What the tests of this folder share: the processes that they start."""

import fcntl
import json
import os
import pathlib
import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def run_python():
    """Runs a script where `from training import linear_model` works and TensorFlow and SeqIO do not."""

    def run(script, timeout_s=120, devices=1, **environment):
        tests = pathlib.Path(__file__).parents[1]
        flags = os.environ["XLA_FLAGS"]
        if (
            devices > 1
        ):  # it rounds otherwise, which Adam's first steps make more of than the tests allow
            flags = flags.replace("--xla_cpu_parallel_codegen_split_count=1", "")
        refuse = "import sys; sys.modules['tensorflow'] = sys.modules['seqio'] = None\n"
        return subprocess.run(
            [sys.executable, "-c", refuse + script],
            cwd=tests,
            env=os.environ
            | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(tests.parent)}  # this checkout's package
            | {"XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}"}
            | environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def eight(run_python, tmp_path_factory):
    """Results of eight_devices.py, which runs once, whichever test process comes first."""
    folder = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent  # all processes of this run have it
    results = folder / "eight_devices.json"
    with (folder / "eight_devices.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not results.exists():
            script = "from training import eight_devices; eight_devices.main()"
            done = run_python(script, devices=8)
            assert done.returncode == 0, done.stderr
            results.write_text(done.stdout.splitlines()[-1])
    return json.loads(results.read_text())
