"""The three forms of a model against one another and against the sum that defines them."""

import gymnasium as gym
import numpy as np
import pytest
from mazelm.tabular.mdp import TabularMDP, as_probabilities
from scipy import sparse


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def random_outcomes(rng, n_states=6, n_actions=3):
    """Three outcomes for each pair, some of which lead to one state, and some of which end the task."""
    table = []
    for _ in range(n_states):
        chances = rng.dirichlet(np.ones(3), size=n_actions)
        table.append(
            [
                [(p, int(rng.integers(n_states)), float(rng.normal()), bool(rng.random() < 0.3)) for p in row]
                for row in chances
            ]
        )
    return table


def slow_q(outcomes, values, discount):
    """The definition, outcome by outcome."""
    return np.array(
        [
            [sum(p * (r + discount * (0.0 if end else values[n])) for p, n, r, end in pair) for pair in row]
            for row in outcomes
        ]
    )


def forms(outcomes):
    dense = TabularMDP.from_outcomes(outcomes)
    matrix = sparse.csr_array(dense.transitions.reshape(-1, dense.n_states))
    return dense, TabularMDP(matrix, dense.rewards, dense.terminations)


def test_q_values_by_hand():
    # Action 1 of state 0: half of the time 4 and on to state 1, half of the time 2 and the end.
    outcomes = [[[(1.0, 0, -1.0, False)], [(0.5, 1, 4.0, False), (0.5, 0, 2.0, True)]], [[(1.0, 1, 0.0, True)]] * 2]
    mdp = TabularMDP.from_outcomes(outcomes)
    q = mdp.q_values(np.array([10.0, 20.0]), discount=0.5)
    assert q[0, 0] == -1 + 0.5 * 10
    assert q[0, 1] == 0.5 * 4 + 0.5 * 2 + 0.5 * (0.5 * 20)
    assert q[1].tolist() == [0.0, 0.0]
    assert mdp.best_values(np.array([10.0, 20.0]), discount=0.5).tolist() == [8.0, 0.0]


def test_every_form_agrees_with_the_definition(rng):
    for _ in range(20):
        outcomes, values, discount = random_outcomes(rng), rng.normal(size=6), rng.random()
        for mdp in forms(outcomes):
            want = slow_q(outcomes, values, discount)
            np.testing.assert_allclose(mdp.q_values(values, discount=discount), want, atol=1e-12)
            np.testing.assert_allclose(mdp.best_values(values, discount=discount), want.max(axis=1), atol=1e-12)


def test_a_table_of_moves_is_the_same_as_its_outcomes(rng, monkeypatch):
    monkeypatch.setattr("mazelm.tabular.mdp.DENSE_ENTRIES", 0)  # or it would be stored as an array
    monkeypatch.setattr("mazelm.tabular.mdp._BLOCK", 4)  # so that several blocks and a broken last one are used
    next_state, rewards = rng.integers(7, size=(3, 7)), rng.normal(size=(3, 7))
    terminated, mixture = rng.random((3, 7)) < 0.3, rng.dirichlet(np.ones(3), size=2)
    terminated[:, [1, 4]] = True  # like the walls and the goal of a maze: nothing follows there
    moves = TabularMDP.from_moves(next_state, rewards, terminated, mixture)
    entries = [next_state, rewards, terminated]
    outcomes = [
        [[(mixture[a, m], *(array[m, s].item() for array in entries)) for m in range(3)] for a in range(2)]
        for s in range(7)
    ]
    values = rng.normal(size=7)
    np.testing.assert_allclose(moves.q_values(values, discount=0.9), slow_q(outcomes, values, 0.9), atol=1e-12)
    np.testing.assert_allclose(
        moves.best_values(values, discount=0.9), slow_q(outcomes, values, 0.9).max(axis=1), atol=1e-12
    )
    thrice = values
    for _ in range(3):
        thrice = slow_q(outcomes, thrice, 0.9).max(axis=1)
    listed = TabularMDP.from_outcomes(outcomes)
    for mdp in (moves, listed):
        np.testing.assert_allclose(mdp.best_values(values, discount=0.9, times=3), thrice, atol=1e-12)
    np.testing.assert_allclose(moves.transitions.toarray(), listed.transitions.toarray(), atol=1e-12)
    np.testing.assert_allclose(moves.terminations, listed.terminations, atol=1e-12)


def test_a_move_that_is_never_made_leaves_no_entry(monkeypatch):
    monkeypatch.setattr("mazelm.tabular.mdp.DENSE_ENTRIES", 0)
    identity = TabularMDP.from_moves(np.array([[1, 1], [0, 0]]), np.zeros((2, 2)), np.zeros((2, 2), bool), np.eye(2))
    assert identity.transitions.nnz == 4


