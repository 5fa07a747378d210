"""A chain of states between two ends, walked at random.

Source: Sutton & Barto (2018), example 6.2 (five states) and example 7.1 (nineteen states, −1 at the left end).
"""

import numpy as np
from jaxtyping import Float

from mazelm.tabular.mdp import TabularMDP

LEFT, RIGHT = 0, 1


def random_walk(n_states: int = 5, *, left_reward: float = 0.0, right_reward: float = 1.0) -> TabularMDP:
    """States 0 to n − 1 in a row; a step beyond either end ends the task and pays that end's reward, all others pay 0.

    The walk of the examples chooses left and right with probability ½ each: the policy `np.full((n_states, 2), 0.5)`,
    from the middle state, `n_states // 2`.

    Args:
        n_states: How many states, at least 1.
        left_reward: What the step beyond the left end pays.
        right_reward: What the step beyond the right end pays.
    """
    if n_states < 1:
        raise ValueError(f"n_states must be at least 1, got {n_states}")
    outcomes = []
    for state in range(n_states):
        left = (1.0, state - 1, 0.0, False) if state > 0 else (1.0, state, left_reward, True)
        right = (1.0, state + 1, 0.0, False) if state < n_states - 1 else (1.0, state, right_reward, True)
        outcomes.append([[left], [right]])
    return TabularMDP.from_outcomes(outcomes)


def random_walk_values(
    n_states: int = 5, *, left_reward: float = 0.0, right_reward: float = 1.0
) -> Float[np.ndarray, " S"]:
    """The value of each state under left or right with probability ½ each, without discount: a straight line.

    V(s) = left + (right − left)·(s + 1) / (n + 1)
    """
    share = np.arange(1, n_states + 1) / (n_states + 1)
    return left_reward + (right_reward - left_reward) * share
