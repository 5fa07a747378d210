"""What a policy comes to in T steps, exactly: which states it visits when, what it is paid, and what a mistake costs.

No walk is sampled. The probabilities of all states go forward in time through the model, the values of the expert go
backwards. A walk that has ended visits nothing, so the probabilities of a time may sum to less than one.

Left out: policies that change in time, and discounting, which takes the weight from the late steps that matter here.

Source: Ross and Bagnell (2010) and Ross et al. (2011) for the errors and their bounds; Kakade and Langford (2002) for
the sum of advantages that is the regret.
"""

import numpy as np
from jaxtyping import Float, Int, Num
from scipy import sparse

from mazelm.tabular.mdp import TabularMDP, as_probabilities


def state_distributions(
    mdp: TabularMDP, policy: Num[np.ndarray, "..."], *, start: int, steps: int
) -> Float[np.ndarray, "T S"]:
    """How likely the walker stands in each state at each time.

        d₀(s) = [s is the start],    dₜ₊₁(s′) = Σ_s dₜ(s)·Σ_a π(a | s)·P(s′ | s, a)

    Args:
        mdp: The model.
        policy: One action for each state (S,), or the probability of each action (S, A).
        start: The state at time 0.
        steps: T, the horizon; times are 0 to T − 1.
    """
    _require_steps(steps)
    if not 0 <= start < mdp.n_states:
        raise ValueError(f"start must be a state from 0 to {mdp.n_states - 1}, got {start}")
    forward = sparse.csr_array(mdp.under(policy).transitions.T)
    distributions = np.zeros((steps, mdp.n_states))
    distributions[0, start] = 1.0
    for t in range(steps - 1):
        distributions[t + 1] = forward @ distributions[t]
    return distributions


def total_reward(mdp: TabularMDP, policy: Num[np.ndarray, "..."], *, start: int, steps: int) -> float:
    """What a policy is paid in T steps, in expectation.

        J(π) = Σ_t Σ_s dₜ(s)·r_π(s)

    Arguments as those of `state_distributions`.
    """
    distributions = state_distributions(mdp, policy, start=start, steps=steps)
    return float(distributions.sum(axis=0) @ mdp.under(policy).rewards)


def disagreement(
    distributions: Float[np.ndarray, "T S"], policy: Num[np.ndarray, "..."], expert: Int[np.ndarray, " S"]
) -> float:
    """ε: the chance of an action that is not the expert's, averaged over T steps.

        ε = (1/T)·Σ_t Σ_s dₜ(s)·[1 − π(π*(s) | s)]

    After the end of a walk nothing is done wrong.

    Args:
        distributions: The states at which the two are compared: the expert's own, or the learner's. It makes all the
            difference.
        policy: The learner: one action for each state (S,), or the probability of each action (S, A).
        expert: π*, one action for each state.

    Source: Ross et al. (2011), section 2, with the 0-1 loss.
    """
    wrong = 1 - _chance_of(expert, policy)
    return float((distributions @ wrong).mean())


def mistake_costs(mdp: TabularMDP, expert: Int[np.ndarray, " S"], *, steps: int) -> Float[np.ndarray, "T S A"]:
    """What one action costs, in each state and at each time, if the expert takes over after it.

        cₜ(s, a) = V*ₜ(s) − Q*ₜ(s, a),    Q*ₜ(s, a) = r(s, a) + Σ_s′ P(s′ | s, a)·V*ₜ₊₁(s′),    V*_T = 0

    0 for the expert's own action; negative where an action is better than the expert's.

    Args:
        mdp: The model.
        expert: π*, one action for each state. V* and Q* are its values, whether it is optimal or not.
        steps: T, the horizon.

    Source: Ross et al. (2011), section 2.2, where the largest of them is called u.
    """
    _require_steps(steps)
    as_probabilities(expert, mdp.n_states, mdp.n_actions)  # refuses what is no policy
    values, costs = np.zeros(mdp.n_states), np.zeros((steps, mdp.n_states, mdp.n_actions))
    for t in reversed(range(steps)):
        q = mdp.q_values(values, discount=1.0)
        values = q[np.arange(mdp.n_states), expert]
        costs[t] = values[:, None] - q
    return costs


def regret_by_mistakes(
    costs: Float[np.ndarray, "T S A"], distributions: Float[np.ndarray, "T S"], policy: Num[np.ndarray, "..."]
) -> float:
    """What a learner is paid less than the expert: the cost of each of its mistakes, where and when it makes it.

        J(π*) − J(π) = Σ_t Σ_s dₜ(s)·Σ_a π(a | s)·cₜ(s, a)

    Args:
        costs: Of `mistake_costs`.
        distributions: Of the learner: with those of the expert the equation is wrong.
        policy: The learner.

    Source: Kakade and Langford (2002), lemma 6.1.
    """
    probabilities = as_probabilities(policy, *costs.shape[1:])
    return float(np.einsum("ts,sa,tsa->", distributions, probabilities, costs))


def _chance_of(expert: Int[np.ndarray, " S"], policy: Num[np.ndarray, "..."]) -> Float[np.ndarray, " S"]:
    """π(π*(s) | s)."""
    policy = np.asarray(policy)
    if policy.ndim == 1:
        return (policy == expert).astype(float)
    if policy.shape[0] != len(expert):
        raise ValueError(f"policy must have one row for each of {len(expert)} states, got shape {policy.shape}")
    return policy[np.arange(len(expert)), expert]


def _require_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
