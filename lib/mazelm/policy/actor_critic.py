"""Advantage actor-critic: many environments step side by side, and each short rollout makes one step uphill.

The critic says what a state is worth; the advantage says how much better an action went than that; the actor makes
actions with a positive advantage more likely. All environments together give one batch of steps that resemble each
other little, so no memory is needed: each rollout is used once and dropped.

Left out: workers that do not wait for each other, as in the paper (A3C), RMSProp, recurrent networks, continuous
actions, a learning rate that falls in time, and the factor γᵗ of the exact gradient (lesson 1 of chapter 10).

Source: Mnih et al. (2016), section 4, in the form that waits for all environments, known as A2C; Schulman et al. (2016)
for the advantages.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int
from torch import Tensor

from mazelm.policy.networks import ActorCritic, ArrayForward, entropy, logp_of, require_fit
from mazelm.policy.resume import Checkpoints
from mazelm.policy.returns import gae
from mazelm.policy.rollout import Collector, Rollout, collect, discrete_actions
from mazelm.tabular.episodes import Episode
from mazelm.training.optim import Adam, FlatOptimizer


@dataclass(frozen=True, kw_only=True)
class A2CConfig:
    """What a run of actor-critic may vary."""

    steps: int = 50_000  # of all environments together, rounded up to whole rollouts
    rollout_steps: int = 8  # T, of each environment between two updates
    learning_rate: float = 3e-3
    discount: float = 0.99  # γ
    gae_lambda: float = 0.95  # λ
    value_coef: float = 0.5  # the weight of the critic's loss
    entropy_coef: float = 0.01  # the weight of the entropy bonus
    max_norm: float = 0.5  # longer gradients are clipped to this length
    checkpoint_every: int = 100  # updates

    def __post_init__(self):
        for name in ("steps", "rollout_steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "max_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("discount", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("value_coef", "entropy_coef"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of at least 0, got {getattr(self, name)}")


MAZE = A2CConfig(steps=100_000, rollout_steps=16, learning_rate=5e-3, entropy_coef=1.0)  # 32 mazes at once


class Losses(NamedTuple):
    """The loss of a batch, and the parts that it is made of."""

    total: Float[Tensor, ""]  # policy + c₁·value − c₂·entropy
    policy: Float[Tensor, ""]
    value: Float[Tensor, ""]
    entropy: Float[Tensor, ""]


class A2CRecord(NamedTuple):
    """What one update came to."""

    update: int  # counted from 1
    steps: int  # of all environments, so far
    policy_loss: float
    value_loss: float
    entropy: float  # nats
    gradient_norm: float  # before it was clipped
    episodes: list[Episode]  # that ended while the rollout was made


def a2c_loss(
    logits: Float[Tensor, "N A"],
    values: Float[Tensor, " N"],
    actions: Int[Tensor, " N"],
    advantages: Float[Tensor, " N"],
    returns: Float[Tensor, " N"],
    *,
    value_coef: float,
    entropy_coef: float,
) -> Losses:
    """What actor-critic makes small: the policy-gradient loss, the critic's error, and the entropy as a bonus.

        L = −mean of A·log π(a | s) + c₁·mean of (V(s) − G)² − c₂·mean of H(π(· | s))

    Args:
        logits: Of the policy, for the states of the batch.
        values: V, from the critic in training.
        actions: What was done.
        advantages: A. A number here: no gradient goes through it, whatever it was computed from.
        returns: G, what the critic should say. A number here too.
        value_coef: c₁.
        entropy_coef: c₂, the price in loss of one nat less of entropy.

    Source: Mnih et al. (2016), section 4.
    """
    policy = -(advantages.detach() * logp_of(logits, actions)).mean()
    value = (values - returns.detach()).square().mean()
    spread = entropy(logits).mean()
    return Losses(policy + value_coef * value - entropy_coef * spread, policy, value, spread)


def a2c_update(
    model: ActorCritic,
    optimizer: FlatOptimizer,
    rollout: Rollout,
    config: A2CConfig,
    *,
    device: torch.device | str = "cpu",
) -> tuple[Losses, float]:
    """One step of the optimiser from one rollout; the losses before it, and the length of the gradient.

        Aₜ by GAE(λ), Gₜ = Aₜ + V(sₜ)

    Args:
        model: Changed in place.
        optimizer: Of the model's parameters.
        rollout: As it was collected, by this very policy.
        config: γ, λ, the weights of the losses, and the limit of the gradient.
        device: Where the model is.

    Raises:
        ValueError: The loss is not finite. Nothing is changed then.
    """
    obs, actions, advantages, returns = (column.to(device) for column in as_batch(rollout, config))
    logits, values = model(obs)
    weights = {"value_coef": config.value_coef, "entropy_coef": config.entropy_coef}
    losses = a2c_loss(logits, values, actions, advantages, returns, **weights)
    if not math.isfinite(losses.total.item()):
        parts = ", ".join(f"{name} {getattr(losses, name).item()}" for name in ("policy", "value", "entropy"))
        raise ValueError(f"the loss is not finite at update {optimizer.steps + 1}: {parts}. Try: a lower learning_rate")
    optimizer.zero_grad()
    losses.total.backward()
    norm = optimizer.clip_gradient(config.max_norm)
    optimizer.step()
    return losses, norm


def as_batch(
    rollout: Rollout, config: A2CConfig
) -> tuple[Float[Tensor, "N F"], Int[Tensor, " N"], Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Observations, actions, advantages and returns of a rollout, without the steps that only reset."""
    tensors = {name: torch.from_numpy(column) for name, column in rollout._asdict().items()}
    names = ("rewards", "values", "next_values", "terminated", "truncated")
    advantages = gae(*(tensors[name] for name in names), discount=config.discount, gae_lambda=config.gae_lambda)
    columns = tensors["obs"], tensors["actions"], advantages, advantages + tensors["values"]
    obs, actions, advantages, returns = (column[tensors["mask"]] for column in columns)
    return obs, actions, advantages, returns


