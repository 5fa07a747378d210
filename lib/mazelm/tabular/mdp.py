"""Decision processes in arrays: what each action leads to, how likely, and what it pays.

A model that is known like this can be planned with; the learners of later chapters see only samples of it.

Ending is a property of a transition, as in Gymnasium: a step has a probability of ending the task, and no value is
ever taken from beyond it. So one state can be the end of one step and an ordinary state for another (in Gymnasium's
Taxi it is).

Three forms hold the transitions: a dense array for small problems, a sparse matrix for large ones, and a table of moves
for mazes, whose actions mix a few moves with the same chances everywhere. A production system would add models that are
computed on demand, continuous states and graphics processors.

Source: Puterman (1994), chapter 2; Sutton & Barto (2018), chapter 3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from jaxtyping import Bool, Float, Int, Num
from scipy import sparse

DENSE_ENTRIES = 500_000  # up to this many numbers (4 MB), P is stored as an array (S, A, S): quicker than sparse
_BLOCK = 8192  # states whose values are computed together: 4 moves and 4 actions of as many floats fit a cache of 1 MB
_ROUNDING = 1e-8  # how far the probabilities of one row may sum from 1

Outcome = tuple[float, int, float, bool]  # probability, next state, reward, terminated: the order of Gymnasium's P


@dataclass(frozen=True)
class MarkovRewardProcess:
    """What remains of a decision process when a policy makes the decisions.

    Attributes:
        transitions: Probability of going on from the row's state in the column's; a row may sum to less than 1, where
            the step may end the task. An array, or a sparse matrix.
        rewards: Expected reward of one step from each state.
    """

    transitions: Float[np.ndarray, "S S"] | sparse.csr_array
    rewards: Float[np.ndarray, " S"]


@dataclass(frozen=True)
class _Matrix:
    """Transitions as one matrix, dense or sparse."""

    matrix: Float[np.ndarray, "SA S"] | sparse.csr_array

    def expected_next(self, values: Float[np.ndarray, " S"]) -> Float[np.ndarray, "S A"]:
        """One product of the matrix and the values."""
        return (self.matrix @ values).reshape(len(values), -1)

    def probability_of_going_on(self) -> Float[np.ndarray, "S A"]:
        """The sum of each row."""
        return self.matrix.sum(axis=1).reshape(self.matrix.shape[1], -1)

    def lowest(self) -> float:
        """The smallest entry."""
        entries = np.asarray(self.matrix.data if isinstance(self.matrix, sparse.csr_array) else self.matrix)
        return float(entries.min(initial=0.0))


@dataclass(frozen=True)
class Moves:
    """Transitions as a table of moves: an action draws its move with the same chances in every state.

    A sparse matrix finds each entry by its column index; a table of moves finds all states of one move in one gather,
    and the chances are applied by one small product. On a maze of 250,000 states that is about four times as fast.

    Attributes:
        next_state: Where each move leads from each state.
        rewards: What it pays there.
        terminated: Whether it ends the task there.
        mixture: Chance of each move under each action.
    """

    next_state: Int[np.ndarray, "M S"]
    rewards: Num[np.ndarray, "M S"]
    terminated: Bool[np.ndarray, "M S"]
    mixture: Float[np.ndarray, "A M"]

    def expected_next(self, values: Float[np.ndarray, " S"]) -> Float[np.ndarray, "S A"]:
        """One gather for all moves, then one product with the chances."""
        return (self.mixture @ np.append(values, 0.0)[self._target]).T

    def best_values(self, values: Float[np.ndarray, " S"], discount: float, times: int) -> Float[np.ndarray, " S"]:
        """maxₐ [r(s, a) + γ·Σ_s′ P(s′ | s, a)·V(s′)], so many times, only where something can follow.

        Those states are numbered anew, side by side, once for all sweeps. They are taken a block at a time, whose
        numbers stay in the processor's cache. On a maze of 250,000 states this is over three times as fast.
        """
        order, blocks, at_once = self._going_on
        n_live, mixture = len(order) - len(at_once), discount * self.mixture
        now, new = np.append(values[order], 0.0), np.zeros(len(values) + 1)
        for _ in range(times):
            new[n_live:-1] = at_once
            first = 0
            for target, rewards in blocks:
                q = mixture @ now.take(target, mode="clip")  # all indices exist: clip skips the check
                q += rewards
                q.max(axis=0, out=new[first : first + q.shape[1]])
                first += q.shape[1]
            now, new = new, now
        best = np.empty(len(values))
        best[order] = now[:-1]
        return best

    def probability_of_going_on(self) -> Float[np.ndarray, "S A"]:
        """The chance of each action's moves that do not end the task."""
        return (self.mixture @ ~self.terminated).T

    def lowest(self) -> float:
        """The smallest chance."""
        return float(self.mixture.min())

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """The same as a sparse matrix: for a linear solve, or to look at."""
        n_actions, n_moves = self.mixture.shape
        n_states = self.next_state.shape[1]
        states, actions, moves = np.meshgrid(
            np.arange(n_states), np.arange(n_actions), np.arange(n_moves), indexing="ij"
        )
        chances = self.mixture[actions, moves] * ~self.terminated[moves, states]
        where = chances != 0
        rows, columns = (states * n_actions + actions)[where], self.next_state[moves, states][where]
        return sparse.csr_array((chances[where], (rows, columns)), shape=(n_states * n_actions, n_states))

    @cached_property
    def _target(self) -> Int[np.ndarray, "M S"]:
        """next_state, but for moves that end the task: those lead to one more state, which is worth nothing."""
        n_states = self.next_state.shape[1]
        return np.where(self.terminated, n_states, self.next_state).astype(np.intp)

    @cached_property
    def _going_on(self) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
        """All states, those first from which something can follow; their targets in that order, with their rewards.

        In a maze the others are the walls and the goal, for which the best reward is all there is: it comes last.
        """
        ends = self.terminated.all(axis=0)
        order = np.argsort(ends, kind="stable")
        n_states, n_live = len(order), int((~ends).sum())
        place = np.empty(n_states + 1, dtype=np.intp)
        place[order], place[n_states] = np.arange(n_states), n_states
        cuts = np.split(order[:n_live], range(_BLOCK, n_live, _BLOCK))
        expected = self.mixture @ self.rewards
        blocks = [(place[self._target.take(cut, axis=1)], expected.take(cut, axis=1)) for cut in cuts]
        return order, blocks, expected[:, order[n_live:]].max(axis=0)


