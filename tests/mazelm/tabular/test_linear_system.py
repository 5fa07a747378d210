"""The system behind linear TD: against averages of updates, long walks, and the theorems about it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Transition, experience
from mazelm.tabular.linear import linear_td_update
from mazelm.tabular.linear_system import (
    TDSystem,
    expected_td_update,
    on_policy_distribution,
    projected_bellman_error,
    td_fixed_point,
    td_system,
    value_error,
)
from mazelm.tabular.mdp import MarkovRewardProcess, TabularMDP
from mazelm.tabular.planning import exact_values
from mazelm.tabular.problems.random_walk import random_walk
from scipy import sparse

SEEDS = st.integers(0, 10_000)


def random_process(seed, n_states=6, ends=True):
    """Transitions of which some may end the task, rewards, three features, and any shares."""
    rng = np.random.default_rng(seed)
    transitions = rng.dirichlet(np.full(n_states + ends, 0.4), size=n_states)[:, :n_states]
    process = MarkovRewardProcess(transitions, rng.normal(size=n_states))
    return process, rng.normal(size=(n_states, 3)), rng.dirichlet(np.ones(n_states)), rng


# --- the labelled equations, transcribed


@given(SEEDS, st.floats(0, 1), st.floats(0.01, 1))
def test_eq_td_system(seed, discount, step_size):
    """A and b entry by entry, and the expected update as the mean of all the single ones."""
    process, features, shares, rng = random_process(seed)
    system = td_system(features, process, shares, discount=discount)
    matrix, vector, weights = np.zeros((3, 3)), np.zeros(3), rng.normal(size=3)
    mean_change = np.zeros(3)
    for s in range(6):
        for i in range(3):
            vector[i] += shares[s] * features[s, i] * process.rewards[s]
            for j in range(3):
                ahead = sum(process.transitions[s, n] * features[n, j] for n in range(6))
                matrix[i, j] += shares[s] * features[s, i] * (features[s, j] - discount * ahead)
        ending = 1 - process.transitions[s].sum()
        for chance, n in [*((process.transitions[s, n], n) for n in range(6)), (ending, None)]:
            after = weights.copy()
            step = Transition(s, 0, float(process.rewards[s]), s if n is None else n, n is None)
            linear_td_update(after, features, step, step_size=step_size, discount=discount)
            mean_change += shares[s] * chance * (after - weights)
    np.testing.assert_allclose(system.matrix, matrix, atol=1e-12)
    np.testing.assert_allclose(system.vector, vector, atol=1e-12)
    before = weights.copy()
    expected_td_update(weights, system, step_size=step_size)
    np.testing.assert_allclose(weights, before + step_size * (vector - matrix @ before), atol=1e-12)
    np.testing.assert_allclose(weights, before + mean_change, atol=1e-10)


@given(SEEDS, st.floats(0, 0.99))
def test_eq_td_fixed_point(seed, discount):
    """A·w = b, the expected update stands still, and the error of the target is orthogonal to each feature."""
    process, features, _, _ = random_process(seed)
    shares = on_policy_distribution(process, np.full(6, 1 / 6))
    system = td_system(features, process, shares, discount=discount)
    weights = td_fixed_point(system)
    np.testing.assert_allclose(system.matrix @ weights, system.vector, atol=1e-9)
    values = features @ weights
    errors = process.rewards + discount * process.transitions @ values - values
    for i in range(3):
        assert sum(shares[s] * errors[s] * features[s, i] for s in range(6)) == pytest.approx(0, abs=1e-9)
    moved = weights.copy()
    expected_td_update(moved, system, step_size=0.5)
    np.testing.assert_allclose(moved, weights, atol=1e-9)


@given(SEEDS)
def test_eq_value_error(seed):
    _, features, shares, rng = random_process(seed)
    truth, weights = rng.normal(size=6), rng.normal(size=3)
    slow = 0.0
    for s in range(6):
        guess = sum(features[s, i] * weights[i] for i in range(3))
        slow += shares[s] * (truth[s] - guess) ** 2
    assert value_error(features @ weights, truth, shares) == pytest.approx(slow)
    assert value_error(truth, truth, shares) == 0


@given(SEEDS, st.floats(0, 0.99))
def test_eq_pbe(seed, discount):
    """By the matrices, and as the length of the projected Bellman error, found by weighted least squares."""
    process, features, shares, rng = random_process(seed)
    system = td_system(features, process, shares, discount=discount)
    weights = rng.normal(size=3)
    drift = system.vector - system.matrix @ weights
    covariance = sum(shares[s] * np.outer(features[s], features[s]) for s in range(6))
    found = projected_bellman_error(weights, features, system, shares)
    assert found == pytest.approx(drift @ np.linalg.inv(covariance) @ drift, rel=1e-6)
    values = features @ weights
    errors = process.rewards + discount * process.transitions @ values - values
    root = np.sqrt(shares)
    seen = features @ np.linalg.lstsq(features * root[:, None], errors * root)[0]
    assert found == pytest.approx(shares @ seen**2, rel=1e-6)
    assert found <= shares @ errors**2 + 1e-9


@given(SEEDS, st.floats(0, 0.99))
def test_eq_td_bound(seed, discount):
    """VE(w_TD) ≤ min VE / (1 − γ²), with the policy's own shares; with and without ends."""
    for ends in (True, False):
        process, features, _, _ = random_process(seed, ends=ends)
        shares = on_policy_distribution(process, np.full(6, 1 / 6))
        truth = np.linalg.solve(np.eye(6) - discount * process.transitions, process.rewards)
        weights = td_fixed_point(td_system(features, process, shares, discount=discount))
        root = np.sqrt(shares)
        best = features @ np.linalg.lstsq(features * root[:, None], truth * root)[0]
        smallest = value_error(best, truth, shares)
        assert smallest - 1e-9 <= value_error(features @ weights, truth, shares)
        assert value_error(features @ weights, truth, shares) <= smallest / (1 - discount**2) + 1e-9


