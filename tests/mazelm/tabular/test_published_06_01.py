"""Published results that the lesson on policy iteration repeats.

Sutton & Barto (2018): example 4.1 with figure 4.1 (the gridworld), example 4.2 with figure 4.2 (the car rental).
"""

import itertools

import numpy as np
import pytest
from mazelm.tabular.planning import (
    exact_values,
    policy_evaluation,
    policy_iteration_rounds,
    value_iteration,
)
from mazelm.tabular.problems.car_rental import CarRental, car_counts, car_rental
from mazelm.tabular.problems.four_by_four import four_by_four
from scipy.optimize import linprog

AT_RANDOM = np.full((16, 4), 1 / 4)
FIGURE_4_1 = {  # as printed, with one decimal
    1: [[0, -1, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, -1], [-1, -1, -1, 0]],
    2: [[0, -1.7, -2, -2], [-1.7, -2, -2, -2], [-2, -2, -2, -1.7], [-2, -2, -1.7, 0]],
    3: [[0, -2.4, -2.9, -3], [-2.4, -2.9, -3, -2.9], [-2.9, -3, -2.9, -2.4], [-3, -2.9, -2.4, 0]],
    10: [[0, -6.1, -8.4, -9], [-6.1, -7.7, -8.4, -8.4], [-8.4, -8.4, -7.7, -6.1], [-9, -8.4, -6.1, 0]],
}


def test_gridworld_values_of_the_random_policy():
    values = exact_values(four_by_four(), AT_RANDOM, discount=1.0).reshape(4, 4)
    published = [[0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]]
    np.testing.assert_allclose(values, published, atol=1e-10)


def test_gridworld_sweeps_are_those_of_figure_4_1():
    sweeps = policy_evaluation(four_by_four(), AT_RANDOM, discount=1.0, tolerance=1e-12)
    for k, sweep in enumerate(itertools.islice(sweeps, 10), start=1):
        if k in FIGURE_4_1:
            # one decimal, and −1.75 is printed as −1.7
            np.testing.assert_allclose(sweep.values.reshape(4, 4), FIGURE_4_1[k], atol=0.05 + 1e-9)


def test_gridworld_is_greedy_and_optimal_from_the_third_sweep_on():
    mdp = four_by_four()
    row, col = np.divmod(np.arange(16), 4)
    steps = np.minimum(row + col, 6 - row - col)  # to the nearer of the two ends
    sweeps = policy_evaluation(mdp, AT_RANDOM, discount=1.0, tolerance=1e-9)
    for k, sweep in enumerate(sweeps, start=1):
        q = mdp.q_values(sweep.values, discount=1.0)
        greedy = q >= q.max(axis=1, keepdims=True) - 1e-9
        policy = greedy / greedy.sum(axis=1, keepdims=True)
        if k >= 3:
            np.testing.assert_allclose(exact_values(mdp, policy, discount=1.0), -steps, atol=1e-9)


@pytest.fixture(scope="module")
def rental_rounds():
    never = np.full(441, 5)
    return list(policy_iteration_rounds(car_rental(), discount=0.9, policy=never))


def test_car_rental_takes_the_five_policies_of_figure_4_2(rental_rounds):
    assert len(rental_rounds) == 5  # π0, …, π4, of which the last is optimal
    assert rental_rounds[-1].changed == 0
    assert all(one.changed > 0 for one in rental_rounds[:-1])
    for before, after in itertools.pairwise(rental_rounds):
        assert (after.values >= before.values - 1e-9).all()
        assert (after.values > before.values + 1e-6).any()


def test_car_rental_policies_have_the_shape_of_figure_4_2(rental_rounds):
    """Regions of 5, 4, …, −4 cars; those of 5 shrink after the second policy to the left edge of the picture."""
    moved = [car_counts(one.policy) for one in rental_rounds]
    assert (moved[0] == 0).all()
    for table in moved[1:]:
        assert (table.min(), table.max()) == (-4, 5)
        assert table[20, 0] == 5
        assert table[0, 20] == -4
        assert (np.diff(table, axis=1) <= 0).all()  # the more cars the second location has, the fewer it gets
    assert (moved[1] == 5).sum() > 2 * (moved[4] == 5).sum()
    assert moved[1][10, 10] > 0
    assert (moved[4][5:12, 8:] == 0).all()


def test_car_rental_values_by_value_iteration(rental_rounds):
    swept = value_iteration(car_rental(), discount=0.9, tolerance=1e-9)
    np.testing.assert_allclose(rental_rounds[-1].values, swept.values, atol=2e-9)
    np.testing.assert_array_equal(rental_rounds[-1].policy, swept.policy)


def test_small_car_rental_by_a_linear_program():
    """The optimal values are the smallest ones that no action exceeds: minimise ΣV with V ≥ r + γPV."""
    config = CarRental(capacity=6, max_moves=3)
    mdp = car_rental(config)
    transitions, rewards = np.asarray(mdp.transitions).reshape(-1, mdp.n_states), mdp.rewards.ravel()
    constraints = 0.9 * transitions - np.repeat(np.eye(mdp.n_states), mdp.n_actions, axis=0)
    program = linprog(np.ones(mdp.n_states), A_ub=constraints, b_ub=-rewards, bounds=(None, None), method="highs")
    never = np.full(mdp.n_states, 3)
    *_, last = policy_iteration_rounds(mdp, discount=0.9, policy=never)
    np.testing.assert_allclose(last.values, program.x, atol=1e-5)
