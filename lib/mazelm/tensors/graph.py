"""Where the nodes of a computation graph stand in a drawing: columns by depth, rows by what they are computed from.

The result stands on the right. A tensor stands as many columns to the left of it as the longest way from one to the
other has operations, so every edge points to the right. Nothing recurses: a chain of 100,000 operations is laid out.

Left out: the drawing itself, and lanes for edges that skip columns, which a drawing has to bend; graphviz has both.

Source: after Sugiyama et al. (1981): columns first, then the order in each by the mean of its neighbours, then rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mazelm.tensors.autograd import Tensor, topological_order

_SWEEPS = 5  # the rows of a graph that fits on a page move little after that


@dataclass(frozen=True)
class Node:
    """A tensor in the drawing.

    Attributes:
        label: The caller's name for it; without one its operation, and for a leaf "parameter", "constant", or the
            number that a constant is.
        operation: What computed it; empty for a leaf.
        shape: Its shape.
        requires_grad: Whether gradients flow to it, or through it.
        depth: Number of operations on the longest way from here to the result: 0 for the result.
        position: Column, counted from the left, and row, which falls from 0 as the page goes down.
    """

    label: str
    operation: str
    shape: tuple[int, ...]
    requires_grad: bool
    depth: int
    position: tuple[float, float]


class Edge(NamedTuple):
    """One use of a tensor: places in `Graph.nodes`."""

    source: int
    target: int


@dataclass(frozen=True)
class Graph:
    """What to draw: parents come before children among the nodes, and x·x has two edges from x."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def layered_graph(tensor: Tensor, *, names: Mapping[str, Tensor] | None = None) -> Graph:
    """Every tensor that this one was computed from, in columns.

        depth(result) = 0,   depth(v) = 1 + max over children c of depth(c)

    A result that needs no gradients has forgotten its parents, and is a node alone.

    Args:
        tensor: The result, drawn on the right.
        names: Labels for tensors of the graph, one each.

    Raises:
        ValueError: A name belongs to a tensor that is not in the graph, or that has another name already.
    """
    tensors = _with_leaves(tensor)
    index = {id(one): i for i, one in enumerate(tensors)}
    edges = tuple(Edge(index[id(parent)], i) for i, child in enumerate(tensors) for parent in child.parents)
    depths = _depths(len(tensors), edges)
    rows = _rows(depths, edges)
    labels, last = _labels(tensors, index, names or {}), max(depths)
    nodes = tuple(
        Node(label, one.operation, one.shape, one.requires_grad, depth, (float(last - depth), row))
        for label, one, depth, row in zip(labels, tensors, depths, rows, strict=True)
    )
    return Graph(nodes, edges)


def _with_leaves(tensor: Tensor) -> list[Tensor]:
    """Parents before children, each leaf before the first operation that uses it, be it a constant or not."""
    found: dict[int, Tensor] = {}  # by identity, in order of arrival
    for one in topological_order(tensor):
        if one.parents or one is tensor:
            for arrived in (*one.parents, one):
                found.setdefault(id(arrived), arrived)
    return list(found.values())


def _depths(count: int, edges: tuple[Edge, ...]) -> list[int]:
    """The longest way from each node to the last: edges come in the order of their targets, and are read backwards."""
    depths = [0] * count
    for source, target in reversed(edges):  # all edges out of `target` have been seen
        depths[source] = max(depths[source], depths[target] + 1)
    return depths


def _rows(depths: list[int], edges: tuple[Edge, ...]) -> list[float]:
    """An operation stands level with the mean of its parents, a leaf with that of its children, if there is room."""
    parents: list[list[int]] = [[] for _ in depths]
    children: list[list[int]] = [[] for _ in depths]
    columns: list[list[int]] = [[] for _ in range(max(depths) + 1)]
    for i, depth in enumerate(depths):
        columns[-1 - depth].append(i)
    for source, target in edges:
        parents[target].append(source)
        children[source].append(target)
    rows = [0.0] * len(depths)
    for sweep in range(_SWEEPS):
        for column in columns:  # from the left: parents come first
            near = {i: parents[i] or children[i] or [i] for i in column}
            wanted = {i: sum(rows[j] for j in group) / len(group) for i, group in near.items()}
            if sweep == 0:  # later sweeps keep the order, or the rows would not settle
                column.sort(key=lambda i: -wanted[i])
            for i, row in zip(column, _spread([wanted[i] for i in column]), strict=True):
                rows[i] = row
    top = max(rows)
    return [row - top for row in rows]


def _spread(wanted: list[float]) -> list[float]:
    """Rows for one column, from the top: neighbours differ by at least 1, and the centre is that of the wanted rows."""
    placed = wanted[:1]
    for row in wanted[1:]:
        placed.append(min(row, placed[-1] - 1))
    shift = (sum(wanted) - sum(placed)) / len(wanted)
    return [row + shift for row in placed]


def _labels(tensors: list[Tensor], index: dict[int, int], names: Mapping[str, Tensor]) -> list[str]:
    given: dict[int, str] = {}
    for name, named in names.items():
        if id(named) not in index:
            raise ValueError(f"names has {name!r}, which is no tensor of this graph")
        if id(named) in given:
            raise ValueError(f"names calls one tensor both {given[id(named)]!r} and {name!r}")
        given[id(named)] = name
    return [given.get(id(one)) or one.operation or _leaf_label(one) for one in tensors]


def _leaf_label(leaf: Tensor) -> str:
    if leaf.requires_grad:
        return "parameter"
    return "constant" if leaf.ndim else f"{leaf.item():g}".replace("-", "−")
