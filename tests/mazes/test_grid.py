"""The maze: read and written, refused with the place of the mistake, equal by content, never changed."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazes.generate import random_maze
from mazes.grid import Maze, distances, steps_from

SMALL = "S #\n# G\nC.."


def slow_distances(maze):
    """Shorten the estimate of every cell by its neighbours' until nothing changes."""
    open_cells = {(r, c) for r in range(maze.rows) for c in range(maze.cols)}
    open_cells -= {tuple(map(int, cell)) for cell in np.argwhere(maze.walls | maze.cliffs)}
    steps = dict.fromkeys(open_cells, 10**6) | {maze.goal: 0}
    for _ in range(maze.n_states):
        for r, c in open_cells:
            near = [steps[n] + 1 for n in ((r - 1, c), (r, c + 1), (r + 1, c), (r, c - 1)) if n in open_cells]
            steps[r, c] = min([steps[r, c], *near])
    found = np.full((maze.rows, maze.cols), -1)
    for cell, length in steps.items():
        found[cell] = length if length < 10**6 else -1
    return found.ravel()


@st.composite
def mazes(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    rows, cols = draw(st.tuples(st.integers(1, 7), st.integers(2, 8)))
    return random_maze(rows, cols, loops=draw(st.sampled_from([0, 0.3, 1])), rng=rng)


# --- by hand


def test_reading_a_map():
    maze = Maze.from_text(SMALL)
    assert (maze.rows, maze.cols, maze.n_states) == (3, 3, 9)
    assert (maze.start, maze.goal) == ((0, 0), (1, 2))
    assert maze.walls.tolist() == [[False, False, True], [True, False, False], [False] * 3]
    assert np.argwhere(maze.cliffs).tolist() == [[2, 0]]


def test_numbering_goes_row_by_row():
    maze = Maze.from_text("S    \n    G")
    assert maze.index(0, 3) == 3
    assert maze.index(1, 0) == 5
    assert maze.cell(7) == (1, 2)
    assert [maze.index(*maze.cell(s)) for s in range(10)] == list(range(10))
    assert maze.cell(np.int64(9)) == maze.goal


def test_writing_gives_spaces_for_floor():
    assert Maze.from_text(SMALL).to_text() == "S #\n# G\nC  "


def test_empty_first_and_last_lines_do_not_count():
    assert Maze.from_text(f"\n{SMALL}\n") == Maze.from_text(SMALL)
    assert Maze.from_text("S\n \nG").rows == 3  # a line of floor does


def test_distances_by_hand():
    around = Maze.from_text("S#G\n   \n#C ")
    assert distances(around).reshape(3, 3).tolist() == [[4, -1, 0], [3, 2, 1], [-1, -1, 2]]


def test_no_way_leads_across_the_edge():
    assert distances(Maze.from_text("S  G"))[0] == 3
    assert distances(Maze.from_text("# S\nG #"))[2] == 3  # one step, if a row went on in the next
    assert distances(Maze.from_text("S \n# \nG "))[0] == 4  # one step, if the last row came before the first


def test_a_cell_without_a_way_has_no_distance():
    assert distances(Maze.from_text("SG# "))[-1] == -1


# --- by definition


@given(mazes())
def test_distances_agree_with_relaxation(maze):
    assert distances(maze).tolist() == slow_distances(maze).tolist()


@given(mazes())
def test_steps_are_the_same_in_both_directions(maze):
    blocked = maze.walls | maze.cliffs
    assert steps_from(maze.start, blocked)[maze.goal] == steps_from(maze.goal, blocked)[maze.start]


@given(mazes())
def test_text_and_back(maze):
    assert Maze.from_text(maze.to_text()) == maze
    assert Maze.from_text(maze.to_text().replace(" ", ".")) == maze
    assert eval(repr(maze), {"Maze": Maze}) == maze


# --- equality, copies, writing


def test_equality_is_by_content():
    one, other = Maze.from_text(SMALL), Maze.from_text(SMALL)
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1


@pytest.mark.parametrize(
    "text", ["S #\n# G\n...", "S #\n..G\nC..", "S.#\n#.C\nCG.", "S #\n# .\nC.G", "..#\n#SG\nC..", "S#\n  \nG "]
)
def test_another_cell_is_another_maze(text):
    assert Maze.from_text(text) != Maze.from_text(SMALL)


def test_shape_counts_in_equality():
    assert Maze.from_text("SG \n   ") != Maze.from_text("SG\n  \n  ")
    assert Maze.from_text(SMALL) != SMALL


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda maze: pickle.loads(pickle.dumps(maze)), lambda maze: maze]
)
def test_nobody_writes_to_a_maze(copied):
    maze = copied(Maze.from_text(SMALL))
    assert maze == Maze.from_text(SMALL)
    for array in (maze.walls, maze.cliffs):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = True
    with pytest.raises(AttributeError):
        maze.goal = (0, 1)


