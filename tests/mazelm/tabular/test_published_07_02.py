"""Published figures of off-policy Monte Carlo, reproduced: Sutton & Barto (2018), examples 5.4 and 5.5.

Example 5.4: blackjack, the dealer shows a deuce, the player holds 13 with a usable ace; the target policy sticks on 20
and 21, the behaviour policy is a coin. The value −0.27726 is the mean of 100 million games of the target policy.
"""

from functools import cache

import gymnasium as gym
import numpy as np
import pytest
from mazelm.tabular.environments import IndexObservation
from mazelm.tabular.episodes import run_episode
from mazelm.tabular.importance_sampling import (
    effective_sample_size,
    ordinary_estimate,
    per_decision_returns,
    trajectory_ratios,
    weighted_estimate,
)
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values

PUBLISHED = -0.27726
CARDS = [*range(1, 10), 10, 10, 10, 10]  # ten, jack, queen and king count ten


@cache
def dealer_ends(total, soft):
    """Probabilities of the dealer's final sum, 17 to 21, and of going beyond, as a tuple of six."""
    if total > 21 and soft:
        total, soft = total - 10, False
    if total >= 17:
        return tuple(float(i == min(total, 22) - 17) for i in range(6))
    ends = np.zeros(6)
    for card in CARDS:
        ace = card == 1 and not soft and total + 11 <= 21
        ends += np.array(dealer_ends(total + (11 if ace else card), soft or ace)) / 13
    return tuple(ends)


def stick_reward(total):
    ends = np.array(dealer_ends(2, False))
    outcome = np.array([np.sign(total - final) for final in range(17, 22)] + [1.0])
    return float(ends @ outcome)


def blackjack_hand():
    """The player's part of the game against a deuce, as a decision process: states (sum, usable ace), stick or hit."""
    states = [(total, soft) for soft in (False, True) for total in range(4, 22)]
    index = {state: i for i, state in enumerate(states)}
    outcomes = []
    for total, soft in states:
        hit = []
        for card in CARDS:
            ace = card == 1 and not soft and total + 11 <= 21
            reached, still_soft = total + (11 if ace else card), soft or ace
            if reached > 21 and still_soft:
                reached, still_soft = reached - 10, False
            over = reached > 21
            hit.append((1 / 13, 0 if over else index[reached, still_soft], -1.0 if over else 0.0, over))
        outcomes.append([[(1.0, 0, stick_reward(total), True)], hit])
    policy = np.array([0 if total >= 20 else 1 for total, _ in states])
    return TabularMDP.from_outcomes(outcomes), policy, index[13, True]


class SameHand(gym.Wrapper):
    """Gymnasium's blackjack, always from the hand of the example."""

    def reset(self, *, seed=None, options=None):
        _, info = self.env.reset(seed=seed)
        game = self.env.unwrapped
        game.player, game.dealer = [1, 2], [2, game.dealer[1]]
        return (13, 2, 1), info


@pytest.fixture(scope="module")
def games():
    """8,000 games of the coin in Gymnasium, with the ratios of the target policy."""
    env, rng = IndexObservation(SameHand(gym.make("Blackjack-v1"))), np.random.default_rng(0)
    total = np.array([env.unindex(s)[0] for s in range(env.observation_space.n)])
    target = np.eye(2)[(total < 20).astype(int)]
    coin = np.full(target.shape, 0.5)
    paths = [run_episode(env, coin, rng=rng, seed=0 if i == 0 else None) for i in range(8_000)]
    env.close()
    return paths, target, coin


def exact_value():
    mdp, policy, start = blackjack_hand()
    return float(exact_values(mdp, policy, discount=1.0)[start])


def test_value_of_the_hand_agrees_with_the_published_one():
    """A linear solve; 100 million games leave a standard error of 1e-4."""
    assert exact_value() == pytest.approx(-0.277204, abs=5e-7)
    assert exact_value() == pytest.approx(PUBLISHED, abs=2e-4)


