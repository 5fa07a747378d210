import base64
import collections
import dataclasses
import json
import pickle
import sys
import tracemalloc

import numpy as np
import pytest
from bookbinder.exercises import values
from bookbinder.exercises.values import ForgedError
from mazelm.metrics import classification
from mazelm.metrics.classification import Table
from mazelm.metrics.detection import Detections


def handle(number, description):
    return f"<{number}: {description}>"


def sent(value):
    """What arrives of a value."""
    kept = []

    def keep(item):
        kept.append(item)
        return len(kept) - 1

    return values.read(values.write(value, keep), handle)


PLAIN = [
    None,
    True,
    -3,
    2**80,
    0.1,
    float("inf"),
    "größer ≥ 1",
    1 - 2j,
    [1, [2.5, "a"]],
    (1, (2,)),
    {1, 2},
    frozenset("ab"),
    {"a": 1, (1, 2): [3], None: {}},
    [],
    {},
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_plain_values_arrive_as_they_are(value):
    assert sent(value) == value
    assert type(sent(value)) is type(value)


def test_half_a_character_arrives_as_it_is():
    assert ascii(sent("\udc80")) == ascii("\udc80")


ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.arange(6).reshape(2, 3).T[::-1],
    np.array(2.5),
    np.zeros((0, 4)),
    np.array([True, False]),
    np.array([1 + 2j]),
    np.array([1, 2], dtype=">u2"),
    np.array(["maze", "größer"]),
    np.array([b"ab"]),
    np.array(["2020-01-02"], dtype="datetime64[D]"),
    np.array([], dtype="U"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype} {array.shape}")
def test_arrays_arrive_with_their_kind_and_shape(array):
    found = sent(array)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)
    assert found.flags.writeable


def test_a_number_of_numpy_stays_one():
    assert type(sent(np.float32(0.5))) is np.float32
    assert np.isnan(sent(float("nan")))


@pytest.mark.parametrize(
    "value",
    [
        collections.Counter("aab"),
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]),
    ],
)
def test_the_dictionaries_of_collections_arrive_as_dictionaries(value):
    assert sent(value) == dict(value)
    assert type(sent(value)) is dict


BOX = {"image_ids": np.array([7]), "labels": np.array([1]), "boxes": np.array([[0.0, 0.0, 1.0, 2.0]])}


def test_a_record_of_the_book_arrives_as_one():
    found = sent([Table(labels=np.array([0, 1]), matrix=np.eye(2, dtype=int)), Detections(**BOX, scores=np.ones(1))])
    assert [type(record) for record in found] == [Table, Detections]
    assert found[0].matrix.tolist() == [[1, 0], [0, 1]]
    assert found[1].boxes.tolist() == [[0, 0, 1, 2]]


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (len, "builtin_function_or_method object"),
        ((n for n in ()), "generator object"),
        (np.array([len], dtype=object), "ndarray object"),
        (pickle.Pickler, "type object"),
    ],
)
def test_what_is_no_data_stays_and_gets_a_handle(value, description):
    assert sent([1, value]) == [1, f"<0: {description}>"]


class Liar:
    """An object that says it is an array, and cannot be shown or compared."""

    @property
    def __class__(self):
        return np.ndarray

    def __eq__(self, other):
        return True

    __hash__ = None

    def __repr__(self):
        raise RuntimeError


def test_an_object_that_lies_about_its_class_does_not_arrive():
    with pytest.raises(AttributeError):
        sent(Liar())


def circle():
    value = []
    value.append(value)
    return value


def test_a_value_without_end_is_not_written():
    with pytest.raises(RecursionError):
        sent(circle())


@pytest.mark.parametrize("value", [np.zeros(3 << 20), "x" * (17 << 20), [0.123456789012345] * (1 << 20)])
def test_a_value_of_many_bytes_is_not_written(value):
    with pytest.raises(ValueError, match="a value may take 16 MB, not"):
        sent(value)


