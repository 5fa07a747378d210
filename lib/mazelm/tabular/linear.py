"""Values that are linear in features: V(s) = x(s)ᵀw, with fewer weights than there are states.

An update changes the weights, and so the values of all states that share a feature with the one that was visited.
Semi-gradient TD learns from its own guess of the next state; it may diverge when it learns off-policy. TDC learns a
second set of weights and does not.

A table is the case in which the features are the rows of the identity.

Source: Sutton & Barto (2018), chapters 9 and 11.

Left out: features that are learned (chapter 9), eligibility traces, and emphatic weightings.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from jaxtyping import Float, Num

from mazelm.tabular.episodes import Episode, Transition, count, experience, reset_seeds, run_episode
from mazelm.tabular.mdp import as_probabilities
from mazelm.tabular.td import TDConfig


@dataclass(frozen=True, kw_only=True)
class LinearTDConfig:
    """What a run of linear TD learning may vary."""

    steps: int = 10_000
    step_size: float = 0.01  # α; what is small depends on how long the feature vectors are
    discount: float = 0.99  # γ

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if not self.step_size > 0:
            raise ValueError(f"step_size must be above 0, got {self.step_size}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must be in [0, 1], got {self.discount}")


@dataclass(frozen=True, kw_only=True)
class TDCConfig(LinearTDConfig):
    """What a run of TDC may vary."""

    error_step_size: float = 0.05  # β, of the second set of weights; larger than α as a rule

    def __post_init__(self):
        super().__post_init__()
        if not self.error_step_size > 0:
            raise ValueError(f"error_step_size must be above 0, got {self.error_step_size}")


def linear_td_update(
    weights: Float[np.ndarray, " d"],
    features: Float[np.ndarray, "S d"],
    step: Transition,
    *,
    step_size: float,
    discount: float,
    ratio: float = 1.0,
) -> float:
    """Move the weights so that V(s) comes nearer to the reward plus the discounted guess V(s′); return the TD error.

        δ = r + γ·x(s′)ᵀw − x(s)ᵀw        with x(s′)ᵀw = 0 where the step ended the task
        w ← w + α·ρ·δ·x(s)

    In place. A semi-gradient: the target holds w as well, and is treated as if it did not.

    Args:
        weights: w.
        features: x(s), one row for each state.
        step: What happened.
        step_size: α, above 0.
        discount: γ, in [0, 1].
        ratio: ρ = π(a | s) / b(a | s) where b acts and π is learned about; 1 on-policy.

    Source: Sutton & Barto (2018), sections 9.3 and 11.1.
    """
    td_error = _td_error(weights, features, step, discount)
    weights += step_size * ratio * td_error * features[step.state]
    return td_error


def gradient_mc_update(
    weights: Float[np.ndarray, " d"],
    features: Float[np.ndarray, "S d"],
    state: int,
    observed_return: float,
    *,
    step_size: float,
) -> float:
    """Move the weights so that V(s) comes nearer to the return that followed s, in place; return the error.

        w ← w + α·(G − x(s)ᵀw)·x(s)

    A true gradient step on the squared error: the return does not depend on w.

    Args:
        weights: w.
        features: x(s), one row for each state.
        state: s.
        observed_return: G.
        step_size: α, above 0.

    Source: Sutton & Barto (2018), section 9.3, "Gradient Monte Carlo".
    """
    error = observed_return - float(features[state] @ weights)
    weights += step_size * error * features[state]
    return error


def tdc_update(
    weights: Float[np.ndarray, " d"],
    error_weights: Float[np.ndarray, " d"],
    features: Float[np.ndarray, "S d"],
    step: Transition,
    *,
    step_size: float,
    error_step_size: float,
    discount: float,
    ratio: float = 1.0,
) -> float:
    """TD with gradient correction: take back what the update does to the next state; return the TD error.

        w ← w + α·ρ·(δ·x(s) − γ·x(s′)·x(s)ᵀv)        with x(s′) = 0 where the step ended the task
        v ← v + β·ρ·(δ − x(s)ᵀv)·x(s)

    Both in place, both from the old values. x(s)ᵀv learns to predict the TD error at s.

    Args:
        weights: w.
        error_weights: v.
        features: x(s), one row for each state.
        step: What happened.
        step_size: α, above 0.
        error_step_size: β, above 0.
        discount: γ, in [0, 1].
        ratio: ρ, as for linear_td_update.

    Source: Sutton et al. (2009); Sutton & Barto (2018), section 11.7. With an importance ratio as there.
    """
    td_error = _td_error(weights, features, step, discount)
    expected_error = float(features[step.state] @ error_weights)
    weights += step_size * ratio * td_error * features[step.state]
    if not step.terminated:
        weights -= step_size * ratio * discount * expected_error * features[step.next_state]
    error_weights += error_step_size * ratio * (td_error - expected_error) * features[step.state]
    return td_error


def linear_td(
    env: gym.Env,
    features: Float[np.ndarray, "S d"],
    weights: Float[np.ndarray, " d"],
    target: Num[np.ndarray, "..."],
    config: LinearTDConfig,
    *,
    behaviour: Num[np.ndarray, "..."] | None = None,
    rng: np.random.Generator,
) -> Iterator[Transition]:
    """Learn the value of a policy by semi-gradient TD(0), in place, yielding each step that was learned from.

    Args:
        env: Numbered states and actions. When an episode is over, the next one begins.
        features: x(s), one row for each state.
        weights: w, where to begin.
        target: π, one action for each state (S,), or the probability of each action (S, A).
        config: Steps, step size and discount.
        behaviour: b, of the same forms, the policy that acts; π itself if None.
        rng: Where chance comes from, also the environment's.

    Raises:
        ValueError: The behaviour policy never takes an action that the target policy takes.
    """
    acting, ratios = _policies(target, behaviour, len(features), count(env.action_space))
    for step in experience(env, acting, config.steps, rng=rng):
        linear_td_update(
            weights,
            features,
            step,
            step_size=config.step_size,
            discount=config.discount,
            ratio=ratios[step.state, step.action],
        )
        yield step


def linear_tdc(
    env: gym.Env,
    features: Float[np.ndarray, "S d"],
    weights: Float[np.ndarray, " d"],
    target: Num[np.ndarray, "..."],
    config: TDCConfig,
    *,
    behaviour: Num[np.ndarray, "..."] | None = None,
    rng: np.random.Generator,
) -> Iterator[Transition]:
    """The same by TDC. Its second set of weights begins at 0."""
    acting, ratios = _policies(target, behaviour, len(features), count(env.action_space))
    error_weights = np.zeros_like(weights)
    for step in experience(env, acting, config.steps, rng=rng):
        tdc_update(
            weights,
            error_weights,
            features,
            step,
            step_size=config.step_size,
            error_step_size=config.error_step_size,
            discount=config.discount,
            ratio=ratios[step.state, step.action],
        )
        yield step


def gradient_mc(
    env: gym.Env,
    features: Float[np.ndarray, "S d"],
    weights: Float[np.ndarray, " d"],
    policy: Num[np.ndarray, "..."],
    config: TDConfig,
    *,
    rng: np.random.Generator,
) -> Iterator[Episode]:
    """Learn the value of the policy that acts from whole returns, in place, yielding what each episode came to.

    What would have followed an episode that a time limit cut short is taken from the present guess of its last state.

    Source: Sutton & Barto (2018), section 9.3, "Gradient Monte Carlo".
    """
    for seed in reset_seeds(config.episodes, rng):
        trajectory = run_episode(env, policy, rng=rng, seed=seed)
        returns = trajectory.returns(config.discount, bootstrap=float(features[trajectory.last_state] @ weights))
        for state, observed_return in zip(trajectory.states, returns, strict=True):
            gradient_mc_update(weights, features, state, observed_return, step_size=config.step_size)
        yield Episode(sum(trajectory.rewards), len(returns), trajectory.terminated)


def _td_error(
    weights: Float[np.ndarray, " d"], features: Float[np.ndarray, "S d"], step: Transition, discount: float
) -> float:
    future = 0.0 if step.terminated else float(features[step.next_state] @ weights)
    return step.reward + discount * future - float(features[step.state] @ weights)


def _policies(
    target: Num[np.ndarray, "..."], behaviour: Num[np.ndarray, "..."] | None, n_states: int, n_actions: int
) -> tuple[Float[np.ndarray, "S A"], Float[np.ndarray, "S A"]]:
    """The policy that acts, and the ratio π(a | s) / b(a | s) of each of its actions."""
    wanted = as_probabilities(target, n_states, n_actions)
    acting = wanted if behaviour is None else as_probabilities(behaviour, n_states, n_actions)
    missing = (acting == 0) & (wanted > 0)
    if missing.any():
        s, a = np.argwhere(missing)[0]
        raise ValueError(f"behaviour[{s}, {a}] must be above 0, as the target policy takes that action, got 0")
    return acting, wanted / np.where(acting > 0, acting, 1.0)
