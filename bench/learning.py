"""Whether the deep learners of chapters 9 to 11 learn, on ten seeds each.

    python bench/learning.py [--seeds 10] [--only NAME]

Prints a table, writes bench/learning.csv (one row for each seed) and bench/learning.md, and ends with status 1 if fewer
than nine of ten seeds of a study reach what is asked of them. About a quarter of an hour on one core. The configs are
the constants of the library; nothing is chosen here but the seeds, which are 0, 1, 2, …
"""

import argparse
import csv
import itertools
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import torch
from mazelm.common.seeding import seeded
from mazelm.policy import actor_critic, dqn, ppo, reinforce, sac
from mazelm.policy.networks import ActorCritic, ArrayForward, mlp
from mazelm.policy.rollout import play_episodes
from mazelm.tabular.episodes import Episode
from mazes.dynamics import move_tables
from mazes.generate import random_maze
from mazes.grid import Maze, distances
from mazes.maps import load
from sidebyside import machine
from torch import nn

HERE = Path(__file__).parent
SHARE = 0.9  # of the seeds that have to get there
LAST = 100  # episodes whose mean return counts on CartPole


class Result(NamedTuple):
    """What one seed came to."""

    reached: bool
    steps: int  # of all environments together, until it got there or stopped
    measure: float


class Record(Protocol):
    """What every loop yields, among other things."""

    @property
    def episodes(self) -> list[Episode]: ...


@dataclass(frozen=True, kw_only=True)
class Study:
    """One learner on one task."""

    name: str
    asked: str
    measure: str
    run: Callable[[int], Result]


def studies() -> list[Study]:
    nine = random_maze(9, 9, loops=0.1, rng=np.random.default_rng(0))
    on_mazes = [
        Study(
            name=f"{name}, {maze_name}",
            asked="the likeliest actions are a shortest path",
            measure="steps of that walk less those of the shortest",
            run=partial(walks, learner, maze),
        )
        for maze_name, maze in (("classic", load("classic")), ("9×9 maze", nine))
        for name, learner in (("REINFORCE", maze_reinforce), ("A2C", maze_a2c), ("PPO", maze_ppo))
    ]
    return [
        Study(
            name="PPO, CartPole",
            asked="mean of 100 episodes ≥ 475 within 150,000 steps",
            measure="mean of the last 100 episodes",
            run=partial(balances, cartpole_ppo, 475),
        ),
        Study(
            name="DQN, CartPole",
            asked="mean of 100 episodes ≥ 400 within 150,000 steps",
            measure="mean of the last 100 episodes",
            run=partial(balances, cartpole_dqn, 400),
        ),
        Study(
            name="SAC, Pendulum",
            asked="mean return of 100 episodes ≥ −200 after 15,000 steps",
            measure="mean return of 100 episodes without chance in the policy",
            run=swings_up,
        ),
        *on_mazes,
    ]


def balances(learner: Callable[[int], Iterable[Record]], threshold: float, seed: int, most: int = 150_000) -> Result:
    """Train until the mean of the last 100 episodes is high enough, or too many steps have been made."""
    last: deque[Episode] = deque(maxlen=LAST)
    steps = 0
    for record in learner(seed):
        steps += sum(episode.steps for episode in record.episodes)
        last.extend(record.episodes)
        mean = float(np.mean([episode.total for episode in last])) if last else math.nan
        if steps > most or (len(last) == LAST and mean >= threshold):
            break
    return Result(len(last) == LAST and mean >= threshold and steps <= most, steps, mean)


def cartpole_ppo(seed: int) -> Iterator[Any]:
    envs = gym.make_vec("CartPole-v1", num_envs=ppo.CARTPOLE_ENVS, vectorization_mode="vector_entry_point")
    with seeded(seed):
        model = ActorCritic(4, 2)
    return ppo.ppo(envs, model, ppo.CARTPOLE, rng=np.random.default_rng(seed))


def cartpole_dqn(seed: int) -> Iterator[Any]:
    envs = gym.make_vec("CartPole-v1", num_envs=dqn.CARTPOLE_ENVS, vectorization_mode="vector_entry_point")
    with seeded(seed):
        network = mlp([4, 120, 84, 2], activation=nn.ReLU)
    return dqn.dqn(envs, network, dqn.CARTPOLE, rng=np.random.default_rng(seed))