def test_the_callers_arrays_stay_his_own():
    walls = np.zeros((2, 2), bool)
    maze = Maze(walls=walls, cliffs=np.zeros((2, 2), bool), start=(0, 0), goal=(1, 1))
    walls[0, 1] = True
    assert not maze.walls.any()


# --- mistakes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("S \n?G", r"unknown character '\?' at row 1, column 0"),
        ("S  \n G", "row 1 has 2 columns, but row 0 has 3"),
        ("S \n  G", "row 1 has 3 columns, but row 0 has 2"),
        ("  \n G", "no S"),
        ("S \n  ", "no G"),
        ("S \nSG", "more than one S: at row 0, column 0 and at row 1, column 0"),
        ("SG\n G", "more than one G: at row 0, column 1 and at row 1, column 1"),
        ("S#\n#G", "no way from S at row 0, column 0 to G at row 1, column 1"),
        ("S#G\nCC \n   ", "no way from S"),
        ("", "no maze"),
        ("\n\n", "no maze"),
    ],
)
def test_a_bad_map_is_refused_with_the_place(text, message):
    with pytest.raises(ValueError, match=message):
        Maze.from_text(text)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"goal": (0, 0)}, "start and goal are the same cell: row 0, column 0"),
        ({"goal": (2, 0)}, "row 2, column 0 is outside a maze of 2 rows and 2 columns"),
        ({"start": (0, -1)}, "row 0, column -1 is outside"),
        ({"start": (0, 1)}, "start at row 0, column 1 is on a wall"),
        ({"goal": (1, 0)}, "goal at row 1, column 0 is on a cliff"),
        ({"walls": np.zeros((2, 2))}, "walls must be a boolean array .* got float64"),
        ({"walls": np.zeros(4, bool)}, r"walls must be .* got bool \(4,\)"),
        ({"walls": np.zeros((0, 2), bool)}, "walls must be"),
        ({"cliffs": np.zeros((2, 3), bool)}, r"cliffs must be boolean with the shape \(2, 2\), got bool \(2, 3\)"),
        ({"cliffs": np.zeros((2, 2), int)}, "cliffs must be boolean .* got int"),
        ({"cliffs": np.array([[False, True], [False, False]])}, "cliffs and walls share the cell at row 0, column 1"),
    ],
)
def test_a_bad_maze_is_refused(changes, message):
    corner = {"walls": [[False, True], [False, False]], "cliffs": [[False, False], [True, False]]}
    if "goal" not in changes and "start" not in changes:
        corner["cliffs"] = [[False, False], [False, False]]
    parts = {name: np.array(array) for name, array in corner.items()} | {"start": (0, 0), "goal": (1, 1)} | changes
    with pytest.raises(ValueError, match=message):
        Maze(**parts)


def test_states_outside_are_refused():
    maze = Maze.from_text(SMALL)
    for state in (-1, 9):
        with pytest.raises(ValueError, match=f"state must be in 0..8, got {state}"):
            maze.cell(state)
    with pytest.raises(ValueError, match="row 0, column 3 is outside"):
        maze.index(0, 3)
