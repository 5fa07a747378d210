"""A model of the rules in a network: where a step leads and what it pays, for states that are rows of numbers.

It is plain regression. The network is asked for the *change* s′ − s, which is small and smooth where s′ itself is
mostly s again; inputs and targets are brought to mean 0 and spread 1. One step is easy; a plan of many steps feeds each
prediction into the next, and errors grow on the way.

Source: Sutton (1991) for planning with learned models; Nagabandi et al. (2018) for the change as target.

Left out: the end of the task (a pendulum has none), chance (such models give a distribution), and several networks that
can disagree, by which a planner sees where it should not trust them (Chua et al. 2018).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mazelm.policy.networks import ArrayForward, mlp
from mazelm.policy.rollout import Collector
from mazelm.training.optim import Adam

Rules = Callable[[Float[np.ndarray, "B D"], Float[np.ndarray, "B A"]], tuple[np.ndarray, np.ndarray]]


class Experience(NamedTuple):
    """N steps, in any order. `next_states` is what a step reached, before any reset."""

    states: Float[np.ndarray, "N D"]
    actions: Float[np.ndarray, "N A"]
    rewards: Float[np.ndarray, " N"]
    next_states: Float[np.ndarray, "N D"]


class FitRecord(NamedTuple):
    """One epoch of training."""

    epoch: int  # counted from 1
    loss: float  # mean over the updates of the epoch, in units of the targets' variance


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """What the training of a model may vary."""

    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 1e-3

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")


class DynamicsModel:
    """A network that predicts the next state and the reward.

        ŝ′ = s + change(s, a)    or, with `change` switched off, the state itself
        r̂ = reward(s, a)

    Make it inside `with seeded(n):`, which fixes its first weights.

    Args:
        experience: What it will be fitted to: gives the sizes, and the scale of each number.
        hidden: The widths of the hidden layers.
        change: Predict s′ − s instead of s′.
    """

    def __init__(self, experience: Experience, *, hidden: tuple[int, ...] = (64, 64), change: bool = True):
        self.change = change
        if len(experience.states) < 2:
            raise ValueError(f"experience must hold at least 2 steps, got {len(experience.states)}")
        inputs, targets = self.pairs(experience)
        self.network = mlp([inputs.shape[1], *hidden, targets.shape[1]])
        self.input_scale, self.target_scale = _scale(inputs), _scale(targets)

    def pairs(self, experience: Experience) -> tuple[Float[np.ndarray, "N I"], Float[np.ndarray, "N O"]]:
        """What goes in, (s, a), and what should come out, (s′ − s, r)."""
        target = experience.next_states - experience.states if self.change else experience.next_states
        inputs = np.concatenate([experience.states, experience.actions], axis=1)
        return inputs, np.concatenate([target, experience.rewards[:, None]], axis=1)

    def __call__(
        self, states: Float[np.ndarray, "B D"], actions: Float[np.ndarray, "B A"]
    ) -> tuple[Float[np.ndarray, "B D"], Float[np.ndarray, " B"]]:
        """The next states and the rewards that the network expects."""
        mean, spread = self.input_scale
        rows = ((np.concatenate([states, actions], axis=1) - mean) / spread).astype(np.float32)
        out = ArrayForward(self.network)(rows) * self.target_scale[1] + self.target_scale[0]
        return (states + out[:, :-1] if self.change else out[:, :-1]), out[:, -1]


def model_loss(predicted: Float[Tensor, "B O"], target: Float[Tensor, "B O"]) -> Float[Tensor, ""]:
    """Mean squared error over a batch and over the numbers that are predicted.

    L = mean over i and j of (ŷᵢⱼ − yᵢⱼ)²
    """
    return (predicted - target).square().mean()


def fit_model(
    model: DynamicsModel, experience: Experience, config: FitConfig, *, rng: np.random.Generator
) -> Iterator[FitRecord]:
    """Fit the network to experience, in place, yielding the loss of each epoch.

    Args:
        model: Trained in place.
        experience: What to learn from.
        config: Epochs, batch size and learning rate.
        rng: Draws the order of the steps.

    Raises:
        ValueError: The loss is not finite.
    """
    inputs, targets = model.pairs(experience)
    x, y = _scaled(inputs, model.input_scale), _scaled(targets, model.target_scale)
    optimizer = Adam(model.network.parameters(), learning_rate=config.learning_rate)
    for epoch in range(1, config.epochs + 1):
        losses = []
        for batch in torch.from_numpy(rng.permutation(len(x))).split(config.batch_size):
            loss = model_loss(model.network(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        mean = torch.stack(losses).mean().item()
        if not np.isfinite(mean):
            raise ValueError(f"loss is {mean} in epoch {epoch}. Try: a smaller learning_rate, or look for NaN")
        yield FitRecord(epoch, mean)


def gather(
    collector: Collector, policy: Callable[[Float[np.ndarray, "B D"]], Float[np.ndarray, "B A"]], n_steps: int
) -> Experience:
    """Follow a policy, and keep the real steps: those that only reset an environment teach nothing of the rules.

    Args:
        collector: Goes on from where it is.
        policy: From states to actions.
        n_steps: In each environment.
    """
    steps = [collector.step(policy(collector.obs)) for _ in range(n_steps)]
    kept = [(s.obs[s.mask], s.actions[s.mask], s.rewards[s.mask], s.next_obs[s.mask]) for s in steps]
    return Experience(*(np.concatenate(column) for column in zip(*kept, strict=True)))


def rollout(
    rules: Rules, states: Float[np.ndarray, "B D"], actions: Float[np.ndarray, "T B A"]
) -> tuple[Float[np.ndarray, "T+1 B D"], Float[np.ndarray, "T B"]]:
    """Imagine: feed each prediction back into the model.

        ŝ₀ = s₀,  ŝₜ₊₁, r̂ₜ = model(ŝₜ, aₜ)

    Args:
        rules: A model, or the true rules: from states and actions to next states and rewards.
        states: Where to begin.
        actions: What is done, whatever happens.

    Returns:
        The T + 1 states, the first one given, and the T rewards.
    """
    imagined, rewards = [states], []
    for now in actions:
        following, reward = rules(imagined[-1], now)
        imagined.append(following)
        rewards.append(reward)
    return np.stack(imagined), np.stack(rewards)


def rollout_error(imagined: Float[np.ndarray, "T B D"], real: Float[np.ndarray, "T B D"]) -> Float[np.ndarray, " T"]:
    """How far the imagined states are from the real ones, by the number of steps imagined.

    eₖ = √( mean over B of ‖ŝₖ − sₖ‖² )
    """
    return np.sqrt(((imagined - real) ** 2).sum(axis=2).mean(axis=1))


def compounding_bound(one_step_error: float, lipschitz: float, steps: int) -> float:
    """How far a prediction of k steps can be off when each single step is off by ε at most.

        eₖ ≤ ε·(1 + L + L² + … + Lᵏ⁻¹)

    Args:
        one_step_error: ε, the largest error of one step from any state on the real way.
        lipschitz: L, by how much the model can stretch the distance of two states in one step, at most.
        steps: k.

    Source: Asadi et al. (2018), here for models without chance.
    """
    for name, value in (("one_step_error", one_step_error), ("lipschitz", lipschitz), ("steps", steps)):
        if not value >= 0:
            raise ValueError(f"{name} must not be negative, got {value}")
    return one_step_error * sum(lipschitz**i for i in range(steps))


def _scale(rows: Float[np.ndarray, "N D"]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and spread of each column."""
    spread = rows.std(axis=0)
    return rows.mean(axis=0), np.where(spread > 0, spread, 1.0)


def _scaled(rows: Float[np.ndarray, "N D"], scale: tuple[np.ndarray, np.ndarray]) -> Float[Tensor, "N D"]:
    return torch.from_numpy(((rows - scale[0]) / scale[1]).astype(np.float32))
