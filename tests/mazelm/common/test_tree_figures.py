"""Trees in pictures: where their nodes go, and what is drawn."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.common.tree_figures import draw_tree, tree_positions

#   0
#  / \
# 1   2
#    / \
#   3   4
PARENTS = [-1, 0, 0, 2, 2]


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_positions_by_hand():
    assert tree_positions(PARENTS).tolist() == [[0.75, 0], [0, -1], [1.5, -1], [1, -2], [2, -2]]
    assert tree_positions([-1]).tolist() == [[0, 0]]


@given(st.lists(st.integers(0, 10**6), max_size=40))
def test_levels_and_columns_of_random_trees(draws):
    parents = [-1, *(draw % (node + 1) for node, draw in enumerate(draws))]
    positions = tree_positions(parents)
    for node, parent in enumerate(parents[1:], 1):
        assert positions[node, 1] == positions[parent, 1] - 1
    leaves = [node for node in range(len(parents)) if node not in parents[1:]]
    assert sorted(positions[leaves, 0]) == list(range(len(leaves)))
    for level in set(positions[:, 1]):
        columns = positions[positions[:, 1] == level, 0]
        assert len(set(columns)) == len(columns)  # nothing is drawn upon something else


def test_what_is_drawn(ax):
    labels, steps = list("abcde"), ["", "l", "r", "x", "y"]
    draw_tree(ax, PARENTS, labels=labels, steps=steps, path=[0, 2, 4], hidden=[3], marked=[4], sizes=[100] * 5)
    assert sorted(text.get_text() for text in ax.texts) == sorted([*"abce", "l", "r", "y"])
    assert len(ax.lines) == 3
    assert sum(line.get_linewidth() > 2 for line in ax.lines) == 2  # to 2 and on to 4
    assert len(ax.collections) == 4


def test_given_positions_stay(ax):
    positions = np.array([[5.0, 0], [1, -1], [9, -1], [8, -2], [10, -2]])
    draw_tree(ax, PARENTS, positions=positions, labels=list("abcde"))
    assert [text.get_position() for text in ax.texts] == [tuple(place) for place in positions]


def test_a_parent_that_is_no_earlier_node():
    for parents in ([-1, 1], [-1, 0, 5], [-1, -1]):
        with pytest.raises(ValueError, match=r"parents.*smaller number"):
            tree_positions(parents)
