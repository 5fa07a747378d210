"""Draw an entry with a probability in proportion to its weight, when weights change all the time.

A binary tree over the weights: each inner node holds the sum of the two below it, the root the sum of all. To change a
weight costs one path to the root, to draw one path from the root. The tree is one array; the children of node i are the
nodes 2i and 2i + 1, and the weights stand in its second half. All operations take many entries at once.

Source: Schaul et al. (2016), appendix B.2.1.

Left out: a second tree for the smallest weight, which the importance weights of some implementations need.
"""

import numpy as np
from jaxtyping import Float, Int


class SumTree:
    """Weights of a fixed number of entries, 0 at first.

    Args:
        size: How many entries, at least 1.

    Attributes:
        sums: The tree, from its root in place 1; the weights begin in the middle.

    Raises:
        ValueError: size is less than 1.
    """

    def __init__(self, size: int):
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}")
        self.size = size
        self.depth = (size - 1).bit_length()  # how many steps lead from the root to a weight
        self.sums = np.zeros(2 << self.depth)
        self._first = 1 << self.depth  # where the weights begin

    @property
    def total(self) -> float:
        """The sum of all weights."""
        return float(self.sums[1])

    def __getitem__(self, rows: Int[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        return self.sums[self._first + rows]

    def set(self, rows: Int[np.ndarray, " N"], weights: Float[np.ndarray, " N"]) -> None:
        """Change some weights. Of a row that is named twice the last weight counts.

        Raises:
            ValueError: A weight is negative or not finite, or a row is not in the tree.
        """
        if not (np.isfinite(weights) & (weights >= 0)).all():
            raise ValueError(f"weights must be finite and not negative, got {weights}")
        if len(rows) and not (rows.min() >= 0 and rows.max() < self.size):
            raise ValueError(f"rows must lie in 0 to {self.size - 1}, got {rows}")
        nodes = self._first + rows
        self.sums[nodes] = weights
        for _ in range(self.depth):  # a sum that is written twice is written with the same two children
            nodes = nodes >> 1
            self.sums[nodes] = self.sums[2 * nodes] + self.sums[2 * nodes + 1]

    def find(self, marks: Float[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """The entry in whose stretch each mark lies, if the weights are laid end to end from 0 to their total.

        Args:
            marks: In [0, total).
        """
        nodes, rest = np.ones(len(marks), dtype=np.int64), marks.copy()
        for _ in range(self.depth):
            nodes = 2 * nodes
            left = self.sums[nodes]
            right = (rest >= left) & (self.sums[nodes + 1] > 0)  # rounding must not lead to an entry without weight
            rest -= left * right
            nodes += right
        return nodes - self._first
