"""The gradient of a table's policy against torch's autograd, and all estimates against it, on random problems."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mazelm.policy.identities import (
    FORMS,
    advantage,
    baseline_parabola,
    estimate,
    moments,
    possible_walks,
    return_minus_value,
    reward_to_go,
    solve,
)
from mazelm.tabular.mdp import TabularMDP

# Whoever leaves a state reaches one with a higher number, or the end of the task: the walks can be listed.
seeds = st.integers(0, 10_000)
discounts = st.sampled_from([0.5, 0.9, 1.0])


def random_problem(seed, n_states=3, n_actions=2):
    """A task in which every walk ends, a start, and preferences."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.ones(n_states + 1), size=(n_states, n_actions))  # the last column is the end
    for state in range(n_states):
        chances[state, :, : state + 1] = 0
    chances /= chances.sum(axis=2, keepdims=True)
    rewards = rng.normal(5, 3, size=(n_states, n_actions))
    start = rng.dirichlet(np.ones(n_states))
    return TabularMDP(chances[..., :-1], rewards, chances[..., -1]), start, rng.normal(size=(n_states, n_actions))


def autograd_gradient(mdp, start, preferences, discount):
    """Of start·(I − γ·P_π)⁻¹·r_π, by torch."""
    theta = torch.tensor(preferences, requires_grad=True)
    policy = theta.softmax(dim=1)
    step = torch.einsum("sa,sap->sp", policy, torch.tensor(np.asarray(mdp.transitions)))
    rewards = (policy * torch.tensor(mdp.rewards)).sum(dim=1)
    values = torch.linalg.solve(torch.eye(len(start), dtype=torch.float64) - discount * step, rewards)
    objective = torch.tensor(start) @ values
    objective.backward()
    return objective.item(), theta.grad.numpy()


@given(seeds, discounts)
def test_the_gradient_is_that_of_autograd(seed, discount):
    mdp, start, preferences = random_problem(seed)
    known = solve(mdp, preferences, start, discount=discount)
    objective, gradient = autograd_gradient(mdp, start, preferences, discount)
    assert known.objective == pytest.approx(objective, rel=1e-12)
    assert known.gradient == pytest.approx(gradient, abs=1e-10)


@given(seeds)
def test_the_gradient_is_that_of_autograd_where_walks_return(seed):
    """Any transitions, with γ < 1: walks without end, which cannot be listed."""
    rng = np.random.default_rng(seed)
    mdp = TabularMDP(rng.dirichlet(np.ones(4), size=(4, 2)), rng.normal(size=(4, 2)))
    preferences, start = rng.normal(size=(4, 2)), rng.dirichlet(np.ones(4))
    known = solve(mdp, preferences, start, discount=0.9)
    assert known.gradient == pytest.approx(autograd_gradient(mdp, start, preferences, 0.9)[1], abs=1e-10)


@settings(max_examples=12)
@given(seeds, discounts)
def test_the_gradient_is_that_of_finite_differences(seed, discount):
    mdp, start, preferences = random_problem(seed)
    gradient = solve(mdp, preferences, start, discount=discount).gradient
    for s, a in np.ndindex(preferences.shape):
        step = np.zeros_like(preferences)
        step[s, a] = 1e-5
        up, down = (solve(mdp, preferences + sign * step, start, discount=discount).objective for sign in (1, -1))
        assert gradient[s, a] == pytest.approx((up - down) / 2e-5, abs=1e-6)


@settings(max_examples=12)
@given(seeds, discounts)
def test_all_forms_have_the_exact_gradient_as_their_mean(seed, discount):
    mdp, start, preferences = random_problem(seed)
    known = solve(mdp, preferences, start, discount=discount)
    walks = possible_walks(mdp, known.policy, start)
    assert sum(p for p, _ in walks) == pytest.approx(1, rel=1e-12)
    assert sum(p * walk.returns(discount)[0] for p, walk in walks) == pytest.approx(known.objective, rel=1e-12)
    _, gradient = autograd_gradient(mdp, start, preferences, discount)
    for psi in FORMS:
        assert moments(walks, known, psi).mean == pytest.approx(gradient, abs=1e-9), psi.__name__


@settings(max_examples=12)
@given(seeds, discounts)
def test_a_state_baseline_leaves_the_mean_and_moves_the_variance_as_predicted(seed, discount):
    mdp, start, preferences = random_problem(seed)
    known = solve(mdp, preferences, start, discount=discount)
    walks = possible_walks(mdp, known.policy, start)
    parabola = baseline_parabola(walks, known)
    baseline = np.random.default_rng(seed).normal(0, 10, size=3)
    measured = moments(walks, known, lambda walk, known: reward_to_go(walk, known, baseline=baseline))
    assert measured.mean == pytest.approx(known.gradient, abs=1e-9)
    assert measured.variance == pytest.approx(parabola.variance(baseline), rel=1e-9)
    constant = moments(
        walks, known, lambda walk, known: reward_to_go(walk, known, baseline=np.full(3, parabola.best_constant()))
    )
    assert parabola.lowest <= constant.variance <= moments(walks, known, reward_to_go).variance + 1e-9
    assert moments(walks, known, advantage).variance <= moments(walks, known, return_minus_value).variance + 1e-9


def test_sampled_walks_have_the_predicted_mean_and_variance():
    mdp, start, preferences = random_problem(3)
    known = solve(mdp, preferences, start, discount=0.9)
    walks = possible_walks(mdp, known.policy, start)
    rng, n = np.random.default_rng(0), 20_000
    drawn = rng.choice(len(walks), size=n, p=[p for p, _ in walks])
    estimates = np.array([estimate(p.walk, known, return_minus_value) for p in walks])[drawn]
    variance = moments(walks, known, return_minus_value).variance
    assert np.linalg.norm(estimates.mean(axis=0) - known.gradient) < 4 * np.sqrt(variance / n)
    assert estimates.var(axis=0).sum() == pytest.approx(variance, rel=0.05)
