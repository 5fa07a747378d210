"""Behaviour cloning: the expert's steps become a data set, and what to do becomes a question of classification.

The expert is a function of what the environment shows. The learner may be shown less: `view` makes its features from
the same rows. So a planner that knows the whole maze can teach a walker that sees only what lies around it.

Left out: continuous actions, where a mean squared error blends two good actions into a bad one; and checkpoints, for a
run takes seconds (`mazelm.training.loop.fit` trains on the same data with them).

Source: Pomerleau (1989), who cloned a driver; Pomerleau (1991) for data that the expert never produced.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn

from mazelm.policy.networks import ArrayForward, logp_of, sample
from mazelm.policy.rollout import Collector, discrete_actions
from mazelm.training.optim import Adam, FlatOptimizer

# From the rows that B environments show, in their order, to an action for each; or to the learner's features.
Expert = Callable[[Float[np.ndarray, "B F"]], Int[np.ndarray, " B"]]
View = Callable[[Float[np.ndarray, "B F"]], Float[np.ndarray, "B G"]]


@dataclass(frozen=True, kw_only=True)
class CloningConfig:
    """What a run of cloning may vary."""

    updates: int = 2000  # gradient steps
    batch_size: int = 128  # steps of the expert, drawn with replacement
    learning_rate: float = 3e-3
    record_every: int = 100  # updates

    def __post_init__(self):
        for name in ("updates", "batch_size", "record_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")


class Demonstrations(NamedTuple):
    """Steps of an expert, in no order that matters."""

    obs: Float[np.ndarray, "N F"]  # what the learner would have seen
    actions: Int[np.ndarray, " N"]  # what the expert did, or would have done


class CloningRecord(NamedTuple):
    """What some updates came to."""

    update: int  # the last of them, counted from 1
    loss: float  # nats, the mean over these updates, while the weights were changing


@dataclass(frozen=True)
class Symmetry:
    """A change that leaves the task the same: what is seen is rearranged, and actions change their names.

    A maze that is turned upside down is a maze, and up is down in it.

    Attributes:
        features: Feature i of the changed observation is feature features[i] of the old one.
        actions: What action a is called after the change.
    """

    features: Int[np.ndarray, " F"]
    actions: Int[np.ndarray, " A"]

    def __call__(self, demonstrations: Demonstrations) -> Demonstrations:
        """The steps that the expert would have shown in the changed task."""
        obs, actions = demonstrations
        return Demonstrations(obs[:, self.features], self.actions[actions])


def demonstrate(
    envs: VectorEnv, expert: Expert, steps: int, *, rng: np.random.Generator, view: View = lambda obs: obs
) -> Demonstrations:
    """Let the expert act, and write down what it did.

    Args:
        envs: A vector environment with numbered actions.
        expert: What to do.
        steps: N, of all environments together.
        rng: Seeds the environments.
        view: What the learner sees of it.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    discrete_actions(envs, "demonstrate")
    collector, rows, labels, n_steps = Collector(envs, rng=rng), [], [], 0
    while n_steps < steps:
        seen, actions = view(collector.obs), expert(collector.obs)
        mask = collector.step(actions).mask
        rows.append(seen[mask])
        labels.append(actions[mask])
        n_steps += int(mask.sum())
    return Demonstrations(np.concatenate(rows)[:steps], np.concatenate(labels)[:steps])


def augmented(demonstrations: Demonstrations, symmetries: Sequence[Symmetry]) -> Demonstrations:
    """The steps themselves, and a changed copy of all of them for each symmetry.

    An expert that breaks ties by a fixed order does not respect a symmetry where two actions are equally good: there
    the copy has another action than the expert, as good, but not the same.
    """
    copies = [demonstrations, *(symmetry(demonstrations) for symmetry in symmetries)]
    return Demonstrations(*(np.concatenate(column) for column in zip(*copies, strict=True)))


def cloning_loss(logits: Float[Tensor, "N A"], actions: Integer[Tensor, " N"]) -> Float[Tensor, ""]:
    """How surprised the learner is by what the expert did, in nats per step.

        L = −(1/N)·Σᵢ log π(aᵢ | oᵢ)

    Args:
        logits: Of the learner's policy, for what it sees.
        actions: The expert's.

    Source: the cross-entropy of classification; Pomerleau (1989) has the squared error in its place.
    """
    return -logp_of(logits, actions).mean()


def clone(
    demonstrations: Demonstrations,
    model: nn.Module,
    config: CloningConfig,
    *,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
) -> Iterator[CloningRecord]:
    """Make a policy that does what the expert did, in place, yielding what the updates came to.

    Args:
        demonstrations: What to imitate.
        model: From features (N, F) to logits (N, A).
        config: What the run may vary.
        rng: Draws the batches.
        device: Where the model learns.

    Raises:
        ValueError: There is nothing to imitate, or a loss is not finite.

    Source: Pomerleau (1989).
    """
    optimizer = Adam(model.to(device).parameters(), learning_rate=config.learning_rate)
    yield from fit_steps(demonstrations, model, optimizer, config, rng=rng, device=device)


def fit_steps(
    demonstrations: Demonstrations,
    model: nn.Module,
    optimizer: FlatOptimizer,
    config: CloningConfig,
    *,
    rng: np.random.Generator,
    device: torch.device | str = "cpu",
) -> Iterator[CloningRecord]:
    """The updates of `clone`, with an optimiser that was made before: DAgger goes on with it as data come in."""
    if len(demonstrations.actions) == 0:
        raise ValueError("demonstrations is empty: there is nothing to imitate")
    obs, actions = (torch.from_numpy(np.ascontiguousarray(column)).to(device) for column in demonstrations)
    total, first = torch.zeros((), device=device), 0
    for update in range(1, config.updates + 1):
        rows = torch.from_numpy(rng.integers(len(actions), size=config.batch_size)).to(device)
        loss = cloning_loss(model(obs[rows]), actions[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
        if update % config.record_every == 0 or update == config.updates:
            mean = total.item() / (update - first)
            if not math.isfinite(mean):
                raise ValueError(f"the loss is {mean} in updates {first + 1} to {update}. Try: a smaller learning_rate")
            yield CloningRecord(update, mean)
            total, first = torch.zeros_like(total), update


def acting(model: nn.Sequential, *, rng: np.random.Generator, greedy: bool = False) -> Expert:
    """The learner as a function from its features to actions, as `mazelm.policy.rollout.play_episodes` takes it.

    Args:
        model: Of `mlp`; later changes of its weights are seen.
        rng: Draws the actions.
        greedy: Always the likeliest action, instead of drawing from the policy.
    """
    forward = ArrayForward(model)
    if greedy:
        return lambda obs: forward(obs).argmax(axis=1)
    return lambda obs: sample(forward(obs), rng=rng)[0]


@torch.no_grad()
def policy_table(model: nn.Module, obs: Float[np.ndarray, "S F"], *, greedy: bool = False) -> Float[np.ndarray, "S A"]:
    """The probability of each action in each of S states, from what the learner sees there: for exact evaluation."""
    logits = model(torch.from_numpy(obs).to(next(model.parameters()).device)).double().cpu().numpy()
    if greedy:
        return np.eye(logits.shape[1])[logits.argmax(axis=1)]
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return chances / chances.sum(axis=1, keepdims=True)
