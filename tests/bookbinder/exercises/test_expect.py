import math
import tracemalloc
import warnings
from typing import NamedTuple

import numpy as np
import pytest
import torch
from bookbinder.exercises import expect as expecting
from bookbinder.exercises.expect import (
    AnswerError,
    ExpectationError,
    Raised,
    agree,
    expect,
    expect_error,
    plain,
    require,
    show,
)


@pytest.fixture(autouse=True)
def _no_calls(monkeypatch):
    """As before the first call of an answer."""
    monkeypatch.setattr(expecting, "TRACE", expecting.Trace())


class Pair(NamedTuple):
    low: float
    high: float


NAN, INF = float("nan"), float("inf")
SAME = {
    "a whole number and a float": (2, 2.0),
    "a number and NumPy's": (np.float32(0.5), 0.5),
    "an array without axes": (np.array(3.0), 3),
    "a list and an array": ([1, 2], np.array([1.0, 2.0])),
    "a list and a tuple": ([1, 2], (1, 2)),
    "a tuple and a record of it": ((0.5, 1.0), Pair(0.5, 1.0)),
    "large numbers up to the tolerance": (1e12 + 100, 1e12),
    "small numbers up to the tolerance": (5e-10, 0.0),
    "eight bits, where 1 + 255 is 0": (255.00000001, np.array(255, dtype=np.uint8)),
    "unsigned, the smaller one first": (np.array([2], dtype=np.uint8), np.array([2 + 1e-12])),
    "the least of eight bits, whose absolute value is itself": (-128.00000001, np.array(-128, dtype=np.int8)),
    "NaN": (NAN, NAN),
    "NaN in an array": (np.array([1, NAN]), [1, NAN]),
    "an infinity": ([INF, -INF], [INF, -INF]),
    "complex numbers": (1 + 1e-12j, 1 + 0j),
    "truth values": (np.bool_(True), True),
    "arrays of truth values": (np.array([True, False]), [True, False]),
    "truth values beside numbers": ((True, 3), (True, 3.0)),
    "dictionaries, whatever their order": ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1}),
    "lists in lists, of unequal length": ([[1], [2, 3.0]], [[1.0], [2, 3]]),
    "text": ("maze", "maze"),
    "NumPy's text": (np.str_("maze"), "maze"),
    "numbers and arrays of one": ([1.0, np.array(2.0)], [1, 2]),
    "a table of texts in lists": (np.array([["a"], ["b"]]), [["a"], ["b"]]),
    "texts in a list and in an array": (["a", "b"], np.array(["a", "b"])),
    "nothing": (None, None),
    "sets": ({1, 2}, {2, 1}),
    "no number at all": ([], np.zeros(0)),
    "no truth value at all": ([], np.zeros(0, dtype=bool)),
}
DIFFERENT = {
    "a truth value and a number": (True, 1),
    "a number and a truth value": (1.0, True),
    "an array of truth values and one of numbers": (np.array([True]), np.array([1])),
    "numbers for a truth value beside a number": ((1, 3), (True, 3)),
    "a truth value for a number, deep inside": ([[True, 2], [3, 4]], [[1, 2], [3, 4]]),
    "another shape with the same numbers": (np.ones((2, 1)), np.ones((1, 2))),
    "a number and a list of it": ([2.0], 2.0),
    "one number for many": (1.0, np.ones(3)),
    "lists of unequal length": ([1, 2], [1, 2, 3]),
    "texts and their beginning": (["a", "b", "c"], ["a", "b"]),
    "texts and too few of them": (["a"], ["a", "b"]),
    "arrays of unequal length for texts": ([np.ones(1), np.ones(2)], np.array(["a", "b"])),
    "texts in another shape": (np.array(["a", "b"]), np.array([["a", "b"]])),
    "another text in an array": (np.array(["a", "b"]), np.array(["a", "c"])),
    "numbers for a truth value beside a number, in an array": (np.array([1, 3]), (True, 3)),
    "a ragged list for an array": ([[1], [2, 3]], np.ones((2, 2))),
    "a ragged list for an array of texts": ([["a"], ["b", "c"]], np.array([["a", "b"]])),
    "large numbers beyond the tolerance": (1e12 + 3000, 1e12),
    "small numbers beyond the tolerance": (2e-9, 0.0),
    "NaN for a number": (NAN, 1.0),
    "a number for NaN": (1.0, NAN),
    "a number for an infinity": (1e300, INF),
    "an infinity for a number": (INF, 1e300),
    "the other infinity": (-INF, INF),
    "one NaN in an array": (np.array([1, NAN]), np.array([1, 2])),
    "the other sign, unsigned": (np.array([1], dtype=np.uint8), np.array([2], dtype=np.uint8)),
    "a missing key": ({"a": 1}, {"a": 1, "b": 2}),
    "a key too many": ({"a": 1, "b": 2}, {"a": 1}),
    "another value of a key": ({"a": 1}, {"a": 2}),
    "pairs for a dictionary": ([("a", 1)], {"a": 1}),
    "a number in text": ("2", 2),
    "text for a list of its letters": ("ab", ["a", "b"]),
    "bytes for text": (b"ab", "ab"),
    "nothing for a number": (None, 0),
    "nothing for an array without axes": (None, np.array(0.0)),
    "a number for nothing": (0, None),
    "an empty list for an empty dictionary": ([], {}),
    "an empty dictionary for an empty list": ({}, []),
    "a list for a set": ([1, 2], {1, 2}),
    "an item of a nested list": ([[1], [2, 4]], [[1], [2, 3]]),
}


