"""Our models against numbers that transformers computed, without transformers (`make_golden.py` wrote them)."""

import dataclasses
import functools
import pathlib

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
import pytest

from flantune.models import stacking

from . import families

FOLDER = pathlib.Path(__file__).parent / "golden"
pytestmark = pytest.mark.parametrize("family", families.MODELS)


@functools.cache
def expected(family):
    with np.load(FOLDER / f"{family}.npz") as arrays:
        return dict(arrays)


@functools.cache
def found(family):
    return families.ours(families.MODELS[family], families.params(family), expected(family))


def real_targets(family):
    return expected(family)["decoder_target_tokens"] > 0


def test_the_inputs_are_those_of_the_rule(family):
    for name, tokens in families.batch(family).items():
        assert_array_equal(expected(family)[name], tokens)


def test_logits_loss_and_scores_of_targets(family):
    real = real_targets(family)
    assert_allclose(found(family)["logits"][real], expected(family)["logits"][real], atol=1e-4)
    for name in ("loss", "scores"):
        assert_allclose(found(family)[name], expected(family)[name], atol=1e-4)


def test_greedy_tokens(family):
    assert_array_equal(found(family)["greedy"], expected(family)["greedy"])
    assert (expected(family)["greedy"] == families.EOS).any()


def test_four_beams_and_their_scores(family):
    assert_array_equal(found(family)["beam"], expected(family)["beam"])
    assert_allclose(found(family)["beam_scores"], expected(family)["beam_scores"], atol=1e-4)
    assert (expected(family)["beam"] == families.EOS).any(axis=-1).all()  # none was cut off


def test_the_best_beam_is_never_worse_than_that_of_an_unchanged_transformers(family):
    theirs = expected(family)["default_beam_scores"][:, 0]
    assert (found(family)["beam_scores"][:, 0] >= theirs - 1e-4).all()


def test_stacked_layers_compute_the_same(family):
    model = dataclasses.replace(families.MODELS[family], scan_layers=True, layer_loop="scan")
    params = stacking.stack_layers(families.params(family))
    again = families.ours(model, params, expected(family))
    gaps = families.differences(again, expected(family), expected(family))
    assert max(gaps.values()) < 1e-4, gaps


def test_bfloat16_differs_by_its_rounding(family):
    """Both round activations to 8 bits, in other places: 0.086 apart at most where logits reach 7.5 (umT5; measured)."""
    real = real_targets(family)
    params = families.rounded(families.params(family))
    narrow = families.narrow_logits(families.MODELS[family], params, expected(family))[real]
    theirs = expected(family)["narrow_logits"][real]
    wide = expected(family)["logits"][real]
    assert np.abs(narrow - theirs).max() < 0.15
    # On average we are as near to float32 as transformers is.
    assert np.abs(narrow - wide).mean() < 1.2 * np.abs(theirs - wide).mean()
