import dataclasses
import json

import jax
import jax.numpy as jnp
import pytest

from flantune import configs
from flantune.models import t5
from flantune.params import trees as param_trees
from flantune.training import ahead_of_time, chips, flops, optimizers, partial, proof

ROWS, INPUTS, TARGETS = 8, 16, 8
MODEL = configs.ModelConfig(
    vocab_size=32,
    emb_dim=16,
    num_heads=2,
    head_dim=8,
    mlp_dim=32,
    num_encoder_layers=2,
    num_decoder_layers=2,
)
FSDP = configs.MeshConfig(data=1, fsdp=-1)
ONE_CPU = ahead_of_time.Topology(
    name="v5e:1x1", chip=chips.CHIPS["v5e"], num_devices=1, devices=(jax.devices("cpu")[0],)
)
EIGHT_GPUS = ahead_of_time.Topology(name="h100:8", chip=chips.CHIPS["h100"], num_devices=8)


def prove(topology, *, mesh=FSDP, rows=ROWS, chunks=1, optimization="O1", trained=None, **fields):
    config = dataclasses.replace(MODEL, **fields)

    def model(config):
        network = t5.EncoderDecoder(config)
        names = {name for name, _ in param_trees.leaves(network.logical_axes())}
        if trained is None:
            return network
        chosen = frozenset(name for name in names if trained in name)
        return partial.PartialModel(network, chosen)

    optimizer_config = configs.OptimizerConfig(
        name="adafactor", learning_rate=1.0, vocabulary_chunks=chunks
    )
    shapes = {
        "encoder_input_tokens": INPUTS,
        "encoder_segment_ids": INPUTS,
        "decoder_input_tokens": TARGETS,
        "decoder_target_tokens": TARGETS,
        "decoder_segment_ids": TARGETS,
        "decoder_loss_weights": TARGETS,
    }
    job = proof.Job(
        model=model(config),
        plain_model=model(dataclasses.replace(config, remat="none")),
        model_config=config,
        optimizer=optimizers.make_optimizer(optimizer_config, 10, model(config).logical_axes()),
        optimizer_config=optimizer_config,
        mesh_config=mesh,
        batch={
            name: jax.ShapeDtypeStruct(
                (rows, length), jnp.float32 if "weights" in name else jnp.int32
            )
            for name, length in shapes.items()
        },
        num_steps=10,
    )
    return proof.prove(job, topology, optimization=optimization)


def with_memory(topology, gib):
    return dataclasses.replace(
        topology, chip=dataclasses.replace(topology.chip, hbm_bytes=int(gib * 2**30))
    )


@pytest.fixture(scope="module")
def compiled():
    return prove(ONE_CPU)


def test_a_compiled_step_has_the_compiler_s_memory_and_its_own_flops(compiled):
    assert compiled.fits
    assert compiled.way == "O1"
    assert compiled.memory.arguments > 4 * compiled.num_params
    assert compiled.memory.aliased > 4 * compiled.num_params  # the state is donated
    lengths = {"inputs_length": INPUTS, "targets_length": TARGETS}
    assert compiled.model_flops == flops.train_flops(MODEL, rows=ROWS, **lengths)
    assert compiled.repeated_flops == 0
    assert compiled.slot_tokens == ROWS * (INPUTS + TARGETS)
    assert compiled.roofline.memory_s == (
        compiled.memory.arguments + compiled.memory.outputs + 2 * compiled.memory.temporaries
    ) / (819e9)
    assert compiled.traffic.collectives == ()  # one device
    assert compiled.levers == ()


def test_figures_are_json(compiled):
    value = json.loads(json.dumps(compiled.as_json()))
    assert value["fits"] is True
    assert value["compiled"] is True
    assert value["memory"]["total"] == compiled.memory.total
    assert value["topology"]["chip"]["name"] == "v5e"
    tokens_per_s = value["slot_tokens"] / value["roofline"]["step_s"]
    assert value["roofline"]["tokens_per_s"] == pytest.approx(tokens_per_s)


