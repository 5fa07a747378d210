"""Tree search as many tutorials write it, and the classes that the `mcts` package asks for: peers of bench/deep_rl.py.

Both walk the same maze as ours, with the rewards of `mazes` and rollouts of so many random steps at most.
"""

import copy
import math
import random
from collections.abc import Callable
from typing import Any

from mcts import mcts

Cell = tuple[int, int]
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


class Walk:
    """A walk through a maze with hardly anything to copy: the rows, the cell, and Gymnasium's `step`."""

    def __init__(self, rows: list[str], cell: Cell):
        self.rows, self.cell = rows, cell

    def step(self, action: int) -> tuple[Cell, float, bool, bool, dict]:
        """One step, as Gymnasium's environments answer it."""
        row, col = self.cell[0] + MOVES[action][0], self.cell[1] + MOVES[action][1]
        if not (0 <= row < len(self.rows) and 0 <= col < len(self.rows[0])) or self.rows[row][col] == "#":
            return self.cell, -5.0, False, False, {}
        self.cell, over = (row, col), self.rows[row][col] == "G"
        return self.cell, 10.0 if over else -1.0, over, False, {}


class Node:
    """One node, with its children by action."""

    def __init__(self) -> None:
        self.visits, self.total = 0, 0.0
        self.children: dict[int, Node] = {}


def by_copies(env: Any, *, simulations: int, exploration: float, discount: float, steps: int) -> Callable[[], int]:
    """UCT that copies the environment at each simulation, and steps the copy from the root."""

    def best_child(node: Node) -> int:
        return max(
            node.children,
            key=lambda a: (
                node.children[a].total / node.children[a].visits
                + exploration * math.sqrt(math.log(node.visits) / node.children[a].visits)
            ),
        )

    def go() -> int:
        root = Node()
        for _ in range(simulations):
            walk, node, path, paid, over = copy.deepcopy(env), root, [root], [], False
            while not over and len(node.children) == 4:
                action = best_child(node)
                _, reward, over, _, _ = walk.step(action)
                node = node.children[action]
                paid.append(reward)
                path.append(node)
            if not over:
                action = random.choice([a for a in range(4) if a not in node.children])
                _, reward, over, _, _ = walk.step(action)
                node.children[action] = node = Node()
                paid.append(reward)
                path.append(node)
            rollout, weight = 0.0, 1.0
            for _ in range(steps):
                if over:
                    break
                _, reward, over, _, _ = walk.step(random.randrange(4))
                rollout += weight * reward
                weight *= discount
            for visited, reward in zip(reversed(path), [*reversed(paid), 0.0], strict=True):
                visited.visits += 1
                rollout = reward + discount * rollout
                visited.total += rollout
        return max(root.children, key=lambda a: root.children[a].visits)

    return go


class State:
    """What the `mcts` package walks through: immutable, with the sum of what was paid on the way."""

    __slots__ = ("cell", "discount", "left", "paid", "rows", "weight")

    def __init__(self, rows: list[str], cell: Cell, *, paid: float, weight: float, discount: float, left: int):
        self.rows, self.cell, self.paid, self.weight, self.discount = rows, cell, paid, weight, discount
        self.left = left  # steps until the walk is cut off

    def getPossibleActions(self) -> range:
        """The four directions."""
        return range(4)

    def takeAction(self, action: int) -> "State":
        """The state one step on."""
        row, col = self.cell[0] + MOVES[action][0], self.cell[1] + MOVES[action][1]
        if not (0 <= row < len(self.rows) and 0 <= col < len(self.rows[0])) or self.rows[row][col] == "#":
            cell, reward = self.cell, -5.0
        else:
            cell, reward = (row, col), 10.0 if self.rows[row][col] == "G" else -1.0
        return State(
            self.rows,
            cell,
            paid=self.paid + self.weight * reward,
            weight=self.weight * self.discount,
            discount=self.discount,
            left=self.left - 1,
        )

    def isTerminal(self) -> bool:
        """Whether the goal is reached, or the walk is cut off."""
        return self.left == 0 or self.rows[self.cell[0]][self.cell[1]] == "G"

    def getReward(self) -> float:
        """The discounted sum of what was paid on the way."""
        return self.paid


def by_package(
    rows: list[str], start: Cell, *, simulations: int, exploration: float, discount: float, steps: int
) -> Callable[[], int]:
    """The `mcts` package, with its own rollouts."""

    def go() -> int:
        searcher = mcts(iterationLimit=simulations, explorationConstant=exploration / math.sqrt(2))
        return searcher.search(State(rows, start, paid=0.0, weight=1.0, discount=discount, left=steps))

    return go