class TabularMDP:
    """A finite decision process: P(s′ | s, a), the expected reward r(s, a), and the chance that a step ends the task.

    Args:
        transitions: Probability that action a in state s goes on in s′: an array (S, A, S), a sparse matrix (S·A, S)
            whose row s·A + a belongs to that state and action, or a table of moves.
        rewards: Expected reward of each action in each state.
        terminations: Probability that the step ends the task; None where no step does.

    Raises:
        ValueError: Shapes do not fit, a probability is negative, a row with its termination does not sum to one, or a
            reward is not a number.
    """

    def __init__(
        self,
        transitions: Float[np.ndarray, "S A S"] | sparse.csr_array | Moves,
        rewards: Float[np.ndarray, "S A"],
        terminations: Float[np.ndarray, "S A"] | None = None,
    ):
        self.rewards = np.asarray(rewards, dtype=float)
        if self.rewards.ndim != 2 or self.rewards.size == 0:
            raise ValueError(
                f"rewards must have one row for each state, one column for each action, got {self.rewards.shape}"
            )
        if not np.isfinite(self.rewards).all():
            s, a = np.argwhere(~np.isfinite(self.rewards))[0]
            raise ValueError(f"rewards[{s}, {a}] must be a number, got {self.rewards[s, a]}")
        self.n_states, self.n_actions = self.rewards.shape
        self.terminations = (
            np.zeros(self.rewards.shape) if terminations is None else np.asarray(terminations, dtype=float)
        )
        self._transitions = _stored(transitions, self.n_states, self.n_actions)
        self._check()

    @classmethod
    def from_gymnasium(cls, env: gym.Env) -> "TabularMDP":
        """The model that an environment carries in its attribute P, as Gymnasium's toy-text ones and the mazes do.

        Raises:
            ValueError: The environment has no such attribute.
        """
        outcomes = getattr(env.unwrapped, "P", None)
        if outcomes is None:
            raise ValueError(
                f"env must carry its model in env.unwrapped.P, which {env.unwrapped} does not; learn from samples"
            )
        return cls.from_outcomes(outcomes)

    @classmethod
    def from_outcomes(cls, outcomes: Sequence | Mapping[int, Any]) -> "TabularMDP":
        """Read outcomes[s][a], lists of (probability, next state, reward, terminated).

        Outcomes that lead to the same state add up. The next state of an outcome that ends the task is not used.
        """
        n_states, n_actions = len(outcomes), len(outcomes[0])
        rewards, terminations = np.zeros((2, n_states, n_actions))
        rows, columns, probabilities = [], [], []
        for s in range(n_states):
            if len(outcomes[s]) != n_actions:
                raise ValueError(
                    f"outcomes[{s}] must have {n_actions} actions as outcomes[0] has, got {len(outcomes[s])}"
                )
            for a in range(n_actions):
                for probability, next_state, reward, terminated in outcomes[s][a]:
                    rewards[s, a] += probability * reward
                    if terminated:
                        terminations[s, a] += probability
                    else:
                        rows.append(s * n_actions + a)
                        columns.append(next_state)
                        probabilities.append(probability)
        shape = (n_states * n_actions, n_states)
        matrix = sparse.csr_array((np.array(probabilities, dtype=float), (rows, columns)), shape=shape)
        if n_states * n_actions * n_states <= DENSE_ENTRIES:
            return cls(matrix.toarray().reshape(n_states, n_actions, n_states), rewards, terminations)
        return cls(matrix, rewards, terminations)

    @classmethod
    def from_moves(
        cls,
        next_state: Int[np.ndarray, "M S"],
        rewards: Num[np.ndarray, "M S"],
        terminated: Bool[np.ndarray, "M S"],
        mixture: Float[np.ndarray, "A M"],
    ) -> "TabularMDP":
        """A process whose every action is one of a few moves, drawn with chances that are the same in all states.

            P(s′ | s, a) = Σ_m mixture[a, m] over the moves m with next_state[m, s] = s′

        Args:
            next_state: Where each move leads from each state.
            rewards: What it pays there.
            terminated: Whether it ends the task there.
            mixture: Chance of each move under each action; rows sum to one.
        """
        moves = Moves(next_state, rewards, terminated, np.asarray(mixture, dtype=float))
        n_actions, n_states = len(moves.mixture), moves.next_state.shape[1]
        if moves.next_state.min() < 0 or moves.next_state.max() >= n_states:
            raise ValueError(f"next_state must name states from 0 to {n_states - 1}, got {moves.next_state.max()}")
        if moves.mixture.min() < 0:
            raise ValueError(f"mixture must hold probabilities, got {moves.mixture.min():.6g}")
        expected, terminations = (moves.mixture @ rewards).T, (moves.mixture @ terminated).T
        if n_states * n_actions * n_states <= DENSE_ENTRIES:
            return cls(moves.matrix.toarray().reshape(n_states, n_actions, n_states), expected, terminations)
        return cls(moves, expected, terminations)

    @property
    def transitions(self) -> Float[np.ndarray, "S A S"] | sparse.csr_array:
        """P(s′ | s, a) of going on: an array (S, A, S) where it is stored as one, else a sparse matrix (S·A, S)."""
        matrix = self._transitions.matrix
        return matrix if sparse.issparse(matrix) else matrix.reshape(self.n_states, self.n_actions, self.n_states)

    def expected_next(self, values: Float[np.ndarray, " S"]) -> Float[np.ndarray, "S A"]:
        """The mean value of where an action leads: Σ_s′ P(s′ | s, a)·V(s′), nothing for a step that ends the task."""
        return self._transitions.expected_next(values)

    def q_values(self, values: Float[np.ndarray, " S"], *, discount: float) -> Float[np.ndarray, "S A"]:
        """What each action is worth when the states it leads to are worth `values`.

            Q(s, a) = r(s, a) + γ·Σ_s′ P(s′ | s, a)·V(s′)

        Args:
            values: V, one number for each state.
            discount: γ, the worth now of one unit of reward one step later, in [0, 1].
        """
        return self.rewards + discount * self.expected_next(values)

    def best_values(
        self, values: Float[np.ndarray, " S"], *, discount: float, times: int = 1
    ) -> Float[np.ndarray, " S"]:
        """What each state is worth when the best action is taken and the states it leads to are worth `values`.

            V′(s) = maxₐ [r(s, a) + γ·Σ_s′ P(s′ | s, a)·V(s′)]

        The Bellman optimality operator: one sweep of value iteration.

        Args:
            values: V, one number for each state.
            discount: γ, in [0, 1].
            times: How many sweeps to make, each from the values of the last.
        """
        if isinstance(self._transitions, Moves):
            return self._transitions.best_values(values, discount, times)
        for _ in range(times):
            values = self.q_values(values, discount=discount).max(axis=1)
        return values

    def under(self, policy: Num[np.ndarray, "..."]) -> MarkovRewardProcess:
        """The process that a policy leaves: P_π(s′ | s) = Σ_a π(a | s)·P(s′ | s, a) and r_π(s) = Σ_a π(a | s)·r(s, a).

        Args:
            policy: One action for each state (S,), or the probability of each action (S, A).
        """
        probabilities = as_probabilities(policy, self.n_states, self.n_actions)
        states = np.repeat(np.arange(self.n_states), self.n_actions)
        pairs = np.arange(self.n_states * self.n_actions)
        chosen = sparse.csr_array((probabilities.ravel(), (states, pairs)), shape=(self.n_states, pairs.size))
        return MarkovRewardProcess(chosen @ self._transitions.matrix, (probabilities * self.rewards).sum(axis=1))

    def _check(self) -> None:
        """Refuse what is no probability."""
        if self.terminations.shape != self.rewards.shape:
            shapes = f"{self.rewards.shape}, got {self.terminations.shape}"
            raise ValueError(f"terminations must have the shape of rewards, {shapes}")
        going_on = self._transitions.probability_of_going_on()
        lowest = min(self._transitions.lowest(), self.terminations.min())
        if lowest < 0:
            raise ValueError(f"transitions and terminations must hold probabilities, got {lowest:.6g}")
        totals = going_on + self.terminations
        wrong = ~(np.abs(totals - 1) <= _ROUNDING)  # written so that NaN is wrong
        if wrong.any():
            s, a = np.argwhere(wrong)[0]
            what = f"transitions[{s}, {a}] with its termination"
            raise ValueError(f"{what} must sum to one, got {totals[s, a]:.6g} for action {a} in state {s}")


