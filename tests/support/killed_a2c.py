"""A run of actor-critic that ends itself with SIGKILL, for tests of resuming.

    python killed_a2c.py FOLDER ENVIRONMENT [UPDATE MOMENT]

Trains for 24 updates with a checkpoint in FOLDER after every fifth, from the last one if there is any, and prints the
records. With UPDATE and MOMENT the process kills itself there: "after" the update, when its record was yielded; or
"within" the saving of its checkpoint, before the rename.
"""

import os
import signal
import sys
from pathlib import Path

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
from mazelm.common.seeding import seeded
from mazelm.policy.actor_critic import A2CConfig, a2c
from mazelm.policy.networks import ActorCritic, Features
from mazelm.training import snapshot

CONFIG = A2CConfig(steps=24 * 8 * 4, rollout_steps=8, checkpoint_every=5)
OPTIONS = {"CartPole-v1": {}, "mazes/Maze-v0": {"maze": "classic", "observation": "one-hot", "slip": 0.2}}


def main(folder: Path, name: str, update: int = 0, moment: str = "after") -> None:
    envs = gym.make_vec(name, num_envs=4, vectorization_mode="vector_entry_point", **OPTIONS[name])
    with seeded(3):
        model = ActorCritic(Features(envs.single_observation_space).size, int(envs.single_action_space.n), hidden=(16,))
    if moment == "within":
        kill_before_renaming(update)
    for record in a2c(envs, model, CONFIG, rng=np.random.default_rng(7), checkpoints=folder):
        print(*record, flush=True)
        if record.update == update and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
    print([parameter.sum().item() for parameter in model.parameters()])


def kill_before_renaming(update: int) -> None:
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if Path(target).name == f"record-{update:04d}":
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)

    snapshot.Path.rename = killed


if __name__ == "__main__":
    place, environment, *rest = sys.argv[1:]
    main(Path(place), environment, *([int(rest[0]), rest[1]] if rest else []))
