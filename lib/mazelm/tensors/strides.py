"""Where the elements of a tensor lie in memory, and whether two tensors share any of it.

A tensor is a strip of memory (the storage) and a rule for reading it: shape, strides, offset. All three are counted in
elements, as torch counts them; NumPy's strides, which are bytes, are divided by the size of an element. Nothing here
reads or moves an element.

Source: Harris et al. (2020) for the rule; the PyTorch documentation of `Tensor.stride` and `Tensor.is_contiguous`.

Left out: sparse tensors, which have no such rule, and tensors on the meta device, which have no memory. torch's other
memory formats, channels last among them, are layouts like any other, and not contiguous.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mazelm.tensors.shapes import contiguous_strides


@dataclass(frozen=True)
class Layout:
    """The rule by which a tensor's elements are found in its storage.

    Two layouts are equal if they are the same rule, whatever strips of memory they are applied to.

    Args:
        shape: Number of elements along each axis.
        strides: Places to walk through the storage for one step along each axis. 0 repeats; torch has no negative one.
        offset: Place of the first element, the one whose indices are all 0.
        item_bytes: Size of one place, in bytes.
        address: Where in the device's memory the storage begins, in bytes.
        device: On which device that is.

    Raises:
        ValueError: The strides are not one for each axis, a size is negative, an element would have no bytes, or one
            would lie before the storage begins.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    item_bytes: int = 1
    address: int = field(default=0, repr=False, compare=False)
    device: str = field(default="cpu", repr=False, compare=False)

    def __post_init__(self):
        if len(self.shape) != len(self.strides):
            raise ValueError(f"strides={self.strides} must have one entry for each axis of shape={self.shape}")
        if min(self.shape, default=0) < 0:
            raise ValueError(f"shape={self.shape} has a negative size")
        if self.item_bytes < 1:
            raise ValueError(f"item_bytes must be at least 1, got {self.item_bytes}")
        if self.offset < 0 or (0 not in self.shape and self.lowest < 0):
            raise ValueError(f"offset={self.offset} with strides={self.strides} begins before the storage does")

    @property
    def offsets(self) -> Int[np.ndarray, "..."]:
        """The place in the storage of every element, as an array of the tensor's own shape.

        place(i₀, …, iₙ₋₁) = offset + i₀·stride₀ + … + iₙ₋₁·strideₙ₋₁
        """
        places = np.array(self.offset)
        for size, stride in zip(self.shape, self.strides, strict=True):
            places = np.add.outer(places, stride * np.arange(size))
        return places

    @property
    def lowest(self) -> int:
        """The first place in the storage that holds an element: the offset, unless a stride is negative."""
        steps = zip(self.shape, self.strides, strict=True)
        return self.offset + sum((size - 1) * stride for size, stride in steps if stride < 0)

    @property
    def is_contiguous(self) -> bool:
        """Reading the elements in order, last index fastest, walks through the storage place by place.

        An axis with one element is never walked along, so its stride does not matter; with no element, no stride does.
        """
        if 0 in self.shape:
            return True
        steps = zip(self.shape, self.strides, contiguous_strides(self.shape), strict=True)
        return all(size == 1 or stride == wanted for size, stride, wanted in steps)

    def overlaps(self, other: "Layout") -> bool:
        """Whether at least one byte belongs to an element of this layout and to one of the other."""
        (own, own_bytes), (others, other_bytes) = _runs(self), _runs(other)
        # Runs that begin at s and at t have a byte in common where s − other_bytes < t < s + own_bytes.
        below = np.searchsorted(others, own - other_bytes, side="right")
        above = np.searchsorted(others, own + own_bytes, side="left")
        return self.device == other.device and bool((above > below).any())


def explain(tensor: Tensor | np.ndarray) -> Layout:
    """The layout of a tensor or an array, read off without touching its elements.

    A NumPy array does not know its storage. It is taken to begin where the array begins that owns the memory: the last
    one, or the torch tensor, in the chain of its bases.

    Args:
        tensor: A dense torch tensor with memory on any device, or a NumPy array.

    Raises:
        ValueError: It is neither of the two, or sparse, or on the meta device; or an array whose steps are no whole
            numbers of elements, such as one field of a record.
    """
    if isinstance(tensor, Tensor):
        return _explain_tensor(tensor)
    if isinstance(tensor, np.ndarray):
        return _explain_array(tensor)
    raise ValueError(f"tensor must be a torch.Tensor or a NumPy array, got a {type(tensor).__name__}")


def shares_memory(first: Tensor | np.ndarray, second: Tensor | np.ndarray) -> bool:
    """Whether the two have at least one byte of memory in common, so that a write to one can change the other.

    Exact, like NumPy's function of this name: two views of one storage that have no element in common, such as two
    columns of a matrix, share nothing. Elements of different size are compared byte by byte.

    Args:
        first: A tensor or an array.
        second: Another one, of any shape and dtype.

    Raises:
        ValueError: As for explain.
    """
    return explain(first).overlaps(explain(second))


def _runs(layout: Layout) -> tuple[Int[np.ndarray, " N"], int]:
    """Where each unbroken run of the elements' bytes begins, in ascending order, and how many bytes a run has."""
    run_bytes = layout.item_bytes
    if 0 in layout.shape:
        return np.zeros(0, dtype=np.int64), run_bytes
    starts = np.array(layout.address + layout.lowest * layout.item_bytes)
    for step, size in sorted(_steps(layout)):
        if step <= run_bytes:  # the next run begins inside this one or at its end
            run_bytes += step * (size - 1)
        else:
            starts = np.add.outer(starts, step * np.arange(size))
    return np.sort(starts.ravel()), run_bytes


def _steps(layout: Layout) -> Iterator[tuple[int, int]]:
    """For each axis, how far a step along it goes, in bytes and whichever way, and its size."""
    for size, stride in zip(layout.shape, layout.strides, strict=True):
        yield abs(stride) * layout.item_bytes, size


def _explain_tensor(tensor: Tensor) -> Layout:
    if tensor.layout is not torch.strided:
        raise ValueError(f"tensor must be dense, got a tensor of layout {tensor.layout}: it has no strides")
    if tensor.device.type == "meta":
        raise ValueError("tensor is on the meta device: it has a shape and no memory")
    return Layout(
        shape=tuple(tensor.shape),
        strides=tensor.stride(),
        offset=int(tensor.storage_offset()),
        item_bytes=tensor.element_size(),
        address=tensor.untyped_storage().data_ptr(),
        device=str(tensor.device),
    )


def _explain_array(array: np.ndarray) -> Layout:
    item_bytes, address = array.itemsize, _storage_address(array)
    first_byte = array.__array_interface__["data"][0] - address if array.size else 0  # with no element, no place
    if any(step % item_bytes for step in (first_byte, *array.strides)):
        raise ValueError(
            f"tensor has elements of {item_bytes} bytes, but begins at byte {first_byte} of its storage and has "
            f"strides of {array.strides} bytes: they must be whole numbers of elements"
        )
    return Layout(
        shape=array.shape,
        strides=tuple(step // item_bytes for step in array.strides),
        offset=first_byte // item_bytes,
        item_bytes=item_bytes,
        address=address,
    )


def _storage_address(array: np.ndarray) -> int:
    """The first byte of the array that owns the memory, at the end of the chain of bases."""
    owner, base = array, array.base
    while base is not None:
        if isinstance(base, Tensor):
            return base.untyped_storage().data_ptr()
        owner = base if isinstance(base, np.ndarray) else owner
        base = getattr(base, "base", None)
    return np.lib.array_utils.byte_bounds(owner)[0]
