"""Clones in caves of growing length, for the lessons of chapter 13: cloning and DAgger with equally many labels.

    python bench/studies/imitation.py

writes chapters/13-imitation/runs/caves.csv in about two minutes.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
from mazelm.common.seeding import seeded
from mazelm.imitation.cloning import CloningConfig, clone, demonstrate, policy_table
from mazelm.imitation.dagger import DaggerConfig, dagger
from mazelm.imitation.horizon import disagreement, state_distributions
from mazelm.policy.networks import mlp
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import greedy_policy, policy_iteration
from mazes.dynamics import Rewards, move_tables, slip_matrix
from mazes.grid import Maze, distances, steps_from
from mazes.observe import windows
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from sidebyside import machine

RUNS = Path(__file__).parents[2] / "chapters/13-imitation/runs/caves.csv"
COSTS = Rewards(step=-1, bump=-1, goal=-1)
COLUMNS = (
    "slip", "learner", "seed", "labels", "columns", "regret", "mistakes_expert", "mistakes_own", "expert_steps"
)  # fmt: skip
SEEDS, SLIPS, LENGTHS = 10, (0.0, 0.1), (10, 20, 40, 80)
SCHOOL, TESTS, LABELS, ITERATIONS, UPDATES = 128, 20, 16_384, 32, 3200


def cave(columns: int, rng: np.random.Generator) -> Maze:
    """Seven rows of rubble; the way leads from the left to the right."""
    while True:
        walls = rng.random((7, columns)) < 0.15
        walls[3, [0, 1, -2, -1]] = False
        closed = steps_from((3, columns - 1), walls) < 0
        if not closed[3, 0]:
            return Maze(walls=closed, cliffs=np.zeros_like(closed), start=(3, 0), goal=(3, columns - 1))


def planned(maze: Maze, slip: float) -> tuple[TabularMDP, np.ndarray]:
    """The model, and the expert: the policy with the fewest expected steps."""
    mdp = TabularMDP.from_moves(*move_tables(maze, rewards=COSTS), slip_matrix(slip))
    shortest = greedy_policy(mdp, -np.maximum(distances(maze), 0.0), discount=1.0)
    return mdp, policy_iteration(mdp, discount=1.0, policy=shortest).policy


def seen(maze: Maze) -> np.ndarray:
    """What a walker sees from each cell, three cells far: where walls are, and where the goal is."""
    around = windows(maze, radius=3)
    return np.concatenate([around == 1, around == 2], axis=1).astype(np.float32)


class School:
    """Caves to learn in, side by side, with the expert and the learner's view of them."""

    def __init__(self, slip: float, rng: np.random.Generator):
        mazes = [cave(20, rng) for _ in range(SCHOOL)]
        self.envs = gym.make_vec(
            "mazes/Maze-v0", num_envs=SCHOOL, maze=mazes, slip=slip, rewards=COSTS, max_episode_steps=80,
            vectorization_mode="vector_entry_point",
        )  # fmt: skip
        self._plans = np.stack([planned(maze, slip)[1] for maze in mazes])
        self._seen = np.stack([seen(maze) for maze in mazes])

    def expert(self, obs: np.ndarray) -> np.ndarray:
        """What to do, from one row for each cave."""
        return self._plans[np.arange(SCHOOL), obs.argmax(axis=1)]

    def view(self, obs: np.ndarray) -> np.ndarray:
        """What the learner sees."""
        return self._seen[np.arange(SCHOOL), obs.argmax(axis=1)]


def cloned(school: School, model: nn.Sequential, rng: np.random.Generator) -> int:
    """Behaviour cloning; how many labels it took."""
    shown = demonstrate(school.envs, school.expert, LABELS, rng=rng, view=school.view)
    list(clone(shown, model, CloningConfig(updates=UPDATES), rng=rng))
    return len(shown.actions)


def corrected(school: School, model: nn.Sequential, rng: np.random.Generator) -> int:
    """DAgger; how many labels it took."""
    each = CloningConfig(updates=UPDATES // ITERATIONS)
    config = DaggerConfig(iterations=ITERATIONS, steps=LABELS // ITERATIONS, cloning=each)
    return list(dagger(school.envs, model, school.expert, config, rng=rng, view=school.view))[-1].queries


def judged(model: nn.Sequential, caves: list[tuple[Maze, TabularMDP, np.ndarray]]) -> np.ndarray:
    """Regret in steps, mistakes where the expert goes, mistakes where the learner goes: means over the caves."""
    results = []
    for maze, mdp, expert in caves:
        steps, start, policy = 4 * maze.cols, maze.index(*maze.start), policy_table(model, seen(maze))
        his = state_distributions(mdp, expert, start=start, steps=steps)
        own = state_distributions(mdp, policy, start=start, steps=steps)
        mistakes = [steps * disagreement(visits, policy, expert) for visits in (his, own)]
        results.append([own.sum() - his.sum(), *mistakes, his.sum()])
    return np.mean(results, axis=0)


def rows() -> Iterator[list]:
    """One row for each noise, learner, seed and length."""
    learners: dict[str, Callable[[School, nn.Sequential, np.random.Generator], int]] = {
        "cloning": cloned, "dagger": corrected,
    }  # fmt: skip
    for slip in SLIPS:
        fixed = np.random.default_rng(2011)
        tests = {columns: [cave(columns, fixed) for _ in range(TESTS)] for columns in LENGTHS}
        plans = {columns: [(maze, *planned(maze, slip)) for maze in caves] for columns, caves in tests.items()}
        for seed in range(SEEDS):
            for name, learn in learners.items():
                rng = np.random.default_rng(seed)
                with seeded(seed):
                    model = mlp([98, 64, 4])
                labels = learn(School(slip, rng), model, rng)
                for columns, caves in plans.items():
                    numbers = (f"{number:.3f}" for number in judged(model, caves))
                    yield [slip, name, seed, labels, columns, *numbers]


def main() -> None:
    """Write the table."""
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    with RUNS.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {machine('numpy', 'torch')}\n# python bench/studies/imitation.py\n")
        file.write(
            f"# means over {TESTS} caves of 7 rows, walks of at most 4 steps a column; exact, no walk is sampled\n"
        )
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows():
            writer.writerow(row)
            file.flush()


if __name__ == "__main__":
    main()
