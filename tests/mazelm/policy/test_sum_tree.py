import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.policy.sum_tree import SumTree


@given(
    size=st.integers(1, 40),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 100)), max_size=60),
)
def test_every_node_is_the_sum_of_its_children(size, changes):
    """In whole numbers, so that nothing is rounded; several rows at a time, some of them twice."""
    tree, slow = SumTree(size), np.zeros(size)
    for i in range(0, len(changes), 3):
        rows = np.array([row % size for row, _ in changes[i : i + 3]])
        weights = np.array([float(weight) for _, weight in changes[i : i + 3]])
        tree.set(rows, weights)
        for row, weight in zip(rows, weights, strict=True):
            slow[row] = weight
    assert tree.total == slow.sum()
    np.testing.assert_array_equal(tree[np.arange(size)], slow)
    for node in range(1, 1 << tree.depth):
        assert tree.sums[node] == tree.sums[2 * node] + tree.sums[2 * node + 1]


@given(weights=st.lists(st.integers(0, 20), min_size=1, max_size=40).filter(any), seed=st.integers(0, 99))
def test_find_by_definition(weights, seed):
    """The weights laid end to end: the entry is the first whose end lies beyond the mark."""
    tree, slow = SumTree(len(weights)), np.array(weights, dtype=float)
    tree.set(np.arange(len(weights)), slow)
    ends = slow.cumsum()
    marks = np.concatenate(
        [np.random.default_rng(seed).uniform(0, ends[-1], 20), [0.0], ends[:-1][ends[:-1] < ends[-1]]]
    )
    expected = [next(i for i, end in enumerate(ends) if mark < end) for mark in marks]
    assert tree.find(marks).tolist() == expected


def test_by_hand():
    tree = SumTree(3)
    tree.set(np.array([0, 1, 2]), np.array([1.0, 2.0, 5.0]))
    assert tree.total == 1 + 2 + 5
    assert tree.find(np.array([0.0, 0.9, 1.0, 2.9, 3.0, 7.9])).tolist() == [0, 0, 1, 1, 2, 2]
    tree.set(np.array([2]), np.array([0.5]))
    assert tree.total == 1 + 2 + 0.5


def test_rounding_never_finds_an_entry_without_weight():
    tree = SumTree(5)
    tree.set(np.arange(3), np.array([0.1, 0.2, 0.3]))
    assert (tree.find(np.array([tree.total, np.nextafter(tree.total, 0), 0.3, 0.6])) <= 2).all()


def test_draws_are_in_proportion():
    rng, weights = np.random.default_rng(0), np.array([1.0, 0.0, 3.0, 6.0])
    tree = SumTree(4)
    tree.set(np.arange(4), weights)
    shares = np.bincount(tree.find(rng.random(100_000) * tree.total), minlength=4) / 100_000
    assert shares == pytest.approx(weights / 10, abs=0.01)


def test_marks_are_left_alone():
    tree, marks = SumTree(2), np.array([2.5])
    tree.set(np.arange(2), np.array([1.0, 2.0]))
    tree.find(marks)
    assert marks.tolist() == [2.5]


def test_bad_input():
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        SumTree(0)
    tree = SumTree(3)
    for weight in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="weights must be finite and not negative"):
            tree.set(np.array([0]), np.array([weight]))
    for row in (-1, 3):
        with pytest.raises(ValueError, match=r"rows must lie in 0 to 2, got \["):
            tree.set(np.array([row]), np.array([1.0]))
    assert tree.total == 0
