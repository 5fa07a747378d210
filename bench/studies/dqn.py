"""The recorded runs of lesson 09-deep-q-networks/01-dqn: CartPole by ten seeds, and what each part of DQN is worth.

    python bench/studies/dqn.py cartpole [--seeds 10] [--first 0]
    python bench/studies/dqn.py ablation [--seeds 10] [--first 0]
    python bench/studies/dqn.py maze [--seeds 10] [--first 0]

write chapters/09-deep-q-networks/runs/cartpole.csv, ablation.csv and maze.csv, one line for every 1,000 steps of a run
(in the maze 250). Seeds are run one after the other; with `--first 3` those that are in the file already are kept.
"""

import argparse
import csv
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import torch
from mazelm.common.seeding import seeded
from mazelm.policy.dqn import CARTPOLE, DQNConfig, dqn
from mazelm.policy.networks import ArrayForward, mlp
from mazelm.policy.rollout import play_episodes
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from sidebyside import machine

RUNS = Path(__file__).parents[2] / "chapters/09-deep-q-networks/runs"
HIDDEN, LOOK, LAST = (120, 84), 1_000, 100  # widths of the network; steps between two lines; episodes in a mean
NATURE = replace(CARTPOLE, steps=30_000, n=1, double=False)  # one-step targets, as in the paper of 2015
NO_MEMORY: dict[str, Any] = {"capacity": 128}  # that of one batch
NO_COPY: dict[str, Any] = {"target_interval": 1}
ARMS = {  # name: (environments, config)
    "both": (1, NATURE),
    "no memory": (1, replace(NATURE, **NO_MEMORY)),
    "no target network": (1, replace(NATURE, **NO_COPY)),
    "neither": (1, replace(NATURE, **NO_MEMORY, **NO_COPY)),
    "both, double": (1, replace(NATURE, double=True)),
    "ten rewards, both": (1, replace(NATURE, n=10)),
    "ten rewards, no target network": (1, replace(NATURE, n=10, **NO_COPY)),
}
MAZE = DQNConfig(
    steps=3_000,
    learning_rate=0.01,
    batch_size=32,
    capacity=3_000,
    learning_starts=32,
    train_interval=2,
    target_interval=100,
    double=False,
    epsilon_steps=1_000,
    epsilon_end=0.1,
)
SMALL_MEMORY: dict[str, Any] = {"capacity": MAZE.batch_size}
MAZE_ARMS = {
    "both": MAZE,
    "no memory": replace(MAZE, **SMALL_MEMORY),
    "no target network": replace(MAZE, **NO_COPY),
    "neither": replace(MAZE, **SMALL_MEMORY, **NO_COPY),
}
MAZE_LOOK, LONGEST = 250, 100  # steps between two lines; steps after which an episode is cut
CARTPOLE_MEANING = (
    f"return: the mean of the last {LAST} episodes so far, while exploring",
    f"recent: the mean of those that ended in these {LOOK:,} steps; q: the mean of Q(s, a) over the last batch",
    "greedy: the mean return of 20 episodes without exploration, at the end of the run",
)
MEANING = {
    "cartpole": CARTPOLE_MEANING,
    "ablation": CARTPOLE_MEANING,
    "maze": (
        f"steps: the mean over the episodes that ended in these {MAZE_LOOK} steps, while exploring",
        "q: the mean of Q(s, a) over the last batch",
    ),
}


def train(n_envs: int, config: DQNConfig, seed: int) -> Iterator[dict[str, object]]:
    """One line for every LOOK steps."""
    envs = gym.make_vec("CartPole-v1", num_envs=n_envs, vectorization_mode="vector_entry_point")
    with seeded(seed):
        network = mlp([4, *HIDDEN, 2], activation=nn.ReLU)
    totals: deque[float] = deque(maxlen=LAST)
    for record in dqn(envs, network, replace(config, record_interval=LOOK), rng=np.random.default_rng(seed)):
        ended = [episode.total for episode in record.episodes]
        totals.extend(ended)
        mean, recent = (f"{np.mean(some):.1f}" if some else "" for some in (totals, ended))
        is_last = record.step >= config.steps
        greedy = f"{evaluate(network):.1f}" if is_last else ""
        step = record.step // LOOK * LOOK
        returns = {"episodes": len(ended), "return": mean, "recent": recent}
        yield {"step": step, **returns, "q": f"{record.q:.4g}", "greedy": greedy}


def evaluate(network: nn.Sequential) -> float:
    """The mean return of 20 episodes without exploration."""
    envs = gym.make_vec("CartPole-v1", num_envs=20, vectorization_mode="vector_entry_point")
    values = ArrayForward(network)
    played = play_episodes(envs, lambda rows: values(rows).argmax(axis=1), 20, rng=np.random.default_rng(0))
    return float(np.mean([episode.total for episode in played]))


def walk(config: DQNConfig, seed: int) -> Iterator[dict[str, object]]:
    """One line for every MAZE_LOOK steps in the classic maze."""
    envs = gym.make_vec(
        "mazes/Maze-v0",
        num_envs=1,
        maze="classic",
        observation="one-hot",
        max_episode_steps=LONGEST,
        vectorization_mode="vector_entry_point",
    )
    with seeded(seed):
        network = mlp([25, 32, 4], activation=nn.ReLU)
    for record in dqn(envs, network, replace(config, record_interval=MAZE_LOOK), rng=np.random.default_rng(seed)):
        steps = np.mean([episode.steps for episode in record.episodes] or [LONGEST])
        yield {"step": record.step, "episodes": len(record.episodes), "steps": f"{steps:.2f}", "q": f"{record.q:.4g}"}


def study(name: str, arms: Mapping[str, Callable[[int], Iterator[dict[str, object]]]], seeds: range) -> None:
    path = RUNS / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    kept = []
    if path.exists() and seeds.start:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        kept = [row for row in csv.DictReader(lines) if int(row["seed"]) < seeds.start]
    with path.open("w", encoding="utf-8", newline="") as file:
        for line in (machine("torch", "numpy", "gymnasium"), f"python bench/studies/dqn.py {name}", *MEANING[name]):
            file.write(f"# {line}\n")
        writer: csv.DictWriter[str] | None = None
        for seed in seeds:
            for arm, run in arms.items():
                for row in run(seed):
                    if writer is None:
                        writer = csv.DictWriter(file, ("arm", "seed", *row), lineterminator="\n")
                        writer.writeheader()
                        writer.writerows(kept)
                    writer.writerow({"arm": arm, "seed": seed, **row})
                file.flush()
                print(arm, seed, row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=tuple(MEANING))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arms: Mapping[str, Callable[[int], Iterator[dict[str, object]]]]
    if arguments.study == "maze":
        arms = {name: partial(walk, config) for name, config in MAZE_ARMS.items()}
    elif arguments.study == "ablation":
        arms = {name: partial(train, n_envs, config) for name, (n_envs, config) in ARMS.items()}
    else:
        arms = {"CARTPOLE": partial(train, 8, CARTPOLE)}
    default = 10
    study(arguments.study, arms, range(arguments.first, arguments.seeds or default))


if __name__ == "__main__":
    main()
