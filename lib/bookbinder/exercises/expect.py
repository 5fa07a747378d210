"""What a check says: this was called, this came back, that was expected, and there is where to look.

A check is a function of the reader's answer and a random generator. It calls the answer, and compares what comes back
with something that it did not get from the answer:

    def check(answer, rng):
        expect(answer([1, 0], [0.9, 0.4]), equals=1.0, look="the one pair is won")
        expect_error(ValueError, answer, [1, 1], [0.9, 0.4], look="without negatives there is no pair")
"""

import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

import numpy as np

from bookbinder.exercises.values import as_array

_NUMERIC = "biufc"  # kinds of NumPy's dtypes
_LONGEST = 2000  # of what is shown of a value


class _InOrder(reprlib.Repr):
    """Dictionaries as they were filled, not sorted: an answer may depend on the order."""

    def repr_dict(self, x: dict, level: int) -> str:
        keys = islice(x, self.maxdict * (level > 0))
        pairs = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in keys]
        return "{" + ", ".join(pairs + ["..."] * (len(x) > len(pairs))) + "}"


_shown = _InOrder()
_shown.maxlist = _shown.maxtuple = _shown.maxdict = _shown.maxset = 12
_shown.maxstring = _shown.maxother = 400


@dataclass
class Trace:
    """What a check has done so far: how many calls of the answer, and the last of them."""

    calls: int = 0
    called: str = ""

    def record(self, name: str, args: Sequence, kwargs: Mapping) -> None:
        """Note one call."""
        self.calls += 1
        parts = [show(value) for value in args] + [f"{key}={show(value)}" for key, value in kwargs.items()]
        self.called = f"{name}({', '.join(parts)})"


TRACE = Trace()  # one check runs at a time in a process


class ExpectationError(AssertionError):
    """What came back is not what was expected; or nothing came back, because the answer raised an error."""

    def __init__(self, *, returned: str = "", raised: str = "", expected: str = "", namely: str = "", look: str = ""):
        self.called, self.returned, self.raised = TRACE.called, returned, raised
        self.expected, self.namely, self.look = expected, namely, look
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """The failure for people, a line for each thing known."""
        parts = {name: getattr(self, name) for name in ("called", "returned", "raised", "expected", "namely")}
        known = [(label, text) for label, text in {**parts, "look at": self.look}.items() if text]
        return [f"{label:<8}  {text}".replace("\n", "\n" + 10 * " ") for label, text in known]


class AnswerError(Exception):
    """The answer raised an error of its own.

    Attributes:
        kinds: The names of the error's class and of the classes above it.
        message: What the error said.
        place: Where in the answer, with the line.
    """

    def __init__(self, kinds: Sequence[str], message: str, place: str = ""):
        self.kinds, self.message, self.place = tuple(kinds), message, place
        super().__init__(self.described())

    def described(self) -> str:
        """Kind, message and place on one or two lines."""
        said = f"{self.kinds[0]}: {self.message}" if self.message else self.kinds[0]
        return f"{said}\n{self.place}" if self.place else said


class Raised:
    """Stands where a value should be when the answer raised an error, until somebody wants to use the value.

    So a check can be told what was expected in place of the error.
    """

    def __init__(self, error: AnswerError):
        self._error, self.is_known = error, False  # to the check

    @property
    def error(self) -> AnswerError:
        """What was raised; whoever asks knows of it."""
        self.is_known = True
        return self._error

    def _again(self, *_: object) -> NoReturn:
        raise self.error

    __getattr__ = __getitem__ = __iter__ = __len__ = __call__ = __contains__ = _again
    __array__ = __bool__ = __float__ = __int__ = __index__ = __abs__ = __neg__ = _again
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _again
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = _again


def expect(returned: object, *, equals: object, within: float = 1e-9, look: str) -> None:
    """Compare what the answer returned with what is right.

    Numbers and arrays agree when their shapes do, and |returned − expected| ≤ within · (1 + |expected|) everywhere.
    Sequences agree item by item, everything else by `==`. A tensor of torch counts as the array of its numbers.

    Args:
        returned: What the answer gave back.
        equals: What is right, computed without the answer.
        within: The tolerance, relative to large numbers and absolute for small ones.
        look: What the reader should look at when the two differ.

    Raises:
        ExpectationError: They differ.
    """
    equals = without_tensors(equals)
    if isinstance(returned, Raised):
        raise ExpectationError(raised=returned.error.described(), expected=show(equals), look=look)
    returned = without_tensors(returned)
    if not agree(returned, equals, within):
        namely = difference(returned, equals, within)
        raise ExpectationError(returned=show(returned), expected=show(equals), namely=namely, look=look)


def require(holds: object, *, that: str, look: str, returned: object = None) -> None:
    """Demand a property of what the answer returned, where no single value is right.

    Args:
        holds: Whether it has the property.
        that: The property, as it would follow "expected".
        look: What the reader should look at when it has not.
        returned: What came back, to be shown.

    Raises:
        ExpectationError: It has not.
    """
    if isinstance(returned, Raised):
        raise ExpectationError(raised=returned.error.described(), expected=that, look=look)
    if holds is not True and not (isinstance(holds, np.bool_) and bool(holds)):
        raise ExpectationError(returned="" if returned is None else show(returned), expected=that, look=look)


def expect_error(kind: type[Exception], answer: Callable, /, *args: object, look: str, **kwargs: object) -> None:
    """Call the answer with arguments that it has to refuse.

    Args:
        kind: The error it has to raise.
        answer: The reader's function.
        args: Passed on to it.
        look: Why these arguments make no sense.
        kwargs: Passed on to it.

    Raises:
        ExpectationError: It returned something, or raised another error.
    """
    expected = f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"
    try:
        returned = answer(*args, **kwargs)
    except AnswerError as error:
        returned = Raised(error)
    if not isinstance(returned, Raised):
        raise ExpectationError(returned=show(returned), expected=expected, look=look)
    if kind.__name__ not in returned.error.kinds:
        raise ExpectationError(raised=returned.error.described(), expected=expected, look=look)


