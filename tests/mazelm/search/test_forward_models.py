"""Models as lists and the walks through them: by hand, by slow walks, at an end, with chance, on bad input."""

import numpy as np
import pytest
from mazelm.search.forward_models import as_table, random_playout, random_rollout, table_of_moves, without_bumps
from mazes import maps
from mazes.dynamics import move_tables, outcomes

MAZE = maps.load("classic")

# 0 → 1 → 0 → …, paying 1 and 2; the second way out of 1 ends the task with 8 and names the state 0.
RING = [[[(1.0, 1, 1.0, False)]], [[(1.0, 0, 2.0, False)]]]
EXIT = [[[(1.0, 1, 1.0, False)]], [[(1.0, 0, 8.0, True)]]]


def walks(table, steps, discount, count=1, state=0):
    rollout = random_rollout(table, steps=steps, discount=discount, rng=np.random.default_rng(0))
    return [rollout(state) for _ in range(count)]


def test_rollouts_by_hand():
    assert walks(RING, 1, 0.5) == [1.0]
    assert walks(RING, 4, 0.5) == [1 + 2 / 2 + 1 / 4 + 2 / 8]
    assert walks(RING, 4, 1) == [6.0]
    assert walks(RING, 3, 0.0) == [1.0]
    assert walks(EXIT, 50, 0.5) == [1 + 8 / 2]  # the end is the end, even where the state it names has a way on


def test_every_action_is_taken_as_often():
    """Rows of two and of three actions share one die."""
    table = [[[(1.0, 1, 0.0, False)], [(1.0, 0, 10.0, True)]], [[(1.0, 0, float(i), True)] for i in (1, 2, 3)]]
    returns = walks(table, 9, 1.0, 12_000)
    shares = [returns.count(value) / len(returns) for value in (10.0, 1.0, 2.0, 3.0)]
    assert shares == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6], abs=0.02)


def test_chance_in_a_rollout():
    """Two actions with different cuts of [0, 1): each keeps its own chances."""
    table = [
        [
            [(0.2, 0, 1.0, True), (0.8, 0, 2.0, True)],
            [(0.5, 0, 3.0, True), (0.1, 0, 4.0, True), (0.4, 0, 5.0, True)],
        ]
    ]
    returns = walks(table, 1, 1.0, 20_000)
    shares = [returns.count(float(value)) / len(returns) for value in (1, 2, 3, 4, 5)]
    assert shares == pytest.approx([0.1, 0.4, 0.25, 0.05, 0.2], abs=0.015)


def test_without_bumps():
    table = table_of_moves(*move_tables(MAZE))
    quiet = without_bumps(table)
    assert [after for [(_, after, _, _)] in quiet[0]] == [1, 5]  # from S: right and down
    assert quiet[MAZE.index(*MAZE.goal)] == table[MAZE.index(*MAZE.goal)]  # it has nothing else
    ends_at_home = [[[(1.0, 0, 1.0, True)], [(1.0, 0, 2.0, False)], [(0.5, 0, 0.0, False), (0.5, 1, 0.0, False)]], [[]]]
    assert without_bumps(ends_at_home)[0] == [ends_at_home[0][0], ends_at_home[0][2]]
    stuck = [[[(1.0, 0, -1.0, False)], [(1.0, 0, -2.0, False)]]]
    assert without_bumps(stuck) == stuck


def test_tables_from_both_forms():
    listed = [[outcomes(MAZE, s, a) for a in range(4)] for s in range(25)]
    mapped = {s: dict(enumerate(row)) for s, row in enumerate(listed)}
    assert as_table(listed) == as_table(mapped) == table_of_moves(*move_tables(MAZE))


def test_a_playout_turns_the_sign():
    """One way through: 1 for the first, 2 for the second, 4 for the first."""
    chain = {"a": [[(1.0, "b", 1.0, False)]], "b": [[(1.0, "c", 2.0, False)]], "c": [[(1.0, "", 4.0, True)]]}
    playout = random_playout(chain.__getitem__, rng=np.random.default_rng(0))
    assert [playout(state) for state in "abc"] == [1 - 2 + 4, 2 - 4, 4]


@pytest.mark.parametrize(("reward", "over", "taken"), [(1.0, True, True), (0.0, True, False), (1.0, False, False)])
def test_what_is_decisive(reward, over, taken):
    """Only a move that ends the game with a reward is taken for sure."""
    game = {"a": [[(1.0, "", -1.0, True)], [(1.0, "b", reward, over)]], "b": [[(1.0, "", 0.0, True)]]}
    playout = random_playout(game.__getitem__, decisive=True, rng=np.random.default_rng(0))
    assert (min(playout("a") for _ in range(100)) == -1.0) != taken


def test_bad_input():
    for steps in (0, -1):
        with pytest.raises(ValueError, match="steps must be at least 1"):
            random_rollout(RING, steps=steps, discount=0.9, rng=np.random.default_rng(0))
