"""What a step can lead to: the rules of every maze in one pure function.

`outcomes` is the definition. `move_tables` gives the same rules for all states at once, as arrays: the environment
steps through them and a planner sweeps over them, so that both live in the same maze.

A step goes the way that was meant with chance 1 − slip, and 90° to either side of it with chance slip / 2 each. A step
into a wall or off the grid is a bump and leaves the walker where it was; a step onto a cliff puts it back on the start,
and the episode goes on; a step onto the goal ends the task.
"""

import math
import operator
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mazes.grid import Maze, Whole


class Action(IntEnum):
    """Four directions, clockwise from the top, numbered as in Gymnasium's CliffWalking."""

    UP = 0
    RIGHT = 1
    DOWN = 2
    LEFT = 3


UP, RIGHT, DOWN, LEFT = Action
STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # rows and columns that each action adds


@dataclass(frozen=True, kw_only=True)
class Rewards:
    """What a step pays. A bump, a fall and the goal replace the price of the step, or add to it.

    Args:
        step: A step that nothing happens in.
        bump: A step into a wall or off the grid.
        goal: The step onto the goal.
        cliff: A step onto a cliff.
        adds: True: the last three are added to `step`; False: they stand in its place.
    """

    step: int | float = -1.0
    bump: int | float = -5.0
    goal: int | float = 10.0
    cliff: int | float = -100.0
    adds: bool = False

    def __post_init__(self):
        for field in fields(self):
            if not math.isfinite(value := getattr(self, field.name)):
                raise ValueError(f"{field.name} must be finite, got {value}")

    def of(self, event: int | float) -> float:
        """The whole reward of a step in which a bump, a fall or the goal happened."""
        return float(self.step + event if self.adds else event)


REPLACING = Rewards()
ADDING = Rewards(step=-0.1, bump=-1.0, goal=10.0, adds=True)


class Outcome(NamedTuple):
    """One thing that a step can lead to, in the order of the entries of Gymnasium's `P`."""

    probability: float
    next_state: int
    reward: float
    terminated: bool  # the task ended with this step


class MoveTables(NamedTuple):
    """Where a move goes that does not slip: one row per direction, one column per state."""

    next_state: Int[np.ndarray, "4 S"]
    rewards: Float[np.ndarray, "4 S"]
    terminated: Bool[np.ndarray, "4 S"]


def outcomes(
    maze: Maze, state: Whole, action: Whole, *, slip: int | float = 0.0, rewards: Rewards = REPLACING
) -> list[Outcome]:
    """All that can follow from an action, each with its probability; what cannot happen is not listed.

    Equal outcomes are one: in a corridor both slips are bumps. The goal goes nowhere and pays nothing, and neither
    does a wall or a cliff, where nobody stands.

    Args:
        maze: The maze.
        state: A cell, as row·cols + col.
        action: The direction that is meant.
        slip: Chance that the step goes to one side instead, in [0, 1], half of it to each.
        rewards: What a step pays.

    Raises:
        ValueError: The state or the action does not exist, or slip is not a probability.
    """
    action, cell = known(action), maze.cell(state)
    chances = slip_matrix(slip)[action].tolist()
    if cell == maze.goal or maze.walls[cell] or maze.cliffs[cell]:
        return [Outcome(1.0, int(state), 0.0, True)]
    merged: dict[tuple[int, float, bool], float] = {}
    for direction in (action, (action - 1) % 4, (action + 1) % 4):
        if chances[direction] > 0:
            result = _move(maze, cell, direction, rewards)
            merged[result] = merged.get(result, 0.0) + chances[direction]
    return [Outcome(probability, *result) for result, probability in merged.items()]


def _move(maze: Maze, cell: tuple[int, int], direction: int, rewards: Rewards) -> tuple[int, float, bool]:
    """Next state, reward and end of a move from a cell where somebody stands."""
    row, col = cell[0] + STEPS[direction][0], cell[1] + STEPS[direction][1]
    if not (0 <= row < maze.rows and 0 <= col < maze.cols) or maze.walls[row, col]:
        return maze.index(*cell), rewards.of(rewards.bump), False
    if maze.cliffs[row, col]:
        return maze.index(*maze.start), rewards.of(rewards.cliff), False
    if (row, col) == maze.goal:
        return maze.index(row, col), rewards.of(rewards.goal), True
    return maze.index(row, col), float(rewards.step), False


def move_tables(maze: Maze, *, rewards: Rewards = REPLACING) -> MoveTables:
    """The four moves from every state, as `outcomes` has them without slip.

    Args:
        maze: The maze.
        rewards: What a step pays.
    """
    states = np.arange(maze.n_states).reshape(maze.rows, maze.cols)
    ends = maze.walls | maze.cliffs
    ends[maze.goal] = True
    closed = np.pad(maze.walls, 1, constant_values=True)
    tables = []
    for d_row, d_col in STEPS:
        bump = closed[1 + d_row : 1 + d_row + maze.rows, 1 + d_col : 1 + d_col + maze.cols]
        ahead = np.where(bump, states, states + d_row * maze.cols + d_col)
        fall, goal = maze.cliffs.ravel()[ahead], ahead == maze.index(*maze.goal)
        next_state = np.select([ends, fall], [states, maze.index(*maze.start)], ahead)
        events = [rewards.of(event) for event in (rewards.bump, rewards.cliff, rewards.goal)]
        paid = np.select([ends, bump, fall, goal], [0.0, *events], rewards.step)
        tables.append((next_state.ravel(), paid.ravel(), (ends | goal).ravel()))
    return MoveTables(*(np.stack(table) for table in zip(*tables, strict=True)))


def slip_matrix(slip: int | float) -> Float[np.ndarray, "4 4"]:
    """Chance of each move (column) when each action (row) was meant.

    Args:
        slip: Chance that a step goes to one side, in [0, 1], half of it to each.

    Raises:
        ValueError: slip is not a probability.
    """
    if not 0 <= slip <= 1:
        raise ValueError(f"slip must be in [0, 1], got {slip}")
    same = np.eye(4)
    return (1 - slip) * same + slip / 2 * (np.roll(same, 1, axis=1) + np.roll(same, -1, axis=1))


def turns(uniform: Float[np.ndarray, "*B"], slip: int | float) -> Int[np.ndarray, "*B"]:
    """The side that each step goes to: 1 is 90° clockwise of what was meant, −1 the other side, 0 straight on.

    Args:
        uniform: Random numbers, uniform in [0, 1).
        slip: Chance that a step goes to one side, half of it to each.
    """
    return 2 * (uniform < slip / 2) - (uniform < slip)


def known(action: Any) -> int:
    """The action as a plain number.

    Raises:
        ValueError: It is not one of the four.
    """
    try:
        return int(Action(operator.index(action)))
    except (TypeError, ValueError):
        raise ValueError(f"action must be 0 (up), 1 (right), 2 (down) or 3 (left), got {action!r}") from None
