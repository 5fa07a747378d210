"""A gridworld in which a crosswind carries the walker upwards, by another strength in each column.

Source: Sutton & Barto (2018), example 6.5. Left out: the king's moves and the stochastic wind of their exercises 6.9
and 6.10.
"""

import numpy as np

from mazelm.tabular.mdp import TabularMDP

ROWS, COLS = 7, 10
WIND = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)  # cells upwards, by the column that is left
START, GOAL = 3 * COLS + 0, 3 * COLS + 7  # states are cells, row by row
SHORTEST = 15  # steps from START to GOAL


def windy_gridworld() -> TabularMDP:
    """The cells as states 0 to 69; actions up, right, down, left; reward −1 for every step until the goal.

    A step adds its own direction and the wind of the column it leaves; the grid's edges stop it. At the goal the task
    is over.
    """
    row, col = np.divmod(np.arange(ROWS * COLS), COLS)
    lifted = row - np.array(WIND)[col]
    moves = ((-1, 0), (0, 1), (1, 0), (0, -1))
    next_state = np.stack(
        [np.clip(lifted + down, 0, ROWS - 1) * COLS + np.clip(col + right, 0, COLS - 1) for down, right in moves]
    )
    next_state[:, GOAL] = GOAL
    rewards = np.where(np.arange(ROWS * COLS) == GOAL, 0.0, -1.0)
    return TabularMDP.from_moves(next_state, np.tile(rewards, (4, 1)), next_state == GOAL, np.eye(4))
