"""What each part of PPO is worth on CartPole: the clip, the normalised advantages, the number of passes.

    python bench/studies/ppo.py [--seeds 10]

Writes chapters/11-ppo/runs/ppo-ablation.csv, which lesson 11.1 reads. About ten minutes on one core.
"""

import argparse
import csv
import math
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from mazelm.common.seeding import seeded
from mazelm.policy.networks import ActorCritic
from mazelm.policy.ppo import CARTPOLE, CARTPOLE_ENVS, PPOConfig, ppo

sys.path.insert(0, str(Path(__file__).parents[1]))
from sidebyside import machine

RUN = Path(__file__).parents[2] / "chapters" / "11-ppo" / "runs" / "ppo-ablation.csv"
EVERY = 4  # updates from one row to the next

ALL = replace(CARTPOLE, steps=98_304)  # 48 updates
VARIANTS = {
    "all parts": ALL,
    "no clip": replace(ALL, clip_epsilon=math.inf),
    "not normalised": replace(ALL, normalise_advantages=False),
    "1 pass": replace(ALL, epochs=1),
    "1 pass, no clip": replace(ALL, epochs=1, clip_epsilon=math.inf),
    "3 passes": replace(ALL, epochs=3),
    "30 passes": replace(ALL, epochs=30),
    "30 passes, no clip": replace(ALL, epochs=30, clip_epsilon=math.inf),
    "values clipped": replace(ALL, value_clip=0.2),
    "small steps": replace(ALL, learning_rate=3e-4),
    "small steps, no clip": replace(ALL, learning_rate=3e-4, clip_epsilon=math.inf),
}


def curve(config: PPOConfig, seed: int) -> Iterator[dict[str, object]]:
    """The mean return of the last 100 episodes, and the gauges, after every few updates."""
    envs = gym.make_vec("CartPole-v1", num_envs=CARTPOLE_ENVS, vectorization_mode="vector_entry_point")
    with seeded(seed):
        model = ActorCritic(4, 2)
    last: deque[float] = deque(maxlen=100)
    for record in ppo(envs, model, config, rng=np.random.default_rng(seed)):
        last.extend(episode.total for episode in record.episodes)
        if record.update % EVERY == 0:
            yield {
                "seed": seed,
                "steps": record.steps,
                "mean_return": f"{np.mean(last):.1f}",
                "kl": f"{record.kl:.5f}",
                "clip_fraction": f"{record.clip_fraction:.3f}",
                "entropy": f"{record.entropy:.3f}",
            }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RUN)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {machine('numpy', 'torch', 'gymnasium')}\n# python bench/studies/ppo.py\n")
        file.write(f"# mean_return: of the last 100 episodes; settings of CARTPOLE, {CARTPOLE_ENVS} carts\n")
        columns = ("variant", "seed", "steps", "mean_return", "kl", "clip_fraction", "entropy")
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for variant, config in VARIANTS.items():
            for seed in range(arguments.seeds):
                rows = [{"variant": variant, **row} for row in curve(config, seed)]
                writer.writerows(rows)
                file.flush()
                print(f"{variant:20} seed {seed}: {rows[-1]['mean_return']:>6}", flush=True)


if __name__ == "__main__":
    main()
