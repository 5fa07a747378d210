"""The labelled equations of lesson 6.2, each transcribed slowly and compared with the library on random models."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import (
    error_bound,
    exact_values,
    greedy_policy,
    policy_iteration,
    value_iteration,
    value_iteration_sweeps,
)

discounts = st.sampled_from([0.0, 0.3, 0.9, 0.99])


@st.composite
def models(draw):
    """A random model in which some steps may end the task, some actions are alike, and some rewards are large."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_states, n_actions = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    rows = rng.dirichlet(np.full(n_states + 1, 0.4), size=(n_states, n_actions))
    if draw(st.booleans()):  # no step ends the task
        rows[..., 0] += rows[..., -1]
        rows[..., -1] = 0
    rewards = rng.normal(scale=draw(st.sampled_from([0.1, 1.0, 100.0])), size=(n_states, n_actions))
    return TabularMDP(rows[..., :-1], rewards, rows[..., -1]), rng


def slow_promise(mdp, values, s, a, discount):
    """r(s, a) + γ·Σ P(s′ | s, a)·V(s′), term by term."""
    total = float(mdp.rewards[s, a])
    for following in range(mdp.n_states):
        total += discount * float(mdp.transitions[s, a, following]) * float(values[following])
    return total


def slow_sweep(mdp, values, discount):
    """The Bellman optimality operator, state by state."""
    return np.array(
        [max(slow_promise(mdp, values, s, a, discount) for a in range(mdp.n_actions)) for s in range(mdp.n_states)]
    )


def slow_optimum(mdp, discount):
    """The best of all deterministic policies, each evaluated by itself: no sweep and no greedy choice."""
    policies = itertools.product(range(mdp.n_actions), repeat=mdp.n_states)
    values = []
    for policy in policies:
        chosen = mdp.transitions[np.arange(mdp.n_states), list(policy)]
        rewards = mdp.rewards[np.arange(mdp.n_states), list(policy)]
        values.append(np.linalg.solve(np.eye(mdp.n_states) - discount * chosen, rewards))
    return np.max(values, axis=0)


def size(values):
    """The maximum norm."""
    return max(abs(float(value)) for value in values)


@given(models(), discounts)
def test_eq_value_iteration(drawn, discount):
    mdp, rng = drawn
    values = rng.normal(size=mdp.n_states)
    for sweep in itertools.islice(value_iteration_sweeps(mdp, discount=discount, values=values), 4):
        values = slow_sweep(mdp, values, discount)
        assert sweep.values == pytest.approx(values, rel=1e-10, abs=1e-10)


@given(st.integers(0, 2**32 - 1), discounts)
def test_eq_value_iteration_for_a_table_of_moves(seed, discount):
    """The form that mazes have: every action mixes a few moves, and some moves end the task."""
    rng = np.random.default_rng(seed)
    n_moves, n_states, n_actions = int(rng.integers(1, 4)), int(rng.integers(1, 7)), int(rng.integers(1, 4))
    next_state = rng.integers(n_states, size=(n_moves, n_states))
    rewards, ended = rng.normal(size=(n_moves, n_states)), rng.random((n_moves, n_states)) < 0.3
    mixture = rng.dirichlet(np.ones(n_moves), size=n_actions)
    mdp, values = TabularMDP.from_moves(next_state, rewards, ended, mixture), rng.normal(size=n_states)
    expected = np.full((n_states, n_actions), 0.0)
    for s, a, m in itertools.product(range(n_states), range(n_actions), range(n_moves)):
        following = 0.0 if ended[m, s] else values[next_state[m, s]]
        expected[s, a] += mixture[a, m] * (rewards[m, s] + discount * following)
    sweep = next(value_iteration_sweeps(mdp, discount=discount, values=values))
    assert mdp.q_values(values, discount=discount) == pytest.approx(expected, rel=1e-10, abs=1e-10)
    assert sweep.values == pytest.approx(expected.max(axis=1), rel=1e-10, abs=1e-10)


@given(models(), discounts)
def test_eq_contraction(drawn, discount):
    """One sweep from two starts: the distance shrinks by γ at least."""
    mdp, rng = drawn
    one, other = rng.normal(scale=10, size=(2, mdp.n_states))
    after = [next(value_iteration_sweeps(mdp, discount=discount, values=values)).values for values in (one, other)]
    assert size(after[0] - after[1]) <= discount * size(one - other) + 1e-10
    assert after[0] == pytest.approx(slow_sweep(mdp, one, discount), rel=1e-10, abs=1e-10)


@given(models(), discounts)
def test_eq_stopping_bound(drawn, discount):
    mdp, _ = drawn
    optimum = slow_optimum(mdp, discount) if mdp.n_states * mdp.n_actions <= 15 else None
    before = np.zeros(mdp.n_states)
    for sweep in itertools.islice(value_iteration_sweeps(mdp, discount=discount), 30):
        bound = discount / (1 - discount) * size(sweep.values - before)
        assert sweep.change == pytest.approx(size(sweep.values - before), rel=1e-12)
        assert sweep.error_bound == pytest.approx(bound, rel=1e-9, abs=1e-12)
        assert sweep.error_bound == error_bound(sweep.change, discount)
        if optimum is not None:
            assert size(sweep.values - optimum) <= bound + 1e-9 * (1 + size(optimum))
        before = sweep.values


