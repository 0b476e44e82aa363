"""Training goes on from t5x's optimizer state as t5x itself goes on, and the state survives both ways."""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
import optax
import pytest

from flantune.configs import MeshConfig, ModelConfig, OptimizerConfig
from flantune.interop import adafactor_state, param_source, t5x_checkpoint
from flantune.interop.tree_source import TreeSource
from flantune.models import t5
from flantune.training import optimizers, sharding, state as state_lib, step as step_lib

DATA = pathlib.Path(__file__).parents[3] / "shared" / "data" / "t5x_checkpoint"
needs_data = pytest.mark.skipif(not DATA.exists(), reason=f"no t5x checkpoint at {DATA}")

PLACES = {  # of after_one_step.npz
    "embedding": "token_embedder/embedding",
    "query": "encoder/layers_0/attention/query/kernel",
    "scale": "decoder/decoder_norm/scale",
    "logits_dense": "decoder/logits_dense/kernel",
}


@functools.cache
def _checkpoint():
    return t5x_checkpoint.open(DATA / "native")


def _parts(*, scan_layers, name="adafactor"):
    config = ModelConfig(
        vocab_size=384,
        emb_dim=32,
        num_heads=4,
        head_dim=12,
        mlp_dim=48,
        num_encoder_layers=3,
        num_decoder_layers=2,
        dropout_rate=0.0,
        dtype="float32",
        scan_layers=scan_layers,
    )
    model = t5.EncoderDecoder(config)
    optimizer_config = OptimizerConfig(name=name, learning_rate=1e-2)
    return {
        "model": model,
        "optimizer": optimizers.make_optimizer(optimizer_config, 9, model.logical_axes()),
        "optimizer_config": optimizer_config,
        "mesh": sharding.make_mesh(MeshConfig(), jax.devices()[:1]),
        "rules": sharding.DEFAULT_RULES,
    }


def _abstract(parts):
    return state_lib.abstract_state(*(parts[k] for k in ("model", "optimizer", "mesh", "rules")))


@needs_data
@pytest.mark.parametrize("scan_layers", [False, True])
def test_the_next_step_is_that_of_t5x(scan_layers):
    with np.load(DATA / "after_one_step.npz") as arrays:
        expected = dict(arrays)
    assert expected.pop("learning_rate") == 1e-2
    batch = {
        key.removeprefix("batch_"): expected.pop(key) for key in list(expected) if "batch_" in key
    }
    batch["decoder_loss_weights"] = batch["decoder_loss_weights"].astype(np.float32)
    parts = _parts(scan_layers=scan_layers)
    state = adafactor_state.load_train_state(_checkpoint(), _abstract(parts))
    assert state.step == 8
    train_step = step_lib.make_train_step(**parts, num_steps=9, seed=0)
    with jax.set_mesh(parts["mesh"]):
        state, _ = train_step(state, sharding.shard_batch(batch, parts["mesh"]))
    params = TreeSource("The state", state.params)
    for key, array in expected.items():
        assert_allclose(params.read(PLACES[key]), array, rtol=0, atol=1e-6, err_msg=key)
    counts = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim == 0]
    assert [int(count) for count in counts] == [9, 9]


# 130 x 140 is large enough for Adafactor to factor its statistics (128), 6 x 5 is not.
LAYER = {"wi": {"kernel": (130, 140)}, "small": {"kernel": (6, 5)}, "norm": {"scale": (7,)}}


@functools.cache
def _statistics(stacked):
    """Statistics of two layers after one update with numbers of their own."""
    is_shape = functools.partial(lambda kind, node: isinstance(node, kind), tuple)
    layers = 2 if stacked else 1
    rng = np.random.default_rng(0)

    def draw():
        return jax.tree.map(
            lambda shape: jnp.asarray(
                rng.normal(size=(layers, *shape) if stacked else shape), jnp.float32
            ),
            LAYER,
            is_leaf=is_shape,
        )

    name = "layers" if stacked else "layers_0"
    axes = jax.tree.map(
        lambda shape: ("layers",) * stacked + (None,) * len(shape), LAYER, is_leaf=is_shape
    )
    optimizer = optimizers.make_optimizer(
        OptimizerConfig(name="adafactor", learning_rate=0.1), 10, {"encoder": {name: axes}}
    )
    params = {"encoder": {name: draw()}}
    gradient = {"encoder": {name: draw()}}
    update = jax.jit(lambda: optimizer.update(gradient, optimizer.init(params), params)[1])
    state = update()
    return adafactor_state.statistics_tree(state)


