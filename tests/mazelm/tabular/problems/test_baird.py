"""Baird's counterexample is what its source says."""

import numpy as np
import pytest
from mazelm.tabular.linear_system import on_policy_distribution
from mazelm.tabular.planning import exact_values
from mazelm.tabular.problems.baird import (
    BEHAVIOUR,
    DASHED,
    DISCOUNT,
    FIRST_WEIGHTS,
    SOLID,
    TARGET,
    baird,
    baird_features,
)


def test_where_the_actions_lead():
    mdp = baird()
    assert (mdp.n_states, mdp.n_actions) == (7, 2)
    for s in range(7):
        np.testing.assert_allclose(mdp.transitions[s, DASHED], [1 / 6] * 6 + [0])
        np.testing.assert_allclose(mdp.transitions[s, SOLID], [0] * 6 + [1])
    assert not mdp.terminations.any()
    assert not mdp.rewards.any()


def test_the_behaviour_visits_all_states_alike():
    start = np.eye(7)[0]
    np.testing.assert_allclose(on_policy_distribution(baird().under(BEHAVIOUR), start), 1 / 7, atol=1e-12)
    np.testing.assert_allclose(on_policy_distribution(baird().under(TARGET), start), np.eye(7)[6], atol=1e-12)


def test_features():
    w = np.arange(1.0, 9.0)
    values = [2 * w[s] + w[7] for s in range(6)] + [w[6] + 2 * w[7]]
    np.testing.assert_allclose(baird_features() @ w, values)
    np.testing.assert_allclose(baird_features() @ FIRST_WEIGHTS, [3.0] * 6 + [12.0])
    assert np.linalg.matrix_rank(baird_features()) == 7  # the features can say any values


@pytest.mark.parametrize(("policy", "share"), [(TARGET, 1.0), (BEHAVIOUR, 1 / 7)])
def test_values_with_a_reward(policy, share):
    np.testing.assert_allclose(exact_values(baird(reward=2.0), policy, discount=DISCOUNT), 2 * share / (1 - DISCOUNT))
    np.testing.assert_allclose(exact_values(baird(), policy, discount=DISCOUNT), 0, atol=1e-12)
