"""Tree search at full length, for lesson 12-planning-and-models/02-mcts: games of tic-tac-toe, walks through a maze.

    python bench/studies/tree_search.py

writes chapters/12-planning-and-models/runs/mcts.csv in about two minutes.
"""

import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from mazelm.search.forward_models import random_playout, random_rollout, table_of_moves, without_bumps
from mazelm.search.games import tic_tac_toe
from mazelm.search.mcts import MCTS
from mazes import maps
from mazes.dynamics import move_tables

sys.path.insert(0, str(Path(__file__).parents[1]))
from sidebyside import machine

RUNS = Path(__file__).parents[2] / "chapters/12-planning-and-models/runs/mcts.csv"
GAMES, WALKS = 500, 500
Opponent = Callable[[tic_tac_toe.State, np.random.Generator], int]


def perfect(state: tic_tac_toe.State, rng: np.random.Generator) -> int:
    """One of the moves that no move beats."""
    return int(rng.choice(tic_tac_toe.perfect_moves(state)))


def at_random(state: tic_tac_toe.State, rng: np.random.Generator) -> int:
    """Any move."""
    return int(rng.integers(len(tic_tac_toe.moves(state))))


def game(opponent: Opponent, simulations: int, seed: int, *, decisive: bool) -> float:
    """What the search earns in a game that it begins if the seed is even: 1, 0 or −1."""
    rng = np.random.default_rng(seed)
    playout = random_playout(tic_tac_toe.moves, decisive=decisive, rng=rng)
    search = MCTS(tic_tac_toe.moves, playout, exploration=1.0, two_player=True)
    state, mine, over, reward = tic_tac_toe.EMPTY, seed % 2 == 0, False, 0.0
    while not over:
        action = search.search(state, simulations) if mine else opponent(state, rng)
        ((_, state, reward, over),) = tic_tac_toe.moves(state)[action]
        mine = not mine
    return -reward if mine else reward  # whoever moved last was paid


def walk(simulations: int, seed: int, limit: int = 30) -> int:
    """How many steps the search needs on `classic`, deciding each one anew; −1 if it has not arrived at the limit."""
    maze = maps.load("classic")
    table = table_of_moves(*move_tables(maze))
    rng = np.random.default_rng(seed)
    rollout = random_rollout(without_bumps(table), steps=3, discount=0.95, rng=rng)
    search = MCTS(table.__getitem__, rollout, exploration=1.0, discount=0.95)
    state, terminated = maze.index(*maze.start), False
    for steps in range(1, limit + 1):
        ((_, state, _, terminated),) = table[state][search.search(state, simulations)]
        if terminated:
            return steps
    return -1


def rows() -> Iterator[tuple[str, int, int, int, int, int]]:
    """Games: won, drawn, lost. Walks: on a shortest way, on a longer one, never there."""
    for name, opponent in (("perfect", perfect), ("random", at_random)):
        for decisive, simulations in (
            (False, 100),
            (False, 400),
            (False, 2000),
            (True, 100),
            (True, 400),
            (True, 2000),
        ):
            results = [game(opponent, simulations, seed, decisive=decisive) for seed in range(GAMES)]
            won, drawn, lost = (results.count(result) for result in (1, 0, -1))
            yield f"{name}, {'decisive' if decisive else 'random'} playouts", simulations, GAMES, won, drawn, lost
    for simulations in (50, 100, 200):
        steps = [walk(simulations, seed) for seed in range(WALKS)]
        yield "classic", simulations, WALKS, steps.count(8), WALKS - steps.count(8) - steps.count(-1), steps.count(-1)


if __name__ == "__main__":
    RUNS.parent.mkdir(parents=True, exist_ok=True)
    with RUNS.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {machine('numpy')}\n")
        file.write("# python bench/studies/tree_search.py\n")
        file.write(
            "# games of tic-tac-toe against two players: won, drawn, lost; every second game is begun by the search\n"
        )
        file.write("# walks on classic: by a shortest way, by a longer one, not within 30 steps\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("study", "simulations", "runs", "good", "middling", "bad"))
        for row in rows():
            writer.writerow(row)
            file.flush()
