"""How fast PPO, DQN and tree search of chapters 9 to 12 are beside stable-baselines3 and other searches, in one run.

    python bench/deep_rl.py [--rounds 5] [--quick]

Prints a table, writes it to bench/deep_rl.md, and ends with status 1 if a speed is not as required. Each round of a
training is another seed. Steps are steps of all environments together; both sides make equally many, but for the row in
which CartPole is solved: there each side stops when the mean of its last 100 episodes reaches 475.
"""

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from mazelm.common.seeding import seeded
from mazelm.policy.dqn import DQNConfig, Learner, dqn
from mazelm.policy.networks import ActorCritic, mlp
from mazelm.policy.ppo import CARTPOLE, CARTPOLE_ENVS, PPOConfig, PPORecord, ppo
from mazelm.policy.rollout import Step
from mazelm.search.forward_models import as_table, random_rollout
from mazelm.search.mcts import MCTS
from mazes import maps
from mazes.env import MazeEnv
from report import Row, run
from searchers import Walk, by_copies, by_package
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger
from torch import nn

SOLVED, LAST = 475, 100
EXPLORATION, DISCOUNT, STEPS = 20.0, 0.99, 30  # of the searches; steps of a rollout at most


def rows(quick: bool) -> list[Row]:
    share = 10 if quick else 1
    return [
        ppo_steps(20_480 // share),
        *([] if quick else [ppo_solves()]),
        dqn_gradients([120, 84], 128, 1_000 // share, 1.7),
        dqn_gradients([64, 64], 32, 1_000 // share, 1.7),
        dqn_gradients([256, 256], 64, 1_000 // share, None),
        dqn_end_to_end(20_000 // share, 1, None),
        dqn_end_to_end(20_000 // share, 8, 2),
        *searches(2_000 // share),
    ]


def ppo_steps(steps: int) -> Row:
    """The same hyper-parameters on both sides: those of most published code for CartPole."""
    config = PPOConfig(steps=steps)
    ours_seed, their_seed = itertools.count(), itertools.count()

    def ours() -> int:
        return [record.steps for record in our_ppo(4, config, next(ours_seed), hidden=(64, 64))][-1]

    def theirs() -> int:
        model = PPO(
            "MlpPolicy",
            make_vec_env("CartPole-v1", 4, seed=next(their_seed)),
            n_steps=config.rollout_steps,
            batch_size=4 * config.rollout_steps // config.minibatches,
            n_epochs=config.epochs,
            learning_rate=config.learning_rate,
            gamma=config.discount,
            gae_lambda=config.gae_lambda,
            clip_range=config.clip_epsilon,
            ent_coef=config.entropy_coef,
            device="cpu",
        )
        return model.learn(steps).num_timesteps

    measure = f"{steps} steps of PPO, 4 environments, equal hyper-parameters"
    return Row(measure=measure, ours=ours, peer="stable-baselines3", theirs=theirs, required=2)


def our_ppo(n_envs: int, config: PPOConfig, seed: int, *, hidden: tuple[int, ...]) -> Iterator[PPORecord]:
    envs = gym.make_vec("CartPole-v1", num_envs=n_envs, vectorization_mode="vector_entry_point")
    with seeded(seed):
        model = ActorCritic(4, 2, hidden=hidden)
    return ppo(envs, model, config, rng=np.random.default_rng(seed))


def ppo_solves() -> Row:
    """Wall time to a solved CartPole: our settings, with many environments, against the tuned ones of the peer."""
    ours_seed, their_seed = itertools.count(), itertools.count()

    def ours() -> int:
        last: deque[float] = deque(maxlen=LAST)
        for record in our_ppo(CARTPOLE_ENVS, CARTPOLE, next(ours_seed), hidden=(64, 64)):
            last.extend(episode.total for episode in record.episodes)
            if len(last) == LAST and np.mean(last) >= SOLVED:
                break
        return 0

    def theirs() -> int:
        model = PPO(  # of rl-baselines3-zoo, hyperparams/ppo.yml
            "MlpPolicy",
            make_vec_env("CartPole-v1", 8, seed=next(their_seed)),
            n_steps=32,
            batch_size=256,
            gae_lambda=0.8,
            gamma=0.98,
            n_epochs=20,
            ent_coef=0.0,
            learning_rate=lambda left: 0.001 * left,
            clip_range=lambda left: 0.2 * left,
            device="cpu",
        )
        model.learn(100_000, callback=StopWhenSolved())
        return 0

    measure = f"CartPole solved by PPO (mean of {LAST} episodes ≥ {SOLVED}), each side's own settings"
    return Row(measure=measure, ours=ours, peer="stable-baselines3, tuned", theirs=theirs, required=3)


class StopWhenSolved(BaseCallback):
    """Ends a training when the mean of the last 100 episodes is high enough."""

    def _on_step(self) -> bool:
        last = self.model.ep_info_buffer or ()
        return len(last) < LAST or float(np.mean([episode["r"] for episode in last])) < SOLVED


def dqn_gradients(hidden: list[int], batch_size: int, count: int, required: float | None) -> Row:
    """Gradient steps alone, from a memory of 10,000 random steps."""
    config = DQNConfig(batch_size=batch_size, capacity=10_000, target_interval=500, double=False)
    learner = Learner(mlp([4, *hidden, 2], activation=nn.ReLU), 4, config, device="cpu")
    model = DQN("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": hidden}, buffer_size=10_000, device="cpu")
    model.set_logger(Logger(folder=None, output_formats=[]))
    memory, draw = model.replay_buffer, np.random.default_rng(0)
    assert memory is not None
    for _ in range(10_000):
        obs, next_obs = draw.normal(size=(2, 1, 4)).astype(np.float32)
        action, no = draw.integers(2, size=1), np.zeros(1, dtype=bool)
        learner.replay.add(Step(obs, action, np.ones(1, np.float32), next_obs, no, no, ~no))
        memory.add(obs, next_obs, action, np.ones(1), no, [{}])

    def ours() -> int:
        for _ in range(count):
            learner.learn(rng=draw)
        return count

    def theirs() -> int:
        model.train(gradient_steps=count, batch_size=batch_size)
        return count

    measure = f"{count} gradient steps of DQN, batch {batch_size}, layers {'-'.join(map(str, hidden))}"
    return Row(measure=measure, ours=ours, peer="stable-baselines3", theirs=theirs, required=required)


def dqn_end_to_end(steps: int, n_envs: int, required: float | None) -> Row:
    """Acting and learning, with equal hyper-parameters; the peer has one environment, ours one or several."""
    config = DQNConfig(
        steps=steps,
        learning_rate=2.5e-4,
        batch_size=128,
        capacity=10_000,
        learning_starts=1_000,
        train_interval=10,
        target_interval=50,
        double=False,
        epsilon_steps=steps // 2,
    )
    ours_seed, their_seed = itertools.count(), itertools.count()

    def ours() -> int:
        envs, seed = gym.make_vec("CartPole-v1", num_envs=n_envs, vectorization_mode=mode), next(ours_seed)
        with seeded(seed):
            network = mlp([4, 120, 84, 2], activation=nn.ReLU)
        for _ in dqn(envs, network, config, rng=np.random.default_rng(seed)):
            pass
        return 0

    def theirs() -> int:
        model = DQN(
            "MlpPolicy",
            "CartPole-v1",
            policy_kwargs={"net_arch": [120, 84]},
            learning_rate=config.learning_rate,
            buffer_size=config.capacity,
            learning_starts=config.learning_starts,
            batch_size=config.batch_size,
            train_freq=config.train_interval,
            target_update_interval=config.target_interval * config.train_interval,
            exploration_fraction=0.5,
            exploration_final_eps=config.epsilon_end,
            seed=next(their_seed),
            device="cpu",
        )
        model.learn(steps)
        return 0

    mode = "vector_entry_point" if n_envs > 1 else "sync"
    measure = f"{steps} steps of DQN with {n_envs} environment{'s' * (n_envs > 1)}, equal hyper-parameters"
    return Row(measure=measure, ours=ours, peer="stable-baselines3", theirs=theirs, required=required)


def searches(count: int) -> list[Row]:
    """One move from the start of the maze `classic`: the same simulations, rollouts and constants on every side."""
    maze = maps.load("classic")
    start, text = maze.index(*maze.start), maze.to_text().splitlines()
    table, env = as_table(MazeEnv(maze).P), gym.make("mazes/Maze-v0", maze=maze)
    env.reset(seed=0)
    rollout = random_rollout(table, steps=STEPS, discount=DISCOUNT, rng=np.random.default_rng(0))

    def ours() -> int:
        tree = MCTS(table.__getitem__, rollout, exploration=EXPLORATION, discount=DISCOUNT)
        return count * (tree.search(start, count) >= 0)

    def row(peer: str, go: Callable[[], int], required: float | None) -> Row:
        measure = f"{count} simulations of UCT in classic, random rollouts of {STEPS} steps"
        return Row(measure=measure, ours=ours, peer=peer, theirs=lambda: count * (go() >= 0), required=required)

    same: dict[str, Any] = {"simulations": count, "exploration": EXPLORATION, "discount": DISCOUNT, "steps": STEPS}
    return [
        row("a deep copy of the environment at each simulation", by_copies(env, **same), 20),
        row("a deep copy of two fields at each simulation", by_copies(Walk(text, maze.start), **same), None),
        row("the mcts package", by_package(text, maze.start, **same), 2.5),
    ]


if __name__ == "__main__":
    torch.set_num_threads(1)
    packages = ["numpy", "torch", "gymnasium", "stable-baselines3", "mcts"]
    sys.exit(run(__file__, "Deep reinforcement learning and search: speed beside the peers", rows, packages))
