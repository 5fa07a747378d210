"""Refuse a bad argument with a sentence that names it and says what it was."""

import numpy as np


def as_vector(name: str, value: object) -> np.ndarray:
    """The argument as a one-dimensional array.

    Raises:
        ValueError: It has another number of axes, or nothing in it.
    """
    array = np.asarray(value)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty: there is nothing to measure")
    return array


def require_same_length(**arrays: np.ndarray) -> None:
    """Refuse arrays whose first axes differ.

    Raises:
        ValueError: Two lengths differ.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        described = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"lengths differ: {described}; give one entry per sample in each")


def require_finite(name: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity in an array of numbers.

    Raises:
        ValueError: An entry is not finite.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        index = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(f"{name}[{index}] is {array.flat[index]}: every entry must be a finite number")
