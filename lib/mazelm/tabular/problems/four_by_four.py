"""A gridworld of four by four cells: two corners end the task, every step costs one.

Source: Sutton & Barto (2018), example 4.1.
"""

import numpy as np

from mazelm.tabular.mdp import TabularMDP

_MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left


def four_by_four() -> TabularMDP:
    """The cells row by row as states 0 to 15; actions up, right, down, left; reward −1 for every step.

    States 0 and 15 are the ends. A step off the grid leaves the state as it is.
    """
    outcomes = []
    for state in range(16):
        if state in (0, 15):
            outcomes.append([[(1.0, state, 0.0, True)] for _ in _MOVES])
            continue
        row, col = divmod(state, 4)
        cells = [np.clip((row + down, col + right), 0, 3) for down, right in _MOVES]
        reached = [int(4 * r + c) for r, c in cells]
        outcomes.append([[(1.0, next_state, -1.0, next_state in (0, 15))] for next_state in reached])
    return TabularMDP.from_outcomes(outcomes)
