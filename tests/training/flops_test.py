import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import pytest

from flantune import configs
from flantune.jobs import gin_files
from flantune.models import t5
from flantune.params import trees as param_trees
from flantune.training import flops

ROOT = pathlib.Path(__file__).resolve().parents[2]


def published(size):
    gin_files.parse([str(ROOT / f"gin/models/t5_1_1_{size}.gin")], [])
    return gin_files.build(configs.ModelConfig)


def tiny(**fields):
    dimensions = {
        "vocab_size": 7,
        "emb_dim": 2,
        "num_heads": 3,
        "head_dim": 5,
        "mlp_dim": 11,
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
    }
    return configs.ModelConfig(**(dimensions | fields))


LENGTHS = {"rows": 2, "inputs_length": 64, "targets_length": 32}
ADAPTERS = configs.LoraConfig(rank=4, alpha=8.0, targets=("query", "value"))
BATCH = {
    name: jax.ShapeDtypeStruct((2, length), jnp.int32)
    for name, length in {
        "encoder_input_tokens": 64,
        "decoder_input_tokens": 32,
        "decoder_target_tokens": 32,
    }.items()
}


def unrolled(**fields):
    """Large enough that products are nearly all it computes, without a loop that the compiler counts once."""
    dimensions = {"vocab_size": 512, "emb_dim": 128, "num_heads": 4, "head_dim": 64, "mlp_dim": 512}
    return tiny(**dimensions, dtype="float32", scan_layers=False, **fields)


def network_and_shapes(model):
    network = t5.EncoderDecoder(model)
    params = jax.eval_shape(network.init, jax.random.key(0))
    return network, params, flops.shapes_by_name(params)


@pytest.mark.parametrize(
    ("size", "short", "long", "tera_per_row"),
    [
        # GFLOP per place of a row at 512 + 128 and 2048 + 512 tokens, and TFLOP of a row of the latter.
        ("small", 0.17, 0.23, 0.59),
        ("base", 0.68, 0.86, 2.21),
        ("large", 2.35, 2.83, 7.23),
        ("xl", 8.55, 9.50, 24.3),
        ("xxl", 33.4, 35.3, 90.4),
    ],
)
def test_published_sizes_take_what_a_count_by_another_program_gave(size, short, long, tera_per_row):
    model = published(size)

    def count(inputs_length, targets_length):
        return flops.train_flops(
            model, rows=1, inputs_length=inputs_length, targets_length=targets_length
        )

    assert count(512, 128) / 640 / 1e9 == pytest.approx(short, abs=0.05 if short > 10 else 0.005)
    assert count(2048, 512) / 2560 / 1e9 == pytest.approx(long, abs=0.05 if long > 10 else 0.005)
    assert count(2048, 512) / 1e12 == pytest.approx(
        tera_per_row, abs=0.05 if tera_per_row > 10 else 0.005
    )


def test_each_part_by_hand():
    # 4 encoder and 3 decoder tokens; 3 heads of 5 make 15; the MLP is gated.
    forward = flops.forward_flops(tiny(), inputs_length=4, targets_length=3)
    encoder = 2 * 4 * (4 * 2 * 15 + 3 * 2 * 11)
    decoder = 2 * 3 * (4 * 2 * 15 + 2 * 2 * 15 + 3 * 2 * 11) + 2 * 4 * (2 * 2 * 15)
    assert forward.projections == encoder + decoder
    assert forward.attention == 4 * 15 * (4 * 4 + 3 * 3 + 3 * 4)
    assert forward.logits == 2 * 3 * 2 * 7
    assert forward.total == forward.layers + forward.logits


def test_the_forward_pass_has_as_many_as_the_compiler_counts_without_loops():
    """The CPU compiler's count of an unrolled model, whose softmax and norms are a few per cent on top."""
    model = unrolled(num_encoder_layers=2, num_decoder_layers=3)
    network, params, _ = network_and_shapes(model)
    counted = jax.jit(network.apply).lower(params, BATCH).cost_analysis()["flops"]
    expected = 2 * flops.forward_flops(model, inputs_length=64, targets_length=32).total
    assert expected < counted < 1.06 * expected


