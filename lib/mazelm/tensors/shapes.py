"""What shape and strides come out, found without touching an element.

A shape says how many elements lie along each axis. Strides say how far, in elements, one step along each axis moves
through the storage. Tensors of torch follow these rules, with axes of size 0 and 1 and strides of 0 included.

Source: Harris et al. (2020) for strides and broadcasting; the semantics of `Tensor.view` in the PyTorch documentation.

Left out: negative strides are taken as they come, although torch has none, and nothing here knows the size of an
element or of the storage (`strides.py` does).
"""

import math
from collections.abc import Sequence
from operator import index
from typing import NamedTuple, SupportsIndex


class Run(NamedTuple):
    """Neighbouring axes that walk through the storage in equal steps, like one long axis."""

    first_axis: int
    size: int  # elements along all its axes together
    step: int  # from one of them to the next, in elements


def contiguous_strides(shape: Sequence[SupportsIndex]) -> tuple[int, ...]:
    """The strides of a tensor whose elements lie one after another, the last axis fastest.

        strideᵢ = Πⱼ max(sizeⱼ, 1),    j > i

    An axis of size 0 counts as 1: it has no element to walk over, but the strides before it stay positive.

    Args:
        shape: Size of each axis, at least 0.

    Raises:
        ValueError: A size is negative.
    """
    sizes = _checked_sizes("shape", shape)
    return tuple(math.prod(max(size, 1) for size in sizes[axis + 1 :]) for axis in range(len(sizes)))


def broadcast_shapes(*shapes: Sequence[SupportsIndex]) -> tuple[int, ...]:
    """The shape on which all of these meet.

    Line the shapes up at their last axis, and put 1 where a shorter one has none. On each axis, all sizes that are not
    1 must be the same, and that size is the result's; if all are 1, it is 1. A size of 0 is no exception: against 1 it
    gives 0, against 2 it is refused.

    Args:
        shapes: Any number of shapes; none gives (), the shape of a number.

    Raises:
        ValueError: A size is negative, or two sizes on one axis differ and neither is 1.
    """
    checked = [_checked_sizes("shape", shape) for shape in shapes]
    result: list[int] = []
    for axis in range(-1, -1 - max(map(len, checked), default=0), -1):
        met = {sizes[axis]: None for sizes in checked if len(sizes) >= -axis}  # a set that keeps the order
        others = [size for size in met if size != 1]
        if len(others) > 1:
            raise ValueError(
                f"shapes {', '.join(map(str, checked))} do not broadcast: "
                f"sizes {others[0]} and {others[1]} meet on axis {axis}, and neither is 1"
            )
        result.append(others[0] if others else 1)
    return tuple(reversed(result))


def view_shape(
    shape: Sequence[SupportsIndex], strides: Sequence[SupportsIndex], new_shape: Sequence[SupportsIndex]
) -> tuple[int, ...]:
    """The strides with which the same storage shows the same elements in the same order, in a new shape.

    Two neighbouring axes are contiguous with one another when the left one takes over where the right one ends:

        strideᵢ = sizeᵢ₊₁ · strideᵢ₊₁

    Then both walk in equal steps, like one axis of sizeᵢ · sizeᵢ₊₁ elements. A *run* is the longest row of axes that
    join like this. Inside a run axes may be merged and split freely; a new axis that reaches across the border of two
    runs would need two different steps, and only a copy can give it one. So a view exists if the new axes, from the
    last one on, fill one run after the other exactly.

    An axis of size 1 never takes a step: it joins the run at its right, whatever its stride. Without elements any
    strides will do: those of the old shape if it stays the same, else contiguous ones.

    Args:
        shape: Size of each axis.
        strides: Elements in the storage from one index to the next, for each axis.
        new_shape: Size of each new axis. One of them may be −1: what is left for it.

    Returns:
        The stride of each new axis, in elements.

    Raises:
        ValueError: The sizes do not fit ("does not fit", "ambiguous", "more than one −1"), or they fit and the
            layout does not ("needs a copy").
    """
    old, steps = _checked_sizes("shape", shape), _whole_numbers("strides", strides)
    if len(steps) != len(old):
        raise ValueError(f"strides={steps} must have one entry per axis of shape {old}")
    new = _filled_in(old, new_shape)
    if 0 in old:
        return steps if new == old else contiguous_strides(new)
    to_place, result = list(new), []
    for run in _runs(old, steps):
        covered = 1  # elements of this run that the new axes placed in it walk over
        while to_place and (covered < run.size or to_place[-1] == 1):
            result.append(covered * run.step)
            covered *= to_place.pop()
        if covered != run.size:
            raise ValueError(f"new_shape={new} needs a copy: {_described_border(old, steps, run)}")
    return tuple(reversed(result))


def _runs(shape: tuple[int, ...], strides: tuple[int, ...]) -> list[Run]:
    """The runs of a tensor with elements, the last axes first."""
    if not shape:
        return [Run(first_axis=0, size=1, step=1)]
    runs = [Run(first_axis=len(shape) - 1, size=shape[-1], step=strides[-1])]
    for axis in range(len(shape) - 2, -1, -1):
        run = runs[-1]
        if shape[axis] == 1 or strides[axis] == run.size * run.step:
            runs[-1] = Run(axis, shape[axis] * run.size, run.step)
        else:
            runs.append(Run(axis, shape[axis], strides[axis]))
    return runs


def _described_border(shape: tuple[int, ...], strides: tuple[int, ...], run: Run) -> str:
    """Why the axis to the left of a run does not join it."""
    left, wanted = run.first_axis - 1, run.size * run.step
    return (
        f"in shape {shape} with strides {strides}, a step on axis {left} moves by {strides[left]}; "
        f"merged with axis {run.first_axis} it would have to move by {run.size}·{run.step} = {wanted}"
    )


def _filled_in(shape: tuple[int, ...], new_shape: Sequence[SupportsIndex]) -> tuple[int, ...]:
    """The new shape with its −1 worked out, or an error if it holds another number of elements."""
    new, count = _whole_numbers("new_shape", new_shape), math.prod(shape)
    if any(size < -1 for size in new):
        raise ValueError(f"new_shape={new} must hold sizes of at least 0, and at most one −1")
    if new.count(-1) > 1:
        raise ValueError(f"new_shape={new} has more than one −1: only one size can be worked out")
    known = math.prod(size for size in new if size != -1)
    if -1 in new and known == count == 0:
        raise ValueError(f"new_shape={new} is ambiguous: shape {shape} has no elements, and −1 could be any size")
    fits = known == count if -1 not in new else known > 0 and count % known == 0
    if not fits:
        raise ValueError(f"new_shape={new} does not fit the {count} elements of shape {shape}")
    return tuple(count // known if size == -1 else size for size in new)


def _checked_sizes(name: str, shape: Sequence[SupportsIndex]) -> tuple[int, ...]:
    sizes = _whole_numbers(name, shape)
    if any(size < 0 for size in sizes):
        raise ValueError(f"{name}={sizes} must hold sizes of at least 0")
    return sizes


def _whole_numbers(name: str, values: Sequence[SupportsIndex]) -> tuple[int, ...]:
    try:
        return tuple(map(index, values))  # NumPy's integers as well, and 2.0 not
    except TypeError:
        raise ValueError(f"{name}={values!r} must be a sequence of whole numbers") from None
