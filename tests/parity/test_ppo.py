"""PPO beside a slow reference written from the paper, and beside stable-baselines3 on the same rollout and weights."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.policy.networks import ActorCritic, ArrayForward
from mazelm.policy.ppo import Batch, PPOConfig, as_batch, improve, ppo_losses
from mazelm.policy.rollout import Collector, collect
from mazelm.training.optim import Adam
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import configure


def reference_loss(layers, batch, config):
    """Equation 9 of the paper with the sign turned, sample by sample, in plain numbers.

    layers: for the actor and for the critic a list of (weight, bias), with tanh between them.
    """

    def forward(network, row):
        for i, (weight, bias) in enumerate(network):
            row = [
                sum(w * x for w, x in zip(weights, row, strict=True)) + b
                for weights, b in zip(weight, bias, strict=True)
            ]
            row = [math.tanh(x) for x in row] if i < len(network) - 1 else row
        return row

    obs, actions, logp_old, values_old, advantages, returns = (column.tolist() for column in batch)
    n = len(obs)
    if config.normalise_advantages:
        mean = sum(advantages) / n
        deviation = math.sqrt(sum((a - mean) ** 2 for a in advantages) / (n - 1))
        advantages = [(a - mean) / (deviation + 1e-8) for a in advantages]
    total = 0.0
    for i in range(n):
        weights = [math.exp(z) for z in forward(layers[0], obs[i])]
        policy = [weight / sum(weights) for weight in weights]
        ratio = policy[actions[i]] / math.exp(logp_old[i])
        held = max(min(ratio, 1 + config.clip_epsilon), 1 - config.clip_epsilon)
        value = forward(layers[1], obs[i])[0]
        errors = [(value - returns[i]) ** 2]
        if config.value_clip is not None:
            near = values_old[i] + max(min(value - values_old[i], config.value_clip), -config.value_clip)
            errors.append((near - returns[i]) ** 2)
        total -= min(ratio * advantages[i], held * advantages[i]) / n
        total += config.value_coef * max(errors) / n
        total -= config.entropy_coef * sum(-p * math.log(p) for p in policy) / n
    return total


def random_case(seed, n, n_features=2, n_actions=3):
    """A small network in double precision, and a batch whose ratios lie on both sides of both limits."""
    rng = np.random.default_rng(seed)
    with seeded(seed):
        model = ActorCritic(n_features, n_actions, hidden=(3,)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.from_numpy(rng.normal(size=parameter.shape)) * 0.5
    obs = torch.from_numpy(rng.normal(size=(n, n_features)))
    actions = torch.from_numpy(rng.integers(n_actions, size=n))
    with torch.no_grad():
        logp = model(obs)[0].log_softmax(dim=1)[torch.arange(n), actions]
        values_old = model(obs)[1] + torch.from_numpy(rng.normal(size=n))
    logp_old = logp - torch.from_numpy(rng.normal(size=n)) * 0.4
    advantages, returns = (torch.from_numpy(rng.normal(size=n)) for _ in range(2))
    return model, Batch(obs, actions, logp_old, values_old, advantages, returns)


def plain(model):
    """The weights of both networks as lists."""
    networks = [[layer for layer in part if isinstance(layer, torch.nn.Linear)] for part in (model.actor, model.critic)]
    return [[(layer.weight.tolist(), layer.bias.tolist()) for layer in network] for network in networks]


configs = st.builds(
    PPOConfig,
    clip_epsilon=st.sampled_from([0.1, 0.2, math.inf]),
    value_clip=st.sampled_from([None, 0.2, 1.0]),
    value_coef=st.sampled_from([0.0, 0.5]),
    entropy_coef=st.sampled_from([0.0, 0.1]),
    normalise_advantages=st.booleans(),
)


@given(st.integers(0, 10**6), st.integers(2, 9), configs)
def test_the_loss_is_that_of_the_paper(seed, n, config):
    model, batch = random_case(seed, n)
    assert ppo_losses(model, batch, config).total.item() == pytest.approx(reference_loss(plain(model), batch, config))


@given(st.integers(0, 10**6), configs)
@settings(max_examples=15)
def test_its_gradient_is_that_of_central_differences_of_the_reference(seed, config):
    model, batch = random_case(seed, 5)
    ppo_losses(model, batch, config).total.backward()
    for parameter in model.parameters():
        for i in range(parameter.numel()):
            ends = []
            for h in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter.view(-1)[i] += h
                    ends.append(reference_loss(plain(model), batch, config))
                    parameter.view(-1)[i] -= h
            slope = 0.0 if parameter.grad is None else parameter.grad.view(-1)[i].item()
            assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


# --- stable-baselines3


N_ENVS, N_STEPS = 4, 64


def theirs(config, seed):
    """Their PPO, with all steps of a rollout in one minibatch, so that the order of the steps does not matter."""
    peer = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", N_ENVS, seed=seed),
        n_steps=N_STEPS,
        batch_size=N_ENVS * N_STEPS,
        n_epochs=config.epochs,
        learning_rate=config.learning_rate,
        gamma=config.discount,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_epsilon,
        ent_coef=config.entropy_coef,
        vf_coef=config.value_coef,
        normalize_advantage=config.normalise_advantages,
        max_grad_norm=config.max_norm,
        seed=seed,
        device="cpu",
    )
    peer.set_logger(configure(None, []))
    return peer


def with_our_weights(peer, model):
    """Give their networks our weights: their actor is a trunk and a head, and so is their critic."""
    policy = peer.policy
    pairs = [
        (policy.mlp_extractor.policy_net, policy.action_net, model.actor),
        (policy.mlp_extractor.value_net, policy.value_net, model.critic),
    ]
    with torch.no_grad():
        for trunk, head, network in pairs:
            linear = [layer for layer in (*trunk, head) if isinstance(layer, torch.nn.Linear)]
            own = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
            for layer, ours in zip(linear, own, strict=True):
                layer.weight.copy_(ours.weight)
                layer.bias.copy_(ours.bias)
    return pairs


def our_rollout(model, seed):
    """Steps without a pause for resets, as theirs are: CartPole resets within the step here."""
    envs = gym.make_vec(
        "CartPole-v1",
        num_envs=N_ENVS,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP},
    )
    rng = np.random.default_rng(seed)
    collector = Collector(envs, rng=rng)
    rollout = collect(collector, ArrayForward(model.actor), ArrayForward(model.critic), N_STEPS, rng=rng)
    assert rollout.mask.all()
    assert rollout.terminated.any()
    return rollout


@pytest.mark.parametrize(
    "config",
    [
        PPOConfig(epochs=1, minibatches=1),
        PPOConfig(epochs=5, minibatches=1, learning_rate=3e-3, entropy_coef=0.02),
        PPOConfig(epochs=5, minibatches=1, learning_rate=3e-3, normalise_advantages=False, clip_epsilon=0.05),
    ],
)
def test_losses_gauges_and_weights_are_those_of_stable_baselines3(config):
    peer = theirs(config, seed=0)
    with seeded(1):
        model = ActorCritic(4, 2)
    pairs = with_our_weights(peer, model)
    optimizer = Adam(model.parameters(), learning_rate=config.learning_rate, epsilon=config.adam_epsilon)
    rollout = our_rollout(model, seed=2)
    batch = as_batch(rollout, config)
    fill(peer.rollout_buffer, rollout, batch)
    gauges = improve(model, optimizer, batch, config, rng=np.random.default_rng(3))
    peer.train()
    logged = peer.logger.name_to_value
    assert gauges["policy_loss"] == pytest.approx(logged["train/policy_gradient_loss"], abs=1e-6)
    assert gauges["value_loss"] == pytest.approx(logged["train/value_loss"], rel=1e-5)
    assert gauges["entropy"] == pytest.approx(-logged["train/entropy_loss"], rel=1e-5)
    assert gauges["explained_variance"] == pytest.approx(logged["train/explained_variance"], abs=1e-5)
    assert gauges["kl"] == pytest.approx(logged["train/approx_kl"], rel=1e-3, abs=1e-6)  # both of the last pass
    for trunk, head, network in pairs:
        linear = [layer for layer in (*trunk, head) if isinstance(layer, torch.nn.Linear)]
        own = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
        for layer, ours in zip(linear, own, strict=True):
            assert torch.allclose(layer.weight, ours.weight, atol=2e-5)
            assert torch.allclose(layer.bias, ours.bias, atol=2e-5)


def fill(buffer, rollout, batch):
    """Our rollout in their buffer."""
    shape = rollout.rewards.shape
    buffer.reset()
    buffer.observations = rollout.obs.copy()
    buffer.actions = rollout.actions[..., None].astype(np.float32)
    buffer.log_probs, buffer.values = rollout.logp.copy(), rollout.values.copy()
    buffer.advantages, buffer.returns = batch.advantages.numpy().reshape(shape), batch.returns.numpy().reshape(shape)
    buffer.full = True
