"""The benchmark for GPUs runs from beginning to end, here on a CPU and without what its machine may lack."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Python runs it at the start of every process whose PYTHONPATH has its folder.
BLOCKER = """
import sys
for name in (
    "tensorflow", "tensorflow_datasets", "tensorflow_text", "seqio", "gin", "grain", "rouge_score", "editdistance"
):
    sys.modules[name] = None
"""

pytestmark = pytest.mark.slow


def run(folder, *flags):
    """Lines of the benchmark's JSON file; in its processes the packages above cannot be imported."""
    (folder / "sitecustomize.py").write_text(BLOCKER)
    environment = os.environ | {
        "PYTHONPATH": f"{folder}:{ROOT}",
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": "1",  # several threads of torch wait for each other where others work too
    }
    command = [sys.executable, "-m", "tests.benchmarks.gpu_against_transformers", "--sizes", "tiny"]
    command += ["--lengths", "64/16", "--steps", "2", "--json", folder / "found.json", *flags]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "found.json").read_text())


def test_packages_that_are_blocked_cannot_be_imported(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    done = subprocess.run(
        [sys.executable, "-c", "import seqio"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "ModuleNotFoundError" in done.stderr


def test_our_side_runs_without_tensorflow_seqio_gin_and_grain(tmp_path):
    (line,) = run(tmp_path, "--sides", "flantune", "--store", tmp_path / "store")
    assert (line["side"], line["packed"], line["rows"], line["failure"]) == (
        "flantune",
        True,
        32,
        None,
    )
    assert len(line["samples"]) == 2
    for sample in line["samples"]:
        assert sample["shape"] == [32, 64, 16]
        # Packed rows are mostly full, and never more than that.
        assert 0.5 * 32 * 80 < sample["tokens"] <= 32 * 80
        assert 0 < sample["loss"] < 20
    assert (tmp_path / "store" / "words.model").exists()


@pytest.mark.hf
def test_the_other_sides_take_padded_and_packed_rows(tmp_path):
    pytest.importorskip("transformers", reason="only with the hf extra")
    padded, packed = run(tmp_path, "--sides", "eager")
    assert [padded["packed"], packed["packed"]] == [False, True]
    assert padded["parameters"] == packed["parameters"] > 1_000_000
    assert padded["samples"][0]["shape"] < [32, 64, 16]  # cut to the longest row
    assert packed["samples"][0]["shape"] == [32, 64, 16]
    assert packed["samples"][0]["tokens"] > padded["samples"][0]["tokens"]
