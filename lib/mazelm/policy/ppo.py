"""Proximal policy optimisation: several passes over one rollout, with an objective that gains nothing from going far.

A policy gradient holds only for the policy that acted, so plain actor-critic throws its experience away after one step.
PPO weighs each action by the ratio of the new to the old probability, and clips the ratio where moving on would look
like a gain. Many small steps on the same rollout then stay near the policy that made it; mostly, and the gauges in each
record say how near.

Left out: continuous actions, recurrent networks, the penalty on KL in place of the clip, and normalising observations
and rewards by running averages, which tasks with large or drifting scales need.

Source: Schulman et al. (2017); Engstrom et al. (2020) for the details around the objective.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mazelm.policy.networks import ActorCritic, ArrayForward, entropy, logp_of, require_fit
from mazelm.policy.resume import Checkpoints
from mazelm.policy.returns import gae
from mazelm.policy.rollout import Collector, Rollout, collect, discrete_actions
from mazelm.tabular.episodes import Episode
from mazelm.training.optim import Adam, FlatOptimizer


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """What a run of PPO may vary. The defaults are what most published code has for small tasks."""

    steps: int = 100_000  # of all environments together, rounded up to whole rollouts
    rollout_steps: int = 128  # T, of each environment between two updates
    epochs: int = 4  # passes over one rollout
    minibatches: int = 4  # parts of a pass; each makes one step of the optimiser
    learning_rate: float = 2.5e-4
    anneal: bool = False  # let the learning rate fall toward 0 in a straight line
    adam_epsilon: float = 1e-5
    reward_scale: float = 1.0  # what rewards are multiplied by before anything is learned from them
    discount: float = 0.99  # γ
    gae_lambda: float = 0.95  # λ
    normalise_advantages: bool = True  # in each minibatch
    clip_epsilon: float = 0.2  # ε; math.inf never clips
    value_clip: float | None = None  # how far a value may move before its error is clipped; None: it is not
    value_coef: float = 0.5  # the weight of the critic's loss
    entropy_coef: float = 0.0  # the weight of the entropy bonus
    max_norm: float = 0.5  # longer gradients are clipped to this length
    target_kl: float | None = None  # nats; a pass with a larger KL is the last one. None: all passes are made
    checkpoint_every: int = 100  # updates

    def __post_init__(self):
        for name in ("steps", "rollout_steps", "epochs", "minibatches", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("discount", "gae_lambda"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        for name in ("value_coef", "entropy_coef", "adam_epsilon"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of at least 0, got {getattr(self, name)}")
        for name in ("learning_rate", "reward_scale", "clip_epsilon", "value_clip", "max_norm", "target_kl"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")


CARTPOLE_ENVS, MAZE_ENVS = 32, 64  # how many environments the two settings below are meant for
CARTPOLE = PPOConfig(
    steps=150_000, rollout_steps=64, epochs=10, minibatches=4, learning_rate=3e-3, discount=0.98, gae_lambda=0.9
)
MAZE = PPOConfig(
    steps=150_000,
    rollout_steps=64,
    learning_rate=3e-3,
    reward_scale=0.1,
    normalise_advantages=False,  # where nothing is known yet, the bonus outweighs what is noise
    entropy_coef=0.3,
)


class Batch(NamedTuple):
    """One rollout as a heap of N steps, in any order."""

    obs: Float[Tensor, "N F"]
    actions: Int[Tensor, " N"]
    logp_old: Float[Tensor, " N"]  # of the action, under the policy that took it
    values_old: Float[Tensor, " N"]  # what the critic said then
    advantages: Float[Tensor, " N"]
    returns: Float[Tensor, " N"]  # what the critic should say: the advantage and the value that it was measured from


class Losses(NamedTuple):
    """The loss of a minibatch, and the parts that it is made of."""

    total: Float[Tensor, ""]  # policy + c₁·value − c₂·entropy
    policy: Float[Tensor, ""]
    value: Float[Tensor, ""]
    entropy: Float[Tensor, ""]
    logp: Float[Tensor, " N"]  # of each action, under the policy in training


class PPORecord(NamedTuple):
    """What one update came to."""

    update: int  # counted from 1
    steps: int  # of all environments, so far
    learning_rate: float
    passes: int  # over the rollout; fewer than `epochs` where the KL stopped them
    policy_loss: float  # the first four are means over all minibatches of all passes
    value_loss: float
    entropy: float  # nats
    gradient_norm: float  # before it was clipped
    kl: float  # of the old policy from the new one, in nats, during the last pass
    clip_fraction: float  # share of the ratios outside 1 ± ε, during the last pass
    explained_variance: float  # of the returns, by the values before the update
    episodes: list[Episode]  # that ended while the rollout was made


def clipped_objective(
    logp: Float[Tensor, " N"], logp_old: Float[Tensor, " N"], advantages: Float[Tensor, " N"], *, clip_epsilon: float
) -> Float[Tensor, " N"]:
    """What each action contributes to PPO's objective, which is to be made large.

        ρ = π(a | s) / π_old(a | s)
        Lᶜˡⁱᵖ = min(ρ·A, clip(ρ, 1 − ε, 1 + ε)·A)

    Where the ratio has gone past the clip in the direction that the advantage asks for, the gradient is 0. Where it
    has gone past in the other direction, the minimum keeps the unclipped term, and the gradient calls it back.

    Args:
        logp: Log-probability of each action under the policy in training, in nats.
        logp_old: The same under the policy that acted.
        advantages: How much better than expected each action was.
        clip_epsilon: ε, how far ρ may move from 1 for gain.

    Source: Schulman et al. (2017), equation 7.
    """
    ratio = (logp - logp_old).exp()
    clipped = ratio.clamp(1 - clip_epsilon, 1 + clip_epsilon)
    return torch.minimum(ratio * advantages, clipped * advantages)


def value_loss(values: Float[Tensor, " N"], returns: Float[Tensor, " N"]) -> Float[Tensor, ""]:
    """Mean squared error of the critic.

    Source: Schulman et al. (2017), below equation 9.
    """
    return F.mse_loss(values, returns)


def clipped_value_loss(
    values: Float[Tensor, " N"], values_old: Float[Tensor, " N"], returns: Float[Tensor, " N"], *, value_clip: float
) -> Float[Tensor, ""]:
    """Mean of the larger of two squared errors: that of the value, and that of the value held near its old one.

        V_clip = V_old + clip(V − V_old, −c, c)
        L = mean of max((V − G)², (V_clip − G)²)

    A value that has moved by more than c toward its return has no gradient any more. The limit c is in the unit of
    the returns, so it has to fit their scale.

    Args:
        values: V, from the critic in training.
        values_old: V_old, from the critic before the update.
        returns: G.
        value_clip: c.

    Source: Engstrom et al. (2020), section 3, who found it in the code of the authors of PPO and not in the paper.
    """
    held = values_old + (values - values_old).clamp(-value_clip, value_clip)
    return torch.maximum((values - returns).square(), (held - returns).square()).mean()


def normalised(advantages: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Advantages with mean 0 and standard deviation 1: how large a step is no longer depends on the scale of rewards.

    Raises:
        ValueError: There are fewer than two.
    """
    if len(advantages) < 2:
        raise ValueError(f"advantages must be at least two numbers to be normalised, got {len(advantages)}")
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)  # 1e-8 only guards std = 0


