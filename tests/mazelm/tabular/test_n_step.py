"""n-step returns: by hand, by slow definitions, at both ends of the family, at a time limit, and on bad input."""

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Episode, Trajectory, Transition, run_episode, transitions_of
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.n_step import (
    NStepConfig,
    NStepSarsaConfig,
    learn_n_step,
    n_step_prediction,
    n_step_return,
    n_step_sarsa,
    n_step_sarsa_update,
    n_step_update,
)
from mazelm.tabular.planning import exact_values
from mazelm.tabular.problems.random_walk import random_walk, random_walk_values
from mazelm.tabular.td import TDConfig, TDControlConfig, sarsa, td_prediction, zeros

# Rewards 1, 2, 4; at γ = 1/2 the returns are 1 + 1 + 1 = 3, 2 + 2 = 4 and 4.
THREE = Trajectory(states=[0, 1, 0], actions=[1, 0, 1], rewards=[1.0, 2.0, 4.0], last_state=2, terminated=True)
CUT = THREE._replace(terminated=False)
GUESSES = [8.0, 16.0, 32.0]

trajectories = st.builds(
    lambda steps, last, terminated: Trajectory(*map(list, zip(*steps, strict=True)), last, terminated),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-5, 5).map(float)), min_size=1, max_size=9),
    st.integers(0, 2),
    st.booleans(),
)
tables = st.lists(st.integers(-9, 9).map(float), min_size=3, max_size=3)
discounts = st.sampled_from([0.0, 0.5, 0.9, 1.0])


def slow_n_step_return(trajectory, t, values, n, discount):
    """Reward by reward; then the guess of where the walk stands, unless the task is over."""
    places = [*trajectory.states, trajectory.last_state]
    total, k = 0.0, 0
    while k < n and t + k < len(trajectory.rewards):
        total += discount**k * trajectory.rewards[t + k]
        k += 1
    over = t + k == len(trajectory.rewards) and trajectory.terminated
    return total if over else total + discount**k * values[places[t + k]]


def slow_learning(values, trajectory, n, step_size, discount):
    """The published loop: a clock that runs n − 1 ticks beyond the last step (for a cut episode likewise)."""
    values, last = list(values), len(trajectory.rewards)
    for clock in range(last + n - 1):
        t = clock - n + 1
        if 0 <= t < last:
            target = slow_n_step_return(trajectory, t, values, n, discount)
            values[trajectory.states[t]] += step_size * (target - values[trajectory.states[t]])
    return values


def endless(reward=1.0):
    """One state, which pays `reward` at every step and never ends: its value is reward / (1 − γ)."""
    return TabularMDP(np.ones((1, 1, 1)), np.array([[reward]]))


def two_ways():
    """From state 0 one action ends the task and pays 1; the other goes on for ever and pays 1 each time."""
    return TabularMDP.from_outcomes([[[(1.0, 0, 1.0, True)], [(1.0, 0, 1.0, False)]]])


# --- by hand


def test_n_step_returns_by_hand():
    def of(trajectory, t, n):
        return n_step_return(trajectory, t, GUESSES, n=n, discount=0.5)

    assert [of(THREE, 0, n) for n in (1, 2, 3, 9)] == [1 + 16 / 2, 1 + 1 + 8 / 4, 3.0, 3.0]
    assert [of(THREE, t, 1) for t in range(3)] == [9.0, 2 + 8 / 2, 4.0]
    assert [of(CUT, 0, n) for n in (1, 2, 3, 9)] == [9.0, 4.0, 3 + 32 / 8, 3 + 32 / 8]
    assert [of(CUT, 2, n) for n in (1, 2)] == [4 + 32 / 2] * 2


def test_two_step_learning_by_hand():
    """V(0) waits for two rewards; at the end the last two states follow, the later one with its one reward."""
    values = list(GUESSES)
    episode = learn_n_step(values, transitions_of(THREE), NStepConfig(n=2, step_size=0.5, discount=0.5))
    first = 8 + 0.5 * (1 + 1 + 8 / 4 - 8)  # V(0) from 8 to 6, when step 1 has been seen
    second = 16 + 0.5 * (2 + 2 - 16)  # V(1)
    assert values == [first + 0.5 * (4 - first), second, 32.0] == [5.0, 10.0, 32.0]
    assert episode == Episode(7.0, 3, True)


def test_updates_by_hand():
    values, q = [8.0, 16.0, 32.0], [[8.0, 1.0], [16.0, 2.0], [32.0, 64.0]]
    steps = [Transition(0, 1, 1.0, 1, False), Transition(1, 0, 2.0, 2, False)]
    assert n_step_update(values, steps, step_size=0.25, discount=0.5) == 1 + 1 + 32 / 4 - 8
    assert values == [8.5, 16.0, 32.0]
    assert n_step_sarsa_update(q, steps, 1, step_size=0.25, discount=0.5) == 1 + 1 + 64 / 4 - 1
    assert q == [[8.0, 5.25], [16.0, 2.0], [32.0, 64.0]]
    ended = [steps[0], steps[1]._replace(terminated=True)]
    assert n_step_update(values, ended, step_size=0.25, discount=0.5) == 2 - 8.5
    assert n_step_sarsa_update(q, ended, 1, step_size=0.25, discount=0.5) == 2 - 5.25


