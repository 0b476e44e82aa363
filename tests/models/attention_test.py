"""Masks, distance buckets and position biases against published values and plain formulas."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
import pytest

from flantune.models import attention

# First distance of each logarithmic bucket, as t5x and transformers have them.
ENCODER_STARTS = [8, 12, 16, 23, 32, 46, 64, 91]
DECODER_STARTS = [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113]


@pytest.mark.parametrize(
    ("num_buckets", "starts"), [(16, ENCODER_STARTS), (32, DECODER_STARTS)], ids=["enc", "dec"]
)
def test_distance_buckets_start_where_t5_has_them(num_buckets, starts):
    exact = num_buckets // 2
    buckets = attention.distance_buckets(num_buckets, 128)
    assert_array_equal(buckets[:exact], np.arange(exact))
    assert [int(np.argmax(buckets == exact + i)) for i in range(len(starts))] == starts
    assert buckets[128] == num_buckets - 1
    assert (np.diff(buckets) >= 0).all()


def _bias(*, bidirectional, num_buckets=32):
    module = attention.RelativePositionBias(num_buckets, 128, 2, bidirectional)
    table = jnp.stack([jnp.arange(num_buckets), 100 + jnp.arange(num_buckets)]).astype(jnp.float32)
    return module, {"params": {"rel_embedding": table}}


def test_encoder_bias_has_16_buckets_for_each_direction():
    module, params = _bias(bidirectional=True)
    bias = module.apply(params, 100, 100)
    assert bias.shape == (1, 2, 100, 100)
    # Query 50: keys before it use buckets 0 to 15, keys after it 16 to 31.
    assert bias[0, 0, 50, [50, 49, 43, 42, 38, 18, 4]].tolist() == [0, 1, 7, 8, 9, 12, 13]
    assert bias[0, 0, 50, [51, 57, 58, 62, 82, 96]].tolist() == [17, 23, 24, 25, 28, 29]
    assert_array_equal(bias[0, 1], bias[0, 0] + 100)


def test_decoder_bias_gives_all_later_keys_bucket_0():
    module, params = _bias(bidirectional=False)
    bias = module.apply(params, 130, 130)
    assert bias[0, 0, 129, [129, 114, 113, 110, 16, 0]].tolist() == [0, 15, 16, 17, 31, 31]
    assert (bias[0, 0, 5, 6:] == 0).all()


@pytest.mark.parametrize("bidirectional", [True, False])
def test_bias_of_one_query_is_a_row_of_the_matrix(bidirectional):
    module, params = _bias(bidirectional=bidirectional)
    matrix = module.apply(params, 40, 40)
    for position in (0, 7, 39):
        row = module.apply(params, jnp.array(position), 40, method="of_query")
        assert_array_equal(row[0, :, 0], matrix[0, :, position])


def test_bias_with_more_keys_than_queries_and_the_other_way():
    module, params = _bias(bidirectional=True)
    matrix = module.apply(params, 20, 20)
    assert_array_equal(module.apply(params, 5, 20), matrix[:, :, :5])
    assert_array_equal(module.apply(params, 20, 5), matrix[..., :5])


def test_segment_mask_separates_examples_and_drops_padding():
    mask = attention.segment_mask(jnp.array([[1, 1, 2, 0]]), jnp.array([[1, 2, 0]]))
    expected = [[True, False, False], [True, False, False], [False, True, False], [False] * 3]
    assert mask[0, 0].tolist() == expected


def test_causal_mask_allows_earlier_keys():
    assert attention.causal_mask(2)[0, 0].tolist() == [[True, False], [True, True]]


@jax.jit
def _attention(params, x, mask, bias):
    module = attention.Attention(
        num_heads=2, head_dim=3, emb_dim=4, dropout_rate=0.0, dtype="float32"
    )
    return module.apply(params, x, x, mask, bias)


def _attention_inputs():
    keys = jax.random.split(jax.random.key(0), 6)
    x = jax.random.normal(keys[0], (2, 5, 4))
    params = {
        name: {"kernel": jax.random.normal(key, (6, 4) if name == "out" else (4, 6))}
        for name, key in zip(("query", "key", "value", "out"), keys[1:5], strict=True)
    }
    bias = jax.random.normal(keys[5], (1, 2, 5, 5))
    mask = attention.segment_mask(
        jnp.array([[1, 1, 2, 2, 2]] * 2), jnp.array([[1, 1, 2, 2, 2]] * 2)
    )
    return {"params": params}, x, mask, bias


def _attention_by_formula(params, x, mask, bias):
    """Loops over rows and heads; head h owns columns 3h to 3h + 2; scores are not scaled."""
    kernels = {name: np.asarray(value["kernel"]) for name, value in params["params"].items()}
    rows = []
    for row in range(x.shape[0]):
        q, k, v = (np.asarray(x[row]) @ kernels[name] for name in ("query", "key", "value"))
        heads = []
        for head in range(2):
            own = slice(3 * head, 3 * head + 3)
            scores = q[:, own] @ k[:, own].T + np.asarray(bias[0, head])
            scores = np.where(np.asarray(mask[row, 0]), scores, -np.inf)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ v[:, own])
        rows.append(np.concatenate(heads, axis=1) @ kernels["out"])
    return np.stack(rows)


def test_attention_follows_the_formula_without_scaling():
    inputs = _attention_inputs()
    assert_allclose(_attention(*inputs), _attention_by_formula(*inputs), rtol=1e-5, atol=1e-5)


def test_gradient_of_the_bias_sums_over_the_batch():
    params, x, mask, bias = _attention_inputs()

    def loss(bias, repeat):  # `repeat` adds bias to each row of the batch on its own
        outputs = [
            _attention(params, x[row : row + 1], mask[row : row + 1], bias) for row in range(2)
        ]
        joint = _attention(params, x, mask, bias)
        return jnp.sum(jnp.square(jnp.concatenate(outputs) if repeat else joint))

    grad = jax.jit(jax.grad(loss), static_argnums=1)
    joint, repeated = grad(bias, False), grad(bias, True)
    assert jnp.abs(joint).max() > 0.1
    assert_allclose(joint, repeated, rtol=1e-5, atol=1e-5)


def test_a_query_that_may_attend_to_nothing_averages_all_values():
    params, x, _, bias = _attention_inputs()
    params["params"]["out"]["kernel"] = jnp.zeros((6, 4)).at[:3, :3].set(jnp.eye(3))
    actual = _attention(params, x, jnp.zeros((2, 1, 5, 5), bool), bias)
    values = x @ params["params"]["value"]["kernel"]
    assert_allclose(actual[:, 2, :3], values.mean(axis=1)[:, :3], rtol=1e-4, atol=1e-5)
