"""Random mazes: always solvable, as many loops as asked for, the same from the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazes.generate import dig, random_maze
from mazes.grid import distances, steps_from

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9)).filter(lambda size: size[0] * size[1] > 1)
seeds = st.integers(0, 2**31)


def edges(walls):
    """Pairs of neighbouring floor cells."""
    return int((~walls[1:] & ~walls[:-1]).sum() + (~walls[:, 1:] & ~walls[:, :-1]).sum())


@given(sizes, seeds, st.floats(0, 1))
def test_every_floor_cell_is_reached(size, seed, loops):
    maze = random_maze(*size, loops=loops, rng=np.random.default_rng(seed))
    assert maze.walls.shape == size
    assert ((distances(maze) >= 0) == ~maze.walls.ravel()).all()
    assert not maze.cliffs.any()


@given(sizes, seeds)
def test_without_loops_there_is_one_way_only(size, seed):
    walls = random_maze(*size, loops=0, rng=np.random.default_rng(seed)).walls
    assert edges(walls) == (~walls).sum() - 1  # connected with one edge fewer than cells: a tree


@given(sizes, seeds)
def test_nothing_more_can_be_dug_without_a_loop(size, seed):
    walls = dig(*size, rng=np.random.default_rng(seed))
    floor = np.pad(~walls, 1).astype(int)
    touching = floor[:-2, 1:-1] + floor[2:, 1:-1] + floor[1:-1, :-2] + floor[1:-1, 2:]
    assert not (walls & (touching == 1)).any()


@given(sizes, seeds, st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_loops_open_their_share_of_the_walls_beside_a_way(size, seed, loops):
    dug = random_maze(*size, loops=0, rng=np.random.default_rng(seed)).walls
    opened = random_maze(*size, loops=loops, rng=np.random.default_rng(seed)).walls
    floor = np.pad(~dug, 1)
    beside = dug & (floor[:-2, 1:-1] | floor[2:, 1:-1] | floor[1:-1, :-2] | floor[1:-1, 2:])
    assert not (opened & ~dug).any()
    assert (dug & ~opened).sum() == round(loops * beside.sum())
    assert not (dug & ~opened & ~beside).any()


@given(sizes, seeds, st.sampled_from([0.0, 0.5]))
def test_the_goal_is_farthest_from_the_corner(size, seed, loops):
    maze = random_maze(*size, loops=loops, rng=np.random.default_rng(seed))
    assert maze.start == (0, 0)
    steps = steps_from((0, 0), maze.walls)
    assert steps[maze.goal] == steps.max()


def test_loops_are_spread_over_the_maze():
    dug = random_maze(20, 20, loops=0, rng=np.random.default_rng(0)).walls
    opened = dug & ~random_maze(20, 20, loops=0.3, rng=np.random.default_rng(0)).walls
    assert opened[:10].sum() == pytest.approx(opened.sum() / 2, rel=0.3)


def test_mazes_differ_and_come_again_from_their_seed():
    made = [random_maze(8, 8, loops=0.1, rng=np.random.default_rng(seed)) for seed in (0, 1, 2, 0)]
    assert len(set(made)) == 3
    assert made[3] == made[0]


def test_all_directions_are_dug_alike():
    shares = [dig(15, 15, rng=np.random.default_rng(seed)) for seed in range(60)]
    rows, cols = (np.mean([(~walls).sum(axis=axis)[::14] for walls in shares], axis=0) for axis in (1, 0))
    assert abs(rows - cols).max() < 1.5  # floor cells of the first and the last row, as of the columns


@pytest.mark.parametrize(("rows", "cols"), [(0, 5), (5, 0), (1, 1), (-2, -2)])
def test_too_small_a_grid_is_refused(rows, cols):
    with pytest.raises(ValueError, match=f"rows and cols .* got {rows} and {cols}"):
        random_maze(rows, cols, loops=0, rng=np.random.default_rng(0))


@pytest.mark.parametrize("loops", [-0.1, 1.5, float("nan")])
def test_loops_is_a_fraction(loops):
    with pytest.raises(ValueError, match=rf"loops must be in \[0, 1\], got {loops}"):
        random_maze(3, 3, loops=loops, rng=np.random.default_rng(0))
