"""The recorded runs of lesson 10.3: actor-critic in mazes, ten seeds of each.

    python bench/studies/actor_critic.py [--seeds 10] [--only walks,parallel,bonus,stages]

Writes chapters/10-policy-gradients/runs/actor-critic-*.csv. The value of the start under the policy in training is
exact: the maze's model is solved for the policy that the network holds, so no curve has noise from evaluation.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from maze_walks import maze_envs
from mazelm.common.seeding import seeded
from mazelm.policy.actor_critic import MAZE, A2CConfig, a2c
from mazelm.policy.networks import ActorCritic, ArrayForward
from mazelm.policy.rollout import play_episodes
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values
from mazes.env import as_maze
from mazes.generate import random_maze
from mazes.grid import Maze, steps_from

sys.path.insert(0, str(Path(__file__).parents[1]))
from sidebyside import machine

RUNS = Path(__file__).parents[2] / "chapters" / "10-policy-gradients" / "runs"
N_MAZES, LOOK = 32, 2_560  # mazes at once; steps between two looks at the policy
CLASSIC, NINE = as_maze("classic"), random_maze(9, 9, loops=0.2, rng=np.random.default_rng(5))
MAZES = {"classic": CLASSIC, "nine": NINE}
MEANING = (
    "value: of the start under the policy at that step, exact; greedy: steps of the greedy way in the end, 500: never",
    "the chances of the four actions in each cell, and what the critic says of it, after some updates of one run",
)


def train(
    maze: Maze, seed: int, config: A2CConfig, n_mazes: int = N_MAZES, *, shared: bool = False
) -> tuple[list[tuple[int, float]], int]:
    """Steps and exact values of the start on the way, and the steps of the greedy way in the end (500: never)."""
    envs = maze_envs(maze, n_mazes)
    mdp = TabularMDP.from_gymnasium(gym.make("mazes/Maze-v0", maze=maze).unwrapped)
    start = maze.index(*maze.start)
    with seeded(seed):
        model = ActorCritic(mdp.n_states, 4, shared=shared)
    curve = [(0, worth(model, mdp, start, config.discount))]
    for record in a2c(envs, model, config, rng=np.random.default_rng(seed)):
        if record.steps >= curve[-1][0] + LOOK:
            curve.append((record.steps // LOOK * LOOK, worth(model, mdp, start, config.discount)))
    actor = ArrayForward(model.actor)
    way = play_episodes(envs, lambda rows: actor(rows).argmax(axis=1), 1, rng=np.random.default_rng(0))
    return curve, way[0].steps


@torch.no_grad()
def tables(model: ActorCritic) -> tuple[np.ndarray, np.ndarray]:
    """The policy (S, A) and the critic's values (S,), for each cell."""
    logits, values = model(torch.eye(next(model.actor.parameters()).shape[1]))
    policy = logits.double().softmax(dim=1).numpy()
    return policy / policy.sum(axis=1, keepdims=True), values.double().numpy()


def worth(model: ActorCritic, mdp: TabularMDP, start: int, discount: float) -> float:
    """V of the start under the policy of the network, exactly."""
    return float(exact_values(mdp, tables(model)[0], discount=discount)[start])


def walks(seeds: int) -> Iterator[dict]:
    for name, maze in MAZES.items():
        for seed in range(seeds):
            curve, greedy = train(maze, seed, MAZE)
            yield {"maze": name, "seed": seed, "greedy": greedy, "curve": curve}


def parallel(seeds: int) -> Iterator[dict]:
    """Equal total steps: with rollouts of equal length, and with batches of equal size."""
    for n_mazes, length in ((1, 16), (4, 16), (16, 16), (64, 16), (1, 512), (4, 128), (16, 32), (64, 8)):
        config = replace(MAZE, steps=61_440, rollout_steps=length)
        for seed in range(seeds):
            curve, greedy = train(CLASSIC, seed, config, n_mazes)
            yield {"mazes": n_mazes, "length": length, "seed": seed, "greedy": greedy, "curve": curve}


def bonus(seeds: int) -> Iterator[dict]:
    """The entropy bonus, and a trunk that actor and critic share."""
    separate = ((0.0, 0.5), (0.1, 0.5), (1.0, 0.5), (1.0, 0.005), (1.0, 5.0))
    settings = (*((*pair, False) for pair in separate), (1.0, 0.5, True), (1.0, 0.005, True))
    for entropy_coef, value_coef, shared in settings:
        config = replace(MAZE, entropy_coef=entropy_coef, value_coef=value_coef)
        for seed in range(seeds):
            curve, greedy = train(NINE, seed, config, shared=shared)
            columns = {"entropy_coef": entropy_coef, "value_coef": value_coef, "shared": int(shared)}
            yield {**columns, "seed": seed, "greedy": greedy, "curve": curve}


def stages(seeds: int) -> Iterator[dict]:
    """One actor and critic on their way, cell by cell: probabilities of the actions, and the critic's value."""
    with seeded(0):
        model = ActorCritic(CLASSIC.walls.size, 4)
    for record in a2c(maze_envs(CLASSIC, N_MAZES), model, MAZE, rng=np.random.default_rng(0)):
        if record.update in (25, 50, 100, 180):
            policy, values = tables(model)
            for cell, (row, value) in enumerate(zip(policy, values, strict=True)):
                chances = dict(zip(("up", "right", "down", "left"), (f"{p:.6f}" for p in row), strict=True))
                yield {"updates": record.update, "cell": cell, **chances, "value": f"{value:.4f}"}


STUDIES = {"walks": walks, "parallel": parallel, "bonus": bonus, "stages": stages}


def write(name: str, seeds: int) -> None:
    """One row for each look at each run."""
    begin, rows = time.process_time(), []
    for run in STUDIES[name](seeds):
        curve = run.pop("curve", None)
        looks = [{"steps": steps, "value": f"{value:.3f}"} for steps, value in curve] if curve else [{}]
        rows += [{**run, **look} for look in looks]
    RUNS.mkdir(parents=True, exist_ok=True)
    with (RUNS / f"actor-critic-{name}.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(f"# {machine('numpy', 'torch', 'gymnasium')}\n")
        file.write(f"# python bench/studies/actor_critic.py --only {name} --seeds {seeds}: ")
        file.write(f"{time.process_time() - begin:.0f} CPU seconds\n")
        file.write(f"# {MEANING[name == 'stages']}\n")
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default=",".join(STUDIES))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    assert steps_from(CLASSIC.start, CLASSIC.walls)[CLASSIC.goal] == 8
    assert steps_from(NINE.start, NINE.walls)[NINE.goal] == 17
    for study in arguments.only.split(","):
        write(study, arguments.seeds)