# --- by definition


@given(trajectories, tables, st.integers(1, 12), discounts)
def test_eq_n_step_return(trajectory, values, n, discount):
    for t in range(len(trajectory.rewards)):
        slow = slow_n_step_return(trajectory, t, values, n, discount)
        assert n_step_return(trajectory, t, values, n=n, discount=discount) == pytest.approx(slow, abs=1e-9)
        fast = n_step_return(trajectory, t, np.array(values), n=n, discount=discount)
        assert fast == pytest.approx(slow, abs=1e-9)


@given(trajectories, tables, st.integers(1, 12), discounts)
def test_eq_n_step_update(trajectory, values, n, discount):
    learned = list(values)
    config = NStepConfig(n=n, step_size=0.25, discount=discount)
    episode = learn_n_step(learned, transitions_of(trajectory), config)
    assert learned == pytest.approx(slow_learning(values, trajectory, n, 0.25, discount), abs=1e-9)
    assert episode == (sum(trajectory.rewards), len(trajectory.rewards), trajectory.terminated)


@given(trajectories, discounts)
def test_many_steps_are_the_whole_return(trajectory, discount):
    values = [1.0, 2.0, 3.0]
    whole = trajectory.returns(discount, bootstrap=values[trajectory.last_state])
    many = [n_step_return(trajectory, t, values, n=99, discount=discount) for t in range(len(whole))]
    assert many == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("discount", [0.5, 0.9])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_true_values_stay_where_they_are(n, discount):
    """On a model without chance the n-step return of the true values is the true value."""
    ring = TabularMDP(np.eye(3)[[1, 2, 0]][:, None, :], np.array([[1.0], [2.0], [4.0]]))
    truth = exact_values(ring, np.zeros(3, dtype=int), discount=discount)
    lap = Trajectory([0, 1, 2] * 2, [0] * 6, [1.0, 2.0, 4.0] * 2, 0, False)
    for t in range(6):
        assert n_step_return(lap, t, truth, n=n, discount=discount) == pytest.approx(truth[t % 3], rel=1e-12)


# --- both ends of the family, to the last bit, with the same random numbers


def test_one_step_is_td_and_sarsa():
    env, fair = TabularEnv(random_walk(5), start=2), np.full((5, 2), 0.5)
    one, plain = [0.5] * 5, [0.5] * 5
    records = n_step_prediction(env, fair, one, NStepConfig(n=1, episodes=50), rng=np.random.default_rng(0))
    others = td_prediction(env, fair, plain, TDConfig(episodes=50), rng=np.random.default_rng(0))
    assert list(records) == list(others)
    assert one == pytest.approx(plain, abs=1e-12)

    env = gym.make("mazes/Maze-v0", slip=0.2, max_episode_steps=30)
    one, plain = zeros(25, 4), zeros(25, 4)
    list(n_step_sarsa(env, one, NStepSarsaConfig(n=1, episodes=50), rng=np.random.default_rng(0)))
    list(sarsa(env, plain, TDControlConfig(episodes=50), rng=np.random.default_rng(0)))
    assert one == [pytest.approx(row, abs=1e-12) for row in plain]


def test_n_beyond_the_end_is_monte_carlo():
    """Every state moves toward its return once for each visit, in the order of the visits, at the end."""
    env, fair = TabularEnv(random_walk(5), start=2), np.full((5, 2), 0.5)
    for seed in range(20):
        trajectory = run_episode(env, fair, rng=np.random.default_rng(seed), seed=seed)
        values, expected = [0.5] * 5, [0.5] * 5
        learn_n_step(values, transitions_of(trajectory), NStepConfig(n=10_000, step_size=0.2, discount=0.9))
        for state, following in zip(trajectory.states, trajectory.returns(0.9), strict=True):
            expected[state] += 0.2 * (following - expected[state])
        assert values == pytest.approx(expected, abs=1e-12)


# --- a time limit is not an end


@pytest.mark.parametrize("n", [1, 2, 3, 5, 50])
def test_prediction_goes_on_beyond_a_time_limit(n):
    """The task never ends and is worth 1 / (1 − 1/2) = 2; who takes the clock for the end learns less than 2."""
    values = [0.0]
    env = TimeLimit(TabularEnv(endless()), max_episode_steps=5)
    config = NStepConfig(n=n, episodes=400, step_size=0.2, discount=0.5)
    records = list(n_step_prediction(env, np.array([0]), values, config, rng=np.random.default_rng(0)))
    assert values == [pytest.approx(2.0, abs=1e-6)]
    assert {record.terminated for record in records} == {False}


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_control_goes_on_beyond_a_time_limit(n):
    """To go on is worth more than to end; who takes the clock for the end finds both worth about the same."""
    q = zeros(1, 2)
    env = TimeLimit(TabularEnv(two_ways()), max_episode_steps=5)
    config = NStepSarsaConfig(n=n, episodes=500, step_size=0.1, discount=0.5, epsilon=0.0)
    q[0][1] = 0.1  # greedy: it goes on
    list(n_step_sarsa(env, q, config, rng=np.random.default_rng(0)))
    assert q[0] == [0.0, pytest.approx(2.0, abs=1e-6)]