def test_statistics_have_the_names_and_shapes_that_t5x_gives_them():
    source = TreeSource("The run", _statistics(stacked=True))
    states = adafactor_state.t5x_statistics(source)
    shapes = {
        name.removeprefix("encoder/layers_1/"): info.shape
        for name, info in states.arrays.items()
        if name.startswith("encoder/layers_1/")
    }
    assert shapes == {
        "wi/kernel/v_row": (130,),
        "wi/kernel/v_col": (140,),
        "wi/kernel/v": (1,),
        "wi/kernel/m": (1,),
        "small/kernel/v_row": (1,),
        "small/kernel/v_col": (1,),
        "small/kernel/v": (6, 5),
        "small/kernel/m": (1,),
        "norm/scale/v_row": (1,),
        "norm/scale/v_col": (1,),
        "norm/scale/v": (7,),
        "norm/scale/m": (1,),
    }
    assert_array_equal(states.read("encoder/layers_1/wi/kernel/m"), [0.0])
    rows = states.read("encoder/layers_1/wi/kernel/v_row", (slice(3, 5),))
    kept = source.tree["v_row"]["encoder"]["layers"]["wi"]["kernel"]
    assert_array_equal(rows, kept[1, 3:5])
    assert np.ptp(kept) > 0


@pytest.mark.parametrize("stacked", [False, True])
def test_statistics_come_back_from_t5x_names(stacked):
    there = TreeSource("The run", _statistics(stacked))
    back = adafactor_state.optax_statistics(adafactor_state.t5x_statistics(there))
    assert back.arrays == there.arrays
    for name in there.arrays:
        assert_array_equal(back.read(name), there.read(name))


def _states(**shapes):
    return TreeSource("The state", {k: np.zeros(shape) for k, shape in shapes.items()})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"a/m": (3,)}, r"holds momentum \('a/m' \(3,\)\)"),
        ({"a/mu": (3,)}, "not that of Adafactor: it has 'a/mu'"),
    ],
)
def test_other_statistics_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        adafactor_state.optax_statistics(_states(**names))


def test_an_optimizer_without_such_statistics_is_refused():
    state = optax.adamw(0.1).init({"a": jnp.zeros(2)})
    with pytest.raises(ValueError, match=r"OptimizerConfig\.name to 'adafactor'"):
        adafactor_state.statistics_tree(state)


@needs_data
def test_differences_of_statistics_are_told_before_anything_is_read():
    abstract = _abstract(_parts(scan_layers=False))
    factored = abstract.opt_state[0]
    v = {**factored.v, "more": jax.ShapeDtypeStruct((3,), jnp.float32)}
    opt_state = (factored._replace(v=v), *abstract.opt_state[1:])
    changed = state_lib.TrainState(step=abstract.step, params=abstract.params, opt_state=opt_state)
    with pytest.raises(ValueError, match=r"The optimizer state of(.|\n)*missing +v/more"):
        adafactor_state.load_train_state(_checkpoint(), changed)


def test_a_checkpoint_without_or_with_scanned_statistics_is_refused():
    def checkpoint(**fields):
        return t5x_checkpoint.T5xCheckpoint("It", {}, step=1, **fields)

    state = t5x_checkpoint.LeafSource("The state", {})
    abstract = state_lib.TrainState(step=None, params=None, opt_state=None)
    for fields, message in (
        ({"scanned": False, "optimizer_state": None}, "holds parameters only"),
        ({"scanned": True, "optimizer_state": state}, "comes from a model with scanned layers"),
    ):
        with pytest.raises(ValueError, match=message):
            adafactor_state.load_train_state(checkpoint(**fields), abstract)


def test_a_tree_source_offers_stacked_layers_apart():
    tree = {"layers": {"scale": np.arange(6.0).reshape(3, 2)}, "norm": jnp.ones(4)}
    source = TreeSource("The tree", tree)
    assert isinstance(source, param_source.ParamSource)
    assert source.arrays["layers_2/scale"] == param_source.ArrayInfo((2,), np.dtype(np.float64))
    assert set(source.arrays) == {"layers_0/scale", "layers_1/scale", "layers_2/scale", "norm"}
    assert_array_equal(source.read("layers_2/scale", (slice(1, 2),)), [5.0])
    with pytest.raises(KeyError, match="The tree has no array 'layers'"):
        source.read("layers")
