"""Blackjack by Sutton & Barto's rules (figure 5.2): the published policy, and how much of it episodes find.

The reference is worked out here from the rules alone, in exact fractions: cards are drawn with replacement, the dealer
sticks on 17 and more. Monte Carlo with exploring starts then plays Gymnasium's environment.
"""

from fractions import Fraction
from functools import cache

import gymnasium as gym
import numpy as np
import pytest
from mazelm.tabular.environments import IndexObservation
from mazelm.tabular.monte_carlo import Estimate, PredictionConfig, exploring_starts
from scipy.special import gammaln

CARDS = {card: Fraction(1, 13) for card in range(1, 10)} | {10: Fraction(4, 13)}  # an ace is 1
STICK, HIT = 0, 1
STATES = [(total, dealer, ace) for ace in (0, 1) for total in range(12, 22) for dealer in range(1, 11)]


def with_card(total, ace, card):
    """Sum and usable ace after one more card."""
    total += card
    if card == 1 and total + 10 <= 21:
        total, ace = total + 10, 1
    if total > 21 and ace:
        total, ace = total - 10, 0
    return total, ace


@cache
def dealer_ends(total, ace):
    """Probability of each final sum of the dealer; a bust is 0."""
    if total >= 17:
        return {total if total <= 21 else 0: Fraction(1)}
    ends = {}
    for card, chance in CARDS.items():
        for end, probability in dealer_ends(*with_card(total, ace, card)).items():
            ends[end] = ends.get(end, 0) + chance * probability
    return ends


@cache
def stick(total, dealer):
    ends = dealer_ends(*with_card(0, 0, dealer))
    return sum(chance * ((total > end) - (total < end)) for end, chance in ends.items())


@cache
def hit(total, dealer, ace):
    """The value of one more card and the best play after it."""
    value = Fraction(0)
    for card, chance in CARDS.items():
        after, usable = with_card(total, ace, card)
        value += chance * (-1 if after > 21 else max(stick(after, dealer), hit(after, dealer, usable)))
    return value


def gap(total, dealer, ace):
    """By how much to stick is better than to hit."""
    return float(stick(total, dealer) - hit(total, dealer, ace))


def hand(total, ace):
    """Cards with this sum. For 21 there are three: with two it would be a natural, which wins by another rule."""
    if total == 21:
        return [1, 9, 1] if ace else [10, 9, 2]
    return [1, total - 11] if ace else [10, total - 10]


def drawn(rng):
    return min(int(rng.integers(1, 14)), 10)


