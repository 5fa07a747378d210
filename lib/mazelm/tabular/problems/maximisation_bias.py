"""Two states, in which the best of ten noisy guesses looks better than it is.

Source: Sutton & Barto (2018), example 6.7. They write "many" for the number of actions in B; here it is an argument.
"""

import gymnasium as gym
from gymnasium.spaces import Discrete

A, B = 0, 1
LEFT, RIGHT = 0, 1
_BLOCK = 1024  # rewards drawn at a time


class MaximisationBias(gym.Env):
    """Every episode begins in A, where RIGHT ends it with reward 0 and LEFT leads to B with reward 0.

    In B every action ends the episode with a reward drawn from the normal distribution of this mean and spread. With
    the mean below 0, LEFT is the worse choice.

    The states differ in their actions: A has the two above, B has `n_actions`. A table for it is `blank()`.

    Args:
        n_actions: Number of actions in B, at least 2.
        mean: Mean of the rewards in B.
        spread: Their standard deviation, at least 0.
    """

    def __init__(self, n_actions: int = 10, *, mean: float = -0.1, spread: float = 1.0):
        if n_actions < 2:
            raise ValueError(f"n_actions must be at least 2, got {n_actions}")
        if not spread >= 0:
            raise ValueError(f"spread must not be negative, got {spread}")
        self.n_actions, self.mean, self.spread = n_actions, mean, spread
        self.observation_space, self.action_space = Discrete(2), Discrete(n_actions)
        self._state, self._rewards = A, list[float]()

    def blank(self) -> list[list[float]]:
        """A table with a value of 0 for each action: two in A, the others in B."""
        return [[0.0] * 2, [0.0] * self.n_actions]

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[int, dict]:
        """Begin in A; a seed makes what follows repeatable."""
        if seed is not None:
            super().reset(seed=seed)
            self._rewards.clear()  # they came from the generator before
        self._state = A
        return self._state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        """One of the actions of the present state. After the end the observation is the state that was left."""
        count = 2 if self._state == A else self.n_actions
        if not 0 <= action < count:
            raise ValueError(f"action must be from 0 to {count - 1} in state {'AB'[self._state]}, got {action}")
        if self._state == A:
            self._state = B if action == LEFT else A
            return self._state, 0.0, action == RIGHT, False, {}
        if not self._rewards:
            self._rewards = self.np_random.normal(self.mean, self.spread, _BLOCK).tolist()
        return self._state, self._rewards.pop(), True, False, {}
