"""The rules: by hand, as tables against the definition, as probabilities, under mirrors, on bad input."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mazes import maps
from mazes.dynamics import (
    ADDING,
    DOWN,
    LEFT,
    REPLACING,
    RIGHT,
    UP,
    Action,
    Outcome,
    Rewards,
    known,
    move_tables,
    outcomes,
    slip_matrix,
    turns,
)
from mazes.generate import random_maze
from mazes.grid import Maze

#   S . #
#   C . G
CORNER = Maze.from_text("S.#\nC.G")
slips = st.sampled_from([0.0, 0.2, 0.5, 1.0])


@st.composite
def mazes(draw):
    """Random mazes with cliffs wherever the way from start to goal stays open."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    maze = random_maze(
        *draw(st.tuples(st.integers(2, 6), st.integers(2, 7))), loops=draw(st.sampled_from([0, 0.5])), rng=rng
    )
    cliffs = ~maze.walls & (rng.random(maze.walls.shape) < 0.2)
    cliffs[maze.start] = cliffs[maze.goal] = False
    try:
        return Maze(walls=maze.walls, cliffs=cliffs, start=maze.start, goal=maze.goal)
    except ValueError:
        return maze


# --- by hand


def test_the_four_directions():
    room = maps.load("open")
    assert [outcomes(room, room.index(2, 3), a)[0].next_state for a in (UP, RIGHT, DOWN, LEFT)] == [
        room.index(1, 3),
        room.index(2, 4),
        room.index(3, 3),
        room.index(2, 2),
    ]


@pytest.mark.parametrize(
    ("state", "action", "expected"),
    [
        (0, RIGHT, (1.0, 1, -1.0, False)),  # a plain step
        (0, UP, (1.0, 0, -5.0, False)),  # off the grid
        (0, LEFT, (1.0, 0, -5.0, False)),
        (1, RIGHT, (1.0, 1, -5.0, False)),  # into the wall
        (0, DOWN, (1.0, 0, -100.0, False)),  # over the cliff, back to S
        (4, LEFT, (1.0, 0, -100.0, False)),
        (4, RIGHT, (1.0, 5, 10.0, True)),  # the goal
        (4, UP, (1.0, 1, -1.0, False)),
        (4, DOWN, (1.0, 4, -5.0, False)),
    ],
)
def test_each_event_by_hand(state, action, expected):
    assert outcomes(CORNER, state, action) == [expected]


@pytest.mark.parametrize("state", [2, 3, 5])
def test_wall_cliff_and_goal_go_nowhere_and_pay_nothing(state):
    for action in Action:
        assert outcomes(CORNER, state, action, slip=0.4) == [Outcome(1.0, state, 0.0, True)]


def test_rewards_that_replace_and_rewards_that_add():
    paid = {
        rewards: [outcomes(CORNER, *move, rewards=rewards)[0].reward for move in ((0, RIGHT), (0, UP), (4, RIGHT))]
        for rewards in (REPLACING, ADDING)
    }
    assert paid[REPLACING] == [-1.0, -5.0, 10.0]
    assert paid[ADDING] == pytest.approx([-0.1, -0.1 - 1.0, -0.1 + 10.0])


def test_slips_go_to_either_side():
    # meant: right, along the upper row; to the left of that is up (a bump), to the right down
    assert outcomes(maps.load("open"), 0, RIGHT, slip=0.2) == [
        (pytest.approx(0.8), 1, -1.0, False),
        (pytest.approx(0.1), 0, -5.0, False),
        (pytest.approx(0.1), 6, -1.0, False),
    ]


def test_equal_outcomes_are_one():
    corridor = Maze.from_text("S.G")
    assert outcomes(corridor, 1, RIGHT, slip=0.3) == [(0.7, 2, 10.0, True), (pytest.approx(0.3), 1, -5.0, False)]
    assert outcomes(corridor, 1, UP, slip=1.0) == [(0.5, 0, -1.0, False), (0.5, 2, 10.0, True)]


def test_what_cannot_happen_is_not_listed():
    assert len(outcomes(maps.load("open"), 14, UP)) == 1
    assert {outcome.next_state for outcome in outcomes(maps.load("open"), 14, UP, slip=1.0)} == {13, 15}


def test_a_fall_and_a_plain_step_onto_the_start_stay_apart():
    cliff = Maze.from_text("SC\n..\nG.")
    assert outcomes(cliff, 2, RIGHT, slip=0.0) == [(1.0, 3, -1.0, False)]
    assert outcomes(cliff, 3, LEFT, slip=0.5) == [
        (0.5, 2, -1.0, False),
        (0.25, 5, -1.0, False),
        (0.25, 0, -100.0, False),
    ]


