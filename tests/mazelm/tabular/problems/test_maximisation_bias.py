"""The two states of the maximisation bias: what each action does, chance, and bad input."""

import numpy as np
import pytest
from mazelm.tabular.problems.maximisation_bias import LEFT, RIGHT, A, B, MaximisationBias


def test_right_ends_with_nothing():
    env = MaximisationBias()
    assert env.reset(seed=0)[0] == A
    assert env.step(RIGHT)[1:4] == (0.0, True, False)


def test_left_leads_to_b_whose_actions_end_the_episode():
    env = MaximisationBias(n_actions=3)
    rewards = []
    env.reset(seed=0)
    for action in range(3):
        env.reset()
        assert env.step(LEFT)[:4] == (B, 0.0, False, False)
        _, reward, terminated, truncated, _ = env.step(action)
        assert (terminated, truncated) == (True, False)
        rewards.append(reward)
    assert len(set(rewards)) == 3


@pytest.mark.usefixtures("unchecked")
def test_rewards_are_normal():
    env = MaximisationBias(mean=-0.3, spread=2.0)
    rewards = [_reward_in_b(env, seed=0 if i == 0 else None) for i in range(4000)]
    assert np.mean(rewards) == pytest.approx(-0.3, abs=3 * 2 / np.sqrt(4000))
    assert np.std(rewards) == pytest.approx(2.0, abs=0.1)


def test_a_seed_repeats_the_episodes():
    env = MaximisationBias()
    first = [_reward_in_b(env, seed=5), *(_reward_in_b(env) for _ in range(3))]
    assert first == [_reward_in_b(env, seed=5), *(_reward_in_b(env) for _ in range(3))]
    assert first != [_reward_in_b(env, seed=6), *(_reward_in_b(env) for _ in range(3))]


def test_blank_has_the_actions_of_each_state():
    assert MaximisationBias(n_actions=4).blank() == [[0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]


@pytest.mark.usefixtures("unchecked")
def test_bad_input():
    with pytest.raises(ValueError, match=r"n_actions.*1"):
        MaximisationBias(n_actions=1)
    with pytest.raises(ValueError, match=r"spread.*-1"):
        MaximisationBias(spread=-1.0)
    env = MaximisationBias()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action.*0 to 1.*A.*2"):
        env.step(2)
    env.step(LEFT)
    with pytest.raises(ValueError, match=r"action.*0 to 9.*B.*10"):
        env.step(10)


def _reward_in_b(env, seed=None):
    env.reset(seed=seed)
    env.step(LEFT)
    return env.step(0)[1]
