"""Linear TD: updates by hand and by gradient, ratios, the two ends of an episode, loops, and where they lead."""

import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Transition
from mazelm.tabular.linear import (
    LinearTDConfig,
    TDCConfig,
    gradient_mc,
    gradient_mc_update,
    linear_td,
    linear_td_update,
    linear_tdc,
    tdc_update,
)
from mazelm.tabular.linear_system import on_policy_distribution, td_fixed_point, td_system
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values
from mazelm.tabular.problems.random_walk import random_walk
from mazelm.tabular.td import TDConfig, td_update

FEATURES = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])
STEP = Transition(0, 0, 2.0, 1, False)
LAST = STEP._replace(terminated=True)
SETTINGS = {"step_size": 0.2, "discount": 0.5}
ALL = {**SETTINGS, "error_step_size": 0.4}


# --- one update by hand


def test_linear_td_update_by_hand():
    weights = np.array([1.0, 0.5])
    error = linear_td_update(weights, FEATURES, STEP, **SETTINGS)
    assert error == pytest.approx(2 + 0.5 * 1.5 - 1)
    np.testing.assert_allclose(weights, [1 + 0.2 * 1.75, 0.5])


def test_the_ratio_scales_the_step_and_not_the_error():
    weights = np.array([1.0, 0.5])
    assert linear_td_update(weights, FEATURES, STEP, ratio=3.0, **SETTINGS) == pytest.approx(1.75)
    np.testing.assert_allclose(weights, [1 + 0.2 * 3 * 1.75, 0.5])
    linear_td_update(weights, FEATURES, STEP, ratio=0.0, **SETTINGS)
    np.testing.assert_allclose(weights, [2.05, 0.5])


def test_gradient_mc_update_by_hand():
    weights = np.array([1.0, 0.5])
    assert gradient_mc_update(weights, FEATURES, 1, 4.0, step_size=0.2) == pytest.approx(4 - 1.5)
    np.testing.assert_allclose(weights, [1 + 0.2 * 2.5, 0.5 + 0.2 * 2.5])


def test_tdc_update_by_hand():
    weights, error_weights = np.array([1.0, 0.5]), np.array([3.0, -1.0])
    error = tdc_update(weights, error_weights, FEATURES, STEP, ratio=2.0, **ALL)
    assert error == pytest.approx(1.75)
    # x(s) = (1, 0), x(s′) = (1, 1), x(s)ᵀv = 3
    np.testing.assert_allclose(weights, [1 + 0.2 * 2 * (1.75 - 0.5 * 3), 0.5 + 0.2 * 2 * (0 - 0.5 * 3)])
    np.testing.assert_allclose(error_weights, [3 + 0.4 * 2 * (1.75 - 3), -1])


def test_nothing_follows_the_end():
    weights, error_weights = np.array([1.0, 0.5]), np.array([3.0, -1.0])
    assert linear_td_update(weights, FEATURES, LAST, **SETTINGS) == pytest.approx(2 - 1)
    np.testing.assert_allclose(weights, [1.2, 0.5])
    assert tdc_update(weights, error_weights, FEATURES, LAST, **ALL) == pytest.approx(2 - 1.2)
    np.testing.assert_allclose(weights, [1.2 + 0.2 * 0.8, 0.5])  # no next state, no correction
    np.testing.assert_allclose(error_weights, [3 + 0.4 * (0.8 - 3), -1])


def test_one_hot_features_are_a_table():
    table, weights = [10.0, 70.0, 20.0], np.array([10.0, 70.0, 20.0])
    for step in (STEP, Transition(2, 0, -1.0, 0, False), Transition(1, 0, 3.0, 1, True)):
        td_update(table, step, **SETTINGS)
        linear_td_update(weights, np.eye(3), step, **SETTINGS)
    np.testing.assert_allclose(weights, table, rtol=1e-14)


def test_states_that_share_a_feature_move_together():
    groups = np.eye(2)[[0, 0, 1]]
    weights = np.array([1.0, 5.0])
    error = linear_td_update(weights, groups, Transition(0, 0, 0.0, 2, False), **SETTINGS)
    assert error == 1.5
    np.testing.assert_allclose(groups @ weights, [1.3, 1.3, 5.0])


