"""Tree search as many tutorials write it, and the classes that the `mcts` package asks for: peers of bench/deep_rl.py.

Both walk the same maze as ours: its cells as text, the rewards of `mazes`, rollouts of so many random steps at most.
"""

import copy
import math
import random
from collections.abc import Callable

from mcts import mcts

Cell = tuple[int, int]
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


class Walk:
    """A walk through a maze, as an environment that steps and remembers where it is."""

    def __init__(self, rows: list[str], cell: Cell):
        self.rows, self.cell, self.over = rows, cell, False

    def step(self, action: int) -> float:
        row, col = self.cell[0] + MOVES[action][0], self.cell[1] + MOVES[action][1]
        if not (0 <= row < len(self.rows) and 0 <= col < len(self.rows[0])) or self.rows[row][col] == "#":
            return -5.0
        self.cell, self.over = (row, col), self.rows[row][col] == "G"
        return 10.0 if self.over else -1.0


class Node:
    """One node, with its children by action."""

    def __init__(self) -> None:
        self.visits, self.total = 0, 0.0
        self.children: dict[int, Node] = {}


def by_copies(
    rows: list[str], start: Cell, *, simulations: int, exploration: float, discount: float, steps: int
) -> Callable[[], int]:
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
        env, root = Walk(rows, start), Node()
        for _ in range(simulations):
            walk, node, path, paid = copy.deepcopy(env), root, [root], []
            while not walk.over and len(node.children) == 4:
                action = best_child(node)
                paid.append(walk.step(action))
                node = node.children[action]
                path.append(node)
            if not walk.over:
                action = random.choice([a for a in range(4) if a not in node.children])
                paid.append(walk.step(action))
                node.children[action] = node = Node()
                path.append(node)
            rollout, weight = 0.0, 1.0
            for _ in range(steps):
                if walk.over:
                    break
                rollout += weight * walk.step(random.randrange(4))
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
        return range(4)

    def takeAction(self, action: int) -> "State":
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
        return self.left == 0 or self.rows[self.cell[0]][self.cell[1]] == "G"

    def getReward(self) -> float:
        return self.paid


def by_package(
    rows: list[str], start: Cell, *, simulations: int, exploration: float, discount: float, steps: int
) -> Callable[[], int]:
    """The `mcts` package, with its own rollouts."""

    def go() -> int:
        searcher = mcts(iterationLimit=simulations, explorationConstant=exploration / math.sqrt(2))
        return searcher.search(State(rows, start, paid=0.0, weight=1.0, discount=discount, left=steps))

    return go
