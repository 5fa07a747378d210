"""DAgger: let the learner walk, and ask the expert what it should have done there.

A clone is trained where the expert goes and used where it goes itself. DAgger (dataset aggregation) closes the gap by
data: the learner makes the steps, the expert names the right action for every state on the way, and all that was ever
labelled is trained on together. So the expert has to answer about any state, not only to demonstrate.

Left out: choosing the best of all policies on held-out walks, as the paper does (the last one is kept here); training
each policy from fresh weights (the weights and the optimiser go on); asking only where an answer is likely to matter.

Source: Ross, Gordon and Bagnell (2011), algorithm 3.1.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from jaxtyping import Bool, Float, Int
from torch import nn

from mazelm.imitation.cloning import CloningConfig, Demonstrations, Expert, View, acting, fit_steps
from mazelm.policy.resume import Checkpoints
from mazelm.policy.rollout import Collector, discrete_actions
from mazelm.tabular.episodes import Episode
from mazelm.training.optim import Adam


@dataclass(frozen=True, kw_only=True)
class DaggerConfig:
    """What a run of DAgger may vary."""

    iterations: int = 20  # policies, the first trained on the expert's own walks
    steps: int = 200  # labelled in each iteration, of all environments together
    decay: float = 0.0  # p: in iteration i the expert makes a step with chance pⁱ⁻¹
    greedy: bool = False  # the learner takes its likeliest action instead of drawing one
    cloning: CloningConfig = field(default_factory=lambda: CloningConfig(updates=200))  # in each iteration
    checkpoint_every: int = 5  # iterations

    def __post_init__(self):
        for name in ("iterations", "steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.decay <= 1:
            raise ValueError(f"decay must be in [0, 1], got {self.decay}")


class DaggerRecord(NamedTuple):
    """What one iteration came to."""

    iteration: int  # counted from 1
    beta: float  # β, the chance that the expert made a step
    queries: int  # how often the expert has been asked, so far
    disagreement: float  # share of the states visited now in which learner and expert differed, before the update
    loss: float  # nats, the mean over the last updates
    episodes: list[Episode]  # that ended in this iteration


class Aggregate:
    """All steps that were ever labelled, in arrays that are made once.

    Args:
        capacity: How many steps there will be, at most.
        n_features: F.
    """

    def __init__(self, capacity: int, n_features: int):
        self._obs, self._actions = np.zeros((capacity, n_features), np.float32), np.zeros(capacity, np.int64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def demonstrations(self) -> Demonstrations:
        """The steps so far; later ones do not show in it."""
        return Demonstrations(self._obs[: self._size], self._actions[: self._size])

    def add(self, obs: Float[np.ndarray, "N F"], actions: Int[np.ndarray, " N"]) -> None:
        """Append labelled steps.

            D ← D ∪ {(oᵢ, π*(sᵢ))}

        A state that comes twice stands there twice: the share of a state in the data is its share of the visits.
        """
        end = self._size + len(actions)
        if end > len(self._actions):
            raise ValueError(f"actions holds {len(actions)} steps, {len(self._actions) - self._size} fit in")
        self._obs[self._size : end], self._actions[self._size : end], self._size = obs, actions, end

    def state_dict(self) -> dict[str, Any]:
        """The arrays, and how far they are filled."""
        return {"obs": self._obs, "actions": self._actions, "size": self._size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        self._obs[:], self._actions[:], self._size = state["obs"], state["actions"], int(state["size"])


def expert_share(iteration: int, decay: float) -> float:
    """β: the chance that the expert makes a step.

        βᵢ = pⁱ⁻¹

    In the first iteration it is 1, whatever p is. p = 0 hands over to the learner in the second.

    Args:
        iteration: i, counted from 1.
        decay: p.

    Source: Ross et al. (2011), section 3, which needs only that the mean of the βᵢ goes to 0.
    """
    if iteration < 1:
        raise ValueError(f"iteration must be at least 1, got {iteration}")
    return decay ** (iteration - 1)  # 0⁰ is 1


def mixed(
    expert_actions: Int[np.ndarray, " B"],
    learner_actions: Int[np.ndarray, " B"],
    beta: float,
    *,
    rng: np.random.Generator,
) -> Int[np.ndarray, " B"]:
    """Who makes the step is drawn anew for each step.

    πᵢ = βᵢ·π* + (1 − βᵢ)·π̂ᵢ
    """
    return np.where(rng.random(len(expert_actions)) < beta, expert_actions, learner_actions)


def dagger(
    envs: VectorEnv,
    model: nn.Sequential,
    expert: Expert,
    config: DaggerConfig,
    *,
    rng: np.random.Generator,
    view: View = lambda obs: obs,
    device: torch.device | str = "cpu",
    checkpoints: Path | None = None,
) -> Iterator[DaggerRecord]:
    """Improve a policy in place by asking the expert where the policy goes, yielding what each iteration came to.

    The walks go on from one iteration to the next, so that an iteration may be shorter than an episode. Every label
    counts as a query, also those of steps that the expert makes itself.

    Args:
        envs: A vector environment with numbered actions.
        model: Of `mlp`: from the learner's features to logits.
        expert: Says for any state what to do.
        config: What the run may vary.
        rng: Draws who makes a step, the learner's actions and the batches, and seeds the environments.
        view: What the learner sees.
        device: Where the model learns.
        checkpoints: A folder. If it holds a checkpoint the run goes on from it, and yields the records before it again;
            see `mazelm.policy.resume`.

    Raises:
        ValueError: The environments have other actions, a loss is not finite, or the checkpoint is of another run.

    Source: Ross et al. (2011), algorithm 3.1.
    """
    discrete_actions(envs, "dagger")
    collector = Collector(envs, rng=rng)
    optimizer = Adam(model.to(device).parameters(), learning_rate=config.cloning.learning_rate)
    learner = acting(model, rng=rng, greedy=config.greedy)
    data = Aggregate(config.iterations * (config.steps + envs.num_envs), view(collector.obs).shape[1])
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "data": data}
    saved = Checkpoints(
        checkpoints, every=config.checkpoint_every, collector=collector, parts=parts, config=config, rng=rng
    )
    records = saved.load(DaggerRecord)
    yield from records
    for i in range(len(records) + 1, config.iterations + 1):
        beta, different = expert_share(i, config.decay), []
        for obs, labels, wrong in _walk(collector, expert, learner, view, beta, config.steps, rng=rng):
            data.add(obs, labels)
            different.append(wrong)
        *_, last = fit_steps(data.demonstrations, model, optimizer, config.cloning, rng=rng, device=device)
        episodes, collector.finished = collector.finished, []
        differed = float(np.concatenate(different).mean())
        records.append(DaggerRecord(i, beta, len(data), differed, last.loss, episodes))
        saved.save(records)
        yield records[-1]


def _walk(
    collector: Collector,
    expert: Expert,
    learner: Expert,
    view: View,
    beta: float,
    steps: int,
    *,
    rng: np.random.Generator,
) -> Iterator[tuple[Float[np.ndarray, "N F"], Int[np.ndarray, " N"], Bool[np.ndarray, " N"]]]:
    """At least so many steps under the mixture: what was seen, what was right, and whether the learner differed."""
    walked = 0
    while walked < steps:
        seen = view(collector.obs)
        labels, actions = expert(collector.obs), learner(seen)
        mask = collector.step(mixed(labels, actions, beta, rng=rng)).mask
        walked += int(mask.sum())
        yield seen[mask], labels[mask], (labels != actions)[mask]
