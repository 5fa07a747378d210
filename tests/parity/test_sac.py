"""Soft actor-critic beside torch.distributions, stable-baselines3, and the exact soft values of a maze."""

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.policy.discrete_sac import DiscreteActorCritic
from mazelm.policy.replay import Batch
from mazelm.policy.sac import SquashedActorCritic, squashed_logp
from mazelm.policy.soft import soft_value_iteration
from mazelm.policy.soft_learning import Learner, SoftConfig
from mazelm.tabular.mdp import TabularMDP
from stable_baselines3 import SAC
from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch.distributions import Independent, Normal, TanhTransform, TransformedDistribution

RATE, HIDDEN, N = 1e-3, (16, 12), 64


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.1, 3), size=st.integers(1, 4))
def test_the_density_is_that_of_torch(seed, scale, size):
    rng = np.random.default_rng(seed)
    mean, log_std, noise = torch.tensor(scale * rng.normal(size=(3, 5, size)), dtype=torch.float64)
    u = mean + log_std.exp() * noise
    # with a cache, the transform gets u back as it was; without, it takes arctanh of a rounded action
    squashed = TransformedDistribution(Independent(Normal(mean, log_std.exp()), 1), [TanhTransform(cache_size=1)])
    action = squashed.transforms[0](u)
    assert torch.allclose(squashed_logp(u, noise, log_std), squashed.log_prob(action), rtol=1e-9, atol=1e-9)


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 4))
def test_the_density_is_that_of_stable_baselines(seed, size):
    """Theirs adds 1e-6 inside the logarithm, which shows where 1 − tanh²u is small: u stays within ±3 here."""
    rng = np.random.default_rng(seed)
    u = torch.tensor(rng.uniform(-3, 3, size=(5, size)))
    mean, log_std = torch.tensor(rng.normal(size=(5, size))), torch.tensor(rng.uniform(-1, 1, size=(5, size)))
    theirs = SquashedDiagGaussianDistribution(size).proba_distribution(mean, log_std).log_prob(u.tanh(), u)
    assert torch.allclose(squashed_logp(u, (u - mean) / log_std.exp(), log_std), theirs, atol=1e-3 * size)


# One update beside stable-baselines3: the same weights, batch and noise.


def stable_baselines(temperature):
    settings = {"policy_kwargs": {"net_arch": list(HIDDEN)}, "learning_rate": RATE, "seed": 0, "device": "cpu"}
    ent_coef = "auto" if temperature is None else temperature
    agent = SAC("MlpPolicy", "Pendulum-v1", batch_size=N, tau=0.02, gamma=0.97, ent_coef=ent_coef, **settings)
    agent.set_logger(Logger(None, []))
    return agent


def linear(layers):
    return [layer for layer in layers if isinstance(layer, torch.nn.Linear)]


@torch.no_grad()
def copy_weights(agent, model):
    """Ours from theirs: one last layer with the means and log σ, two critics stacked."""
    theirs = [*linear(agent.actor.latent_pi), None]
    for own, other in zip(linear(model.actor), theirs, strict=True):
        heads = [other] if other is not None else [agent.actor.mu, agent.actor.log_std]
        own.weight.copy_(torch.cat([head.weight for head in heads]))
        own.bias.copy_(torch.cat([head.bias for head in heads]))
    for twins, pair in ((model.critics, agent.critic), (model.targets, agent.critic_target)):
        for depth, layers in enumerate(zip(linear(pair.qf0), linear(pair.qf1), strict=True)):
            twins.weights[depth].copy_(torch.stack([layer.weight.T for layer in layers]))
            twins.biases[depth].copy_(torch.stack([layer.bias for layer in layers])[:, None])


def as_batch(obs, actions, rewards, next_obs, terminated, *, discount):
    """What a replay memory would have drawn."""
    same = np.ones(len(obs), np.float32)
    columns = {"obs": obs, "actions": actions, "rewards": rewards, "next_obs": next_obs, "terminated": terminated}
    tensors = {name: torch.from_numpy(value) for name, value in columns.items()}
    weights = {"discounts": torch.from_numpy(discount * same), "weights": torch.from_numpy(same)}
    return Batch(**tensors, **weights, rows=np.arange(len(obs)))


