"""The labelled equations of lesson 5.1, transcribed slowly and compared with the library on random inputs."""

import itertools

import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import epsilon_greedy, epsilon_greedy_probabilities, run_episode
from mazelm.tabular.mdp import TabularMDP

STEPS = 3
seeds = st.integers(0, 10_000)


def random_process(seed):
    """Two or three states, two or three actions, no end; a policy, and where it starts."""
    rng = np.random.default_rng(seed)
    n_states, n_actions = rng.integers(2, 4, size=2)
    transitions = rng.dirichlet(np.ones(n_states), size=(n_states, n_actions))
    policy = rng.dirichlet(np.ones(n_actions), size=n_states)
    start = rng.dirichlet(np.ones(n_states))
    return TabularMDP(transitions, rng.normal(size=(n_states, n_actions))), policy, start


def trajectory_probability(states, actions, transitions, policy, start):
    """p(s0) · Π π(aₜ | sₜ) · P(sₜ₊₁ | sₜ, aₜ), factor by factor."""
    probability = start[states[0]]
    for t, action in enumerate(actions):
        probability *= policy[states[t], action]
        probability *= transitions[states[t], action, states[t + 1]]
    return probability


def all_trajectories(mdp):
    """Every (states, actions) of so many steps."""
    for states in itertools.product(range(mdp.n_states), repeat=STEPS + 1):
        for actions in itertools.product(range(mdp.n_actions), repeat=STEPS):
            yield states, actions


@given(seeds)
def test_eq_trajectory(seed):
    mdp, policy, start = random_process(seed)
    ends = np.zeros(mdp.n_states)
    for states, actions in all_trajectories(mdp):
        ends[states[-1]] += trajectory_probability(states, actions, mdp.transitions, policy, start)
    assert ends.sum() == pytest.approx(1)
    chain = mdp.under(policy).transitions
    np.testing.assert_allclose(ends, start @ np.linalg.matrix_power(chain, STEPS), atol=1e-12)


def test_sampled_trajectories_come_as_often_as_the_product_says():
    mdp, policy, start = random_process(5)
    env, rng = TimeLimit(TabularEnv(mdp, start=start), STEPS), np.random.default_rng(0)
    counts = {}
    for i in range(4000):
        played = run_episode(env, policy, rng=rng, seed=0 if i == 0 else None)
        key = (*played.states, played.last_state), tuple(played.actions)
        counts[key] = counts.get(key, 0) + 1
    for states, actions in all_trajectories(mdp):
        p = trajectory_probability(states, actions, mdp.transitions, policy, start)
        spread = max(np.sqrt(4000 * p * (1 - p)), 1)
        assert abs(counts.get((states, actions), 0) - 4000 * p) < 5 * spread


def test_the_world_cancels_in_the_ratio_of_two_policies():
    mdp, policy, start = random_process(8)
    other = np.random.default_rng(1).dirichlet(np.ones(mdp.n_actions), size=mdp.n_states)
    for states, actions in all_trajectories(mdp):
        one, two = (trajectory_probability(states, actions, mdp.transitions, p, start) for p in (policy, other))
        by_agent = np.prod([policy[s, a] / other[s, a] for s, a in zip(states, actions, strict=False)])
        assert one / two == pytest.approx(by_agent)


@given(seeds, st.floats(0, 1))
def test_eq_epsilon_greedy(seed, epsilon):
    rng = np.random.default_rng(seed)
    q = rng.integers(-2, 3, size=rng.integers(1, 5, size=2)).astype(float)  # small numbers, so that some are equal
    n_actions = q.shape[1]
    probabilities = epsilon_greedy_probabilities(q, epsilon)
    for s, row in enumerate(q):
        best = next(b for b in range(n_actions) if all(row[b] >= row[c] for c in range(n_actions)))
        for a in range(n_actions):
            expected = epsilon / n_actions + (1 - epsilon) * (1 if a == best else 0)
            assert probabilities[s, a] == pytest.approx(expected)


def test_epsilon_greedy_choices_come_as_often_as_the_formula_says():
    q, rng = np.array([[0.2, 0.7, 0.1, 0.7]]), np.random.default_rng(0)
    counts = np.bincount([epsilon_greedy(q[0], 0.4, rng=rng) for _ in range(10_000)], minlength=4)
    np.testing.assert_allclose(counts / 10_000, epsilon_greedy_probabilities(q, 0.4)[0], atol=0.02)
    np.testing.assert_allclose(epsilon_greedy_probabilities(q, 0.4)[0], [0.1, 0.7, 0.1, 0.1])
