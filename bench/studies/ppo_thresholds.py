"""Whether PPO gets there, on ten seeds: a solved CartPole, and shortest walks through mazes.

    python bench/studies/ppo_thresholds.py [--seeds 10]

Writes chapters/11-ppo/runs/ppo-thresholds.csv, one row for each task and seed, in about four minutes on one core, and
fails if fewer than nine of ten seeds get there. The settings are the constants of the library.
"""

import argparse
import csv
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from maze_walks import classic, greedy_steps, maze_envs, random_9x9, shortest_steps
from mazelm.common.seeding import seeded
from mazelm.policy.networks import ActorCritic
from mazelm.policy.ppo import CARTPOLE, CARTPOLE_ENVS, MAZE, MAZE_ENVS, ppo
from mazes.grid import Maze

sys.path.insert(0, str(Path(__file__).parents[1]))
from sidebyside import machine

RUN = Path(__file__).parents[2] / "chapters" / "11-ppo" / "runs" / "ppo-thresholds.csv"
SOLVED, LAST, SHARE = 475, 100, 0.9
Row = dict[str, object]


def cartpole(seed: int) -> tuple[bool, Row]:
    """Steps until the mean of the last 100 episodes is 475, or all there are."""
    envs = gym.make_vec("CartPole-v1", num_envs=CARTPOLE_ENVS, vectorization_mode="vector_entry_point")
    with seeded(seed):
        model = ActorCritic(4, 2)
    last: deque[float] = deque(maxlen=LAST)
    steps, mean = 0, 0.0
    for record in ppo(envs, model, CARTPOLE, rng=np.random.default_rng(seed)):
        last.extend(episode.total for episode in record.episodes)
        steps, mean = record.steps, float(np.mean(last)) if last else 0.0
        if len(last) == LAST and mean >= SOLVED:
            break
    return mean >= SOLVED, {"steps": steps, "found": f"{mean:.1f}", "asked": SOLVED}


def walk(maze_of: Callable[[int], Maze]) -> Callable[[int], tuple[bool, Row]]:
    """Train in a maze; then the length of the walk that takes the likeliest action everywhere (0: it never arrives)."""

    def go(seed: int) -> tuple[bool, Row]:
        maze = maze_of(seed)
        with seeded(seed):
            model = ActorCritic(maze.n_states, 4)
        steps = 0
        for record in ppo(maze_envs(maze, MAZE_ENVS, limit=500), model, MAZE, rng=np.random.default_rng(seed)):
            steps = record.steps
        found, asked = greedy_steps(maze, model), shortest_steps(maze)
        return found == asked, {"steps": steps, "found": found, "asked": asked}

    return go


TASKS = {"CartPole": cartpole, "classic": walk(classic), "9x9": walk(random_9x9)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RUN)
    options = parser.parse_args()
    torch.set_num_threads(1)
    failed = []
    with options.out.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {machine('numpy', 'torch', 'gymnasium')}\n# python bench/studies/ppo_thresholds.py\n")
        file.write("# found: mean return of 100 episodes, or steps of the walk; asked: 475, or the shortest\n")
        writer = csv.DictWriter(file, ("task", "seed", "steps", "found", "asked"), lineterminator="\n")
        writer.writeheader()
        for task, run in TASKS.items():
            there = 0
            for seed in range(options.seeds):
                reached, row = run(seed)
                there += reached
                writer.writerow({"task": task, "seed": seed, **row})
                file.flush()
            print(f"{task}: {there} of {options.seeds}", flush=True)
            failed += [task] if there < SHARE * options.seeds else []
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
