"""Monte Carlo: learn values, and then a policy, from the returns of whole episodes.

An estimate is a table of means, of states or of pairs of a state and an action, with the number of returns behind each
mean. Nothing is known of the environment but what episodes show. An episode that a time limit cut short is not over:
what would have followed is taken from the estimate itself. Early returns of that kind are biased by what the estimate
did not know yet, and the mean forgets them only as newer ones outnumber them.

Source: Sutton & Barto (2018), chapter 5, first half. Their algorithms wait for the end of every episode; to go on from
the present estimate where a time limit cuts follows Pardo et al. (2018).

Left out: learning about one policy from episodes of another, which is the next lesson's importance sampling.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import gymnasium as gym
import numpy as np
from jaxtyping import Float, Int, Num

from mazelm.tabular.episodes import Episode, Trajectory, count, epsilon_greedy, follower, play, reset_seeds
from mazelm.tabular.mdp import as_probabilities


class Estimate(NamedTuple):
    """Means of returns, and how many returns each is the mean of. Learning changes both arrays in place."""

    values: Float[np.ndarray, "*shape"]  # (S,): V(s), or (S, A): Q(s, a); 0 where nothing was seen
    counts: Int[np.ndarray, "*shape"]

    @classmethod
    def blank(cls, *shape: int | np.integer) -> "Estimate":
        """Nothing seen yet: `blank(S)` for values of states, `blank(S, A)` for values of actions."""
        return cls(np.zeros(shape), np.zeros(shape, dtype=np.int64))


@dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """What learning the values of a policy may vary."""

    episodes: int = 1000
    discount: float = 1.0  # γ
    every_visit: bool = False  # False: of several visits in an episode, the first alone counts

    def __post_init__(self):
        if self.episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {self.episodes}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must be in [0, 1], got {self.discount}")


@dataclass(frozen=True, kw_only=True)
class ControlConfig(PredictionConfig):
    """What learning to act may vary besides."""

    epsilon: float = 1.0  # ε₀, the chance of a random action in a state that was never visited
    half_life: float = math.inf  # visits to a state after which its ε is half of ε₀; infinite: ε stays

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon must be in [0, 1], got {self.epsilon}")
        if not self.half_life > 0:
            raise ValueError(f"half_life must be above 0, got {self.half_life}")


def update_mean(estimate: Estimate, index: int | tuple[int, int], sample: float) -> float:
    """Let one more return count in a mean, in place; return by how much the mean had missed it.

        N ← N + 1
        V ← V + (G − V) / N

    Args:
        estimate: The means and their counts.
        index: A state, or a state and an action.
        sample: G, the return.

    Source: Sutton & Barto (2018), section 2.4.
    """
    estimate.counts[index] += 1
    error = sample - float(estimate.values[index])
    estimate.values[index] += error / float(estimate.counts[index])
    return error


def first_visits(visited: Sequence[Hashable]) -> list[bool]:
    """For each step of an episode: is this the first time that what it visits (a state, a pair) comes up?"""
    first_step: dict[Hashable, int] = {}
    for t, place in enumerate(visited):
        first_step.setdefault(place, t)
    return [first_step[place] == t for t, place in enumerate(visited)]


def learn_from_episode(
    estimate: Estimate,
    trajectory: Trajectory,
    *,
    discount: float,
    every_visit: bool = False,
    bootstrap: float = 0.0,
) -> None:
    """Let the returns of one episode count in the means of what it visited, in place.

        V(s) = mean of Gₜ over the counted steps t with sₜ = s      (pairs: with sₜ = s and aₜ = a)

    Args:
        estimate: (S,) to learn values of states, (S, A) to learn values of actions.
        trajectory: The episode.
        discount: γ, the worth now of one unit of reward one step later.
        every_visit: Count each visit. The returns of one episode's visits share rewards, so they are not independent,
            and for a finite number of episodes the mean is biased; that of first visits is not.
        bootstrap: The value of the last state, for an episode that was cut short. Not used where the task ended.

    Source: Sutton & Barto (2018), section 5.1; Singh & Sutton (1996) for the bias.
    """
    pairs = estimate.values.ndim == 2
    visited: Sequence = list(zip(trajectory.states, trajectory.actions, strict=True)) if pairs else trajectory.states
    counted = [True] * len(visited) if every_visit else first_visits(visited)
    for place, sample, counts in zip(visited, trajectory.returns(discount, bootstrap=bootstrap), counted, strict=True):
        if counts:
            update_mean(estimate, place, sample)


def monte_carlo_prediction(
    env: gym.Env,
    policy: Num[np.ndarray, "..."],
    estimate: Estimate,
    config: PredictionConfig,
    *,
    rng: np.random.Generator,
) -> Iterator[Episode]:
    """Improve the estimate of a policy's values in place, yielding what each episode came to.

    Args:
        env: Numbered states and actions; a time limit if the policy may walk for ever.
        policy: One action for each state (S,), or the probability of each action (S, A).
        estimate: `Estimate.blank(S)` for V, `Estimate.blank(S, A)` for Q.
        config: Episodes, discount, and which visits count.
        rng: Where chance comes from, also the environment's.

    Source: Sutton & Barto (2018), section 5.1.
    """
    n_states, n_actions = count(env.observation_space), count(env.action_space)
    policy = as_probabilities(policy, n_states, n_actions)
    act = follower(policy, n_states, n_actions, rng.random)

    def value(state: int) -> float:
        row = estimate.values[state]
        return float(policy[state] @ row if estimate.values.ndim == 2 else row)

    yield from _learn(env, act, value, estimate, config, rng)


def glie_epsilon(visits: int | float, *, epsilon: float, half_life: int | float) -> float:
    """Explore less in a state the more often it was visited: greedy in the limit, with infinite exploration.

        ε(s) = ε₀ / (1 + N(s) / h)

    It goes to 0, but so slowly that its sum over the visits has no end: every action that can be tried in s is tried
    again and again. An infinite h keeps ε₀ for ever, which is no such schedule.

    Args:
        visits: N(s), how often the state was visited, or returns counted for it.
        epsilon: ε₀, in [0, 1].
        half_life: h, the number of visits after which ε is half of ε₀.

    Source: Singh et al. (2000), where ε is c / N(s).
    """
    return epsilon / (1 + visits / half_life)


def monte_carlo_control(
    env: gym.Env, estimate: Estimate, config: ControlConfig, *, rng: np.random.Generator
) -> Iterator[Episode]:
    """Improve Q in place by the returns of the ε-greedy policy that Q itself defines, yielding each episode.

    On-policy: what is estimated is the policy that acts, random actions included. With a constant ε it can become the
    best of the ε-soft policies and no better; with a half-life, ε falls with the visits to each state (`glie_epsilon`).

    Args:
        env: Numbered states and actions; a time limit, because an early policy may walk for ever.
        estimate: `Estimate.blank(S, A)`. N(s) is the sum of the counts of a state's actions.
        config: Episodes, discount, which visits count, and how ε falls.
        rng: Where chance comes from, also the environment's.

    Source: Sutton & Barto (2018), section 5.4, with means updated incrementally.
    """

    def epsilon_in(state: int) -> float:
        visits = int(estimate.counts[state].sum())
        return glie_epsilon(visits, epsilon=config.epsilon, half_life=config.half_life)

    def act(state: int) -> int:
        return epsilon_greedy(estimate.values[state], epsilon_in(state), rng=rng)

    def value(state: int) -> float:
        row, epsilon = estimate.values[state], epsilon_in(state)
        return float(epsilon * row.mean() + (1 - epsilon) * row.max())

    yield from _learn(env, act, value, estimate, config, rng)


def exploring_starts(
    env: gym.Env, estimate: Estimate, config: PredictionConfig, *, rng: np.random.Generator
) -> Iterator[Episode]:
    """Improve Q in place by the returns of its greedy policy after a random first action, yielding each episode.

    Every pair of a state and an action has to be a possible beginning. The action is drawn here; that `env.reset` can
    begin in every state is for the caller to see to (a start distribution, a wrapper). No later action is random.

    Args:
        env: As for monte_carlo_control, and with starts everywhere.
        estimate: `Estimate.blank(S, A)`.
        config: Episodes, discount, and which visits count.
        rng: Where chance comes from, also the environment's.

    Source: Sutton & Barto (2018), section 5.3.
    """

    def act(state: int) -> int:
        return int(estimate.values[state].argmax())

    def value(state: int) -> float:
        return float(estimate.values[state].max())

    def any_action() -> int:
        return int(rng.integers(estimate.values.shape[1]))

    yield from _learn(env, act, value, estimate, config, rng, first_action=any_action)


def _learn(
    env: gym.Env,
    act: Callable[[int], int],
    value: Callable[[int], float],
    estimate: Estimate,
    config: PredictionConfig,
    rng: np.random.Generator,
    first_action: Callable[[], int] | None = None,
) -> Iterator[Episode]:
    """Play, learn, report, as often as the config says. The tables stand still while an episode lasts."""
    for seed in reset_seeds(config.episodes, rng):
        trajectory = play(env, act, seed=seed, first_action=first_action() if first_action else None)
        learn_from_episode(
            estimate,
            trajectory,
            discount=config.discount,
            every_visit=config.every_visit,
            bootstrap=0.0 if trajectory.terminated else value(trajectory.last_state),
        )
        yield Episode(sum(trajectory.rewards), len(trajectory.rewards), trajectory.terminated)