def as_probabilities(policy: Num[np.ndarray, "..."], n_states: int, n_actions: int) -> Float[np.ndarray, "S A"]:
    """A policy as the probability of each action in each state, whichever of its two forms it has.

    Raises:
        ValueError: It has neither form, names an action that is not there, or its probabilities do not sum to one.
    """
    policy = np.asarray(policy)
    if policy.shape == (n_states,) and np.issubdtype(policy.dtype, np.integer):
        if policy.min() < 0 or policy.max() >= n_actions:
            s = int(np.argmax((policy < 0) | (policy >= n_actions)))
            raise ValueError(f"policy[{s}] must be an action from 0 to {n_actions - 1}, got {policy[s]}")
        return np.eye(n_actions)[policy]
    if policy.shape != (n_states, n_actions):
        raise ValueError(
            f"policy must be one whole number for each of {n_states} states, or probabilities of shape "
            f"({n_states}, {n_actions}); got shape {policy.shape} of {policy.dtype}"
        )
    wrong = (np.abs(policy.sum(axis=1) - 1) > _ROUNDING) | (policy.min(axis=1) < 0)
    if wrong.any():
        s = int(np.argmax(wrong))
        raise ValueError(f"policy[{s}] must hold probabilities that sum to one, got {policy[s]}")
    return policy.astype(float)


def _stored(transitions: object, n_states: int, n_actions: int) -> _Matrix | Moves:
    """The form of storage that the transitions came in, their shape checked."""
    if isinstance(transitions, Moves):
        return transitions
    if sparse.issparse(transitions):
        want: tuple[int, ...] = (n_states * n_actions, n_states)
        matrix = sparse.csr_array(transitions)
    else:
        want = (n_states, n_actions, n_states)
        matrix = np.asarray(transitions, dtype=float)
    if matrix.shape != want:
        raise ValueError(f"transitions must have shape {want} as rewards say, got {matrix.shape}")
    return _Matrix(matrix if sparse.issparse(matrix) else matrix.reshape(-1, n_states))
