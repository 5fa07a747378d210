"""Replay: a memory of steps from which batches are drawn.

The memory is a ring of arrays: when it is full, the newest step takes the place of the oldest. There is no Python
object for a step, so a batch of 128 costs little more than a batch of one. Each step remembers in which row the next
step of its episode stands; so the rewards of several steps can be summed when a batch is drawn, though the steps of
many environments lie mixed in the ring.

Left out: frames that share memory (what a step reached is stored again as the next observation), a memory on disk.

Source: Lin (1992) for experience replay; Schaul et al. (2016) for priorities.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from mazelm.policy.rollout import Step
from mazelm.policy.sum_tree import SumTree

_ALL = slice(None)
_NONE = -1  # no row: nothing of the episode is stored after this step


class Batch(NamedTuple):
    """Steps drawn from a memory; with n > 1 each of them is n steps in one."""

    rows: Int[np.ndarray, " N"]  # where they stand in the memory
    weights: Float[Tensor, " N"] | None  # how much each step counts in the loss; None: all the same
    obs: Float[Tensor, "N F"]
    actions: Num[Tensor, "N ..."]
    rewards: Float[Tensor, " N"]  # of one step, or the discounted sum of several
    next_obs: Float[Tensor, "N F"]  # what the last of these steps reached, before any reset
    terminated: Bool[Tensor, " N"]  # the last of these steps ended the task
    discounts: Float[Tensor, " N"]  # γᵏ for a sum of k rewards: what one unit of value of next_obs counts


class Replay:
    """A memory from which every step is drawn with the same chance.

    Args:
        capacity: How many steps it holds. A capacity of one batch is nearly no memory at all.
        n_features: F, the width of an observation's row.
        action_size: How many numbers one action has; None if actions are numbered.
        device: Where batches are brought.

    Raises:
        ValueError: capacity, n_features or action_size is less than 1.
    """

    def __init__(
        self, capacity: int, n_features: int, *, action_size: int | None = None, device: torch.device | str = "cpu"
    ):
        for name, value in (("capacity", capacity), ("n_features", n_features), ("action_size", action_size)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.capacity, self.device, self.added = capacity, torch.device(device), 0
        self.arrays = {
            "obs": np.zeros((capacity, n_features), np.float32),
            "actions": np.zeros(capacity, np.int64)
            if action_size is None
            else np.zeros((capacity, action_size), np.float32),
            "rewards": np.zeros(capacity, np.float32),
            "next_obs": np.zeros((capacity, n_features), np.float32),
            "terminated": np.zeros(capacity, bool),
        }
        self._following = np.full(capacity + 1, _NONE)  # the row of the next step in the episode; the last is for _NONE
        self._numbers = np.arange(capacity)  # of the rows
        self._last = np.full(0, _NONE)  # for each environment, the row of its last step if its episode goes on

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, step: Step) -> Int[np.ndarray, " M"]:
        """Store one step of each environment that made one; the rows where they stand now.

        Raises:
            ValueError: The memory is too small for so many environments, or their number has changed.
        """
        self._require_environments(len(step.mask))
        made = _ALL if step.mask.all() else step.mask
        place = self._next_rows(len(step.mask) if made is _ALL else int(step.mask.sum()))
        for name, array in self.arrays.items():
            array[place] = getattr(step, name)[made]
        rows = self._numbers[place]
        self._following[rows] = _NONE  # nothing follows a new step yet
        self._following[self._last[made]] = rows
        self._last[made] = np.where((step.terminated | step.truncated)[made], _NONE, rows)
        self.added += len(rows)
        return rows

    def break_off(self) -> None:
        """The episodes under way will not go on: what is added next begins new ones."""
        self._last[:] = _NONE

    def sample(self, batch_size: int, *, discount: float, n: int = 1, rng: np.random.Generator) -> Batch:
        """Steps drawn at random, with replacement.

            r = rₜ + γ·rₜ₊₁ + … + γᵏ⁻¹·rₜ₊ₖ₋₁

        k is n, or less where the episode, or what is stored of it, ends before.

        Args:
            batch_size: N.
            discount: γ, in [0, 1].
            n: How many rewards are summed at most.
            rng: Draws the rows.

        Raises:
            ValueError: The memory is empty, or an argument is out of range.
        """
        self._require(batch_size, discount, n)
        return self._batch(rng.integers(len(self), size=batch_size), None, discount, n)

    def state_dict(self) -> dict[str, Any]:
        """All that a run needs to go on after its episodes were broken off."""
        return {**self.arrays, "following": self._following, "added": self.added}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` gave."""
        for name, array in self.arrays.items():
            array[:] = state[name]
        self._following[:], self.added = state["following"], state["added"]
        self.break_off()

    def _require(self, batch_size: int, discount: float, n: int) -> None:
        if not self.added:
            raise ValueError("the replay memory is empty: there is nothing to draw. Try: add steps before sample()")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if not 0 <= discount <= 1:
            raise ValueError(f"discount must be in [0, 1], got {discount}")
        if n < 1:
            raise ValueError(f"n must be at least 1, got {n}")

    def _require_environments(self, n_envs: int) -> None:
        if not len(self._last):
            self._last = np.full(n_envs, _NONE)
        if len(self._last) != n_envs:
            raise ValueError(f"step has {n_envs} environments, and the steps before it had {len(self._last)}")
        if self.capacity < 2 * n_envs:
            raise ValueError(f"capacity={self.capacity} must hold two steps of each of the {n_envs} environments")

    def _next_rows(self, n_steps: int) -> slice | Int[np.ndarray, " M"]:
        """The rows that are written next; those of the oldest steps once the ring is full.

        What precedes a step is older, so it is overwritten first: no link leads to a step of another episode.
        """
        start = self.added % self.capacity
        if start + n_steps <= self.capacity:
            return slice(start, start + n_steps)  # written faster than a list of rows
        return (start + np.arange(n_steps)) % self.capacity

    def _batch(
        self, rows: Int[np.ndarray, " N"], weights: Float[Tensor, " N"] | None, discount: float, n: int
    ) -> Batch:
        last, rewards = rows, self.arrays["rewards"][rows]
        discounts = np.full(len(rows), discount, np.float32)
        for _ in range(n - 1):
            following = self._following[last]
            goes_on = following != _NONE
            last = np.where(goes_on, following, last)
            rewards = rewards + goes_on * discounts * self.arrays["rewards"][last]
            discounts = np.where(goes_on, discounts * np.float32(discount), discounts)
        obs, actions = (self.arrays[name].take(rows, axis=0) for name in ("obs", "actions"))  # faster than [rows]
        next_obs, terminated = (self.arrays[name].take(last, axis=0) for name in ("next_obs", "terminated"))
        drawn = (obs, actions, rewards, next_obs, terminated, discounts)
        return Batch(rows, weights, *(torch.from_numpy(array).to(self.device) for array in drawn))


