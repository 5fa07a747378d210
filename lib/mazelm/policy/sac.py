"""Soft actor-critic for actions that are real numbers: a squashed Gaussian policy and two critics.

The policy draws u from a normal distribution and acts with a = tanh(u), so that no action leaves (−1, 1); the
environment gets that interval stretched to its own bounds. Log-densities are those of a, in (−1, 1), as in the paper
and in its other implementations: stretching would add a constant.

Left out: a policy of several Gaussians, state-dependent exploration.

Source: Haarnoja et al. (2018a) with the temperature of Haarnoja et al. (2018b).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from mazelm.policy.networks import ArrayForward, mlp
from mazelm.policy.replay import Replay
from mazelm.policy.rollout import Collector
from mazelm.policy.soft_learning import Learner, Record, SoftConfig, learn, require_model
from mazelm.policy.soft_model import SoftActorCritic, TwinMLP

_LOG_STD = (-20.0, 2.0)  # a network that left these bounds would have a density of 0 or of infinity


def squashed_logp(
    u: Float[Tensor, "*N A"], noise: Float[Tensor, "*N A"], log_std: Float[Tensor, "*N A"]
) -> Float[Tensor, "*N"]:
    """Log-density in nats of the action a = tanh(u), where u = μ + σ·noise and the noise is standard normal.

        log π(a | s) = Σⱼ [ −½·noiseⱼ² − log σⱼ − ½·log 2π − log(1 − tanh²uⱼ) ]
        log(1 − tanh²u) = 2·(log 2 − u − log(1 + e^−2u))

    The second line keeps its digits where tanh²u rounds to 1 and the left side would be the logarithm of 0: in single
    precision from |u| = 9 or so on.

    Args:
        u: Before squashing. The action alone would not do: arctanh cannot bring back digits that tanh has lost.
        noise: (u − μ)/σ.
        log_std: log σ.

    Source: Haarnoja et al. (2018a), appendix C, for the first line.
    """
    log_slope = 2 * (math.log(2) - u - F.softplus(-2 * u))
    return (-0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi) - log_slope).sum(dim=-1)


class SquashedActorCritic(SoftActorCritic):
    """A policy and two critics for actions of real numbers.

    Args:
        n_features: F, the width of an observation's row.
        action_size: A, how many numbers make one action.
        hidden: The widths of the hidden layers.
    """

    def __init__(self, n_features: int, action_size: int, *, hidden: Sequence[int] = (64, 64)):
        actor = mlp([n_features, *hidden, 2 * action_size], activation=nn.ReLU)
        super().__init__(actor, TwinMLP([n_features + action_size, *hidden, 1]))
        self.n_features, self.action_size = n_features, action_size

    def sample(
        self, obs: Float[Tensor, "N F"], noise: Float[Tensor, "N A"]
    ) -> tuple[Float[Tensor, "N A"], Float[Tensor, " N"]]:
        """Actions a = tanh(μ + σ·noise) and their log-densities; gradients flow through both to μ and σ."""
        mean, log_std = self.actor(obs).chunk(2, dim=-1)
        log_std = log_std.clamp(*_LOG_STD)
        u = mean + log_std.exp() * noise
        return u.tanh(), squashed_logp(u, noise, log_std)

    def soft_values(
        self, obs: Float[Tensor, "N F"], critics: TwinMLP, temperature: Float[Tensor, ""], *, rng: np.random.Generator
    ) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """From one action of the policy: V(s) ≈ minᵢ Qᵢ(s, a) − α·log π(a | s), and H(s) ≈ −log π(a | s)."""
        noise = rng.standard_normal((len(obs), self.action_size), dtype=np.float32)
        actions, logp = self.sample(obs, torch.from_numpy(noise).to(obs.device))
        q = critics(torch.cat([obs, actions], dim=-1)).squeeze(-1)
        return torch.minimum(q[0], q[1]) - temperature * logp, -logp

    def q_of(self, obs: Float[Tensor, "N F"], actions: Float[Tensor, "N A"]) -> Float[Tensor, "2 N"]:
        """What both critics expect of these actions."""
        return self.critics(torch.cat([obs, actions], dim=-1)).squeeze(-1)

    def explore(self, n_envs: int, *, rng: np.random.Generator) -> Float[np.ndarray, "B A"]:
        """Uniform in (−1, 1)."""
        return rng.uniform(-1, 1, (n_envs, self.action_size)).astype(np.float32)

    def draw(self, outputs: Float[np.ndarray, "B O"], *, rng: np.random.Generator) -> Float[np.ndarray, "B A"]:
        """tanh(μ + σ·noise), for acting: no gradient, no log-density."""
        mean, log_std = np.split(outputs, 2, axis=1)
        noise = rng.standard_normal(mean.shape, dtype=np.float32)
        return np.tanh(mean + np.exp(log_std.clip(*_LOG_STD)) * noise)


def sac(
    envs: VectorEnv,
    model: SquashedActorCritic,
    config: SoftConfig,
    *,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
    checkpoints: Path | None = None,
) -> Iterator[Record]:
    """Train a policy over real numbers, in place; yield what happened since the last record.

    Args:
        envs: A vector environment whose actions are a row of numbers with bounds.
        model: For its observations and actions.
        config: Numbers. Where it leaves the target entropy open it is −A, the papers' choice.
        rng: Where all chance comes from, also that of the environments.
        device: Where batches and networks are.
        checkpoints: A folder, from which an interrupted run goes on; see `mazelm.policy.resume`.

    Raises:
        ValueError: The actions are of another kind, the model is for another environment, or a loss is not finite.

    Source: Haarnoja et al. (2018b), algorithm 1.
    """
    collector, space = Collector(envs, rng=rng), _bounded(envs)
    require_model(model, (model.n_features, model.action_size), (collector.features.size, space.shape[0]))
    learner = Learner(model.to(device), config, target_entropy=-float(model.action_size))
    replay = Replay(config.capacity, model.n_features, action_size=model.action_size, device=device)
    yield from learn(
        collector, learner, replay, rng=rng, checkpoints=checkpoints, stretch=lambda actions: stretched(actions, space)
    )


def best_action(
    model: SquashedActorCritic, space: gym.spaces.Box
) -> Callable[[Float[np.ndarray, "B F"]], Float[np.ndarray, "B A"]]:
    """The policy without its chance: tanh(μ), stretched to the bounds.

    It may be made before training: the weights are looked up at each call, as an optimiser moves them.
    """
    return lambda obs: stretched(np.tanh(ArrayForward(model.actor)(obs)[:, : model.action_size]), space)


def stretched(actions: Float[np.ndarray, "B A"], space: gym.spaces.Box) -> Float[np.ndarray, "B A"]:
    """Actions in (−1, 1), stretched to the bounds of a space."""
    return space.low + (actions + 1) / 2 * (space.high - space.low)


def _bounded(envs: VectorEnv) -> gym.spaces.Box:
    """The actions of one environment."""
    space = envs.single_action_space
    if not isinstance(space, gym.spaces.Box) or space.shape is None or len(space.shape) != 1 or not space.is_bounded():
        raise ValueError(f"sac needs actions of real numbers with bounds (a Box of one axis), got {space}")
    return space
