"""Jack's car rental: by hand, by definition, at its limits, under an exchange of the locations, on bad input."""

import itertools
import math

import numpy as np
import pytest
from mazelm.tabular.planning import exact_values, policy_iteration
from mazelm.tabular.problems.car_rental import (
    CarRental,
    business_day,
    capped_poisson,
    car_counts,
    car_rental,
    nights,
)

SMALL = CarRental(capacity=4, max_moves=2, request_rates=(1.0, 2.0), return_rates=(1.5, 0.5))


def poisson(n, rate):
    return rate**n * math.exp(-rate) / math.factorial(n)


def slow_model(config, upto=60):
    """Transitions and rewards by four nested loops over requests and returns, far into the tails."""
    n = config.capacity + 1
    transitions = np.zeros((n * n, 2 * config.max_moves + 1, n * n))
    rewards = np.zeros(transitions.shape[:2])
    chances = [[poisson(k, rate) for k in range(upto)] for rate in (*config.request_rates, *config.return_rates)]
    for (i, j), asked in itertools.product(
        itertools.product(range(n), repeat=2), range(-config.max_moves, config.max_moves + 1)
    ):
        moved = min(asked, i) if asked >= 0 else -min(-asked, j)
        morning = [min(i - moved, config.capacity), min(j + moved, config.capacity)]
        place = (i * n + j, asked + config.max_moves)
        rewards[place] = -config.move_cost * abs(asked)
        evening = np.zeros((2, n))
        for location in (0, 1):
            for asked_for, back in itertools.product(range(upto), repeat=2):
                chance = chances[location][asked_for] * chances[2 + location][back]
                rented = min(asked_for, morning[location])
                evening[location, min(morning[location] - rented + back, config.capacity)] += chance
                rewards[place] += config.rent * rented * chance
        transitions[place] = np.outer(evening[0], evening[1]).ravel()
    return transitions, rewards


# --- by hand


def test_capped_poisson_by_hand():
    e = math.exp(-2.0)
    np.testing.assert_allclose(capped_poisson(2.0, 2), [e, 2 * e, 1 - 3 * e], rtol=1e-14)
    np.testing.assert_array_equal(capped_poisson(2.0, 0), [1.0])


def test_a_day_with_one_car_by_hand():
    """Rate 1 for both: the car stays unless somebody asks; afterwards the location is full if any car comes back."""
    none = math.exp(-1.0)
    evening, rented = business_day(1, 1.0, 1.0)
    np.testing.assert_allclose(rented, [0.0, 1 - none], rtol=1e-14)
    rented_and_none_back = (1 - none) * none
    np.testing.assert_allclose(
        evening, [[none, 1 - none], [rented_and_none_back, 1 - rented_and_none_back]], rtol=1e-14
    )


def test_a_night_by_hand():
    first, second, costs = nights(CarRental())
    state, action = 7 * 21 + 3, 5 + 4  # 7 and 3 cars, 4 moved to the second location
    assert (first[state, action], second[state, action], costs[state, action]) == (3, 7, 8.0)
    action = 5 - 5  # 5 asked for, but the second location has 3
    assert (first[state, action], second[state, action], costs[state, action]) == (10, 0, 10.0)
    state, action = 20 * 21 + 18, 5 + 5  # 23 cars at the second location are too many
    assert (first[state, action], second[state, action]) == (15, 20)


# --- by definition


def test_model_is_that_of_the_slow_loops():
    transitions, rewards = slow_model(SMALL)
    mdp = car_rental(SMALL)
    np.testing.assert_allclose(np.asarray(mdp.transitions), transitions, atol=1e-13)
    np.testing.assert_allclose(mdp.rewards, rewards, atol=1e-12)


def test_rows_sum_to_one_in_the_full_problem():
    mdp = car_rental()
    assert (mdp.n_states, mdp.n_actions) == (441, 11)
    sums = np.asarray(mdp.transitions.sum(axis=-1))
    np.testing.assert_allclose(sums, 1.0, atol=1e-13)


def test_day_agrees_with_draws():
    rng = np.random.default_rng(0)
    evening, rented = business_day(20, 4.0, 2.0)
    requests, returns = rng.poisson(4.0, size=200_000), rng.poisson(2.0, size=200_000)
    out = np.minimum(requests, 6)
    seen = np.bincount(np.minimum(6 - out + returns, 20), minlength=21) / 200_000
    np.testing.assert_allclose(seen, evening[6], atol=5 * math.sqrt(0.25 / 200_000))
    assert out.mean() == pytest.approx(rented[6], abs=5 * out.std() / math.sqrt(200_000))


# --- limits and invariance


@pytest.mark.parametrize(("rate", "cap"), [(3.0, 20), (0.1, 1), (50.0, 20), (4.0, 100)])
def test_capped_poisson_is_a_distribution_with_the_whole_tail(rate, cap):
    chances = capped_poisson(rate, cap)
    assert chances.sum() == pytest.approx(1.0, abs=1e-13)
    slow = [poisson(k, rate) for k in range(cap)]
    np.testing.assert_allclose(chances[:cap], slow, rtol=1e-10, atol=1e-300)


def test_exchanged_locations_exchange_values_and_turn_the_moves_round():
    mirrored = CarRental(capacity=4, max_moves=2, request_rates=(2.0, 1.0), return_rates=(0.5, 1.5))
    here, there = (policy_iteration(car_rental(config), discount=0.9) for config in (SMALL, mirrored))
    np.testing.assert_allclose(here.values.reshape(5, 5), there.values.reshape(5, 5).T, rtol=1e-12)
    np.testing.assert_array_equal(car_counts(here.policy, SMALL), -car_counts(there.policy, mirrored).T)


def test_the_best_policy_asks_for_no_car_that_is_not_there():
    moved = car_counts(policy_iteration(car_rental(), discount=0.9).policy)
    first, second = np.indices(moved.shape)
    assert (moved <= first).all()
    assert (-moved <= second).all()


def test_double_money_doubles_the_values():
    double = CarRental(
        capacity=4, max_moves=2, request_rates=(1.0, 2.0), return_rates=(1.5, 0.5), rent=20.0, move_cost=4.0
    )
    policy = np.full(25, 3)
    values, doubled = (exact_values(car_rental(config), policy, discount=0.9) for config in (SMALL, double))
    np.testing.assert_allclose(doubled, 2 * values, rtol=1e-12)


def test_without_moves_there_is_one_action():
    still = CarRental(capacity=2, max_moves=0)
    mdp = car_rental(still)
    assert (mdp.n_states, mdp.n_actions) == (9, 1)
    np.testing.assert_array_equal(car_counts(np.zeros(9, dtype=int), still), np.zeros((3, 3)))


# --- bad input


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("capacity", -1),
        ("max_moves", -1),
        ("request_rates", (0.0, 1.0)),
        ("return_rates", (1.0,)),
    ],
)
def test_bad_config_is_named_with_its_value(name, value, unchecked):
    with pytest.raises(ValueError, match=name) as caught:
        CarRental(**{name: value})
    assert str(value) in str(caught.value)
