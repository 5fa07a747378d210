"""The planners against quantecon's DiscreteDP, on random models.

quantecon knows no end of a task: rows have to sum to one. One more state takes the ends in; it leads to itself, and
pays nothing.
"""

import numpy as np
import pytest
from mazelm.tabular.asynchronous import asynchronous_sweeps, prioritised_sweeping
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import (
    exact_values,
    greedy_policy,
    modified_policy_iteration,
    policy_iteration,
    value_iteration,
)
from mazes.dynamics import move_tables, slip_matrix
from mazes.generate import random_maze
from quantecon.markov import DiscreteDP
from scipy import sparse

CASES = [
    (seed, discount, stored) for seed in range(3) for discount in (0.5, 0.9, 0.97) for stored in ("dense", "sparse")
]


def random_model(seed, stored):
    """Some transitions impossible, some steps that may end the task; every other model never ends."""
    rng = np.random.default_rng(seed)
    n_states, n_actions = int(rng.integers(2, 20)), int(rng.integers(1, 5))
    rows = rng.dirichlet(np.full(n_states + 1, 0.2), size=(n_states, n_actions))
    if seed % 2:
        rows[..., 0] += rows[..., -1]
        rows[..., -1] = 0
    going_on = rows[..., :-1] if stored == "dense" else sparse.csr_array(rows[..., :-1].reshape(-1, n_states))
    return TabularMDP(going_on, rng.normal(scale=3, size=(n_states, n_actions)), rows[..., -1])


def in_quantecon(mdp, discount):
    """The same with one more state, by its product formulation (S, A), (S, A, S)."""
    n_states, n_actions = mdp.rewards.shape
    matrix = mdp.transitions
    matrix = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    transitions = np.zeros((n_states + 1, n_actions, n_states + 1))
    transitions[:-1, :, :-1] = matrix.reshape(n_states, n_actions, n_states)
    transitions[:-1, :, -1] = mdp.terminations
    transitions[-1, :, -1] = 1
    return DiscreteDP(np.vstack([mdp.rewards, np.zeros(n_actions)]), transitions, discount)


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request):
    seed, discount, stored = request.param
    mdp = random_model(seed, stored)
    peer = in_quantecon(mdp, discount)
    return mdp, discount, peer, peer.solve(method="policy_iteration")


def test_policy_iteration(case):
    mdp, discount, _, expected = case
    assert policy_iteration(mdp, discount=discount).values == pytest.approx(expected.v[:-1], abs=1e-6)


def test_the_policy_is_as_good(case):
    """Ties may be broken either way: compared are the values of the policies, each evaluated by the other side."""
    mdp, discount, peer, expected = case
    ours = policy_iteration(mdp, discount=discount).policy
    assert peer.evaluate_policy(np.append(ours, 0))[:-1] == pytest.approx(expected.v[:-1], abs=1e-6)
    assert exact_values(mdp, expected.sigma[:-1], discount=discount) == pytest.approx(expected.v[:-1], abs=1e-8)


def test_sweeps(case):
    """What stops by a bound keeps it."""
    mdp, discount, _, expected = case
    found = [
        value_iteration(mdp, discount=discount, tolerance=1e-6).values,
        modified_policy_iteration(mdp, discount=discount, tolerance=1e-6, sweeps=7).values,
    ]
    for values in found:
        assert values == pytest.approx(expected.v[:-1], abs=1.1e-6)
    *_, last = prioritised_sweeping(mdp, discount=discount, tolerance=1e-3)
    assert last.values == pytest.approx(expected.v[:-1], abs=1.1e-3)


def test_one_sweep_is_their_bellman_operator(case):
    mdp, discount, peer, _ = case
    values = np.random.default_rng(0).normal(size=mdp.n_states)
    theirs = peer.bellman_operator(np.append(values, 0.0))[:-1]
    assert mdp.best_values(values, discount=discount) == pytest.approx(theirs, rel=1e-12, abs=1e-12)
    # In place, the state that comes first sees the old values only.
    (one,) = asynchronous_sweeps(mdp, [[mdp.n_states - 1]], discount=discount, values=values)
    assert one.values[-1] == pytest.approx(theirs[-1], rel=1e-12)
    assert np.array_equal(one.values[:-1], values[:-1])
    greedy = peer.compute_greedy(np.append(values, 0.0))[:-1]
    assert greedy_policy(mdp, values, discount=discount).tolist() == greedy.tolist()


def test_a_slippery_maze():
    maze = random_maze(15, 15, loops=0.2, rng=np.random.default_rng(7))
    mdp = TabularMDP.from_moves(*move_tables(maze), slip_matrix(0.2))
    expected = in_quantecon(mdp, 0.97).solve(method="policy_iteration").v[:-1]
    assert policy_iteration(mdp, discount=0.97).values == pytest.approx(expected, abs=1e-6)
    assert value_iteration(mdp, discount=0.97, tolerance=1e-8).values == pytest.approx(expected, abs=1e-7)
