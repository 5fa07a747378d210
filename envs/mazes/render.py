"""A maze as text and as a picture, with NumPy only."""

import numpy as np
from jaxtyping import UInt8

from mazes.grid import Maze, Whole

PAINT = {" ": (245, 245, 245), "#": (60, 60, 60), "C": (200, 120, 80), "S": (170, 200, 235), "G": (70, 160, 90)}
WALKER = (40, 90, 200)  # red, green, blue, as above


def text(maze: Maze, state: Whole | None = None) -> str:
    """The map with the walker as `@`."""
    lines = [list(line) for line in maze.to_text().splitlines()]
    if state is not None:
        row, col = maze.cell(state)
        lines[row][col] = "@"
    return "\n".join("".join(line) for line in lines)


def picture(maze: Maze, state: Whole | None = None, *, pixels: int = 32) -> UInt8[np.ndarray, "H W 3"]:
    """The maze from above, the walker as a disc.

    Args:
        maze: The maze.
        state: Where the walker is; None: nowhere.
        pixels: Height and width of a cell.
    """
    cells = np.array([[PAINT[letter] for letter in line] for line in maze.to_text().splitlines()], np.uint8)
    image = cells.repeat(pixels, axis=0).repeat(pixels, axis=1)
    if state is not None:
        row, col = maze.cell(state)
        cell = image[row * pixels : (row + 1) * pixels, col * pixels : (col + 1) * pixels]
        cell[disc(pixels)] = WALKER
    return image


def disc(pixels: int) -> np.ndarray:
    """The pixels of a cell that the walker covers: those whose centres lie within 0.4 of the cell's centre."""
    offsets = (np.arange(pixels) + 0.5) / pixels - 0.5
    return offsets[:, None] ** 2 + offsets**2 <= 0.4**2
