"""The labelled equations of the lesson on policy iteration, written out slowly and compared with the library."""

import itertools

import numpy as np
import pytest
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import greedy_policy, policy_evaluation


def random_problem(rng, n_states, n_actions):
    """Transitions that sometimes end the task, rewards, a stochastic policy and a guess of the values."""
    rows = rng.dirichlet(np.ones(n_states + 1), size=(n_states, n_actions))
    rewards = rng.normal(size=(n_states, n_actions))
    policy = rng.dirichlet(np.ones(n_actions), size=n_states)
    return rows[..., :-1], rewards, rows[..., -1], policy, rng.normal(size=n_states)


@pytest.mark.parametrize("seed", range(10))
def test_eq_evaluation_sweep(seed):
    rng = np.random.default_rng(seed)
    n_states, n_actions, discount = int(rng.integers(1, 6)), int(rng.integers(1, 5)), float(rng.choice([0.5, 0.9, 1.0]))
    transitions, rewards, ends, policy, values = random_problem(rng, n_states, n_actions)
    sweeps = policy_evaluation(
        TabularMDP(transitions, rewards, ends), policy, discount=discount, tolerance=1e-12, values=values
    )
    for sweep in itertools.islice(sweeps, 3):
        new = np.zeros(n_states)
        for s in range(n_states):
            for a in range(n_actions):
                bracket = rewards[s, a]
                for s_next in range(n_states):
                    bracket += discount * transitions[s, a, s_next] * values[s_next]
                new[s] += policy[s, a] * bracket
        np.testing.assert_allclose(sweep.values, new, rtol=1e-12, atol=1e-12)
        values = new


@pytest.mark.parametrize("seed", range(10))
def test_eq_greedy_policy(seed):
    rng = np.random.default_rng(seed)
    n_states, n_actions, discount = int(rng.integers(1, 6)), int(rng.integers(1, 5)), float(rng.choice([0.5, 0.9, 1.0]))
    transitions, rewards, ends, _, values = random_problem(rng, n_states, n_actions)
    found = greedy_policy(TabularMDP(transitions, rewards, ends), values, discount=discount)
    for s in range(n_states):
        brackets = []
        for a in range(n_actions):
            future = sum(transitions[s, a, s_next] * values[s_next] for s_next in range(n_states))
            brackets.append(rewards[s, a] + discount * future)
        assert found[s] == brackets.index(max(brackets))
