import math

import gymnasium as gym
import mazes  # noqa: F401
import numpy as np
import pytest
from mazelm.metrics.information import entropy
from mazelm.policy.soft import soft_policy, soft_value, soft_value_iteration
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values, value_iteration


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_mdp(rng, n_states=6, n_actions=3):
    """Some steps end the task."""
    chances = rng.dirichlet(np.ones(n_states + 1), size=(n_states, n_actions))
    return TabularMDP(chances[..., :-1], rng.normal(size=(n_states, n_actions)), chances[..., -1])


def test_soft_value_by_hand():
    assert math.isclose(soft_value(np.array([3.0, 3.0, 0.0]), temperature=1.0), math.log(2 * math.exp(3) + 1))
    assert math.isclose(soft_value(np.array([1.0, 1.0]), temperature=0.5), 1 + 0.5 * math.log(2))


def test_eq_soft_value(rng):
    for temperature in (0.05, 0.7, 4.0):
        q = rng.normal(size=(5, 4))
        slow = [temperature * math.log(sum(math.exp(entry / temperature) for entry in row)) for row in q]
        assert np.allclose(soft_value(q, temperature=temperature), slow)


def test_eq_soft_policy(rng):
    for temperature in (0.05, 0.7, 4.0):
        q = rng.normal(size=(5, 4))
        slow = [[math.exp(entry / temperature) for entry in row] for row in q]
        slow = [[weight / sum(row) for weight in row] for row in slow]
        policy = soft_policy(q, temperature=temperature)
        assert np.allclose(policy, slow)
        values = soft_value(q, temperature=temperature)
        assert np.allclose(np.log(policy), (q - values[:, None]) / temperature)


def test_no_policy_earns_more_than_the_soft_value(rng):
    q, temperature = rng.normal(size=4), 0.6
    policies = rng.dirichlet(np.ones(4), size=2000)
    earned = policies @ q + temperature * entropy(policies)
    value, best = soft_value(q, temperature=temperature), soft_policy(q, temperature=temperature)
    assert earned.max() < value < earned.max() + 0.05
    assert math.isclose(best @ q + temperature * entropy(best), value)


def test_limits_of_the_temperature(rng):
    q = rng.normal(size=(5, 4))
    assert np.array_equal(soft_value(q, temperature=0), q.max(axis=1))
    assert np.allclose(soft_value(q, temperature=1e-4), q.max(axis=1))
    assert np.allclose(soft_value(q, temperature=1e4) - 1e4 * math.log(4), q.mean(axis=1), atol=1e-3)
    assert np.allclose(soft_policy(q, temperature=1e-3), np.eye(4)[q.argmax(axis=1)])
    assert np.allclose(soft_policy(q, temperature=1e5), 0.25, atol=1e-4)
    tied = np.array([2.0, 5.0, 5.0, 1.0])
    assert np.array_equal(soft_policy(tied, temperature=0), [0, 0.5, 0.5, 0])
    assert math.isclose(soft_value(tied, temperature=0.01), 5 + 0.01 * math.log(2))


def test_a_constant_shifts_the_value_and_leaves_the_policy(rng):
    q = rng.normal(size=(5, 4))
    assert np.allclose(soft_value(q + 7, temperature=0.3), soft_value(q, temperature=0.3) + 7)
    assert np.allclose(soft_policy(q + 7, temperature=0.3), soft_policy(q, temperature=0.3))
    large = np.array([1e4, 1e4])
    assert math.isclose(soft_value(large, temperature=0.1), 1e4 + 0.1 * math.log(2))
    assert np.allclose(soft_policy(-large, temperature=0.1), 0.5)


