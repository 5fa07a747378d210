"""Named mazes, each a text file beside this one.

- classic: 5×5, the maze of the first lessons; 8 steps from S to G.
- two-paths: a ring, so that two ways of 8 steps have nothing in common but their ends.
- open: a room of 6×6 without walls, in opposite corners S and G.
- spiral: one long corridor of 48 steps, where a reward at the end is far from the start.
- four-rooms: the rooms of Sutton, Precup & Singh (1999), 13×13 with the outer walls; S and G are ours.
- cliff: the 4×12 map of Sutton & Barto (2018), example 6.6.

Floor is a dot in the files, because editors strip spaces at the end of a line.
"""

from importlib.resources import files

from mazes.grid import Maze


def names() -> list[str]:
    """The names that `load` knows, in alphabetical order."""
    return sorted(entry.name.removesuffix(".txt") for entry in files(__name__).iterdir() if entry.name.endswith(".txt"))


def load(name: str) -> Maze:
    """The maze of this name.

    Raises:
        ValueError: No map has this name.
    """
    if name not in names():
        raise ValueError(f"name must be one of {', '.join(names())}, got {name!r}")
    return Maze.from_text(files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8"))
