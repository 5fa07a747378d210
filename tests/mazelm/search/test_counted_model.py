"""Counted models: by hand, by definition, the simulation lemma on random tasks against exact values, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.search.counted_model import (
    ModelErrors,
    fit_transitions,
    model_errors,
    planning_loss_bound,
    simulation_bound,
    value_error,
    value_span,
)
from mazelm.tabular.episodes import Transition
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values, policy_iteration
from scipy import sparse

transitions = st.lists(
    st.builds(
        Transition,
        st.integers(0, 3),
        st.integers(0, 2),
        st.integers(-3, 3).map(float),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=40,
)
seeds, discounts = st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 0.9, 0.99])


def random_task(rng, n_states=5, n_actions=3, ends=True, scale=1.0):
    rows = rng.dirichlet(np.full(n_states + 1, 0.3), size=(n_states, n_actions))
    if not ends:
        rows[..., 0] += rows[..., -1]
        rows[..., -1] = 0
    return TabularMDP(rows[..., :-1].copy(), scale * rng.normal(size=(n_states, n_actions)), rows[..., -1].copy())


def near(mdp, rng, share=0.2):
    """A wrong model: some of the probability elsewhere, and other rewards."""
    other = random_task(rng, mdp.n_states, mdp.n_actions)
    mixed = [(1 - share) * mine + share * theirs for mine, theirs in (
        (mdp.transitions, other.transitions), (mdp.rewards, other.rewards), (mdp.terminations, other.terminations)
    )]  # fmt: skip
    return TabularMDP(*mixed)


# --- counting


def test_counts_by_hand():
    model = fit_transitions(
        [Transition(0, 0, 1.0, 1, False)] * 3 + [Transition(0, 0, 5.0, 1, True), Transition(1, 0, 2.0, 0, False)], 2, 2
    )
    assert model.transitions[0, 0].tolist() == [0, 0.75]
    assert (model.terminations[0, 0], model.rewards[0, 0]) == (0.25, 2.0)
    assert model.transitions[1, 0].tolist() == [1, 0]
    assert model.transitions[0, 1].tolist() == [1, 0]  # never tried: stays, and pays nothing
    assert model.rewards[:, 1].tolist() == [0, 0]


@given(transitions)
def test_eq_counted_model(steps):
    model = fit_transitions(steps, 4, 3, unseen_reward=7.0)
    for s, a in np.ndindex(4, 3):
        mine = [step for step in steps if (step.state, step.action) == (s, a)]
        if not mine:
            assert (model.transitions[s, a, s], model.rewards[s, a], model.terminations[s, a]) == (1, 7, 0)
            continue
        assert model.rewards[s, a] == pytest.approx(np.mean([step.reward for step in mine]))
        assert model.terminations[s, a] == pytest.approx(np.mean([step.terminated for step in mine]))
        for to in range(4):
            share = sum(step.next_state == to and not step.terminated for step in mine) / len(mine)
            assert model.transitions[s, a, to] == pytest.approx(share)


def test_many_samples_give_the_rules():
    rng = np.random.default_rng(0)
    task = random_task(rng)
    steps = []
    for s, a in np.ndindex(5, 3):
        chances = np.append(task.transitions[s, a], task.terminations[s, a])
        for to in rng.choice(6, 4000, p=chances / chances.sum()):
            steps.append(Transition(s, a, float(task.rewards[s, a]), int(to) % 5, bool(to == 5)))
    errors = model_errors(task, fit_transitions(steps, 5, 3))
    assert errors.rewards < 1e-9
    assert 0 < errors.transitions < 0.05


def test_a_time_limit_does_not_end_the_task():
    """The same walk, cut: what the record says about its end is all that differs."""
    walk = [Transition(0, 0, -1.0, 1, False), Transition(1, 0, -1.0, 0, False)]
    cut, ended = (fit_transitions([walk[0], walk[1]._replace(terminated=over)], 2, 1) for over in (False, True))
    assert exact_values(cut, np.zeros(2, dtype=int), discount=0.5).tolist() == [-2, -2]
    assert exact_values(ended, np.zeros(2, dtype=int), discount=0.5).tolist() == [-1.5, -1]


def test_optimism_makes_a_planner_try():
    """Two actions, one known to pay 1; the other pays 5 in the hope of who never tried it."""
    seen = [Transition(0, 0, 1.0, 0, False)]
    plans = [policy_iteration(fit_transitions(seen, 1, 2, unseen_reward=r), discount=0.9).policy[0] for r in (0.0, 5.0)]
    assert plans == [0, 1]


# --- errors of the model, errors of values


def test_errors_by_hand():
    task = TabularMDP(np.array([[[0.5, 0.3]], [[0.0, 1.0]]]), np.array([[1.0], [2.0]]), np.array([[0.2], [0.0]]))
    model = TabularMDP(np.array([[[0.6, 0.0]], [[0.0, 1.0]]]), np.array([[1.5], [1.0]]), np.array([[0.4], [0.0]]))
    assert model_errors(task, model) == pytest.approx((1.0, (0.1 + 0.3 + 0.2) / 2))
    assert model_errors(model, task) == pytest.approx(model_errors(task, model))
    assert model_errors(task, task) == (0, 0)


@given(seeds, discounts)
def test_eq_simulation_identity(seed, discount):
    rng = np.random.default_rng(seed)
    task = random_task(rng)
    model, policy = near(task, rng), rng.dirichlet(np.ones(3), size=5)
    truth, belief = (exact_values(mdp, policy, discount=discount) for mdp in (task, model))
    assert value_error(task, model, policy, discount=discount) == pytest.approx(belief - truth, abs=1e-9)
    # by definition: the sum over steps of what the model gets wrong, along its own way
    wrong, visits, slow = np.zeros(5), np.eye(5), np.zeros(5)
    for s in range(5):
        for a in range(3):
            off = model.rewards[s, a] - task.rewards[s, a]
            off += discount * sum(
                (model.transitions[s, a, to] - task.transitions[s, a, to]) * truth[to] for to in range(5)
            )
            wrong[s] += policy[s, a] * off
    step = np.einsum("sa,sat->st", policy, model.transitions)
    for k in range(400 if discount < 0.95 else 3000):
        slow += discount**k * visits @ wrong
        visits = visits @ step
    assert slow == pytest.approx(belief - truth, abs=1e-6)


@given(seeds, discounts, st.booleans(), st.floats(0.01, 1.0))
def test_eq_simulation_lemma(seed, discount, ends, share):
    rng = np.random.default_rng(seed)
    task = random_task(rng, ends=ends)
    model, policy = near(task, rng, share), rng.dirichlet(np.ones(3), size=5)
    truth, belief = (exact_values(mdp, policy, discount=discount) for mdp in (task, model))
    largest_reward = max(abs(model.rewards[s, a] - task.rewards[s, a]) for s in range(5) for a in range(3))
    moved = []
    for s, a in np.ndindex(5, 3):
        here = [abs(model.transitions[s, a, to] - task.transitions[s, a, to]) for to in range(5)]
        moved.append(sum(here, abs(model.terminations[s, a] - task.terminations[s, a])) / 2)
    span = max(*truth, 0.0) - min(*truth, 0.0)
    bound = (largest_reward + discount * max(moved) * span) / (1 - discount)
    library = simulation_bound(model_errors(task, model), discount=discount, span=value_span(truth))
    assert library == pytest.approx(bound, rel=1e-9)
    assert np.abs(belief - truth).max() <= bound + 1e-9


@given(seeds, discounts, st.floats(0.01, 1.0))
def test_eq_planning_loss(seed, discount, share):
    rng = np.random.default_rng(seed)
    task = random_task(rng)
    model = near(task, rng, share)
    best, plan = (policy_iteration(mdp, discount=discount).policy for mdp in (task, model))
    values = [exact_values(task, policy, discount=discount) for policy in (best, plan)]
    span, errors = max(map(value_span, values)), model_errors(task, model)
    bound = 2 * (errors.rewards + discount * errors.transitions * span) / (1 - discount)
    assert planning_loss_bound(errors, discount=discount, span=span) == pytest.approx(bound)
    assert (values[0] - values[1]).min() >= -1e-9
    assert (values[0] - values[1]).max() <= bound + 1e-9


@pytest.mark.parametrize("discount", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("chance", [0.01, 0.3])
def test_the_bound_is_reached(discount, chance):
    """A state that pays 1 and may end, taken for one that lasts for ever."""
    mortal = TabularMDP(np.array([[[1 - chance]]]), np.ones((1, 1)), np.array([[chance]]))
    lasting = TabularMDP(np.ones((1, 1, 1)), np.ones((1, 1)))
    only = np.array([0])
    truth, belief = (exact_values(mdp, only, discount=discount)[0] for mdp in (mortal, lasting))
    assert truth == pytest.approx(1 / (1 - discount * (1 - chance)))
    bound = simulation_bound(model_errors(mortal, lasting), discount=discount, span=truth)
    assert belief - truth == pytest.approx(bound)


def test_the_horizon_counts_twice():
    """With rewards in [0, 1]: γ·ε / (1 − γ)², a hundred times as much when the horizon is ten times as long."""
    errors = ModelErrors(0.0, 0.01)
    near, far = (simulation_bound(errors, discount=g, span=1 / (1 - g)) / g for g in (0.9, 0.99))
    assert far == pytest.approx(100 * near)
    assert near == pytest.approx(0.01 * 100)


def test_span():
    assert value_span(np.array([1.0, 3.0])) == 3.0  # the end counts as a state worth 0
    assert value_span(np.array([-1.0, -3.0])) == 3.0
    assert value_span(np.array([-1.0, 3.0])) == 4.0


def test_a_sparse_model_is_as_good(unchecked):
    rng = np.random.default_rng(4)
    task = random_task(rng)
    model = near(task, rng)
    as_sparse = [
        TabularMDP(sparse.csr_array(m.transitions.reshape(15, 5)), m.rewards, m.terminations) for m in (task, model)
    ]
    policy = np.zeros(5, dtype=int)
    assert model_errors(*as_sparse) == pytest.approx(model_errors(task, model))
    dense = value_error(task, model, policy, discount=0.9)
    assert value_error(*as_sparse, policy, discount=0.9) == pytest.approx(dense)


def test_bad_arguments():
    rng = np.random.default_rng(0)
    small, large = random_task(rng, 2, 2), random_task(rng, 3, 2)
    with pytest.raises(ValueError, match=r"model must have \(2, 2\) states and actions as mdp, got \(3, 2\)"):
        model_errors(small, large)
    with pytest.raises(ValueError, match="model must have"):
        value_error(small, large, np.zeros(2, dtype=int), discount=0.9)
    for discount in (1.0, -0.1):
        with pytest.raises(ValueError, match=r"discount must be in \[0, 1\)"):
            simulation_bound(ModelErrors(0.0, 0.0), discount=discount, span=1.0)
        with pytest.raises(ValueError, match=r"discount must be in \[0, 1\)"):
            value_error(small, small, np.zeros(2, dtype=int), discount=discount)
    for step in (Transition(2, 0, 0.0, 0, False), Transition(0, 5, 0.0, 0, False), Transition(0, 0, 0.0, 9, False)):
        with pytest.raises(ValueError, match="steps must name states from 0 to 1 and actions from 0 to 1"):
            fit_transitions([step], 2, 2)