def test_eq_soft_bellman(rng):
    mdp, temperature, discount = random_mdp(rng), 0.4, 0.9
    values = [0.0] * mdp.n_states
    for _ in range(300):
        q = [
            [
                mdp.rewards[s, a] + discount * sum(mdp.transitions[s, a, to] * values[to] for to in range(mdp.n_states))
                for a in range(mdp.n_actions)
            ]
            for s in range(mdp.n_states)
        ]
        values = [temperature * math.log(sum(math.exp(entry / temperature) for entry in row)) for row in q]
    solution = soft_value_iteration(mdp, temperature=temperature, discount=discount, tolerance=1e-10)
    assert np.allclose(solution.values, values, atol=1e-9)
    assert np.allclose(solution.q, q, atol=1e-9)


def test_the_values_are_reward_and_entropy_of_the_policy(rng):
    mdp = random_mdp(rng)
    solution = soft_value_iteration(mdp, temperature=0.4, discount=0.9)
    bonus = 0.4 * entropy(solution.policy)
    paid = TabularMDP(mdp.transitions, mdp.rewards + bonus[:, None], mdp.terminations)
    assert np.allclose(exact_values(paid, solution.policy, discount=0.9), solution.values, atol=1e-8)


def test_without_temperature_it_is_value_iteration(rng):
    mdp = random_mdp(rng)
    hard = value_iteration(mdp, discount=0.9, tolerance=1e-9)
    soft = soft_value_iteration(mdp, temperature=0, discount=0.9)
    assert np.allclose(soft.values, hard.values, atol=1e-8)
    assert np.array_equal(soft.policy.argmax(axis=1), hard.policy)


def test_the_bound_holds(rng):
    mdp = random_mdp(rng)
    exact = soft_value_iteration(mdp, temperature=0.4, discount=0.95, tolerance=1e-12)
    rough = soft_value_iteration(mdp, temperature=0.4, discount=0.95, tolerance=0.1)
    assert 0 < np.abs(rough.values - exact.values).max() <= rough.error_bound <= 0.1
    assert rough.iterations < exact.iterations


def test_nothing_follows_the_end_of_the_task():
    ends = TabularMDP(np.zeros((1, 2, 1)), np.array([[1.0, 1.0]]), np.ones((1, 2)))
    solution = soft_value_iteration(ends, temperature=1.0, discount=0.9)
    assert np.allclose(solution.q, 1.0)
    assert np.allclose(solution.values, 1 + math.log(2))


def test_both_paths_of_two_paths_are_kept():
    model = TabularMDP.from_gymnasium(gym.make("mazes/Maze-v0", maze="two-paths"))
    solution = soft_value_iteration(model, temperature=0.3, discount=0.99)
    _, right, down, _ = solution.policy[0]
    assert math.isclose(right, down)
    assert right > 0.49


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -0.1, "discount": 0.9}, "temperature must be at least 0 and finite, got -0.1"),
        ({"temperature": math.nan, "discount": 0.9}, "temperature must be at least 0 and finite, got nan"),
        ({"temperature": math.inf, "discount": 0.9}, "temperature must be at least 0 and finite, got inf"),
        ({"temperature": 0.1, "discount": 1.0}, r"discount must be in \[0, 1\), got 1.0"),
        ({"temperature": 0.1, "discount": -0.1}, r"discount must be in \[0, 1\), got -0.1"),
        ({"temperature": 0.1, "discount": 0.9, "tolerance": 0.0}, "tolerance must be above 0, got 0.0"),
        ({"temperature": 0.1, "discount": 0.9, "max_sweeps": 3}, "max_sweeps=3 are too few for tolerance=1e-09"),
        ({"temperature": 0.1, "discount": 0.9, "max_sweeps": 0}, "max_sweeps must be at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(settings, words, rng):
    with pytest.raises(ValueError, match=words):
        soft_value_iteration(random_mdp(rng), **settings)


def test_a_negative_temperature_is_refused_everywhere():
    for function in (soft_value, soft_policy):
        with pytest.raises(ValueError, match="temperature must be at least 0 and finite, got -1"):
            function(np.zeros(2), temperature=-1.0)
