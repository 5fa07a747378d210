"""Values on their way back from an answer's process: written there, and read here without trusting a byte.

Pickle would let the sender run code in the receiver. This is JSON with tags, and knows nothing but data: numbers, text,
containers, NumPy's arrays, torch's tensors (which arrive as arrays), and the data classes and named tuples of the
book's own packages. What it cannot write stays where it is, and the receiver gets a handle with which to call it.
"""

import base64
import dataclasses
import importlib
import json
import math
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

PACKAGES = ("mazelm", "mazes")  # whose records are known on both sides
MESSAGE_BYTES = 16 << 20  # the longest: what is read takes a multiple of this, whatever is in it
_KINDS = "biufcSUmM"
_DICTS = (dict, Counter, OrderedDict, defaultdict)
_COLLISIONS = 1000


class ForgedError(ValueError):
    """What arrived is not a value that this module wrote."""


def write(value: object, keep: Callable[[object], int]) -> bytes:
    """A value as bytes.

    Args:
        value: Anything.
        keep: Stores an object that cannot be written and returns the number of its handle.

    Raises:
        ValueError: It takes too many bytes.
    """
    data = json.dumps(_packed(value, keep)).encode()
    _require_short(len(data))
    return data


def read(data: bytes, handle: Callable[[int, str], object]) -> Any:
    """The value of some bytes.

    Args:
        data: What `write` made, or what somebody forged.
        handle: Makes what stands for an object that was kept, from its number and its description.

    Raises:
        ForgedError: The bytes are no value.
    """
    try:
        return _unpacked(json.loads(data), handle)
    except ForgedError:
        raise
    except Exception as error:  # whatever a forger can provoke, recursion and absurd sizes included
        raise ForgedError(f"{type(error).__name__}: {error}") from error


def _packed(value: Any, keep: Callable[[object], int]) -> object:
    def items(values: Any) -> list[object]:
        return [_packed(item, keep) for item in values]

    if value is None or type(value) in (bool, int, float, str):
        return value
    value = as_array(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in _KINDS:
        array = np.asarray(value)
        _require_short(array.nbytes)
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        return {"t": "array" if isinstance(value, np.ndarray) else "scalar", "v": [array.dtype.str, array.shape, data]}
    if isinstance(value, Fraction | Decimal):
        return float(value)  # as right as any other way to write a number
    if type(value) is complex:
        return {"t": "complex", "v": [value.real, value.imag]}
    if type(value) in (list, tuple, set, frozenset):
        return {"t": type(value).__name__, "v": items(value)}
    if type(value) in _DICTS:
        return {"t": "dict", "v": [items(pair) for pair in value.items()]}
    record = type(value)
    if record.__module__.split(".")[0] in PACKAGES and _field_names(record):
        fields = {name: _packed(getattr(value, name), keep) for name in _field_names(record)}
        return {"t": "record", "v": [record.__module__, record.__qualname__, fields]}
    return {"t": "handle", "v": [keep(value), f"{type(value).__name__} object"]}


def as_array(value: Any) -> Any:
    """A tensor of torch as an array of NumPy, without its history, and a shape as a tuple; anything else as it is."""
    torch = sys.modules.get("torch")  # who has a tensor has imported it
    if torch is None or not isinstance(value, torch.Tensor | torch.Size):
        return value
    if isinstance(value, torch.Size):
        return tuple(value)
    value = value.detach().cpu().resolve_conj().resolve_neg()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()  # NumPy has no bfloat16


def _require_short(size: int) -> None:
    if size > MESSAGE_BYTES:
        raise ValueError(f"a value may take {MESSAGE_BYTES >> 20} MB, not {size / 2**20:.0f}")


def _unpacked(packed: Any, handle: Callable[[int, str], object]) -> Any:
    if packed is None or isinstance(packed, bool | int | float | str):
        return packed
    kind, value = packed["t"], packed["v"]
    if kind in ("list", "tuple", "set", "frozenset"):
        items = [_unpacked(item, handle) for item in value]
        makers = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
        return makers[kind](_scattered(items) if "set" in kind else items)
    if kind == "dict":
        keys = _scattered([_unpacked(key, handle) for key, _ in value])
        return dict(zip(keys, [_unpacked(item, handle) for _, item in value], strict=True))
    if kind == "complex":
        return complex(*value)
    if kind in ("array", "scalar"):
        dtype, shape = np.dtype(value[0][:20]), tuple(value[1])
        data = base64.b64decode(value[2], validate=True)
        if dtype.kind not in _KINDS or math.prod(shape) * dtype.itemsize != len(data):
            raise ForgedError(f"an array of {dtype} and shape {shape} does not have {len(data)} bytes")
        array = np.frombuffer(data, dtype).reshape(shape).copy()  # refuses items of no bytes, of which any many fit
        return array if kind == "array" else array[()]
    if kind == "record":
        return _record(value[0], value[1])(**{name: _unpacked(item, handle) for name, item in value[2].items()})
    if kind == "handle" and isinstance(value[0], int):
        return handle(value[0], str(value[1])[:200])
    raise ForgedError(f"no value is of the kind {kind!r}")


def _scattered(keys: list) -> list:
    """The keys, unless so many of them have one hash that a table of them would take hours."""
    hashes = sorted(hash(key) for key in keys)
    if any(a == b for a, b in zip(hashes, hashes[_COLLISIONS:], strict=False)):
        raise ForgedError(f"more than {_COLLISIONS} keys have the same hash")
    return keys


def _record(module: str, name: str) -> Callable[..., object]:
    """A data class or named tuple of the book's packages; nothing else may be made."""
    if module.split(".")[0] not in PACKAGES:
        raise ForgedError(f"{module} is not a package of the book")
    found = getattr(importlib.import_module(module), name)
    if not (isinstance(found, type) and found.__module__ == module and _field_names(found)):
        raise ForgedError(f"{module}.{name} is no record")
    return found


def _field_names(record: type) -> tuple[str, ...]:
    if dataclasses.is_dataclass(record):
        return tuple(field.name for field in dataclasses.fields(record) if field.init)
    return getattr(record, "_fields", ()) if issubclass(record, tuple) else ()
