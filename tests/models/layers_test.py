"""Projection, norm, embedding, MLP and dropout against values worked out by hand."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose
import pytest

from flantune.models import layers


def test_rms_norm_divides_by_root_mean_square_then_scales():
    norm = layers.RmsNorm("float32")
    params = {"params": {"scale": jnp.array([1.0, 2.0])}}
    # Root of the mean of 9 and 16 is sqrt(12.5); no mean is subtracted.
    actual = norm.apply(params, jnp.array([[3.0, 4.0]]))
    assert_allclose(actual, [[3 / 12.5**0.5, 8 / 12.5**0.5]], rtol=1e-5)


def test_rms_norm_statistics_are_float32_under_bfloat16():
    x = jnp.full((1, 4096), 300.0, jnp.bfloat16)  # the sum of squares is 3.7e8
    actual = layers.RmsNorm("bfloat16").apply({"params": {"scale": jnp.ones(4096)}}, x)
    assert actual.dtype == jnp.bfloat16
    assert_allclose(actual.astype(jnp.float32), 1.0, rtol=1e-5)


def test_embed_looks_up_rows_and_says_nan_to_unknown_tokens():
    table = {"params": {"embedding": jnp.array([[1.0, 2.0], [3.0, 4.0]])}}
    actual = layers.Embed(2, 2, "float32").apply(table, jnp.array([[1, 0, 2]]))
    assert_allclose(actual[0, :2], [[3, 4], [1, 2]])
    assert np.isnan(actual[0, 2]).all()


def test_embed_attend_is_similarity_over_sqrt_of_dimension():
    table = {"params": {"embedding": jnp.array([[1.0, 2.0, 0, 0], [3.0, 4.0, 0, 0]])}}
    x = jnp.array([[[1.0, 1.0, 5.0, 5.0]]])
    actual = layers.Embed(2, 4, "bfloat16").apply(table, x, method="attend")
    assert actual.dtype == jnp.float32
    assert_allclose(actual, [[[3 / 2, 7 / 2]]])


def _identity_mlp(names):
    return {"params": {name: {"kernel": jnp.eye(2)} for name in names}}


def test_gated_mlp_multiplies_tanh_gelu_with_linear():
    x = jnp.array([[[1.0, -2.0]]])
    mlp = layers.Mlp(2, ("gelu", "linear"), 0.1, "float32")
    actual = mlp.apply(_identity_mlp(["wi_0", "wi_1", "wo"]), x, None)
    # gelu(1) = 0.841192 and gelu(-2) = -0.045402 with tanh; the exact gelu gives 0.841345, -0.0455.
    assert_allclose(actual, [[[0.841192, -0.045402 * -2]]], rtol=2e-5)


def test_plain_mlp_has_one_kernel_and_relu():
    mlp = layers.Mlp(2, ("relu",), 0.1, "float32")
    actual = mlp.apply(_identity_mlp(["wi", "wo"]), jnp.array([[[1.0, -2.0]]]), None)
    assert_allclose(actual, [[[1.0, 0.0]]])


def test_dropout_shares_its_mask_along_the_length():
    x = jnp.ones((3, 5, 400))
    dropped = np.asarray(layers.dropout(x, jax.random.key(0), 0.25))
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (dropped == dropped[:, :1]).all()
    assert not (dropped[0] == dropped[1]).all()
    assert (dropped[:, 0] == 0).mean() == pytest.approx(0.25, abs=0.05)
    unshared = np.asarray(layers.dropout(x, jax.random.key(0), 0.25, shared_axes=()))
    assert not (unshared == unshared[:, :1]).all()


def test_dropout_without_key_or_rate_changes_nothing():
    x = jnp.arange(6.0).reshape(1, 2, 3)
    assert layers.dropout(x, None, 0.5) is x
    assert layers.dropout(x, jax.random.key(0), 0.0) is x


def test_dense_keeps_float32_parameters_and_names_its_axes():
    dense = layers.Dense(3, ("embed", "mlp"), "bfloat16")
    boxed = dense.init(jax.random.key(0), jnp.ones((1, 2, 4)))["params"]["kernel"]
    assert boxed.names == ("embed", "mlp")
    kernel = nn.unbox(boxed)
    assert (kernel.shape, kernel.dtype) == ((4, 3), jnp.float32)
    assert dense.apply({"params": {"kernel": kernel}}, jnp.ones((1, 2, 4))).dtype == jnp.bfloat16