@pytest.mark.parametrize(("returned", "expected"), SAME.values(), ids=SAME)
def test_these_agree(returned, expected):
    assert agree(returned, expected)


@pytest.mark.parametrize(("returned", "expected"), DIFFERENT.values(), ids=DIFFERENT)
def test_these_differ(returned, expected):
    assert not agree(returned, expected)


@pytest.mark.parametrize("expected", [np.ones(3001), [1.0] * 3001, np.array(["a"] * 3001)])
def test_one_long_text_takes_its_memory_once(expected):
    tracemalloc.start()
    try:
        assert not agree(["x" * 100_000, *[1] * 3000], expected)  # as an array: 1.2 GB
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


def test_the_tolerance_may_be_wider():
    assert agree(0.5004, 0.5, within=1e-3)
    assert not agree(0.5004, 0.5)
    assert agree({"a": [0.5004]}, {"a": [0.5]}, within=1e-3)


def test_a_comparison_never_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        agree(np.array([INF, NAN, 1e308]), np.array([INF, 1.0, -1e308]))
        agree([10**400], [1.0])


def test_what_differs_is_shown_beside_what_was_expected():
    with pytest.raises(ExpectationError) as caught:
        expect([1, 2.5], equals=[1, 3], look="the second number")
    assert caught.value.lines() == [
        "returned  [1, 2.5]",
        "expected  [1, 3]",
        "namely    [1] is 2.5, and 3 is right",
        "look at   the second number",
    ]


@pytest.mark.parametrize(
    ("returned", "right", "said"),
    [
        (1.0, 2.0, ""),
        ([1, 2, 3], [1, 2, 4], "[2] is 3, and 4 is right"),
        (np.eye(2), np.array([[1, 0], [1, 1]]), "[1, 0] is 0, and 1 is right"),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, "['b'] is 2, and 3 is right"),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.5]}, "['a'][1] is 2, and 2.5 is right"),
        ({"a": 1}, {"a": 1, "b": 3}, "the keys are to be ['a', 'b']"),
        (np.array([0.5]), 0.5, "it is an array of 1 numbers, not one number"),
        (0.5, np.eye(2), "it is one number, not an array of 2 × 2 numbers"),
        (True, 1, "it is one truth value, not one number"),
        ("0.5", 0.5, "it is a text, not one number"),
        (None, [1.0], "it is None, not an array of 1 numbers"),
        ({"a": "x"}, {"a": 1}, "['a'] is a text, not one number"),
    ],
)
def test_a_difference_is_told_in_words(returned, right, said):
    with pytest.raises(ExpectationError) as caught:
        expect(returned, equals=right, look="-")
    assert caught.value.namely == said


def test_an_error_in_place_of_a_value_is_told_with_what_was_expected():
    raised = Raised(AnswerError(["KeyError", "Exception"], "'x'"))
    with pytest.raises(ExpectationError) as caught:
        expect(raised, equals=3, look="why")
    assert caught.value.lines() == ["raised    KeyError: 'x'", "expected  3", "look at   why"]
    with pytest.raises(ExpectationError, match="a rising curve"):
        require(True, that="a rising curve", look="-", returned=raised)


@pytest.mark.parametrize(
    "use", [len, list, float, bool, abs, np.asarray, lambda x: x["f1"], lambda x: x + 1, lambda x: x.shape]
)
def test_whoever_uses_what_was_never_returned_gets_the_error(use):
    with pytest.raises(AnswerError, match="KeyError"):
        use(Raised(AnswerError(["KeyError"], "")))


def test_two_arrays_that_differ_never_look_alike():
    with pytest.raises(ExpectationError) as caught:
        expect(np.array([0.5, 1 / 3]), equals=np.array([0.5, 1 / 3 + 2e-9]), look="-")
    assert caught.value.returned != caught.value.expected


