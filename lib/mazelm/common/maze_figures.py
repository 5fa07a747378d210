"""Draw a maze: its walls, and in its cells what a planner or a learner has found there.

It takes anything that has `walls` (R, C), `start` and `goal`, as the mazes of the package `mazes` have. States are
numbered row by row over all cells, so that an array of values fits the grid.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Num
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from mazelm.common.figures import COLORS

_MOVES = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)])  # up, right, down, left as (right, down) on the page
_WALL, _CLIFF, _FLOOR = "#444444", "#f2c9a8", "white"


@runtime_checkable
class Grid(Protocol):
    """What a drawing needs to know of a maze."""

    @property
    def walls(self) -> Bool[np.ndarray, "R C"]:
        """Where nobody walks."""

    @property
    def start(self) -> tuple[int, int]:
        """Row and column where an episode begins."""

    @property
    def goal(self) -> tuple[int, int]:
        """Row and column where it ends."""


def draw_maze(
    ax: Axes,
    maze: Grid,
    *,
    values: Num[np.ndarray, " S"] | None = None,
    policy: Num[np.ndarray, "..."] | None = None,
    path: list[int] | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    numbers: str | None = None,
) -> AxesImage | None:
    """Draw the maze into a plot.

    Args:
        ax: Where.
        maze: What.
        values: A number for each state, shown as a heat map: light is low.
        policy: An action for each state (S,), or the probability of each (S, A): arrows, longer where likelier.
            Actions are up, right, down, left.
        path: States visited, in their order, as a line.
        vmin: The value shown lightest; the lowest of a free cell if None.
        vmax: The value shown darkest; the highest of a free cell if None.
        numbers: How to write each value into its cell, such as ".1f"; None leaves the cells without numbers.

    Returns:
        The heat map, for a colour bar; None without values.
    """
    walls = np.asarray(maze.walls)
    rows, cols = walls.shape
    ax.set(xlim=(-0.5, cols - 0.5), ylim=(rows - 0.5, -0.5), xticks=[], yticks=[], aspect="equal")
    ax.spines[["top", "right", "bottom", "left"]].set(visible=True, color=_WALL, linewidth=1.5)
    image = None
    if values is not None:
        grid = np.reshape(values, walls.shape)
        image = _heat_map(ax, walls, grid, vmin, vmax)
        if numbers is not None:
            _write_values(ax, walls, grid, numbers, image)
    _fill(ax, walls, _WALL)
    _fill(ax, np.asarray(getattr(maze, "cliffs", np.zeros_like(walls))), _CLIFF)
    for x in range(cols - 1):
        ax.axvline(x + 0.5, color="#cccccc", linewidth=0.5, zorder=1)
    for y in range(rows - 1):
        ax.axhline(y + 0.5, color="#cccccc", linewidth=0.5, zorder=1)
    if policy is not None:
        _draw_arrows(ax, maze, np.asarray(policy))
    if path is not None:
        _draw_path(ax, path, cols)
    _write_letters(ax, maze, image, corner=numbers is not None or policy is not None or path is not None)
    return image


def _write_letters(ax: Axes, maze: Grid, image: AxesImage | None, *, corner: bool) -> None:
    """S and G, in a corner of their cells where the middle is taken and the cells are large enough."""
    large = max(np.shape(maze.walls)) <= 8
    size = 6 if not large else 8 if corner else 11
    for letter, (row, col) in (("S", maze.start), ("G", maze.goal)):
        x, y = (col - 0.36, row - 0.3) if corner and large else (col, row)
        dark = image is not None and _is_dark(image, np.asarray(image.get_array())[row, col])
        ax.text(
            x,
            y,
            letter,
            ha="center",
            va="center",
            size=size,
            weight="bold",
            color="white" if dark else "black",
            zorder=8,
        )


def _heat_map(
    ax: Axes, walls: Bool[np.ndarray, "R C"], grid: Num[np.ndarray, "R C"], vmin: float | None, vmax: float | None
) -> AxesImage:
    free = grid[~walls]
    norm = Normalize(float(free.min()) if vmin is None else vmin, float(free.max()) if vmax is None else vmax)
    return ax.imshow(np.ma.masked_where(walls, grid), norm=norm, zorder=0)


def _write_values(
    ax: Axes, walls: Bool[np.ndarray, "R C"], grid: Num[np.ndarray, "R C"], form: str, image: AxesImage
) -> None:
    size = 9 if max(walls.shape) <= 6 else 6
    for row, col in np.argwhere(~walls):
        text = format(grid[row, col], form).replace("-", "−")
        color = "white" if _is_dark(image, grid[row, col]) else "black"
        ax.text(col, row, text, ha="center", va="center", size=size, color=color, zorder=5)


def _is_dark(image: AxesImage, value: float) -> bool:
    """Whether text on the colour of this value has to be white."""
    return bool(np.asarray(image.norm(np.asarray(value))) > 0.6)


def _fill(ax: Axes, where: Bool[np.ndarray, "R C"], color: str) -> None:
    for row, col in np.argwhere(where):
        ax.add_patch(Rectangle((col - 0.5, row - 0.5), 1, 1, color=color, linewidth=0, zorder=2))


def _draw_arrows(ax: Axes, maze: Grid, policy: Num[np.ndarray, "..."]) -> None:
    walls = np.asarray(maze.walls)
    probabilities: Float[np.ndarray, "S A"] = np.eye(len(_MOVES))[policy] if policy.ndim == 1 else policy
    row, col = np.divmod(np.arange(walls.size), walls.shape[1])
    shown = ~walls.ravel() & (np.arange(walls.size) != maze.goal[0] * walls.shape[1] + maze.goal[1])
    for action, (right, down) in enumerate(_MOVES):
        length = 0.6 * (probabilities[:, action] > 0) if policy.ndim == 1 else 0.15 + 0.3 * probabilities[:, action]
        s = np.flatnonzero(shown & (probabilities[:, action] > 0.01))
        if s.size == 0:
            continue
        pivot = "mid" if policy.ndim == 1 else "tail"
        ax.quiver(
            col[s], row[s], right * length[s], down * length[s], pivot=pivot, angles="xy", scale_units="xy", scale=1,
            width=0.009, headwidth=3.5, headlength=3.5, headaxislength=3, color=COLORS.second, zorder=4,
        )  # fmt: skip


def _draw_path(ax: Axes, path: list[int], cols: int) -> None:
    row, col = np.divmod(np.asarray(path), cols)
    ax.plot(col, row, color=COLORS.second, linewidth=2, zorder=3)
    ax.plot(col[-1], row[-1], "o", color=COLORS.second, markersize=8, zorder=7)
