"""Thousands of mazes stepped at once, in NumPy, with no Python per maze.

All mazes share one table of moves: cell s of the maze with number m is state m·S + s, and a step of all walkers is one
look-up at direction·(all states) + state.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Int

from mazes.dynamics import REPLACING, MoveTables, Rewards, move_tables, slip_matrix, turns
from mazes.env import METADATA, as_maze, checked_mode
from mazes.grid import Maze
from mazes.observe import observer
from mazes.render import picture, text

Info = dict[str, Any]


class MazeVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """Many walks at once, each through the same maze or through one of its own.

    `gym.make_vec("mazes/Maze-v0", num_envs=1024)` makes it. The arguments are those of `MazeEnv`, and:

    Args:
        num_envs: How many walkers.
        maze: One maze for all, or a list of `num_envs` mazes with the same numbers of rows and columns.
        max_episode_steps: A walk that has taken so many steps is truncated; None: never. The time limit is part of this
            environment, because Gymnasium's wrapper knows single environments only.

    A walk that is over starts again within the same step (`AutoresetMode.SAME_STEP`): its observation is then the
    first of the next walk, while reward, `terminated` and `truncated` tell of the step that ended the last one. When a
    walk is over, `info["final_obs"]` holds what each step reached before any reset, one row for every walker, and the
    mask `info["_final_obs"]` is True where the walk is over. A learner bootstraps from `info.get("final_obs", obs)`.
    `info["final_info"]` is empty, because the environment has nothing to add.

    One generator, seeded by `reset(seed=...)`, draws the slips of all walkers. Each array that is returned is new.
    The observations of all states are kept in a table: one-hot vectors of S states fill S² numbers.
    """

    metadata = METADATA | {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        num_envs: int = 1,
        maze: Maze | str | Sequence[Maze | str] = "classic",
        slip: int | float = 0.0,
        rewards: Rewards = REPLACING,
        observation: str = "index",
        radius: int = 1,
        max_episode_steps: int | None = 500,
        render_mode: str | None = None,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(f"max_episode_steps must be at least 1, or None, got {max_episode_steps}")
        slip_matrix(slip)  # refuses what is no probability
        self.num_envs, self.slip, self.render_mode = num_envs, slip, checked_mode(render_mode)
        self.mazes = _one_each(maze, num_envs)
        different = list(dict.fromkeys(self.mazes))
        number = {each: i for i, each in enumerate(different)}
        self._offsets = np.array([number[each] * each.n_states for each in self.mazes])
        self._starts = self._offsets + [each.index(*each.start) for each in self.mazes]
        self._tables = _joined([move_tables(each, rewards=rewards) for each in different])
        self._width = np.array(len(self._tables.next_state) // 4)  # an array: a number would be made one at each step
        self._limit = 2**62 if max_episode_steps is None else max_episode_steps

        self.single_observation_space, _ = observer(different[0], observation, radius=radius)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.single_action_space = spaces.Discrete(4)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seen = None if observation == "index" else _all_observations(different, observation, radius)
        self._states, self._until, self._steps = self._starts, np.empty(0, np.int64), 0
        self._restart()

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[np.ndarray, Info]:
        """Put all walkers on their starts."""
        super().reset(seed=seed)
        self._restart()
        return self._observe(self._states), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Info]:
        """Move every walker by one cell; put those whose walk is over back on their starts."""
        at = _checked(actions, self.num_envs)
        if self.slip:
            at = (at + turns(self.np_random.random(self.num_envs), self.slip)) & 3  # & 3: the remainder by 4
        at = at * self._width
        at += self._states
        next_state, paid, ends = self._tables
        states = next_state.take(at, mode="clip")  # at is inside the table: "clip" saves the check
        rewards, terminated = paid.take(at, mode="clip"), ends.take(at, mode="clip")
        self._steps += 1
        truncated = self._until <= self._steps
        over = terminated | truncated
        obs, info = self._observe(states), {}
        if len(restarted := over.nonzero()[0]):
            info = {"final_obs": obs, "_final_obs": over, "final_info": {}, "_final_info": over}
            states[restarted] = self._starts[restarted]
            self._until[restarted] = self._steps + self._limit
            obs = self._observe(states)
        self._states = states
        return obs, rewards, terminated, truncated, info

    def render(self) -> tuple[Any, ...] | None:
        """Each maze with its walker: strings, or arrays of pixels."""
        if self.render_mode is None:
            return None
        draw: Callable[[Maze, int], Any] = text if self.render_mode == "ansi" else picture
        cells = self._local(self._states).tolist()
        return tuple(draw(maze, cell) for maze, cell in zip(self.mazes, cells, strict=True))

    def _restart(self) -> None:
        self._states = self._starts
        self._steps = 0  # of each walker, since the reset
        self._until = np.full(self.num_envs, self._limit)  # the step with which its walk is cut off

    def _local(self, states: Int[np.ndarray, " B"]) -> Int[np.ndarray, " B"]:
        """Each walker's cell in its own maze, in a new array."""
        return states - self._offsets

    def _observe(self, states: Int[np.ndarray, " B"]) -> np.ndarray:
        return self._local(states) if self._seen is None else self._seen.take(states, axis=0, mode="clip")


def _all_observations(mazes: list[Maze], kind: str, radius: int) -> np.ndarray:
    """What is observed in each state of each maze, one after another."""
    observers = [observer(maze, kind, radius=radius)[1] for maze in mazes]
    return np.stack([observe(s) for maze, observe in zip(mazes, observers, strict=True) for s in range(maze.n_states)])


def _one_each(maze: Maze | str | Sequence[Maze | str], num_envs: int) -> list[Maze]:
    """One maze for each walker, all of one shape."""
    if isinstance(maze, Maze | str):
        return [as_maze(maze)] * num_envs
    mazes = [as_maze(each) for each in maze]
    if len(mazes) != num_envs:
        raise ValueError(f"maze must be one maze or num_envs={num_envs} mazes, got {len(mazes)}")
    for i, each in enumerate(mazes):
        if each.walls.shape != mazes[0].walls.shape:
            raise ValueError(f"maze {i} has the shape {each.walls.shape}, but maze 0 has {mazes[0].walls.shape}")
    return mazes


def _joined(tables: list[MoveTables]) -> MoveTables:
    """The tables of several mazes side by side, each flat: direction·(all states) + state."""
    shift = [i * table.next_state.shape[1] for i, table in enumerate(tables)]
    next_state = [table.next_state + by for table, by in zip(tables, shift, strict=True)]
    columns = [next_state, [table.rewards for table in tables], [table.terminated for table in tables]]
    return MoveTables(*(np.concatenate(column, axis=1).ravel() for column in columns))


def _checked(actions: Any, num_envs: int) -> Int[np.ndarray, " B"]:
    """The actions as an array, if there is one of 0 to 3 for each walker."""
    actions = np.asarray(actions)
    if actions.shape != (num_envs,) or actions.dtype.kind not in "iu":
        raise ValueError(f"actions must be {num_envs} whole numbers, got {actions.dtype} {actions.shape}")
    actions = actions.astype(np.int64, copy=False)  # a small type could not hold a place in the table
    if np.bitwise_or.reduce(actions) & ~3:  # a bit beyond the lowest two is set in one of them, also by a minus sign
        wrong = actions[(actions < 0) | (actions > 3)][0]
        raise ValueError(f"actions must be 0 (up), 1 (right), 2 (down) or 3 (left), got {wrong}")
    return actions
