"""Plan one state at a time: sweeps in place in any order, and the states with the largest error first.

A method that renews all states together needs two arrays, and does not use what it has just learned until the next
sweep. Here each new value is used at once. Any order converges that comes back to every state again and again; which
order is used decides how soon.

One state at a time is no work for arrays: inside, the model is lists of plain numbers, and a backup takes about a
microsecond. A production system would compile these loops, and share the states out among processors.

Source: Bertsekas (1982); Moore & Atkeson (1993); Sutton & Barto (2018), sections 4.5 and 8.4.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import _require_discount, _require_tolerance

_Action = tuple[float, list[tuple[int, float]]]  # expected reward; next states, each with its discounted probability


class Progress(NamedTuple):
    """How far an asynchronous method has come."""

    backups: int  # how many times the value of some state was renewed
    values: Float[np.ndarray, " S"]
    bellman_error: float  # the largest of all states, for these values


def bellman_errors(mdp: TabularMDP, values: Float[np.ndarray, " S"], *, discount: float) -> Float[np.ndarray, " S"]:
    """By how much each state would change if it were renewed now.

        e(s) = | maxₐ [r(s, a) + γ·Σ_s′ P(s′ | s, a)·V(s′)] − V(s) |

    Args:
        mdp: The model.
        values: V, one number for each state.
        discount: γ, in [0, 1].

    Source: Puterman (1994), section 6.3.
    """
    return np.abs(mdp.best_values(values, discount=discount) - values)


def residual_bound(bellman_error: float, discount: float) -> float:
    """How far values may be from the optimal ones, at most, wherever they come from.

        ‖V − V*‖ ≤ ‖𝒯V − V‖ / (1 − γ)

    Infinite at γ = 1.

    Args:
        bellman_error: ‖𝒯V − V‖, the largest Bellman error of any state.
        discount: γ, in [0, 1].

    Source: Puterman (1994), theorem 6.3.1.
    """
    return bellman_error / (1 - discount) if discount < 1 else np.inf


def asynchronous_sweeps(
    mdp: TabularMDP,
    orders: Iterable[Sequence[int] | Int[np.ndarray, " N"]],
    *,
    discount: float,
    values: Float[np.ndarray, " S"] | None = None,
) -> Iterator[Progress]:
    """Renew states one after another, in place: each backup uses the newest values of all other states.

        for s in the order:  V(s) ← maxₐ [r(s, a) + γ·Σ_s′ P(s′ | s, a)·V(s′)]

    With the same order of all states every time this is Gauss-Seidel value iteration. An order may name some states
    only, and a state more than once.

    Args:
        mdp: The model.
        orders: For each sweep the states to renew, in their order; one record is yielded after each.
            `itertools.repeat(order)` never ends.
        discount: γ, in [0, 1].
        values: Where to begin; zeros if None.

    Source: Puterman (1994), section 6.3.3; Sutton & Barto (2018), section 4.5.
    """
    _require_discount(discount)
    model, current, backups = _as_lists(mdp, discount), _begin(mdp, values), 0
    for order in orders:
        states = np.asarray(order).tolist()  # plain numbers: twice as fast as NumPy's
        _require_states(states, mdp.n_states)
        for s in states:
            current[s] = _best(model[s], current)
        backups += len(states)
        yield _progress(mdp, backups, current, discount)


def prioritised_sweeping(
    mdp: TabularMDP,
    *,
    discount: float,
    tolerance: float,
    values: Float[np.ndarray, " S"] | None = None,
    every: int = 1000,
) -> Iterator[Progress]:
    """Renew the state whose Bellman error may be the largest, until none can be above (1 − γ)·tolerance.

        renew s;  Δ = the change of V(s);  e(s) ← 0
        for every predecessor p of s:  e(p) ← e(p) + γ·maxₐ P(s | p, a)·|Δ|

    A priority e(p) is no error but a bound on one, since several changes may cancel: it is the error where it was last
    computed, plus all that can have been added since. So when all priorities are small, all errors are, and the values
    are within `tolerance` of the optimal ones. At discount = 1 it ends when no error is above `tolerance`.

    The paper keeps the largest of the contributions instead of their sum, and stops after a given number of backups.

    Args:
        mdp: The model.
        discount: γ, in [0, 1].
        tolerance: How far any value may be from the optimal one at the end, above 0.
        values: Where to begin; zeros if None.
        every: Backups between two records; the last record comes at the end.

    Source: Moore & Atkeson (1993); Sutton & Barto (2018), section 8.4.
    """
    _require_discount(discount)
    _require_tolerance(tolerance)
    if every < 1:
        raise ValueError(f"every must be at least 1, got {every}")
    threshold = tolerance * (1 - discount) if discount < 1 else tolerance
    model, predecessors = _as_lists(mdp, discount), _predecessors(mdp, discount)
    current, backups = _begin(mdp, values), 0
    priorities = bellman_errors(mdp, np.array(current), discount=discount).tolist()
    queue = [(-priority, s) for s, priority in enumerate(priorities) if priority > threshold]  # largest first
    heapify(queue)
    while queue:
        negative, s = heappop(queue)
        if -negative != priorities[s]:
            continue  # an old entry: since then the priority has risen, or the state has been renewed
        new = _best(model[s], current)
        change, current[s], priorities[s] = abs(new - current[s]), new, 0.0
        for p, weight in predecessors[s]:
            priorities[p] += weight * change
            if change > 0 and priorities[p] > threshold:
                heappush(queue, (-priorities[p], p))
        backups += 1
        if backups % every == 0:
            yield _progress(mdp, backups, current, discount)
    if backups % every or backups == 0:
        yield _progress(mdp, backups, current, discount)


def steps_to_end(mdp: TabularMDP) -> Int[np.ndarray, " S"]:
    """The fewest steps in which the task can end: 0 where every action ends it at once, −1 where none ever will.

    A breadth-first search backwards over everything that can happen, from the steps that may end the task.
    """
    predecessors = _predecessors(mdp, 1.0)
    steps = np.where((mdp.terminations > 0).any(axis=1), 1, -1)
    waiting = deque(np.flatnonzero(steps == 1).tolist())
    found = steps.tolist()
    while waiting:
        here = waiting.popleft()
        for before, _ in predecessors[here]:
            if found[before] < 0:
                found[before] = found[here] + 1
                waiting.append(before)
    nothing_follows = mdp.expected_next(np.ones(mdp.n_states)).max(axis=1) == 0
    return np.where(nothing_follows, 0, found)


def _best(actions: list[_Action], values: list[float]) -> float:
    """One backup: what the best action promises by these values."""
    best = -np.inf
    for q, outcomes in actions:
        for next_state, weight in outcomes:
            q += weight * values[next_state]
        if q > best:
            best = q
    return best


def _as_lists(mdp: TabularMDP, discount: float) -> list[list[_Action]]:
    """For each state its actions: the reward, and where it leads with which discounted probability."""
    matrix, n_actions = _sparse(mdp), mdp.n_actions
    columns, weights, ends = matrix.indices.tolist(), (discount * matrix.data).tolist(), matrix.indptr.tolist()
    outcomes = [list(zip(columns[i:j], weights[i:j], strict=True)) for i, j in pairwise(ends)]
    actions = list(zip(mdp.rewards.ravel().tolist(), outcomes, strict=True))
    return [actions[first : first + n_actions] for first in range(0, len(actions), n_actions)]


def _predecessors(mdp: TabularMDP, discount: float) -> list[list[tuple[int, float]]]:
    """For each state those that can lead there in one step, with γ times the largest probability of any action."""
    matrix = _sparse(mdp).tocoo()
    before, after = matrix.coords[0] // mdp.n_actions, matrix.coords[1]
    found: list[dict[int, float]] = [{} for _ in range(mdp.n_states)]
    for p, s, weight in zip(before.tolist(), after.tolist(), (discount * matrix.data).tolist(), strict=True):
        if weight > found[s].get(p, 0.0):
            found[s][p] = weight
    return [list(weights.items()) for weights in found]


def _sparse(mdp: TabularMDP) -> sparse.csr_array:
    """P as a sparse matrix (S·A, S), whichever way it is stored."""
    matrix = mdp.transitions
    return sparse.csr_array(matrix.reshape(-1, mdp.n_states)) if isinstance(matrix, np.ndarray) else matrix


def _begin(mdp: TabularMDP, values: Float[np.ndarray, " S"] | None) -> list[float]:
    """The first values, as plain numbers of our own."""
    return [0.0] * mdp.n_states if values is None else np.asarray(values, dtype=float).tolist()


def _progress(mdp: TabularMDP, backups: int, current: list[float], discount: float) -> Progress:
    values = np.array(current)
    return Progress(backups, values, float(bellman_errors(mdp, values, discount=discount).max()))


def _require_states(states: list[int], n_states: int) -> None:
    wrong = [s for s in states if not 0 <= s < n_states]
    if wrong:
        raise ValueError(f"orders must name states from 0 to {n_states - 1}, got {wrong[0]}")