def test_under_a_policy(rng):
    outcomes = random_outcomes(rng)
    weights = rng.dirichlet(np.ones(3), size=6)
    for mdp in forms(outcomes):
        process = mdp.under(weights)
        dense = process.transitions.toarray() if sparse.issparse(process.transitions) else process.transitions
        for s in range(6):
            for n in range(6):
                want = sum(
                    weights[s, a] * p for a in range(3) for p, to, _, end in outcomes[s][a] if to == n and not end
                )
                assert dense[s, n] == pytest.approx(want, abs=1e-12)
            want = sum(weights[s, a] * p * r for a in range(3) for p, _, r, _ in outcomes[s][a])
            assert process.rewards[s] == pytest.approx(want)
        first = mdp.under(np.zeros(6, dtype=int))
        np.testing.assert_allclose(first.rewards, mdp.rewards[:, 0])


def test_large_models_are_sparse_and_small_ones_dense():
    table = np.zeros((1, 2), dtype=int)
    small = TabularMDP.from_moves(table, np.zeros((1, 2)), table > 0, np.ones((1, 1)))
    assert small.transitions.tolist() == [[[1, 0]], [[1, 0]]]
    assert sparse.issparse(TabularMDP.from_gymnasium(gym.make("Taxi-v4")).transitions)
    assert isinstance(TabularMDP.from_gymnasium(gym.make("FrozenLake-v1")).transitions, np.ndarray)


def test_an_environment_without_a_model_is_refused():
    with pytest.raises(ValueError, match=r"env\.unwrapped\.P.*learn from samples"):
        TabularMDP.from_gymnasium(gym.make("Blackjack-v1"))


TWO = np.full((2, 1, 2), 0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TWO * 0.9, np.zeros((2, 1))), r"transitions\[0, 0\].*sum to one, got 0.9 for action 0 in state 0"),
        ((TWO, np.zeros((2, 1)), np.array([[0.0], [0.1]])), r"transitions\[1, 0\].*got 1.1"),
        ((TWO * np.nan, np.zeros((2, 1))), r"transitions\[0, 0\].*got nan"),
        ((np.array([[[1.5, -0.5]], [[0.5, 0.5]]]), np.zeros((2, 1))), r"must hold probabilities, got -0.5"),
        ((TWO, np.array([[0.0], [np.inf]])), r"rewards\[1, 0\] must be a number, got inf"),
        ((TWO, np.zeros((2, 2))), r"transitions must have shape \(2, 2, 2\).*got \(2, 1, 2\)"),
        ((TWO, np.zeros((2, 1)), np.zeros((1, 1))), r"terminations must have the shape of rewards, \(2, 1\)"),
        ((TWO, np.zeros(2)), r"rewards must have one row for each state.*got \(2,\)"),
        ((sparse.csr_array(np.eye(3)), np.zeros((2, 1))), r"transitions must have shape \(2, 2\)"),
    ],
)
def test_bad_models_are_refused_by_name(arguments, message, unchecked):
    with pytest.raises(ValueError, match=message):
        TabularMDP(*arguments)


def test_bad_moves_and_outcomes_are_refused():
    table = np.zeros((1, 2), dtype=int)
    with pytest.raises(ValueError, match="next_state must name states from 0 to 1, got 2"):
        TabularMDP.from_moves(table + 2, np.zeros((1, 2)), table > 0, np.ones((1, 1)))
    with pytest.raises(ValueError, match=r"sum to one, got 0\.5"):
        TabularMDP.from_moves(table, np.zeros((1, 2)), table > 0, np.full((1, 1), 0.5))
    with pytest.raises(ValueError, match="mixture must hold probabilities, got -1"):
        TabularMDP.from_moves(np.zeros((2, 2), int), np.zeros((2, 2)), np.zeros((2, 2), bool), np.array([[2.0, -1.0]]))
    with pytest.raises(ValueError, match=r"outcomes\[1\] must have 2 actions.*got 1"):
        TabularMDP.from_outcomes([[[(1.0, 0, 0.0, True)]] * 2, [[(1.0, 0, 0.0, True)]]])


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (np.array([0, 2]), r"policy\[1\] must be an action from 0 to 1, got 2"),
        (np.array([-1, 0]), r"policy\[0\] must be an action from 0 to 1, got -1"),
        (np.array([0.0, 1.0]), r"policy must be one whole number.*got shape \(2,\) of float64"),
        (np.array([[0.5, 0.4], [1.0, 0.0]]), r"policy\[0\] must hold probabilities that sum to one"),
        (np.array([[0.5, 0.5], [1.5, -0.5]]), r"policy\[1\] must hold probabilities"),
    ],
)
def test_bad_policies_are_refused_by_name(policy, message):
    with pytest.raises(ValueError, match=message):
        as_probabilities(policy, 2, 2)


def test_both_forms_of_a_policy():
    assert as_probabilities(np.array([1, 0]), 2, 2).tolist() == [[0, 1], [1, 0]]
    assert as_probabilities(np.array([[0.25, 0.75], [1, 0]]), 2, 2).tolist() == [[0.25, 0.75], [1, 0]]
