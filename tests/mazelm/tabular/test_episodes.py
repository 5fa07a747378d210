"""Returns by hand and by definition, and policies that are followed as they say."""

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Discrete
from gymnasium.wrappers import TimeLimit
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import (
    Trajectory,
    count,
    epsilon_greedy,
    epsilon_greedy_probabilities,
    experience,
    reset_seeds,
    run_episode,
    transitions_of,
    uniforms,
    walks,
)
from mazelm.tabular.problems.random_walk import RIGHT, random_walk
from mazelm.tabular.td import TDConfig, td_prediction


def test_returns_by_hand():
    ended = Trajectory([0, 1, 2], [0, 0, 0], [1.0, 2.0, 4.0], 3, terminated=True)
    assert ended.returns(0.5) == [1 + 0.5 * (2 + 0.5 * 4), 2 + 0.5 * 4, 4]
    assert ended.returns(0.5, bootstrap=100.0) == ended.returns(0.5)  # nothing follows an end
    cut = ended._replace(terminated=False)
    assert cut.returns(0.5, bootstrap=8.0) == [
        1 + 0.5 * (2 + 0.5 * (4 + 0.5 * 8)),
        2 + 0.5 * (4 + 0.5 * 8),
        4 + 0.5 * 8,
    ]


def test_returns_by_definition():
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=12).tolist()
    got = Trajectory([0] * 12, [0] * 12, rewards, 0, terminated=True).returns(0.9)
    want = [sum(0.9 ** (k - t) * rewards[k] for k in range(t, 12)) for t in range(12)]
    np.testing.assert_allclose(got, want)


def test_uniform_numbers_are_those_of_the_generator():
    stream = uniforms(np.random.default_rng(1))
    got = [next(stream) for _ in range(3000)]
    assert got == np.random.default_rng(1).random(3000).tolist()  # however they were cut into blocks
    assert all(type(number) is float for number in got)


def test_epsilon_greedy_draws_by_its_probabilities():
    rng, row = np.random.default_rng(2), [0.0, 3.0, 3.0, 1.0]
    shares = np.bincount([epsilon_greedy(row, 0.4, rng=rng) for _ in range(8000)], minlength=4) / 8000
    want = epsilon_greedy_probabilities(np.array([row]), 0.4)[0]
    np.testing.assert_allclose(want, [0.1, 0.7, 0.1, 0.1])
    np.testing.assert_allclose(shares, want, atol=0.02)  # standard error at most 0.006
    assert {epsilon_greedy(row, 0.0, rng=rng) for _ in range(50)} == {1}


def test_an_episode_to_the_end():
    trajectory = run_episode(TabularEnv(random_walk(5), start=2), np.full(5, RIGHT), rng=np.random.default_rng(0))
    assert trajectory == ([2, 3, 4], [RIGHT] * 3, [0.0, 0.0, 1.0], 4, True)


def test_an_episode_that_a_time_limit_cuts_short_is_not_terminated():
    env = TimeLimit(TabularEnv(random_walk(5), start=2), 2)
    trajectory = run_episode(env, np.full(5, RIGHT), rng=np.random.default_rng(0))
    assert trajectory == ([2, 3], [RIGHT] * 2, [0.0, 0.0], 4, False)
    assert trajectory.returns(0.5, bootstrap=1.0) == [0.25, 0.5]


def test_a_policy_of_probabilities_is_followed():
    env = TabularEnv(random_walk(5), start=2)
    policy = np.full((5, 2), [0.2, 0.8])
    rng = np.random.default_rng(3)
    actions = [a for _ in range(800) for a in run_episode(env, policy, rng=rng).actions]
    assert np.mean(np.array(actions) == RIGHT) == pytest.approx(0.8, abs=0.03)
    never = np.full((5, 2), [0.0, 1.0])
    assert set(run_episode(env, never, rng=rng).actions) == {RIGHT}


def test_the_seed_is_given_to_the_environment():
    lake, policy = gym.make("FrozenLake-v1"), np.full(16, 2)
    first = run_episode(lake, policy, rng=np.random.default_rng(0), seed=11)
    again = run_episode(lake, policy, rng=np.random.default_rng(0), seed=11)
    assert first == again


def test_a_policy_of_another_size_is_refused():
    with pytest.raises(ValueError, match="policy must be one whole number for each of 5 states"):
        run_episode(TabularEnv(random_walk(5)), np.zeros(4, dtype=int), rng=np.random.default_rng(0))


def test_the_steps_of_a_recorded_episode():
    three = Trajectory([0, 1, 0], [1, 0, 1], [1.0, 2.0, 4.0], 2, terminated=True)
    assert list(transitions_of(three)) == [(0, 1, 1.0, 1, False), (1, 0, 2.0, 0, False), (0, 1, 4.0, 2, True)]
    assert not any(step.terminated for step in transitions_of(three._replace(terminated=False)))


def test_only_the_first_reset_is_seeded():
    assert list(reset_seeds(3, np.random.default_rng(4))) == [np.random.default_rng(4).integers(2**31), None, None]


def test_walks_are_those_of_td_prediction():
    env = TabularEnv(random_walk(5), start=2)
    policy, config = np.full((5, 2), 0.5), TDConfig(episodes=5)
    lengths = [len(list(steps)) for steps in walks(env, policy, 5, rng=np.random.default_rng(7))]
    others = td_prediction(env, policy, [0.0] * 5, config, rng=np.random.default_rng(7))
    assert lengths == [episode.steps for episode in others]


def test_a_space_that_is_not_numbered_from_zero_is_refused():
    assert count(Discrete(4)) == 4
    with pytest.raises(ValueError, match="env must have states and actions numbered from 0"):
        count(Discrete(4, start=1))


def test_experience_goes_on_from_episode_to_episode():
    env = TabularEnv(random_walk(3), start=1)
    steps = list(experience(env, np.full((3, 2), 0.5), 400, rng=np.random.default_rng(1)))
    assert len(steps) == 400
    for one, following in pairwise(steps):
        assert following.state == (1 if one.terminated else one.next_state)
    assert sum(step.terminated for step in steps) == pytest.approx(100, abs=30)  # four steps an episode
    assert {step.action for step in steps} == {0, 1}


def test_after_a_cut_the_next_episode_begins():
    env = TimeLimit(TabularEnv(random_walk(9), start=0), 3)
    steps = list(experience(env, np.full(9, RIGHT), 7, rng=np.random.default_rng(0)))
    assert [step.state for step in steps] == [0, 1, 2, 0, 1, 2, 0]
    assert [step.next_state for step in steps] == [1, 2, 3, 1, 2, 3, 1]
    assert not any(step.terminated for step in steps)


def test_experience_follows_the_policy():
    env = TabularEnv(random_walk(3), start=1)
    policy = np.array([[1.0, 0.0], [0.2, 0.8], [0.0, 1.0]])
    steps = list(experience(env, policy, 3000, rng=np.random.default_rng(1)))
    middle = [step.action for step in steps if step.state == 1]
    assert np.mean(middle) == pytest.approx(0.8, abs=4 * 0.4 / np.sqrt(len(middle)))
    assert all(step.action == step.state // 2 for step in steps if step.state != 1)
