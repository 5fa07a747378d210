"""The labelled equations of lesson 5.2, transcribed slowly and compared with the library on random processes."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mazelm.tabular.episodes import Trajectory
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values, greedy_policy, policy_iteration, value_iteration

seeds = st.integers(0, 2**32 - 1)
discounts = st.sampled_from([0.0, 0.3, 0.7, 0.9])
LONG = 250  # steps after which 0.9 ** LONG is below 1e-11


def random_mdp(rng, *, n_states=None, n_actions=None, least_end=0.0):
    """Any process: some steps end the task, some transitions cannot happen."""
    n_states = n_states or int(rng.integers(1, 6))
    n_actions = n_actions or int(rng.integers(1, 4))
    rows = rng.exponential(size=(n_states, n_actions, n_states + 1)) * (
        rng.random((n_states, n_actions, n_states + 1)) < 0.7
    )
    rows[..., -1] += least_end + 1e-3
    rows /= rows.sum(axis=2, keepdims=True)
    return TabularMDP(rows[..., :-1], rng.normal(size=(n_states, n_actions)), rows[..., -1])


def random_policy(rng, mdp):
    return rng.dirichlet(np.ones(mdp.n_actions), size=mdp.n_states)


def mean_return(mdp, chances, policy, discount, steps=LONG):
    """E[G] when the walk is in state s with probability chances[s]: step by step, the mean reward of every step."""
    total, chances = 0.0, list(chances)
    for t in range(steps):
        following = [0.0] * mdp.n_states
        for s, a in itertools.product(range(mdp.n_states), range(mdp.n_actions)):
            here = chances[s] * policy[s, a]
            total += discount**t * here * mdp.rewards[s, a]
            for s_next in range(mdp.n_states):
                following[s_next] += here * mdp.transitions[s, a, s_next]
        chances = following
        if sum(chances) * discount ** (t + 1) < 1e-13:
            break
    return total


def surely_in(s, n_states):
    return [1.0 if i == s else 0.0 for i in range(n_states)]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.floats(0, 1), st.floats(-5, 5), st.booleans())
def test_eq_return(rewards, discount, bootstrap, terminated):
    length = len(rewards)
    returns = Trajectory([0] * length, [0] * length, rewards, 0, terminated).returns(discount, bootstrap=bootstrap)
    for t in range(length):
        expected = 0.0
        for k in range(length - t):
            expected += discount**k * rewards[t + k]
        if not terminated:  # what was cut off is estimated, and discounted as often as it is steps away
            expected += discount ** (length - t) * bootstrap
        assert returns[t] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_return_of_the_corridor_walk_by_hand():
    walk = Trajectory([0, 0, 1], [0, 1, 1], [-5.0, -1.0, 10.0], 1, True)
    assert walk.returns(2 / 3) == pytest.approx([-5 - 2 / 3 + 40 / 9, -1 + 20 / 3, 10])
    assert walk.returns(1.0) == pytest.approx([4, 9, 10])
    assert walk.returns(0.0) == pytest.approx([-5, -1, 10])


@settings(max_examples=50)
@given(seeds, discounts)
def test_eq_value(seed, discount):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, n_states=int(rng.integers(1, 4)), n_actions=2, least_end=0.1)
    policy = random_policy(rng, mdp)
    values = exact_values(mdp, policy, discount=discount)
    for s in range(mdp.n_states):
        expected = mean_return(mdp, surely_in(s, mdp.n_states), policy, discount)
        assert values[s] == pytest.approx(expected, rel=1e-7, abs=1e-7)


@settings(max_examples=50)
@given(seeds, discounts)
def test_eq_action_value(seed, discount):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, n_states=int(rng.integers(1, 4)), n_actions=2, least_end=0.1)
    policy = random_policy(rng, mdp)
    q = mdp.q_values(exact_values(mdp, policy, discount=discount), discount=discount)
    for s, a in itertools.product(range(mdp.n_states), range(2)):
        later = mean_return(mdp, mdp.transitions[s, a], policy, discount)  # the policy takes over after the first step
        assert q[s, a] == pytest.approx(mdp.rewards[s, a] + discount * later, rel=1e-7, abs=1e-7)


@given(seeds, discounts)
def test_eq_bellman(seed, discount):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng)
    policy = random_policy(rng, mdp)
    values = exact_values(mdp, policy, discount=discount)
    for s in range(mdp.n_states):
        expected = 0.0
        for a in range(mdp.n_actions):
            following = sum(mdp.transitions[s, a, s_next] * values[s_next] for s_next in range(mdp.n_states))
            expected += policy[s, a] * (mdp.rewards[s, a] + discount * following)
        assert values[s] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(seeds, discounts)
def test_eq_q_from_values(seed, discount):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng)
    policy = random_policy(rng, mdp)
    values = exact_values(mdp, policy, discount=discount)
    q = mdp.q_values(values, discount=discount)
    for s in range(mdp.n_states):
        for a in range(mdp.n_actions):
            following = sum(mdp.transitions[s, a, s_next] * values[s_next] for s_next in range(mdp.n_states))
            assert q[s, a] == pytest.approx(mdp.rewards[s, a] + discount * following, rel=1e-9, abs=1e-12)
        assert sum(policy[s, a] * q[s, a] for a in range(mdp.n_actions)) == pytest.approx(values[s], rel=1e-9, abs=1e-9)


@given(seeds, st.sampled_from([0.0, 0.5, 0.9, 1.0]))
def test_eq_value_matrix(seed, discount):
    """The inverse as the sum of the powers, also without a discount where the task is sure to end."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, least_end=0.2)
    policy = random_policy(rng, mdp)
    n_states = mdp.n_states
    transitions, rewards = np.zeros((n_states, n_states)), np.zeros(n_states)
    for s, a in itertools.product(range(n_states), range(mdp.n_actions)):
        rewards[s] += policy[s, a] * mdp.rewards[s, a]
        for s_next in range(n_states):
            transitions[s, s_next] += policy[s, a] * mdp.transitions[s, a, s_next]
    visits, power = np.zeros((n_states, n_states)), np.eye(n_states)
    for _ in range(2000):
        visits += power
        power = discount * power @ transitions
        if power.max() < 1e-16:
            break
    assert exact_values(mdp, policy, discount=discount) == pytest.approx(visits @ rewards, rel=1e-8, abs=1e-8)


