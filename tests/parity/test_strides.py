"""Layouts of random chains of views, against torch's own account of them and NumPy's test of shared memory."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mazelm.tensors.strides import explain, shares_memory


@st.composite
def slices(draw, size, negative):
    """A slice of an axis; torch has no step backwards."""
    bound = st.none() | st.integers(-size - 1, size + 1)
    step = st.sampled_from([1, 1, 2, 3] + ([-1, -2] if negative else []))
    return slice(draw(bound), draw(bound), draw(step))


def one_step(draw, view):
    """The tensor seen in one more way, with no element moved."""
    kinds = ["slice", "select", "add axis", "permute", "expand", "window", "diagonal"]
    kind = draw(st.sampled_from(kinds if view.ndim else ["add axis"]))
    axis = draw(st.integers(0, max(view.ndim - 1, 0)))
    if kind == "slice":
        return view[tuple(draw(slices(size, negative=False)) for size in view.shape)]
    if kind == "select" and view.shape[axis]:
        return view.select(axis, draw(st.integers(0, view.shape[axis] - 1)))
    if kind == "add axis" and view.ndim < 5:
        return view.unsqueeze(axis)
    if kind == "permute":
        return view.permute(draw(st.permutations(range(view.ndim))))
    if kind == "expand" and 1 in view.shape:
        return view.expand([draw(st.integers(0, 3)) if size == 1 else size for size in view.shape])
    if kind == "window" and view.shape[axis] >= 2 and view.ndim < 5:
        return view.unfold(axis, 2, draw(st.integers(1, 3)))
    return view.diagonal(draw(st.integers(-1, 1))) if kind == "diagonal" and view.ndim >= 2 else view


@st.composite
def chains(draw, base, longest=6):
    view = base
    for _ in range(draw(st.integers(0, longest))):
        view = one_step(draw, view)
    return view


shapes = st.lists(st.integers(0, 4), max_size=4)


@settings(max_examples=200)
@given(shapes, st.data())
def test_layout_of_a_chain_of_views(shape, data):
    size = int(np.prod(shape))
    base = torch.arange(size).reshape(shape)
    view = data.draw(chains(base))
    layout = explain(view)
    assert layout.shape == view.shape
    assert layout.strides == view.stride()
    assert layout.offset == view.storage_offset()
    assert layout.is_contiguous == view.is_contiguous()
    assert layout.offsets.tolist() == view.tolist()  # the storage holds 0, 1, 2, …
    assert torch.as_strided(base, layout.shape, layout.strides, layout.offset).equal(view)


@settings(max_examples=200)
@given(shapes.filter(lambda shape: 0 not in shape), st.data())
def test_shared_memory_of_two_chains(shape, data):
    base = torch.arange(int(np.prod(shape))).reshape(shape)
    first, second = data.draw(chains(base, longest=4)), data.draw(chains(base, longest=4))
    theirs = np.shares_memory(first.numpy(), second.numpy())
    assert shares_memory(first, second) == theirs
    assert shares_memory(first.numpy(), second) == theirs
    assert theirs == bool(set(first.flatten().tolist()) & set(second.flatten().tolist()))
    assert not shares_memory(first, second.clone())


@given(shapes, st.data())
def test_arrays_with_steps_backwards(shape, data):
    base = np.arange(int(np.prod(shape))).reshape(shape)
    views = [base, base]
    for i in range(2):
        for _ in range(data.draw(st.integers(1, 2))):
            index = tuple(data.draw(slices(size, negative=True)) for size in views[i].shape)
            views[i] = views[i][(*index, ...)].transpose(data.draw(st.permutations(range(base.ndim))))
    for view in views:
        assert explain(view).is_contiguous == view.flags.c_contiguous
        assert explain(view).offsets.tolist() == view.tolist()
    assert shares_memory(*views) == np.shares_memory(*views)


@given(st.integers(0, 40), st.sampled_from([np.int8, np.int16, np.int32, np.float64]), st.data())
def test_arrays_of_different_types_over_the_same_bytes(start, dtype, data):
    """NumPy compares bytes too."""
    strip = np.zeros(96, dtype=np.int8)
    width = np.dtype(dtype).itemsize
    start -= start % width
    first = strip[start : start + 6 * width].view(dtype)[data.draw(slices(6, negative=True))]
    second = strip[data.draw(slices(96, negative=True))]
    assert shares_memory(first, second) == np.shares_memory(first, second)
    assert shares_memory(second, first) == np.shares_memory(second, first)
    if first.size:
        assert explain(first).offset * width == first.__array_interface__["data"][0] - strip.ctypes.data


@given(shapes.filter(lambda shape: len(shape) == 4))
def test_channels_last_is_a_layout_like_any_other(shape):
    images = torch.arange(int(np.prod(shape))).reshape(shape).contiguous(memory_format=torch.channels_last)
    assert explain(images).is_contiguous == images.is_contiguous()
    assert explain(images).strides == images.stride()
