"""Tree search against exact solutions: value iteration for mazes and random processes, minimax for a game."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mazelm.search.forward_models import as_table, random_rollout, table_of_moves, without_bumps
from mazelm.search.games import tic_tac_toe
from mazelm.search.mcts import MCTS
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values, value_iteration
from mazes import maps
from mazes.dynamics import move_tables, outcomes
from mazes.generate import random_maze
from mazes.grid import distances

DISCOUNT = 0.9


def table_of(maze, slip=0.0):
    return as_table([[outcomes(maze, s, a, slip=slip) for a in range(4)] for s in range(maze.n_states)])


@st.composite
def processes(draw, most_outcomes):
    """Small random processes: with one outcome for each action they only lead onwards, with more anywhere."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n_states, n_actions = draw(st.integers(2, 5)), draw(st.integers(1, 3))

    def action(s):
        n = int(rng.integers(1, most_outcomes + 1))
        nexts = s + 1 + rng.permutation(n_states - s)[:n] if most_outcomes == 1 else rng.permutation(n_states + 1)[:n]
        chances = rng.dirichlet(np.ones(n))
        return [
            (float(p), int(t), float(rng.integers(-3, 4)), bool(t >= n_states))
            for p, t in zip(chances, nexts, strict=True)
        ]

    return [[action(s) for _ in range(n_actions)] for s in range(n_states)] + [
        [[(1.0, n_states, 0.0, True)]] * n_actions
    ]


def optimum(table, discount):
    return value_iteration(TabularMDP.from_outcomes(table), discount=discount, tolerance=1e-9).values[0]


@settings(max_examples=6)
@given(processes(most_outcomes=1))
def test_root_converges_to_the_optimal_value(table):
    """Random processes without chance and without cycles: the whole tree is known after few simulations."""
    search = MCTS(table.__getitem__, lambda s: 0.0, exploration=5.0, discount=0.8)
    search.search(0, 1500)
    exact = optimum(table, 0.8)
    assert search.action_values()[search.best_action()] == pytest.approx(exact, abs=0.3)
    assert search.state_value() == pytest.approx(exact, abs=0.6)


@settings(max_examples=6)
@given(processes(most_outcomes=3))
def test_with_chance_and_cycles_it_comes_nearer(table):
    """Where chance throws one back, the mean of means is slow: the error shrinks, and no more is asked here."""
    exact, errors = optimum(table, 0.7), []
    for simulations in (30, 1200):
        means = []
        for seed in range(2):
            rng = np.random.default_rng(seed)
            search = MCTS(table.__getitem__, lambda s: 0.0, exploration=2.0, discount=0.7, rng=rng)
            search.search(0, simulations)
            means.append(search.state_value())
        errors.append(abs(np.mean(means) - exact))
    assert errors[1] < max(0.7 * errors[0], 0.25)


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_the_error_shrinks_with_simulations(slip):
    maze = maps.load("classic")
    table, start = table_of(maze, slip), maze.index(*maze.start)
    exact = value_iteration(TabularMDP.from_outcomes(table), discount=DISCOUNT, tolerance=1e-9).values[start]
    errors = []
    for simulations in (100, 1000, 8000):
        rng = np.random.default_rng(1)
        rollout = random_rollout(without_bumps(table), steps=3, discount=DISCOUNT, rng=rng)
        search = MCTS(table.__getitem__, rollout, exploration=3.0 + 20 * slip, discount=DISCOUNT, rng=rng)
        search.search(start, simulations)
        errors.append(abs(search.state_value() - exact))
    assert errors[2] < 0.5 * errors[1] < 0.5 * errors[0] if slip == 0 else errors[2] < 0.7 * errors[0]
    assert errors[2] < (0.3 if slip == 0 else 4.0)


def test_a_table_of_moves_is_the_table_of_outcomes():
    for name in maps.names():
        maze = maps.load(name)
        assert table_of_moves(*move_tables(maze)) == table_of(maze)


@pytest.mark.parametrize("slip", [0.0, 0.3])
def test_rollouts_have_the_value_of_the_random_policy(slip):
    maze = maps.load("classic")
    table = table_of(maze, slip)
    for world in (table, without_bumps(table)):
        width = int(np.lcm.reduce([len(row) for row in world]))
        padded = [row * (width // len(row)) for row in world]
        mdp = TabularMDP.from_outcomes(padded)
        exact = exact_values(mdp, np.full((25, width), 1 / width), discount=DISCOUNT)
        rollout = random_rollout(world, steps=60, discount=DISCOUNT, rng=np.random.default_rng(0))
        for state in (12,):
            returns = [rollout(state) for _ in range(1200)]
            assert np.mean(returns) == pytest.approx(exact[state], abs=5 * np.std(returns) / np.sqrt(1200))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_exact_value_function_makes_every_step_right(seed):
    """With V* for a guess, few simulations find a shortest way through any maze; PUCT with a fair prior as well."""
    maze = random_maze(7, 7, loops=0.3, rng=np.random.default_rng(seed))
    table, state = table_of(maze), maze.index(*maze.start)
    exact = value_iteration(TabularMDP.from_outcomes(table), discount=DISCOUNT, tolerance=1e-9).values
    for prior in (None, lambda s: [0.25] * 4):
        search = MCTS(table.__getitem__, lambda s: float(exact[s]), exploration=0.5, discount=DISCOUNT, prior=prior)
        here, steps = state, 0
        while here != maze.index(*maze.goal) and steps < 60:
            ((_, here, _, _),) = table[here][search.search(here, 30)]
            steps += 1
        assert steps == distances(maze)[state]


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_tic_tac_toe_late_positions_against_minimax(seed):
    """From positions with four marks: the move is one of minimax's best, the value of the root goes to minimax's."""
    rng = np.random.default_rng(seed)
    state, over = tic_tac_toe.EMPTY, False
    while bin(state[0] | state[1]).count("1") < 4 or over:
        if over:
            state, over = tic_tac_toe.EMPTY, False
        moves = tic_tac_toe.moves(state)
        ((_, state, _, over),) = moves[rng.integers(len(moves))]
    search = MCTS(tic_tac_toe.moves, lambda s: 0.0, exploration=1.0, two_player=True)
    assert search.search(state, 1500) in tic_tac_toe.perfect_moves(state)
    assert search.state_value() == pytest.approx(max(tic_tac_toe.move_values(state)), abs=0.25)