class DealAnywhere(gym.Wrapper):
    """Every sum from 12 to 21, every card of the dealer, with and without a usable ace: all equally likely."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        table = self.env.unwrapped
        total, dealer, ace = STATES[table.np_random.integers(len(STATES))]
        table.player = hand(total, ace)
        table.dealer = [dealer, drawn(table.np_random)]
        return table._get_obs(), {}


def least_sticking_sum(ace):
    """For each card of the dealer, the sum from which on the optimal player sticks."""
    return [min(total for total in range(12, 22) if gap(total, dealer, ace) > 0) for dealer in range(1, 11)]


def test_the_exact_policy_is_that_of_figure_5_2():
    #                                 dealer shows  A  2   3   4   5   6   7   8   9   10
    assert least_sticking_sum(ace=0) == [17, 13, 13, 12, 12, 12, 17, 17, 17, 17]
    assert least_sticking_sum(ace=1) == [19, 18, 18, 18, 18, 18, 18, 18, 19, 19]
    for state in STATES:  # above the boundary the player always sticks
        assert (gap(*state) > 0) == (state[0] >= least_sticking_sum(state[2])[state[1] - 1])


@pytest.mark.parametrize(("state", "action"), [((16, 10, 0), STICK), ((20, 1, 0), HIT), ((21, 6, 1), STICK)])
def test_the_environment_plays_by_the_rules_of_the_reference(state, action):
    total, dealer, ace = state
    env = gym.make("Blackjack-v1", sab=True).unwrapped
    env.reset(seed=0)
    rewards = []
    for _ in range(3000):
        env.player, env.dealer = hand(total, ace), [dealer, drawn(env.np_random)]
        observation, reward, ended, _, _ = env.step(action)
        rewards.append(reward if ended else float(stick(observation[0], dealer)))  # after 20, one more card gives 21
    exact = stick(total, dealer) if action == STICK else hit(total, dealer, ace)
    assert np.mean(rewards) == pytest.approx(float(exact), abs=3 * np.std(rewards) / np.sqrt(3000))


def test_exploring_starts_find_every_clear_decision(unchecked):  # without checks of shapes: a third of the time
    env = IndexObservation(DealAnywhere(gym.make("Blackjack-v1", sab=True).unwrapped))
    estimate = Estimate.blank(env.observation_space.n, 2)
    for _ in exploring_starts(env, estimate, PredictionConfig(episodes=40_000), rng=np.random.default_rng(0)):
        pass
    wrong, undecided = [], []
    for state in STATES:
        found, counts = (table[env.observation(state)] for table in estimate)
        standard_error = np.sqrt((0.9 / counts).sum())  # rewards are −1, 0 or 1: their variance is 0.9 or less
        if abs(gap(*state)) < 3 * standard_error:
            undecided.append(state)
        elif (found[STICK] > found[HIT]) != (gap(*state) > 0):
            wrong.append((state, gap(*state)))
    assert not wrong
    assert len(undecided) < 130
    policy = [estimate.values[env.observation(state)].argmax() for state in STATES]
    assert sum((action == STICK) == (gap(*state) > 0) for action, state in zip(policy, STATES, strict=True)) >= 175


def chances(total, action):
    """The chances to lose, draw and win against a ten without a usable ace, after a hit with the best play."""
    if action == STICK:
        ends = dealer_ends(*with_card(0, 0, 10))
        return np.array([float(sum(p for end, p in ends.items() if np.sign(total - end) == g)) for g in (-1, 0, 1)])
    parts = [(p, with_card(total, 0, card)[0]) for card, p in CARDS.items()]
    return sum(float(p) * (np.array([1, 0, 0]) if after > 21 else chances(after, STICK)) for p, after in parts)


def tables(chance, hands):
    """Each pair of losses and wins in so many hands, with its probability."""
    pairs = np.array([(lost, won) for lost in range(hands + 1) for won in range(hands + 1 - lost)])
    log = gammaln(hands + 1) - gammaln(np.column_stack([pairs, hands - pairs.sum(axis=1)]) + 1).sum(axis=1)
    powers = chance[0] ** pairs[:, 0] * chance[2] ** pairs[:, 1] * chance[1] ** (hands - pairs.sum(axis=1))
    mean = (pairs[:, 1] - pairs[:, 0]) / hands
    return np.exp(log) * powers, mean, (pairs.sum(axis=1) / hands - mean**2) / hands


def test_twenty_hands_show_that_one_should_stick_on_20():
    """The chance that the measured gap exceeds two of its own standard errors, exactly."""
    (p, left, left_var), (r, right, right_var) = (tables(chances(20, action), 10) for action in (STICK, HIT))
    assert (p.sum(), r.sum()) == pytest.approx((1, 1))
    seen = left[:, None] - right > 2 * np.sqrt(left_var[:, None] + right_var)
    assert float(p @ seen @ r) == pytest.approx(0.979, abs=0.002)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 8))
def test_other_seeds_leave_a_few_wrong_decisions(unchecked, seed):
    env = IndexObservation(DealAnywhere(gym.make("Blackjack-v1", sab=True).unwrapped))
    estimate = Estimate.blank(env.observation_space.n, 2)
    for _ in exploring_starts(env, estimate, PredictionConfig(episodes=50_000), rng=np.random.default_rng(seed)):
        pass
    policy = [estimate.values[env.observation(state)].argmax() for state in STATES]
    wrong = [abs(gap(*s)) for s, action in zip(STATES, policy, strict=True) if (action == STICK) != (gap(*s) > 0)]
    assert 5 <= len(wrong) <= 14
    assert max(wrong) < 0.3
