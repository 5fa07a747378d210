"""Reverse-mode automatic differentiation on NumPy arrays.

Every operation makes a new tensor that remembers its parents, and for each of them a vector-Jacobian product: the
function that turns ∂L/∂result into a share of ∂L/∂parent. `backward` walks the graph once, from the result to the
leaves, and adds the shares up. Left out: devices, operations in place, derivatives of derivatives.

Source: Linnainmaa (1976); Baydin et al. (2018), section 3.2. Names, and relu′(0) = 0, are torch's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

ArrayLike = np.ndarray | np.generic | Sequence | float | int
Vjp = Callable[[np.ndarray], Any]  # vector-Jacobian product: gradient of the result → gradient of one parent
Axis = int | tuple[int, ...] | None
_recording = True


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without a graph inside this block: results do not require gradients."""
    global _recording
    before, _recording = _recording, False
    try:
        yield
    finally:
        _recording = before


def _reflected(operation: Callable) -> Callable:
    """The operation for `number - tensor`, from that for `tensor - number`."""
    return lambda self, other: operation(_lifted(other, self), self)


class Tensor:
    """An array that remembers how it was computed. It shares the memory of a float array that it is made from."""

    __array_ufunc__ = None  # so that array + tensor is left to __radd__

    def __init__(self, data: ArrayLike, requires_grad: bool = False):
        array = np.asarray(data)
        self.data = array if array.dtype == np.float32 else array.astype(np.float64, copy=False)
        self.grad: np.ndarray | None = None  # of a leaf: ∂L/∂data. Every backward adds to it, until it is None again
        self.requires_grad = requires_grad  # whether gradients flow to it, or through it
        self.parents: tuple[Tensor, ...] = ()  # what it was computed from: nothing, for a leaf
        self.operation = ""  # the name of what computed it
        self._vjps: tuple[Vjp, ...] = ()

    def __repr__(self) -> str:
        return f"Tensor({self.data.tolist()}, requires_grad={self.requires_grad}, operation={self.operation!r})"

    shape = property(lambda self: self.data.shape)
    ndim = property(lambda self: self.data.ndim)
    T = property(lambda self: self.transpose())

    def item(self) -> float:
        """The one number of a tensor with one element."""
        return self.data.item()

    def detach(self) -> "Tensor":
        """The same numbers as a constant: no gradient flows back through it. Shares memory."""
        return Tensor(self.data)

    @np.errstate(divide="ignore", invalid="ignore")  # an infinite slope is infinite, and no mistake
    def backward(self, gradient: ArrayLike | None = None) -> None:
        """Add ∂L/∂leaf to `grad` of every leaf that this tensor was computed from.

            ∂L/∂parent = Σ over children of  (∂L/∂child)·(∂child/∂parent)

        Args:
            gradient: ∂L/∂self, in the shape of self. A tensor with one element may be L itself, and needs none.

        Raises:
            ValueError: Nothing here requires gradients, or the gradient is missing or of another shape.
        """
        if not self.requires_grad:
            raise ValueError("this tensor does not require gradients: nothing that it was computed from does")
        is_loss = gradient is None and self.data.size == 1
        start = np.ones_like(self.data) if is_loss else np.asarray(gradient, dtype=self.data.dtype)
        if start.shape != self.shape:
            raise ValueError(f"a tensor of shape {self.shape} needs backward(gradient) with a gradient of that shape")
        waiting = {id(self): start}
        for tensor in reversed(topological_order(self)):  # every child of a tensor comes before it
            arrived = np.asarray(waiting.pop(id(tensor)))  # NumPy makes numbers of arrays without axes
            if not tensor.parents:
                tensor.grad = np.array(arrived if tensor.grad is None else tensor.grad + arrived)
            for parent, vjp in zip(tensor.parents, tensor._vjps, strict=True):
                if parent.requires_grad:
                    share = _summed_to(np.asarray(vjp(arrived), dtype=parent.data.dtype), parent.shape)
                    waiting[id(parent)] = waiting[id(parent)] + share if id(parent) in waiting else share

    def __add__(self, other: "Tensor | ArrayLike") -> "Tensor":
        a, b = self, _lifted(other, self)
        return _node("+", a.data + b.data, (a, lambda g: g), (b, lambda g: g))

    def __mul__(self, other: "Tensor | ArrayLike") -> "Tensor":
        a, b = self, _lifted(other, self)
        return _node("*", a.data * b.data, (a, lambda g: g * b.data), (b, lambda g: g * a.data))

    def __truediv__(self, other: "Tensor | ArrayLike") -> "Tensor":
        a, b = self, _lifted(other, self)
        return _node("/", a.data / b.data, (a, lambda g: g / b.data), (b, lambda g: -g * a.data / b.data**2))

    def __pow__(self, other: "Tensor | ArrayLike") -> "Tensor":
        a, b = self, _lifted(other, self)
        power = a.data**b.data
        by_base = (a, lambda g: np.where(b.data == 0, 0, g * b.data * a.data ** (b.data - 1)))  # x⁰ = 1, at x = 0 too
        by_exponent = (b, lambda g: np.where((a.data == 0) & (b.data >= 0), 0, g * power * np.log(a.data)))
        return _node("**", power, by_base, by_exponent)

    def __matmul__(self, other: "Tensor | ArrayLike") -> "Tensor":
        a, b = self, _lifted(other, self)
        if a.ndim == 1:  # a vector on the left is a row, whose axis leaves the product again
            return (a.reshape(1, -1) @ b)[(..., 0) if b.ndim == 1 else (..., 0, slice(None))]
        if b.ndim == 1:  # and on the right a column
            return (a @ b.reshape(-1, 1))[..., 0]
        return _node("@", a.data @ b.data, (a, lambda g: g @ b.data.mT), (b, lambda g: a.data.mT @ g))

    def __neg__(self) -> "Tensor":
        return self * -1

    def __sub__(self, other: "Tensor | ArrayLike") -> "Tensor":
        a, b = self, _lifted(other, self)
        return _node("-", a.data - b.data, (a, lambda g: g), (b, lambda g: -g))

    __radd__, __rmul__ = __add__, __mul__
    __rsub__, __rtruediv__, __rpow__, __rmatmul__ = map(_reflected, (__sub__, __truediv__, __pow__, __matmul__))

    def exp(self) -> "Tensor":
        """The exponential of every element."""
        power = np.exp(self.data)
        return _node("exp", power, (self, lambda g: g * power))

    def log(self) -> "Tensor":
        """The natural logarithm of every element."""
        return _node("log", np.log(self.data), (self, lambda g: g / self.data))

    def tanh(self) -> "Tensor":
        """The hyperbolic tangent of every element; tanh′ = 1 − tanh²."""
        squashed = np.tanh(self.data)
        return _node("tanh", squashed, (self, lambda g: g * (1 - squashed**2)))

    def relu(self) -> "Tensor":
        """Every element, or 0 where it is negative."""
        return _node("relu", np.maximum(self.data, 0), (self, lambda g: g * (self.data > 0)))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The sum over all elements, or along an axis or several."""
        by_terms = (self, lambda g: np.broadcast_to(_kept(g, axis, keepdims), self.shape))
        return _node("sum", self.data.sum(axis=axis, keepdims=keepdims), by_terms)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> "Tensor":
        """The mean over all elements, or along an axis or several. The mean of nothing raises ValueError."""
        count = np.prod(self.shape if axis is None else np.take(self.shape, axis))
        if count == 0:
            raise ValueError(f"a tensor of shape {self.shape} has nothing along axis={axis} to take the mean of")
        return self.sum(axis, keepdims) / float(count)

    def logsumexp(self, axis: Axis = -1, keepdims: bool = False) -> "Tensor":
        """Along an axis, log Σ exp(x) = m + log Σ exp(x − m), where m = max x so that nothing overflows."""
        peak = self.data.max(axis=axis, keepdims=True, initial=-np.inf)
        peak = np.where(np.isfinite(peak), peak, 0)  # −∞ − −∞ is not a number
        with np.errstate(divide="ignore"):  # log 0 = −∞ is the right answer where every element is −∞
            kept = peak + np.log(np.exp(self.data - peak).sum(axis=axis, keepdims=True))
        by_terms = (self, lambda g: _kept(g, axis, keepdims) * np.exp(self.data - kept))
        return _node("logsumexp", kept if keepdims else kept.squeeze(axis), by_terms)

    def reshape(self, *shape: Any) -> "Tensor":
        """The same elements in the same order, in another shape; one length may be −1."""
        return _node("reshape", self.data.reshape(*shape), (self, lambda g: g.reshape(self.shape)))

    def transpose(self, *axes: int) -> "Tensor":
        """The axes in another order; without arguments, in reverse (NumPy's rule)."""
        order = np.arange(self.ndim)[list(axes)] if axes else np.arange(self.ndim)[::-1]
        return _node("transpose", self.data.transpose(order), (self, lambda g: g.transpose(np.argsort(order))))

    def __getitem__(self, index: Any) -> "Tensor":
        def by_source(g: np.ndarray) -> np.ndarray:
            whole = np.zeros_like(self.data)
            np.add.at(whole, index, g)  # not whole[index] += g, which counts an element once that was picked twice
            return whole

        return _node("[]", self.data[index], (self, by_source))


def softmax_cross_entropy(logits: Tensor, labels: ArrayLike) -> Tensor:
    """The mean cross-entropy of the labels under softmax(logits), in nats.

        L = mean over rows of (logsumexp(z) − z[label])        ∂L/∂z = (softmax(z) − onehot(label)) / N

    Args:
        logits: Scores, one row per sample, one column per class.
        labels: The column of the right class, for each row.

    Raises:
        ValueError: There is no row, the lengths differ, or a label is not the number of a column.
    """
    rows, picked = np.arange(len(logits.data)), np.asarray(labels)
    if logits.ndim != 2 or picked.shape != rows.shape or not rows.size:
        raise ValueError(f"logits {logits.shape} and labels {picked.shape} must be (N, K) and (N,), and N at least 1")
    if picked.min() < 0 or picked.max() >= logits.shape[1]:
        raise ValueError(f"labels must be 0 to {logits.shape[1] - 1}, got {picked.min()} to {picked.max()}")
    return (logits.logsumexp(axis=1) - logits[rows, picked]).mean()


def topological_order(tensor: Tensor) -> list[Tensor]:
    """All that this tensor was computed from and that requires gradients: parents before children, itself last."""
    order: list[Tensor] = []
    seen = {id(tensor)}  # and a stack, not recursion: a chain of operations may be longer than Python can call deep
    stack = [(tensor, iter(tensor.parents))]
    while stack:
        unseen = next((p for p in stack[-1][1] if p.requires_grad and id(p) not in seen), None)
        if unseen is None:
            order.append(stack.pop()[0])
        else:
            seen.add(id(unseen))
            stack.append((unseen, iter(unseen.parents)))
    return order


def _node(operation: str, data: ArrayLike, *shares: tuple[Tensor, Vjp]) -> Tensor:
    """The result of an operation, tied to its parents unless nobody will ask for gradients."""
    result = Tensor(data)
    if _recording and any(parent.requires_grad for parent, _ in shares):
        result.requires_grad, result.operation = True, operation
        result.parents, result._vjps = zip(*shares, strict=True)
    return result


def _lifted(value: "Tensor | ArrayLike", like: Tensor) -> Tensor:
    """The value as a tensor; a Python number takes the dtype of its partner."""
    dtype = like.data.dtype if isinstance(value, int | float) else None
    return value if isinstance(value, Tensor) else Tensor(np.asarray(value, dtype=dtype))


def _summed_to(gradient: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo broadcasting: an element that was used many times receives the sum of what its uses receive."""
    if gradient.shape == shape:
        return gradient
    new_axes = gradient.ndim - len(shape)
    stretched = [i for i, n in enumerate(shape, start=new_axes) if n == 1]
    return gradient.sum(axis=(*range(new_axes), *stretched), keepdims=True).reshape(shape)


def _kept(gradient: np.ndarray, axis: Axis, keepdims: bool) -> np.ndarray:
    """The gradient of a sum with the axes, of length 1, that the sum has dropped."""
    return gradient if keepdims or axis is None else np.expand_dims(gradient, axis)
