"""A model by counting, and what its errors can cost.

How often did each pair of state and action lead where, and what was paid on average? Those shares are the maximum
likelihood estimate of the rules, and planning with them as if they were true is called certainty equivalence. The
simulation lemma says how far wrong values can be, then.

Source: Kearns & Singh (2002) for the lemma; Brafman & Tennenholtz (2002) for optimism about what was never tried.

Left out: priors and confidence intervals, which say how sure a count is.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Num
from scipy import sparse

from mazelm.tabular.episodes import Transition
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values


class ModelErrors(NamedTuple):
    """How far a model is from the rules, for the pair where it is farthest."""

    rewards: float  # ε_r, of the expected reward
    transitions: float  # ε_P in [0, 1], total variation distance of where the step leads


def fit_transitions(
    steps: Iterable[Transition], n_states: int, n_actions: int, *, unseen_reward: float = 0.0
) -> TabularMDP:
    """Count what each pair led to.

        P̂(s′ | s, a) = N(s, a, s′) / N(s, a)        r̂(s, a) = mean of the rewards paid

    The end of the task is counted as one more place to come to. A step that was only the last before a time limit is a
    step like every other.

    Args:
        steps: What was seen.
        n_states: How many states there are.
        n_actions: How many actions.
        unseen_reward: A pair never tried is thought to lead back to its state and to pay this each time. The highest
            reward of the task makes the planner want to try it.

    Source: Sutton & Barto (2018), section 8.1; with the highest reward, Brafman & Tennenholtz (2002).
    """
    transitions = np.zeros((n_states, n_actions, n_states))
    paid, ended = np.zeros((2, n_states, n_actions))
    for step in steps:
        if not (0 <= step.state < n_states and 0 <= step.next_state < n_states and 0 <= step.action < n_actions):
            known = f"states from 0 to {n_states - 1} and actions from 0 to {n_actions - 1}"
            raise ValueError(f"steps must name {known}, got {step}")
        paid[step.state, step.action] += step.reward
        if step.terminated:
            ended[step.state, step.action] += 1
        else:
            transitions[step.state, step.action, step.next_state] += 1
    visits = transitions.sum(axis=2) + ended
    for s, a in np.argwhere(visits == 0):
        transitions[s, a, s], paid[s, a], visits[s, a] = 1, unseen_reward, 1
    return TabularMDP(transitions / visits[:, :, None], paid / visits, ended / visits)


def model_errors(mdp: TabularMDP, model: TabularMDP) -> ModelErrors:
    """The largest errors of a model over all pairs.

        ε_r = max |r̂(s, a) − r(s, a)|        ε_P = max ½·Σ |P̂(· | s, a) − P(· | s, a)|

    The sum has one term for each next state, and one for the end of the task.
    """
    _require_same_size(mdp, model)
    off = np.abs(_dense(model) - _dense(mdp)).sum(axis=2) + np.abs(model.terminations - mdp.terminations)
    return ModelErrors(float(np.abs(model.rewards - mdp.rewards).max()), float(off.max() / 2))


def value_error(
    mdp: TabularMDP, model: TabularMDP, policy: Num[np.ndarray, "..."], *, discount: float
) -> Float[np.ndarray, " S"]:
    """By how much a model misjudges a policy, computed from its errors step by step.

        V̂ − V = (I − γ·P̂_π)⁻¹·[ (r̂_π − r_π) + γ·(P̂_π − P_π)·V ]

    What the model gets wrong in one step, in the states that the *model* walks through, weighed by the *true* values.

    Args:
        mdp: The true rules.
        model: What is believed.
        policy: One action for each state (S,), or the probability of each action (S, A).
        discount: γ, in [0, 1).

    Source: Kearns & Singh (2002), whose lemma bounds this; the identity is derived in lesson 12.1.
    """
    _require_discount(discount)
    _require_same_size(mdp, model)
    true, believed = mdp.under(policy), model.under(policy)
    values = exact_values(mdp, policy, discount=discount)
    wrong = believed.rewards - true.rewards + discount * (believed.transitions - true.transitions) @ values
    return np.linalg.solve(np.eye(mdp.n_states) - discount * _array(believed.transitions), wrong)


def simulation_bound(errors: ModelErrors, *, discount: float, span: float) -> float:
    """How far, at most, a model's value of a policy is from the true one.

        ‖V̂ − V‖ ≤ (ε_r + γ·ε_P·span V) / (1 − γ)

    With rewards between 0 and 1 the span of any values is at most 1 / (1 − γ).

    Args:
        errors: ε_r and ε_P.
        discount: γ, in [0, 1).
        span: How far apart the true values of the policy are, the end of the task counted as 0: `value_span`.

    Source: Kearns & Singh (2002), the simulation lemma, here with the span in place of the largest value.
    """
    _require_discount(discount)
    return (errors.rewards + discount * errors.transitions * span) / (1 - discount)


def planning_loss_bound(errors: ModelErrors, *, discount: float, span: float) -> float:
    """How much, at most, the best plan of a model is worse than the best plan there is.

        V* − V^π̂ ≤ 2·(ε_r + γ·ε_P·span) / (1 − γ)

    Args:
        errors: ε_r and ε_P.
        discount: γ, in [0, 1).
        span: Of the values of both plans: 1 / (1 − γ) if rewards lie between 0 and 1.
    """
    return 2 * simulation_bound(errors, discount=discount, span=span)


def value_span(values: Float[np.ndarray, " S"]) -> float:
    """The largest value less the smallest, where the end of the task counts as a state worth 0."""
    return float(max(values.max(), 0.0) - min(values.min(), 0.0))


def _dense(mdp: TabularMDP) -> Float[np.ndarray, "S A S"]:
    return _array(mdp.transitions).reshape(mdp.n_states, mdp.n_actions, mdp.n_states)


def _array(matrix: np.ndarray | sparse.csr_array) -> np.ndarray:
    """A matrix as an array, whichever way it is stored."""
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def _require_discount(discount: float) -> None:
    if not 0 <= discount < 1:
        raise ValueError(f"discount must be in [0, 1), got {discount}")


def _require_same_size(mdp: TabularMDP, model: TabularMDP) -> None:
    if mdp.rewards.shape != model.rewards.shape:
        raise ValueError(f"model must have {mdp.rewards.shape} states and actions as mdp, got {model.rewards.shape}")
