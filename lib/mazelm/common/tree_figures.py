"""Draw a tree: its nodes level by level, as circles that are larger where more simulations went through."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from mazelm.common.figures import COLORS


def tree_positions(parents: Sequence[int]) -> Float[np.ndarray, "N 2"]:
    """Where to draw each node: leaves side by side in their order, each other node over the middle of its children.

    Args:
        parents: The node above each node, which has a smaller number; −1 for the root, node 0.

    Returns:
        Column and level of each node; the root has level 0, and levels count downwards as −1, −2, …
    """
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents[1:], 1):
        if not 0 <= parent < node:
            raise ValueError(f"parents[{node}] must be a node with a smaller number, got {parent}")
        children[parent].append(node)
    positions = np.zeros((len(parents), 2))
    waiting, leaves = [0], 0
    while waiting:  # depth first, in the order of the children
        node = waiting.pop()
        if not children[node]:
            positions[node, 0], leaves = leaves, leaves + 1
        positions[children[node], 1] = positions[node, 1] - 1
        waiting += reversed(children[node])
    for node in reversed(range(len(parents))):
        if children[node]:
            positions[node, 0] = positions[[children[node][0], children[node][-1]], 0].mean()
    return positions


def draw_tree(
    ax: Axes,
    parents: Sequence[int],
    *,
    positions: Float[np.ndarray, "N 2"] | None = None,
    labels: Sequence[str] | None = None,
    steps: Sequence[str] | None = None,
    sizes: Sequence[int | float] | None = None,
    path: Sequence[int] = (),
    hidden: Sequence[int] = (),
    marked: Sequence[int] = (),
) -> None:
    """Draw the tree into a plot.

    Args:
        ax: Where.
        parents: The node above each node; −1 for the root, node 0.
        positions: Of the nodes, from `tree_positions`; given, when a tree grows and its nodes are to stay in place.
        labels: What to write into each node.
        steps: What to write beside the line that leads to each node.
        sizes: The area of each node in points².
        path: Nodes, from the root down, whose lines are drawn thick.
        hidden: Nodes that are not drawn.
        marked: Nodes that are drawn in another colour.
    """
    positions = tree_positions(parents) if positions is None else positions
    on_path, not_shown = set(path), set(hidden)
    for node, (x, y) in enumerate(positions):
        if node in not_shown:
            continue
        size, color = (160 if sizes is None else sizes[node]), COLORS.second if node in marked else COLORS.first
        if node:
            above = positions[parents[node]]
            thick = node in on_path
            ax.plot(
                [above[0], x],
                [above[1], y],
                color=COLORS.negative if thick else COLORS.chance,
                lw=2.6 if thick else 0.8,
                zorder=1,
            )
            if steps is not None:
                middle = 0.55 * positions[node] + 0.45 * above
                ax.text(middle[0], middle[1], steps[node], size=8, ha="center", va="center", zorder=2, bbox=_PAPER)
        ax.scatter(x, y, s=size, color="white", edgecolor=color, linewidth=2.2 if node in on_path else 1.2, zorder=3)
        if labels is not None:
            ax.text(x, y, labels[node], size=8, ha="center", va="center", zorder=4)
    width, depth = positions[:, 0].max(), -positions[:, 1].min()
    ax.set(xlim=(-0.7, width + 0.7), ylim=(-depth - 0.5, 0.5))
    ax.axis("off")


_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # so that a line does not cross the letters on it
