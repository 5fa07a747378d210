"""What a drawing of a maze holds."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from matplotlib.quiver import Quiver
from mazelm.common.maze_figures import draw_maze
from mazes import maps
from mazes.dynamics import DOWN, RIGHT


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_walls_start_and_goal_are_drawn(ax):
    maze = maps.load("classic")
    assert draw_maze(ax, maze) is None
    squares = {(p.get_y() + 0.5, p.get_x() + 0.5) for p in ax.patches if isinstance(p, Rectangle)}
    assert squares == {tuple(map(float, cell)) for cell in np.argwhere(maze.walls)}
    assert {t.get_text(): t.get_position() for t in ax.texts} == {"S": (0, 0), "G": (4, 0)}


def test_cliffs_are_drawn(ax):
    maze = maps.load("cliff")
    draw_maze(ax, maze)
    assert len(ax.patches) == maze.cliffs.sum() > 0


def test_values_fill_the_free_cells_and_can_be_written(ax):
    maze = maps.load("classic")
    values = np.where(maze.walls.ravel(), 99.0, -np.arange(25.0))
    image = draw_maze(ax, maze, values=values, numbers=".1f")
    assert (image.norm.vmin, image.norm.vmax) == (-24.0, -0.0)  # the walls' 99 does not count
    written = {t.get_position(): t.get_text() for t in ax.texts if t.get_text() not in "SG"}
    assert len(written) == 19
    assert written[(4, 2)] == "−14.0"  # column 4, row 2, with a true minus sign
    assert image.get_array().mask.sum() == 6


def test_limits_of_the_colours_can_be_given(ax):
    image = draw_maze(ax, maps.load("classic"), values=np.zeros(25), vmin=-1.0, vmax=2.0)
    assert (image.norm.vmin, image.norm.vmax) == (-1.0, 2.0)


def test_arrows_point_where_the_actions_go(ax):
    maze = maps.load("classic")
    policy = np.full(25, RIGHT)
    policy[5] = DOWN
    draw_maze(ax, maze, policy=policy)
    right, down = (c for c in ax.collections if isinstance(c, Quiver))
    assert len(right.U) == 25 - 6 - 1 - 1  # no arrow on walls, on the goal, and one points down
    assert (right.U > 0).all()
    assert (down.U[0], down.V[0] > 0) == (0, True)  # the axis points down the page
    assert (down.X[0], down.Y[0]) == (0, 1)


def test_likely_actions_have_longer_arrows(ax):
    draw_maze(ax, maps.load("classic"), policy=np.tile([0.2, 0.8, 0.0, 0.0], (25, 1)))
    up, right = (c for c in ax.collections if isinstance(c, Quiver))  # what never happens has no arrow
    assert abs(right.U[0]) > abs(up.V[0]) > 0


def test_a_path_is_a_line_through_its_cells(ax):
    draw_maze(ax, maps.load("classic"), path=[0, 5, 10])
    x, y = ax.lines[-2].get_data()
    assert (list(x), list(y)) == ([0, 0, 0], [0, 1, 2])
