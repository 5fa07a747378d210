"""Divergence as published: Sutton & Barto (2018), sections 11.2, 11.5 and 11.7, in short form."""

import numpy as np
import pytest
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Transition
from mazelm.tabular.linear import LinearTDConfig, TDCConfig, linear_td, linear_td_update, linear_tdc, tdc_update
from mazelm.tabular.linear_system import expected_td_update, projected_bellman_error, td_system, value_error
from mazelm.tabular.problems.baird import BEHAVIOUR, DISCOUNT, FIRST_WEIGHTS, TARGET, baird, baird_features

FEATURES, UNIFORM = baird_features(), np.full(7, 1 / 7)
SYSTEM = td_system(FEATURES, baird().under(TARGET), UNIFORM, discount=DISCOUNT)


def growth(features, weighting, discount, target=TARGET):
    """Above 0: the expected update diverges for every step size."""
    system = td_system(features, baird().under(target), weighting, discount=discount)
    return -np.linalg.eigvals(system.matrix).real.min()


@pytest.mark.parametrize("step_size", [0.1, 0.01])
@pytest.mark.parametrize("discount", [0.3, 0.49, 0.51, 0.99])
def test_w_to_2w(step_size, discount):
    """Section 11.2: each update multiplies w by 1 + α·(2γ − 1), which is above 1 for γ > ½, whatever α is."""
    weights, step = np.ones(1), Transition(0, 0, 0.0, 1, False)
    for _ in range(100):
        linear_td_update(weights, np.array([[1.0], [2.0]]), step, step_size=step_size, discount=discount)
    assert weights[0] == pytest.approx((1 + step_size * (2 * discount - 1)) ** 100)
    assert (weights[0] > 1) == (discount > 0.5)


def test_figure_11_2_left(unchecked):
    """Semi-gradient off-policy TD: in each of ten runs of 1,000 steps w₇ grows beyond 150, and goes on growing."""
    config = LinearTDConfig(steps=2000, step_size=0.01, discount=DISCOUNT)
    for seed in range(10):
        weights, history = FIRST_WEIGHTS.copy(), []
        env = TabularEnv(baird(), start=UNIFORM)
        rng = np.random.default_rng(seed)
        for _ in linear_td(env, FEATURES, weights, TARGET, config, behaviour=BEHAVIOUR, rng=rng):
            history.append(weights.copy())
        assert history[999][7] > 150
        assert history[1999][7] > 5 * history[999][7]
        assert history[999].argmax() == 7
        assert 0 < history[999][6] < 10


def test_figure_11_2_right():
    """Semi-gradient dynamic programming diverges as well: w₇ is near 335 after 1,000 sweeps."""
    weights = FIRST_WEIGHTS.copy()
    for sweep in range(3000):
        before = np.linalg.norm(weights)
        expected_td_update(weights, SYSTEM, step_size=0.01)
        if sweep == 999:
            assert weights[7] == pytest.approx(335, abs=1)
            np.testing.assert_allclose(weights[:6], 114.4, atol=0.1)
            assert 0 < weights[6] < 10
    assert np.linalg.norm(weights) / before == pytest.approx(1 + 0.01 * growth(FEATURES, UNIFORM, DISCOUNT), abs=1e-5)


def test_the_sampled_weights_grow_as_the_eigenvalue_says(unchecked):
    predicted = 1 + 0.01 * growth(FEATURES, UNIFORM, DISCOUNT)
    assert predicted == pytest.approx(1.00239, abs=1e-5)
    config, rates = LinearTDConfig(steps=4000, step_size=0.01, discount=DISCOUNT), []
    for seed in range(5):
        weights, sizes = FIRST_WEIGHTS.copy(), []
        env = TabularEnv(baird(), start=UNIFORM)
        rng = np.random.default_rng(seed)
        for _ in linear_td(env, FEATURES, weights, TARGET, config, behaviour=BEHAVIOUR, rng=rng):
            sizes.append(np.linalg.norm(weights))
        rates.append((sizes[-1] / sizes[999]) ** (1 / 3000))
    assert np.mean(rates) == pytest.approx(predicted, abs=2e-4)


def test_the_star_diverges_above_15_17():
    """The two values u and l of the lesson: trace (17γ − 15) / 7, determinant (26 − 26γ) / 49."""
    for discount in (0.5, 0.8, 0.88, 0.89, 0.95, 0.99):
        small = np.array([[-10, 12 * discount - 2], [-12, 17 * discount - 5]]) / 7
        assert np.trace(small) == pytest.approx((17 * discount - 15) / 7)
        assert np.linalg.det(small) == pytest.approx((26 - 26 * discount) / 49)
        rate = np.linalg.eigvals(small).real.max()
        assert (growth(FEATURES, UNIFORM, discount) > 1e-9) == (discount > 15 / 17)
        if discount > 15 / 17:
            assert growth(FEATURES, UNIFORM, discount) == pytest.approx(rate)


