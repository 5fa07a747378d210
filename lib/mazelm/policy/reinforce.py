"""REINFORCE: play whole episodes, then make what was done likelier in proportion to what followed it.

Every environment plays one episode for each update, from its start to its end. To take the episodes that end first
would be wrong: they are the short ones.

What is left out of the exact gradient, here as nearly everywhere: the factor γᵗ with which the action at time t would
count less (lesson 1 of chapter 10 measures what that does). At γ = 1 nothing is left out.

Source: Williams (1992); Sutton & Barto (2018), sections 13.3 and 13.4.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mazelm.policy.networks import ActorCritic, ArrayForward, entropy, logp_of, require_fit, sample
from mazelm.policy.resume import Checkpoints
from mazelm.policy.returns import discounted_returns
from mazelm.policy.rollout import Collector, Forward, discrete_actions
from mazelm.tabular.episodes import Episode
from mazelm.training.optim import Adam


class Baseline(StrEnum):
    """What is subtracted from a return before it weighs an action."""

    NONE = "none"
    MEAN = "mean"  # the mean of the returns in the other episodes
    VALUE = "value"  # what a learned critic expects of the state
    EPISODE = "episode"  # the mean of the own episode, by whose spread it is divided too: biased, for comparison


@dataclass(frozen=True, kw_only=True)
class ReinforceConfig:
    """What a run of REINFORCE may vary."""

    updates: int = 200  # one episode of every environment each
    discount: float = 0.99  # γ
    baseline: Baseline = Baseline.VALUE
    learning_rate: float = 0.01  # of the policy's Adam
    value_learning_rate: float = 0.01  # of the critic's
    value_steps: int = 5  # steps of the critic on the episodes of one update
    max_norm: float = math.inf  # longer gradients of the policy are shortened to this
    checkpoint_every: int = 100  # updates from one checkpoint to the next

    def __post_init__(self):
        if not isinstance(self.baseline, Baseline):
            raise ValueError(f"baseline must be a Baseline, got {self.baseline!r}")
        for name in ("updates", "value_steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "value_learning_rate", "max_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must be in [0, 1], got {self.discount}")


# For a table: no hidden layer, and returns in the hundreds, which is why the critic's steps are so long.
MAZE = ReinforceConfig(updates=100, baseline=Baseline.MEAN, learning_rate=0.1, value_learning_rate=3.0)
CARTPOLE = ReinforceConfig(updates=50, learning_rate=0.01, value_learning_rate=0.02)  # for a hidden layer of 32 units


class Batch(NamedTuple):
    """One episode of each of B environments, as long as the longest; what stands behind the end of one is masked."""

    obs: Float[np.ndarray, "T B F"]
    actions: Int[np.ndarray, "T B"]
    rewards: Float[np.ndarray, "T B"]
    last_obs: Float[np.ndarray, "B F"]  # what the last step of each episode reached
    terminated: Bool[np.ndarray, "T B"]
    truncated: Bool[np.ndarray, "T B"]
    mask: Bool[np.ndarray, "T B"]  # True on the steps of the episode


class Record(NamedTuple):
    """What one update came to."""

    steps: int  # of all environments together, so far
    loss: float
    value_loss: float  # before the critic's steps; NaN without a critic
    gradient_norm: float  # of the policy's gradient, before it is shortened
    entropy: float  # of the policy in nats, mean over the steps
    episodes: list[Episode]  # those of this update


def play_batch(collector: Collector, actor: Forward, *, rng: np.random.Generator) -> Batch:
    """Begin a new episode in every environment, and follow a policy until all have ended.

    Environments that are done wait: they are stepped on, and what they do is masked and forgotten.

    Args:
        collector: Its environments are restarted.
        actor: From features to logits.
        rng: Draws the actions.
    """
    collector.restart()
    steps, masks = [], []
    playing = np.ones(collector.envs.num_envs, dtype=bool)
    last_obs = collector.obs.copy()
    while playing.any():
        actions, _ = sample(actor(collector.obs), rng=rng)
        step = collector.step(actions)
        last_obs[playing] = step.next_obs[playing]
        steps.append(step)
        masks.append(playing)
        playing = playing & ~(step.terminated | step.truncated)
    obs, actions, rewards, _, terminated, truncated, _ = (np.stack(column) for column in zip(*steps, strict=True))
    mask = np.stack(masks)
    return Batch(obs, actions, rewards, last_obs, terminated & mask, truncated & mask, mask)


def minus_mean_of_others(returns: Float[Tensor, "T B"], mask: Bool[Tensor, "T B"]) -> Float[Tensor, "T B"]:
    """The returns, less the mean of the returns in the other episodes.

        Ψₜ,ᵢ = Gₜ,ᵢ − b₋ᵢ,    b₋ᵢ = mean of G over all steps of the episodes j ≠ i

    The own episode stays out, because a baseline must not know the action: with it the estimate would be too short.

    Args:
        returns: Gₜ of each step of each episode.
        mask: True on the steps of an episode.

    Raises:
        ValueError: There is one episode only.

    Source: Kool et al. (2019), for one return per episode.
    """
    if returns.shape[1] < 2:
        raise ValueError(
            "returns must hold at least 2 episodes for a mean of the others, got 1. Try: more environments"
        )
    sums, steps = (returns * mask).sum(dim=0), mask.sum(dim=0)
    return returns - (sums.sum() - sums) / (steps.sum() - steps)


def normalised_in_episode(returns: Float[Tensor, "T B"], mask: Bool[Tensor, "T B"]) -> Float[Tensor, "T B"]:
    """The returns, less the mean of their own episode, in units of its standard deviation.

        Ψₜ = (Gₜ − mean G) / (std G + 10⁻⁸)

    The mean is a baseline that knows what was done, the division a step size that differs from episode to episode: what
    is left does not tell a good episode from a bad one. An episode of one step says nothing.

    Args:
        returns: Gₜ of each step of each episode.
        mask: True on the steps of an episode.
    """
    steps = mask.sum(dim=0)
    centred = (returns - (returns * mask).sum(dim=0) / steps) * mask
    return centred / ((centred**2).sum(dim=0) / steps).sqrt().add(1e-8)  # 1e-8 only guards std = 0


def weights_of_actions(
    returns: Float[Tensor, "T B"], values: Float[Tensor, "T B"], mask: Bool[Tensor, "T B"], baseline: Baseline
) -> Float[Tensor, "T B"]:
    """Ψ: what each action's log-probability is weighted with.

    Args:
        returns: Gₜ of each step of each episode.
        values: V(sₜ); used by `Baseline.VALUE` alone.
        mask: True on the steps of an episode.
        baseline: Which one.
    """
    match baseline:
        case Baseline.NONE:
            return returns
        case Baseline.MEAN:
            return minus_mean_of_others(returns, mask)
        case Baseline.VALUE:
            return returns - values
        case Baseline.EPISODE:
            return normalised_in_episode(returns, mask)


def reinforce_loss(logp: Float[Tensor, " N"], psi: Float[Tensor, " N"], *, n_episodes: int) -> Float[Tensor, ""]:
    """A number whose slope is minus the estimate of the gradient; the number itself means nothing.

        loss = −1/B · Σ over episodes, Σ over their steps of Ψₜ·log π(aₜ | sₜ)

    The sum is divided by the number of episodes. To divide it by the number of steps would weigh an action less because
    the other episodes of its batch happen to be long.

    Args:
        logp: log π(aₜ | sₜ) in nats, of all steps of all episodes.
        psi: Ψₜ. A number here: no gradient goes through it, whatever it was computed from.
        n_episodes: B.

    Source: Williams (1992), with the sum over the steps of an episode.
    """
    return -(logp * psi.detach()).sum() / n_episodes


def reinforce(
    envs: VectorEnv,
    model: ActorCritic,
    config: ReinforceConfig,
    *,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
    checkpoints: Path | None = None,
) -> Iterator[Record]:
    """Train a policy from whole episodes, in place; yield a record of each update.

    Where a time limit cuts an episode short, a learned value stands for what would have followed. The other baselines
    have nothing to put there, and count what was recorded.

    Args:
        envs: A vector environment with numbered actions, in which every episode ends.
        model: Policy and critic with weights of their own. The critic is trained and used with `Baseline.VALUE` alone.
        config: Numbers.
        rng: Where all chance comes from, also that of the environments.
        device: Where the networks are trained.
        checkpoints: A folder, to go on from where a run was killed.

    Raises:
        ValueError: The actions are of another kind, the model is for other environments, its networks
            share weights, or a loss is not finite.

    Source: Sutton & Barto (2018), section 13.4, with a batch of episodes and Adam.
    """
    collector = Collector(envs, rng=rng)
    _require_model(model, collector.features.size, discrete_actions(envs, "reinforce"))
    model.to(device)
    actor = Adam(model.actor.parameters(), learning_rate=config.learning_rate)
    critic = Adam(model.critic.parameters(), learning_rate=config.value_learning_rate)
    forward = ArrayForward(model.actor)
    saved = Checkpoints(
        checkpoints,
        every=config.checkpoint_every,
        collector=collector,
        parts={"model": model, "actor": actor, "critic": critic},
        config=config,
        rng=rng,
    )
    records = saved.load(Record)
    yield from records
    for update in range(len(records) + 1, config.updates + 1):
        batch = play_batch(collector, forward, rng=rng)
        losses = _update(model, actor, critic, batch, config, device, update)
        steps = (records[-1].steps if records else 0) + int(batch.mask.sum())
        collector.finished.clear()  # it may hold second episodes of those who waited
        records.append(Record(steps, *losses, _episodes(batch)))
        saved.save(records)
        yield records[-1]


def _update(
    model: ActorCritic,
    actor: Adam,
    critic: Adam,
    batch: Batch,
    config: ReinforceConfig,
    device: torch.device | str,
    update: int,
) -> tuple[float, float, float, float]:
    """One step of the policy; with a learned baseline, then some of the critic. Loss, the critic's, norm, entropy."""
    obs, actions, rewards, last_obs, terminated, truncated, mask = (
        torch.from_numpy(array).to(device) for array in batch
    )
    learns_value = config.baseline is Baseline.VALUE
    values, next_values = torch.zeros_like(rewards), torch.zeros_like(rewards)
    if learns_value:
        with torch.no_grad():
            values[mask] = model.critic(obs[mask]).squeeze(-1)
            next_values = model.critic(last_obs).squeeze(-1) * truncated
    returns = discounted_returns(rewards, next_values, terminated, truncated, discount=config.discount)
    psi = weights_of_actions(returns, values, mask, config.baseline)[mask]
    logits = model.actor(obs[mask])
    loss = reinforce_loss(logp_of(logits, actions[mask]), psi, n_episodes=mask.shape[1])
    _require_finite(loss, update)
    actor.zero_grad()
    loss.backward()
    norm = actor.clip_gradient(config.max_norm)
    actor.step()
    value_loss = _fit_critic(model, critic, obs[mask], returns[mask], config, update) if learns_value else math.nan
    return loss.item(), value_loss, norm, entropy(logits.detach()).mean().item()


