"""Imitation beside others: torch's cross-entropy, scikit-learn's logistic regression, and matrix powers."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.imitation.cloning import CloningConfig, Demonstrations, clone, cloning_loss, policy_table
from mazelm.imitation.horizon import state_distributions
from mazelm.policy.networks import mlp
from mazelm.tabular.mdp import TabularMDP
from sklearn.linear_model import LogisticRegression


@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(2, 6))
def test_the_loss_and_its_gradient_are_torchs(seed, n, n_actions):
    rng = np.random.default_rng(seed)
    values, actions = rng.normal(0, 5, size=(n, n_actions)), torch.from_numpy(rng.integers(n_actions, size=n))
    ours, theirs = (torch.tensor(values, requires_grad=True) for _ in range(2))
    loss, reference = cloning_loss(ours, actions), torch.nn.functional.cross_entropy(theirs, actions)
    assert loss.item() == pytest.approx(reference.item(), rel=1e-12)
    loss.backward()
    reference.backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-14)
    by_hand = (theirs.softmax(dim=1) - torch.eye(n_actions)[actions]) / n
    assert torch.allclose(ours.grad, by_hand, atol=1e-12)


def test_a_linear_clone_is_logistic_regression():
    """Both fit the same convex loss without a penalty, on data that no line separates."""
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(300, 3)).astype(np.float32)
    chances = np.exp(obs @ rng.normal(size=(3, 3)))
    actions = np.array([rng.choice(3, p=row / row.sum()) for row in chances])
    model = mlp([3, 3])
    for learning_rate in (0.1, 0.01, 0.001):
        config = CloningConfig(updates=200, batch_size=300, learning_rate=learning_rate)
        list(clone(Demonstrations(obs, actions), model, config, rng=rng))
    reference = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(obs, actions)
    assert policy_table(model, obs) == pytest.approx(reference.predict_proba(obs), abs=0.02)


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 20))
def test_visits_are_matrix_powers(seed, n_states, steps):
    """The row of the start in Pᵗ; and over all times, for a process that ends, the start's row of (I − P)⁻¹."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.ones(n_states + 1), size=(n_states, 2))
    mdp = TabularMDP(chances[..., :-1], np.zeros((n_states, 2)), chances[..., -1])
    policy = rng.dirichlet(np.ones(2), size=n_states)
    matrix, start = (policy[:, :, None] * chances[..., :-1]).sum(axis=1), int(rng.integers(n_states))
    visits = state_distributions(mdp, policy, start=start, steps=steps)
    for t in range(steps):
        assert visits[t] == pytest.approx(np.linalg.matrix_power(matrix, t)[start], abs=1e-12)
    missing = np.linalg.matrix_power(matrix, steps)[start] @ np.linalg.inv(np.eye(n_states) - matrix)
    whole = np.linalg.inv(np.eye(n_states) - matrix)[start]
    assert visits.sum(axis=0) + missing == pytest.approx(whole, rel=1e-9)