def kl_from_old(logp: Float[Tensor, " N"], logp_old: Float[Tensor, " N"]) -> Float[Tensor, ""]:
    """Estimate KL(π_old ‖ π) in nats from actions that π_old took; never negative.

        k3 = eᵈ − 1 − d    where d = log π − log π_old

    Source: Schulman (2020), Approximating KL divergence.
    """
    d = logp - logp_old
    return (torch.expm1(d) - d).mean()  # expm1, because e**d − 1 loses its digits near d = 0


def clip_fraction(
    logp: Float[Tensor, " N"], logp_old: Float[Tensor, " N"], *, clip_epsilon: float
) -> Float[Tensor, ""]:
    """Share of the ratios that lie outside 1 ± ε, on either side.

    Not each of them has lost its gradient: those on the side that the advantage warns of have kept it.
    """
    return (((logp - logp_old).exp() - 1).abs() > clip_epsilon).float().mean()


def explained_variance(values: Float[Tensor, " N"], returns: Float[Tensor, " N"]) -> float:
    """How much of the spread of the returns the critic foresaw.

        1 − Var(G − V) / Var(G)

    1 is a perfect critic, up to a constant; 0 is as good as a constant; below 0 is worse than that. Without any spread
    of the returns it does not exist, and is given as NaN.
    """
    if returns.max() == returns.min():  # the computed variance of equal numbers may be a rounding error
        return math.nan
    return (1 - (returns - values).var(correction=0) / returns.var(correction=0)).item()