def _fit_critic(
    model: ActorCritic,
    critic: Adam,
    obs: Float[Tensor, "N F"],
    returns: Float[Tensor, " N"],
    config: ReinforceConfig,
    update: int,
) -> float:
    """Some steps of the critic toward the returns; the mean squared error before them."""
    losses = []
    for _ in range(config.value_steps):
        loss = (model.critic(obs).squeeze(-1) - returns).square().mean()
        _require_finite(loss, update)
        critic.zero_grad()
        loss.backward()
        critic.step()
        losses.append(loss.detach())
    return losses[0].item()


def _episodes(batch: Batch) -> list[Episode]:
    """What each column of a batch came to."""
    totals = (batch.rewards * batch.mask).sum(axis=0, dtype=float)
    steps, ends = batch.mask.sum(axis=0), batch.terminated.sum(axis=0)
    return [Episode(float(totals[i]), int(steps[i]), bool(ends[i])) for i in range(len(totals))]


def _require_model(model: ActorCritic, n_features: int, n_actions: int) -> None:
    """Refuse a model for other environments, and one whose two networks share weights: each has its own optimiser."""
    require_fit(model.actor, n_features, n_actions)
    if {id(weight) for weight in model.actor.parameters()} & {id(weight) for weight in model.critic.parameters()}:
        raise ValueError("model must have separate networks for policy and value, got shared=True")


def _require_finite(loss: Float[Tensor, ""], update: int) -> None:
    if not math.isfinite(loss.item()):
        raise ValueError(
            f"the loss is not finite at update {update}: {loss.item()}. "
            "Try: a smaller learning_rate, or rewards of size 1"
        )
