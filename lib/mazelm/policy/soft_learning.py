"""How soft actor-critic learns, whatever its actions are: one update of all its parts, and the loop around it.

`sac.py` has the policy over real numbers, `discrete_sac.py` the one over numbered actions.

Left out: n-step targets, priorities, and a target entropy that falls in time.

Source: Haarnoja et al. (2018b), algorithm 1; section 5 for the temperature.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor, nn

from mazelm.policy.networks import ArrayForward
from mazelm.policy.replay import Batch, Replay
from mazelm.policy.resume import Checkpoints
from mazelm.policy.rollout import Collector
from mazelm.policy.soft_model import SoftActorCritic
from mazelm.tabular.episodes import Episode
from mazelm.training.optim import Adam


@dataclass(frozen=True, kw_only=True)
class SoftConfig:
    """What a run of soft actor-critic may vary."""

    steps: int = 15_000  # in all environments together; those that only reset do not count
    random_steps: int = 500  # the first of them take actions at random, and nothing is learned
    capacity: int = 100_000
    batch_size: int = 256
    updates: int = 1  # after each step of the vector environment; none where all of it only resets
    discount: float = 0.99  # γ
    polyak: float = 0.005  # τ, how far the target networks go toward the critics in one update
    learning_rate: float = 1e-3  # of actor, critics and temperature
    temperature: float | None = None  # α; None: learned, beginning with 1
    target_entropy: float | None = None  # H̄ in nats, at which a learned temperature aims; None: the loop's own
    record_interval: int = 200  # steps from one record to the next
    checkpoint_every: int = 5  # records from one checkpoint to the next

    def __post_init__(self):
        for name in ("steps", "batch_size", "updates", "record_interval", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.random_steps < 0:
            raise ValueError(f"random_steps must not be negative, got {self.random_steps}")
        if self.steps <= max(self.random_steps, self.batch_size):
            needed = f"random_steps={self.random_steps} and batch_size={self.batch_size}"
            raise ValueError(f"steps={self.steps} must be more than {needed}, or nothing would be learned")
        if self.capacity < self.batch_size:
            raise ValueError(f"capacity={self.capacity} must not be less than batch_size={self.batch_size}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must be in [0, 1], got {self.discount}")
        if not 0 < self.polyak <= 1:
            raise ValueError(f"polyak must be in (0, 1], got {self.polyak}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        if self.temperature is not None and not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, or None to learn it, got {self.temperature}")
        if self.temperature is not None and self.target_entropy is not None:
            raise ValueError(
                f"target_entropy={self.target_entropy} needs a learned temperature, got {self.temperature}"
            )


class Losses(NamedTuple):
    """What one update came to."""

    critic: float
    actor: float
    entropy: float  # of the policy in nats, mean over the batch


class Record(NamedTuple):
    """What some updates came to: means over them."""

    steps: int  # taken so far
    updates: int  # made so far
    critic_loss: float
    actor_loss: float
    entropy: float  # of the policy in nats
    temperature: float  # α at the end
    episodes: list[Episode]  # that ended since the last record


def soft_target(
    rewards: Float[Tensor, " N"],
    next_values: Float[Tensor, " N"],
    terminated: Bool[Tensor, " N"],
    discounts: float | Float[Tensor, " N"],
) -> Float[Tensor, " N"]:
    """What both critics should have said: the reward, and the soft value of the state that was reached.

        y = r + γ·V(s′),    and y = r where the task ended

    After a time limit the task goes on, and V(s′) counts.

    Args:
        rewards: r.
        next_values: V(s′), from the slow copies of the critics.
        terminated: The step ended the task.
        discounts: γ.

    Source: Haarnoja et al. (2018b), section 4.
    """
    return rewards + discounts * next_values * ~terminated


def twin_loss(q: Float[Tensor, "2 N"], target: Float[Tensor, " N"]) -> Float[Tensor, ""]:
    """How far the two critics are from the one target.

        L = Σᵢ ½·mean (Qᵢ − y)²

    Source: Haarnoja et al. (2018b), section 4.
    """
    return 0.5 * (q - target).square().mean(dim=1).sum()


def temperature_loss(
    log_temperature: Float[Tensor, ""], entropy: Float[Tensor, ""], *, target_entropy: float
) -> Float[Tensor, ""]:
    """A step down its slope raises α where the policy is more decided than it should be, and lowers it otherwise.

        J = log α·(H − H̄)

    The paper has α in front and the authors' code log α: the sign is the same, and a tiny α can still grow quickly.

    Args:
        log_temperature: log α.
        entropy: H, the policy's mean entropy in nats. No gradient goes there.
        target_entropy: H̄ in nats. That of a density may be negative.

    Source: Haarnoja et al. (2018b), section 5.
    """
    return log_temperature * (entropy.detach() - target_entropy)


@torch.no_grad()
def polyak_(targets: nn.Module, source: nn.Module, *, polyak: float) -> None:
    """Let the targets follow, in place: a running mean over the last 1/τ updates or so.

        θ̄ ← (1 − τ)·θ̄ + τ·θ

    Args:
        targets: θ̄.
        source: θ, of the same shape.
        polyak: τ, in (0, 1]. 1 copies.

    Source: Lillicrap et al. (2016), algorithm 1.
    """
    for target, parameter in zip(targets.parameters(), source.parameters(), strict=True):
        target.lerp_(parameter, polyak)


class Learner:
    """A model with its optimisers.

    Args:
        model: Trained in place.
        config: Numbers.
        target_entropy: H̄, if the config leaves it open.
    """

    def __init__(self, model: SoftActorCritic, config: SoftConfig, *, target_entropy: float):
        self.model, self.config = model, config
        self.target_entropy = target_entropy if config.target_entropy is None else config.target_entropy
        if config.temperature is not None:
            nn.init.constant_(model.log_temperature, math.log(config.temperature))
        self.actor = Adam(model.actor.parameters(), learning_rate=config.learning_rate)
        self.critics = Adam(model.critics.parameters(), learning_rate=config.learning_rate)
        self.temperature = Adam([model.log_temperature], learning_rate=config.learning_rate)
        self._forward = ArrayForward(model.actor)

    def parts(self) -> dict[str, Any]:
        """All that changes, by name: what a checkpoint has to hold."""
        optimizers = {"actor_adam": self.actor, "critics_adam": self.critics, "temperature_adam": self.temperature}
        return {"model": self.model, **optimizers}

    def act(self, obs: Float[np.ndarray, "B F"], *, rng: np.random.Generator) -> Num[np.ndarray, "B *A"]:
        """Actions drawn from the policy."""
        return self.model.draw(self._forward(obs), rng=rng)

    def update(self, batch: Batch, *, rng: np.random.Generator) -> Losses:
        """A step of the critics, a step of the policy, a step of the temperature; then the targets follow.

        y = r + γ·V̄(s′);  critics down Σᵢ ½·(Qᵢ − y)²;  policy up V(s);  log α down log α·(H − H̄)
        """
        model, temperature = self.model, self.model.log_temperature.detach().exp()
        with torch.no_grad():
            next_values, _ = model.soft_values(batch.next_obs, model.targets, temperature, rng=rng)
            target = soft_target(batch.rewards, next_values, batch.terminated, batch.discounts)
        critic_loss = twin_loss(model.q_of(batch.obs, batch.actions), target)
        _descend(self.critics, critic_loss)
        values, entropies = model.soft_values(batch.obs, model.critics, temperature, rng=rng)
        actor_loss, entropy = -values.mean(), entropies.mean()
        _descend(self.actor, actor_loss)
        if self.config.temperature is None:
            loss = temperature_loss(model.log_temperature, entropy, target_entropy=self.target_entropy)
            _descend(self.temperature, loss)
        polyak_(model.targets, model.critics, polyak=self.config.polyak)
        return Losses(critic_loss.item(), actor_loss.item(), entropy.item())


def learn(
    collector: Collector,
    learner: Learner,
    replay: Replay,
    *,
    rng: np.random.Generator,
    checkpoints: Path | None,
    stretch: Callable[[np.ndarray], np.ndarray] = lambda actions: actions,
) -> Iterator[Record]:
    """Act, remember, update, again and again; yield a record after every `record_interval` steps.

    Args:
        collector: Steps through the environments.
        learner: Model and optimisers.
        replay: An empty memory.
        rng: Where all chance comes from.
        checkpoints: A folder, from which an interrupted run goes on; see `mazelm.policy.resume`.
        stretch: From the policy's actions, which are remembered, to those of the environment.
    """
    config = learner.config
    parts = {**learner.parts(), "replay": replay}
    every = config.checkpoint_every
    saved = Checkpoints(checkpoints, every=every, collector=collector, parts=parts, config=config, rng=rng)
    records, recent = saved.load(Record), []
    yield from records
    recorded, updates = (records[-1].steps, records[-1].updates) if records else (0, 0)
    while replay.added < config.steps:
        actions = _actions(learner, collector, replay, rng)
        rows = replay.add(collector.step(stretch(actions))._replace(actions=actions))
        if len(rows) and replay.added >= max(config.random_steps, config.batch_size):
            for _ in range(config.updates):
                updates += 1
                batch = replay.sample(config.batch_size, discount=config.discount, rng=rng)
                recent.append(_finite(learner.update(batch, rng=rng), updates))
        if recent and (replay.added - recorded >= config.record_interval or replay.added >= config.steps):
            episodes, collector.finished = collector.finished, []
            alpha = learner.model.log_temperature.exp().item()
            critic, actor, entropy = np.mean(recent, axis=0).tolist()
            records.append(Record(replay.added, updates, critic, actor, entropy, alpha, episodes))
            recent, recorded = [], replay.added
            if saved.save(records):
                replay.break_off()
            yield records[-1]


def require_model(model: SoftActorCritic, of_model: tuple[int, int], of_envs: tuple[int, int]) -> None:
    """Refuse a model that was made for other observations or actions.

    Args:
        model: Named in the error.
        of_model: Its numbers of features, and of actions or of numbers in one.
        of_envs: Those of the environment.
    """
    if of_model != of_envs:
        raise ValueError(f"model is a {type(model).__name__}{of_model}, and envs need {type(model).__name__}{of_envs}")


def _actions(
    learner: Learner, collector: Collector, replay: Replay, rng: np.random.Generator
) -> Num[np.ndarray, "B *A"]:
    """At random in the beginning, then from the policy."""
    if replay.added < learner.config.random_steps:
        return learner.model.explore(collector.envs.num_envs, rng=rng)
    return learner.act(collector.obs, rng=rng)


def _descend(optimizer: Adam, loss: Float[Tensor, ""]) -> None:
    """One step; gradients are computed for this optimiser's parameters only."""
    optimizer.zero_grad()
    loss.backward(inputs=optimizer.parameters)
    optimizer.step()


def _finite(losses: Losses, updates: int) -> Losses:
    """The losses, if they are numbers."""
    if not math.isfinite(losses.critic + losses.actor):
        raise ValueError(
            f"the loss is not finite at update {updates}: {losses.critic} of the critics, {losses.actor} of the actor. "
            "Try: a smaller learning_rate, or rewards of size 1"
        )
    return losses