def ppo_losses(model: ActorCritic, batch: Batch, config: PPOConfig) -> Losses:
    """What PPO makes small: the clipped objective turned round, the critic's error, and the entropy as a bonus.

        L = −mean of Lᶜˡⁱᵖ + c₁·Lⱽ − c₂·mean of H(π(· | s))

    Args:
        model: In training.
        batch: A minibatch. Its advantages are normalised here if the config says so.
        config: ε, c₁ (`value_coef`), c₂ (`entropy_coef`), and how the value is clipped.

    Source: Schulman et al. (2017), equation 9, with the sign turned.
    """
    logits, values = model(batch.obs)
    advantages = normalised(batch.advantages) if config.normalise_advantages else batch.advantages
    logp = logp_of(logits, batch.actions)
    policy = -clipped_objective(logp, batch.logp_old, advantages, clip_epsilon=config.clip_epsilon).mean()
    if config.value_clip is None:
        value = value_loss(values, batch.returns)
    else:
        value = clipped_value_loss(values, batch.values_old, batch.returns, value_clip=config.value_clip)
    with torch.set_grad_enabled(config.entropy_coef > 0):  # else it is only a gauge
        spread = entropy(logits).mean()
    total = policy + config.value_coef * value - config.entropy_coef * spread
    return Losses(total, policy, value, spread, logp)


def as_batch(rollout: Rollout, config: PPOConfig, *, device: str | torch.device = "cpu") -> Batch:
    """The steps of a rollout with their advantages, without the steps that only reset.

        Gₜ = Aₜ + V(sₜ)

    Args:
        rollout: As it was collected.
        config: γ, λ, and the scale of the rewards.
        device: Where the model is.
    """
    columns = {name: torch.from_numpy(column) for name, column in rollout._asdict().items()}
    columns["rewards"] = columns["rewards"] * config.reward_scale
    names = ("rewards", "values", "next_values", "terminated", "truncated")
    advantages = gae(*(columns[name] for name in names), discount=config.discount, gae_lambda=config.gae_lambda)
    kept = ("obs", "actions", "logp", "values")
    every_step = (*(columns[name] for name in kept), advantages, advantages + columns["values"])
    return Batch(*(column[columns["mask"]].to(device) for column in every_step))


def minibatches(batch: Batch, parts: int, *, rng: np.random.Generator) -> Iterator[Batch]:
    """One pass over a batch: every step once, in random order, in parts whose sizes differ by one at most.

    Args:
        batch: What is passed over.
        parts: How many minibatches.
        rng: Where the order comes from.
    """
    order = torch.from_numpy(rng.permutation(len(batch.obs))).to(batch.obs.device)
    shuffled = (column[order].tensor_split(parts) for column in batch)
    return (Batch(*columns) for columns in zip(*shuffled, strict=True))


