"""Random mazes that can always be solved.

The walk of the digger is the depth-first search known as recursive backtracking, on single cells: it leaves long,
winding corridors, and works for a grid of any size.
"""

import numpy as np
from jaxtyping import Bool

from mazes.dynamics import STEPS
from mazes.grid import Cell, Maze, steps_from


def random_maze(rows: int, cols: int, *, loops: int | float, rng: np.random.Generator) -> Maze:
    """A maze in which every floor cell can be reached; it starts in the top left corner and ends farthest from it.

    Args:
        rows: Number of rows; rows·cols must be at least 2.
        cols: Number of columns.
        loops: Fraction of the walls beside a way that is opened after the digging, in [0, 1]. 0: between any two
            cells there is one way only; the more loops, the more ways.
        rng: Where the chance comes from.

    Raises:
        ValueError: The grid has fewer than two cells, or loops is not a fraction.
    """
    if rows < 1 or cols < 1 or rows * cols < 2:
        raise ValueError(f"rows and cols must be at least 1 and together give two cells, got {rows} and {cols}")
    if not 0 <= loops <= 1:
        raise ValueError(f"loops must be in [0, 1], got {loops}")
    walls = dig(rows, cols, rng=rng)
    beside = np.argwhere(walls & (_floor_neighbours(walls) > 0))
    opened = rng.permutation(beside)[: round(loops * len(beside))]
    walls[opened[:, 0], opened[:, 1]] = False
    steps = steps_from((0, 0), walls)
    goal = np.unravel_index(steps.argmax(), walls.shape)
    return Maze(walls=walls, cliffs=np.zeros_like(walls), start=(0, 0), goal=(int(goal[0]), int(goal[1])))


def dig(rows: int, cols: int, *, rng: np.random.Generator) -> Bool[np.ndarray, "R C"]:
    """Dig corridors without loops out of solid wall, from the top left corner.

    A cell may be dug if it touches one dug cell, the one that the digger stands on: a second one would close a loop.
    Where no neighbour may be dug, the digger goes back the way it came.
    """
    solid = [[True] * cols + [False] for _ in range(rows)] + [[False] * (cols + 1)]  # a frame that cannot be dug
    touching = [[0] * (cols + 1) for _ in range(rows + 1)]

    def open_cell(row: int, col: int) -> None:
        solid[row][col] = False
        for d_row, d_col in STEPS:
            touching[row + d_row][col + d_col] += 1

    open_cell(0, 0)
    way: list[Cell] = [(0, 0)]
    while way:
        row, col = way[-1]
        around = [(row + d_row, col + d_col) for d_row, d_col in STEPS]
        diggable = [(r, c) for r, c in around if solid[r][c] and touching[r][c] == 1]
        if diggable:
            way.append(diggable[int(rng.random() * len(diggable))])
            open_cell(*way[-1])
        else:
            way.pop()
    return np.array(solid)[:-1, :-1]


def _floor_neighbours(walls: Bool[np.ndarray, "R C"]) -> np.ndarray:
    """How many of the four neighbours of each cell are floor."""
    floor = np.pad(~walls, 1).astype(int)
    return floor[:-2, 1:-1] + floor[2:, 1:-1] + floor[1:-1, :-2] + floor[1:-1, 2:]