def test_slip_matrix_by_hand():
    assert slip_matrix(0.2).tolist() == [[0.8, 0.1, 0, 0.1], [0.1, 0.8, 0.1, 0], [0, 0.1, 0.8, 0.1], [0.1, 0, 0.1, 0.8]]
    assert slip_matrix(0).tolist() == np.eye(4).tolist()
    assert slip_matrix(1).diagonal().tolist() == [0] * 4


def test_turns_by_hand():
    assert turns(np.array([0.0, 0.09, 0.1, 0.19, 0.2, 0.99]), 0.2).tolist() == [1, 1, -1, -1, 0, 0]
    assert not turns(np.array([0.0, 0.5]), 0.0).any()


# --- by definition


@settings(max_examples=40)
@given(mazes(), slips, st.sampled_from([REPLACING, ADDING]))
def test_tables_and_outcomes_are_the_same_rules(maze, slip, rewards):
    tables, mixture = move_tables(maze, rewards=rewards), slip_matrix(slip)
    for state in range(maze.n_states):
        for action in range(4):
            summed = {}
            for move in range(4):
                key = tuple(table[move, state].item() for table in tables)
                summed[key] = summed.get(key, 0.0) + mixture[action, move]
            listed = outcomes(maze, state, action, slip=slip, rewards=rewards)
            assert {tuple(o[1:]): o.probability for o in listed} == pytest.approx(
                {k: p for k, p in summed.items() if p}
            )


@settings(max_examples=40)
@given(mazes(), slips)
def test_probabilities_sum_to_one_and_no_outcome_comes_twice(maze, slip):
    for state in range(maze.n_states):
        for action in range(4):
            listed = outcomes(maze, state, action, slip=slip)
            assert math.fsum(outcome.probability for outcome in listed) == pytest.approx(1.0, abs=1e-15)
            assert len({outcome[1:] for outcome in listed}) == len(listed)
            assert all(outcome.probability > 0 for outcome in listed)


@settings(max_examples=40)
@given(mazes())
def test_nobody_enters_a_wall_or_stays_on_a_cliff(maze):
    blocked = (maze.walls | maze.cliffs).ravel()
    reached = move_tables(maze).next_state[:, ~blocked]
    assert not blocked[reached].any()


@settings(max_examples=40)
@given(mazes())
def test_a_mirror_swaps_left_and_right(maze):
    mirrored = Maze(
        walls=maze.walls[:, ::-1],
        cliffs=maze.cliffs[:, ::-1],
        start=(maze.start[0], maze.cols - 1 - maze.start[1]),
        goal=(maze.goal[0], maze.cols - 1 - maze.goal[1]),
    )
    image = np.arange(maze.n_states).reshape(maze.rows, maze.cols)[:, ::-1].ravel()
    here, there = move_tables(maze), move_tables(mirrored)
    swapped = [UP, LEFT, DOWN, RIGHT]
    assert (image[here.next_state] == there.next_state[swapped][:, image]).all()
    assert (here.rewards == there.rewards[swapped][:, image]).all()
    assert (here.terminated == there.terminated[swapped][:, image]).all()


def test_turns_come_as_often_as_they_should():
    drawn = turns(np.random.default_rng(0).random(100_000), 0.3)
    for turn, chance in ((0, 0.7), (1, 0.15), (-1, 0.15)):
        assert (drawn == turn).mean() == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 1e5))


# --- mistakes


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("action", [-1, 4, 1.0, "up", None])
def test_an_unknown_action_is_refused_by_name(action):
    with pytest.raises(ValueError, match=r"action must be 0 \(up\).*got " + str(action if action != "up" else "'up'")):
        outcomes(CORNER, 0, action)


@pytest.mark.parametrize("action", [2, np.int64(2), np.array(2), DOWN])
def test_any_whole_number_is_an_action(action):
    assert known(action) == 2
    assert type(known(action)) is int


def test_an_unknown_state_is_refused():
    with pytest.raises(ValueError, match=r"state must be in 0..5, got 6"):
        outcomes(CORNER, 6, UP)


@pytest.mark.parametrize("slip", [-0.1, 1.1, math.nan])
def test_slip_is_a_probability(slip):
    with pytest.raises(ValueError, match=rf"slip must be in \[0, 1\], got {slip}"):
        slip_matrix(slip)
    with pytest.raises(ValueError, match="slip must be"):
        outcomes(CORNER, 0, UP, slip=slip)


@pytest.mark.parametrize("name", ["step", "bump", "goal", "cliff"])
def test_rewards_are_finite(name):
    with pytest.raises(ValueError, match=f"{name} must be finite, got inf"):
        Rewards(**{name: math.inf})
