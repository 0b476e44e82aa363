"""Tests run with every signature of flantune checked (`runtime_checks.py`): types everywhere, and axes where there are arrays."""

from beartype import roar
import jax.numpy as jnp
import jaxtyping
import pytest

from flantune.data import mixture
from flantune.prompting import filters
from flantune.training import loss


def test_a_wrong_type_is_an_error_in_modules_without_arrays():
    with pytest.raises(roar.BeartypeCallHintViolation, match="letter"):
        filters.letter("A")
    with pytest.raises(roar.BeartypeCallHintViolation, match="rates"):
        mixture.Mixture(name="m", rates=["a"])


def test_axes_of_one_call_must_agree():
    logits, targets = jnp.zeros((2, 3, 5)), jnp.zeros((2, 4), jnp.int32)
    with pytest.raises(jaxtyping.TypeCheckError, match="targets"):
        loss.token_losses(logits, targets)
