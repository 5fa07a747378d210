"""Off-policy Monte Carlo: one update by hand, whole runs against exact values, time limits, bad input."""

import gymnasium as gym
import numpy as np
import pytest
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Episode, Trajectory
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.off_policy import (
    OffPolicyConfig,
    greedy_weighted_update,
    off_policy_control,
    off_policy_prediction,
    weighted_update,
)
from mazelm.tabular.planning import exact_values, value_iteration

TARGET = np.array([[0.2, 0.8], [0.3, 0.7], [0.0, 1.0]])
COIN = np.full((3, 2), 0.5)


def corridor(doors, slip=0.0):
    """Right pays 1 and goes on, left pays 0 and ends; with chance slip the walker goes the other way."""
    rows = []
    for door in range(doors):
        last = door == doors - 1
        ways = [(0.0, door, True), (1.0, door if last else door + 1, last)]
        row = []
        for action in (0, 1):
            shares = ((1 - slip, ways[action]), (slip, ways[1 - action]))
            row.append([(share, state, reward, over) for share, (reward, state, over) in shares])
        rows.append(row)
    return TabularMDP.from_outcomes(rows)


def exact_q(mdp, policy, discount):
    return mdp.q_values(exact_values(mdp, policy, discount=discount), discount=discount)


def run(loop):
    return list(loop)


# --- one update by hand


def test_weighted_update_by_hand():
    q, weights = np.zeros((3, 2)), np.zeros((3, 2))
    path = Trajectory([0, 1, 0], [1, 1, 0], [1.0, 10.0, 100.0], 0, True)
    steps = weighted_update(q, weights, path, TARGET, COIN, discount=0.5)
    assert steps == 3
    assert q[0, 0] == pytest.approx(100)
    assert q[1, 1] == pytest.approx(10 + 0.5 * 100)
    assert q[0, 1] == pytest.approx(1 + 0.5 * 60)
    assert weights[0, 0] == 1  # the ratio of the steps after it: none
    assert weights[1, 1] == pytest.approx(0.4)  # 0.2 / 0.5
    assert weights[0, 1] == pytest.approx(0.4 * 1.4)  # and 0.7 / 0.5

    weighted_update(q, weights, Trajectory([0], [1], [5.0], 0, True), TARGET, COIN, discount=0.5)
    assert weights[0, 1] == pytest.approx(0.56 + 1)
    assert q[0, 1] == pytest.approx((0.56 * 31 + 1 * 5) / 1.56)


def test_weighted_update_stops_where_the_target_would_not_go():
    q, weights = np.full((3, 2), -7.0), np.zeros((3, 2))
    path = Trajectory([0, 2, 1], [1, 0, 1], [1.0, 2.0, 3.0], 1, True)
    assert weighted_update(q, weights, path, TARGET, COIN, discount=1.0) == 2  # the wrong action itself is learned
    assert q[1, 1] == pytest.approx(3)
    assert q[2, 0] == pytest.approx(5)
    assert q[0].tolist() == [-7, -7]
    assert weights[0].tolist() == [0, 0]


def test_greedy_update_by_hand():
    q, weights = np.zeros((3, 2)), np.zeros((3, 2))
    q[1] = [0.0, 9.0]
    q[2] = [50.0, 0.0]  # greedy: 0
    path = Trajectory([0, 2, 1, 0], [0, 1, 1, 1], [1.0, 2.0, 3.0, 4.0], 1, True)
    steps = greedy_weighted_update(q, weights, path, np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5]]), discount=1.0)
    assert steps == 3
    assert q[0, 1] == pytest.approx(4)  # greedy after the update: 4 > 0
    assert q[1, 1] == pytest.approx(7)  # greedy: 7 > 0
    assert weights[1, 1] == pytest.approx(1 / 0.1)
    assert q[2, 1] == pytest.approx(9)  # learned, not greedy: stop
    assert weights[2, 1] == pytest.approx(1 / 0.1 / 0.4)
    assert q[0, 0] == 0
    assert weights[0, 0] == 0


def test_greedy_update_learns_a_whole_greedy_episode():
    q, weights = np.zeros((3, 2)), np.zeros((3, 2))
    path = Trajectory([0, 1], [1, 1], [1.0, 1.0], 1, True)
    assert greedy_weighted_update(q, weights, path, COIN, discount=1.0) == 2
    assert (q[0, 1], q[1, 1]) == (2, 1)


# --- a time limit is not an end


@pytest.mark.parametrize(("terminated", "beyond"), [(True, 0.0), (False, 0.3 * 4 + 0.7 * 10)])
def test_a_cut_episode_begins_with_the_present_estimate(terminated, beyond):
    q, weights = np.zeros((3, 2)), np.zeros((3, 2))
    q[1] = [4.0, 10.0]
    weighted_update(q, weights, Trajectory([0], [1], [1.0], 1, terminated), TARGET, COIN, discount=0.5)
    assert q[0, 1] == pytest.approx(1 + 0.5 * beyond)
    q[0] = 0
    greedy_weighted_update(q, np.zeros((3, 2)), Trajectory([0], [1], [1.0], 1, terminated), COIN, discount=0.5)
    assert q[0, 1] == pytest.approx(1 if terminated else 1 + 0.5 * 10)