def test_a_plain_mlp_has_one_input_projection_less():
    gated, plain = (
        flops.forward_flops(tiny(mlp_activations=names), inputs_length=4, targets_length=3)
        for names in (("gelu", "linear"), ("relu",))
    )
    assert gated.projections - plain.projections == 2 * (4 + 3) * 2 * 11


@pytest.mark.parametrize("remat", ["none", "dots", "full"])
@pytest.mark.parametrize("scan_layers", [True, False])
@pytest.mark.parametrize("activations", [("gelu", "linear"), ("relu",)])
@pytest.mark.parametrize("tied", [True, False])
def test_a_step_of_all_parameters_is_that_of_the_dimensions(remat, scan_layers, activations, tied):
    model = tiny(
        remat=remat,
        scan_layers=scan_layers,
        mlp_activations=activations,
        logits_via_embedding=tied,
        num_encoder_layers=3,
    )
    _, _, shapes = network_and_shapes(model)
    step = flops.step_flops(model, shapes, shapes, **LENGTHS)
    assert step.model == flops.train_flops(model, **LENGTHS)
    lengths = {name: size for name, size in LENGTHS.items() if name != "rows"}
    assert step.repeated == 2 * flops.repeated_flops(model, **lengths)


def test_adapters_save_the_gradients_of_kernels():
    model = tiny(lora=dataclasses.replace(ADAPTERS, targets=("encoder/*/query",)))
    _, _, shapes = network_and_shapes(model)
    adapters = [name for name in shapes if "lora" in name]
    step = flops.step_flops(model, shapes, adapters, rows=1, inputs_length=4, targets_length=3)
    forward = flops.forward_flops(model, inputs_length=4, targets_length=3)
    adapter = 2 * 4 * (2 * 4 + 4 * 15)  # 4 tokens through 2 x 4 and 4 x 15
    assert step.model == (
        2 * (forward.projections + forward.logits) + 3 * forward.attention + 3 * adapter
    )


def test_a_frozen_encoder_has_no_backward_pass():
    model = tiny(remat="full")
    _, _, shapes = network_and_shapes(model)
    decoder = [name for name in shapes if name.startswith("decoder/")]
    step = flops.step_flops(model, shapes, decoder, rows=1, inputs_length=4, targets_length=3)
    encoder = 2 * 4 * (4 * 2 * 15 + 3 * 2 * 11) + 4 * 15 * 4 * 4
    of_its_output = 2 * 4 * (2 * 2 * 15)
    whole = flops.train_flops(model, rows=1, inputs_length=4, targets_length=3)
    assert step.model == whole - 2 * encoder - of_its_output
    layers = flops.repeated_flops(model, inputs_length=4, targets_length=3)
    assert step.repeated == layers - encoder


@pytest.mark.parametrize("chosen", ["lora", "decoder/"])
def test_the_gradient_has_as_many_as_the_compiler_counts_without_loops(chosen):
    model = unrolled(num_encoder_layers=6, num_decoder_layers=6, lora=ADAPTERS)
    network, params, shapes = network_and_shapes(model)
    trained = {name for name in shapes if chosen in name}
    frozen = param_trees.part(params, shapes.keys() - trained)

    def loss(some, frozen, batch):
        return (network.apply(param_trees.joined(frozen, some), batch) ** 2).sum()

    gradient = jax.jit(jax.grad(loss))
    some = param_trees.part(params, trained)
    counted = gradient.lower(some, frozen, BATCH).compile().cost_analysis()["flops"]
    expected = flops.step_flops(model, shapes, trained, **LENGTHS).model
    # Before the first adapters there is nothing to pass a gradient to, which is counted; softmax and norms are not.
    assert 0.97 * expected < counted < 1.06 * expected


def test_rows_multiply():
    one, five = (
        flops.train_flops(tiny(), rows=rows, inputs_length=4, targets_length=3) for rows in (1, 5)
    )
    assert five == 5 * one
    assert flops.slot_tokens(rows=5, inputs_length=4, targets_length=3) == 35