# --- the labelled equations, transcribed

numbers = st.floats(-10, 10)
unit = st.floats(0.01, 1)


@st.composite
def situations(draw):
    """Features of three states, weights, a step, settings."""
    features = np.array([[draw(numbers) for _ in range(4)] for _ in range(3)])
    weights = np.array([draw(numbers) for _ in range(4)])
    state, next_state = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    step = Transition(state, 0, draw(numbers), next_state, draw(st.booleans()))
    return features, weights, step, {"step_size": draw(unit), "discount": draw(unit), "ratio": draw(st.floats(0, 7))}


def dot(first, second):
    total = 0.0
    for one, other in zip(first, second, strict=True):
        total += one * other
    return total


def td_error_of(features, weights, step, discount):
    following = 0.0 if step.terminated else dot(features[step.next_state], weights)
    return step.reward + discount * following - dot(features[step.state], weights)


@given(situations())
def test_eq_linear_value(situation):
    """V(s) = Σᵢ xᵢ(s)·wᵢ: what an update compares with, when nothing follows and nothing is paid."""
    features, weights, step, settings = situation
    ending = step._replace(reward=0.0, terminated=True)
    error = linear_td_update(weights.copy(), features, ending, **settings)
    assert -error == pytest.approx(dot(features[step.state], weights), abs=1e-9)


@given(situations())
def test_eq_linear_td(situation):
    features, weights, step, settings = situation
    error = td_error_of(features, weights, step, settings["discount"])
    expected = [
        weights[i] + settings["step_size"] * settings["ratio"] * error * features[step.state][i] for i in range(4)
    ]
    assert linear_td_update(weights, features, step, **settings) == pytest.approx(error, abs=1e-9)
    np.testing.assert_allclose(weights, expected, atol=1e-8)


@given(situations(), numbers)
def test_eq_gradient_mc(situation, observed_return):
    features, weights, step, settings = situation
    x = features[step.state]
    error = observed_return - dot(x, weights)
    expected = [weights[i] + settings["step_size"] * error * x[i] for i in range(4)]
    gradient_mc_update(weights, features, step.state, observed_return, step_size=settings["step_size"])
    np.testing.assert_allclose(weights, expected, atol=1e-8)


@given(situations(), st.lists(numbers, min_size=4, max_size=4), unit)
def test_eq_tdc(situation, error_weights, error_step_size):
    features, weights, step, settings = situation
    alpha, gamma, rho = settings["step_size"], settings["discount"], settings["ratio"]
    x, v = features[step.state], np.array(error_weights)
    x_next = np.zeros(4) if step.terminated else features[step.next_state]
    error = td_error_of(features, weights, step, gamma)
    w_expected = [weights[i] + alpha * rho * (error * x[i] - gamma * x_next[i] * dot(x, v)) for i in range(4)]
    v_expected = [v[i] + error_step_size * rho * (error - dot(x, v)) * x[i] for i in range(4)]
    tdc_update(weights, v, features, step, error_step_size=error_step_size, **settings)
    np.testing.assert_allclose(weights, w_expected, atol=1e-7)
    np.testing.assert_allclose(v, v_expected, atol=1e-7)


# --- what is a gradient, and what is not


def numerical_gradient(loss, weights):
    steps = 1e-6 * np.eye(len(weights))
    return np.array([(loss(weights + h) - loss(weights - h)) / 2e-6 for h in steps])


def test_monte_carlo_goes_down_a_gradient():
    weights = np.array([1.0, 0.5])

    def loss(w):
        return 0.5 * (4.0 - FEATURES[1] @ w) ** 2

    expected = weights - 0.2 * numerical_gradient(loss, weights)
    gradient_mc_update(weights, FEATURES, 1, 4.0, step_size=0.2)
    np.testing.assert_allclose(weights, expected, atol=1e-8)