def endless():
    """One state and a step that pays 1 for ever, either action; worth 1 / (1 − γ)."""
    return TabularMDP(np.ones((1, 2, 1)), np.ones((1, 2)))


def test_prediction_under_a_time_limit():
    """Treated as an end, three steps of 1 at γ = 0.5 would be worth at most 1.75; they are worth 2."""
    env = gym.wrappers.TimeLimit(TabularEnv(endless()), 3)
    q = np.zeros((1, 2))
    config = OffPolicyConfig(episodes=400, discount=0.5)
    target, coin = np.array([[0.4, 0.6]]), np.array([[0.5, 0.5]])
    records = run(off_policy_prediction(env, q, target, coin, config, rng=np.random.default_rng(0)))
    assert q == pytest.approx(np.full((1, 2), 2.0), abs=0.02)
    assert records[0] == Episode(3.0, 3, False)


def test_control_under_a_time_limit():
    env = gym.wrappers.TimeLimit(TabularEnv(endless()), 3)
    q = np.zeros((1, 2))
    config = OffPolicyConfig(episodes=2_000, discount=0.5)
    run(off_policy_control(env, q, np.array([[0.5, 0.5]]), config, rng=np.random.default_rng(0)))
    assert q.max() == pytest.approx(2.0, abs=0.05)


# --- whole runs against exact values


def test_prediction_within_three_standard_errors():
    mdp, finals = corridor(3, slip=0.2), []
    for seed in range(50):
        q = np.zeros((3, 2))
        config = OffPolicyConfig(episodes=150, discount=0.9)
        run(off_policy_prediction(TabularEnv(mdp), q, TARGET, COIN, config, rng=np.random.default_rng(seed)))
        finals.append(q)
    error = np.std(finals, axis=0, ddof=1) / np.sqrt(50)
    off = np.abs(np.mean(finals, axis=0) - exact_q(mdp, TARGET, 0.9))
    assert (off <= 3 * error + 0.01).all()  # 0.01: a weighted mean has a bias of the order of 1/150


def test_prediction_takes_deterministic_policies():
    q = np.zeros((3, 2))
    target = np.array([1, 1, 1])
    records = run(
        off_policy_prediction(
            TabularEnv(corridor(3)), q, target, COIN, OffPolicyConfig(episodes=200), rng=np.random.default_rng(0)
        )
    )
    assert q[:, 1] == pytest.approx([3, 2, 1])
    assert q[:, 0] == pytest.approx([0, 0, 0])
    assert len(records) == 200
    assert all(record.total == record.steps - (record.total < 3) for record in records)


def test_control_finds_the_best_policy():
    mdp = corridor(4, slip=0.1)
    best = value_iteration(mdp, discount=0.9, tolerance=1e-10)
    q = np.zeros((4, 2))
    run(
        off_policy_control(
            TabularEnv(mdp),
            q,
            np.full((4, 2), 0.5),
            OffPolicyConfig(episodes=3_000, discount=0.9),
            rng=np.random.default_rng(0),
        )
    )
    assert q.argmax(axis=1).tolist() == best.policy.tolist()
    assert q.max(axis=1) == pytest.approx(best.values, rel=0.1)


def test_same_seed_same_run():
    tables = []
    for seed in (3, 3, 4):
        q = np.zeros((3, 2))
        config = OffPolicyConfig(episodes=30)
        run(
            off_policy_prediction(
                TabularEnv(corridor(3, 0.3)), q, TARGET, COIN, config, rng=np.random.default_rng(seed)
            )
        )
        tables.append(q)
    assert (tables[0] == tables[1]).all()
    assert (tables[0] != tables[2]).any()


def test_a_loop_runs_only_as_far_as_someone_iterates():
    q = np.zeros((3, 2))
    loop = off_policy_prediction(
        TabularEnv(corridor(3)), q, TARGET, COIN, OffPolicyConfig(), rng=np.random.default_rng(0)
    )
    assert (q == 0).all()
    assert isinstance(next(loop), Episode)


# --- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
        ({"discount": 1.1}, r"discount must be in \[0, 1\], got 1.1"),
        ({"discount": -0.1}, r"discount must be in \[0, 1\], got -0.1"),
    ],
)
def test_bad_config(options, message):
    with pytest.raises(ValueError, match=message):
        OffPolicyConfig(**options)


def test_control_needs_a_behaviour_that_tries_everything():
    with pytest.raises(ValueError, match=r"behaviour\[1, 0\] must be positive"):
        next(
            off_policy_control(
                TabularEnv(corridor(2)),
                np.zeros((2, 2)),
                np.array([[0.5, 0.5], [0.0, 1.0]]),
                OffPolicyConfig(),
                rng=np.random.default_rng(0),
            )
        )


def test_ratios_beyond_a_float_stop_the_run():
    q, weights = np.zeros((1, 2)), np.zeros((1, 2))
    path = Trajectory([0] * 400, [0] * 400, [0.0] * 400, 0, True)
    with pytest.raises(OverflowError, match="the ratios at state 0, action 0 have grown beyond a float"):
        weighted_update(q, weights, path, np.array([[1.0, 0.0]]), np.array([[0.01, 0.99]]), discount=1.0)
