"""Baird's counterexample: seven states and eight weights, on which off-policy TD learning diverges.

Two actions, whose effect does not depend on the state: DASHED leads to one of the states 0 to 5 with equal chances,
SOLID to state 6. No step pays anything, so every value is 0, and the features can say so. The behaviour policy visits
all states equally often; the target policy takes SOLID for ever.

Source: Baird (1995), in the form of Sutton & Barto (2018), section 11.2, whose states and weights count from 1.
"""

import numpy as np
from jaxtyping import Float

from mazelm.tabular.mdp import TabularMDP

DASHED, SOLID = 0, 1
DISCOUNT = 0.99
BEHAVIOUR = np.tile([6 / 7, 1 / 7], (7, 1))
TARGET = np.tile([0.0, 1.0], (7, 1))
FIRST_WEIGHTS = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 10.0, 1.0])


def baird(*, reward: float = 0.0) -> TabularMDP:
    """The process of the counterexample, which never ends.

    Args:
        reward: What SOLID pays; 0 in the source. The target policy is then worth reward / (1 − γ) in every state, which
            the features can say too.
    """
    transitions = np.zeros((7, 2, 7))
    transitions[:, DASHED, :6] = 1 / 6
    transitions[:, SOLID, 6] = 1.0
    return TabularMDP(transitions, np.tile([0.0, reward], (7, 1)))


def baird_features() -> Float[np.ndarray, "7 8"]:
    """x(s), such that V(s) = 2·wₛ + w₇ in the states 0 to 5, and V(6) = w₆ + 2·w₇."""
    features = np.zeros((7, 8))
    features[range(6), range(6)] = 2.0
    features[:6, 7] = 1.0
    features[6, 6:] = 1.0, 2.0
    return features
