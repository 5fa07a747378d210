"""Random rollouts with both kinds of ending, and returns and advantages written down slowly."""

from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor


class Ends(NamedTuple):
    """What the functions of `returns.py` take, in their order but for `values`."""

    rewards: Tensor
    next_values: Tensor
    terminated: Tensor
    truncated: Tensor


class Case(NamedTuple):
    """A random rollout: inside an episode the value of what a step reached is that of the next step's state."""

    ends: Ends
    values: Tensor

    @property
    def for_gae(self) -> tuple[Tensor, ...]:
        rewards, next_values, terminated, truncated = self.ends
        return rewards, self.values, next_values, terminated, truncated


def random_rollout(
    seed: int, n_steps: int, n_envs: int, *, ending: float = 0.25, dtype: torch.dtype = torch.float64
) -> Case:
    """Endings of both kinds at random, also both at once, as a time limit in the very last step gives them."""
    rng = np.random.default_rng(seed)
    shape = n_steps, n_envs
    rewards, values, elsewhere = (torch.from_numpy(rng.normal(size=shape)).to(dtype) for _ in range(3))
    terminated, truncated = (torch.from_numpy(rng.random(shape) < ending) for _ in range(2))
    next_values = elsewhere.clone()
    inside = ~(terminated | truncated)[:-1]
    next_values[:-1][inside] = values[1:][inside]
    return Case(Ends(rewards, next_values, terminated, truncated), values)


cases = st.builds(random_rollout, st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 4))
discounts = st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0])
decays = st.sampled_from([0.0, 0.3, 0.95, 1.0])


def record_length(ends: Ends, t: int, b: int) -> int:
    """How many steps of the episode are recorded from step t on."""
    k = 1
    while not (ends.terminated[t + k - 1, b] or ends.truncated[t + k - 1, b]) and t + k < len(ends.rewards):
        k += 1
    return k


def slow_n_step(ends: Ends, t: int, b: int, *, n: int, discount: float) -> float:
    """Reward by reward; then the value of where the record stands, unless the task is over."""
    k = min(n, record_length(ends, t, b))
    total = sum(discount**i * float(ends.rewards[t + i, b]) for i in range(k))
    last = t + k - 1
    return total if ends.terminated[last, b] else total + discount**k * float(ends.next_values[last, b])


def slow_lambda(ends: Ends, t: int, b: int, *, discount: float, decay: float) -> float:
    """The mean of all n-step returns with weights (1 − λ)·λⁿ⁻¹; what is left of the weight goes to the longest."""
    longest = record_length(ends, t, b)
    returns = [slow_n_step(ends, t, b, n=n, discount=discount) for n in range(1, longest + 1)]
    weights = [(1 - decay) * decay ** (n - 1) for n in range(1, longest)] + [decay ** (longest - 1)]
    return sum(weight * value for weight, value in zip(weights, returns, strict=True))


def slow_gae(case: Case, t: int, b: int, *, discount: float, decay: float) -> float:
    """The TD errors that follow in the episode, each fading by γλ for every step that it is away."""
    rewards, next_values, terminated, _ = case.ends
    total = 0.0
    for i in range(record_length(case.ends, t, b)):
        future = 0.0 if terminated[t + i, b] else float(next_values[t + i, b])
        total += (discount * decay) ** i * (float(rewards[t + i, b]) + discount * future - float(case.values[t + i, b]))
    return total


def everywhere(slow, case: Case | Ends, **settings) -> Tensor:
    """A slow function at every step of every environment."""
    shape = (case if isinstance(case, Ends) else case.ends).rewards.shape
    return torch.tensor(
        [[slow(case, t, b, **settings) for b in range(shape[1])] for t in range(shape[0])], dtype=torch.float64
    )
