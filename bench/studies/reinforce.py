"""REINFORCE with each baseline over ten seeds: the recorded runs of lesson 10-policy-gradients/02-reinforce.

    python bench/studies/reinforce.py classic
    python bench/studies/reinforce.py random-9x9
    python bench/studies/reinforce.py cartpole

Each writes chapters/10-policy-gradients/runs/reinforce-TASK.csv: one row for each baseline and every second update, one
column for each seed with the mean return of the update's episodes. For a maze the last rows of a baseline hold the
length of the walk that takes the likeliest action everywhere (0: it does not arrive) and that of the shortest.
"""

import csv
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from mazelm.common.seeding import seeded
from mazelm.policy.networks import ActorCritic, ArrayForward, Features
from mazelm.policy.reinforce import CARTPOLE, MAZE, Baseline, ReinforceConfig, reinforce
from mazelm.policy.rollout import discrete_actions, play_episodes
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import value_iteration
from mazes import maps
from mazes.dynamics import Rewards
from mazes.generate import random_maze
from mazes.grid import Maze

SEEDS, EVERY = range(10), 2
RUNS = Path(__file__).parents[2] / "chapters" / "10-policy-gradients" / "runs"
ONE_EACH = Rewards(step=-1, bump=-1, goal=-1)


def classic(seed: int) -> Maze:
    """The same maze for every seed."""
    return maps.load("classic")


def random_9x9(seed: int) -> Maze:
    """A maze of its own for every seed."""
    return random_maze(9, 9, loops=0.3, rng=np.random.default_rng(seed))


def maze_envs(maze: Maze, n_envs: int, *, limit: int) -> VectorEnv:
    """Many walkers in one maze, told where they are by a one-hot row."""
    settings: dict[str, Any] = {"maze": maze, "observation": "one-hot", "max_episode_steps": limit}
    return gym.make_vec("mazes/Maze-v0", num_envs=n_envs, vectorization_mode="vector_entry_point", **settings)


def train(envs: VectorEnv, hidden: tuple[int, ...], config: ReinforceConfig, seed: int) -> tuple[ActorCritic, list]:
    """A trained model, and the mean return of each update."""
    with seeded(seed):
        n_features = Features(envs.single_observation_space).size
        model = ActorCritic(n_features, discrete_actions(envs, "reinforce"), hidden=hidden)
    records = reinforce(envs, model, config, rng=np.random.default_rng(seed))
    return model, [np.mean([episode.total for episode in record.episodes]) for record in records]


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


def maze_study(maze_of: Callable[[int], Maze], limit: int) -> Iterator[list]:
    """Rows of the table, for every baseline."""
    for baseline in Baseline:
        curves, found = [], []
        for seed in SEEDS:
            maze = maze_of(seed)
            model, curve = train(maze_envs(maze, 16, limit=limit), (), replace(MAZE, baseline=baseline), seed)
            curves.append(curve)
            found.append(greedy_steps(maze, model))
        yield from curve_rows(baseline, curves)
        yield [baseline.value, "greedy", *found]
    yield ["", "shortest", *(shortest_steps(maze_of(seed)) for seed in SEEDS)]


def cartpole_study() -> Iterator[list]:
    """Rows of the table, for every baseline."""
    for baseline in Baseline:
        curves = []
        for seed in SEEDS:
            envs = gym.make_vec("CartPole-v1", num_envs=16, vectorization_mode="vector_entry_point")
            curves.append(train(envs, (32,), replace(CARTPOLE, baseline=baseline), seed)[1])
        yield from curve_rows(baseline, curves)


def curve_rows(baseline: Baseline, curves: list[list[float]]) -> Iterator[list]:
    """One row for every second update."""
    for update, totals in enumerate(zip(*curves, strict=True), start=1):
        if update % EVERY == 0:
            yield [baseline.value, update, *(f"{total:.1f}" for total in totals)]


STUDIES = {
    "classic": lambda: maze_study(classic, 500),
    "random-9x9": lambda: maze_study(random_9x9, 2000),
    "cartpole": cartpole_study,
}


def main(name: str) -> None:
    """Run one study and write its file."""
    torch.set_num_threads(1)
    began = time.process_time()
    rows = list(STUDIES[name]())
    RUNS.mkdir(parents=True, exist_ok=True)
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, torch {torch.__version__.split('+')[0]}"
    with (RUNS / f"reinforce-{name}.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(f"# one thread; {versions}; {time.process_time() - began:.0f} CPU seconds\n")
        file.write(f"# python bench/studies/reinforce.py {name}; 16 episodes for each update; mean return by seed\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["baseline", "update", *(f"seed{seed}" for seed in SEEDS)])
        writer.writerows(rows)


if __name__ == "__main__":
    main(sys.argv[1])
