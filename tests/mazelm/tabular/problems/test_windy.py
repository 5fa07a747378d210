"""The windy gridworld: its moves by hand, and its shortest way."""

import numpy as np
import pytest
from mazelm.tabular.planning import value_iteration
from mazelm.tabular.problems.windy import COLS, GOAL, ROWS, SHORTEST, START, WIND, windy_gridworld

UP, RIGHT, DOWN, LEFT = range(4)


def lands(row, col, action):
    """Where a step leads, as row and column; None where it ends the task."""
    mdp = windy_gridworld()
    mdp_row = mdp.transitions[row * COLS + col, action]
    return divmod(int(np.flatnonzero(mdp_row)[0]), COLS) if mdp_row.any() else None


@pytest.mark.parametrize(
    ("cell", "action", "reached"),
    [
        ((3, 0), RIGHT, (3, 1)),  # no wind in the first columns
        ((3, 0), UP, (2, 0)),
        ((3, 0), LEFT, (3, 0)),  # the edge
        ((3, 3), RIGHT, (2, 4)),  # the wind of the column that is left, not of the one that is reached
        ((3, 2), RIGHT, (3, 3)),
        ((4, 6), DOWN, (3, 6)),  # one down, two up
        ((1, 6), UP, (0, 6)),  # the wind does not carry over the edge
        ((0, 7), RIGHT, (0, 8)),
        ((3, 8), LEFT, (2, 7)),  # the example of the book: left of it is the goal, and the wind lifts over it
        ((6, 9), DOWN, (6, 9)),
    ],
)
def test_moves(cell, action, reached):
    assert lands(*cell, action) == reached


def test_the_goal_ends_the_task():
    assert lands(4, 8, LEFT) is None
    mdp = windy_gridworld()
    assert mdp.terminations[4 * COLS + 8, LEFT] == 1
    assert mdp.terminations.sum() == 4 + sum(
        _moved(row, col, action) == divmod(GOAL, COLS)
        for row in range(ROWS)
        for col in range(COLS)
        for action in range(4)
        if row * COLS + col != GOAL
    )


def test_every_move_by_definition():
    mdp = windy_gridworld()
    for state in range(ROWS * COLS):
        for action in range(4):
            assert mdp.rewards[state, action] == (0 if state == GOAL else -1)
            reached = _moved(*divmod(state, COLS), action)
            ends = reached == divmod(GOAL, COLS) or state == GOAL
            assert lands(*divmod(state, COLS), action) == (None if ends else reached)


def test_the_shortest_way_has_fifteen_steps():
    solution = value_iteration(windy_gridworld(), discount=1.0, tolerance=1e-9)
    assert solution.values[START] == pytest.approx(-15, abs=1e-9)
    assert SHORTEST == 15 == _breadth_first()


def _moved(row, col, action):
    row = row - WIND[col] + (-1, 0, 1, 0)[action]
    col = col + (0, 1, 0, -1)[action]
    return min(max(row, 0), ROWS - 1), min(max(col, 0), COLS - 1)


def _breadth_first():
    seen, front, steps = {divmod(START, COLS)}, {divmod(START, COLS)}, 0
    while divmod(GOAL, COLS) not in front:
        front = {_moved(*cell, action) for cell in front for action in range(4)} - seen
        seen, steps = seen | front, steps + 1
    return steps
