"""The policy gradient in a table: by hand on two buttons, by slow definitions, at the limits, and on bad input.

Against autograd and finite differences, and on random problems: tests/parity/test_policy_gradient.py.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mazelm.policy.identities import (
    FORMS,
    advantage,
    baseline_parabola,
    estimate,
    moments,
    possible_walks,
    return_minus_value,
    reward_to_go,
    score,
    softmax_policy,
    solve,
    td_residual,
    three_states,
    total_return,
)
from mazelm.tabular.episodes import Trajectory
from mazelm.tabular.mdp import TabularMDP

TASK, START = three_states()
FLAT = np.zeros((3, 2))
preferences = arrays(float, (3, 2), elements=st.floats(-2, 2))
discounts = st.sampled_from([0.0, 0.5, 0.9, 1.0])


def buttons():
    """One press, and the task is over: the left button pays 10, the right one 12."""
    return TabularMDP.from_outcomes([[[(1.0, 0, 10.0, True)], [(1.0, 0, 12.0, True)]]]), np.array([1.0])


def slow_estimate(walk, policy, psi):
    """Σ_t Ψₜ·∇ log π(aₜ | sₜ), number by number."""
    total = np.zeros_like(policy)
    for t, (state, action) in enumerate(zip(walk.states, walk.actions, strict=True)):
        for b in range(policy.shape[1]):
            total[state, b] += psi[t] * ((1.0 if b == action else 0.0) - policy[state, b])
    return total


# --- by hand


def test_two_buttons_by_hand():
    """From (5, −5) and (−6, 6) the mean is (−½, ½); with a baseline of 11 both presses say exactly that."""
    task, start = buttons()
    known = solve(task, np.zeros((1, 2)), start, discount=1.0)
    assert known.objective == 11.0
    assert known.gradient.tolist() == [[-0.5, 0.5]]
    walks = possible_walks(task, known.policy, start)
    assert [estimate(p.walk, known, total_return).tolist() for p in walks] == [[[5.0, -5.0]], [[-6.0, 6.0]]]
    mean, variance = moments(walks, known, total_return)
    assert mean.tolist() == [[-0.5, 0.5]]
    assert variance == (2 * 25 + 2 * 36) / 2 - 0.5
    assert moments(walks, known, return_minus_value).variance == 0.0
    best, curvature, lowest = baseline_parabola(walks, known)
    assert (best.tolist(), curvature.tolist(), lowest) == ([11.0], [0.5], 0.0)


def test_the_best_baseline_of_two_unequal_buttons_is_not_the_value():
    """With the chances ¾ and ¼ the rarer press moves the preferences more: b* = ¼·10 + ¾·12, where V = 10.5."""
    task, start = buttons()
    known = solve(task, np.log(np.array([[0.75, 0.25]])), start, discount=1.0)
    assert known.values == pytest.approx([10.5])
    parabola = baseline_parabola(possible_walks(task, known.policy, start), known)
    assert parabola.best == pytest.approx([0.25 * 10 + 0.75 * 12])
    assert parabola.lowest == pytest.approx(0.0, abs=1e-9)


def test_three_states_by_hand():
    known = solve(TASK, FLAT, START, discount=1.0)
    value_2, value_1 = (4 + 7) / 2, (6 + 2 + 5.5) / 2
    q_0 = [1 + 0.75 * value_1 + 0.25 * value_2, 3 + value_2]
    assert known.values == pytest.approx([sum(q_0) / 2, value_1, value_2])
    assert known.q == pytest.approx(np.array([q_0, [6, 2 + 5.5], [4, 7]]))
    visits_1 = 0.5 * 0.75
    assert known.visits == pytest.approx([1, visits_1, 0.5 * 0.25 + 0.5 + visits_1 * 0.5])
    walks = possible_walks(TASK, known.policy, START)
    found = {(tuple(w.states), tuple(w.actions), sum(w.rewards)): p for p, w in walks}
    assert found == {
        ((0, 1), (0, 0), 7.0): 0.5 * 0.75 * 0.5,
        ((0, 1, 2), (0, 1, 0), 7.0): 0.5 * 0.75 * 0.25,
        ((0, 1, 2), (0, 1, 1), 10.0): 0.5 * 0.75 * 0.25,
        ((0, 2), (0, 0), 5.0): 0.5 * 0.25 * 0.5,
        ((0, 2), (0, 1), 8.0): 0.5 * 0.25 * 0.5,
        ((0, 2), (1, 0), 7.0): 0.25,
        ((0, 2), (1, 1), 10.0): 0.25,
    }


def test_forms_of_one_walk_by_hand():
    """γ = ½, states 0, 1, 2, rewards 1, 2, 7: G = 1 + 1 + 7/4, 2 + 7/2, 7."""
    known = solve(TASK, FLAT, START, discount=0.5)
    walk = Trajectory([0, 1, 2], [0, 1, 1], [1.0, 2.0, 7.0], 2, True)
    v, q, returns = known.values, known.q, np.array([3.75, 5.5, 7.0])
    powers = np.array([1, 0.5, 0.25])
    expected = (
        [3.75] * 3,
        powers * returns,
        powers * (returns - v),
        powers * [q[0, 0], q[1, 1], q[2, 1]],
        powers * [q[0, 0] - v[0], q[1, 1] - v[1], q[2, 1] - v[2]],
        powers * [1 + v[1] / 2 - v[0], 2 + v[2] / 2 - v[1], 7 - v[2]],
    )
    for psi, numbers in zip(FORMS, expected, strict=True):
        assert psi(walk, known) == pytest.approx(np.array(numbers)), psi.__name__
    baseline = np.array([1.0, 2.0, 3.0])
    assert reward_to_go(walk, known, baseline=baseline) == pytest.approx(powers * (returns - baseline))


def test_a_cut_walk_keeps_the_value_of_where_it_stands():
    known = solve(TASK, FLAT, START, discount=0.5)
    cut = Trajectory([0], [0], [1.0], 1, False)
    assert td_residual(cut, known) == pytest.approx([1 + known.values[1] / 2 - known.values[0]])
    assert td_residual(cut._replace(terminated=True), known) == pytest.approx([1 - known.values[0]])


# --- by definition


@settings(max_examples=30)
@given(preferences)
def test_eq_softmax_score(table):
    """∂ log π(a | s) / ∂θ(s, b) = [b = a] − π(b | s), and by central differences."""
    policy = softmax_policy(table)
    for state in range(3):
        for action in range(2):
            slow = np.zeros((3, 2))
            for b in range(2):
                slow[state, b] = (b == action) - np.exp(table[state, b]) / sum(np.exp(table[state]))
            assert score(policy, state, action) == pytest.approx(slow, abs=1e-12)
            step = np.zeros((3, 2))
            step[state, 1] = 1e-5
            up, down = (np.log(softmax_policy(table + sign * step)[state, action]) for sign in (1, -1))
            assert score(policy, state, action)[state, 1] == pytest.approx((up - down) / 2e-5, abs=1e-8)


@settings(max_examples=30)
@given(preferences, discounts)
def test_eq_policy_gradient_theorem(table, discount):
    """Σ_s d(s)·Σ_a ∇π(a | s)·Q(s, a), with d as a sum over time and ∇π by its own formula."""
    known = solve(TASK, table, START, discount=discount)
    policy = known.policy
    at, visits = START.copy(), np.zeros(3)
    step = np.einsum("sa,sap->sp", policy, TASK.transitions)
    for t in range(5):
        visits += discount**t * at
        at = at @ step
    slow = np.zeros((3, 2))
    for s in range(3):
        for a in range(2):
            for b in range(2):  # ∂π(a | s) / ∂θ(s, b) = π(a | s)·([a = b] − π(b | s))
                slow[s, b] += visits[s] * policy[s, a] * ((a == b) - policy[s, b]) * known.q[s, a]
    assert known.visits == pytest.approx(visits)
    assert known.gradient == pytest.approx(slow, abs=1e-12)


@settings(max_examples=12)
@given(preferences, discounts)
def test_eq_log_derivative(table, discount):
    """∇ Σ p·R = Σ p·R·∇ log p, the left side by central differences over all walks."""
    known = solve(TASK, table, START, discount=discount)

    def objective(nearby):
        walks = possible_walks(TASK, softmax_policy(nearby), START)
        return sum(p * walk.returns(discount)[0] for p, walk in walks)

    mean = moments(possible_walks(TASK, known.policy, START), known, total_return).mean
    for s in range(3):
        step = np.zeros((3, 2))
        step[s, 0] = 1e-5
        slope = (objective(table + step) - objective(table - step)) / 2e-5
        assert mean[s, 0] == pytest.approx(slope, abs=1e-7)
    assert objective(table) == pytest.approx(known.objective)


@settings(max_examples=12)
@given(preferences, discounts)
def test_eq_psi(table, discount):
    """The estimate of each walk for each form, term by term."""
    known = solve(TASK, table, START, discount=discount)
    for _, walk in possible_walks(TASK, known.policy, START):
        for psi in FORMS:
            slow = slow_estimate(walk, known.policy, psi(walk, known))
            assert estimate(walk, known, psi) == pytest.approx(slow, abs=1e-12)


@settings(max_examples=12)
@given(preferences, arrays(float, 3, elements=st.floats(-20, 20)), discounts)
def test_eq_baseline_parabola(table, baseline, discount):
    """Var(b) = Var(b*) + Σ_s w(s)·(b(s) − b*(s))², the left side walk by walk."""
    known = solve(TASK, table, START, discount=discount)
    walks = possible_walks(TASK, known.policy, START)
    square, mean = 0.0, np.zeros((3, 2))
    for p, walk in walks:
        g = slow_estimate(walk, known.policy, reward_to_go(walk, known, baseline=baseline))
        square, mean = square + p * (g**2).sum(), mean + p * g
    parabola = baseline_parabola(walks, known)
    assert parabola.variance(baseline) == pytest.approx(square - (mean**2).sum(), abs=1e-8)
    assert parabola.variance(baseline) >= parabola.lowest
    assert mean == pytest.approx(known.gradient, abs=1e-9)


@settings(max_examples=12)
@given(preferences)
def test_the_best_constant_is_the_best_of_many(table):
    known = solve(TASK, table, START, discount=0.9)
    parabola = baseline_parabola(possible_walks(TASK, known.policy, START), known)
    best = parabola.best_constant()
    at_best = parabola.variance(np.full(3, best))
    assert all(parabola.variance(np.full(3, best + shift)) > at_best for shift in (-1, -0.01, 0.01, 1))


# --- limits and invariance


def test_a_number_added_to_a_row_changes_nothing():
    table = np.array([[0.3, -0.2], [1.0, 0.5], [0.0, 0.7]])
    one, two = (solve(TASK, table + shift, START, discount=0.9) for shift in (0.0, np.array([[5.0], [-3.0], [800.0]])))
    assert one.gradient == pytest.approx(two.gradient)
    assert np.abs(one.gradient.sum(axis=1)).max() < 1e-12  # so no gradient points that way


def test_a_sure_policy_has_no_gradient():
    table = np.array([[40.0, -40.0]] * 3)
    known = solve(TASK, table, START, discount=1.0)
    assert np.abs(known.gradient).max() < 1e-30
    walks = possible_walks(TASK, np.array([[1.0, 0.0]] * 3), START)
    assert [p for p, _ in walks] == [0.75, 0.25]


def test_where_nothing_can_be_gained_the_best_baseline_is_zero():
    policy = np.array([[0.0, 1.0], [0.5, 0.5], [0.5, 0.5]])
    known = solve(TASK, FLAT, START, discount=1.0)._replace(policy=policy)
    parabola = baseline_parabola(possible_walks(TASK, policy, START), known)
    assert parabola.best[:2].tolist() == parabola.curvature[:2].tolist() == [0.0, 0.0]
    assert parabola.curvature[2] > 0


def test_the_start_is_a_mixture():
    at = [solve(TASK, FLAT, row, discount=0.9) for row in np.eye(3)]
    mixed = solve(TASK, FLAT, np.array([0.5, 0.2, 0.3]), discount=0.9)
    assert mixed.objective == pytest.approx(0.5 * at[0].objective + 0.2 * at[1].objective + 0.3 * at[2].objective)
    expected = 0.5 * at[0].gradient + 0.2 * at[1].gradient + 0.3 * at[2].gradient
    assert mixed.gradient == pytest.approx(expected)
    walks = possible_walks(TASK, mixed.policy, np.array([0.5, 0.2, 0.3]))
    assert moments(walks, mixed, advantage).mean == pytest.approx(expected)


# --- bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("start", [[1.0, 0.0], [0.5, 0.0, 0.0], [1.5, -0.5, 0.0]])
def test_start_must_be_a_distribution(start):
    with pytest.raises(ValueError, match=r"start must hold 3 probabilities that sum to one, got \["):
        solve(TASK, FLAT, np.array(start), discount=1.0)


def test_an_endless_walk_is_refused():
    loop = TabularMDP.from_outcomes([[[(0.5, 0, 1.0, False), (0.5, 0, 1.0, True)]]])
    with pytest.raises(ValueError, match="longest=4 is too short: a walk begins with the states"):
        possible_walks(loop, np.ones((1, 1)), np.array([1.0]), longest=4)
    assert len(possible_walks(TASK, np.full((3, 2), 0.5), START, longest=3)) == 7
    with pytest.raises(ValueError, match=r"longest=2 is too short: .* \[0, 1\]"):
        possible_walks(TASK, np.full((3, 2), 0.5), START, longest=2)
    never = TabularMDP(np.ones((1, 1, 1)), np.array([[1.0]]))
    with pytest.raises(ValueError, match="discount"):
        solve(never, np.zeros((1, 1)), np.array([1.0]), discount=1.0)
