"""`flantune compile`: without a compiler in the default suite, with libtpu's where it is installed."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

from flantune import cli

ROOT = pathlib.Path(__file__).resolve().parents[2]
XL = "gin/runs/flan_t5_xl.gin"

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed: make tpu"
)


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def run_as_json(capsys, *arguments):
    status = cli.main(["compile", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_gpus_get_an_estimate_that_says_so(capsys):
    assert cli.main(["compile", XL, "--topology", "h100:8"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "2,849,757,184" in text  # parameters of T5 1.1 XL
    assert "not compiled: XLA's GPU compiler is not to be had without a GPU" in text
    assert "Fits: each device needs" in text
    assert "collectives of a step" not in text


def test_too_small_a_machine_is_exit_status_1_with_arrays_and_levers(capsys):
    status, value = run_as_json(capsys, XL, "--topology", "h100:1")
    assert status == 1
    assert value["fits"] is False
    # One encoder layer's attention weights of all 64 rows, computed again: float32 of 32 heads, 2,048 x 2,048.
    largest = value["largest"][0]
    assert largest["array"] == "float32[64,32,2048,2048]"
    assert largest["bytes_per_device"] == 64 * 32 * 2048 * 2048 * 4
    assert largest["repeated"] is True
    assert any("DataConfig.batch_size" in lever for lever in value["levers"])


def test_bindings_count(capsys):
    status, value = run_as_json(
        capsys,
        XL,
        "--topology=h200:8",
        "--gin.DataConfig.batch_size=32",
        "--gin.MeshConfig.tensor=2",
        "--gin.OptimizerConfig.microbatches=8",
    )
    assert status == 0
    assert value["model_flops"] == pytest.approx(32 * 24.3e12, rel=0.002)
    assert value["mesh"] == {"slice": 1, "data": 1, "fsdp": 4, "tensor": 2}
    # 32 rows in 8 parts.
    assert value["largest"][0]["array"] == "float32[4,32,2048,2048]"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--topology", "v5litepod-256"], "has the topology 'v5e:16x16'"),
        (["--topology", "h100:8", "--gin.MeshConfig.tensor=3"], "3 does not divide 8"),
        (["--topology", "h100:3"], "Make DataConfig.batch_size a multiple of 3"),
        (["--topology", "h100:8", "--num_slices", "0"], "num_slices must be a whole number"),
    ],
)
def test_wrong_input_is_exit_status_2(capsys, arguments, expected):
    assert cli.main(["compile", XL, *arguments]) == 2
    assert expected in capsys.readouterr().err


@needs_libtpu
@pytest.mark.slow  # so that .ci/run, which installs libtpu last, runs it
def test_a_mesh_must_have_the_slices_that_there_are(capsys):
    arguments = ["compile", XL, "--topology", "v5e:4x4", "--num_slices", "2"]
    assert cli.main(arguments) == 2
    assert "MeshConfig.slice is 1, but the devices are those of 2" in capsys.readouterr().err
    assert cli.main([*arguments, "--gin.MeshConfig.slice=2", "--gin.MeshConfig.tensor=5"]) == 2
    assert "slice=2 x data=1 x tensor=5 = 10 does not divide 32" in capsys.readouterr().err


def compile_for_tpu(size, *arguments):
    """In a process of its own, without the flags that the tests set for the CPU's compiler."""
    run = f"gin/runs/flan_t5_{size}.gin"
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-m", "flantune", "compile", run, "--json", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


@needs_libtpu
@pytest.mark.slow
def test_base_fits_on_four_v5e_chips_and_not_without_rematerialisation():
    found = compile_for_tpu("base", "--topology", "v5e:2x2")
    assert found["compiled"]
    assert found["fits"]
    sent = {one["kind"]: one["bytes_sent"] for one in found["traffic"]["collectives"]}
    # Each device gathers three quarters of the layers in bfloat16, forward, backward and once more. The compiler turns
    # many of these gathers into permutations around the ring, which overlap with the products.
    assert sent["all-gather"] + sent["collective-permute"] > 3 * found["num_params"]
    assert found["traffic"]["loops_counted_once"] == 0
    refused = compile_for_tpu("base", "--topology", "v5e:2x2", "--gin.ModelConfig.remat=none")
    assert not refused["fits"]
    assert "float32[12,64,12,2048,2048]" in [one["array"] for one in refused["largest"]]
    assert "ModelConfig.remat" in refused["levers"][0]


@needs_libtpu
@pytest.mark.slow
def test_xxl_fits_on_a_pod_of_v5e():
    found = compile_for_tpu("xxl", "--topology", "v5e:16x16", "--gin.MeshConfig.tensor=4")
    assert found["fits"]
    assert found["topology"]["num_devices"] == 256
    assert found["num_params"] == 11_135_332_352
    assert found["model_flops"] / 64 == pytest.approx(90.4e12, rel=1e-3)
    assert found["memory"]["total"] < 6 * 2**30


@needs_libtpu
@pytest.mark.slow
def test_two_slices_exchange_gradients_alone():
    found = compile_for_tpu(
        "small",
        "--topology=v5e:2x2",
        "--num_slices=2",
        "--gin.MeshConfig.slice=2",
        "--gin.DataConfig.inputs_length=256",
        "--gin.DataConfig.targets_length=128",
    )
    assert found["mesh"] == {"slice": 2, "data": 1, "fsdp": 4, "tensor": 1}
    assert found["fits"]
    sent = {one["kind"]: one["network_bytes_sent"] for one in found["traffic"]["collectives"]}
    assert sent["all-reduce"] > 0.8 * sum(sent.values())
    # Each device exchanges its quarter of the gradients, some in bfloat16 and some in float32; not the rest of the batch.
    share = found["num_params"] / 4
    assert 2 * share < sum(sent.values()) < 4.5 * share
    assert found["roofline"]["network_s"] > found["roofline"]["links_s"]