def test_a_report_of_several_lines_keeps_its_columns():
    failure = ExpectationError(returned=show(np.eye(2)), expected="one\ntwo")
    assert failure.lines()[1] == "expected  one\n          two"
    assert failure.lines()[0].splitlines()[1].startswith(" " * 10)


def test_a_tensor_counts_as_the_array_of_its_numbers():
    right = torch.tensor([1.0, 2.0], requires_grad=True)
    expecting.expect([np.array([1.0, 2.0])], equals=[right], look="-")
    expecting.expect({"a": right}, equals={"a": [1, 2]}, look="-")
    with pytest.raises(ExpectationError, match=r"array\(\[1\., 2\."):
        expecting.expect(np.array([1.0, 3.0]), equals=right, look="-")
    with pytest.raises(ExpectationError):
        expecting.expect(right, equals=np.array([1.0]), look="-")


@pytest.mark.parametrize("holds", [False, None, 1, "yes", np.array([True, True]), np.bool_(False)])
def test_a_property_holds_only_where_it_is_true(holds):
    with pytest.raises(ExpectationError, match="expected  a rising curve"):
        require(holds, that="a rising curve", look="-")


def test_a_property_that_holds_is_silent():
    require(True, that="-", look="-")
    require(np.bool_(True), that="-", look="-")


def answer_raising(error):
    def answer(*args, **kwargs):
        raise error

    return answer


def test_the_error_that_was_asked_for_is_right():
    expect_error(ValueError, answer_raising(AnswerError(["ValueError", "Exception"], "no")), 1, look="-")


def test_an_error_of_a_class_below_is_right_too():
    kinds = ["UnicodeDecodeError", "UnicodeError", "ValueError", "Exception"]
    expect_error(ValueError, answer_raising(AnswerError(kinds, "no")), look="-")


def test_another_error_is_wrong_and_is_shown():
    other = AnswerError(["TypeError", "Exception"], "not so", "In [1], line 2: x")
    with pytest.raises(ExpectationError) as caught:
        expect_error(ValueError, answer_raising(other), look="why")
    assert caught.value.lines() == [
        "raised    TypeError: not so\n          In [1], line 2: x",
        "expected  a ValueError",
        "look at   why",
    ]


def test_a_value_where_an_error_was_due_is_wrong_and_is_shown():
    with pytest.raises(ExpectationError, match=r"returned  \[1\]\nexpected  a ValueError"):
        expect_error(ValueError, lambda values: values, [1], look="why")


def test_the_check_s_own_mistake_is_no_error_of_the_answer():
    def broken(values):
        raise ValueError("a slip in the check's helper")

    with pytest.raises(ValueError, match="a slip"):
        expect_error(ValueError, broken, [1], look="-")


def test_the_last_call_is_shown_with_its_names(monkeypatch):
    trace = expecting.Trace()
    monkeypatch.setattr(expecting, "TRACE", trace)
    trace.record("area", [1], {})
    trace.record("area", [np.float64(0.25), "a"], {"beta": 2})
    assert (trace.calls, trace.called) == (2, "area(0.25, 'a', beta=2)")
    with pytest.raises(ExpectationError) as caught:
        expect(1, equals=2, look="-")
    assert caught.value.lines()[0] == "called    area(0.25, 'a', beta=2)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1 / 3, "0.3333333333"),
        (2.0, "2"),
        (np.float64(0.1), "0.1"),
        (np.int64(7), "7"),
        (math.inf, "inf"),
        ("a\tb", r"'a\tb'"),
        ([1, "a"], "[1, 'a']"),
        ({2: "b", 1: "a"}, "{2: 'b', 1: 'a'}"),
        ({}, "{}"),
        (
            dict.fromkeys(range(13), 0),
            "{0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0, 10: 0, 11: 0, ...}",
        ),
        (None, "None"),
    ],
)
def test_a_value_is_shown_as_one_would_write_it(value, shown):
    assert show(value) == shown


class Loud:
    def __repr__(self):
        raise RuntimeError("no")


LONG = [list(range(10**6)), "x" * 10**6, np.arange(10**6), np.array(["x" * 10**6]), {i: i for i in range(10**5)}]


@pytest.mark.parametrize("value", [*LONG, b"x" * 10**6, 10**4000, Loud(), [[[[[[[[1]]]]]]]]])
def test_a_value_of_any_size_is_shown_briefly(value):
    assert 0 < len(show(value)) <= 2001


def test_nothing_that_a_terminal_obeys_is_shown():
    text = "\x1b[2J\rright, in 3 calls\x08\udc80\u202e\n\tμ ≤ 1"
    shown = "\\x1b[2J\\rright, in 3 calls\\x08\\udc80\\u202e\n\tμ ≤ 1"
    assert ascii(plain(text)) == ascii(shown)  # half a character in pytest's own report would end it without a failure
    shown.encode()