def test_each_of_the_three_taken_away():
    """A table, the behaviour's own values, the target's own shares, and returns: none of them diverges."""
    assert growth(FEATURES, UNIFORM, DISCOUNT) > 0.2
    assert growth(np.eye(7), UNIFORM, DISCOUNT) < 0
    assert growth(FEATURES, UNIFORM, DISCOUNT, target=BEHAVIOUR) < 1e-9
    assert growth(FEATURES, np.eye(7)[6], DISCOUNT) < 1e-9
    assert growth(FEATURES, UNIFORM, 0.0) < 1e-9  # no guess in the target: with rewards of 0 that is Monte Carlo


def errors(weights):
    value = value_error(FEATURES @ weights, np.zeros(7), UNIFORM)
    return np.sqrt([value, max(projected_bellman_error(weights, FEATURES, SYSTEM, UNIFORM), 0.0)])


def test_figure_11_5_left(unchecked):
    """TDC from samples: stable, with a small projected Bellman error after 1,000 steps."""
    config = TDCConfig(steps=1000, step_size=0.005, error_step_size=0.05, discount=DISCOUNT)
    for seed in range(10):
        weights = FIRST_WEIGHTS.copy()
        env = TabularEnv(baird(), start=UNIFORM)
        rng = np.random.default_rng(seed)
        list(linear_tdc(env, FEATURES, weights, TARGET, config, behaviour=BEHAVIOUR, rng=rng))
        value, projected = errors(weights)
        assert value == pytest.approx(2, abs=0.3)
        assert projected < 0.3


def test_figure_11_5_right():
    """TDC, expected: the projected Bellman error falls to 0, while √VE stays near 2 for 1,000 sweeps."""
    w, v = FIRST_WEIGHTS.copy(), np.zeros(8)
    settings = {"step_size": 0.005, "error_step_size": 0.05, "discount": DISCOUNT}
    for _ in range(1000):
        means = np.zeros((2, 8))
        for state in range(7):
            new_w, new_v = w.copy(), v.copy()
            tdc_update(new_w, new_v, FEATURES, Transition(state, 1, 0.0, 6, False), **settings)
            means += np.array([new_w, new_v]) / 7
        w, v = means.copy()
    value, projected = errors(w)
    assert 1.9 < value < 2
    assert projected < 0.01
    assert np.abs(w).max() > 1  # the weights are far from those of the right values, some multiple of (1, …, 1, 4, −2)


def test_example_11_2():
    """A-split: going down the squared TD error makes B worth ¾ and C ¼, where TD finds 1 and 0."""
    semi, full, table = np.full(3, 0.5), np.full(3, 0.5), np.eye(3)
    for i in range(4000):
        middle = 1 + i % 2
        for step in (Transition(0, 0, 0.0, middle, False), Transition(middle, 0, float(middle == 1), middle, True)):
            linear_td_update(semi, table, step, step_size=0.01, discount=1.0)
            error = step.reward + (0.0 if step.terminated else full[step.next_state]) - full[step.state]
            slope = table[step.state] - (0 if step.terminated else table[step.next_state])
            full += 0.01 * error * slope
    np.testing.assert_allclose(semi, [0.5, 1, 0], atol=0.01)
    np.testing.assert_allclose(full, [0.5, 0.75, 0.25], atol=0.01)


@pytest.mark.parametrize(("error_step_size", "stable"), [(0.05, True), (0.005, True), (0.001, True), (0.0005, False)])
def test_tdc_needs_an_error_weight_that_keeps_up(error_step_size, stable):
    """The expected update of w and v together, built column by column: an eigenvalue leaves the circle for small β."""
    settings = {"step_size": 0.005, "error_step_size": error_step_size, "discount": DISCOUNT}
    both = np.zeros((16, 16))
    for column in np.eye(16):
        for state in range(7):
            w, v = column[:8].copy(), column[8:].copy()
            tdc_update(w, v, FEATURES, Transition(state, 1, 0.0, 6, False), **settings)
            both[:, column.argmax()] += np.concatenate([w, v]) / 7
    assert (np.abs(np.linalg.eigvals(both)).max() < 1 + 1e-9) == stable
    size = np.linalg.norm((np.linalg.matrix_power(both, 20_000) @ np.append(FIRST_WEIGHTS, np.zeros(8)))[:8])
    assert (size < 10) == stable