def without_tensors(value: Any) -> Any:
    """The value with NumPy's arrays in place of torch's tensors, also inside lists, tuples and dictionaries."""
    if type(value) in (list, tuple):
        return type(value)(without_tensors(item) for item in value)
    if type(value) is dict:
        return {key: without_tensors(item) for key, item in value.items()}
    return as_array(value)


def agree(returned: object, expected: object, within: float = 1e-9) -> bool:
    """Whether two values are the same up to a tolerance; a truth value is no number, and NaN agrees only with NaN."""
    if isinstance(expected, Mapping):
        if not isinstance(returned, Mapping) or set(returned) != set(expected):
            return False
        return all(agree(returned[key], expected[key], within) for key in expected)
    left, right = _numbers(returned), _numbers(expected)
    if left is not None and right is not None:
        if left.shape != right.shape or (left.size and (left.dtype.kind == "b") != (right.dtype.kind == "b")):
            return False
        with np.errstate(all="ignore"):  # infinities are compared by ==
            tolerance = within * (1 + np.abs(right * 1.0))  # as floats: 1 + 255 is 0 in eight bits
            close = np.isfinite(right) & (np.abs(left * 1.0 - right) <= tolerance)
        return bool(np.all(close | (left == right) | ((left != left) & (right != right))))
    if isinstance(returned, np.ndarray) and isinstance(expected, np.ndarray):
        return returned.shape == expected.shape and bool(np.all(returned == expected))
    if isinstance(returned, np.ndarray):
        return agree(returned.tolist(), expected, within)
    if isinstance(expected, np.ndarray):
        return agree(returned, expected.tolist(), within)
    if isinstance(expected, list | tuple):
        if not isinstance(returned, list | tuple) or len(returned) != len(expected):
            return False
        return all(agree(a, b, within) for a, b in zip(returned, expected, strict=True))
    alike = type(returned) is type(expected) or (isinstance(returned, str) and isinstance(expected, str))
    return alike and bool(returned == expected)


def difference(returned: object, expected: object, within: float, place: str = "") -> str:
    """Where two values differ, for people; empty where their reports say all there is to say."""
    left, right = _numbers(returned), _numbers(expected)
    if isinstance(expected, Mapping) and isinstance(returned, Mapping):
        if set(returned) != set(expected):
            return f"the keys are to be {show(list(expected))}"
        wrong = next(key for key in expected if not agree(returned[key], expected[key], within))
        return difference(returned[wrong], expected[wrong], within, f"{place}[{wrong!r}]")
    if left is not None and right is not None and left.shape == right.shape and _form(0, left) == _form(0, right):
        if left.ndim == 0 and not place:
            return ""
        wrong = next(i for i in np.ndindex(left.shape) if not agree(left[i], right[i], within))
        spot = place + (f"[{', '.join(map(str, wrong))}]" if wrong else "")
        return f"{spot} is {show(left[wrong])}, and {show(right[wrong])} is right"
    given, wanted = _form(returned, left), _form(expected, right)
    return f"{place or 'it'} is {given}, not {wanted}" if given != wanted else ""


def _form(value: object, numbers: np.ndarray | None) -> str:
    """What kind of thing a value is."""
    if numbers is not None:
        what = "truth value" if numbers.dtype.kind == "b" else "number"
        return f"one {what}" if numbers.ndim == 0 else f"an array of {' × '.join(map(str, numbers.shape))} {what}s"
    names = {str: "a text", type(None): "None", list: "a list", tuple: "a tuple"}
    return "a dictionary" if isinstance(value, Mapping) else names.get(type(value), "an object of another kind")


def show(value: object) -> str:
    """A value as a reader would write it, cut where it is long."""
    value = _without_numpy(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, np.ndarray):
        with np.printoptions(threshold=120, edgeitems=3, precision=10, linewidth=100):
            return plain(repr(value))
    return plain(_shown.repr(value))


def _without_numpy(value: Any, depth: int = 4) -> Any:
    """A value with Python's own numbers in place of NumPy's, also inside containers: 1.5 and not np.float64(1.5)."""
    if isinstance(value, np.generic):
        return value.item()
    if depth and type(value) in (list, tuple):
        return type(value)(_without_numpy(item, depth - 1) for item in value)
    if depth and type(value) is dict:
        return {key: _without_numpy(item, depth - 1) for key, item in value.items()}
    return value


def plain(text: str, longest: int = _LONGEST) -> str:
    """A text that may have any content, made fit to be shown: cut, and without what a terminal would obey."""
    cut = text if len(text) <= longest else f"{text[:longest]}…"
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in cut)


def _numbers(value: object) -> np.ndarray | None:
    """The value as an array of numbers or of truth values, or None if it is something else or a mixture of the two."""
    if isinstance(value, str | bytes | Mapping) or value is None:
        return None
    try:
        if isinstance(value, list | tuple) and not _only_numbers(value):
            return None
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError):  # lists of unequal length
        return None
    return array if array.dtype.kind in _NUMERIC else None


def _only_numbers(values: list | tuple) -> bool:
    """Whether lists hold nothing but numbers, or nothing but truth values.

    They are looked through first, because in an array of texts every item takes as much memory as the longest.
    """
    items = list(np.asarray(values, dtype=object).flat)
    truths = sum(isinstance(item, bool | np.bool_) for item in items)
    return truths in (0, len(items)) and all(
        isinstance(item, int | float | complex | np.number | np.bool_) for item in items
    )
