"""What semi-gradient TD does on average, where the model is known: a linear system.

The expected update moves the weights by α·(b − A·w). Where it leads, whether it leads anywhere, and how good the end is
can be read from the matrix A, without a single sample.

Source: Sutton & Barto (2018), sections 9.2 to 9.4, and 11.4 for the errors; Tsitsiklis & Van Roy (1997).

Left out: least-squares TD, which fills A and b from samples.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mazelm.tabular.mdp import MarkovRewardProcess


class TDSystem(NamedTuple):
    """What semi-gradient TD does on average: the expected update is w ← w + α·(b − A·w)."""

    matrix: Float[np.ndarray, "d d"]  # A
    vector: Float[np.ndarray, " d"]  # b


def td_system(
    features: Float[np.ndarray, "S d"],
    process: MarkovRewardProcess,
    weighting: Float[np.ndarray, " S"],
    *,
    discount: float,
) -> TDSystem:
    """The linear system that describes semi-gradient TD(0) on average.

        A = Xᵀ·D·(I − γ·P)·X        b = Xᵀ·D·r

    Args:
        features: X, one row for each state.
        process: P and r of the policy that is learned about, `mdp.under(policy)`.
        weighting: The diagonal of D: the share of the updates that each state gets.
        discount: γ, in [0, 1].

    Source: Sutton & Barto (2018), equations 9.11 and 11.9.
    """
    weighted = features.T * weighting
    expected_change = features - discount * (process.transitions @ features)
    return TDSystem(weighted @ expected_change, weighted @ process.rewards)


def expected_td_update(weights: Float[np.ndarray, " d"], system: TDSystem, *, step_size: float) -> None:
    """What a step of semi-gradient TD(0) does on average, as dynamic programming does it with a model; in place.

        w ← w + α·(b − A·w) = w + α·Xᵀ·D·(r + γ·P·X·w − X·w)

    Source: Sutton & Barto (2018), equation 11.9.
    """
    weights += step_size * (system.vector - system.matrix @ weights)


def td_fixed_point(system: TDSystem) -> Float[np.ndarray, " d"]:
    """The weights that the expected update leaves alone.

        A·w = b

    Raises:
        ValueError: A is singular: features depend on each other in the states that are visited, and no single answer
            exists.

    Source: Sutton & Barto (2018), equation 9.12.
    """
    rank = np.linalg.matrix_rank(system.matrix)
    if rank < len(system.vector):
        raise ValueError(f"system.matrix must be invertible, got rank {rank} for {len(system.vector)} weights")
    return np.linalg.solve(system.matrix, system.vector)


def on_policy_distribution(process: MarkovRewardProcess, start: Float[np.ndarray, " S"]) -> Float[np.ndarray, " S"]:
    """The share of its time that a policy spends in each state, when a new episode follows every end.

        μ = μ·P + (chance of an end)·start        Σ μ = 1

    Args:
        process: `mdp.under(policy)`.
        start: Probability of each state at the beginning of an episode.

    Raises:
        ValueError: There are several such distributions: where the policy ends up depends on chance.

    Source: Sutton & Barto (2018), section 9.2.
    """
    n_states = len(start)
    going_on = process.transitions @ np.eye(n_states)  # dense, whatever form it had
    chain = going_on + np.outer(1 - going_on.sum(axis=1), start)
    conditions = np.vstack([(chain - np.eye(n_states)).T, np.ones(n_states)])
    solution, _, rank, _ = np.linalg.lstsq(conditions, np.append(np.zeros(n_states), 1.0))
    if rank < n_states:
        raise ValueError(f"process must settle in one set of states, got {n_states - rank + 1} of them")
    return solution.clip(min=0.0)


def value_error(
    values: Float[np.ndarray, " S"], truth: Float[np.ndarray, " S"], weighting: Float[np.ndarray, " S"]
) -> float:
    """How far values are from the true ones, as a weighted mean of squares.

        VE = Σₛ μ(s)·(V^π(s) − V(s))²

    Source: Sutton & Barto (2018), equation 9.1.
    """
    return float(weighting @ (truth - values) ** 2)


def projected_bellman_error(
    weights: Float[np.ndarray, " d"],
    features: Float[np.ndarray, "S d"],
    system: TDSystem,
    weighting: Float[np.ndarray, " S"],
) -> float:
    """The part of the expected TD errors that the features can see, as a weighted mean of squares.

        PBE = (b − A·w)ᵀ·C⁻¹·(b − A·w)        C = Xᵀ·D·X

    It is 0 at the fixed point, and nowhere else. Where C is singular, its pseudoinverse stands in its place.

    Source: Sutton et al. (2009); Sutton & Barto (2018), section 11.7.
    """
    drift = system.vector - system.matrix @ weights
    return float(drift @ np.linalg.lstsq((features.T * weighting) @ features, drift)[0])
