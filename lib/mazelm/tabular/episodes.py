"""Experience: one step, one episode, and how a policy makes them.

Every learner of chapters 7 and 8 stands on these records. `terminated` means that the task ended; an episode that was
cut short by a time limit is not terminated, and what would have followed has to be estimated.

Source: Sutton & Barto (2018), section 3.3; Pardo et al. (2018) for time limits.
"""

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete
from jaxtyping import Float, Num

from mazelm.tabular.mdp import as_probabilities

_BLOCK = 1024  # random numbers drawn at a time: one draw of a block costs little more than one draw of a number


class Transition(NamedTuple):
    """One step of experience."""

    state: int
    action: int
    reward: float
    next_state: int
    terminated: bool  # the task ended here; a time limit does not count


class Episode(NamedTuple):
    """What one episode came to."""

    total: float  # the sum of its rewards, not discounted
    steps: int
    terminated: bool  # False: a time limit cut it short


class Trajectory(NamedTuple):
    """One episode, step by step: rewards[t] was paid for actions[t], taken in states[t]."""

    states: list[int]
    actions: list[int]
    rewards: list[float]
    last_state: int  # the state that the last action reached
    terminated: bool  # False: a time limit cut it short, and something would have followed

    def returns(self, discount: float, *, bootstrap: float = 0.0) -> list[float]:
        """The return from each step on, computed backwards.

            Gₜ = rₜ + γ·Gₜ₊₁

        Args:
            discount: γ, the worth now of one unit of reward one step later.
            bootstrap: What is expected to follow from the last state. Used only where the episode was cut short: after
                a step that ended the task nothing follows.
        """
        following = 0.0 if self.terminated else bootstrap
        returns = []
        for reward in reversed(self.rewards):
            following = reward + discount * following
            returns.append(following)
        return returns[::-1]


def count(space: gym.Space) -> int:
    """How many states or actions a space numbers.

    Raises:
        ValueError: They are not numbered from 0.
    """
    if not isinstance(space, Discrete) or space.start != 0:
        raise ValueError(f"env must have states and actions numbered from 0 (Discrete), got {space}")
    return int(space.n)


def uniforms(rng: np.random.Generator) -> Iterator[float]:
    """Uniform random numbers in [0, 1) without end, as Python floats, drawn a block at a time."""
    blocks = (rng.random(_BLOCK).tolist() for _ in itertools.count())
    return itertools.chain.from_iterable(blocks)  # quicker than a loop that yields, and the same numbers


def epsilon_greedy(row: list[float] | Float[np.ndarray, " A"], epsilon: float, *, rng: np.random.Generator) -> int:
    """An action drawn by the ε-greedy rule: at random with probability ε, else the best one.

        π(a | s) = ε / |A| + (1 − ε)·[a is the first of the best actions]

    Args:
        row: Q(s, ·), the value of each action.
        epsilon: ε, the chance that the action is drawn without looking at the values.
        rng: Where chance comes from.

    Source: Sutton & Barto (2018), section 2.2.
    """
    if rng.random() < epsilon:
        return int(rng.integers(len(row)))
    return int(np.argmax(row))


def epsilon_greedy_probabilities(q: Float[np.ndarray, "S A"], epsilon: float) -> Float[np.ndarray, "S A"]:
    """The ε-greedy rule as a policy: the probability of each action in each state.

    π(a | s) = ε / |A| + (1 − ε)·[a is the first of the best actions]
    """
    n_states, n_actions = q.shape
    probabilities = np.full(q.shape, epsilon / n_actions)
    probabilities[np.arange(n_states), q.argmax(axis=1)] += 1 - epsilon
    return probabilities


def follower(
    policy: Num[np.ndarray, "..."], n_states: int, n_actions: int, draw: Callable[[], float]
) -> Callable[[int], int]:
    """A policy as a function that draws an action for a state.

    Args:
        policy: One action for each state (S,), or the probability of each action (S, A).
        n_states: How many states there are.
        n_actions: How many actions.
        draw: Gives a uniform number in [0, 1) at each call.
    """
    edges = as_probabilities(policy, n_states, n_actions).cumsum(axis=1)[:, :-1].tolist()
    return lambda state: bisect_right(edges[state], draw())