def test_o1_must_leave_memory_to_spare(compiled):
    needs_gib = compiled.memory.total / 2**30
    found = dataclasses.replace(compiled, topology=with_memory(ONE_CPU, needs_gib / 0.86))
    assert not found.fits  # 86 % of the memory, where O1 may use 85 %
    assert dataclasses.replace(found, way="default").fits


def test_what_does_not_fit_names_its_largest_arrays_and_the_levers():
    found = prove(with_memory(EIGHT_GPUS, 1e-4), rows=8 * ROWS)
    assert not found.fits
    sizes = [array.bytes_per_device for array in found.largest]
    assert sizes == sorted(sizes, reverse=True)
    # Two layers' attention weights of 64 rows, two heads, 16 x 16.
    assert "float32[2,64,2,16,16]" in [array.array for array in found.largest]
    text = " ".join(found.levers)
    for lever in (
        "ModelConfig.remat",
        "DataConfig.batch_size",
        "MeshConfig.tensor",
        "larger slice",
    ):
        assert lever in text
    assert "MeshConfig.fsdp" not in text  # the data axis has one device


def test_a_lever_that_is_pulled_is_not_named_again():
    found = prove(with_memory(EIGHT_GPUS, 1e-4), remat="full", chunks=2)
    text = " ".join(found.levers)
    for lever in ("ModelConfig.remat", "vocabulary_chunks", "microbatches", "batch_size"):
        assert lever not in text
    assert any(array.repeated for array in found.largest)


def test_an_estimate_says_so_and_adds_up_by_hand():
    found = prove(EIGHT_GPUS, remat="full")
    assert found.way == "estimate"
    assert found.traffic is None
    assert found.roofline.links_s is None
    assert found.as_json()["compiled"] is False
    assert found.usable_bytes == int(0.75 * 80e9)
    # Each device has an eighth of each parameter but norm scales and biases, and one row.
    everywhere = prove(dataclasses.replace(EIGHT_GPUS, num_devices=1), remat="full")
    batch_bytes = 4 * ROWS * (2 * INPUTS + 4 * TARGETS)
    state_bytes = everywhere.memory.arguments - batch_bytes
    assert state_bytes > 4 * found.num_params
    ours = found.memory.arguments - batch_bytes // 8
    assert state_bytes // 8 < ours < state_bytes // 8 + 6000
    assert found.memory.temporaries < everywhere.memory.temporaries / 7


def test_a_mesh_must_divide_the_devices_and_the_rows_the_mesh():
    with pytest.raises(ValueError, match="tensor=3 = 3 does not divide 8"):
        prove(EIGHT_GPUS, mesh=configs.MeshConfig(data=1, fsdp=-1, tensor=3))
    with pytest.raises(ValueError, match="batch_size a multiple of 8"):
        prove(EIGHT_GPUS, rows=12)


def test_an_unknown_level_of_optimization_is_refused():
    with pytest.raises(ValueError, match="O1, default, not 'O7'"):
        prove(ONE_CPU, optimization="O7")


@pytest.mark.parametrize(
    "topology",
    [pytest.param(ONE_CPU, marks=pytest.mark.slow), EIGHT_GPUS],
    ids=["compiled", "estimated"],
)
def test_frozen_parameters_have_no_optimizer_state_and_no_gradient(topology):
    whole, adapters = (
        prove(topology, trained=trained, lora=configs.LoraConfig(rank=2, alpha=4.0), emb_dim=512)
        for trained in (None, "lora")
    )
    assert adapters.num_params == whole.num_params == whole.num_trained
    assert 0 < adapters.num_trained < 0.05 * whole.num_params
    assert adapters.model_flops < 0.75 * whole.model_flops
    # Arguments without the optimizer's part, and no outputs but the adapters and their state.
    devices = topology.num_devices
    assert 0.9 * 4 * whole.num_params / devices < adapters.memory.arguments < whole.memory.arguments
    assert adapters.memory.outputs < 0.1 * whole.memory.outputs
    assert adapters.memory.total < whole.memory.total
