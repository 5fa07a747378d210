"""How fast mazes are stepped, one at a time and by the thousand, beside Gymnasium's FrozenLake in the same run.

    python bench/maze_steps.py [--rounds 7] [--quick]

Prints a table, writes it to bench/maze_steps.md, and ends with status 1 if a speed is not as required. Both sides take
the same number of steps with random actions drawn beforehand, and start again wherever an episode ends.

The script is not called mazes.py, because Python would then take it for the package of that name.
"""

import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from mazes.generate import random_maze
from report import Row, run

WALKERS = 1024


def rows(quick: bool) -> list[Row]:
    return [*single_rows(5_000 if quick else 100_000), *vector_rows(20 if quick else 200)]


def single_rows(n_steps: int) -> list[Row]:
    def row(name: str, ours: gym.Env, theirs: gym.Env, required: float | None) -> Row:
        return Row(
            measure=f"{n_steps:,} steps {name}",
            ours=alone(ours, n_steps),
            peer="FrozenLake-v1",
            theirs=alone(theirs, n_steps),
            required=required,
        )

    lake = gym.make("FrozenLake-v1")
    return [
        row("through gym.make", gym.make("mazes/Maze-v0"), lake, 15),
        row("through gym.make, slip 0.2", gym.make("mazes/Maze-v0", slip=0.2), lake, None),
        row("through gym.make, with its checker", gym.make("mazes/Maze-v0", disable_env_checker=False), lake, None),
        row("without wrappers", gym.make("mazes/Maze-v0").unwrapped, lake.unwrapped, 30),
    ]


def vector_rows(n_steps: int) -> list[Row]:
    rng = np.random.default_rng(0)
    different = [random_maze(5, 5, loops=0.1, rng=rng) for _ in range(WALKERS)]

    def row(name: str, required: float | None, **arguments: Any) -> Row:
        return Row(
            measure=f"{n_steps} steps of {WALKERS:,} mazes, {name}",
            ours=together(gym.make_vec("mazes/Maze-v0", WALKERS, **arguments), n_steps),
            peer="FrozenLake-v1",
            theirs=alone(gym.make("FrozenLake-v1"), n_steps * WALKERS),
            required=required,
        )

    return [
        row("index", 500),
        row("one-hot", 300, observation="one-hot"),
        row("window", None, observation="window"),
        row("index, slip 0.2", None, slip=0.2),
        row("index, all different", None, maze=different),
    ]


def alone(env: gym.Env, n_steps: int) -> Callable[[], object]:
    """A function that takes so many steps in one environment, and returns how many."""
    actions = np.random.default_rng(0).integers(0, 4, n_steps).tolist()
    env.reset(seed=0)

    def go() -> int:
        taken = 0
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            taken += 1
            if terminated or truncated:
                env.reset()
        return taken

    return go


def together(env: gym.vector.VectorEnv, n_steps: int) -> Callable[[], object]:
    """A function that takes so many steps in many environments at once, and returns how many they are together."""
    actions = np.random.default_rng(0).integers(0, 4, (n_steps, env.num_envs))
    env.reset(seed=0)

    def go() -> int:
        taken = 0
        for row in actions:
            taken += len(env.step(row)[1])
        return taken

    return go


if __name__ == "__main__":
    sys.exit(run(__file__, "Mazes: steps per second beside FrozenLake", rows, ["gymnasium", "numpy"]))
