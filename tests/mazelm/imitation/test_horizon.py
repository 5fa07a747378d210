"""Exact visits, costs and regrets: by hand, by slow definitions, and the bounds of imitation on random problems."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.imitation.horizon import (
    disagreement,
    mistake_costs,
    regret_by_mistakes,
    state_distributions,
    total_reward,
)
from mazelm.tabular.mdp import TabularMDP

GOOD = np.zeros(3, dtype=int)  # the expert of the chain: action 0 everywhere


def chain(*, way_back):
    """State 0 is where a walk begins, 1 is on the track, 2 is lost; action 0 is right, action 1 is wrong.

    Each wrong action and each step in state 2 costs 1. With a way back, the right action leads from 2 to 1.
    """
    transitions, rewards = np.zeros((3, 2, 3)), np.zeros((3, 2))
    transitions[:2, 0, 1] = 1.0
    transitions[:, 1, 2] = 1.0
    transitions[2, 0, 1 if way_back else 2] = 1.0
    rewards[:, 1] = rewards[2] = -1.0
    return TabularMDP(transitions, rewards)


def clone_of(first, later, lost):
    """A clone by its chance of a wrong action in each of the three states."""
    wrong = np.array([first, later, lost])
    return np.stack([1 - wrong, wrong], axis=1)


@st.composite
def problems(draw):
    """A model that pays between −1 and 0 and may end, an expert, a learner who often agrees, and a horizon."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n_states, n_actions = draw(st.integers(1, 4)), draw(st.integers(2, 3))
    chances = rng.dirichlet(np.full(n_states + 1, 0.3), size=(n_states, n_actions))
    chances[..., -1] *= draw(st.sampled_from([0.0, 1.0]))
    chances /= chances.sum(axis=-1, keepdims=True)
    mdp = TabularMDP(chances[..., :-1], -rng.random((n_states, n_actions)), chances[..., -1])
    expert = rng.integers(n_actions, size=n_states)
    share = draw(st.sampled_from([0.02, 0.3, 1.0]))
    learner = (1 - share) * np.eye(n_actions)[expert] + share * rng.dirichlet(np.ones(n_actions), size=n_states)
    return mdp, expert, learner, int(rng.integers(n_states)), draw(st.integers(1, 12))


def gap(mdp, expert, learner, start, steps):
    return total_reward(mdp, expert, start=start, steps=steps) - total_reward(mdp, learner, start=start, steps=steps)


# --- by hand


def test_the_chain_by_hand():
    """Wrong with chance 1/4 in each step: lost by time t with chance 1 − (3/4)ᵗ."""
    visits = state_distributions(chain(way_back=False), clone_of(0.25, 0.25, 0.5), start=0, steps=3)
    assert visits.tolist() == [[1, 0, 0], [0, 0.75, 0.25], [0, 0.5625, 0.4375]]
    assert total_reward(chain(way_back=False), clone_of(0.25, 0.25, 0.5), start=0, steps=2) == -(0.25 + 0.4375)
    costs = mistake_costs(chain(way_back=True), GOOD, steps=3)
    assert costs[:, :, 0].tolist() == [[0, 0, 0]] * 3
    assert costs[:, 1, 1].tolist() == [2, 2, 1]  # the mistake, and one step to find the way back, if there is time
    assert mistake_costs(chain(way_back=False), GOOD, steps=3)[:, 1, 1].tolist() == [3, 2, 1]


def test_an_ended_walk_visits_nothing():
    mdp = TabularMDP.from_outcomes([[[(0.5, 0, -1.0, False), (0.5, 0, -1.0, True)]] * 2])
    visits = state_distributions(mdp, np.array([0]), start=0, steps=4)
    assert visits[:, 0].tolist() == [1, 0.5, 0.25, 0.125]
    assert disagreement(visits, np.array([1]), np.array([0])) == 1.875 / 4
    assert total_reward(mdp, np.array([0]), start=0, steps=4) == -1.875


@pytest.mark.parametrize("steps", [1, 2, 10, 100])
def test_the_quadratic_bound_is_attained(steps):
    """All mistakes at the first step, no way back: the regret is T²·ε, to the last digit that sums keep."""
    clone, mdp = clone_of(0.5, 0.0, 0.0), chain(way_back=False)
    error = disagreement(state_distributions(mdp, GOOD, start=0, steps=steps), clone, GOOD)
    assert error == pytest.approx(0.5 / steps, rel=1e-12)
    assert gap(mdp, GOOD, clone, 0, steps) == pytest.approx(steps**2 * error, rel=1e-12)


def test_equal_mistakes_grow_with_the_square_at_first():
    """Σ_t 1 − (1 − ε)ᵗ: about ε·T²/2 while ε·T is small, and parallel to T in the end."""
    regrets = [gap(chain(way_back=False), GOOD, clone_of(1e-4, 1e-4, 0.0), 0, steps) for steps in (50, 100)]
    assert regrets[0] == pytest.approx(sum(1 - (1 - 1e-4) ** t for t in range(1, 51)), rel=1e-9)
    assert regrets[1] / regrets[0] == pytest.approx(4, abs=0.1)


