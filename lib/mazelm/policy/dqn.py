"""DQN: Q-learning with a network in place of the table, and what keeps it from falling over.

Steps go into a memory and are drawn again at random; the targets come from a copy of the network that stands still for
a while; the loss grows no faster than the error, and long gradients are shortened.

One environment or many: the steps of all are counted together, and an update is due after every `train_interval` steps.

Left out, and there in Rainbow: a distribution over returns, noise in the weights, dueling heads (an exercise).

Source: Mnih et al. (2015); van Hasselt et al. (2016) for the double target.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mazelm.policy.networks import ArrayForward, require_fit
from mazelm.policy.replay import Batch, PrioritisedReplay, Replay
from mazelm.policy.resume import Checkpoints, Stateful
from mazelm.policy.rollout import Collector, discrete_actions
from mazelm.tabular.episodes import Episode
from mazelm.training.optim import Adam, FlatOptimizer


@dataclass(frozen=True, kw_only=True)
class DQNConfig:
    """What a DQN run may vary."""

    steps: int = 50_000  # of all environments together
    discount: float = 0.99  # γ
    learning_rate: float = 1e-3  # of Adam
    batch_size: int = 64
    capacity: int = 50_000  # steps in the memory; that of one batch is nearly no memory
    learning_starts: int = 1_000  # steps before the first update
    train_interval: int = 4  # steps from one update to the next
    updates: int = 1  # gradient steps at a time
    target_interval: int = 250  # gradient steps from one copy of the network to the next; 1 is no target network
    double: bool = True  # the network chooses the next action, its copy judges it
    n: int = 1  # rewards in a target
    epsilon_start: float = 1.0  # ε at the first step
    epsilon_end: float = 0.05  # ε from epsilon_steps on
    epsilon_steps: int = 10_000
    huber_delta: float = 1.0  # errors beyond it count in proportion, not squared
    max_norm: float = 10.0  # longer gradients are shortened to this
    priority_exponent: float = 0.0  # α; 0 draws all steps with the same chance
    importance_exponent: float = 0.4  # β at the first step; it rises to 1
    record_interval: int = 500  # steps from one record to the next
    checkpoint_every: int = 20  # records

    def __post_init__(self):
        positive = {"learning_rate", "huber_delta", "max_norm"}
        shares = {"discount", "epsilon_start", "epsilon_end", "importance_exponent"}
        from_zero = {"learning_starts", "epsilon_steps", "priority_exponent"}
        for name, value in asdict(self).items():
            if name in positive and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
            if name in shares and not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {value}")
            if name in from_zero and not value >= 0:
                raise ValueError(f"{name} must not be negative, got {value}")
            if name not in positive | shares | from_zero and value < 1 and name != "double":
                raise ValueError(f"{name} must be at least 1, got {value}")


# Solves CartPole-v1 with 8 environments and hidden layers of 120 and 84 ReLU.
CARTPOLE = DQNConfig(
    steps=100_000,
    learning_rate=2e-3,
    batch_size=128,
    capacity=20_000,
    train_interval=8,
    target_interval=50,
    n=10,
    huber_delta=10.0,
)


class Update(NamedTuple):
    """What one gradient step found, before it changed the weights."""

    loss: float
    td_errors: Float[Tensor, " N"]  # y − Q(s, a)
    q: Float[Tensor, " N"]  # Q(s, a)


class DQNRecord(NamedTuple):
    """What some steps of a run came to."""

    step: int  # steps so far
    updates: int  # gradient steps so far
    loss: float  # the mean over the updates since the last record; NaN if there was none
    q: float  # the mean of Q(s, a) over the last batch; NaN if there was none
    epsilon: float  # the chance of a random action now
    episodes: list[Episode]  # those that ended since the last record


def dqn_target(
    rewards: Float[Tensor, " N"],
    next_q: Float[Tensor, "N A"],
    terminated: Bool[Tensor, " N"],
    *,
    discount: float | Float[Tensor, " N"],
) -> Float[Tensor, " N"]:
    """What Q(s, a) is moved toward: the reward and the best guess of what follows.

        y = r + γ·maxₐ Q⁻(s′, a)        and y = r where the step ended the task

    Args:
        rewards: r, of one step, or the discounted sum of n.
        next_q: Q⁻(s′, ·), from the target network.
        terminated: The step ended the task. A time limit does not: the guess counts as always.
        discount: γ, or for sums of n rewards γⁿ of each step.

    Source: Mnih et al. (2015), algorithm 1.
    """
    return torch.where(terminated, rewards, rewards + discount * next_q.amax(dim=1))


def double_dqn_target(
    rewards: Float[Tensor, " N"],
    next_q: Float[Tensor, "N A"],
    next_q_online: Float[Tensor, "N A"],
    terminated: Bool[Tensor, " N"],
    *,
    discount: float | Float[Tensor, " N"],
) -> Float[Tensor, " N"]:
    """The same, but one network chooses the next action, and the other judges it.

        a* = argmaxₐ Q(s′, a)
        y = r + γ·Q⁻(s′, a*)            and y = r where the step ended the task

    Args:
        rewards: r, of one step, or the discounted sum of n.
        next_q: Q⁻(s′, ·), from the target network, which judges.
        next_q_online: Q(s′, ·), from the network in training, which chooses.
        terminated: The step ended the task; a time limit does not.
        discount: γ, or for sums of n rewards γⁿ of each step.

    Source: van Hasselt et al. (2016), equation 4.
    """
    judged = next_q.gather(1, next_q_online.argmax(dim=1, keepdim=True)).squeeze(1)
    return torch.where(terminated, rewards, rewards + discount * judged)


def huber(errors: Float[Tensor, "*N"], *, delta: float = 1.0) -> Float[Tensor, "*N"]:
    """A loss that is squared near 0 and straight beyond: its slope is never more than delta.

        L(δ) = δ²/2                  for |δ| ≤ d
        L(δ) = d·(|δ| − d/2)         beyond

    Both lines are c·(δ − c/2), with c = δ clipped to [−d, d], and c is the slope.

    Args:
        errors: δ, of either sign.
        delta: d, where the parabola becomes a line; larger than 0.

    Source: Huber (1964).
    """
    clipped = errors.detach().clamp(-delta, delta)
    return clipped * (errors - clipped / 2)


def linear_epsilon(step: int, *, start: float, end: float, steps: int) -> float:
    """The chance of a random action: a straight line from start to end, then flat.

        ε(t) = start + (end − start)·min(t/T, 1)

    Args:
        step: t, counted from 0.
        start: ε at step 0.
        end: ε from step T on.
        steps: T; 0 begins at the end.
    """
    return end if step >= steps else start + (end - start) * step / steps


def epsilon_greedy(q: Float[np.ndarray, "B A"], epsilon: float, *, rng: np.random.Generator) -> Int[np.ndarray, " B"]:
    """For each row an action at random with probability ε, else the first of the best."""
    actions = q.argmax(axis=1)
    explores = rng.random(len(q)) < epsilon
    if explores.any():
        actions[explores] = rng.integers(q.shape[1], size=int(explores.sum()))
    return actions


def dqn_update(
    network: nn.Module, target_network: nn.Module, optimizer: FlatOptimizer, batch: Batch, config: DQNConfig
) -> Update:
    """One gradient step on one batch.

        loss = mean over the batch of w·L(y − Q(s, a))

    No gradient goes through the target y: it is a semi-gradient, as in a table.
    """
    with torch.no_grad():
        next_q = target_network(batch.next_obs)
        if config.double:
            next_q_online = network(batch.next_obs)
            targets = double_dqn_target(
                batch.rewards, next_q, next_q_online, batch.terminated, discount=batch.discounts
            )
        else:
            targets = dqn_target(batch.rewards, next_q, batch.terminated, discount=batch.discounts)
    q = network(batch.obs).gather(1, batch.actions[:, None]).squeeze(1)
    td_errors = targets - q
    losses = huber(td_errors, delta=config.huber_delta)
    loss = losses.mean() if batch.weights is None else (batch.weights * losses).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.clip_gradient(config.max_norm)
    optimizer.step()
    return Update(loss.item(), td_errors.detach(), q.detach())


class Learner:
    """A network, its target network, its optimiser and its memory: all that learns in DQN.

    Args:
        network: Changed in place.
        n_features: F, the width of an observation's row.
        config: What the run may vary.
        device: Where the network lies and learns.

    Attributes:
        updates: Gradient steps so far.
        replay: The memory; whoever acts adds to it.
    """

    def __init__(self, network: nn.Sequential, n_features: int, config: DQNConfig, *, device: torch.device | str):
        self.config, self.network, self.updates = config, network.to(device), 0
        self.optimizer = Adam(network.parameters(), learning_rate=config.learning_rate)
        self.target_network = copy.deepcopy(network).requires_grad_(False)
        if config.priority_exponent > 0:
            self.replay: Replay = PrioritisedReplay(
                config.capacity, n_features, priority_exponent=config.priority_exponent, device=device
            )
        else:
            self.replay = Replay(config.capacity, n_features, device=device)

    def is_due(self) -> bool:
        """Whether there are steps that no update has answered yet."""
        rounds = (self.replay.added - self.config.learning_starts) // self.config.train_interval
        return self.updates < rounds * self.config.updates

    def learn(self, *, rng: np.random.Generator) -> Update:
        """One update on a batch from the memory, and a new copy of the network when it is time.

        Raises:
            ValueError: The loss is not finite.
        """
        config, replay = self.config, self.replay
        if isinstance(replay, PrioritisedReplay):
            done = min(replay.added / config.steps, 1.0)
            replay.importance_exponent = config.importance_exponent + (1 - config.importance_exponent) * done
        batch = replay.sample(config.batch_size, discount=config.discount, n=config.n, rng=rng)
        update = dqn_update(self.network, self.target_network, self.optimizer, batch, config)
        self.updates += 1
        if not math.isfinite(update.loss):
            raise ValueError(f"the loss is {update.loss} at update {self.updates}. Try: a smaller learning_rate")
        if isinstance(replay, PrioritisedReplay):
            replay.update(batch.rows, update.td_errors.cpu().numpy())
        if self.updates % config.target_interval == 0:
            self.target_network.load_state_dict(self.network.state_dict())
        return update

    def state_dict(self) -> dict[str, int]:
        """How many updates were made; network, optimiser and memory are parts of their own."""
        return {"updates": self.updates}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a state that `state_dict` gave."""
        self.updates = state["updates"]