def play(
    env: gym.Env, act: Callable[[int], int], *, seed: int | None = None, first_action: int | None = None
) -> Trajectory:
    """One episode, to its end or to the time limit, with the actions that `act` chooses.

    Args:
        env: An environment with numbered states and actions; one that may never end needs a time limit.
        act: The action for a state.
        seed: For the environment's own chance; None lets its present generator go on. Seed the first episode only.
        first_action: Taken in place of what `act` would choose first.
    """
    states: list[int] = []
    actions: list[int] = []
    rewards: list[float] = []
    state, _ = env.reset(seed=seed)
    terminated = truncated = False
    while not (terminated or truncated):
        action = act(int(state)) if states or first_action is None else first_action
        states.append(int(state))
        actions.append(action)
        state, reward, terminated, truncated, _ = env.step(action)
        rewards.append(float(reward))
    return Trajectory(states, actions, rewards, int(state), bool(terminated))


def run_episode(
    env: gym.Env, policy: Num[np.ndarray, "..."], *, rng: np.random.Generator, seed: int | None = None
) -> Trajectory:
    """Follow a policy to the end of an episode, or to the time limit.

    Args:
        env: As for `play`.
        policy: One action for each state (S,), or the probability of each action (S, A).
        rng: Where the policy's chance comes from.
        seed: As for `play`.
    """
    n_states, n_actions = count(env.observation_space), count(env.action_space)
    return play(env, follower(policy, n_states, n_actions, rng.random), seed=seed)


def reset_seeds(episodes: int, rng: np.random.Generator) -> Iterator[int | None]:
    """What each reset is given: a seed for the first; after it the environment's own generator goes on."""
    yield int(rng.integers(2**31))
    for _ in range(episodes - 1):
        yield None


def transitions_of(trajectory: Trajectory) -> Iterator[Transition]:
    """The steps of a recorded episode, one after the other."""
    reached = [*trajectory.states[1:], trajectory.last_state]
    last = len(reached) - 1
    for t, step in enumerate(zip(trajectory.states, trajectory.actions, trajectory.rewards, reached, strict=True)):
        yield Transition(*step, terminated=trajectory.terminated and t == last)


def walks(
    env: gym.Env, policy: Num[np.ndarray, "..."], episodes: int, *, rng: np.random.Generator
) -> Iterator[Iterator[Transition]]:
    """Follow a policy for some episodes; each is a stream of steps, which has to be read to its end before the next.

    Args:
        env: As for `play`.
        policy: One action for each state (S,), or the probability of each action (S, A).
        episodes: How many.
        rng: Where chance comes from, also the environment's.
    """
    act = follower(policy, count(env.observation_space), count(env.action_space), uniforms(rng).__next__)
    for seed in reset_seeds(episodes, rng):
        yield _steps(env, act, seed)


def experience(
    env: gym.Env, policy: Num[np.ndarray, "..."], steps: int, *, rng: np.random.Generator
) -> Iterator[Transition]:
    """Follow a policy for so many steps, through as many episodes as that takes. Arguments as for `walks`."""
    act = follower(policy, count(env.observation_space), count(env.action_space), uniforms(rng).__next__)
    without_end = itertools.chain([int(rng.integers(2**31))], itertools.repeat(None))
    return itertools.islice(itertools.chain.from_iterable(_steps(env, act, seed) for seed in without_end), steps)


def _steps(env: gym.Env, act: Callable[[int], int], seed: int | None) -> Iterator[Transition]:
    state, _ = env.reset(seed=seed)
    terminated = truncated = False
    while not (terminated or truncated):
        action = act(state)
        next_state, reward, terminated, truncated, _ = env.step(action)
        yield Transition(int(state), action, float(reward), int(next_state), bool(terminated))
        state = next_state