class Touch:
    """Unpickled, it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def array(dtype, shape, data=b""):
    return {"t": "array", "v": [dtype, shape, base64.b64encode(data).decode()]}


def record(module, name, **fields):
    return {"t": "record", "v": [module, name, fields]}


def numbers(kind, items):
    return {"t": kind, "v": items}


def same_hash(count):
    return [n * sys.hash_info.modulus for n in range(count)]


FORGED = {
    "nothing": b"",
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "a list without its tag": [1, 2],
    "an unknown tag": {"t": "code", "v": "1 + 1"},
    "a tag that is a list": {"t": ["list"], "v": []},
    "no content": {"t": "list"},
    "a list of a number": {"t": "list", "v": 3},
    "a set of lists": {"t": "set", "v": [{"t": "list", "v": []}]},
    "a dictionary of triples": {"t": "dict", "v": [[1, 2, 3]]},
    "a complex number of lists": {"t": "complex", "v": [[], []]},
    "too many digits": b"1" * 10_000,
    "very deep JSON": b"[" * 10**6,
    "deep lists": b'{"t":"list","v":[' * 10**5 + b"]}" * 10**5,
    "an array of objects": array("O", [1], bytes(8)),
    "an array of records": array("V8", [1], bytes(8)),
    "an array of an unknown kind": array("float7", [1], bytes(8)),
    "a kind that is a list": array([["a", "f8"]], [1], bytes(8)),
    "a kind that is nothing": array(None, [1], bytes(8)),
    "a kind of very many parts": array("f8," * 10**6, [1], bytes(8)),
    "too few bytes": array("<f8", [3], bytes(16)),
    "too many bytes": array("<f8", [1], bytes(16)),
    "two negative lengths": array("<f8", [-1, -2], bytes(16)),
    "a negative length": array("<f8", [-2], b""),
    "a negative length and none": array("<f8", [-2, 0], b""),
    "a length that is no whole number": array("<f8", [2.0], bytes(16)),
    "a length that is text": array("<f8", ["2"], bytes(16)),
    "no list of lengths": array("<f8", 2, bytes(16)),
    "very many axes": array("<f8", [1] * 1000, bytes(8)),
    "very long texts out of nothing": array("<U0", [10**8], b""),
    "very many bytes out of nothing": array("S0", [10**8], b""),
    "very long and empty": array("<f8", [0, 10**30], b""),
    "no base 64": {"t": "array", "v": ["<f8", [1], "!!!"]},
    "a record of the standard library": record("subprocess", "Popen", args="true"),
    "a record of a package with a similar name": record("mazelmore", "Table"),
    "no record of the book": record("mazelm.metrics.classification", "np"),
    "a function of the book": record("mazelm.metrics.classification", "confusion_matrix"),
    "a class that the book only imports": record("mazelm.metrics.classification", "Literal"),
    "a module that does not exist": record("mazelm.nothing", "Table"),
    "a record with fields of its own": record("mazelm.metrics.classification", "Table", other=1),
    "a handle without a number": {"t": "handle", "v": ["0", "x"]},
    "a handle without a description": {"t": "handle", "v": [0]},
    "a set of one hash": numbers("set", same_hash(3000)),
    "a dictionary of one hash": numbers("dict", [[n, 0] for n in same_hash(3000)]),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_what_is_forged_is_refused(forged):
    data = forged if isinstance(forged, bytes) else json.dumps(forged).encode()
    with pytest.raises(ForgedError):
        values.read(data, handle)


def test_a_pickle_is_not_opened(tmp_path):
    marker = tmp_path / "touched"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(ForgedError):
            values.read(pickle.dumps(Touch(marker), protocol), handle)
    assert not marker.exists()


def test_a_module_outside_of_the_book_is_not_even_imported():
    name = "this"  # which prints a poem when it is imported
    assert name not in sys.modules
    with pytest.raises(ForgedError, match="this is not a package of the book"):
        values.read(json.dumps(record(name, "d")).encode(), handle)
    assert name not in sys.modules


def test_only_records_that_a_module_of_the_book_defines_are_made(monkeypatch):
    made = []

    class Bare:
        def __init__(self):
            made.append(self)

    @dataclasses.dataclass
    class Foreign:
        x: int = 0

        def __post_init__(self):
            made.append(self)

    Bare.__module__ = classification.__name__  # in its module, but without fields; and the other way round
    for found in (Bare, Foreign):
        monkeypatch.setattr(classification, "Found", found, raising=False)
        with pytest.raises(ForgedError, match=r"mazelm.metrics.classification.Found is no record"):
            values.read(json.dumps(record(classification.__name__, "Found")).encode(), handle)
    assert made == []


def test_a_large_array_is_refused_before_it_is_copied():
    large = np.zeros(13 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="not 104"):
            sent(large)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_keys_may_have_one_hash_by_chance():
    assert hash(-1) == hash(-2)
    assert sent({-1: "a", -2: "b"}) == {-1: "a", -2: "b"}


def test_an_honest_table_may_be_large():
    table = {(a, b): a * b for a in range(150) for b in range(150)}
    assert sent(table) == table
    assert sent(set(range(50_000))) == set(range(50_000))


def test_a_forged_message_takes_no_more_memory_than_it_has_bytes_for():
    shapes = [array("<U0", [10**7]), array("<f8", [10**7]), array("|S0", [10**4, 10**4])]
    tracemalloc.start()
    try:
        for forged in shapes:
            with pytest.raises(ForgedError):
                values.read(json.dumps(forged).encode(), handle)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
