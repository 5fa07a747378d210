"""From model to environment: sample a decision process that is known in arrays, and number what is observed.

Source: the interface is Gymnasium's (Towers et al. 2024).
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete, Tuple
from jaxtyping import Float
from scipy import sparse

from mazelm.tabular.mdp import TabularMDP


class TabularEnv(gym.Env):
    """An environment that draws its steps from a model.

    The reward of a step is the model's expected reward of the action in the state; where the true reward is random,
    only its mean is here. After a step that ends the task the observation is the state the step left: nothing should be
    read from it.

    Args:
        mdp: The model.
        start: The state in which every episode begins, or a probability for each state.
    """

    def __init__(self, mdp: TabularMDP, *, start: int | Float[np.ndarray, " S"] = 0):
        self.mdp = mdp
        self.observation_space = Discrete(mdp.n_states)
        self.action_space = Discrete(mdp.n_actions)
        self._start = _start_probabilities(start, mdp.n_states).cumsum()
        matrix = mdp.transitions
        pairs = sparse.csr_array(matrix.reshape(-1, mdp.n_states) if isinstance(matrix, np.ndarray) else matrix)
        self._reached = np.split(pairs.indices, pairs.indptr[1:-1])
        self._ladder = [probabilities.cumsum() for probabilities in np.split(pairs.data, pairs.indptr[1:-1])]
        self._state = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[int, dict]:
        """Begin an episode; a seed makes what follows repeatable."""
        super().reset(seed=seed)
        self._state = int(np.searchsorted(self._start, self.np_random.random() * self._start[-1], side="right"))
        return self._state, {}

    def step(self, action: int | np.integer) -> tuple[int, float, bool, bool, dict]:
        """Draw where the action leads; never truncated, a time limit is a wrapper's business."""
        if not 0 <= action < self.mdp.n_actions:
            raise ValueError(f"action must be from 0 to {self.mdp.n_actions - 1}, got {action}")
        reward = float(self.mdp.rewards[self._state, action])
        pair = self._state * self.mdp.n_actions + int(action)
        place = int(np.searchsorted(self._ladder[pair], self.np_random.random(), side="right"))
        terminated = place == len(self._reached[pair])  # what is left of the probability ends the task
        if terminated and self.mdp.terminations[self._state, action] == 0:
            place, terminated = place - 1, False  # only rounding was left
        if not terminated:
            self._state = int(self._reached[pair][place])
        return self._state, reward, terminated, False, {}


class IndexObservation(gym.ObservationWrapper):
    """Number the observations of an environment that gives several whole numbers at once, such as Blackjack.

        index = ((o₀·n₁ + o₁)·n₂ + o₂)·…

    Args:
        env: Its observation space is a Tuple of Discrete spaces, MultiDiscrete, or Discrete.
    """

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self.sizes = _sizes(env.observation_space)
        self.observation_space = Discrete(int(np.prod(self.sizes)))

    def observation(self, observation: int | tuple | np.ndarray) -> int:
        """The number of an observation."""
        index = 0
        for part, size in zip(np.atleast_1d(observation).ravel(), self.sizes, strict=True):
            index = index * size + int(part)
        return index

    def unindex(self, index: int) -> tuple[int, ...]:
        """The observation that has this number."""
        return tuple(int(part) for part in np.unravel_index(index, self.sizes))


def _start_probabilities(start: int | Float[np.ndarray, " S"], n_states: int) -> Float[np.ndarray, " S"]:
    if isinstance(start, int):
        if not 0 <= start < n_states:
            raise ValueError(f"start must be a state from 0 to {n_states - 1}, got {start}")
        return np.eye(n_states)[start]
    if start.shape != (n_states,) or start.min() < 0 or abs(start.sum() - 1) > 1e-8:
        raise ValueError(
            f"start must give each of {n_states} states a probability, got shape {start.shape}, sum {start.sum()}"
        )
    return start


def _sizes(space: gym.Space) -> tuple[int, ...]:
    if isinstance(space, Tuple) and all(isinstance(part, Discrete) and part.start == 0 for part in space):
        return tuple(int(part.n) for part in space)
    if isinstance(space, MultiDiscrete) and not np.any(space.start):
        return tuple(int(n) for n in space.nvec.ravel())
    if isinstance(space, Discrete) and space.start == 0:
        return (int(space.n),)
    raise ValueError(
        f"env must observe whole numbers counted from 0 (Tuple of Discrete, MultiDiscrete, Discrete), got {space}"
    )
