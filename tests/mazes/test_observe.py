"""Observations: each kind by hand, in its space, new at each call."""

import numpy as np
import pytest
from gymnasium import spaces
from mazes import maps
from mazes.grid import Maze
from mazes.observe import KINDS, observer, windows

#   S . #
#   C . G
CORNER = Maze.from_text("S.#\nC.G")
STANDING = [0, 1, 4, 5]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "maze", [CORNER, maps.load("four-rooms"), maps.load("cliff")], ids=["corner", "rooms", "cliff"]
)
def test_each_observation_lies_in_its_space_and_is_new(kind, maze):
    space, observe = observer(maze, kind)
    first, second = observe(maze.index(*maze.start)), observe(maze.index(*maze.start))
    assert space.contains(first)
    assert np.array_equal(first, second)
    if kind != "index":
        assert first.dtype == space.dtype
        assert not np.shares_memory(first, second)
        first += 1  # belongs to whoever asked
        assert np.array_equal(second, observe(maze.index(*maze.start)))


def test_index_position_and_one_hot_by_hand():
    assert [observer(CORNER, "index")[1](s) for s in STANDING] == STANDING
    assert [observer(CORNER, "position")[1](s).tolist() for s in STANDING] == [[0, 0], [0, 1], [1, 1], [1, 2]]
    assert observer(CORNER, "one-hot")[1](4).tolist() == [0, 0, 0, 0, 1, 0]


@pytest.mark.parametrize(("kind", "told_apart"), [("index", 4), ("position", 4), ("one-hot", 4), ("image", 4)])
def test_these_kinds_tell_all_cells_apart(kind, told_apart):
    _, observe = observer(CORNER, kind)
    assert len({np.asarray(observe(s)).tobytes() for s in STANDING}) == told_apart


def test_window_by_hand():
    _, observe = observer(CORNER, "window")
    assert observe(0).reshape(3, 3).tolist() == [[1, 1, 1], [1, 0, 0], [1, 3, 0]]
    assert observe(4).reshape(3, 3).tolist() == [[0, 0, 1], [3, 0, 2], [1, 1, 1]]


def test_a_wider_window_sees_more():
    space, observe = observer(CORNER, "window", radius=2)
    assert space == spaces.MultiDiscrete([4] * 25)
    seen = observe(1).reshape(5, 5)
    assert seen[2].tolist() == [1, 0, 0, 1, 1]
    assert seen[3].tolist() == [1, 3, 0, 2, 1]
    assert (seen[[0, 1, 4]] == 1).all()


def test_two_cells_can_look_the_same_through_a_window():
    room = maps.load("open")
    around = windows(room, radius=1)
    assert (around[room.index(2, 2)] == around[room.index(3, 3)]).all()
    assert (windows(room, radius=2)[room.index(2, 2)] != windows(room, radius=2)[room.index(3, 3)]).any()


def test_windows_are_cut_from_the_picture():
    maze = maps.load("cliff")
    around = windows(maze, radius=3)
    for state in range(maze.n_states):
        row, col = maze.cell(state)
        for i in range(7):
            for j in range(7):
                r, c = row + i - 3, col + j - 3
                inside = 0 <= r < maze.rows and 0 <= c < maze.cols
                code = (
                    1 if not inside or maze.walls[r, c] else 2 if (r, c) == maze.goal else 3 if maze.cliffs[r, c] else 0
                )
                assert around[state, 7 * i + j] == code


@pytest.mark.parametrize(
    ("name", "shape"), [("classic", (40, 40, 3)), ("cliff", (36, 108, 3)), ("four-rooms", (39, 39, 3))]
)
def test_images_are_as_small_as_networks_allow(name, shape):
    space, observe = observer(maps.load(name), "image")
    assert space.shape == observe(0).shape == shape


@pytest.mark.parametrize("radius", [0, -1])
def test_a_window_reaches_somewhere(radius):
    with pytest.raises(ValueError, match=f"radius must be at least 1, got {radius}"):
        observer(CORNER, "window", radius=radius)


def test_an_unknown_kind_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match="observation must be one of index, position, one-hot, image, window, got 'rgb'"
    ):
        observer(CORNER, "rgb")