class PrioritisedReplay(Replay):
    """A memory from which steps are drawn more often if their TD error was large when it was last looked at.

        P(i) = pᵢ^α / Σ_k p_k^α        with pᵢ = |δᵢ| + ε
        wᵢ = (N·P(i))^−β / max_j wⱼ    over the steps of the batch

    A new step gets the largest priority so far, so that everything is looked at soon. Drawing large errors more often
    changes the mean that is minimised; the weights w take that back, wholly for β = 1.

    Args:
        capacity: As for `Replay`, and so on.
        n_features: F.
        priority_exponent: α. 0 draws all with the same chance.
        action_size: How many numbers one action has; None if actions are numbered.
        device: Where batches are brought.

    Attributes:
        importance_exponent: β, in [0, 1]. It may be set between draws; the paper lets it rise to 1.

    Source: Schaul et al. (2016), equation 1 and section 3.4.
    """

    def __init__(
        self,
        capacity: int,
        n_features: int,
        *,
        priority_exponent: float,
        action_size: int | None = None,
        device: torch.device | str = "cpu",
    ):
        super().__init__(capacity, n_features, action_size=action_size, device=device)
        if not priority_exponent >= 0:
            raise ValueError(f"priority_exponent must not be negative, got {priority_exponent}")
        self.priority_exponent, self.importance_exponent = priority_exponent, 0.4
        self.tree, self._largest = SumTree(capacity), 1.0

    def add(self, step: Step) -> Int[np.ndarray, " M"]:
        """As for `Replay`; the new steps get the largest priority so far."""
        rows = super().add(step)
        self.tree.set(rows, np.full(len(rows), self._largest**self.priority_exponent))
        return rows

    def sample(self, batch_size: int, *, discount: float, n: int = 1, rng: np.random.Generator) -> Batch:
        """Steps drawn by their priorities, one from each of N equal stretches. Arguments as for `Replay`."""
        self._require(batch_size, discount, n)
        marks = (np.arange(batch_size) + rng.random(batch_size)) * (self.tree.total / batch_size)
        rows = self.tree.find(marks)
        weights = (len(self) * self.tree[rows] / self.tree.total) ** -self.importance_exponent
        as_tensor = torch.from_numpy((weights / weights.max()).astype(np.float32)).to(self.device)
        return self._batch(rows, as_tensor, discount, n)

    def update(self, rows: Int[np.ndarray, " N"], td_errors: Float[np.ndarray, " N"]) -> None:
        """Note the TD errors of a batch; they are the priorities from now on.

        Args:
            rows: Of the batch.
            td_errors: δ of each step, of either sign.
        """
        priorities = np.abs(td_errors) + 1e-6  # ε: only guards δ = 0, a step that would never be drawn again
        self._largest = max(self._largest, float(priorities.max()))
        self.tree.set(rows, priorities**self.priority_exponent)

    def state_dict(self) -> dict[str, Any]:
        """As for `Replay`, with the priorities."""
        return {**super().state_dict(), "sums": self.tree.sums, "largest": self._largest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` gave."""
        super().load_state_dict(state)
        self.tree.sums[:], self._largest = state["sums"], state["largest"]
