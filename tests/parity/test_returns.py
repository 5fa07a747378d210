"""Returns and advantages against slow definitions, and against the rollout buffer of stable-baselines3."""

import numpy as np
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from mazelm.policy.returns import discounted_returns, gae, lambda_returns, n_step_returns
from rollouts import cases, decays, discounts, everywhere, random_rollout, slow_gae, slow_lambda, slow_n_step
from stable_baselines3.common.buffers import RolloutBuffer


@given(case=cases, discount=discounts, n=st.integers(1, 11))
def test_n_step_returns_are_the_definition(case, discount, n):
    slow = everywhere(slow_n_step, case.ends, n=n, discount=discount)
    assert torch.allclose(n_step_returns(*case.ends, discount=discount, n=n), slow)


@given(case=cases, discount=discounts)
def test_discounted_returns_are_the_definition(case, discount):
    slow = everywhere(slow_n_step, case.ends, n=10**6, discount=discount)
    assert torch.allclose(discounted_returns(*case.ends, discount=discount), slow)


@given(case=cases, discount=discounts, decay=decays)
def test_lambda_returns_are_the_definition(case, discount, decay):
    slow = everywhere(slow_lambda, case.ends, discount=discount, decay=decay)
    assert torch.allclose(lambda_returns(*case.ends, discount=discount, trace_decay=decay), slow)


@given(case=cases, discount=discounts, decay=decays)
def test_gae_is_the_definition(case, discount, decay):
    slow = everywhere(slow_gae, case, discount=discount, decay=decay)
    assert torch.allclose(gae(*case.for_gae, discount=discount, gae_lambda=decay), slow)


def peer(case, *, discount, decay):
    """Advantages and returns of stable-baselines3.

    It has one flag for both kinds of ending. A step that was cut off gets γ·V of what it reached added to its reward,
    as its `collect_rollouts` does.
    """
    rewards, next_values, terminated, truncated = (x.numpy() for x in case.ends)
    over = terminated | truncated
    cut = truncated & ~terminated
    n_steps, n_envs = rewards.shape
    buffer = RolloutBuffer(
        n_steps, spaces.Discrete(1), spaces.Discrete(1), "cpu", gae_lambda=decay, gamma=discount, n_envs=n_envs
    )
    begins = np.ones(n_envs, dtype=bool)
    nothing = np.zeros((n_envs, 1))
    for t in range(n_steps):
        folded = rewards[t] + discount * next_values[t] * cut[t]
        buffer.add(nothing, nothing, folded, begins, case.values[t], torch.zeros(n_envs))
        begins = over[t]
    buffer.compute_returns_and_advantage(case.ends.next_values[-1], over[-1])
    return torch.from_numpy(buffer.advantages), torch.from_numpy(buffer.returns)


@given(
    seed=st.integers(0, 10**6),
    n_steps=st.integers(1, 40),
    n_envs=st.integers(1, 5),
    ending=st.sampled_from([0.0, 0.05, 0.3]),
    discount=discounts,
    decay=decays,
)
def test_gae_and_lambda_returns_are_those_of_stable_baselines3(seed, n_steps, n_envs, ending, discount, decay):
    case = random_rollout(seed, n_steps, n_envs, ending=ending, dtype=torch.float32)
    advantages, returns = peer(case, discount=discount, decay=decay)
    ours = gae(*case.for_gae, discount=discount, gae_lambda=decay)
    assert torch.allclose(ours, advantages, rtol=1e-4, atol=1e-4)
    assert torch.allclose(
        lambda_returns(*case.ends, discount=discount, trace_decay=decay), returns, rtol=1e-4, atol=1e-4
    )


def test_the_peer_would_notice_a_cut_that_is_taken_for_an_end():
    """Without the folded reward the peer's numbers are others: the comparison above is no empty one."""
    case = random_rollout(1, 30, 3, ending=0.2, dtype=torch.float32)
    advantages, _ = peer(case, discount=0.99, decay=0.95)
    rewards, values, next_values, terminated, truncated = case.for_gae
    wrong = gae(rewards, values, next_values, terminated | truncated, truncated & False, discount=0.99, gae_lambda=0.95)
    assert (wrong - advantages).abs().max() > 0.1
