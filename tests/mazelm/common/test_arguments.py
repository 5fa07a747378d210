"""The checks of arguments: what they let through, and what their errors say."""

import numpy as np
import pytest
from mazelm.common.arguments import as_vector, require_finite, require_same_length


@pytest.mark.parametrize("value", [[1, 2], (1, 2), np.array([1, 2]), np.array([1, 2], dtype=np.uint8)])
def test_a_vector_is_an_array_with_the_same_entries(value):
    vector = as_vector("scores", value)
    assert isinstance(vector, np.ndarray)
    assert vector.tolist() == [1, 2]


def test_an_array_is_not_copied():
    array = np.array([1.0, 2.0])
    assert as_vector("scores", array) is array


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "scores is empty: there is nothing to measure"),
        (np.zeros((0,)), "scores is empty"),
        (np.zeros((2, 3)), r"scores must be one-dimensional, got shape \(2, 3\)"),
        (np.zeros((0, 3)), r"scores must be one-dimensional, got shape \(0, 3\)"),
        (5, r"scores must be one-dimensional, got shape \(\)"),
        ("abc", r"scores must be one-dimensional, got shape \(\)"),
    ],
)
def test_what_is_no_vector_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        as_vector("scores", value)


def test_lengths():
    require_same_length(a=np.zeros(3), b=np.zeros((3, 2)), c=np.ones(3))  # the first axis counts
    require_same_length(a=np.zeros(3))
    with pytest.raises(ValueError, match=r"lengths differ: a has 3, b has 3, c has 4; give one entry"):
        require_same_length(a=np.zeros(3), b=np.zeros(3), c=np.zeros(4))


@pytest.mark.parametrize("array", [np.array([0.0, -1e308]), np.array([1, 2]), np.array(["nan"]), np.zeros(0)])
def test_finite_numbers_and_what_is_not_a_float_pass(array):
    require_finite("scores", array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([0.5, np.nan, 1], r"scores\[1\] is nan: every entry must be a finite number"),
        ([np.inf, np.nan], r"scores\[0\] is inf"),
        ([0, 0, -np.inf], r"scores\[2\] is -inf"),
    ],
)
def test_the_first_entry_that_is_not_finite_is_named(array, message):
    with pytest.raises(ValueError, match=message):
        require_finite("scores", np.array(array))
    with pytest.raises(ValueError, match=message):
        require_finite("scores", np.array(array, dtype=np.float32))