def swings_up(seed: int) -> Result:
    """Train, and then play without chance in the policy."""
    envs = gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync")
    with seeded(seed):
        model = sac.SquashedActorCritic(3, 1)
    for record in sac.sac(envs, model, sac.PENDULUM, rng=np.random.default_rng(seed)):
        steps = record.steps
    many = gym.make_vec("Pendulum-v1", num_envs=50, vectorization_mode="sync")
    act = sac.best_action(model, envs.single_action_space)
    totals = [episode.total for episode in play_episodes(many, act, LAST, rng=np.random.default_rng(1000 + seed))]
    return Result(float(np.mean(totals)) >= -200, steps, float(np.mean(totals)))


def walks(learner: Callable[[Maze, int], tuple[ActorCritic, int]], maze: Maze, seed: int) -> Result:
    """Train, and then follow the likeliest action of each cell."""
    model, steps = learner(maze, seed)
    logits = ArrayForward(model.actor)(np.eye(maze.n_states, dtype=np.float32))
    next_state, _, terminated = move_tables(maze)
    state, length, over = maze.index(*maze.start), 0, False
    while not over and length < maze.n_states:
        action = logits[state].argmax()
        over, state, length = terminated[action, state], next_state[action, state], length + 1
    shortest = int(distances(maze)[maze.index(*maze.start)])
    return Result(bool(over) and length == shortest, steps, float(length - shortest) if over else math.inf)


def maze_reinforce(maze: Maze, seed: int) -> tuple[ActorCritic, int]:
    return trained(reinforce.reinforce, reinforce.MAZE, reinforce.MAZE_ENVS, maze, seed)


def maze_a2c(maze: Maze, seed: int) -> tuple[ActorCritic, int]:
    return trained(actor_critic.a2c, actor_critic.MAZE, actor_critic.MAZE_ENVS, maze, seed)


def maze_ppo(maze: Maze, seed: int) -> tuple[ActorCritic, int]:
    return trained(ppo.ppo, ppo.MAZE, ppo.MAZE_ENVS, maze, seed)


def trained(
    loop: Callable[..., Iterator[Any]], config: Any, n_envs: int, maze: Maze, seed: int
) -> tuple[ActorCritic, int]:
    """A model after a whole run through a maze, and how many steps that took."""
    envs = gym.make_vec(
        "mazes/Maze-v0", num_envs=n_envs, maze=maze, observation="one-hot", vectorization_mode="vector_entry_point"
    )
    with seeded(seed):
        model = ActorCritic(maze.n_states, 4)
    steps = 0
    for record in loop(envs, model, config, rng=np.random.default_rng(seed)):
        steps += sum(episode.steps for episode in record.episodes)
    return model, steps


def main() -> int:
    parser = argparse.ArgumentParser(description="Whether the deep learners learn, on several seeds.")
    parser.add_argument("--seeds", type=int, default=10, help="how many seeds (default: 10)")
    parser.add_argument("--only", default="", help="only studies whose name contains this; nothing is written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [study for study in studies() if options.only.lower() in study.name.lower()]
    rows, lines, missed = [], [], 0
    for study in chosen:
        results = [study.run(seed) for seed in range(options.seeds)]
        rows += [[study.name, seed, *result] for seed, result in enumerate(results)]
        there = sum(result.reached for result in results)
        worst = sorted(result.steps for result in results)
        enough = there >= math.ceil(SHARE * options.seeds)
        missed += not enough
        cells = study.name, study.asked, f"{there} of {options.seeds}", f"{worst[len(worst) // 2]:,}", f"{worst[-1]:,}"
        lines.append(f"| {' | '.join([*cells, 'pass' if enough else 'FAIL'])} |")
        print(lines[-1], flush=True)
    if not options.only:
        write(rows, lines)
    return 1 if missed else 0


def write(rows: list[list[Any]], lines: list[str]) -> None:
    """The table for people, and the rows for everybody else."""
    head = ["study", "asked", "seeds that got there", "steps, median", "steps, most", "verdict"]
    about = machine("numpy", "torch", "gymnasium")
    table = [
        "# Deep learners on ten seeds",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
        *lines,
        "",
        about,
    ]
    (HERE / "learning.md").write_text("\n".join(table) + "\n", encoding="utf-8")
    with (HERE / "learning.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(f"# python bench/learning.py; {about}\n")
        csv.writer(file).writerows(itertools.chain([["study", "seed", "reached", "steps", "measure"]], rows))


if __name__ == "__main__":
    sys.exit(main())
