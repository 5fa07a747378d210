"""Plan with a known model: what a policy is worth, and the best policy there is.

Each method is a generator that yields its rounds, for lessons and plots, or a function that runs it to its end. Exact
solves take few large steps, sweeps take many small ones; all of them work on dense and on sparse models.

At discount = 1 a value exists only where the task is sure to end. `exact_values` refuses a policy that never ends; the
sweeps cannot know, and the bound on their error, which has 1 − γ below the line, says nothing then.

Source: Puterman (1994), chapter 6; Sutton & Barto (2018), chapter 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import spsolve

from mazelm.tabular.mdp import MarkovRewardProcess, TabularMDP

_TIE = 1e-9  # to a greedy policy, actions whose values differ by less of the largest value are equally good
_CHECK_EVERY = 10  # sweeps between two looks at the stopping rule


class Sweep(NamedTuple):
    """The values after one more pass over all states."""

    values: Float[np.ndarray, " S"]
    change: float  # ‖V_k+1 − V_k‖, the largest change of any state in this pass
    error_bound: float  # how far the values may still be from their limit, at most; infinite at discount = 1


class Round(NamedTuple):
    """One round of policy iteration."""

    policy: Int[np.ndarray, " S"]
    values: Float[np.ndarray, " S"]  # of this policy
    changed: int  # in how many states the next policy acts otherwise; 0 ends the iteration


@dataclass(frozen=True)
class Solution:
    """What a planner found.

    Attributes:
        values: V(s).
        policy: The best action in each state for these values.
        iterations: Rounds or sweeps that it took.
        error_bound: How far `values` may be from the optimal ones, at most, in exact arithmetic. 0 for an exact
            solution; infinite where no bound is known (sweeps at discount = 1).
    """

    values: Float[np.ndarray, " S"]
    policy: Int[np.ndarray, " S"]
    iterations: int
    error_bound: float


def exact_values(mdp: TabularMDP, policy: Num[np.ndarray, "..."], *, discount: float) -> Float[np.ndarray, " S"]:
    """What each state is worth under a policy, by solving the Bellman equation as a linear system.

        V = r_π + γ·P_π·V,  so  (I − γ·P_π)·V = r_π

    Args:
        mdp: The model.
        policy: One action for each state (S,), or the probability of each action (S, A).
        discount: γ, in [0, 1].

    Raises:
        ValueError: discount = 1, and from some state the policy can get to where the task never ends.

    Source: Sutton & Barto (2018), equation 4.4 in matrix form.
    """
    process = mdp.under(policy)
    _require_discount(discount)
    if discount == 1:
        _require_an_end(process)
    if sparse.issparse(process.transitions):
        system = sparse.eye_array(mdp.n_states) - discount * process.transitions
        return spsolve(system.tocsc(), process.rewards)
    return np.linalg.solve(np.eye(mdp.n_states) - discount * process.transitions, process.rewards)


def policy_evaluation(
    mdp: TabularMDP,
    policy: Num[np.ndarray, "..."],
    *,
    discount: float,
    tolerance: float,
    values: Float[np.ndarray, " S"] | None = None,
    in_place: bool = False,
) -> Iterator[Sweep]:
    """Evaluate a policy by sweeps: every state is given what its neighbours' present values promise.

        V(s) ← r_π(s) + γ·Σ_s′ P_π(s′ | s)·V(s′)

    Ends when the error bound, or at discount = 1 the change, is at most `tolerance`.

    Args:
        mdp: The model.
        policy: One action for each state (S,), or the probability of each action (S, A).
        discount: γ, in [0, 1].
        tolerance: How far the values may be from the policy's at the end, above 0.
        values: Where to begin; zeros if None.
        in_place: Use the new value of a state at once, in the order of the states, instead of at the next sweep.

    Source: Sutton & Barto (2018), section 4.1.
    """
    process = mdp.under(policy)
    _require_discount(discount)
    _require_tolerance(tolerance)
    values = np.zeros(mdp.n_states) if values is None else np.array(values, dtype=float)
    error = np.inf
    while error > tolerance:
        if in_place:
            new = values.copy()
            _sweep_in_place(process, new, discount)
        else:
            new = process.rewards + discount * (process.transitions @ values)
        change = float(np.abs(new - values).max())
        values, bound = new, error_bound(change, discount)
        error = bound if discount < 1 else change
        yield Sweep(values, change, bound)


def greedy_policy(mdp: TabularMDP, values: Float[np.ndarray, " S"], *, discount: float) -> Int[np.ndarray, " S"]:
    """The best action in each state for these values; of equally good ones the first.

        π(s) = argmaxₐ [r(s, a) + γ·Σ_s′ P(s′ | s, a)·V(s′)]

    Actions that differ by rounding only count as equally good, so that the answer is the same on every machine.
    """
    q = mdp.q_values(values, discount=discount)
    return _is_best(q, _TIE).argmax(axis=1)


def policy_improvement(
    mdp: TabularMDP, policy: Int[np.ndarray, " S"], values: Float[np.ndarray, " S"], *, discount: float
) -> Int[np.ndarray, " S"]:
    """The greedy policy for the values of a policy, which keeps the present action wherever that is as good as any.

    Without the second half, two equally good policies could take turns for ever.
    """
    rounding = 1e-13 / max(1 - discount, 1e-4)  # a linear solve loses about as many digits as 1 / (1 − γ) has
    best = _is_best(mdp.q_values(values, discount=discount), rounding)
    keeps = best[np.arange(mdp.n_states), policy]
    return np.where(keeps, policy, best.argmax(axis=1))


def policy_iteration_rounds(
    mdp: TabularMDP, *, discount: float, policy: Int[np.ndarray, " S"] | None = None
) -> Iterator[Round]:
    """Evaluate, improve, and so on until nothing improves: then the policy is optimal.

    Args:
        mdp: The model.
        discount: γ, in [0, 1].
        policy: Where to begin; if None, the actions with the best immediate rewards. At discount = 1 it has to be one
            under which the task is sure to end.

    Source: Howard (1960); Sutton & Barto (2018), section 4.3.
    """
    policy = greedy_policy(mdp, np.zeros(mdp.n_states), discount=discount) if policy is None else np.asarray(policy)
    while True:
        values = exact_values(mdp, policy, discount=discount)
        improved = policy_improvement(mdp, policy, values, discount=discount)
        changed = int((improved != policy).sum())
        yield Round(policy, values, changed)
        if changed == 0:
            return
        policy = improved


def policy_iteration(mdp: TabularMDP, *, discount: float, policy: Int[np.ndarray, " S"] | None = None) -> Solution:
    """The optimal policy and its exact values, by policy iteration.

    Arguments as those of `policy_iteration_rounds`; `iterations` counts the policies that were evaluated.
    """
    rounds = list(policy_iteration_rounds(mdp, discount=discount, policy=policy))
    return Solution(rounds[-1].values, rounds[-1].policy, len(rounds), 0.0)


def value_iteration_sweeps(
    mdp: TabularMDP, *, discount: float, values: Float[np.ndarray, " S"] | None = None, every: int = 1
) -> Iterator[Sweep]:
    """Give every state the best that its neighbours' present values promise, again and again, without end.

        V(s) ← maxₐ [r(s, a) + γ·Σ_s′ P(s′ | s, a)·V(s′)]

    Args:
        mdp: The model.
        discount: γ, in [0, 1].
        values: Where to begin; zeros if None.
        every: Yield one sweep of so many: to look at the change costs a quarter of a sweep.

    Source: Bellman (1957); Sutton & Barto (2018), section 4.4.
    """
    _require_discount(discount)
    values = np.zeros(mdp.n_states) if values is None else np.array(values, dtype=float)
    while True:
        last = mdp.best_values(values, discount=discount, times=every - 1)
        values = mdp.best_values(last, discount=discount)
        change = float(np.abs(values - last).max())
        yield Sweep(values, change, error_bound(change, discount))


def value_iteration(
    mdp: TabularMDP, *, discount: float, tolerance: float, values: Float[np.ndarray, " S"] | None = None
) -> Solution:
    """Optimal values to within a tolerance, by sweeps, and the policy that is greedy for them.

        V(s) ← maxₐ [r(s, a) + γ·Σ_s′ P(s′ | s, a)·V(s′)]  until  γ / (1 − γ)·‖V_k+1 − V_k‖ ≤ tolerance

    At discount = 1 there is no such bound: it stops when no value changes by more than `tolerance`. It looks at the
    stopping rule after every tenth sweep.

    Args:
        mdp: The model.
        discount: γ, in [0, 1].
        tolerance: How far any value may be from the optimal one, above 0.
        values: Where to begin; zeros if None.

    Source: Puterman (1994), section 6.3.
    """
    _require_tolerance(tolerance)
    sweeps = value_iteration_sweeps(mdp, discount=discount, values=values, every=_CHECK_EVERY)
    last, rounds = _until(sweeps, discount, tolerance)
    policy = greedy_policy(mdp, last.values, discount=discount)
    return Solution(last.values, policy, rounds * _CHECK_EVERY, last.error_bound)


def modified_policy_iteration_rounds(
    mdp: TabularMDP, *, discount: float, sweeps: int, values: Float[np.ndarray, " S"] | None = None
) -> Iterator[Sweep]:
    """Improve the policy once, then evaluate it by a few sweeps only, and so on without end.

    `sweeps` = 1 is value iteration; very many are policy iteration. The change and the bound of each round are those of
    its first sweep, the only one that takes the best action anew.

    Source: Puterman & Shin (1978).
    """
    _require_discount(discount)
    if sweeps < 1:
        raise ValueError(f"sweeps must be at least 1, got {sweeps}")
    values = np.zeros(mdp.n_states) if values is None else np.array(values, dtype=float)
    while True:
        q = mdp.q_values(values, discount=discount)
        new = q.max(axis=1)
        change = float(np.abs(new - values).max())
        yield Sweep(new, change, error_bound(change, discount))
        process = mdp.under(q.argmax(axis=1))
        for _ in range(sweeps - 1):
            new = process.rewards + discount * (process.transitions @ new)
        values = new


def modified_policy_iteration(mdp: TabularMDP, *, discount: float, tolerance: float, sweeps: int = 20) -> Solution:
    """Optimal values to within a tolerance, by modified policy iteration, and the policy that is greedy for them.

    Args:
        mdp: The model.
        discount: γ, in [0, 1].
        tolerance: How far any value may be from the optimal one, above 0; at discount = 1, the change that ends it.
        sweeps: Sweeps in each round, of which the first improves the policy; at least 1.
    """
    _require_tolerance(tolerance)
    last, rounds = _until(modified_policy_iteration_rounds(mdp, discount=discount, sweeps=sweeps), discount, tolerance)
    return Solution(last.values, greedy_policy(mdp, last.values, discount=discount), rounds, last.error_bound)


def error_bound(change: float, discount: float) -> float:
    """How far values may still be from their limit after a sweep that changed them by at most `change`.

        ‖V_k+1 − V*‖ ≤ γ / (1 − γ)·‖V_k+1 − V_k‖

    Infinite at γ = 1, where a small change proves nothing.

    Source: Puterman (1994), theorem 6.3.1.
    """
    return discount / (1 - discount) * change if discount < 1 else np.inf


def _until(sweeps: Iterator[Sweep], discount: float, tolerance: float) -> tuple[Sweep, int]:
    """The first sweep that is close enough, and its number."""
    rounds, error = 0, np.inf
    while error > tolerance:
        last = next(sweeps)
        rounds, error = rounds + 1, last.error_bound if discount < 1 else last.change
    return last, rounds


def _is_best(q: Float[np.ndarray, "S A"], tie: float) -> Bool[np.ndarray, "S A"]:
    """Which actions are as good as any in their state, but for a difference of `tie` relative to the largest value."""
    return q >= q.max(axis=1, keepdims=True) - tie * np.abs(q).max()


def _sweep_in_place(process: MarkovRewardProcess, values: Float[np.ndarray, " S"], discount: float) -> None:
    """Renew the values one state after another, each from the newest values of the others."""
    rows = sparse.csr_array(process.transitions)
    for s in range(len(values)):
        entries = slice(rows.indptr[s], rows.indptr[s + 1])
        values[s] = process.rewards[s] + discount * rows.data[entries] @ values[rows.indices[entries]]


def _require_an_end(process: MarkovRewardProcess) -> None:
    """Refuse a process that can get to where it never ends: at discount = 1 its values do not exist."""
    going_on = sparse.coo_array(process.transitions)
    n_states = len(process.rewards)
    ends = np.flatnonzero(1 - going_on.sum(axis=1) > 1e-12)  # guards the rounding of a sum of probabilities
    # Backwards from one more node, which stands for the end: whoever is reached that way can get there.
    rows = np.concatenate([going_on.coords[1], np.full(ends.size, n_states)])
    columns = np.concatenate([going_on.coords[0], ends])
    graph = sparse.csr_array((np.ones(rows.size), (rows, columns)), shape=(n_states + 1, n_states + 1))
    reached = csgraph.breadth_first_order(graph, n_states, return_predecessors=False)
    if reached.size <= n_states:
        s = int(np.setdiff1d(np.arange(n_states), reached)[0])
        raise ValueError(
            f"discount=1 needs a policy under which the task is sure to end; from state {s} this one never ends it. "
            "Try: a discount below 1, or another policy"
        )


def _require_discount(discount: float) -> None:
    if not 0 <= discount <= 1:
        raise ValueError(f"discount must be in [0, 1], got {discount}")


def _require_tolerance(tolerance: float) -> None:
    if not tolerance > 0:
        raise ValueError(f"tolerance must be above 0, got {tolerance}")
