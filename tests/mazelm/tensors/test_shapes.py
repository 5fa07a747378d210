"""Shapes and strides: by hand, by definition (walks over every element), at the limits, on bad input."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from mazelm.tensors.shapes import broadcast_shapes, contiguous_strides, view_shape

small_shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)
shapes_with_elements = st.lists(st.sampled_from([1, 1, 2, 2, 3, 4]), max_size=4).map(tuple)


def places(shape, strides):
    """Where each element lies in the storage, in the order of the indices: last axis fastest."""
    indices = itertools.product(*(range(size) for size in shape))
    return [sum(i * stride for i, stride in zip(one, strides, strict=True)) for one in indices]


def outcome(function, *arguments):
    """What came back, or which of the two refusals."""
    try:
        return function(*arguments)
    except ValueError as error:
        return "copy" if "needs a copy" in str(error) else "sizes"


# --- contiguous_strides


def test_strides_by_hand():
    assert contiguous_strides((2, 3, 4)) == (3 * 4, 4, 1)
    assert contiguous_strides((5,)) == (1,)
    assert contiguous_strides(()) == ()


def test_strides_of_axes_with_one_or_no_element():
    assert contiguous_strides((2, 1, 4)) == (1 * 4, 4, 1)
    assert contiguous_strides((3, 0, 4)) == (1 * 4, 4, 1)
    assert contiguous_strides((3, 0)) == (1, 1)


@given(small_shapes)
def test_contiguous_strides_by_definition(shape):
    """Each stride is the product of the sizes to its right, of which 0 counts as 1."""
    slow = []
    for axis in range(len(shape)):
        product = 1
        for later in range(axis + 1, len(shape)):
            product *= shape[later] if shape[later] > 0 else 1
        slow.append(product)
    assert contiguous_strides(shape) == tuple(slow)


@given(small_shapes)
def test_contiguous_means_one_after_another(shape):
    assert places(shape, contiguous_strides(shape)) == list(range(math.prod(shape)))


# --- broadcast_shapes


def test_broadcast_by_hand():
    assert broadcast_shapes((5, 1), (1, 4)) == (5, 4)
    assert broadcast_shapes((5, 4), (4,)) == (5, 4)
    assert broadcast_shapes((4,), (5, 1)) == (5, 4)
    assert broadcast_shapes((3,), (3, 1)) == (3, 3)  # not (3,)
    assert broadcast_shapes((2, 1, 3), (4, 1), (1,), ()) == (2, 4, 3)
    assert broadcast_shapes((7, 2)) == (7, 2)
    assert broadcast_shapes() == ()


def test_broadcast_with_no_element():
    assert broadcast_shapes((0,), (1,)) == (0,)
    assert broadcast_shapes((1, 3), (0, 1)) == (0, 3)
    assert broadcast_shapes((0,), (0,)) == (0,)
    assert broadcast_shapes((0,), ()) == (0,)


@given(st.lists(small_shapes, min_size=1, max_size=3))
def test_eq_broadcast_size(shapes):
    """On each axis, counted from the last: the one size that is not 1; 1 if there is none; nothing if there are two."""
    ndim = max(len(shape) for shape in shapes)
    sizes = []
    for axis in range(1, ndim + 1):
        met = {shape[-axis] for shape in shapes if axis <= len(shape)} - {1}
        if len(met) > 1:
            with pytest.raises(ValueError, match=rf"do not broadcast: .* on axis -{axis}\b"):
                broadcast_shapes(*shapes)
            return
        sizes.insert(0, met.pop() if met else 1)
    assert broadcast_shapes(*shapes) == tuple(sizes)


@given(small_shapes, small_shapes)
def test_broadcast_does_not_ask_who_came_first(first, second):
    assert outcome(broadcast_shapes, first, second) == outcome(broadcast_shapes, second, first)


@given(small_shapes)
def test_broadcast_with_itself_and_with_a_number_changes_nothing(shape):
    assert broadcast_shapes(shape, shape) == broadcast_shapes(shape, ()) == shape


# --- view_shape, by hand


def test_a_contiguous_tensor_takes_every_shape():
    assert view_shape((2, 3), (3, 1), (6,)) == (1,)
    assert view_shape((2, 3), (3, 1), (3, 2)) == (2, 1)
    assert view_shape((2, 3, 4), (12, 4, 1), (6, 4)) == (4, 1)
    assert view_shape((6, 4), (4, 1), (2, 3, 2, 2)) == (12, 4, 2, 1)


def test_a_transposed_one_splits_and_does_not_merge():
    assert view_shape((4, 6), (1, 4), (2, 2, 3, 2)) == (2, 1, 8, 4)
    assert outcome(view_shape, (4, 6), (1, 4), (24,)) == "copy"
    assert outcome(view_shape, (4, 6), (1, 4), (6, 4)) == "copy"
    assert outcome(view_shape, (4, 6), (1, 4), (2, 12)) == "copy"


def test_some_axes_of_a_slice_merge():
    """x[:, :, :4] of a (2, 3, 5): the last axis has a gap behind it, the first two are still one run."""
    assert view_shape((2, 3, 4), (15, 5, 1), (6, 4)) == (5, 1)
    assert view_shape((2, 3, 4), (15, 5, 1), (3, 2, 2, 2)) == (10, 5, 2, 1)
    assert outcome(view_shape, (2, 3, 4), (15, 5, 1), (2, 12)) == "copy"
    assert view_shape((3,), (4,), (3, 1)) == (4, 3 * 0 + 4)  # every fourth element; the new axis steps nowhere


def test_an_expanded_axis_is_a_run_of_its_own():
    assert view_shape((4, 3), (0, 1), (2, 2, 3)) == (0, 0, 1)
    assert view_shape((2, 3), (0, 0), (6,)) == (0,)
    assert outcome(view_shape, (4, 3), (0, 1), (12,)) == "copy"


def test_axes_of_size_one_do_not_care_about_their_stride():
    assert view_shape((2, 1, 3), (3, 77, 1), (6,)) == (1,)
    assert view_shape((1, 2, 3), (99, 3, 1), (6,)) == (1,)
    assert view_shape((2, 3, 1), (3, 1, 55), (6,)) == (1,)
    assert view_shape((2, 3, 1), (3, 1, 55), (6, 1)) == (1, 55)
    assert view_shape((2, 3), (1, 2), (1, 2, 1, 3, 1)) == (2, 1, 6, 2, 2)


def test_numbers():
    assert view_shape((), (), ()) == ()
    assert view_shape((), (), (1, 1)) == (1, 1)
    assert view_shape((1, 1), (7, 5), ()) == ()
    assert view_shape((1, 1), (7, 5), (1, 1, 1)) == (5, 5, 5)


def test_minus_one_is_what_is_left():
    assert view_shape((2, 3), (3, 1), (-1,)) == (1,)
    assert view_shape((2, 3), (3, 1), (3, -1)) == (2, 1)
    assert view_shape((2, 3), (3, 1), (6, -1)) == (1, 1)
    assert view_shape((), (), (-1,)) == (1,)
    assert view_shape((0, 3), (3, 1), (-1, 3)) == (3, 1)
    assert view_shape((0, 3), (3, 1), (-1,)) == (1,)


def test_without_elements_any_shape_without_elements_will_do():
    assert view_shape((0, 3), (7, 5), (0, 3)) == (7, 5)  # the same shape keeps its strides
    assert view_shape((0, 3), (7, 5), (0, 4)) == (4, 1)
    assert view_shape((0,), (1,), (2, 0, 3)) == (3, 3, 1)


def test_negative_strides_follow_the_same_rule():
    """A reversed NumPy array: one run that walks backwards."""
    reversed_twice = np.arange(6).reshape(2, 3)[::-1, ::-1]
    strides = tuple(stride // reversed_twice.itemsize for stride in reversed_twice.strides)
    assert view_shape((2, 3), strides, (6,)) == (-1,)
    assert outcome(view_shape, (2, 3), (3, -1), (6,)) == "copy"


# --- view_shape, by definition


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 5), st.integers(0, 20))
def test_eq_join(size, next_size, next_stride, stride):
    """Two axes are one axis if the places they visit are equally far apart, which is what the equation says."""
    assume(size > 1 and next_size > 1)
    visited = places((size, next_size), (stride, next_stride))
    steps = {b - a for a, b in itertools.pairwise(visited)}
    joined = stride == next_size * next_stride
    assert joined == (len(steps) == 1)
    expected = (next_stride,) if joined else "copy"
    assert outcome(view_shape, (size, next_size), (stride, next_stride), (size * next_size,)) == expected


def view_by_definition(shape, strides, new_shape):
    """Strides that reproduce the places of all elements in their order, or none: read off, then checked one by one."""
    wanted = np.array(places(shape, strides)).reshape(new_shape)
    read = []
    for axis, size in enumerate(new_shape):
        one_step = tuple(1 if i == axis else 0 for i in range(len(new_shape)))
        read.append(int(wanted[one_step] - wanted.flat[0]) if size > 1 else 0)
    return read if places(new_shape, read) == wanted.ravel().tolist() else None


@st.composite
def views(draw):
    """A shape with elements, strides for it, and a new shape of as many elements."""
    shape = draw(shapes_with_elements)
    strides = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    if draw(st.booleans()):
        strides = tuple(draw(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 12])) for _ in shape)
    left, new_shape = math.prod(shape), []
    for _ in range(draw(st.integers(0, 3))):
        new_shape.append(draw(st.sampled_from([size for size in range(1, left + 1) if left % size == 0])))
        left //= new_shape[-1]
    new_shape = draw(st.permutations([*new_shape, left]))
    order = draw(st.permutations(range(len(shape))))
    return tuple(shape[i] for i in order), tuple(strides[i] for i in order), tuple(new_shape)


@given(views())
def test_view_by_definition(case):
    """A view exists exactly if some strides visit the same places in the same order."""
    shape, strides, new_shape = case
    slow, fast = view_by_definition(shape, strides, new_shape), outcome(view_shape, shape, strides, new_shape)
    if slow is None:
        assert fast == "copy"
    else:
        assert [stride for stride, size in zip(fast, new_shape, strict=True) if size > 1] == [
            stride for stride, size in zip(slow, new_shape, strict=True) if size > 1
        ]


@given(views(), st.data())
def test_minus_one_in_the_place_of_any_size(case, data):
    shape, strides, new_shape = case
    hidden = data.draw(st.integers(0, len(new_shape) - 1))
    with_hole = tuple(-1 if axis == hidden else size for axis, size in enumerate(new_shape))
    assert outcome(view_shape, shape, strides, with_hole) == outcome(view_shape, shape, strides, new_shape)


@given(small_shapes)
def test_the_same_shape_is_always_a_view(shape):
    strides = tuple(range(7, 7 + len(shape)))
    kept = zip(shape, strides, view_shape(shape, strides, shape), strict=True)
    assert all(before == after for size, before, after in kept if size != 1)


def test_shapes_of_torch_and_numpy_are_taken_as_they_are():
    tensor = torch.zeros(2, 3)
    assert contiguous_strides(tensor.shape) == tensor.stride()
    assert broadcast_shapes(tensor.shape, np.ones(3).shape) == (2, 3)
    assert view_shape(tensor.shape, tensor.stride(), [np.int64(6)]) == (1,)
    assert type(view_shape(tensor.shape, tensor.stride(), [np.int64(3), 2])[0]) is int


# --- bad input


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3), (2,)], r"shapes \(2, 3\), \(2,\) do not broadcast: sizes 3 and 2 meet on axis -1, and neither is 1"),
        ([(2, 3), (4, 3)], r"sizes 2 and 4 meet on axis -2"),
        ([(2, 1), (1, 3), (2,)], r"shapes \(2, 1\), \(1, 3\), \(2,\) do not .* sizes 3 and 2 meet on axis -1"),
        ([(0,), (2,)], r"sizes 0 and 2 meet on axis -1"),
        ([(-1,), (3,)], r"shape=\(-1,\) must hold sizes of at least 0"),
        ([(2.0,), (2,)], r"shape=\(2.0,\) must be a sequence of whole numbers"),
        ([3, (3,)], r"shape=3 must be a sequence of whole numbers"),
    ],
)
def test_shapes_that_do_not_broadcast(unchecked, shapes, message):
    with pytest.raises(ValueError, match=message):
        broadcast_shapes(*shapes)


@pytest.mark.parametrize(
    ("new_shape", "message"),
    [
        ((4,), r"new_shape=\(4,\) does not fit the 6 elements of shape \(2, 3\)"),
        ((), r"new_shape=\(\) does not fit the 6 elements"),
        ((0, 6), r"new_shape=\(0, 6\) does not fit the 6 elements"),
        ((-1, 4), r"new_shape=\(-1, 4\) does not fit the 6 elements"),
        ((0, -1), r"new_shape=\(0, -1\) does not fit the 6 elements"),
        ((-1, -1), r"new_shape=\(-1, -1\) has more than one −1"),
        ((-2, -3), r"new_shape=\(-2, -3\) must hold sizes of at least 0, and at most one −1"),
        ((6.0,), r"new_shape=\(6.0,\) must be a sequence of whole numbers"),
    ],
)
def test_sizes_that_do_not_fit(unchecked, new_shape, message):
    with pytest.raises(ValueError, match=message):
        view_shape((2, 3), (3, 1), new_shape)


def test_an_ambiguous_size():
    with pytest.raises(ValueError, match=r"new_shape=\(-1, 0\) is ambiguous: shape \(0, 2\) has no elements"):
        view_shape((0, 2), (2, 1), (-1, 0))


def test_the_copy_is_explained():
    """The axis that is named is the one that does not join."""
    message = r"new_shape=\(2, 12\) needs a copy: in shape \(2, 3, 4\) with strides \(15, 5, 1\), a step on axis 1 "
    with pytest.raises(ValueError, match=message + r"moves by 5; merged with axis 2 it would have to move by 4·1 = 4"):
        view_shape((2, 3, 4), (15, 5, 1), (2, 12))
    with pytest.raises(ValueError, match=r"axis 0 moves by 1; merged with axis 1 it would .* by 6·2 = 12"):
        view_shape((2, 2, 3), (1, 6, 2), (12,))


@pytest.mark.parametrize(
    ("shape", "strides", "message"),
    [
        ((2, 3), (3,), r"strides=\(3,\) must have one entry per axis of shape \(2, 3\)"),
        ((2, 3), (3, 1, 1), r"strides=\(3, 1, 1\) must have one entry per axis"),
        ((2, -3), (3, 1), r"shape=\(2, -3\) must hold sizes of at least 0"),
        ((2, 3), (3, 0.5), r"strides=\(3, 0.5\) must be a sequence of whole numbers"),
    ],
)
def test_layouts_that_are_none(unchecked, shape, strides, message):
    with pytest.raises(ValueError, match=message):
        view_shape(shape, strides, (6,))
    if strides == (3, 1):
        with pytest.raises(ValueError, match=message):
            contiguous_strides(shape)
