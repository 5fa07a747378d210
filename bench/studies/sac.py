"""Ten seeds of soft actor-critic: on Pendulum, and in the maze with two equal paths beside PPO.

    python bench/studies/sac.py pendulum     # about eight minutes on one core; --steps 6000 about three
    python bench/studies/sac.py two-paths    # about one minute

Writes chapters/11-ppo/runs/sac-pendulum.csv or two-paths.csv, which lesson 11.2 reads, and fails if fewer than nine of
the ten seeds do what the book says.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import torch
from mazelm.common.seeding import seeded
from mazelm.policy.discrete_sac import DiscreteActorCritic, discrete_sac
from mazelm.policy.networks import ActorCritic, ArrayForward, sample
from mazelm.policy.ppo import PPOConfig, ppo
from mazelm.policy.rollout import Collector, play_episodes
from mazelm.policy.sac import SquashedActorCritic, best_action, sac
from mazelm.policy.soft_learning import SoftConfig
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from sidebyside import machine

RUNS = Path(__file__).parents[2] / "chapters" / "11-ppo" / "runs"
TOP_RIGHT, BOTTOM_LEFT = 4, 20  # the corners of two-paths that tell which way somebody went

TWO_PATHS = SoftConfig(
    steps=40_000,
    random_steps=1000,
    batch_size=128,
    polyak=0.1,
    learning_rate=0.02,
    temperature=0.3,
    record_interval=1000,
)
PPO: dict[str, Any] = {"steps": 40_000, "rollout_steps": 64, "learning_rate": 0.01}


def pendulum(seed: int, steps: int) -> Iterator[dict]:
    """The mean return of 100 episodes without chance in the policy, after every 500 steps."""
    envs = gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync")
    many = gym.make_vec("Pendulum-v1", num_envs=50, vectorization_mode="sync")
    with seeded(seed):
        model = SquashedActorCritic(3, 1)
    space = envs.single_action_space
    assert isinstance(space, gym.spaces.Box)
    config = SoftConfig(steps=steps, record_interval=500)
    act, learning, begin = best_action(model, space), 0.0, time.process_time()
    for record in sac(envs, model, config, rng=np.random.default_rng(seed)):
        learning += time.process_time() - begin
        played = play_episodes(many, act, 100, rng=np.random.default_rng(1000 + record.steps))
        yield {
            "seed": seed,
            "steps": record.steps,
            "mean_return": f"{np.mean([episode.total for episode in played]):.1f}",
            "worst_return": f"{min(episode.total for episode in played):.1f}",
            "entropy": f"{record.entropy:.3f}",
            "temperature": f"{record.temperature:.4f}",
            "cpu_seconds": f"{learning:.1f}",
        }
        begin = time.process_time()


def two_paths(seed: int) -> Iterator[dict]:
    """Which way 400 walks go, after every 1000 steps or so, for three learners."""
    for name, bonus in (("SAC", None), ("PPO", 0.0), ("PPO with a bonus", 0.2)):
        run = soft_run(seed) if bonus is None else ppo_run(seed, bonus)
        for steps, actor in run:
            yield {"learner": name, "seed": seed, "steps": steps, **ways_of(actor, [seed, steps])}


def soft_run(seed: int) -> Iterator[tuple[int, nn.Sequential]]:
    """Steps so far, and the policy in training."""
    with seeded(seed):
        model = DiscreteActorCritic(25, 4, hidden=())
    for record in discrete_sac(maze_of(16), model, TWO_PATHS, rng=np.random.default_rng(seed)):
        yield record.steps, model.actor


def ppo_run(seed: int, bonus: float) -> Iterator[tuple[int, nn.Sequential]]:
    """The same of PPO."""
    with seeded(seed):
        model = ActorCritic(25, 4, hidden=())
    for record in ppo(maze_of(16), model, PPOConfig(entropy_coef=bonus, **PPO), rng=np.random.default_rng(seed)):
        yield record.steps, model.actor


def maze_of(num_envs: int) -> gym.vector.VectorEnv:
    options: dict[str, Any] = {"maze": "two-paths", "observation": "one-hot"}
    return gym.make_vec("mazes/Maze-v0", num_envs, vectorization_mode="vector_entry_point", **options)


def ways_of(actor: nn.Sequential, draw: list[int], walks: int = 400, limit: int = 100) -> dict[str, str]:
    """The shares of walks that come first to one corner and to the other; the rest comes to neither in time."""
    rng, forward = np.random.default_rng(draw), ArrayForward(actor)
    collector = Collector(maze_of(walks), rng=rng)
    first = np.zeros(walks, dtype=int)
    for _ in range(limit):
        step = collector.step(sample(forward(collector.obs), rng=rng)[0])
        cells = step.next_obs.argmax(axis=1)
        reached = (first == 0) & ((cells == TOP_RIGHT) | (cells == BOTTOM_LEFT))
        first[reached] = cells[reached]
    return {"right": f"{np.mean(first == TOP_RIGHT):.4f}", "down": f"{np.mean(first == BOTTOM_LEFT):.4f}"}


def holds(study: str, rows: list[dict]) -> tuple[int, int]:
    """In how many seeds the book's statement holds, and in how many it might."""
    if study == "pendulum":
        seeds = {row["seed"] for row in rows}
        good = {row["seed"] for row in rows if float(row["mean_return"]) >= -200}
        return len(good), len(seeds)
    last = {(row["learner"], row["seed"]): row for row in rows}
    seeds = {seed for _, seed in last}
    both = [s for s in seeds if all(0.25 <= float(last["SAC", s][way]) <= 0.75 for way in ("right", "down"))]
    one = [s for s in seeds if max(float(last["PPO", s][way]) for way in ("right", "down")) > 0.95]
    return min(len(both), len(one)), len(seeds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", choices=["pendulum", "two-paths"])
    parser.add_argument("--seeds", type=int, default=10, help="how many (default: 10); fewer are not written")
    parser.add_argument("--steps", type=int, default=15_000, help="of each pendulum (default: 15,000)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in range(options.seeds):
        for row in pendulum(seed, options.steps) if options.study == "pendulum" else two_paths(seed):
            rows.append(row)
            print(*row.values(), flush=True)
    good, seeds = holds(options.study, rows)
    print(f"as the book says in {good} of {seeds} seeds")
    if options.seeds == 10:
        write(options.study, rows)
    return 0 if good >= 0.9 * seeds else 1


def write(study: str, rows: list[dict]) -> None:
    """The rows, below lines that say where they come from."""
    name, command, about = {
        "pendulum": (
            "sac-pendulum.csv",
            f"pendulum --steps {rows[-1]['steps']}",
            "mean and worst return of 100 episodes, best action, after so many steps of one environment",
        ),
        "two-paths": (
            "two-paths.csv",
            "two-paths",
            "shares of 400 sampled walks from S that come first to the corner on the right, or below",
        ),
    }[study]
    with (RUNS / name).open("w", encoding="utf-8", newline="") as file:
        print(f"# {machine('torch', 'numpy', 'gymnasium')}", file=file)
        print(f"# python bench/studies/sac.py {command}", file=file)
        print(f"# {about}", file=file)
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
