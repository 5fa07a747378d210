"""Samples of a model have its probabilities; numbers of observations are unique and can be undone."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Tuple
from gymnasium.utils.env_checker import check_env
from mazelm.tabular.environments import IndexObservation, TabularEnv
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.problems.random_walk import LEFT, RIGHT, random_walk

THREE = [  # state 0: on to 1 (0.2), on to 2 (0.5), the end (0.3); states 1 and 2 end at once, paying 1 and 2
    [[(0.2, 1, 0.0, False), (0.5, 2, 0.0, False), (0.3, 0, 10.0, True)]],
    [[(1.0, 1, 1.0, True)]],
    [[(1.0, 2, 2.0, True)]],
]


def test_gymnasium_s_checker_passes():
    check_env(TabularEnv(random_walk(5), start=2), skip_render_check=True)


def test_steps_have_the_model_s_probabilities():
    env = TabularEnv(TabularMDP.from_outcomes(THREE))
    counts = np.zeros(3)
    env.reset(seed=0)
    for _ in range(4000):
        env.reset()
        state, reward, terminated, truncated, _ = env.step(0)
        assert reward == 3.0  # the mean of what the action pays, 0.3·10
        assert not truncated
        counts[0 if terminated else state] += 1
    # Standard errors of the three shares: at most 0.008.
    np.testing.assert_allclose(counts / 4000, [0.3, 0.2, 0.5], atol=0.03)


def test_a_walk_to_the_right_ends_and_pays():
    env = TabularEnv(random_walk(3), start=1)
    assert env.reset(seed=1)[0] == 1
    assert env.step(RIGHT)[:4] == (2, 0.0, False, False)
    assert env.step(RIGHT)[1:4] == (1.0, True, False)
    assert env.reset()[0] == 1
    assert env.step(LEFT)[0] == 0
    assert env.step(LEFT)[1:3] == (0.0, True)


def test_sparse_models_are_sampled_too():
    taxi = TabularMDP.from_gymnasium(gym.make("Taxi-v4"))
    env = TabularEnv(taxi, start=7)
    state, _ = env.reset(seed=0)
    for action in (0, 1, 2, 3, 0):
        row = taxi.transitions[[state * taxi.n_actions + action]].toarray()[0]
        state, *_ = env.step(action)
        assert row[state] > 0


def test_the_start_may_be_drawn():
    env = TabularEnv(random_walk(3), start=np.array([0.25, 0.0, 0.75]))
    env.reset(seed=3)
    starts = np.bincount([env.reset()[0] for _ in range(2000)], minlength=3) / 2000
    np.testing.assert_allclose(starts, [0.25, 0, 0.75], atol=0.04)


def test_the_same_seed_gives_the_same_episode():
    def episode(seed):
        env = TabularEnv(random_walk(19), start=9)
        env.reset(seed=seed)
        return [env.step(a)[0] for a in (0, 1, 0, 0, 1)]

    assert episode(5) == episode(5)


def test_bad_starts_and_actions_are_refused():
    walk = random_walk(3)
    with pytest.raises(ValueError, match="start must be a state from 0 to 2, got 3"):
        TabularEnv(walk, start=3)
    with pytest.raises(ValueError, match="start must give each of 3 states a probability"):
        TabularEnv(walk, start=np.array([0.5, 0.5, 0.5]))
    env = TabularEnv(walk)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must be from 0 to 1, got 2"):
        env.step(2)


def test_blackjack_is_numbered_and_back():
    env = IndexObservation(gym.make("Blackjack-v1"))
    assert env.observation_space == Discrete(32 * 11 * 2)
    assert env.observation((13, 2, 1)) == (13 * 11 + 2) * 2 + 1
    assert all(env.observation(env.unindex(i)) == i for i in range(32 * 11 * 2))
    state, _ = env.reset(seed=0)
    assert env.observation_space.contains(state)


class Observing(gym.Env):
    """Observes whatever space it is given."""

    def __init__(self, space):
        self.observation_space, self.action_space = space, Discrete(1)


def test_other_whole_numbers_are_numbered_too():
    env = IndexObservation(Observing(MultiDiscrete([3, 4])))
    assert [env.observation(np.array(pair)) for pair in ((0, 0), (0, 3), (2, 1))] == [0, 3, 9]
    assert IndexObservation(Observing(Discrete(5))).observation(4) == 4


@pytest.mark.parametrize("space", [Box(0, 1), Discrete(3, start=1), Tuple((Discrete(2), Box(0, 1)))])
def test_what_is_no_whole_number_is_refused(space):
    with pytest.raises(ValueError, match="env must observe whole numbers counted from 0"):
        IndexObservation(Observing(space))
