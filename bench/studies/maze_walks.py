"""What the studies of learners in mazes share: the mazes, many walkers at once, and the walk that a policy makes."""

from typing import Any

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
from gymnasium.vector import VectorEnv
from mazelm.policy.networks import ActorCritic, ArrayForward
from mazelm.policy.rollout import play_episodes
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import value_iteration
from mazes import maps
from mazes.dynamics import Rewards
from mazes.generate import random_maze
from mazes.grid import Maze

ONE_EACH = Rewards(step=-1, bump=-1, goal=-1)


def classic(seed: int) -> Maze:
    """The same maze for every seed."""
    return maps.load("classic")


def random_9x9(seed: int) -> Maze:
    """A maze of its own for every seed."""
    return random_maze(9, 9, loops=0.3, rng=np.random.default_rng(seed))


def maze_envs(maze: Maze, n_envs: int, *, limit: int = 500) -> VectorEnv:
    """Many walkers in one maze, told where they are by a one-hot row."""
    settings: dict[str, Any] = {"maze": maze, "observation": "one-hot", "max_episode_steps": limit}
    return gym.make_vec("mazes/Maze-v0", num_envs=n_envs, vectorization_mode="vector_entry_point", **settings)


def greedy_steps(maze: Maze, model: ActorCritic) -> int:
    """How long the walk is that takes the likeliest action everywhere; 0 if it does not arrive in 200 steps."""
    forward = ArrayForward(model.actor)
    walks = play_episodes(
        maze_envs(maze, 1, limit=200), lambda obs: forward(obs).argmax(axis=1), 1, rng=np.random.default_rng(0)
    )
    return walks[0].steps if walks[0].terminated else 0


def shortest_steps(maze: Maze) -> int:
    """By value iteration, where every step costs 1."""
    mdp = TabularMDP.from_gymnasium(gym.make("mazes/Maze-v0", maze=maze, rewards=ONE_EACH))
    return round(-value_iteration(mdp, discount=1.0, tolerance=1e-9).values[maze.index(*maze.start)])
