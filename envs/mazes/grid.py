"""A maze on a grid: which cells are walls, where the walk starts, where it ends.

A maze is written as text, one character per cell: `#` is a wall, `S` the start, `G` the goal, `C` a cliff, and a space
or a dot is floor. Outside the grid everything counts as wall, so a map needs no frame.

Cells are numbered row by row over the whole grid, walls included: state = row·cols + col. An array with one entry per
state therefore becomes the picture of the maze with `values.reshape(maze.rows, maze.cols)`; walls are states that
nobody reaches.

Left out: thin walls between cells, several goals, doors and keys. MiniGrid has the last two.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

Cell = tuple[int, int]
Whole = int | np.integer  # a plain number or one out of an array
KNOWN = "#SGC ."


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Maze:
    """Walls, start and goal. Two mazes with the same cells are equal, and the arrays cannot be written to.

    Args:
        walls: True where nobody can stand.
        cliffs: True where a step ends in a fall, which puts the walker back on the start.
        start: Row and column of the first cell, counted from 0.
        goal: Row and column of the cell that ends the walk.

    Raises:
        ValueError: Start or goal is outside, on a wall or on a cliff, both are one cell, or no way joins them.
    """

    walls: Bool[np.ndarray, "R C"]
    cliffs: Bool[np.ndarray, "R C"]
    start: Cell
    goal: Cell

    @classmethod
    def from_text(cls, text: str) -> "Maze":
        """Read a map; an empty first line and the last line break, as triple quotes leave them, do not count.

        Raises:
            ValueError: The map is not a maze; the message names the row and the column, both counted from 0.
        """
        lines = _lines(text)
        start, goal = _only_one(lines, "S"), _only_one(lines, "G")
        letters = np.array([list(line) for line in lines])
        return cls(walls=letters == "#", cliffs=letters == "C", start=start, goal=goal)

    def __post_init__(self):
        walls, cliffs = np.array(self.walls), np.array(self.cliffs)  # copies of our own
        if walls.dtype != bool or walls.ndim != 2 or walls.size == 0:
            raise ValueError(f"walls must be a boolean array with rows and columns, got {walls.dtype} {walls.shape}")
        if cliffs.dtype != bool or cliffs.shape != walls.shape:
            raise ValueError(f"cliffs must be boolean with the shape {walls.shape}, got {cliffs.dtype} {cliffs.shape}")
        if (both := np.argwhere(walls & cliffs)).size:
            raise ValueError(f"cliffs and walls share the cell at row {both[0][0]}, column {both[0][1]}")
        for name, array in (("walls", walls), ("cliffs", cliffs)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        for name in ("start", "goal"):
            object.__setattr__(self, name, self._standing(name, getattr(self, name)))
        if self.start == self.goal:
            raise ValueError(f"start and goal are the same cell: {_place(*self.start)}")
        if distances(self)[self.index(*self.start)] < 0:
            raise ValueError(f"there is no way from S at {_place(*self.start)} to G at {_place(*self.goal)}")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.walls.shape[0]

    @property
    def cols(self) -> int:
        """Number of columns."""
        return self.walls.shape[1]

    @property
    def n_states(self) -> int:
        """Number of cells, walls included."""
        return self.walls.size

    def index(self, row: Whole, col: Whole) -> int:
        """The state of a cell: row·cols + col."""
        if not (0 <= row < self.rows and 0 <= col < self.cols):
            raise ValueError(f"{_place(row, col)} is outside a maze of {self.rows} rows and {self.cols} columns")
        return int(row) * self.cols + int(col)

    def cell(self, state: Whole) -> Cell:
        """Row and column of a state."""
        if not 0 <= state < self.n_states:
            raise ValueError(f"state must be in 0..{self.n_states - 1}, got {state}")
        return divmod(int(state), self.cols)

    def to_text(self) -> str:
        """The map as `from_text` reads it, floor as spaces."""
        letters = np.select([self.walls, self.cliffs], ["#", "C"], " ")
        letters[self.start], letters[self.goal] = "S", "G"
        return "\n".join("".join(row) for row in letters)

    def __repr__(self) -> str:
        return f"Maze.from_text({self.to_text()!r})"

    def __eq__(self, other: object) -> bool:
        return self._content() == other._content() if isinstance(other, Maze) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._content())

    def __reduce__(self):  # by way of the text, so that the arrays of a copy cannot be written to either
        return Maze.from_text, (self.to_text(),)

    def _content(self) -> tuple[object, ...]:
        return self.walls.shape, self.walls.tobytes(), self.cliffs.tobytes(), self.start, self.goal

    def _standing(self, name: str, cell: Cell) -> Cell:
        """The cell as plain numbers, if it is one where somebody can stand."""
        row, col = map(int, cell)
        self.index(row, col)  # inside
        if self.walls[row, col] or self.cliffs[row, col]:
            raise ValueError(f"{name} at {_place(row, col)} is on a {'wall' if self.walls[row, col] else 'cliff'}")
        return row, col


def distances(maze: Maze) -> Int[np.ndarray, " S"]:
    """How many steps each cell is from the goal on a shortest way around walls and cliffs; −1 where there is none."""
    return steps_from(maze.goal, maze.walls | maze.cliffs).ravel()


def steps_from(cell: Cell, blocked: Bool[np.ndarray, "R C"]) -> Int[np.ndarray, "R C"]:
    """How many steps each cell is from one cell, by breadth-first search; −1 where no way leads.

    The search takes the cell's neighbours first, then theirs, so that it meets each cell first on a shortest way.
    """
    rows, cols = blocked.shape
    framed = np.ones((rows + 1, cols + 1), bool)  # one row and one column of wall are enough: index −1 finds them too
    framed[:-1, :-1] = blocked
    width, closed = cols + 1, framed.ravel().tolist()
    steps = [-1] * len(closed)
    origin = cell[0] * width + cell[1]
    steps[origin] = 0
    waiting = deque([origin])
    while waiting:
        here = waiting.popleft()
        for there in (here - width, here + 1, here + width, here - 1):
            if steps[there] < 0 and not closed[there]:
                steps[there] = steps[here] + 1
                waiting.append(there)
    return np.array(steps).reshape(framed.shape)[:-1, :-1]


def _lines(text: str) -> list[str]:
    """The rows of a map: all of one length, and of known characters."""
    lines = text.splitlines()
    lines = lines[1:] if lines and not lines[0] else lines
    if not lines or not lines[0]:
        raise ValueError(f"text holds no maze: {text!r}")
    for row, line in enumerate(lines):
        for col, letter in enumerate(line):
            if letter not in KNOWN:
                raise ValueError(f"unknown character {letter!r} at {_place(row, col)}; known: # S G C, space, dot")
        if len(line) != len(lines[0]):
            raise ValueError(f"row {row} has {len(line)} columns, but row 0 has {len(lines[0])}")
    return lines


def _only_one(lines: list[str], letter: str) -> Cell:
    """The only cell with this letter."""
    found = [(row, col) for row, line in enumerate(lines) for col, here in enumerate(line) if here == letter]
    if not found:
        raise ValueError(f"the maze has no {letter}: {len(lines)} rows and {len(lines[0])} columns without one")
    if len(found) > 1:
        raise ValueError(f"the maze has more than one {letter}: at {' and at '.join(_place(*c) for c in found)}")
    return found[0]


def _place(row: Whole, col: Whole) -> str:
    return f"row {row}, column {col}"