def test_no_solution_without_a_discount_where_the_task_never_ends():
    stays = TabularMDP(np.array([[[1.0], [0.0]]]), np.array([[-1.0, 2.0]]), np.array([[0.0, 1.0]]))
    with pytest.raises(ValueError, match="discount"):
        exact_values(stays, np.array([0]), discount=1.0)
    assert exact_values(stays, np.array([0]), discount=0.99) == pytest.approx([-100])
    assert exact_values(stays, np.array([1]), discount=1.0) == pytest.approx([2])
    assert exact_values(stays, np.array([[0.5, 0.5]]), discount=1.0) == pytest.approx(
        [1]
    )  # one stay on average, then +2


@settings(max_examples=50)
@given(seeds, discounts)
def test_eq_advantage(seed, discount):
    """Its mean under the policy is 0, and it is what one deviation gains over the usual walk."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, n_states=2, n_actions=2, least_end=0.2)
    policy = random_policy(rng, mdp)
    values = exact_values(mdp, policy, discount=discount)
    advantages = mdp.q_values(values, discount=discount) - values[:, None]
    for s in range(2):
        assert sum(policy[s, a] * advantages[s, a] for a in range(2)) == pytest.approx(0, abs=1e-9)
        usual = mean_return(mdp, surely_in(s, 2), policy, discount)
        for a in range(2):
            deviating = mdp.rewards[s, a] + discount * mean_return(mdp, mdp.transitions[s, a], policy, discount)
            assert advantages[s, a] == pytest.approx(deviating - usual, rel=1e-7, abs=1e-7)


@settings(max_examples=50)
@given(seeds, discounts)
def test_eq_performance_difference(seed, discount):
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, n_states=3, n_actions=2, least_end=0.1)
    policy, other = random_policy(rng, mdp), random_policy(rng, mdp)
    values = exact_values(mdp, policy, discount=discount)
    advantages = mdp.q_values(values, discount=discount) - values[:, None]
    difference = exact_values(mdp, other, discount=discount) - values
    for s in range(3):
        collected = 0.0  # along the other policy's walks: where they are at step t, weighted, and what they take there
        chances = np.array(surely_in(s, 3))
        for t in range(LONG):
            for i, a in itertools.product(range(3), range(2)):
                collected += discount**t * chances[i] * other[i, a] * advantages[i, a]
            chances = sum(chances[i] * other[i, a] * mdp.transitions[i, a] for i in range(3) for a in range(2))
            if discount ** (t + 1) * chances.sum() < 1e-13:
                break
        assert difference[s] == pytest.approx(collected, rel=1e-7, abs=1e-7)


@settings(max_examples=50)
@given(seeds, discounts)
def test_eq_bellman_optimality(seed, discount):
    """The best of all deterministic policies, found by trying them all, solves it; no random policy is above it."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, n_states=3, n_actions=2)
    tried = [exact_values(mdp, np.array(p), discount=discount) for p in itertools.product(range(2), repeat=3)]
    best = np.max(tried, axis=0)
    assert any(np.allclose(values, best, rtol=0, atol=1e-9) for values in tried)  # one policy is best in all states
    for s in range(3):
        options = []
        for a in range(2):
            following = sum(mdp.transitions[s, a, s_next] * best[s_next] for s_next in range(3))
            options.append(mdp.rewards[s, a] + discount * following)
        assert best[s] == pytest.approx(max(options), rel=1e-9, abs=1e-9)
    for _ in range(5):
        assert (exact_values(mdp, random_policy(rng, mdp), discount=discount) <= best + 1e-9).all()
    assert policy_iteration(mdp, discount=discount).values == pytest.approx(best, rel=1e-9, abs=1e-9)
    assert value_iteration(mdp, discount=discount, tolerance=1e-10).values == pytest.approx(best, abs=1e-9)
    assert exact_values(mdp, greedy_policy(mdp, best, discount=discount), discount=discount) == pytest.approx(best)