def improve(
    model: ActorCritic, optimizer: FlatOptimizer, batch: Batch, config: PPOConfig, *, rng: np.random.Generator
) -> dict[str, Any]:
    """All passes over one batch; returns the gauges that `PPORecord` names.

    Args:
        model: Changed in place.
        optimizer: Of the model's parameters.
        batch: From the policy as it is at the beginning.
        config: Of the run.
        rng: Where the order of the steps comes from.

    Raises:
        ValueError: The minibatches would have fewer than two steps, or a loss is not finite.
    """
    if len(batch.obs) < 2 * config.minibatches:
        raise ValueError(f"minibatches={config.minibatches} are too many for {len(batch.obs)} steps: each needs two")
    seen: list[tuple[Tensor, ...]] = []
    norms: list[float] = []
    for _ in range(config.epochs):
        ratios = []
        for part in minibatches(batch, config.minibatches, rng=rng):
            losses = ppo_losses(model, part, config)
            _require_finite(losses, optimizer.steps + 1)
            optimizer.zero_grad()
            losses.total.backward()
            norms.append(optimizer.clip_gradient(config.max_norm))
            optimizer.step()
            seen.append((losses.policy.detach(), losses.value.detach(), losses.entropy.detach()))
            ratios.append((losses.logp.detach(), part.logp_old))
        logp, logp_old = (torch.cat(column) for column in zip(*ratios, strict=True))
        kl = kl_from_old(logp, logp_old).item()
        if config.target_kl is not None and kl > config.target_kl:
            break
    policy, value, spread = (torch.stack(column).mean().item() for column in zip(*seen, strict=True))
    return {
        "passes": len(norms) // config.minibatches,
        "policy_loss": policy,
        "value_loss": value,
        "entropy": spread,
        "gradient_norm": float(np.mean(norms)),
        "kl": kl,
        "clip_fraction": clip_fraction(logp, logp_old, clip_epsilon=config.clip_epsilon).item(),
        "explained_variance": explained_variance(batch.values_old, batch.returns),
    }


def ppo(
    envs: gym.vector.VectorEnv,
    model: ActorCritic,
    config: PPOConfig,
    *,
    rng: np.random.Generator,
    device: str | torch.device = "cpu",
    checkpoints: Path | None = None,
) -> Iterator[PPORecord]:
    """Improve a policy and its critic in place, yielding what each update came to.

    Args:
        envs: A vector environment with numbered actions.
        model: For as many features and actions as the environments have.
        config: What the run may vary.
        rng: Draws the actions and the minibatches, and seeds the environments.
        device: Where the model learns.
        checkpoints: A folder. If it holds a checkpoint the run goes on from it, and yields the records before it again;
            see `mazelm.policy.resume`.

    Raises:
        ValueError: The environments do not fit the model, the steps of a rollout are too few for the minibatches, a
            loss is not finite, or the checkpoint is of another run.

    Source: Schulman et al. (2017), algorithm 1.
    """
    collector = Collector(envs, rng=rng)
    require_fit(model.actor, collector.features.size, discrete_actions(envs, "ppo"))
    model.to(device)
    optimizer = Adam(model.parameters(), learning_rate=config.learning_rate, epsilon=config.adam_epsilon)
    actor, critic = ArrayForward(model.actor), ArrayForward(model.critic)
    saved = Checkpoints(
        checkpoints,
        every=config.checkpoint_every,
        collector=collector,
        parts={"model": model, "optimizer": optimizer},
        config=config,
        rng=rng,
    )
    records = saved.load(PPORecord)
    yield from records
    steps_each = config.rollout_steps * envs.num_envs
    n_updates = math.ceil(config.steps / steps_each)
    for update in range(len(records) + 1, n_updates + 1):
        if config.anneal:
            optimizer.learning_rate = config.learning_rate * (1 - (update - 1) / n_updates)
        rollout = collect(collector, actor, critic, config.rollout_steps, rng=rng)
        gauges = improve(model, optimizer, as_batch(rollout, config, device=device), config, rng=rng)
        episodes, collector.finished = collector.finished, []
        gauges |= {"learning_rate": optimizer.learning_rate, "episodes": episodes}
        records.append(PPORecord(update=update, steps=update * steps_each, **gauges))
        saved.save(records)
        yield records[-1]


def _require_finite(losses: Losses, step: int) -> None:
    if not math.isfinite(losses.total.item()):
        parts = ", ".join(f"{name} {getattr(losses, name).item()}" for name in ("policy", "value", "entropy"))
        raise ValueError(f"the loss is not finite at step {step} of the optimiser: {parts}. Try: a lower learning_rate")
