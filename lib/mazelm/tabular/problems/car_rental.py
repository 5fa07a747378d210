"""Jack's car rental: two locations share a fleet, and each night some cars are driven from one to the other.

By day each location rents cars out, and other cars come back, which can be rented from the next day on. A state is the
number of cars at each location in the evening, an action the number of cars to move overnight, a step one day. Nothing
ever ends. Requests and returns are Poisson numbers, with their tails kept exactly: a request beyond the last car earns
nothing, a car beyond the capacity leaves the problem, and both probabilities are added up in closed form.

Source: Sutton & Barto (2018), example 4.2.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import gammainc, gammaln

from mazelm.tabular.mdp import TabularMDP


@dataclass(frozen=True, kw_only=True)
class CarRental:
    """What the problem may vary. As it stands: example 4.2. Money is in dollars, rates are means of a day."""

    capacity: int = 20  # cars that a location can hold
    max_moves: int = 5  # cars that can be moved in one night
    request_rates: tuple[float, float] = (3.0, 4.0)  # at the first and at the second location
    return_rates: tuple[float, float] = (3.0, 2.0)
    rent: float = 10.0  # paid for each car rented out
    move_cost: float = 2.0  # for each car moved

    def __post_init__(self):
        for name in ("capacity", "max_moves"):
            if (number := getattr(self, name)) < 0:
                raise ValueError(f"{name} must be at least 0, got {number}")
        for name in ("request_rates", "return_rates"):
            if len(rates := getattr(self, name)) != 2 or not min(rates) > 0:
                raise ValueError(f"{name} must be two positive numbers, one for each location, got {rates}")


def car_rental(config: CarRental | None = None) -> TabularMDP:
    """The problem as an MDP with (capacity + 1)² states and 2·max_moves + 1 actions.

        state = first·(capacity + 1) + second,    action = moved + max_moves

    `moved` cars go from the first location to the second, −moved the other way if it is negative. Whoever asks for
    more cars than there are gets those, and pays for what was asked. So such an action is worse than the possible one
    that does the same, no best policy contains it, and every state can have all actions.

    Source: Sutton & Barto (2018), example 4.2.
    """
    config = config or CarRental()
    first, second, costs = nights(config)
    days = [
        business_day(config.capacity, requests, returns)
        for requests, returns in zip(config.request_rates, config.return_rates, strict=True)
    ]
    (after_first, rented_first), (after_second, rented_second) = days
    transitions = np.einsum("sai, saj -> saij", after_first[first], after_second[second])
    rewards = config.rent * (rented_first[first] + rented_second[second]) - costs
    return TabularMDP(transitions.reshape(*first.shape, -1), rewards)


def nights(
    config: CarRental,
) -> tuple[Integer[np.ndarray, "S A"], Integer[np.ndarray, "S A"], Float[np.ndarray, "S A"]]:
    """The cars at both locations on the next morning, and what the night cost in dollars, for each state and action."""
    first, second = (cars.reshape(-1, 1) for cars in np.indices((config.capacity + 1,) * 2))
    asked = np.arange(-config.max_moves, config.max_moves + 1)[None]
    moved = np.clip(asked, -second, first)
    mornings = [np.minimum(cars, config.capacity) for cars in (first - moved, second + moved)]
    return *mornings, np.broadcast_to(config.move_cost * np.abs(asked), moved.shape)


def business_day(
    capacity: int, request_rate: float, return_rate: float
) -> tuple[Float[np.ndarray, "N N"], Float[np.ndarray, " N"]]:
    """One location from morning to evening: the chance of each number of cars, and the mean number rented out.

        rented = min(requests, cars),    evening = min(cars − rented + returns, capacity)

    Returns:
        The matrix P(evening | morning), and E[rented | morning], for 0 to capacity cars in the morning.
    """
    evening, rented = np.zeros((capacity + 1, capacity + 1)), np.zeros(capacity + 1)
    for cars in range(capacity + 1):
        chances = capped_poisson(request_rate, cars)
        rented[cars] = chances @ np.arange(cars + 1)
        for left, chance in zip(range(cars, -1, -1), chances, strict=True):
            evening[cars, left:] += chance * capped_poisson(return_rate, capacity - left)
    return evening, rented


def capped_poisson(rate: float, cap: int) -> Float[np.ndarray, " N"]:
    """The distribution of min(X, cap) over 0, …, cap, for a Poisson number X.

        P(X = n) = rateⁿ·exp(−rate) / n!    for n < cap,    and P(X ≥ cap) for the last entry

    The tail is a regularised incomplete gamma function, so nothing is cut off and the sum is 1.
    """
    below = np.arange(cap)
    exactly = np.exp(below * np.log(rate) - rate - gammaln(below + 1))
    return np.append(exactly, gammainc(cap, rate))  # of cap = 0 this is 1


def car_counts(
    policy: Integer[np.ndarray, " S"], config: CarRental | None = None
) -> Integer[np.ndarray, "first second"]:
    """A policy as the table of figure 4.2: cars to move from first to second, by the cars at each of them."""
    config = config or CarRental()
    return (policy - config.max_moves).reshape(config.capacity + 1, config.capacity + 1)
