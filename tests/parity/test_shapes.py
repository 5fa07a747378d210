"""Shapes and strides against torch and NumPy: the same strides, and the same refusals."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mazelm.tensors.shapes import broadcast_shapes, contiguous_strides, view_shape

shapes = st.lists(st.sampled_from([0, 1, 1, 2, 3, 4]), max_size=4).map(tuple)
related = st.tuples(st.lists(st.integers(0, 4), max_size=4), st.lists(st.integers(0, 4), max_size=3)).map(
    lambda pair: [tuple(pair[0]), tuple(size if size % 2 else 1 for size in pair[0][len(pair[1]) :])]
)  # a shape, and another that often broadcasts with it


@given(shapes)
@example((0, 3))
@example((3, 0))
def test_contiguous_strides(shape):
    assert contiguous_strides(shape) == torch.empty(shape).stride()
    if 0 not in shape:  # NumPy gives strides of 0 to an array without elements
        assert contiguous_strides(shape) == tuple(stride // 8 for stride in np.empty(shape).strides)


@given(st.lists(shapes, max_size=4) | related)
@example([])
@example([()])
@example([(0,), (1,)])
@example([(0,), (2,)])
def test_broadcast_shapes(several):
    try:
        theirs = tuple(torch.broadcast_shapes(*several))
    except RuntimeError:
        with pytest.raises(ValueError, match="do not broadcast"):
            broadcast_shapes(*several)
        with pytest.raises(ValueError, match="broadcast"):
            np.broadcast_shapes(*several)
        return
    assert broadcast_shapes(*several) == theirs == np.broadcast_shapes(*several)
    if several:
        tensors = torch.broadcast_tensors(*(torch.zeros(shape) for shape in several))
        assert broadcast_shapes(*several) == tensors[0].shape


def test_negative_sizes_are_refused_by_both():
    for function in (torch.broadcast_shapes, broadcast_shapes):
        with pytest.raises(ValueError, match=r"negative|at least 0"):
            function((-1,), (3,))


# --- ten thousand views

AT_LEAST = {"view": 5000, "copy": 1000, "sizes": 500, "ambiguous": 100, "no shape": 100}
AT_LEAST |= {"view of a non-contiguous one": 1500, "merges axes": 1000, "expanded": 1000, "size 1": 1000}
AT_LEAST |= {"−1 worked out": 1000, "no elements": 500}


def random_tensor(rng):
    """Laid out by as_strided, or contiguous and then transposed, sliced, expanded, squeezed and unsqueezed."""
    shape = [
        int(size) for size in rng.choice([0, 1, 2, 3, 4, 6], p=[0.04, 0.2, 0.3, 0.16, 0.2, 0.1], size=rng.integers(5))
    ]
    if rng.random() < 0.3:
        strides = [int(stride) for stride in rng.choice([0, 1, 2, 3, 4, 6, 12, 24], size=len(shape))]
        last = sum(max(size - 1, 0) * stride for size, stride in zip(shape, strides, strict=True))
        return torch.zeros(last + 1).as_strided(shape, strides)
    tensor = torch.zeros(shape)
    for _ in range(rng.integers(4) if shape else 0):
        axis = int(rng.integers(tensor.ndim))
        match rng.integers(5):
            case 0:
                tensor = tensor.permute(*(int(i) for i in rng.permutation(tensor.ndim)))
            case 1:
                tensor = tensor[(slice(None),) * axis + (slice(int(rng.integers(2)), None, int(rng.integers(1, 3))),)]
            case 2:
                tensor = tensor.expand(*(3 if i == axis and size == 1 else size for i, size in enumerate(tensor.shape)))
            case 3:
                tensor = tensor.unsqueeze(axis)
            case 4:
                tensor = tensor.unsqueeze(axis).expand(*tensor.shape[:axis], 2, *tensor.shape[axis:])
    return tensor


def random_new_shape(rng, shape):
    """Mostly one that fits, by splitting and merging; sometimes with a −1, sometimes anything."""
    if rng.random() < 0.12:
        return [int(size) for size in rng.choice([-2, -1, -1, 0, 1, 2, 3, 6], size=rng.integers(4))]
    factors = []
    for size in shape:  # a size as factors, so that whole axes often survive
        options = [factor for factor in range(1, size + 1) if size % factor == 0]
        split = int(rng.choice(options)) if options and rng.random() < 0.5 else 1
        factors += [size // split, split] if split > 1 else [size]
    new_shape = []
    for factor in factors:
        if new_shape and rng.random() < 0.35:
            new_shape[-1] *= factor
        elif factor != 1 or rng.random() < 0.7:
            new_shape.append(factor)
    if rng.random() < 0.3:
        new_shape.insert(int(rng.integers(len(new_shape) + 1)), 1)
    if new_shape and rng.random() < 0.25:
        new_shape[int(rng.integers(len(new_shape)))] = -1
    return new_shape


def torch_says(tensor, new_shape):
    """The strides of the view, or which of its refusals: by its own words."""
    try:
        return tensor.view(new_shape).stride()
    except RuntimeError as error:
        kinds = {"not compatible": "copy", "is invalid for input": "sizes", "only one dimension": "no shape"}
        kinds |= {"ambiguous": "ambiguous", "invalid shape dimension": "no shape"}
        return next(kind for words, kind in kinds.items() if words in str(error))


def we_say(shape, strides, new_shape):
    try:
        return view_shape(shape, strides, new_shape)
    except ValueError as error:
        kinds = {"needs a copy": "copy", "does not fit": "sizes", "more than one −1": "no shape"}
        kinds |= {"ambiguous": "ambiguous", "sizes of at least 0": "no shape"}
        return next(kind for words, kind in kinds.items() if words in str(error))


def test_ten_thousand_views():
    rng, seen = np.random.default_rng(0), Counter()
    for _ in range(10_000):
        tensor = random_tensor(rng)
        new_shape = random_new_shape(rng, tensor.shape)
        theirs = torch_says(tensor, new_shape)
        ours = we_say(tuple(tensor.shape), tensor.stride(), tuple(new_shape))
        assert ours == theirs, (tuple(tensor.shape), tensor.stride(), new_shape)
        seen["view" if isinstance(theirs, tuple) else theirs] += 1
        if isinstance(theirs, tuple):
            seen["view of a non-contiguous one"] += not tensor.is_contiguous()
            seen["merges axes"] += len(theirs) < tensor.ndim
            seen["expanded"] += 0 in tensor.stride() and tensor.numel() > 1
            seen["size 1"] += 1 in tensor.shape
            seen["−1 worked out"] += -1 in new_shape
            seen["no elements"] += tensor.numel() == 0
    too_few = {kind: seen[kind] for kind, count in AT_LEAST.items() if seen[kind] < count}
    assert not too_few


def random_array(rng):
    """Contiguous, then perhaps transposed, then perhaps with axes turned round."""
    shape = [int(size) for size in rng.choice([1, 2, 3, 4], size=rng.integers(1, 5))]
    array = np.zeros(shape).transpose(rng.permutation(len(shape)) if rng.random() < 0.5 else None)
    steps = rng.choice([1, -1], size=len(shape)) if rng.random() < 0.5 else [-1] * len(shape)
    return array[tuple(slice(None, None, int(step)) for step in steps)]


def numpy_says(array, new_shape):
    """In elements, as ours are."""
    try:
        return tuple(stride // array.itemsize for stride in array.reshape(new_shape, copy=False).strides)
    except ValueError as error:
        return "copy" if "creating a copy" in str(error) else "other"


def test_two_thousand_views_of_numpy():
    """The same rule, with negative strides as well, which torch does not have. Its axes of size 1 have other ones."""
    rng, seen = np.random.default_rng(1), Counter()
    for _ in range(2000):
        array = random_array(rng)
        new_shape = [abs(size) if size < -1 else size for size in random_new_shape(rng, array.shape)]  # −2 is −1 there
        strides = tuple(stride // array.itemsize for stride in array.strides)
        ours, theirs = we_say(array.shape, strides, new_shape), numpy_says(array, new_shape)
        if isinstance(theirs, tuple):
            sizes = np.zeros(array.shape).reshape(new_shape).shape
            kept = [axis for axis, size in enumerate(sizes) if size > 1]
            assert [ours[axis] for axis in kept] == [theirs[axis] for axis in kept], (array.shape, strides, new_shape)
        else:
            assert (ours == "copy") == (theirs == "copy"), (array.shape, strides, new_shape)
        seen["view" if isinstance(theirs, tuple) else theirs] += 1
        seen["backwards"] += isinstance(ours, tuple) and min(ours, default=0) < 0
    assert seen["view"] > 1000, seen
    assert seen["copy"] > 300, seen
    assert seen["backwards"] > 300, seen
