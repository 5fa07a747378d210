"""Three mazes of 6 by 9 cells for agents that learn a model: one that stays, and two whose walls move.

In all of them a step pays 0, the step onto the goal pays 1 and ends the task, and a wall or the edge leaves the walker
where it was.

Source: Sutton & Barto (2018), figures 8.2, 8.4 and 8.5. The figures do not say what becomes of a walker who stands
where a wall appears: here the wall waits until that cell is free.
"""

from collections.abc import Sequence

import gymnasium as gym
from gymnasium.spaces import Discrete

ROWS, COLS = 6, 9
ACTIONS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left: rows and columns that each adds

DYNA = """
.......#G
..#....#.
S.#....#.
..#......
.....#...
.........
"""  # figure 8.2: 14 steps

_BARRIER = """
........G
.........
.........
{}
.........
...S.....
"""
OPEN_RIGHT, OPEN_LEFT, OPEN_BOTH = map(_BARRIER.format, ("########.", ".########", ".#######."))  # 10, 16, 10 steps

BLOCKING = (OPEN_RIGHT, OPEN_LEFT)  # figure 8.4: the way is closed after 1000 steps, and a longer one opened
SHORTCUT = (OPEN_LEFT, OPEN_BOTH)  # figure 8.5: after 3000 steps a shorter way is opened beside the old one

_Rules = list[list[tuple[int, float, bool]]]  # by state and action: next state, reward, terminated


class ShiftingMaze(gym.Env):
    """A maze whose walls may move while somebody walks in it; the walker is not told.

    States are cells, row by row, 0 to 53; actions up, right, down, left.

    Args:
        maps: The mazes in their order, as text with the same S and G: `#` is a wall.
        changes: After how many steps, of all episodes together, each next maze begins.
    """

    def __init__(self, *maps: str, changes: Sequence[int] = ()):
        if len(changes) != len(maps) - 1 or list(changes) != sorted(changes):
            raise ValueError(f"changes must be one rising number for each further maze of {len(maps)}, got {changes}")
        self.observation_space, self.action_space = Discrete(ROWS * COLS), Discrete(len(ACTIONS))
        self.steps, self._changes = 0, list(changes)
        self._closed = [{s for s, letter in enumerate(_cells(text)) if letter == "#"} for text in maps]
        self._start, self._rules = _cells(maps[0]).index("S"), [_rules(text) for text in maps]
        self._state = self._start

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[int, dict]:
        """Put the walker on S. Nothing is random, and the walls stay as they are."""
        super().reset(seed=seed)
        self._state = self._start
        return self._state, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict]:
        """Move one cell; never truncated."""
        if not 0 <= action < len(ACTIONS):
            raise ValueError(f"action must be from 0 to {len(ACTIONS) - 1}, got {action}")
        if self._changes and self.steps >= self._changes[0] and self._state not in self._closed[1]:
            del self._changes[0], self._closed[0], self._rules[0]
        self.steps += 1
        self._state, reward, terminated = self._rules[0][self._state][action]
        return self._state, reward, terminated, False, {}


def outcomes(text: str) -> list[list[list[tuple[float, int, float, bool]]]]:
    """The model of one maze in the form of Gymnasium's P, for `TabularMDP.from_outcomes`."""
    return [[[(1.0, *result)] for result in row] for row in _rules(text)]


def _rules(text: str) -> _Rules:
    """What each action does in each cell; a wall and the goal, where nobody acts, end the task at once and pay 0."""
    cells = _cells(text)
    rules: _Rules = []
    for s, letter in enumerate(cells):
        row, col = divmod(s, COLS)
        ahead = [(row + down, col + right) for down, right in ACTIONS]
        inside = [r * COLS + c if 0 <= r < ROWS and 0 <= c < COLS else s for r, c in ahead]
        reached = [there if cells[there] != "#" else s for there in inside]
        ended = letter in "#G"
        rules.append([(s, 0.0, True) if ended else (to, float(cells[to] == "G"), cells[to] == "G") for to in reached])
    return rules


def _cells(text: str) -> str:
    """The letters of a map, row by row."""
    cells = "".join(text.split())
    if len(cells) != ROWS * COLS:
        raise ValueError(f"maps must have {ROWS} rows of {COLS} cells, got {len(cells)} cells in {text!r}")
    return cells
