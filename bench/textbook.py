"""Value iteration and Q-learning as most tutorials write them: what bench/tabular.py measures ours beside."""

from collections.abc import Callable

import numpy as np

Cell = tuple[int, int]
Rules = dict[Cell, list[list[tuple[float, Cell, float, bool]]]]  # probability, next cell, reward, terminated


def value_iteration(rules: Rules, n_sweeps: int, discount: float) -> Callable[[], list[float]]:
    """So many sweeps over a dictionary of cells."""

    def go() -> list[float]:
        values = dict.fromkeys(rules, 0.0)
        for _ in range(n_sweeps):
            new, change = {}, 0.0
            for cell, actions in rules.items():
                best = -float("inf")
                for outcomes in actions:
                    q = 0.0
                    for probability, next_cell, reward, terminated in outcomes:
                        future = 0.0 if terminated else values[next_cell]
                        q += probability * (reward + discount * future)
                    best = max(best, q)
                new[cell] = best
                change = max(change, abs(best - values[cell]))
            values = new
        return list(values.values())

    return go


class Maze:
    """The classic maze: cells are tuples, walls a set, and every step works out where it leads."""

    size, start, goal = 5, (0, 0), (0, 4)
    walls = frozenset({(0, 3), (1, 1), (1, 3), (2, 1), (3, 3), (4, 1)})
    moves = ((-1, 0), (0, 1), (1, 0), (0, -1))

    def reset(self) -> Cell:
        """Put the walker on the start."""
        self.state = self.start
        return self.state

    def step(self, action: int) -> tuple[Cell, float, bool]:
        """Where a step leads, what it pays, and whether the walk has ended."""
        row, col = self.state[0] + self.moves[action][0], self.state[1] + self.moves[action][1]
        if not (0 <= row < self.size and 0 <= col < self.size) or (row, col) in self.walls:
            return self.state, -5.0, False
        self.state = (row, col)
        return self.state, 10.0 if self.state == self.goal else -1.0, self.state == self.goal


def q_learning(n_steps: int, *, step_size: float, discount: float, epsilon: float) -> np.ndarray:
    """The loop over an array, until an episode ends after so many steps; returns Q of shape (25, 4)."""
    np.random.seed(0)
    maze, q, steps = Maze(), np.zeros((5, 5, 4)), 0
    while steps < n_steps:
        state, terminated = maze.reset(), False
        while not terminated:
            action = np.random.randint(4) if np.random.rand() < epsilon else np.argmax(q[state])
            next_state, reward, terminated = maze.step(int(action))
            future = 0.0 if terminated else np.max(q[next_state])
            q[state][action] += step_size * (reward + discount * future - q[state][action])
            state, steps = next_state, steps + 1
    return q.reshape(25, 4)
