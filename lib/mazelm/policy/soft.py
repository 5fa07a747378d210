"""Maximum entropy on a table: a policy that is paid for what it earns and for how undecided it stays.

The maximum over actions in the Bellman equation becomes a soft one, and the best policy spreads over all actions, the
better ones more. The temperature α is what one nat of entropy is worth, in units of reward. With α = 0 everything is as
in `mazelm.tabular.planning`.

Left out: a relative entropy to a given policy in place of the entropy; with the uniform one they differ by a constant.

Source: Ziebart et al. (2008); Haarnoja et al. (2017).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp, softmax

from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import error_bound


class SoftSolution(NamedTuple):
    """The best that can be had where entropy is paid for."""

    values: Float[np.ndarray, " S"]  # reward and entropy that follow
    q: Float[np.ndarray, "S A"]
    policy: Float[np.ndarray, "S A"]  # softmax of q / α
    iterations: int
    error_bound: float  # how far `values` may be from their limit, at most


def soft_value(q: Float[np.ndarray, "*B A"], *, temperature: int | float) -> float | Float[np.ndarray, "*B"]:
    """What a state is worth to somebody who likes to keep actions open.

        V(s) = α·log Σ_a exp(Q(s, a) / α)

    It is the largest mean of Q plus α times the entropy that any policy has here: never less than the best action, and
    by α·log n more where n actions are equally good and the others hopeless.

    Args:
        q: Q(s, ·), in the last axis.
        temperature: α, the price of one nat of entropy, at least 0. At 0 it is the maximum.

    Source: Haarnoja et al. (2017).
    """
    _require_temperature(temperature)
    if temperature == 0:
        return q.max(axis=-1)
    return temperature * logsumexp(q / temperature, axis=-1)  # shifted inside, so that no exponential overflows


def soft_policy(q: Float[np.ndarray, "*B A"], *, temperature: int | float) -> Float[np.ndarray, "*B A"]:
    """The policy that earns the soft value: the better an action, the likelier, and none impossible.

        π(a | s) = exp((Q(s, a) − V(s)) / α)

    Args:
        q: Q(s, ·), in the last axis.
        temperature: α, at least 0. At 0 the best actions share equally.

    Source: Haarnoja et al. (2017).
    """
    _require_temperature(temperature)
    if temperature == 0:
        best = q == q.max(axis=-1, keepdims=True)
        return best / best.sum(axis=-1, keepdims=True)
    return softmax(q / temperature, axis=-1)


def soft_value_iteration(
    mdp: TabularMDP,
    *,
    temperature: int | float,
    discount: int | float,
    tolerance: int | float = 1e-9,
    max_sweeps: int = 100_000,
) -> SoftSolution:
    """Sweeps of the soft Bellman equation until no value is off by more than the tolerance.

        Q(s, a) ← r(s, a) + γ·Σ_s′ P(s′ | s, a)·V(s′)
        V(s) ← α·log Σ_a exp(Q(s, a) / α)

    After a step that ends the task nothing follows, no entropy either. The sweep is a contraction by γ, as the hard one
    is, so the bound on the error is the same.

    Args:
        mdp: The model.
        temperature: α, at least 0.
        discount: γ, in [0, 1). At 1 a dear enough entropy would make endless walks worth infinitely much.
        tolerance: How far the values may be from their limit, above 0.
        max_sweeps: Give up after so many.

    Source: Haarnoja et al. (2017), who call it soft Q-iteration.
    """
    if not 0 <= discount < 1:
        raise ValueError(f"discount must be in [0, 1), got {discount}")
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}")
    if max_sweeps < 1:
        raise ValueError(f"max_sweeps must be at least 1, got {max_sweeps}")
    values = np.zeros(mdp.n_states)
    for sweep in range(1, max_sweeps + 1):
        q = mdp.q_values(values, discount=discount)
        new = np.asarray(soft_value(q, temperature=temperature))
        bound = error_bound(float(np.abs(new - values).max()), discount)
        values = new
        if bound <= tolerance:
            q = mdp.q_values(values, discount=discount)
            return SoftSolution(values, q, soft_policy(q, temperature=temperature), sweep, bound)
    raise ValueError(f"max_sweeps={max_sweeps} are too few for tolerance={tolerance}: still off by up to {bound:.3g}")


def _require_temperature(temperature: int | float) -> None:
    if not 0 <= temperature < np.inf:
        raise ValueError(f"temperature must be at least 0 and finite, got {temperature}")