def test_ended_and_cut_differ():
    ended, cut = list(GUESSES), list(GUESSES)
    config = NStepConfig(n=2, step_size=1.0, discount=0.5)
    learn_n_step(ended, transitions_of(THREE), config)
    learn_n_step(cut, transitions_of(CUT), config)
    assert ended == [4.0, 4.0, 32.0]
    assert cut == [4 + 32 / 2, 2 + 2 + 32 / 4, 32.0]


# --- learning


@pytest.mark.parametrize("n", [1, 3, 16])
def test_the_walk_is_estimated_without_bias(unchecked, n):
    """Means over 50 seeds, in the end with a small step: within three standard errors of the exact values.

    A constant step size leaves a bias of its order where states are visited again: with 0.1 alone this test fails.
    """
    env, fair, truth = TabularEnv(random_walk(3), start=1), np.full((3, 2), 0.5), random_walk_values(3)
    ends = []
    for seed in range(50):
        values, rng = [0.5] * 3, np.random.default_rng(seed)
        for episodes, step_size in ((60, 0.1), (200, 0.02)):
            config = NStepConfig(n=n, episodes=episodes, step_size=step_size, discount=1.0)
            list(n_step_prediction(env, fair, values, config, rng=rng))
        ends.append(values)
    error = np.std(ends, axis=0, ddof=1) / np.sqrt(50)
    assert (np.abs(np.mean(ends, axis=0) - truth) < 3 * error).all()


@pytest.mark.parametrize("limit", [3, 5, 100])
@pytest.mark.parametrize("n", [1, 2, 4, 50])
def test_sarsa_with_one_action_is_prediction(n, limit):
    """Where nothing is to be chosen, Q is V: also in the last n steps, and at a time limit."""
    row = [[[(1.0, s + 1, 2.0**s, False)]] for s in range(3)] + [[[(0.5, 0, 8.0, False), (0.5, 3, 8.0, True)]]]
    env = TimeLimit(TabularEnv(TabularMDP.from_outcomes(row)), max_episode_steps=limit)
    q, values, settings = zeros(4, 1), [0.0] * 4, {"n": n, "episodes": 20, "step_size": 0.3, "discount": 0.9}
    records = list(n_step_sarsa(env, q, NStepSarsaConfig(**settings), rng=np.random.default_rng(2)))
    only = np.zeros(4, dtype=int)
    assert records == list(n_step_prediction(env, only, values, NStepConfig(**settings), rng=np.random.default_rng(2)))
    assert [entry for (entry,) in q] == pytest.approx(values, abs=1e-12)


def test_sarsa_finds_the_way(unchecked):
    env = gym.make("mazes/Maze-v0", max_episode_steps=200)
    q = zeros(25, 4)
    records = list(n_step_sarsa(env, q, NStepSarsaConfig(n=4, episodes=400), rng=np.random.default_rng(1)))
    assert np.mean([record.steps for record in records[-50:]]) < 20 < records[0].steps  # the shortest way takes 8
    assert all(record.terminated for record in records[-50:])


def test_a_run_repeats():
    env = gym.make("mazes/Maze-v0", slip=0.2, max_episode_steps=50)
    runs = []
    for _ in range(2):
        q = zeros(25, 4)
        list(n_step_sarsa(env, q, NStepSarsaConfig(episodes=20), rng=np.random.default_rng(3)))
        runs.append(q)
    assert runs[0] == runs[1]


# --- bad input


@pytest.mark.parametrize("config", [NStepConfig, NStepSarsaConfig])
def test_bad_settings(config):
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        config(n=0)
    with pytest.raises(ValueError, match=r"step_size must be in \(0, 1\], got 0"):
        config(step_size=0.0)
    with pytest.raises(ValueError, match=r"discount must be in \[0, 1\], got 1.5"):
        config(discount=1.5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        n_step_return(THREE, 0, GUESSES, n=0, discount=1.0)
    for t in (-1, 3):
        with pytest.raises(ValueError, match=f"t must be a step from 0 to 2, got {t}"):
            n_step_return(THREE, t, GUESSES, n=1, discount=1.0)
    with pytest.raises(ValueError, match="row of its own"):
        next(n_step_sarsa(TabularEnv(random_walk(5)), [[0.0] * 2] * 5, NStepSarsaConfig(), rng=np.random.default_rng()))
