"""Every way to lay eight devices out, and one device, give the same training run."""

import json

import numpy as np
import pytest

FACTORISATIONS = [
    {"data": data, "fsdp": fsdp, "tensor": 8 // data // fsdp}
    for data in (8, 4, 2, 1)
    for fsdp in (8, 4, 2, 1)
    if data * fsdp <= 8
]
SLICES = [
    {"slice": 2, "data": 4, "fsdp": 1, "tensor": 1},
    {"slice": 2, "data": 1, "fsdp": 4, "tensor": 1},
    {"slice": 2, "data": 1, "fsdp": 1, "tensor": 4},
    {"slice": 2, "data": 2, "fsdp": 2, "tensor": 1},
    {"slice": 2, "data": 2, "fsdp": 1, "tensor": 2},
    {"slice": 2, "data": 1, "fsdp": 2, "tensor": 2},
    {"slice": 4, "data": 1, "fsdp": 2, "tensor": 1},
]
SPLIT_SEQUENCE = {"axis_rules": (("sequence", "tensor"),)}
SPLIT_SEQUENCES = [mesh | SPLIT_SEQUENCE for mesh in FACTORISATIONS + SLICES if mesh["tensor"] > 1]


@pytest.fixture
def train(run_python):
    """Trains on each mesh and checks losses and parameters; what is left to check of each run comes back."""

    def train(meshes, **arguments):
        script = f"from training import every_mesh; every_mesh.main(meshes={meshes}, **{arguments})"
        done = run_python(script, timeout_s=600, devices=8)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
        for mesh, run in zip(meshes, found["runs"], strict=True):
            np.testing.assert_allclose(run["losses"], found["losses"], rtol=1e-5, err_msg=str(mesh))
            differences = run["differences"]
            assert max(differences.values()) < 1e-5, (mesh, differences)
            assert run["moved"] > 2e-4  # there was something to get wrong
        return found["runs"]

    return train


# What two encoder layers keep of a quarter of 16 rows: 24 places of 16 numbers; and half of the places.
WHOLE_ROWS, HALF_ROWS = "f32[2,4,24,16]", "f32[2,4,12,16]"


@pytest.mark.slow
def test_slices_with_a_split_sequence_train_as_one_device_and_keep_shares_of_rows(train):
    mesh = {"slice": 2, "data": 1, "fsdp": 2, "tensor": 2} | SPLIT_SEQUENCE
    (split,) = train([mesh], optimizer="adafactor")
    assert WHOLE_ROWS not in split["arrays"]
    assert HALF_ROWS in split["arrays"]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adafactor", "adamw"])
def test_every_factorisation_trains_as_one_device(train, optimizer):
    assert len(FACTORISATIONS) == 10
    runs = train(FACTORISATIONS, optimizer=optimizer)
    whole = runs[FACTORISATIONS.index({"data": 2, "fsdp": 2, "tensor": 2})]
    assert WHOLE_ROWS in whole["arrays"]  # as no rule splits the sequence
    assert HALF_ROWS not in whole["arrays"]


@pytest.mark.slow
def test_slices_train_as_one_device(train):
    train(SLICES, optimizer="adafactor")


@pytest.mark.slow
def test_split_sequences_train_as_one_device(train):
    train(SPLIT_SEQUENCES, optimizer="adafactor")


@pytest.mark.slow
def test_microbatches_on_three_axes_train_as_one_device(train):
    train([{"data": 2, "fsdp": 2, "tensor": 2}], optimizer="adafactor", microbatches=2)