@given(seeds, discounts)
def test_eq_shaping(seed, discount):
    """Every return, and so every policy's value, changes by minus the potential of where it begins."""
    rng = np.random.default_rng(seed)
    mdp = random_mdp(rng, n_states=3, n_actions=2)
    policy, potential = random_policy(rng, mdp), rng.normal(size=3)
    rewards = np.empty((3, 2))
    for s, a in itertools.product(range(3), range(2)):
        behind = sum(mdp.transitions[s, a, s_next] * potential[s_next] for s_next in range(3))  # 0 behind the end
        rewards[s, a] = mdp.rewards[s, a] + discount * behind - potential[s]
    shaped = TabularMDP(mdp.transitions, rewards, mdp.terminations)
    before, after = (exact_values(task, policy, discount=discount) for task in (mdp, shaped))
    assert after == pytest.approx(before - potential, rel=1e-9, abs=1e-9)
    walk = [int(s) for s in rng.integers(3, size=6)]
    plain = [float(r) for r in rng.normal(size=5)]
    paid = [r + discount * potential[walk[t + 1]] * (t < 4) - potential[walk[t]] for t, r in enumerate(plain)]
    g, g_shaped = (
        Trajectory(walk[:5], [0] * 5, rewards, walk[5], True).returns(discount)[0] for rewards in (plain, paid)
    )
    assert g_shaped == pytest.approx(g - potential[walk[0]], rel=1e-9, abs=1e-9)


def test_a_constant_changes_the_best_policy_only_where_episodes_end():
    """One square: step on the spot for −1, or leave for 10. With more than the turning point added, nobody leaves."""
    discount, transitions, terminations = 0.99, np.array([[[1.0], [0.0]]]), np.array([[0.0, 1.0]])
    turning = (1 + 10 * (1 - discount)) / discount
    for constant, best in ((0.0, 1), (turning - 0.01, 1), (turning + 0.01, 0)):
        task = TabularMDP(transitions, np.array([[-1.0, 10.0]]) + constant, terminations)
        assert policy_iteration(task, discount=discount).policy.tolist() == [best]
    rng = np.random.default_rng(3)
    endless = rng.dirichlet(np.ones(4), size=(4, 3))
    rewards = rng.normal(size=(4, 3))
    plain, raised = (policy_iteration(TabularMDP(endless, rewards + c), discount=0.9) for c in (0.0, 7.0))
    assert plain.policy.tolist() == raised.policy.tolist()
    assert raised.values == pytest.approx(plain.values + 7 / (1 - 0.9))


def test_a_walker_who_may_vanish_collects_the_discounted_return():
    """Without a discount, if each step may end the task with probability 1 − γ, the values are those with γ."""
    rng = np.random.default_rng(5)
    for discount in (0.3, 0.9):
        mdp = random_mdp(rng, n_states=4, n_actions=2)
        policy = random_policy(rng, mdp)
        vanishing = TabularMDP(discount * mdp.transitions, mdp.rewards, 1 - discount * mdp.transitions.sum(axis=2))
        undiscounted = exact_values(vanishing, policy, discount=1.0)
        assert undiscounted == pytest.approx(exact_values(mdp, policy, discount=discount), rel=1e-10)
    assert math.isclose(sum(0.9**k for k in range(1000)), 10)
