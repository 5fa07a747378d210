"""What an action leads to, as plain lists, and random walks through them.

A search asks its model many thousand times a second. Plain lists of numbers answer quickest: an array would make a new
object of every number that is read from it.

Left out: models that were learned (`learned_model.py` has one); here the rules are known.
"""

import math
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, chain, count
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Num

from mazelm.search.mcts import Model, Outcome
from mazelm.tabular.episodes import uniforms

Move = tuple[int, float, bool]  # next state, reward, terminated
Table = list[list[list[Outcome]]]  # outcomes by state and action
_BLOCK = 1024  # random numbers drawn at once


def as_table(outcomes: Sequence | Mapping[int, Any]) -> Table:
    """Lists of outcomes by state and action, from whatever form outcomes[s][a] comes in, such as `env.unwrapped.P`.

    A model for a search is `as_table(P).__getitem__`: the function that looks up a state.
    """
    return [
        [[(float(p), int(s), float(r), bool(ends)) for p, s, r, ends in outcomes[state][a]] for a in range(n_actions)]
        for state in range(len(outcomes))
        for n_actions in [len(outcomes[state])]
    ]


def table_of_moves(
    next_state: Int[np.ndarray, "A S"], rewards: Num[np.ndarray, "A S"], terminated: Bool[np.ndarray, "A S"]
) -> Table:
    """The same from arrays of a world without chance, such as the moves of a maze.

    Args:
        next_state: Where each action leads from each state.
        rewards: What it pays there.
        terminated: Whether it ends the task there.
    """
    columns = (next_state.T.tolist(), rewards.T.tolist(), terminated.T.tolist())
    return [[[(1.0, *move)] for move in zip(*rows, strict=True)] for rows in zip(*columns, strict=True)]


def without_bumps(table: Table) -> Table:
    """The same world for rollouts only: without the actions that are sure to leave everything as it is.

    A state that has no others keeps them. The actions of a state are numbered anew.
    """
    return [
        [outcomes for outcomes in row if any(ends or after != state for _, after, _, ends in outcomes)] or row
        for state, row in enumerate(table)
    ]


def random_rollout(
    table: Table, *, steps: int, discount: int | float, rng: np.random.Generator
) -> Callable[[int], float]:
    """A function that walks at random from a state, once, and returns what it was paid.

        G = Σₖ γᵏ·rₖ    over so many steps, or until the task ends

    What would follow the last step counts as 0: with few steps and a discount near 1, that is far from the truth.

    Args:
        table: Outcomes by state and action. All actions of a state are equally likely.
        steps: How many steps at most.
        discount: γ, in [0, 1].
        rng: Where chance comes from.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    powers = [discount**k for k in range(steps)]
    faces = math.lcm(*map(len, table))  # one die for all states: the rows are repeated to this length
    actions = chain.from_iterable(rng.integers(faces, size=_BLOCK).tolist() for _ in count())
    moves = _moves([row * (faces // len(row)) for row in table], rng)

    def rollout(state: int) -> float:
        total = 0.0
        for weight, action in zip(powers, actions, strict=False):  # the actions have no end
            state, reward, terminated = moves[state][action]
            total += weight * reward
            if terminated:
                break
        return total

    return rollout


def random_playout(model: Model, *, decisive: bool = False, rng: np.random.Generator) -> Callable[[Any], float]:
    """A function that plays a game of two at random to its end, once, and returns what its first mover was paid.

        G = r₀ − r₁ + r₂ − …    each reward being that of who moves

    Args:
        model: The rules. Every move has one outcome, and the game ends.
        decisive: Whether a player who can end the game with a reward above 0 does so, instead of moving at random.
        rng: Where chance comes from.

    Source: Teytaud & Teytaud (2010) for decisive moves.
    """
    draws = chain.from_iterable(rng.integers(2**32, size=_BLOCK).tolist() for _ in count())
    known: dict[Any, list[tuple[Any, float, bool]]] = {}

    def playout(state: Any) -> float:
        total, sign = 0.0, 1.0
        for draw in draws:
            moves = known.get(state) or known.setdefault(state, _playable(model(state), decisive))
            state, reward, terminated = moves[draw % len(moves)]
            total += sign * reward
            if terminated:
                return total
            sign = -sign
        raise AssertionError  # the draws have no end

    return playout


def _playable(moves: Sequence[Sequence[Outcome]], decisive: bool) -> list[tuple[Any, float, bool]]:
    """The moves that a playout chooses from: next state, reward, end."""
    outcomes = [outcome[1:] for (outcome,) in moves]
    winning = [move for move in outcomes if move[2] and move[1] > 0] if decisive else []
    return winning or outcomes


class _Drawn:
    """moves[state]: the next state, reward and end of each action, drawn anew each time.

    One random number decides for all actions of a state at once. Only one of them is taken, and for that one the
    chances are right.
    """

    def __init__(self, table: Table, rng: np.random.Generator):
        self._scenarios, self._draws = [_scenarios(row) for row in table], uniforms(rng)

    def __getitem__(self, state: int) -> list[Move]:
        cuts, rows = self._scenarios[state]
        return rows[bisect(cuts, next(self._draws))]


def _moves(table: Table, rng: np.random.Generator) -> list[list[Move]] | _Drawn:
    """What is looked up at each step of a rollout: plain lists where nothing is left to chance."""
    if any(len(outcomes) > 1 for row in table for outcomes in row):
        return _Drawn(table, rng)
    return [[outcomes[0][1:] for outcomes in row] for row in table]


def _scenarios(row: list[list[Outcome]]) -> tuple[list[float], list[list[Move]]]:
    """Numbers that cut [0, 1) where the outcome of any action changes, and all actions' outcomes in each piece."""
    ends = [list(accumulate(outcome[0] for outcome in outcomes))[:-1] for outcomes in row]
    cuts = sorted({end for each in ends for end in each})
    rows = [[outcomes[bisect(each, low)][1:] for each, outcomes in zip(ends, row, strict=True)] for low in (0.0, *cuts)]
    return cuts, rows
