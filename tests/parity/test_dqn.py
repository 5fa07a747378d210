"""Updates of DQN against stable-baselines3's on the same batches and weights, and the targets of n steps."""

from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.policy.dqn import DQNConfig, dqn_update
from mazelm.policy.networks import mlp
from mazelm.policy.replay import Batch, Replay
from mazelm.policy.rollout import Step
from mazelm.training.optim import Adam
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import NStepReplayBuffer
from stable_baselines3.common.logger import Logger
from torch import nn


def peers(seed, hidden, learning_rate, max_norm):
    """Our network, target network and optimiser, and a DQN of stable-baselines3 with the same weights in both."""
    with seeded(seed):
        ours, target = (mlp([4, *hidden, 2], activation=nn.ReLU) for _ in range(2))
        peer = DQN(
            "MlpPolicy",
            gym.make("CartPole-v1"),
            learning_rate=learning_rate,
            buffer_size=10,
            max_grad_norm=max_norm,
            policy_kwargs={"net_arch": list(hidden)},
            device="cpu",
        )
    peer.set_logger(Logger(folder=None, output_formats=[]))
    for own, theirs in ((ours, peer.q_net), (target, peer.q_net_target)):
        with torch.no_grad():
            for parameter, copied in zip(theirs.parameters(), own.parameters(), strict=True):
                parameter.copy_(copied)
    return ours, target.requires_grad_(False), Adam(ours.parameters(), learning_rate=learning_rate), peer


def batch_of(rng, n, discount):
    """A batch with large errors and small ones, and with ends of the task."""
    normal = lambda *shape: torch.tensor(rng.normal(size=shape), dtype=torch.float32)  # noqa: E731
    return Batch(
        rows=np.arange(n),
        obs=normal(n, 4),
        actions=torch.tensor(rng.integers(2, size=n)),
        rewards=normal(n) * float(rng.choice([0.1, 1.0, 20.0])),
        next_obs=normal(n, 4),
        terminated=torch.tensor(rng.random(n) < 0.3),
        discounts=torch.full((n,), discount),
        weights=None,
    )


def as_theirs(batch, *, with_discounts):
    """The same batch as their memory gives it: columns, and `dones` for the ends of the task."""
    return SimpleNamespace(
        observations=batch.obs,
        actions=batch.actions[:, None],
        next_observations=batch.next_obs,
        dones=batch.terminated.float()[:, None],
        rewards=batch.rewards[:, None],
        discounts=batch.discounts[:, None] if with_discounts else None,
    )


@settings(max_examples=15)
@given(
    seed=st.integers(0, 1000),
    hidden=st.sampled_from([(16,), (64, 64), (120, 84)]),
    n=st.sampled_from([1, 7, 32]),
    learning_rate=st.sampled_from([1e-3, 2.3e-3]),
    max_norm=st.sampled_from([0.5, 10.0]),
    with_discounts=st.booleans(),
)
def test_updates_are_those_of_stable_baselines3(seed, hidden, n, learning_rate, max_norm, with_discounts):
    ours, target, optimizer, peer = peers(seed, hidden, learning_rate, max_norm)
    config = DQNConfig(double=False, huber_delta=1.0, max_norm=max_norm)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        batch = batch_of(rng, n, peer.gamma)
        if with_discounts:
            batch = batch._replace(discounts=torch.tensor(0.9 ** rng.integers(1, 4, size=n), dtype=torch.float32))
        peer.replay_buffer = SimpleNamespace(sample=lambda *_, **__: as_theirs(batch, with_discounts=with_discounts))  # noqa: B023
        peer.train(gradient_steps=1, batch_size=n)
        update = dqn_update(ours, target, optimizer, batch, config)
        assert update.loss == pytest.approx(peer.logger.name_to_value["train/loss"], rel=1e-5, abs=1e-7)
        for own, theirs in zip(ours.parameters(), peer.q_net.parameters(), strict=True):
            torch.testing.assert_close(own, theirs, rtol=1e-4, atol=2e-6)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 5), steps=st.integers(2, 40))
def test_several_steps_in_one_are_those_of_stable_baselines3(seed, n, steps):
    """One environment, episodes of random lengths with both kinds of ending; every row of both memories.

    Theirs has as many rows as there are steps, so that it is full and no row lies on the edge of the ring but the last.
    """
    rng, discount = np.random.default_rng(seed), 0.9
    env = gym.make("CartPole-v1")
    theirs = NStepReplayBuffer(steps, env.observation_space, env.action_space, n_steps=n, gamma=discount)
    ours = Replay(steps, 4)
    for _ in range(steps):
        obs, next_obs = rng.normal(size=(2, 1, 4)).astype(np.float32)
        actions, rewards = rng.integers(2, size=1), rng.normal(size=1).astype(np.float32)
        terminated, truncated = rng.random(1) < 0.15, rng.random(1) < 0.15
        truncated &= ~terminated
        ours.add(Step(obs, actions, rewards, next_obs, terminated, truncated, np.ones(1, bool)))
        theirs.add(
            obs, next_obs, actions, rewards, terminated | truncated, [{"TimeLimit.truncated": bool(truncated[0])}]
        )
    rows = np.arange(steps)
    own = ours._batch(rows, None, discount, n)
    other = theirs._get_samples(rows)
    torch.testing.assert_close(own.rewards, other.rewards[:, 0].float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(own.next_obs, other.next_observations)
    assert own.terminated.tolist() == (other.dones[:, 0] > 0).tolist()
    goes_on = ~own.terminated  # where the task ended, nobody looks at the discount
    torch.testing.assert_close(own.discounts[goes_on], other.discounts[goes_on, 0].float())
