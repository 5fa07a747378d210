"""Soft actor-critic for numbered actions: the mean over actions is a sum, and no action has to be drawn for it.

The critics put out a number for each action, so the soft value of a state is exact for these critics and this policy,
and its gradient to the policy has no noise.

Left out: penalties that keep the entropy from falling too fast, proposed later for large action sets.

Source: Christodoulou (2019).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from mazelm.policy.networks import ArrayForward, mlp, sample
from mazelm.policy.replay import Replay
from mazelm.policy.rollout import Collector, discrete_actions
from mazelm.policy.soft_learning import Learner, Record, SoftConfig, learn, require_model
from mazelm.policy.soft_model import SoftActorCritic, TwinMLP


class DiscreteActorCritic(SoftActorCritic):
    """A policy and two critics for numbered actions.

    Args:
        n_features: F, the width of an observation's row.
        n_actions: A.
        hidden: The widths of the hidden layers. With one-hot rows and no hidden layer it is a table.
    """

    def __init__(self, n_features: int, n_actions: int, *, hidden: Sequence[int] = (64, 64)):
        super().__init__(
            mlp([n_features, *hidden, n_actions], activation=nn.ReLU), TwinMLP([n_features, *hidden, n_actions])
        )
        self.n_features, self.n_actions = n_features, n_actions

    def soft_values(
        self, obs: Float[Tensor, "N F"], critics: TwinMLP, temperature: Float[Tensor, ""], *, rng: np.random.Generator
    ) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """V(s) = Σ_a π(a | s)·[minᵢ Qᵢ(s, a) − α·log π(a | s)], and H(s) = −Σ_a π(a | s)·log π(a | s)."""
        logp = self.actor(obs).log_softmax(dim=-1)
        with torch.no_grad():
            q = critics(obs).amin(dim=0)
        entropy = -(logp.exp() * logp).sum(dim=-1)
        return (logp.exp() * q).sum(dim=-1) + temperature * entropy, entropy

    def q_of(self, obs: Float[Tensor, "N F"], actions: Integer[Tensor, " N"]) -> Float[Tensor, "2 N"]:
        """What both critics expect of these actions."""
        return self.critics(obs).gather(-1, actions.expand(2, -1).unsqueeze(-1)).squeeze(-1)

    def explore(self, n_envs: int, *, rng: np.random.Generator) -> Int[np.ndarray, " B"]:
        """Each action with the same chance."""
        return rng.integers(self.n_actions, size=n_envs)

    def draw(self, outputs: Float[np.ndarray, "B O"], *, rng: np.random.Generator) -> Int[np.ndarray, " B"]:
        """From softmax(logits)."""
        return sample(outputs, rng=rng)[0]


def discrete_sac(
    envs: VectorEnv,
    model: DiscreteActorCritic,
    config: SoftConfig,
    *,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
    checkpoints: Path | None = None,
) -> Iterator[Record]:
    """Train a policy over numbered actions, in place; yield what happened since the last record.

    Args:
        envs: A vector environment with numbered actions.
        model: For its observations and actions.
        config: Numbers. Where it leaves the target entropy open it is 0.98·log A, nearly uniform, as in the author's
            code: in a maze far too much, because there one action is right in most states.
        rng: Where all chance comes from, also that of the environments.
        device: Where batches and networks are.
        checkpoints: A folder, from which an interrupted run goes on; see `mazelm.policy.resume`.

    Raises:
        ValueError: The actions are of another kind, the model is for another environment, or a loss is not finite.

    Source: Christodoulou (2019), algorithm 1.
    """
    collector = Collector(envs, rng=rng)
    found = collector.features.size, discrete_actions(envs, "discrete_sac")
    require_model(model, (model.n_features, model.n_actions), found)
    learner = Learner(model.to(device), config, target_entropy=0.98 * math.log(model.n_actions))
    replay = Replay(config.capacity, model.n_features, device=device)
    yield from learn(collector, learner, replay, rng=rng, checkpoints=checkpoints)


def drawn_action(
    model: DiscreteActorCritic, *, rng: np.random.Generator
) -> Callable[[Float[np.ndarray, "B F"]], Int[np.ndarray, " B"]]:
    """The policy as it is, chance included.

    It may be made before training: the weights are looked up at each call, as an optimiser moves them.
    """
    return lambda obs: model.draw(ArrayForward(model.actor)(obs), rng=rng)