def test_td_holds_the_target_fixed():
    weights = np.array([1.0, 0.5])
    target = 2 + 0.5 * FEATURES[1] @ weights

    def fixed(w):
        return 0.5 * (target - FEATURES[0] @ w) ** 2

    def moving(w):
        return 0.5 * (2 + 0.5 * FEATURES[1] @ w - FEATURES[0] @ w) ** 2

    semi = weights - 0.2 * numerical_gradient(fixed, weights)
    full = weights - 0.2 * numerical_gradient(moving, weights)
    linear_td_update(weights, FEATURES, STEP, **SETTINGS)
    np.testing.assert_allclose(weights, semi, atol=1e-8)
    assert np.abs(weights - full).max() > 0.1


# --- loops


def endless(n_states=2):
    """A ring whose every step pays 1 and that never ends: with γ = 0.9 each state is worth 10."""
    outcomes = [[[(1.0, (s + 1) % n_states, 1.0, False)]] for s in range(n_states)]
    return TabularEnv(TabularMDP.from_outcomes(outcomes), start=0)


ONLY = np.zeros((2, 1), dtype=int).ravel()  # the one action, in both states


@pytest.mark.parametrize("learner", [linear_td, linear_tdc, gradient_mc])
def test_a_cut_is_not_an_end(learner):
    """The ring is worth 10. Who begins there must stay, although a time limit cuts each episode after 3 steps."""
    config = {
        linear_td: LinearTDConfig(steps=200, step_size=0.1, discount=0.9),
        linear_tdc: TDCConfig(steps=200, step_size=0.1, discount=0.9),
        gradient_mc: TDConfig(episodes=60, step_size=0.1, discount=0.9),
    }[learner]
    weights = np.array([10.0, 10.0])
    env = TimeLimit(endless(), 3)
    list(learner(env, np.eye(2), weights, ONLY, config, rng=np.random.default_rng(0)))
    np.testing.assert_allclose(weights, 10.0, atol=1e-9)


def test_what_an_end_would_have_made_of_it(unchecked):
    """The same ring, whose third step does end the task: then the first state is worth 1 + γ + γ², not 10."""
    ending = TabularMDP.from_outcomes([[[(1.0, s + 1, 1.0, s == 2)]] for s in range(3)])
    policy, rng = np.zeros(3, dtype=int), np.random.default_rng(0)
    for learner, config in (
        (linear_td, LinearTDConfig(steps=3000, step_size=0.1, discount=0.9)),
        (linear_tdc, TDCConfig(steps=6000, step_size=0.1, error_step_size=0.1, discount=0.9)),
        (gradient_mc, TDConfig(episodes=1000, step_size=0.1, discount=0.9)),
    ):
        weights = np.full(3, 10.0)
        list(learner(TabularEnv(ending, start=0), np.eye(3), weights, policy, config, rng=rng))
        np.testing.assert_allclose(weights, [1 + 0.9 + 0.81, 1.9, 1.0], atol=1e-3)


def test_episodes_differ():
    """The environment is seeded once: an episode that ends by the toss of a coin is not the same every time."""
    toss = TabularMDP.from_outcomes([[[(0.5, 0, 1.0, False), (0.5, 0, 1.0, True)]]])
    config = TDConfig(episodes=20, step_size=0.1, discount=0.9)
    learner = gradient_mc(
        TabularEnv(toss), np.eye(1), np.zeros(1), np.zeros(1, dtype=int), config, rng=np.random.default_rng(0)
    )
    episodes = list(learner)
    assert len({episode.steps for episode in episodes}) > 1
    assert all(episode.terminated for episode in episodes)
    assert all(episode.total == episode.steps for episode in episodes)


def test_same_seed_same_weights():
    found = []
    for _ in range(2):
        weights = np.zeros(2)
        env = TabularEnv(random_walk(4), start=2)
        learner = linear_td(
            env, np.eye(2)[[0, 0, 1, 1]], weights, np.full((4, 2), 0.5), LinearTDConfig(steps=200),
            rng=np.random.default_rng(3),
        )  # fmt: skip
        yielded = list(learner)
        found.append(weights)
    assert [type(step) for step in yielded] == [Transition] * 200
    np.testing.assert_array_equal(*found)