def test_estimates_from_games_of_the_coin(games):
    """Variances 10.16 and 9.58 of one game, computed in the lesson: three standard errors."""
    paths, target, coin = games
    ratios = trajectory_ratios(paths, target, coin)
    returns = np.array([sum(path.rewards) for path in paths])
    assert ordinary_estimate(returns, ratios) == pytest.approx(exact_value(), abs=3 * (10.16 / len(paths)) ** 0.5)
    assert weighted_estimate(returns, ratios) == pytest.approx(exact_value(), abs=3 * (9.58 / len(paths)) ** 0.5)
    decided = per_decision_returns(paths, target, coin, discount=1.0)
    assert decided == pytest.approx(ratios * returns)  # the only reward of a game comes last
    assert (ratios > 0).mean() == pytest.approx(0.1415, abs=0.01)
    assert effective_sample_size(ratios) / len(paths) == pytest.approx(1 / 10.79, rel=0.15)


def test_a_record_alone_tells_its_standard_error(games):
    """The estimates of records of 1,000 games lie within two of their own standard errors in about 93 % of cases."""
    paths, target, coin = games
    ratios = trajectory_ratios(paths, target, coin)
    returns = np.array([sum(path.rewards) for path in paths])
    truth, rng, close = weighted_estimate(returns, ratios), np.random.default_rng(0), 0
    for _ in range(1_000):
        record = rng.integers(len(paths), size=1_000)
        off = returns[record] - weighted_estimate(returns[record], ratios[record])
        error = np.sqrt((ratios[record] ** 2 * off**2).sum()) / ratios[record].sum()
        close += abs(weighted_estimate(returns[record], ratios[record]) - truth) < 2 * error
    assert 900 < close < 970


def test_error_curves_of_figure_5_3(games):
    """Both mean squared errors fall, and the weighted one is far lower in the first games."""
    paths, target, coin = games
    ratios = trajectory_ratios(paths, target, coin).reshape(100, 80)
    products = (ratios * np.array([sum(path.rewards) for path in paths]).reshape(100, 80)).cumsum(axis=1)
    weights = ratios.cumsum(axis=1)
    weighted = np.divide(products, weights, out=np.zeros_like(products), where=weights > 0)
    ordinary_error = ((products / np.arange(1, 81) - exact_value()) ** 2).mean(axis=0)
    weighted_error = ((weighted - exact_value()) ** 2).mean(axis=0)
    assert weighted_error.max() < 1
    assert ordinary_error[:10].max() > 2
    assert weighted_error[:10].mean() < ordinary_error[:10].mean() / 2
    assert ordinary_error[-1] == pytest.approx(10.16 / 80, rel=0.5)
    assert weighted_error[-1] < 0.25


def one_state():
    """Example 5.5: right ends and pays 0; left goes on with 0.9, ends and pays 1 with 0.1."""
    return TabularMDP.from_outcomes([[[(0.9, 0, 0.0, False), (0.1, 0, 1.0, True)], [(1.0, 0, 0.0, True)]]])


def test_value_of_the_infinite_variance_example_is_one():
    assert exact_values(one_state(), np.array([0]), discount=1.0) == pytest.approx([1])


def test_second_moment_grows_without_bound():
    """Σ over episodes of T steps to the left of b·(ρ·G)²: each ten steps multiply the rest by 1.8¹⁰."""
    moments, means = [], []
    for longest in (10, 20, 30, 40):
        steps = np.arange(1, longest + 1)
        chance = (0.5 * 0.9) ** (steps - 1) * 0.5 * 0.1
        moments.append(float((chance * (2.0**steps) ** 2).sum()))
        means.append(float((chance * 2.0**steps).sum()))
        assert moments[-1] == pytest.approx(0.2 * (1.8**longest - 1) / 0.8)
    assert means[-1] == pytest.approx(1 - 0.9**40)
    assert moments[3] / moments[2] == pytest.approx(1.8**10, rel=1e-3)


def test_ten_runs_of_figure_5_4():
    """The ordinary estimates do not agree after 100,000 episodes; the weighted ones are exactly 1."""
    rng, ends = np.random.default_rng(0), []
    for _ in range(10):
        steps = rng.geometric(0.55, size=100_000)
        paid = rng.random(100_000) < 1 / 11
        ratios, returns = np.where(paid, 2.0**steps, 0.0), paid.astype(float)
        ends.append(ordinary_estimate(returns, ratios))
        assert weighted_estimate(returns, ratios) == 1
    assert max(ends) - min(ends) > 0.3
    assert sum(abs(end - 1) > 0.05 for end in ends) >= 5
