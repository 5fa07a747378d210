"""Layouts: by hand, by definition, at the limits (no axis, no element, one element), and on bad input."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tensors.shapes import contiguous_strides
from mazelm.tensors.strides import Layout, explain, shares_memory

MATRIX = torch.arange(12).reshape(3, 4)  # the number at a place is the place


@st.composite
def rules(draw):
    """Shape, strides, offset and bytes of an element: any rule over at most four axes, inside the storage."""
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    strides = tuple(draw(st.integers(-5, 20)) for _ in shape)
    below = sum((size - 1) * -stride for size, stride in zip(shape, strides, strict=True) if stride < 0 and size > 0)
    return shape, strides, max(below, 0) + draw(st.integers(0, 9)), draw(st.integers(1, 9))


def slow_place(layout, index):
    """Walk from the offset, one step at a time, along each axis in turn."""
    place = layout.offset
    for stride, steps in zip(layout.strides, index, strict=True):
        for _ in range(steps):
            place += stride
    return place


def slow_contiguous(layout):
    """Every element lies on the place after the one that is read before it."""
    places = [slow_place(layout, index) for index in np.ndindex(layout.shape)]
    return all(after == before + 1 for before, after in pairwise(places))


def slow_bytes(layout):
    """All bytes of all elements."""
    firsts = [layout.address + layout.item_bytes * slow_place(layout, index) for index in np.ndindex(layout.shape)]
    return {first + byte for first in firsts for byte in range(layout.item_bytes)}


class SaysItIsElsewhere(torch.Tensor):
    @property
    def device(self):
        return torch.device("cuda", 0)


# --- by hand


@pytest.mark.parametrize(
    ("view", "shape", "strides", "offset", "contiguous"),
    [
        (MATRIX, (3, 4), (4, 1), 0, True),
        (MATRIX[1], (4,), (1,), 1 * 4, True),
        (MATRIX[:, 2], (3,), (4,), 2, False),
        (MATRIX[1, 2], (), (), 1 * 4 + 2, True),
        (MATRIX[::2, 1::2], (2, 2), (2 * 4, 2), 1, False),
        (MATRIX.T, (4, 3), (1, 4), 0, False),
        (MATRIX[1:].T[1], (2,), (4,), 4 + 1, False),
        (MATRIX.diagonal(), (3,), (4 + 1,), 0, False),
        (MATRIX[0].expand(3, 4), (3, 4), (0, 1), 0, False),
        (MATRIX[2][None], (1, 4), (4, 1), 2 * 4, True),
        (MATRIX[0].unfold(0, 3, 1), (2, 3), (1, 1), 0, False),
    ],
)
def test_views_of_a_matrix(view, shape, strides, offset, contiguous):
    layout = explain(view)
    assert layout == Layout(shape, strides, offset, item_bytes=8)
    assert layout.is_contiguous is contiguous
    assert layout.offsets.tolist() == view.tolist()
    assert layout.address == MATRIX.data_ptr()
    assert layout.device == "cpu"


def test_views_of_an_array():
    array = np.arange(12, dtype=np.int32).reshape(3, 4)
    assert explain(array) == Layout((3, 4), (4, 1), 0, item_bytes=4)
    assert explain(array[::-1, ::-2]) == Layout((3, 2), (-4, -2), offset=11, item_bytes=4)
    assert explain(array[::-1, ::-2]).offsets.tolist() == [[11, 9], [7, 5], [3, 1]]
    assert explain(array.view(np.int8)[1, 2:9:3]) == Layout((3,), (3,), offset=16 + 2, item_bytes=1)
    assert explain(np.asfortranarray(array)) == Layout((3, 4), (1, 3), 0, item_bytes=4)


def test_storage_of_an_array_is_at_the_end_of_the_chain_of_bases():
    array = np.arange(20)
    windows = np.lib.stride_tricks.sliding_window_view(array[4:], 3)  # its base is no array
    assert explain(windows[2:]).offset == 4 + 2
    assert explain(windows).address == explain(array).address
    assert explain(np.frombuffer(bytes(16), dtype=np.int32)[1:]).offset == 1
    backwards = np.ndarray((3,), np.int64, buffer=bytes(24), offset=16, strides=(-8,))  # and no array below it
    assert explain(backwards) == Layout((3,), (-1,), offset=2, item_bytes=8)
    assert explain(MATRIX[1:].numpy()[:, 1:]) == explain(MATRIX[1:, 1:])
    assert explain(MATRIX[1:].numpy()).address == explain(MATRIX).address


def test_shares_memory_by_hand():
    assert shares_memory(MATRIX, MATRIX.T)
    assert shares_memory(MATRIX[:, 1], MATRIX[1])  # they cross at element (1, 1)
    assert not shares_memory(MATRIX[:, 0], MATRIX[:, 1])
    assert not shares_memory(MATRIX[::2], MATRIX[1])
    assert not shares_memory(MATRIX[0, :2], MATRIX[0, 2:])
    assert shares_memory(MATRIX[0, :2], MATRIX[0, 1:])
    assert not shares_memory(MATRIX, MATRIX.clone())
    assert shares_memory(MATRIX, MATRIX.numpy())
    assert not shares_memory(MATRIX.numpy(), MATRIX.numpy().copy())
    assert shares_memory(MATRIX[2, 3], MATRIX.T[3, 2])


def test_elements_that_are_read_twice_are_there_once():
    first_row = MATRIX[0]
    for repeated in (first_row.expand(3, 4), first_row.unfold(0, 3, 1), first_row.unfold(0, 2, 1).unfold(0, 2, 1)):
        assert repeated.numel() > 4
        assert shares_memory(repeated, first_row[3])
        assert not shares_memory(repeated, MATRIX[1:])
        assert not shares_memory(MATRIX[1:], repeated)


def test_elements_of_different_size_are_compared_byte_by_byte():
    array = np.zeros(4, dtype=np.int32)
    data = array.view(np.int8)
    for byte in range(16):
        for place in range(4):
            number, one_byte = array[place : place + 1], data[byte : byte + 1]
            assert shares_memory(number, one_byte) == shares_memory(one_byte, number) == (byte // 4 == place)


def test_another_device_is_another_memory():
    here = Layout((3, 4), (4, 1), 0, 8, address=1000)
    assert here.overlaps(Layout((3, 4), (4, 1), 0, 8, address=1000))
    assert not here.overlaps(Layout((3, 4), (4, 1), 0, 8, address=1000, device="cuda:0"))
    pretending = MATRIX.as_subclass(SaysItIsElsewhere)
    assert explain(pretending).device == "cuda:0"
    assert shares_memory(pretending, pretending)
    assert not shares_memory(pretending, MATRIX)


def test_unbroken_memory_costs_nothing_however_large():
    """A quadrillion elements: a list of their places would fit into no memory."""
    huge = Layout((10**6, 10**6, 10**3), (10**9, 10**3, 1), item_bytes=4)
    turned = Layout((10**3, 10**6, 10**6), (1, 10**3, 10**9), item_bytes=4)
    repeated = Layout((10**9, 10**9), (0, 0), offset=10**15 - 1, item_bytes=4)
    assert huge.overlaps(turned)
    assert huge.overlaps(repeated)
    assert not huge.overlaps(Layout((10**9,), (1,), offset=10**15, item_bytes=4))


# --- by definition: each labelled equation of the lesson, transcribed


@given(rules())
def test_eq_place(rule):
    layout = Layout(*rule)
    places = layout.offsets
    assert places.shape == layout.shape
    for index in np.ndindex(layout.shape):
        assert places[index] == slow_place(layout, index)


@given(st.lists(st.integers(0, 5), max_size=5))
def test_eq_dense_strides(shape):
    """One step along an axis passes over all that the later axes hold; an axis without elements counts as one."""
    strides = contiguous_strides(shape)
    for axis in range(len(shape)):
        passed = 1
        for later in range(axis + 1, len(shape)):
            passed *= max(shape[later], 1)
        assert strides[axis] == passed
    layout = Layout(tuple(shape), strides)
    assert layout.is_contiguous
    assert layout.offsets.ravel().tolist() == list(range(math.prod(shape)))


@given(rules())
def test_contiguous_is_place_after_place(rule):
    layout = Layout(*rule)
    assert layout.is_contiguous == slow_contiguous(layout)


@given(rules())
def test_lowest_place(rule):
    layout = Layout(*rule)
    if layout.offsets.size:
        assert layout.lowest == layout.offsets.min()


@given(rules(), rules(), st.integers(-60, 60))
def test_overlap_is_a_common_byte(first, second, distance):
    """Two rules over strips that lie anywhere, touching, overlapping or apart."""
    here, there = Layout(*first, address=1000), Layout(*second, address=1000 + distance)
    common = bool(slow_bytes(here) & slow_bytes(there))
    assert here.overlaps(there) is common
    assert there.overlaps(here) is common


# --- at the limits


def test_a_number_has_one_place():
    layout = explain(torch.tensor(25.0))
    assert layout == Layout((), (), 0, item_bytes=4)
    assert layout.offsets.shape == ()
    assert layout.offsets == 0
    assert layout.is_contiguous


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 2), (2, 0, 3)])
def test_no_elements(shape):
    empty = torch.zeros(shape)
    assert explain(empty).offsets.shape == shape
    assert explain(empty).is_contiguous
    assert explain(empty.mT if empty.ndim > 1 else empty).is_contiguous
    assert not shares_memory(empty, empty)
    assert not shares_memory(empty, torch.zeros(3))
    assert not shares_memory(np.zeros(3)[1:1], np.zeros(3))


def test_an_empty_slice_shares_nothing_with_what_surrounds_it():
    array = np.arange(10)
    assert not shares_memory(array[5:5], array)
    assert not shares_memory(array, array[5:5])
    assert explain(array[5:5]) == Layout((0,), (1,), 0, item_bytes=8)  # no element, so no place


def test_axes_of_size_one_do_not_matter():
    assert Layout((1, 4, 1), (99, 1, -7), 0).is_contiguous
    assert not Layout((2, 4, 1), (99, 1, 7), 0).is_contiguous
    assert Layout((1, 3), (-50, 1), 0).lowest == 0


def test_equal_layouts_may_lie_anywhere():
    assert explain(torch.zeros(3, 4)) == explain(torch.ones(3, 4))
    assert explain(torch.zeros(3, 4)).address != 0
    assert "address" not in repr(explain(MATRIX))  # an address would change from run to run


def test_elements_are_left_alone():
    grown = torch.ones(3, requires_grad=True)
    assert explain(grown) == Layout((3,), (1,), 0, item_bytes=4)
    assert explain(torch.zeros(2, dtype=torch.bfloat16)).item_bytes == 2
    assert explain(np.zeros(2, dtype=object)).item_bytes == np.dtype(object).itemsize
    read_only = np.arange(3)
    read_only.flags.writeable = False
    assert shares_memory(read_only, read_only[1:])


# --- bad input


@pytest.mark.parametrize("other", [[1, 2, 3], 25, None, range(3), np.float64(3.0)])
@pytest.mark.parametrize("function", [explain, lambda x: shares_memory(x, MATRIX), lambda x: shares_memory(MATRIX, x)])
def test_neither_tensor_nor_array(unchecked, function, other):
    with pytest.raises(
        ValueError, match=f"tensor must be a torch.Tensor or a NumPy array, got a {type(other).__name__}"
    ):
        function(other)


def test_tensors_without_strides_or_without_memory():
    with pytest.raises(ValueError, match=r"tensor must be dense, got .* torch.sparse_coo"):
        explain(torch.eye(3).to_sparse())
    with pytest.raises(ValueError, match="tensor is on the meta device"):
        explain(torch.zeros(3, device="meta"))


def test_a_field_of_a_record_is_no_whole_number_of_elements():
    records = np.zeros(3, dtype=[("key", np.int32), ("value", np.float64)])
    with pytest.raises(ValueError, match=r"elements of 8 bytes, but begins at byte 4 .* strides of \(12,\) bytes"):
        explain(records["value"])
    records = np.zeros(3, dtype=[("value", np.float64), ("key", np.int32)])
    with pytest.raises(ValueError, match=r"elements of 8 bytes, but begins at byte 0 .* strides of \(12,\) bytes"):
        explain(records["value"])
    assert explain(records["key"]).strides == (3,)
    shifted = np.frombuffer(np.zeros(12, dtype=np.int8)[1:9], dtype=np.int32)
    with pytest.raises(ValueError, match="begins at byte 1 of its storage"):
        explain(shifted)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 4), (1,)), r"strides=\(1,\) must have one entry for each axis of shape=\(3, 4\)"),
        (((3, -4), (4, 1)), r"shape=\(3, -4\) has a negative size"),
        (((3,), (1,), -1), r"offset=-1 with strides=\(1,\) begins before the storage does"),
        (((0,), (1,), -1), r"offset=-1 with strides=\(1,\) begins before the storage does"),
        (((3,), (-2,), 3), r"offset=3 with strides=\(-2,\) begins before the storage does"),
        (((3,), (1,), 0, 0), r"item_bytes must be at least 1, got 0"),
    ],
)
def test_no_layout(arguments, message):
    with pytest.raises(ValueError, match=message):
        Layout(*arguments)
