"""The recorded runs of lesson 09-deep-q-networks/01-dqn: CartPole by ten seeds, and what each part of DQN is worth.

    python bench/studies/dqn.py cartpole [--seeds 10] [--first 0]
    python bench/studies/dqn.py ablation [--seeds 5] [--first 0]

write chapters/09-deep-q-networks/runs/cartpole.csv and ablation.csv, one line for every 1,000 steps of a run. Seeds are
run one after the other; with `--first 3` those that are in the file already are kept.
"""

import argparse
import csv
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
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
NO_MEMORY = {"capacity": 128}  # that of one batch
NO_COPY = {"target_interval": 1}
ARMS = {  # name: (environments, config)
    "both": (1, NATURE),
    "no memory": (1, replace(NATURE, **NO_MEMORY)),
    "no target network": (1, replace(NATURE, **NO_COPY)),
    "neither": (1, replace(NATURE, **NO_MEMORY, **NO_COPY)),
    "both, double": (1, replace(NATURE, double=True)),
    "ten rewards, both": (1, replace(NATURE, n=10)),
    "ten rewards, no target network": (1, replace(NATURE, n=10, **NO_COPY)),
}
MEANING = (
    f"return: the mean of the last {LAST} episodes so far, while exploring; q: the mean of Q(s, a) over the last batch",
    "greedy: the mean return of 20 episodes without exploration, at the end of the run",
)


def train(n_envs: int, config: DQNConfig, seed: int) -> Iterator[dict[str, object]]:
    """One line for every LOOK steps."""
    envs = gym.make_vec("CartPole-v1", num_envs=n_envs, vectorization_mode="vector_entry_point")
    with seeded(seed):
        network = mlp([4, *HIDDEN, 2], activation=nn.ReLU)
    totals: deque[float] = deque(maxlen=LAST)
    for record in dqn(envs, network, replace(config, record_interval=LOOK), rng=np.random.default_rng(seed)):
        totals.extend(episode.total for episode in record.episodes)
        mean = f"{np.mean(totals):.1f}" if totals else ""
        is_last = record.step >= config.steps
        greedy = f"{evaluate(network):.1f}" if is_last else ""
        step = record.step // LOOK * LOOK
        yield {"step": step, "episodes": len(record.episodes), "return": mean, "q": f"{record.q:.4g}", "greedy": greedy}


def evaluate(network: nn.Sequential) -> float:
    """The mean return of 20 episodes without exploration."""
    envs = gym.make_vec("CartPole-v1", num_envs=20, vectorization_mode="vector_entry_point")
    values = ArrayForward(network)
    played = play_episodes(envs, lambda rows: values(rows).argmax(axis=1), 20, rng=np.random.default_rng(0))
    return float(np.mean([episode.total for episode in played]))


def study(name: str, arms: dict[str, tuple[int, DQNConfig]], seeds: range) -> None:
    path = RUNS / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    kept = []
    if path.exists() and seeds.start:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        kept = [row for row in csv.DictReader(lines) if int(row["seed"]) < seeds.start]
    with path.open("w", encoding="utf-8", newline="") as file:
        for line in (machine("torch", "numpy", "gymnasium"), f"python bench/studies/dqn.py {name}", *MEANING):
            file.write(f"# {line}\n")
        columns = ("arm", "seed", "step", "episodes", "return", "q", "greedy")
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        for seed in seeds:
            for arm, (n_envs, config) in arms.items():
                for row in train(n_envs, config, seed):
                    writer.writerow({"arm": arm, "seed": seed, **row})
                file.flush()
                print(arm, seed, row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("cartpole", "ablation"))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.study == "cartpole":
        study("cartpole", {"CARTPOLE": (8, CARTPOLE)}, range(arguments.first, arguments.seeds or 10))
    else:
        study("ablation", ARMS, range(arguments.first, arguments.seeds or 5))


if __name__ == "__main__":
    main()
