"""Named mazes, each a text file beside this one."""

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
