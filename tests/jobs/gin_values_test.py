"""Values of Python as gin's literals."""

import ast
import pathlib

import numpy as np
import pytest

from flantune.jobs import gin_values


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "two\nlines, 'quotes' and \"quotes\", and \\",
        "in the middle @x and %y",
        "",
        "1e-3",
        0,
        -3,
        1e-5,
        2.0,
        True,
        None,
        (),
        ("one",),
        [],
        ["a", (1, None)],
        {"a": (1, 2), "b": {}},
    ],
)
def test_a_literal_is_equal_to_its_value(value):
    found = ast.literal_eval(gin_values.literal("X.y", value))
    assert found == value
    assert type(found) is type(value)


def test_numbers_of_numpy_and_paths_become_plain_ones():
    for value, expected in (
        (np.int64(3), "3"),
        (np.float64(0.25), "0.25"),
        (np.float32(0.5), "0.5"),
        ((np.int32(1), 2), "(1, 2, )"),
        (pathlib.PurePosixPath("a/b"), "'a/b'"),
    ):
        assert gin_values.literal("X.y", value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("@configs.EvalSuite()", "a gin file would take for a reference"),
        (("%macro",), "a gin file would take for a reference"),
        (float("inf"), "X.y is given inf, for which gin has no literal"),
        ({1, 2}, "no literal"),
        (np.zeros(3), "no literal"),
        (ast, "no literal: give a text"),
    ],
)
def test_what_gin_cannot_write_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        gin_values.literal("X.y", value)
