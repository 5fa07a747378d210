"""What the walker is told: its state, its position, a one-hot vector, a picture, or only what lies around it.

The first four say exactly where the walker is. The window does not: two cells with the same surroundings look the
same, so the task becomes partially observed.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from jaxtyping import Int

from mazes.grid import Maze, Whole
from mazes.render import picture

KINDS = ("index", "position", "one-hot", "image", "window")
FLOOR, WALL, GOAL, CLIFF = range(4)  # codes of the cells in a window
SMALLEST_SIDE = 36  # pixels: the convolutions that stable-baselines3 puts on pictures need as many


def observer(maze: Maze, kind: str, *, radius: int = 1) -> tuple[spaces.Space[Any], Callable[[Whole], Any]]:
    """The space of one kind of observation, and the function from a state to the observation.

    Args:
        maze: The maze.
        kind: "index": the state. "position": row and column. "one-hot": a vector with a 1 at the state. "image": the
            maze from above, rows × columns × red, green, blue. "window": the cells around the walker, row by row.
        radius: How many cells the window reaches to each side.

    Raises:
        ValueError: The kind is unknown, or the radius is below 1.
    """
    if kind == "index":
        return spaces.Discrete(maze.n_states), lambda state: state
    if kind == "position":
        return spaces.MultiDiscrete([maze.rows, maze.cols]), lambda state: np.array(divmod(state, maze.cols))
    if kind == "one-hot":
        return spaces.Box(0.0, 1.0, (maze.n_states,), np.float32), lambda state: one_hot(state, maze.n_states)
    if kind == "image":
        side = pixels(maze)
        shape = (maze.rows * side, maze.cols * side, 3)
        return spaces.Box(0, 255, shape, np.uint8), lambda state: picture(maze, state, pixels=side)
    if kind == "window":
        table = windows(maze, radius=radius)
        return spaces.MultiDiscrete([4] * table.shape[1]), lambda state: table[state].copy()
    raise ValueError(f"observation must be one of {', '.join(KINDS)}, got {kind!r}")


def pixels(maze: Maze) -> int:
    """Height and width of a cell in an image: as few as give each side of it 36 pixels."""
    return math.ceil(SMALLEST_SIDE / min(maze.rows, maze.cols))


def one_hot(state: Whole, n_states: int) -> np.ndarray:
    """A vector of zeros with a one at the state."""
    vector = np.zeros(n_states, np.float32)
    vector[state] = 1.0
    return vector


def windows(maze: Maze, *, radius: int) -> Int[np.ndarray, "S W"]:
    """What lies around each cell: a square of (2·radius + 1)² codes, row by row, the cell itself in the middle.

    0 is floor (the start too), 1 a wall or what lies outside, 2 the goal, 3 a cliff.
    """
    if radius < 1:
        raise ValueError(f"radius must be at least 1, got {radius}")
    codes = np.select([maze.walls, maze.cliffs], [WALL, CLIFF], FLOOR)
    codes[maze.goal] = GOAL
    side = 2 * radius + 1
    framed = np.pad(codes, radius, constant_values=WALL)
    return np.lib.stride_tricks.sliding_window_view(framed, (side, side)).reshape(maze.n_states, side * side)