def test_who_knows_the_way_back_pays_in_proportion():
    for steps in (50, 100):
        assert gap(chain(way_back=True), GOOD, clone_of(0.01, 0.01, 0.0), 0, steps) < 2 * 0.01 * steps


# --- by definition


@given(problems())
def test_eq_state_distributions(problem):
    mdp, _, learner, start, steps = problem
    now = {s: float(s == start) for s in range(mdp.n_states)}
    for row in state_distributions(mdp, learner, start=start, steps=steps):
        assert row == pytest.approx([now[s] for s in range(mdp.n_states)], abs=1e-12)
        after = dict.fromkeys(now, 0.0)
        for s, n in np.ndindex(mdp.n_states, mdp.n_states):
            for a in range(mdp.n_actions):
                after[n] += now[s] * learner[s, a] * mdp.transitions[s, a, n]
        now = after


@given(problems())
def test_eq_disagreement(problem):
    mdp, expert, learner, start, steps = problem
    visits = state_distributions(mdp, expert, start=start, steps=steps)
    total = 0.0
    for t, s in np.ndindex(steps, mdp.n_states):
        total += visits[t, s] * sum(learner[s, a] for a in range(mdp.n_actions) if a != expert[s])
    assert disagreement(visits, learner, expert) == pytest.approx(total / steps, abs=1e-12)
    likeliest = learner.argmax(axis=1)
    assert disagreement(visits, likeliest, expert) == pytest.approx(
        disagreement(visits, np.eye(mdp.n_actions)[likeliest], expert), abs=1e-12
    )


@given(problems())
def test_mistake_costs_by_definition(problem):
    """One action, then the expert: what that is paid less than the expert, by walking forward."""
    mdp, expert, _, _, steps = problem
    costs = mistake_costs(mdp, expert, steps=steps)
    for t, s, a in ((0, 0, 1), (steps - 1, mdp.n_states - 1, 0)):
        left = steps - t
        after = mdp.rewards[s, a]
        if left > 1:
            worth = [total_reward(mdp, expert, start=n, steps=left - 1) for n in range(mdp.n_states)]
            after += mdp.transitions[s, a] @ worth
        assert costs[t, s, a] == pytest.approx(total_reward(mdp, expert, start=s, steps=left) - after, abs=1e-10)


@given(problems())
def test_eq_regret_by_mistakes(problem):
    mdp, expert, learner, start, steps = problem
    visits, costs = state_distributions(mdp, learner, start=start, steps=steps), mistake_costs(mdp, expert, steps=steps)
    total = 0.0
    for t, s, a in np.ndindex(*costs.shape):
        total += visits[t, s] * learner[s, a] * costs[t, s, a]
    assert regret_by_mistakes(costs, visits, learner) == pytest.approx(total, abs=1e-10)
    assert gap(mdp, expert, learner, start, steps) == pytest.approx(total, abs=1e-9)


# --- the bounds, with their conditions


@given(problems())
def test_eq_quadratic_bound(problem):
    """Rewards in [−1, 0], errors counted where the expert goes: regret ≤ Σ_t ε_t·(T − t) ≤ T²·ε."""
    mdp, expert, learner, start, steps = problem
    visits = state_distributions(mdp, expert, start=start, steps=steps)
    error = disagreement(visits, learner, expert)
    each = visits @ (1 - learner[np.arange(mdp.n_states), expert])
    finer = float(each @ np.arange(steps, 0, -1))
    assert gap(mdp, expert, learner, start, steps) <= finer + 1e-9 <= steps**2 * error + 2e-9


@given(problems())
def test_eq_linear_bound(problem):
    """Errors counted where the learner goes, u the dearest single mistake there: regret ≤ u·T·ε."""
    mdp, expert, learner, start, steps = problem
    visits, costs = state_distributions(mdp, learner, start=start, steps=steps), mistake_costs(mdp, expert, steps=steps)
    dearest = costs[visits > 0].max()
    bound = dearest * steps * disagreement(visits, learner, expert)
    assert gap(mdp, expert, learner, start, steps) <= bound + 1e-9


def test_the_linear_bound_needs_the_learners_own_states():
    """With the error counted where the expert goes it is false: the clone of the chain that never finds back."""
    mdp, clone = chain(way_back=True), clone_of(0.1, 0.1, 1.0)
    costs = mistake_costs(mdp, GOOD, steps=50)
    assert costs.max() == 2
    error = disagreement(state_distributions(mdp, GOOD, start=0, steps=50), clone, GOOD)
    assert gap(mdp, GOOD, clone, 0, 50) > 2 * 2 * 50 * error


# --- bad input


def test_bad_arguments():
    mdp = chain(way_back=True)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        state_distributions(mdp, GOOD, start=0, steps=0)
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        mistake_costs(mdp, GOOD, steps=0)
    for start in (-1, 3):
        with pytest.raises(ValueError, match=f"start must be a state from 0 to 2, got {start}"):
            state_distributions(mdp, GOOD, start=start, steps=1)
    with pytest.raises(ValueError, match="action from 0 to 1, got 2"):
        mistake_costs(mdp, np.array([0, 0, 2]), steps=1)
    with pytest.raises(ValueError, match="policy must have one row for each of 3 states"):
        disagreement(np.ones((1, 3)), np.ones((2, 2)) / 2, GOOD)