def test_on_policy_learners_end_where_the_equations_say(unchecked):
    """Twelve states in three groups: TD at A⁻¹·b, TDC there too, Monte Carlo at the least squares; within 4 σ."""
    walk, policy, stairs = random_walk(12), np.full((12, 2), 0.5), np.eye(3)[np.arange(12) // 4]
    process = walk.under(policy)
    shares = on_policy_distribution(process, np.eye(12)[6])
    fixed = td_fixed_point(td_system(stairs, process, shares, discount=0.95))
    truth = exact_values(walk, policy, discount=0.95)
    best = np.array([np.average(truth[g : g + 4], weights=shares[g : g + 4]) for g in (0, 4, 8)])
    for learner, config, expected in (
        (linear_td, LinearTDConfig(steps=10_000, step_size=0.02, discount=0.95), fixed),
        (linear_tdc, TDCConfig(steps=10_000, step_size=0.05, error_step_size=0.05, discount=0.95), fixed),
        (gradient_mc, TDConfig(episodes=250, step_size=0.005, discount=0.95), best),
    ):
        found = []
        for seed in range(8):
            weights = np.full(3, 0.2)
            env = TabularEnv(walk, start=6)
            list(learner(env, stairs, weights, policy, config, rng=np.random.default_rng(seed)))
            found.append(weights)
        error = np.std(found, axis=0, ddof=1) / np.sqrt(8)
        assert (np.abs(np.mean(found, axis=0) - expected) < 4 * error + 0.02).all()
    assert np.abs(fixed - best).max() > 0.1  # the two ends differ, so that neither test passes by the other's


def test_off_policy_the_ratio_asks_for_the_target(unchecked):
    """A ring of two states where action 1 pays 1; the behaviour tosses a coin, the target always takes action 1."""
    mdp = TabularMDP.from_outcomes([[[(1.0, 1 - s, float(a), False)] for a in range(2)] for s in range(2)])
    target, coin = np.array([1, 1]), np.full((2, 2), 0.5)
    for learner, config in (
        (linear_td, LinearTDConfig(steps=4000, step_size=0.1, discount=0.5)),
        (linear_tdc, TDCConfig(steps=8000, step_size=0.1, error_step_size=0.1, discount=0.5)),
    ):
        weights = np.zeros(2)
        env = TabularEnv(mdp, start=0)
        list(learner(env, np.eye(2), weights, target, config, behaviour=coin, rng=np.random.default_rng(0)))
        np.testing.assert_allclose(weights, 1 / (1 - 0.5), atol=1e-3)  # all noise is in steps of ratio 0
        weights = np.zeros(2)
        list(learner(env, np.eye(2), weights, coin, config, rng=np.random.default_rng(0)))
        np.testing.assert_allclose(weights, 0.5 / (1 - 0.5), atol=0.4)


# --- a caller's mistakes


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (LinearTDConfig, {"steps": 0}, "steps must be at least 1, got 0"),
        (LinearTDConfig, {"step_size": 0.0}, "step_size must be above 0, got 0.0"),
        (LinearTDConfig, {"step_size": float("nan")}, "step_size must be above 0, got nan"),
        (LinearTDConfig, {"discount": 1.1}, r"discount must be in \[0, 1\], got 1.1"),
        (LinearTDConfig, {"discount": -0.1}, r"discount must be in \[0, 1\], got -0.1"),
        (TDCConfig, {"error_step_size": -1.0}, "error_step_size must be above 0, got -1.0"),
        (TDCConfig, {"steps": 0}, "steps must be at least 1, got 0"),
    ],
)
def test_configs_refuse(config, settings, message):
    with pytest.raises(ValueError, match=message):
        config(**settings)


@pytest.mark.parametrize(("learner", "config"), [(linear_td, LinearTDConfig()), (linear_tdc, TDCConfig())])
def test_the_behaviour_must_cover_the_target(learner, config):
    env = TabularEnv(random_walk(2), start=0)
    timid = np.array([[0.5, 0.5], [1.0, 0.0]])
    learning = learner(
        env, np.eye(2), np.zeros(2), np.full((2, 2), 0.5), config, behaviour=timid, rng=np.random.default_rng(0)
    )
    with pytest.raises(ValueError, match=r"behaviour\[1, 1\] must be above 0"):
        next(learning)
