"""Off-policy Monte Carlo: action values of one policy, learned episode by episode while another policy acts.

The loops keep the weighted means of `importance_sampling` up to date without keeping the episodes: each pair of a state
and an action has its mean and the sum of the ratios behind it. They run through an episode from its end, and stop where
the ratio becomes zero.

Source: Sutton & Barto (2018), sections 5.6 and 5.7. Their episodes all end; what to do about a time limit is added.

Left out: ratios cut to the part of the return that still counts when it is discounted (their section 5.8).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from jaxtyping import Float, Num

from mazelm.tabular.episodes import Episode, Trajectory, reset_seeds, run_episode
from mazelm.tabular.importance_sampling import step_log_ratios
from mazelm.tabular.mdp import as_probabilities


@dataclass(frozen=True, kw_only=True)
class OffPolicyConfig:
    """What a run of off-policy Monte Carlo may vary."""

    episodes: int = 1000
    discount: float = 1.0  # γ

    def __post_init__(self):
        if self.episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {self.episodes}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must be in [0, 1], got {self.discount}")


def weighted_update(
    q: Float[np.ndarray, "S A"],
    weights: Float[np.ndarray, "S A"],
    trajectory: Trajectory,
    target: Float[np.ndarray, "S A"],
    behaviour: Float[np.ndarray, "S A"],
    *,
    discount: float,
) -> int:
    """Take one more episode into the weighted estimate of every action value it visits, in place.

    From the last step to the first, with ρ the ratio of the steps after t (the action at t is given):

        G ← rₜ + γ·G
        C(s, a) ← C(s, a) + ρ
        Q(s, a) ← Q(s, a) + (ρ / C(s, a))·(G − Q(s, a))
        ρ ← ρ·π(a | s) / b(a | s)

    Where a time limit cut the episode short, G begins with the present estimate of the last state, Σₐ π(a | s)·Q(s, a).

    Args:
        q: Q(s, a), the weighted means so far.
        weights: C(s, a), the sums of the ratios so far.
        trajectory: An episode that the behaviour policy made.
        target: π(a | s), the policy to learn about.
        behaviour: b(a | s), the policy that acted.
        discount: γ, the worth now of one unit of reward one step later.

    Returns:
        How many steps, counted from the end, were learned from: before them ρ is 0.

    Source: Sutton & Barto (2018), section 5.6, the loop of off-policy prediction.
    """
    last = trajectory.last_state
    following = 0.0 if trajectory.terminated else float(target[last] @ q[last])
    factors = np.exp(step_log_ratios(trajectory, target, behaviour))
    ratio = 1.0
    steps = len(trajectory.rewards)
    for t in reversed(range(steps)):
        pair = trajectory.states[t], trajectory.actions[t]
        following = trajectory.rewards[t] + discount * following
        _average_in(q, weights, pair, following, ratio)
        ratio *= float(factors[t])
        if ratio == 0:  # the target policy would not go this way: earlier steps learn nothing
            return steps - t
    return steps


def greedy_weighted_update(
    q: Float[np.ndarray, "S A"],
    weights: Float[np.ndarray, "S A"],
    trajectory: Trajectory,
    behaviour: Float[np.ndarray, "S A"],
    *,
    discount: float,
) -> int:
    """The same for the policy that is greedy with respect to q itself, as it changes.

    Only the steps from the last action on that was not greedy are learned from. Where a time limit cut the episode
    short, G begins with the largest value of the last state. Returns how many steps were learned from.

    Source: Sutton & Barto (2018), section 5.7, the loop of off-policy control.
    """
    following = 0.0 if trajectory.terminated else float(q[trajectory.last_state].max())
    ratio = 1.0
    steps = len(trajectory.rewards)
    for t in reversed(range(steps)):
        pair = trajectory.states[t], trajectory.actions[t]
        following = trajectory.rewards[t] + discount * following
        _average_in(q, weights, pair, following, ratio)
        if pair[1] != q[pair[0]].argmax():
            return steps - t
        ratio /= float(behaviour[pair])
    return steps


def off_policy_prediction(
    env: gym.Env,
    q: Float[np.ndarray, "S A"],
    target: Num[np.ndarray, "..."],
    behaviour: Num[np.ndarray, "..."],
    config: OffPolicyConfig,
    *,
    rng: np.random.Generator,
) -> Iterator[Episode]:
    """Estimate the action values of the target policy in place, while the behaviour policy acts.

    Args:
        env: An environment with numbered states and actions.
        q: Q(s, a), the first estimates. A pair keeps its own until an episode with a positive ratio visits it.
        target: π, one action for each state (S,), or the probability of each action (S, A).
        behaviour: b, of the same forms. It must take, now and then, every action that the target takes.
        config: Number of episodes, and the discount.
        rng: Where chance comes from.
    """
    target, behaviour = as_probabilities(target, *q.shape), as_probabilities(behaviour, *q.shape)
    weights = np.zeros(q.shape)
    for trajectory in _episodes(env, behaviour, config.episodes, rng=rng):
        weighted_update(q, weights, trajectory, target, behaviour, discount=config.discount)
        yield Episode(sum(trajectory.rewards), len(trajectory.rewards), trajectory.terminated)


def off_policy_control(
    env: gym.Env,
    q: Float[np.ndarray, "S A"],
    behaviour: Num[np.ndarray, "..."],
    config: OffPolicyConfig,
    *,
    rng: np.random.Generator,
) -> Iterator[Episode]:
    """Find the best policy in place, while the behaviour policy acts: the target is greedy with respect to q.

    Args:
        env: An environment with numbered states and actions.
        q: Q(s, a), the first estimates.
        behaviour: b, the probability of each action (S, A), all positive.
        config: Number of episodes, and the discount.
        rng: Where chance comes from.

    Raises:
        ValueError: The behaviour policy never takes some action, which might be the best one.
    """
    behaviour = as_probabilities(behaviour, *q.shape)
    if (behaviour <= 0).any():
        s, a = np.argwhere(behaviour <= 0)[0]
        raise ValueError(f"behaviour[{s}, {a}] must be positive: an action that is never tried cannot be judged")
    weights = np.zeros(q.shape)
    for trajectory in _episodes(env, behaviour, config.episodes, rng=rng):
        greedy_weighted_update(q, weights, trajectory, behaviour, discount=config.discount)
        yield Episode(sum(trajectory.rewards), len(trajectory.rewards), trajectory.terminated)


def _average_in(
    q: Float[np.ndarray, "S A"], weights: Float[np.ndarray, "S A"], pair: tuple[int, int], value: float, ratio: float
) -> None:
    """One more value for a weighted mean, in place."""
    weights[pair] += ratio
    if not math.isfinite(weights[pair]):
        raise OverflowError(f"the ratios at state {pair[0]}, action {pair[1]} have grown beyond a float")
    q[pair] += ratio / weights[pair] * (value - q[pair])


def _episodes(
    env: gym.Env, behaviour: Float[np.ndarray, "S A"], count: int, *, rng: np.random.Generator
) -> Iterator[Trajectory]:
    for seed in reset_seeds(count, rng):
        yield run_episode(env, behaviour, rng=rng, seed=seed)
