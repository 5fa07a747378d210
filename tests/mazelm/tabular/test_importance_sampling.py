"""Importance sampling: by hand, by definition, against every episode there is, at its limits, on bad input."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.episodes import Trajectory
from mazelm.tabular.importance_sampling import (
    clipped_ratios,
    effective_sample_size,
    normalised_weights,
    ordinary_estimate,
    per_decision_returns,
    step_log_ratios,
    trajectory_log_ratios,
    trajectory_ratios,
    trajectory_returns,
    weighted_estimate,
)
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values

TARGET = np.array([[0.8, 0.2], [0.5, 0.5], [0.0, 1.0]])
COIN = np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]])
# ratios 1.6 or 0.4 in state 0, 2 or 2/3 in state 1, 0 or 2 in state 2
WALK = Trajectory([0, 1, 0], [0, 0, 1], [1.0, 10.0, 100.0], 2, True)
SHORT = Trajectory([2], [1], [7.0], 2, True)
CUT = Trajectory([0, 1], [1, 1], [3.0, 5.0], 1, False)


def enumerate_episodes(mdp, policy, start, horizon):
    """Every path of at most so many steps, with its probability: (probability, trajectory). Cut where time is up."""
    paths = [(1.0, [start], [], [], False)]
    for _ in range(horizon):
        longer = []
        for probability, states, actions, rewards, over in paths:
            if over:
                longer.append((probability, states, actions, rewards, over))
                continue
            s = states[-1]
            for a in range(mdp.n_actions):
                chosen, pay = probability * policy[s, a], [*rewards, float(mdp.rewards[s, a])]
                for s_next in range(mdp.n_states):
                    longer.append(
                        (chosen * mdp.transitions[s, a, s_next], [*states, s_next], [*actions, a], pay, False)
                    )
                longer.append((chosen * mdp.terminations[s, a], [*states, s], [*actions, a], pay, True))
        paths = [path for path in longer if path[0] > 0]
    return [
        (p, Trajectory(states[:-1], actions, rewards, states[-1], over)) for p, states, actions, rewards, over in paths
    ]


def random_problem(seed, n_states=2, n_actions=2):
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.ones(n_states + 1), size=(n_states, n_actions))
    mdp = TabularMDP(rows[..., :-1], rng.normal(size=(n_states, n_actions)), rows[..., -1])
    target, behaviour = rng.dirichlet(np.ones(n_actions), size=(2, n_states))
    return mdp, target, behaviour


# --- by hand


def test_ratios_by_hand():
    assert np.exp(step_log_ratios(WALK, TARGET, COIN)) == pytest.approx([1.6, 2.0, 0.4], rel=1e-14)
    assert trajectory_ratios([WALK, SHORT], TARGET, COIN) == pytest.approx([1.6 * 2 * 0.4, 2.0], rel=1e-14)
    assert trajectory_log_ratios([WALK], TARGET, COIN) == pytest.approx([math.log(1.28)], rel=1e-13)


def test_per_decision_by_hand():
    by_hand = 1.6 * 1 + 0.5 * 1.6 * 2 * 10 + 0.25 * 1.6 * 2 * 0.4 * 100
    assert per_decision_returns([WALK, SHORT], TARGET, COIN, discount=0.5) == pytest.approx([by_hand, 14.0], rel=1e-14)


def test_estimates_by_hand():
    returns, ratios = np.array([10.0, -2.0, 4.0]), np.array([0.5, 3.0, 0.0])
    assert ordinary_estimate(returns, ratios) == pytest.approx((5 - 6 + 0) / 3, rel=1e-14)
    assert weighted_estimate(returns, ratios) == pytest.approx((5 - 6 + 0) / 3.5, rel=1e-14)
    assert effective_sample_size(ratios) == pytest.approx(3.5**2 / (0.25 + 9), rel=1e-14)
    assert clipped_ratios(ratios, 2.0).tolist() == [0.5, 2.0, 0.0]


def test_returns_by_hand():
    values = np.array([1000.0, 8.0, 1000.0])
    assert trajectory_returns([WALK, SHORT], discount=0.5) == pytest.approx([1 + 5 + 25, 7])
    assert trajectory_returns([CUT, WALK], discount=0.5, values=values) == pytest.approx([3 + 2.5 + 0.25 * 8, 31])


def test_a_step_that_the_target_never_takes_ends_what_counts():
    off = Trajectory([0, 2, 0], [0, 0, 0], [1.0, 1.0, 1.0], 0, True)
    assert step_log_ratios(off, TARGET, COIN)[1] == -math.inf
    assert trajectory_ratios([off], TARGET, COIN) == pytest.approx([0.0])
    assert per_decision_returns([off], TARGET, COIN, discount=1.0) == pytest.approx([1.6])  # what was paid before


# --- against every episode there is


@pytest.mark.parametrize("seed", range(5))
def test_unbiased_over_all_episodes(seed):
    """Means under the behaviour are the exact values of the target, with the values beyond the cut given."""
    mdp, target, behaviour = random_problem(seed)
    values = exact_values(mdp, target, discount=0.8)
    chances, paths = zip(*enumerate_episodes(mdp, behaviour, 0, 4), strict=True)
    b = np.array(chances)
    assert b.sum() == pytest.approx(1, rel=1e-12)
    ratios = trajectory_ratios(paths, target, behaviour)
    assert b @ ratios == pytest.approx(1, rel=1e-12)
    returns = trajectory_returns(paths, discount=0.8, values=values)
    assert b @ (ratios * returns) == pytest.approx(values[0], rel=1e-12)
    decided = per_decision_returns(paths, target, behaviour, discount=0.8, values=values)
    assert b @ decided == pytest.approx(values[0], rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_ratio_is_the_quotient_of_the_probabilities(seed):
    """The dynamics cancel: the whole probabilities of an episode, with them, have the same quotient."""
    mdp, target, behaviour = random_problem(seed)
    chances_of_target = {str(path): p for p, path in enumerate_episodes(mdp, target, 0, 3)}
    for p, path in enumerate_episodes(mdp, behaviour, 0, 3):
        (ratio,) = trajectory_ratios([path], target, behaviour)
        assert ratio == pytest.approx(chances_of_target[str(path)] / p, rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_taken_for_an_end_gives_another_answer(seed):
    mdp, target, behaviour = random_problem(seed)
    values = exact_values(mdp, target, discount=1.0)
    chances, paths = zip(*enumerate_episodes(mdp, behaviour, 0, 2), strict=True)
    ended = [path._replace(terminated=True) for path in paths]
    for taken, right in ((paths, True), (ended, False)):
        decided = per_decision_returns(taken, target, behaviour, discount=1.0, values=values)
        whole = trajectory_ratios(taken, target, behaviour) * trajectory_returns(taken, discount=1.0, values=values)
        for estimate in (np.array(chances) @ decided, np.array(chances) @ whole):
            assert bool(abs(estimate - values[0]) < 1e-10) is right


def test_a_single_step_ratio_gives_another_value():
    """The corridor of three doors: 1.4 in place of 1.952."""
    episodes = [
        Trajectory(list(range(k + (k < 3))), [1] * k + [0] * (k < 3), [1.0] * k + [0.0] * (k < 3), 0, True)
        for k in range(4)
    ]
    target, coin = np.tile([0.2, 0.8], (3, 1)), np.full((3, 2), 0.5)
    b, returns = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8]), np.arange(4.0)
    steps = [np.exp(step_log_ratios(episode, target, coin)) for episode in episodes]
    assert b @ (trajectory_ratios(episodes, target, coin) * returns) == pytest.approx(0.8 + 0.8**2 + 0.8**3, rel=1e-13)
    assert b @ ([step[0] for step in steps] * returns) == pytest.approx(1.4, rel=1e-13)


# --- at the limits, and under changes that must not matter


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_the_same_policy_has_ratio_one(rewards):
    steps = len(rewards)
    path = Trajectory([0] * steps, [1] * steps, rewards, 0, True)
    assert trajectory_ratios([path], COIN, COIN) == pytest.approx([1])
    assert per_decision_returns([path], COIN, COIN, discount=0.9) == pytest.approx(
        trajectory_returns([path], discount=0.9), abs=1e-12
    )


some_ratios = st.lists(st.floats(0, 1e6) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=10).filter(
    lambda ratios: sum(ratios) > 1e-3
)


@given(some_ratios, st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_a_weighted_estimate_is_a_mean(ratios, seed, scale):
    """It stays within the returns that count, and does not see a common factor; neither does the effective size."""
    ratios, returns = np.array(ratios), np.random.default_rng(seed).normal(size=len(ratios))
    estimate, counted = weighted_estimate(returns, ratios), returns[ratios > 0]
    assert counted.min() - 1e-9 <= estimate <= counted.max() + 1e-9
    assert weighted_estimate(returns, scale * ratios) == pytest.approx(estimate, rel=1e-9, abs=1e-9)
    assert weighted_estimate(returns + 3, ratios) == pytest.approx(estimate + 3, rel=1e-9, abs=1e-9)
    size = effective_sample_size(ratios)
    assert 1 - 1e-9 <= size <= (ratios > 0).sum() + 1e-9
    assert effective_sample_size(scale * ratios) == pytest.approx(size, rel=1e-9)


def test_one_episode_and_equal_ratios():
    assert weighted_estimate(np.array([5.0]), np.array([1e-9])) == pytest.approx(5)  # the ratio cancels
    assert effective_sample_size(np.full(7, 0.3)) == pytest.approx(7)
    assert effective_sample_size(np.array([0.0, 4.0, 0.0])) == pytest.approx(1)


def test_clipping_at_its_limits():
    ratios = np.array([0.0, 0.5, 3.0])
    assert clipped_ratios(ratios, 3.0).tolist() == ratios.tolist()
    assert clipped_ratios(ratios, math.inf).tolist() == ratios.tolist()
    low = [ordinary_estimate(np.ones(3), clipped_ratios(ratios, limit)) for limit in (0.1, 1.0, 2.0, 3.0)]
    assert all(first < second for first, second in pairwise(low))


def test_long_episodes_keep_their_proportions():
    """Products of probabilities vanish after a thousand steps; sums of logarithms do not."""
    bent = np.array([[0.4, 0.6]])
    fair = np.array([[0.5, 0.5]])
    paths = [Trajectory([0] * 5_000, [a] * k + [0] * (5_000 - k), [0.0] * 5_000, 0, True) for a, k in ((0, 0), (1, 2))]
    assert 0.4**5_000 == 0.5**5_000 == 0
    logs = trajectory_log_ratios(paths, bent, fair)
    assert logs == pytest.approx([5_000 * math.log(0.8), 4_998 * math.log(0.8) + 2 * math.log(1.2)], rel=1e-12)
    assert (trajectory_ratios(paths, bent, fair) == 0).all()
    assert normalised_weights(logs) == pytest.approx([0.8**2 / (0.8**2 + 1.2**2), 1.2**2 / (0.8**2 + 1.2**2)])


def test_normalised_weights():
    logs = np.array([0.0, -math.inf, math.log(3)])
    assert normalised_weights(logs) == pytest.approx([0.25, 0, 0.75])
    assert normalised_weights(logs + 2_000) == pytest.approx([0.25, 0, 0.75])


def test_inputs_are_left_alone():
    ratios, returns = np.array([1.0, 5.0]), np.array([2.0, 3.0])
    clipped_ratios(ratios, 2.0)
    weighted_estimate(returns, ratios)
    assert (ratios.tolist(), returns.tolist()) == ([1, 5], [2, 3])


# --- bad input


def test_an_episode_of_another_policy():
    sure = np.array([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ValueError, match=r"behaviour\[0, 1\] is 0.0, but step 2 took that action"):
        step_log_ratios(WALK, TARGET, sure)


def test_policies_of_different_shape(unchecked):
    with pytest.raises(ValueError, match=r"target must have the shape of behaviour, \(3, 2\), got \(2, 2\)"):
        step_log_ratios(WALK, TARGET[:2], COIN)


@pytest.mark.parametrize("function", [trajectory_returns, per_decision_returns])
def test_a_cut_episode_needs_values(function):
    policies = () if function is trajectory_returns else (TARGET, COIN)
    with pytest.raises(ValueError, match=r"values must be given: a time limit cut .* at state 1"):
        function([WALK, CUT], *policies, discount=1.0)


def test_ratios_that_overflow():
    rare, sure = np.array([[0.01, 0.99]]), np.array([[1.0, 0.0]])
    path = Trajectory([0] * 400, [0] * 400, [0.0] * 400, 0, True)
    for call in (
        lambda: trajectory_ratios([path], sure, rare),
        lambda: per_decision_returns([path], sure, rare, discount=1.0),
    ):
        with pytest.raises(ValueError, match=r"ratio of e\*\*1842, too large for a float"):
            call()
    assert trajectory_log_ratios([path], sure, rare) == pytest.approx([400 * math.log(100)])


def test_nothing_left_to_weigh():
    zeros = np.zeros(3)
    for call in (lambda: weighted_estimate(zeros, zeros), lambda: effective_sample_size(zeros)):
        with pytest.raises(ValueError, match=r"ratios are zero for all 3 episodes"):
            call()
    with pytest.raises(ValueError, match=r"log_ratios are −inf for all 2 episodes"):
        normalised_weights(np.full(2, -math.inf))
    assert ordinary_estimate(np.ones(3), zeros) == 0


@pytest.mark.parametrize("function", [ordinary_estimate, weighted_estimate])
def test_bad_arrays(unchecked, function):
    with pytest.raises(ValueError, match=r"one entry per episode, got 2 and 3"):
        function(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match=r"one entry per episode, got 0 and 0"):
        function(np.ones(0), np.ones(0))
    for bad in (-0.5, math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"ratios must be finite and never negative, got {bad}"):
            function(np.ones(2), np.array([1.0, bad]))


@pytest.mark.parametrize("limit", [0, -1.0, math.nan])
def test_bad_limit(unchecked, limit):
    with pytest.raises(ValueError, match=r"limit must be above 0, got "):
        clipped_ratios(np.ones(2), limit)
