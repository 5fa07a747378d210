"""Optimal values of Gymnasium's toy-text environments against a linear program written from their own models.

The program knows no sweep and no policy: V is the smallest function with V(s) ≥ r + γ·V(s′) on average for all s and a.
In Gymnasium's `P` the flag `terminated` belongs to a transition, and what the model says of the state behind it does
not count: Taxi's four states behind a delivery are ordinary states, from which a drive could go on.
"""

import gymnasium as gym
import numpy as np
import pytest
import scipy.sparse
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values, policy_iteration, value_iteration
from scipy.optimize import linprog

TASKS = {
    "lake 4x4": ("FrozenLake-v1", {"map_name": "4x4", "is_slippery": True}),
    "lake 4x4, firm": ("FrozenLake-v1", {"map_name": "4x4", "is_slippery": False}),
    "lake 8x8": ("FrozenLake-v1", {"map_name": "8x8", "is_slippery": True}),
    "lake 8x8, firm": ("FrozenLake-v1", {"map_name": "8x8", "is_slippery": False}),
    "taxi": ("Taxi-v4", {}),
    "taxi in the rain": ("Taxi-v4", {"is_rainy": True}),
    "cliff": ("CliffWalking-v1", {}),
    "slippery cliff": ("CliffWalking-v1", {"is_slippery": True}),
}


def optimal_by_linear_program(P, discount):
    """Minimise Σ V(s) subject to V(s) − γ·Σ p·V(s′) ≥ Σ p·r, where s′ counts only if the transition does not end."""
    rows, columns, entries, expected = [], [], [], []
    for s in range(len(P)):
        for a in range(len(P[s])):
            row = len(expected)
            rows.append(row), columns.append(s), entries.append(1.0)
            for probability, next_state, _, terminated in P[s][a]:
                if not terminated:
                    rows.append(row), columns.append(int(next_state)), entries.append(-discount * probability)
            expected.append(sum(probability * reward for probability, _, reward, _ in P[s][a]))
    left = scipy.sparse.csr_array((entries, (rows, columns)), shape=(len(expected), len(P)))
    found = linprog(
        np.ones(len(P)),
        A_ub=-left,
        b_ub=-np.array(expected),
        bounds=(None, None),
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    assert found.success, found.message
    return found.x


@pytest.fixture(scope="module", params=TASKS)
def task(request):
    """The environment's own model, the planner's, and the linear program's values at a discount of 0.99."""
    name, options = TASKS[request.param]
    env = gym.make(name, **options)
    P = env.unwrapped.P
    yield P, TabularMDP.from_gymnasium(env), optimal_by_linear_program(P, 0.99)
    env.close()


def test_value_iteration(task):
    _, mdp, expected = task
    found = value_iteration(mdp, discount=0.99, tolerance=1e-9)
    assert found.error_bound <= 1e-9
    assert found.values == pytest.approx(expected, abs=1e-8)


def test_policy_iteration(task):
    _, mdp, expected = task
    assert policy_iteration(mdp, discount=0.99).values == pytest.approx(expected, abs=1e-8)


def test_both_policies_earn_the_optimal_values(task):
    """Ties may be broken either way; what the policies earn may not differ."""
    P, mdp, expected = task
    for found in (value_iteration(mdp, discount=0.99, tolerance=1e-9), policy_iteration(mdp, discount=0.99)):
        assert exact_values(mdp, found.policy, discount=0.99) == pytest.approx(expected, abs=1e-8)
        for s in range(len(P)):
            chosen = P[s][int(found.policy[s])]
            earned = sum(p * (r + 0.99 * expected[n] * (not ended)) for p, n, r, ended in chosen)
            assert earned == pytest.approx(expected[s], abs=1e-8)


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["lake 8x8", "slippery cliff"])
def test_other_discounts(name, discount):
    environment, options = TASKS[name]
    env = gym.make(environment, **options)
    mdp, expected = TabularMDP.from_gymnasium(env), optimal_by_linear_program(env.unwrapped.P, discount)
    assert value_iteration(mdp, discount=discount, tolerance=1e-9).values == pytest.approx(expected, abs=1e-8)
    found = policy_iteration(mdp, discount=discount).values
    assert found == pytest.approx(expected, abs=1e-8)
    env.close()


@pytest.mark.parametrize("name", ["taxi", "cliff"])
def test_the_flag_of_the_transition_matters(name):
    """A model read as if nothing ever ended has other values, and the linear program sees the difference."""
    environment, options = TASKS[name]
    env = gym.make(environment, **options)
    P = env.unwrapped.P
    endless = {s: {a: [(p, n, r, False) for p, n, r, _ in P[s][a]] for a in P[s]} for s in P}
    as_it_is, ignored = optimal_by_linear_program(P, 0.99), optimal_by_linear_program(endless, 0.99)
    assert np.abs(as_it_is - ignored).max() > 10
    read = value_iteration(TabularMDP.from_outcomes(endless), discount=0.99, tolerance=1e-9)
    assert read.values == pytest.approx(ignored, abs=1e-6)
    env.close()


def test_the_lake_with_a_count_of_steps():
    """From values of 0, sweep k gives the best chance to arrive within k steps: checked by trying everything."""
    env = gym.make("FrozenLake-v1", is_slippery=True)
    P, mdp = env.unwrapped.P, TabularMDP.from_gymnasium(env)

    def best(state, steps):
        if steps == 0:
            return 0.0
        return max(
            sum(p * (r + (0.0 if ended else best(n, steps - 1))) for p, n, r, ended in P[state][a]) for a in range(4)
        )

    values = np.zeros(16)
    for steps in range(1, 5):
        values = mdp.q_values(values, discount=1.0).max(axis=1)
        assert values == pytest.approx([best(s, steps) for s in range(16)], abs=1e-12)
    env.close()