def batch_for_both(agent, rng):
    """The same 64 steps in both forms; some end the task, which Pendulum never does."""
    obs, next_obs = rng.normal(size=(2, N, 3)).astype(np.float32)
    actions = rng.uniform(-1, 1, (N, 1)).astype(np.float32)
    rewards, terminated = rng.normal(size=N).astype(np.float32), rng.random(N) < 0.3

    class Memory:
        def sample(self, batch_size, env=None):
            columns = (obs, actions, next_obs, terminated[:, None].astype(np.float32), rewards[:, None])
            return ReplayBufferSamples(*map(torch.from_numpy, columns))

    agent.replay_buffer = Memory()
    return as_batch(obs, actions, rewards, next_obs, terminated, discount=0.97)


@pytest.mark.parametrize("temperature", [None, 0.3])
def test_updates_are_those_of_stable_baselines(temperature, monkeypatch):
    agent, rng = stable_baselines(temperature), np.random.default_rng(0)
    model = SquashedActorCritic(3, 1, hidden=HIDDEN)
    copy_weights(agent, model)
    config = SoftConfig(batch_size=N, learning_rate=RATE, polyak=0.02, discount=0.97, temperature=temperature)
    learner = Learner(model, config, target_entropy=-1.0)
    noises = []
    monkeypatch.setattr(Normal, "rsample", lambda self: self.mean + self.stddev * torch.from_numpy(noises.pop()))
    for seed in range(3):
        batch = batch_for_both(agent, rng)
        ours = np.random.default_rng(seed)
        noises += [ours.standard_normal((N, 1), dtype=np.float32) for _ in range(2)]  # they begin with our second
        agent.train(gradient_steps=1, batch_size=N)
        losses = learner.update(batch, rng=np.random.default_rng(seed))
        logged = agent.logger.name_to_value
        assert losses.critic == pytest.approx(logged["train/critic_loss"], rel=1e-4)
        assert losses.actor == pytest.approx(logged["train/actor_loss"], rel=1e-4, abs=1e-5)
    expected = SquashedActorCritic(3, 1, hidden=HIDDEN)
    copy_weights(agent, expected)
    for name, value in expected.state_dict().items():
        if name != "log_temperature":
            assert torch.allclose(model.state_dict()[name], value, atol=2e-5), name
    if temperature is None:
        assert torch.allclose(model.log_temperature, agent.log_ent_coef, atol=1e-6)
        assert model.log_temperature.item() != 0
    before = SquashedActorCritic(3, 1, hidden=HIDDEN)
    copy_weights(stable_baselines(temperature), before)
    for name, value in before.state_dict().items():  # it did move, by more than the tolerance
        if name.startswith(("actor", "critics")):
            assert (model.state_dict()[name] - value).abs().max() > 1e-3


# Where discrete SAC comes to rest.


def test_it_rests_at_the_exact_soft_values():
    """A table that sees every step of the maze, again and again: Q, policy and V of soft value iteration."""
    model = TabularMDP.from_gymnasium(gym.make("mazes/Maze-v0", maze="S..\n.#.\n..G"))
    n, temperature, discount = model.n_states, 0.8, 0.9
    exact = soft_value_iteration(model, temperature=temperature, discount=discount)
    goal = model.terminations.all(axis=1)
    states, actions = np.divmod(np.flatnonzero(np.repeat(~goal, 4)), 4)
    rows = np.eye(n, dtype=np.float32)
    following = model.transitions[states, actions].argmax(axis=1)
    terminated = model.terminations[states, actions] > 0.5
    rewards = model.rewards[states, actions].astype(np.float32)
    batch = as_batch(rows[states], actions, rewards, rows[following], terminated, discount=discount)
    with seeded(0):
        table = DiscreteActorCritic(n, 4, hidden=())
    learner = Learner(table, SoftConfig(learning_rate=0.05, polyak=0.2, temperature=temperature), target_entropy=0.0)
    for step in range(1200):
        if step == 800:
            learner.actor.learning_rate = learner.critics.learning_rate = 0.005
        learner.update(batch, rng=np.random.default_rng(0))
    seen = np.unique(states)
    q = table.critics(torch.from_numpy(rows)).detach().numpy()
    policy = table.actor(torch.from_numpy(rows)).softmax(dim=1).detach().numpy()
    assert np.abs(q[:, seen] - exact.q[seen]).max() < 0.02
    assert np.abs(policy[seen] - exact.policy[seen]).max() < 0.01