def a2c(
    envs: VectorEnv,
    model: ActorCritic,
    config: A2CConfig,
    *,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
    checkpoints: Path | None = None,
) -> Iterator[A2CRecord]:
    """Improve a policy and its critic in place, yielding what each update came to.

    Args:
        envs: A vector environment with numbered actions.
        model: For as many features and actions as the environments have.
        config: What the run may vary.
        rng: Draws the actions, and seeds the environments.
        device: Where the model learns.
        checkpoints: A folder. If it holds a checkpoint the run goes on from it, and yields the records before it again;
            see `mazelm.policy.resume`.

    Raises:
        ValueError: The environments do not fit the model, a loss is not finite, or the checkpoint is of another run.

    Source: Mnih et al. (2016), section 4.
    """
    collector = Collector(envs, rng=rng)
    require_fit(model.actor, collector.features.size, discrete_actions(envs, "a2c"))
    model.to(device)
    optimizer = Adam(model.parameters(), learning_rate=config.learning_rate)
    actor, critic = ArrayForward(model.actor), ArrayForward(model.critic)
    saved = Checkpoints(
        checkpoints,
        every=config.checkpoint_every,
        collector=collector,
        parts={"model": model, "optimizer": optimizer},
        config=config,
        rng=rng,
    )
    records = saved.load(A2CRecord)
    yield from records
    steps_each = config.rollout_steps * envs.num_envs
    for update in range(len(records) + 1, math.ceil(config.steps / steps_each) + 1):
        rollout = collect(collector, actor, critic, config.rollout_steps, rng=rng)
        losses, norm = a2c_update(model, optimizer, rollout, config, device=device)
        episodes, collector.finished = collector.finished, []
        policy, value, spread = (part.item() for part in losses[1:])
        records.append(A2CRecord(update, update * steps_each, policy, value, spread, norm, episodes))
        saved.save(records)
        yield records[-1]