# --- the theorems


@given(SEEDS, st.floats(0, 0.99))
def test_on_policy_the_matrix_is_positive_definite(seed, discount):
    process, features, _, rng = random_process(seed)
    shares = on_policy_distribution(process, rng.dirichlet(np.ones(6)))
    matrix = td_system(features, process, shares, discount=discount).matrix
    for weights in rng.normal(size=(20, 3)):
        length = shares @ (features @ weights) ** 2
        assert weights @ matrix @ weights >= (1 - discount) * length - 1e-9
        ahead = shares @ (process.transitions @ features @ weights) ** 2
        assert ahead <= length + 1e-9  # looking one step ahead makes no values longer


def test_a_table_has_the_exact_values():
    walk, policy = random_walk(7), np.full((7, 2), 0.5)
    process = walk.under(policy)
    truth = exact_values(walk, policy, discount=0.9)
    for shares in (on_policy_distribution(process, np.eye(7)[3]), np.arange(1, 8) / 28):
        system = td_system(np.eye(7), process, shares, discount=0.9)
        np.testing.assert_allclose(td_fixed_point(system), truth, atol=1e-12)  # whatever the shares are
        assert projected_bellman_error(truth, np.eye(7), system, shares) == pytest.approx(0, abs=1e-20)


def test_sparse_transitions_give_the_same():
    process, features, shares, _ = random_process(3)
    thin = MarkovRewardProcess(sparse.csr_array(process.transitions), process.rewards)
    dense, same = (td_system(features, one, shares, discount=0.9) for one in (process, thin))
    np.testing.assert_allclose(same.matrix, dense.matrix, atol=1e-14)
    start = np.full(6, 1 / 6)
    np.testing.assert_allclose(on_policy_distribution(thin, start), on_policy_distribution(process, start), atol=1e-12)


# --- where a policy spends its time


def test_on_policy_distribution_by_hand():
    """Start in the first of two states, go to the second with ½, which ends: two visits in three are to the first."""
    process = MarkovRewardProcess(np.array([[0.5, 0.5], [0.0, 0.0]]), np.zeros(2))
    np.testing.assert_allclose(on_policy_distribution(process, np.array([1.0, 0.0])), [2 / 3, 1 / 3], atol=1e-12)
    np.testing.assert_allclose(on_policy_distribution(process, np.array([0.0, 1.0])), [0.0, 1.0], atol=1e-12)


def test_on_policy_distribution_of_a_process_that_never_ends():
    process = MarkovRewardProcess(np.array([[0.9, 0.1], [0.3, 0.7]]), np.zeros(2))
    np.testing.assert_allclose(on_policy_distribution(process, np.array([0.0, 1.0])), [0.75, 0.25], atol=1e-12)


def test_on_policy_distribution_is_that_of_a_long_walk():
    walk, policy = random_walk(5), np.tile([0.4, 0.6], (5, 1))
    shares = on_policy_distribution(walk.under(policy), np.eye(5)[2])
    env = TabularEnv(walk, start=2)
    visited = np.zeros(5)
    for step in experience(env, policy, 30_000, rng=np.random.default_rng(2)):
        visited[step.state] += 1 / 30_000
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(visited, shares, atol=0.01)


def test_two_islands_have_no_one_distribution():
    process = MarkovRewardProcess(np.eye(3), np.zeros(3))
    with pytest.raises(ValueError, match="process must settle in one set of states, got 3"):
        on_policy_distribution(process, np.full(3, 1 / 3))


def test_dependent_features_have_no_one_fixed_point():
    mdp = TabularMDP.from_outcomes([[[(1.0, 0, 1.0, False)]]])
    system = td_system(np.ones((1, 2)), mdp.under(np.array([0])), np.ones(1), discount=0.5)
    with pytest.raises(ValueError, match=r"system.matrix must be invertible, got rank 1 for 2 weights"):
        td_fixed_point(system)
    assert isinstance(system, TDSystem)