def test_the_stopping_bound_is_reached():
    """Two states that change places and pay 1: the error is the same everywhere, and the bound is the error."""
    mdp = TabularMDP(np.array([[[0.0, 1.0]], [[1.0, 0.0]]]), np.ones((2, 1)))
    for sweep in itertools.islice(value_iteration_sweeps(mdp, discount=0.9), 50):
        assert size(sweep.values - 10) == pytest.approx(sweep.error_bound, rel=1e-9)


@given(models(), discounts, st.floats(0, 10))
def test_eq_greedy_loss(drawn, discount, epsilon):
    """Any guess that is off by ε at most: its greedy policy loses 2γ/(1 − γ)·ε at most."""
    mdp, rng = drawn
    optimum = policy_iteration(mdp, discount=discount).values
    guess = optimum + epsilon * rng.choice([-1.0, 1.0], size=mdp.n_states)
    policy = greedy_policy(mdp, guess, discount=discount)
    for s in range(mdp.n_states):
        best = max(slow_promise(mdp, guess, s, a, discount) for a in range(mdp.n_actions))
        chosen = slow_promise(mdp, guess, s, int(policy[s]), discount)
        assert chosen == pytest.approx(best, rel=1e-6, abs=1e-6)
    loss = size(optimum - exact_values(mdp, policy, discount=discount))
    assert loss <= 2 * discount / (1 - discount) * epsilon + 1e-5 * (1 + size(optimum))


@pytest.mark.parametrize("discount", [0.5, 0.9, 0.99])
def test_the_bound_on_the_loss_is_reached(discount):
    """Stay at the price of 2γε, or go where nothing happens: a guess that is off by ε makes the two look alike."""
    moves = np.zeros((2, 2, 2))
    moves[0, 0, 0] = moves[0, 1, 1] = moves[1, :, 1] = 1
    mdp = TabularMDP(moves, np.array([[-2 * discount, 0.0], [0.0, 0.0]]))
    assert policy_iteration(mdp, discount=discount).values == pytest.approx([0, 0])
    policy = greedy_policy(mdp, np.array([1.0, -1.0]), discount=discount)
    assert exact_values(mdp, policy, discount=discount)[0] == pytest.approx(-2 * discount / (1 - discount))


@given(models(), st.sampled_from([0.3, 0.9, 0.99]))
def test_eq_stopped_policy(drawn, discount):
    """The policy that is greedy for the values of sweep k + 1 loses less than 2γ times their error bound."""
    mdp, _ = drawn
    optimum = policy_iteration(mdp, discount=discount).values
    before = np.zeros(mdp.n_states)
    for sweep in itertools.islice(value_iteration_sweeps(mdp, discount=discount), 12):
        bound = discount / (1 - discount) * size(sweep.values - before)
        policy = greedy_policy(mdp, sweep.values, discount=discount)
        loss = size(optimum - exact_values(mdp, policy, discount=discount))
        assert loss <= 2 * discount * bound + 1e-5 * (1 + size(optimum))
        before = sweep.values


@given(models(), st.sampled_from([0.3, 0.9, 0.99]))
def test_eq_value_bracket(drawn, discount):
    """The smallest and the largest change of a sweep say how far all values can still go down and up."""
    mdp, rng = drawn
    optimum = policy_iteration(mdp, discount=discount).values
    room = 1e-7 * (1 + size(optimum))
    before = rng.normal(size=mdp.n_states)
    for sweep in itertools.islice(value_iteration_sweeps(mdp, discount=discount, values=before), 12):
        changes = [float(new - old) for new, old in zip(sweep.values, before, strict=True)]
        low, high = min(changes), max(changes)
        if mdp.terminations.any():  # a constant is not passed on whole
            low, high = min(low, 0.0), max(high, 0.0)
        low, high = (discount / (1 - discount) * bound for bound in (low, high))
        for s in range(mdp.n_states):
            assert low - room <= optimum[s] - sweep.values[s] <= high + room
        earned = exact_values(mdp, greedy_policy(mdp, sweep.values, discount=discount), discount=discount)
        assert size(optimum - earned) <= discount * (high - low) + 1e-5 * (1 + size(optimum))
        before = sweep.values


@given(models(), st.sampled_from([0.3, 0.9]), st.sampled_from([1e-3, 1e-6]))
def test_value_iteration_keeps_its_word(drawn, discount, tolerance):
    mdp, _ = drawn
    found, optimum = (
        value_iteration(mdp, discount=discount, tolerance=tolerance),
        policy_iteration(mdp, discount=discount),
    )
    assert found.error_bound <= tolerance
    room = 1e-6 * (1 + size(optimum.values))  # policy iteration keeps an action that is worse by a relative 1e-9
    assert size(found.values - optimum.values) <= tolerance + room
    assert size(exact_values(mdp, found.policy, discount=discount) - optimum.values) <= 2 * discount * tolerance + room


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_sweep_k_is_the_best_of_k_steps(steps):
    """Begun with zeros: by trying all actions at all times, with every outcome, as a tree."""
    rng = np.random.default_rng(steps)
    rows = rng.dirichlet(np.ones(4), size=(3, 2))
    mdp = TabularMDP(rows[..., :3], rng.normal(size=(3, 2)), rows[..., 3])

    def best(s, left):
        if left == 0:
            return 0.0
        return max(mdp.rewards[s, a] + 0.9 * sum(rows[s, a, n] * best(n, left - 1) for n in range(3)) for a in range(2))

    sweeps = list(itertools.islice(value_iteration_sweeps(mdp, discount=0.9), steps))
    assert sweeps[-1].values == pytest.approx([best(s, steps) for s in range(3)], rel=1e-12)
