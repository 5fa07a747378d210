"""REINFORCE with each baseline over ten seeds: the recorded runs of lesson 10-policy-gradients/02-reinforce.

    python bench/studies/reinforce.py classic
    python bench/studies/reinforce.py random-9x9
    python bench/studies/reinforce.py cartpole

Each writes chapters/10-policy-gradients/runs/reinforce-TASK.csv: one row for each baseline and every second update, one
column for each seed with the mean return of the update's episodes. For a maze the last rows of a baseline hold the
length of the walk that takes the likeliest action everywhere (0: it does not arrive) and that of the shortest.
"""

import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from maze_walks import classic, greedy_steps, maze_envs, random_9x9, shortest_steps
from mazelm.common.seeding import seeded
from mazelm.policy.networks import ActorCritic, Features
from mazelm.policy.reinforce import CARTPOLE, MAZE, Baseline, ReinforceConfig, reinforce
from mazelm.policy.rollout import discrete_actions
from mazes.grid import Maze

sys.path.insert(0, str(Path(__file__).parents[1]))
from sidebyside import machine

SEEDS, EVERY = range(10), 2
RUNS = Path(__file__).parents[2] / "chapters" / "10-policy-gradients" / "runs"


def train(envs: VectorEnv, hidden: tuple[int, ...], config: ReinforceConfig, seed: int) -> tuple[ActorCritic, list]:
    """A trained model, and the mean return of each update."""
    with seeded(seed):
        n_features = Features(envs.single_observation_space).size
        model = ActorCritic(n_features, discrete_actions(envs, "reinforce"), hidden=hidden)
    records = reinforce(envs, model, config, rng=np.random.default_rng(seed))
    return model, [np.mean([episode.total for episode in record.episodes]) for record in records]


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
    with (RUNS / f"reinforce-{name}.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(f"# {machine('numpy', 'torch', 'gymnasium')}; {time.process_time() - began:.0f} CPU seconds\n")
        file.write(f"# python bench/studies/reinforce.py {name}; 16 episodes for each update; mean return by seed\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["baseline", "update", *(f"seed{seed}" for seed in SEEDS)])
        writer.writerows(rows)


if __name__ == "__main__":
    main(sys.argv[1])