def dqn(
    envs: VectorEnv,
    network: nn.Sequential,
    config: DQNConfig,
    *,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
    checkpoints: Path | None = None,
) -> Iterator[DQNRecord]:
    """Train a network to hold Q, in place, yielding what each `record_interval` steps came to.

    Args:
        envs: A vector environment with numbered actions.
        network: From features to one value for each action, made by `mlp`.
        config: What the run may vary.
        rng: Draws actions and batches, and seeds the environments.
        device: Where the network lies and learns.
        checkpoints: A folder, from which an interrupted run goes on; see `resume.py` for what it costs.

    Raises:
        ValueError: The actions are not numbered, the network does not fit the environment, or a loss is not finite.
    """
    collector = Collector(envs, rng=rng)
    require_fit(network, collector.features.size, discrete_actions(envs, "dqn"))
    learner = Learner(network, collector.features.size, config, device=device)
    saved = _checkpoints(checkpoints, learner, collector, rng)
    records = saved.load(DQNRecord)
    yield from records
    values, replay = ArrayForward(network), learner.replay
    updates: list[Update] = []
    while replay.added < config.steps:
        epsilon = _epsilon(replay.added, config)
        replay.add(collector.step(epsilon_greedy(values(collector.obs), epsilon, rng=rng)))
        while learner.is_due():
            updates.append(learner.learn(rng=rng))
        if replay.added < config.steps and replay.added < (len(records) + 1) * config.record_interval:
            continue
        episodes, collector.finished = collector.finished, []
        records.append(_record(learner, updates, epsilon, episodes))
        updates = []
        if saved.save(records):
            replay.break_off()
        yield records[-1]


def _epsilon(step: int, config: DQNConfig) -> float:
    return linear_epsilon(step, start=config.epsilon_start, end=config.epsilon_end, steps=config.epsilon_steps)


def _record(learner: Learner, updates: list[Update], epsilon: float, episodes: list[Episode]) -> DQNRecord:
    loss = sum(update.loss for update in updates) / len(updates) if updates else math.nan
    q = float(updates[-1].q.mean()) if updates else math.nan
    return DQNRecord(learner.replay.added, learner.updates, loss, q, epsilon, episodes)


def _checkpoints(folder: Path | None, learner: Learner, collector: Collector, rng: np.random.Generator) -> Checkpoints:
    parts: dict[str, Stateful] = {
        "network": learner.network,
        "target_network": learner.target_network,
        "optimizer": learner.optimizer,
        "replay": learner.replay,
        "learner": learner,
    }
    every = learner.config.checkpoint_every
    return Checkpoints(folder, every=every, collector=collector, parts=parts, config=learner.config, rng=rng)
