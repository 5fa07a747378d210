"""n-step returns: look at n rewards before trusting a guess.

With n = 1 this is TD(0) and Sarsa, with n as long as the episode it is Monte Carlo, and between them lies a family. A
state is updated n steps after it was left, when the rewards have been seen; the last n states of an episode are updated
at its end.

Tables are lists of Python floats, as in `td.py`.

Source: Watkins (1989) for the n-step return; Sutton & Barto (2018), sections 7.1 and 7.2.

Left out: off-policy n-step methods with their ratios, and tree backups (sections 7.3 to 7.6).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from jaxtyping import Float, Num

from mazelm.tabular.episodes import Episode, Trajectory, Transition, reset_seeds, uniforms, walks
from mazelm.tabular.td import Table, TDConfig, TDControlConfig, choose, require_own_rows


@dataclass(frozen=True, kw_only=True)
class NStepConfig(TDConfig):
    """What a run of n-step prediction may vary."""

    n: int = 4  # rewards in a target, before the guess

    def __post_init__(self):
        super().__post_init__()
        _require_whole(self.n)


@dataclass(frozen=True, kw_only=True)
class NStepSarsaConfig(TDControlConfig):
    """What a run of n-step Sarsa may vary."""

    n: int = 4  # rewards in a target, before the guess

    def __post_init__(self):
        super().__post_init__()
        _require_whole(self.n)


def n_step_return(
    trajectory: Trajectory, t: int, values: Sequence[float] | Float[np.ndarray, " S"], *, n: int, discount: float
) -> float:
    """The n rewards from step t on, and the guess of what follows them.

        Gₜ:ₜ₊ₙ = rₜ + γ·rₜ₊₁ + … + γⁿ⁻¹·rₜ₊ₙ₋₁ + γⁿ·V(sₜ₊ₙ)

    Fewer rewards where the episode is over before. If the task ended there, no guess is added; if a time limit cut the
    episode short, the guess of the last state is.

    Args:
        trajectory: The episode.
        t: The step from which to look, counted from 0.
        values: V, one number for each state.
        n: How many rewards, at least 1.
        discount: γ, in [0, 1].

    Source: Sutton & Barto (2018), equation 7.1.
    """
    _require_whole(n)
    if not 0 <= t < len(trajectory.rewards):
        raise ValueError(f"t must be a step from 0 to {len(trajectory.rewards) - 1}, got {t}")
    end = t + n
    if end < len(trajectory.states):
        future = float(values[trajectory.states[end]])
    else:
        future = 0.0 if trajectory.terminated else float(values[trajectory.last_state])
    return _discounted(trajectory.rewards[t:end], future, discount)


def n_step_update(values: list[float], recent: Sequence[Transition], *, step_size: float, discount: float) -> float:
    """Move V of the first of several successive steps toward its n-step return, in place; return the error.

        V(s) ← V(s) + α·(Gₜ:ₜ₊ₙ − V(s))

    Args:
        values: V, one number for each state.
        recent: The steps whose rewards the return holds, n of them or fewer at an episode's end; the first leaves s.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].

    Source: Sutton & Barto (2018), equation 7.2.
    """
    first, last = recent[0], recent[-1]
    future = 0.0 if last.terminated else values[last.next_state]
    error = _discounted([step.reward for step in recent], future, discount) - values[first.state]
    values[first.state] += step_size * error
    return error


def n_step_sarsa_update(
    q: Table, recent: Sequence[Transition], next_action: int, *, step_size: float, discount: float
) -> float:
    """Move Q of the first of several successive steps toward its n-step return, in place; return the error.

        Gₜ:ₜ₊ₙ = rₜ + γ·rₜ₊₁ + … + γⁿ⁻¹·rₜ₊ₙ₋₁ + γⁿ·Q(sₜ₊ₙ, aₜ₊ₙ)
        Q(s, a) ← Q(s, a) + α·(Gₜ:ₜ₊ₙ − Q(s, a))

    Args:
        q: The table.
        recent: The steps whose rewards the return holds; the first takes a in s.
        next_action: What is done after the last of them. Not used where it ended the task.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].

    Source: Sutton & Barto (2018), equations 7.4 and 7.5.
    """
    first, last = recent[0], recent[-1]
    future = 0.0 if last.terminated else q[last.next_state][next_action]
    error = _discounted([step.reward for step in recent], future, discount) - q[first.state][first.action]
    q[first.state][first.action] += step_size * error
    return error


def learn_n_step(values: list[float], steps: Iterable[Transition], config: NStepConfig) -> Episode:
    """Improve V in place from one episode, while it happens: each state n steps after it was left."""
    recent: deque[Transition] = deque()
    total, count = 0.0, 0
    for step in steps:
        recent.append(step)
        total, count = total + step.reward, count + 1
        if len(recent) == config.n:
            n_step_update(values, recent, step_size=config.step_size, discount=config.discount)
            recent.popleft()
    while recent:  # no more rewards will come: the last states have shorter returns
        n_step_update(values, recent, step_size=config.step_size, discount=config.discount)
        recent.popleft()
    return Episode(total, count, step.terminated)


def n_step_prediction(
    env: gym.Env, policy: Num[np.ndarray, "..."], values: list[float], config: NStepConfig, *, rng: np.random.Generator
) -> Iterator[Episode]:
    """Estimate what a policy is worth: improve V in place while following it, yielding what each episode came to.

    Args:
        env: Numbered states and actions; a time limit if the policy may walk for ever.
        policy: One action for each state (S,), or the probability of each action (S, A).
        values: V, where to begin.
        config: Episodes, step size, discount and n.
        rng: Where chance comes from, also the environment's.

    Source: Sutton & Barto (2018), section 7.1, "n-step TD".
    """
    for steps in walks(env, policy, config.episodes, rng=rng):
        yield learn_n_step(values, steps, config)


def n_step_sarsa(env: gym.Env, q: Table, config: NStepSarsaConfig, *, rng: np.random.Generator) -> Iterator[Episode]:
    """Improve Q in place toward the value of the ε-greedy policy that acts, yielding what each episode came to.

    Source: Sutton & Barto (2018), section 7.2, "n-step Sarsa".
    """
    require_own_rows(q)
    draws, constants = uniforms(rng), {"step_size": config.step_size, "discount": config.discount}
    for seed in reset_seeds(config.episodes, rng):
        state, _ = env.reset(seed=seed)
        action = choose(q[state], config.epsilon, next(draws))
        recent: deque[Transition] = deque()
        total, count, terminated, truncated = 0.0, 0, False, False
        while not (terminated or truncated):
            next_state, reward, terminated, truncated, _ = env.step(action)
            recent.append(Transition(state, action, float(reward), next_state, terminated))
            next_action = choose(q[next_state], config.epsilon, next(draws))
            if len(recent) == config.n:
                n_step_sarsa_update(q, recent, next_action, **constants)
                recent.popleft()
            state, action, total, count = next_state, next_action, total + float(reward), count + 1
        while recent:
            n_step_sarsa_update(q, recent, next_action, **constants)
            recent.popleft()
        yield Episode(total, count, bool(terminated))


def _discounted(rewards: Sequence[float], future: float, discount: float) -> float:
    """r₀ + γ·r₁ + … + γⁿ·future, computed backwards."""
    for reward in reversed(rewards):
        future = reward + discount * future
    return future


def _require_whole(n: int) -> None:
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
