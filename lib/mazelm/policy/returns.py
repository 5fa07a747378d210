"""Returns and advantages of rollouts in which episodes end, are cut off, and begin again.

All functions take the same arrays of T steps in B environments. Two kinds of ending are told apart: after a step that
ended the task (`terminated`) nothing follows; after one that was the last to be recorded (`truncated`, or the end of
the rollout) something would have, and `next_values` stands for it.

Every one of them is one backward pass. Left out: corrections for another sampling policy, such as V-trace.

Source: Sutton & Barto (2018), chapters 7 and 12; Schulman et al. (2016).
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def discounted_returns(
    rewards: Float[Tensor, "T B"],
    next_values: Float[Tensor, "T B"],
    terminated: Bool[Tensor, "T B"],
    truncated: Bool[Tensor, "T B"],
    *,
    discount: float,
) -> Float[Tensor, "T B"]:
    """What follows each action: rewards as far as they were recorded, then the value of where the record ends.

        Gₜ = rₜ + γ·Gₜ₊₁,    and Gₜ = rₜ + γ·V(sₜ₊₁) at the last step of a record, Gₜ = rₜ at the end of the task

    Args:
        rewards: Reward for step t, paid after acting in sₜ.
        next_values: V of the state that step t reached, before any reset. Used where the record ends, and only there;
            zeros make it the sum of the recorded rewards.
        terminated: Step t ended the task.
        truncated: Step t was the last one recorded of its episode, but the task went on.
        discount: γ, in [0, 1].

    Source: Sutton & Barto (2018), equation 3.9; Pardo et al. (2018) for the time limit.
    """
    return lambda_returns(rewards, next_values, terminated, truncated, discount=discount, trace_decay=1.0)


def n_step_returns(
    rewards: Float[Tensor, "T B"],
    next_values: Float[Tensor, "T B"],
    terminated: Bool[Tensor, "T B"],
    truncated: Bool[Tensor, "T B"],
    *,
    discount: float,
    n: int,
) -> Float[Tensor, "T B"]:
    """The rewards of n steps, then the value of the state that is reached.

        Gₜ = rₜ + γ·rₜ₊₁ + … + γⁿ⁻¹·rₜ₊ₙ₋₁ + γⁿ·V(sₜ₊ₙ)

    The sum stops earlier where an episode or the rollout ends, and bootstraps there unless the task was over.

    Args:
        rewards: Reward for step t, paid after acting in sₜ.
        next_values: V of the state that step t reached, before any reset.
        terminated: Step t ended the task.
        truncated: Step t was the last one recorded of its episode, but the task went on.
        discount: γ, in [0, 1].
        n: The number of rewards, at least 1.

    Source: Sutton & Barto (2018), equation 7.1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    _require_discount(discount)
    goes_on = ~(terminated | truncated)
    returns = one_step = rewards + discount * next_values * ~terminated
    for _ in range(n - 1):  # each pass puts one more reward in front: Gₜ(k) = rₜ + γ·Gₜ₊₁(k − 1)
        longer = one_step.clone()  # the last step of the rollout has nobody behind it
        longer[:-1] = torch.where(goes_on[:-1], rewards[:-1] + discount * returns[1:], one_step[:-1])
        returns = longer
    return returns


def lambda_returns(
    rewards: Float[Tensor, "T B"],
    next_values: Float[Tensor, "T B"],
    terminated: Bool[Tensor, "T B"],
    truncated: Bool[Tensor, "T B"],
    *,
    discount: float,
    trace_decay: float,
) -> Float[Tensor, "T B"]:
    """The n-step returns of all n in one, each longer one weighing λ times as much as the one before.

        Gₜ = rₜ + γ·[(1 − λ)·V(sₜ₊₁) + λ·Gₜ₊₁]

    Args:
        rewards: Reward for step t, paid after acting in sₜ.
        next_values: V of the state that step t reached, before any reset.
        terminated: Step t ended the task.
        truncated: Step t was the last one recorded of its episode, but the task went on.
        discount: γ, in [0, 1].
        trace_decay: λ, in [0, 1]. 0 is the one-step return; 1 bootstraps only where the record ends.

    Source: Sutton & Barto (2018), section 12.1.
    """
    _require_discount(discount)
    if not 0 <= trace_decay <= 1:
        raise ValueError(f"trace_decay must be in [0, 1], got {trace_decay}")
    decay = discount * trace_decay * (~(terminated | truncated)).to(rewards.dtype)  # else γλ is rounded to float32
    bootstrapped = rewards + discount * next_values * ~terminated - decay * next_values
    decay[-1], bootstrapped[-1] = 0.0, (rewards + discount * next_values * ~terminated)[-1]
    return _summed_backwards(bootstrapped, decay)


def gae(
    rewards: Float[Tensor, "T B"],
    values: Float[Tensor, "T B"],
    next_values: Float[Tensor, "T B"],
    terminated: Bool[Tensor, "T B"],
    truncated: Bool[Tensor, "T B"],
    *,
    discount: float,
    gae_lambda: float,
) -> Float[Tensor, "T B"]:
    """Advantage of each action: a decaying sum of the TD errors that follow it.

        δₜ = rₜ + γ·V(sₜ₊₁) − V(sₜ)
        Aₜ = δₜ + γλ·Aₜ₊₁

    Args:
        rewards: Reward for step t, paid after acting in sₜ.
        values: V(sₜ).
        next_values: V of the state that step t reached, before any reset. At an episode's last step this is not
            values[t + 1], which belongs to the next episode.
        terminated: Step t ended the task: nothing to bootstrap from.
        truncated: Step t was the last one recorded, but the task went on: bootstrap.
        discount: γ, the worth now of one unit of reward one step later.
        gae_lambda: λ. 0 trusts the critic (low variance); 1 trusts the rewards (no bias but that of a cut).

    Source: Schulman et al. (2016), section 3.
    """
    _require_discount(discount)
    if not 0 <= gae_lambda <= 1:
        raise ValueError(f"gae_lambda must be in [0, 1], got {gae_lambda}")
    td_errors = rewards + discount * next_values * ~terminated - values
    same_episode = ~(terminated | truncated)  # the sum over steps stops at a reset
    return _summed_backwards(td_errors, discount * gae_lambda * same_episode.to(td_errors.dtype))


def _summed_backwards(terms: Float[Tensor, "T B"], decay: Float[Tensor, "T B"]) -> Float[Tensor, "T B"]:
    """xₜ = termsₜ + decayₜ·xₜ₊₁, from the last step to the first; nothing follows the last one."""
    sums, following = torch.empty_like(terms), torch.zeros_like(terms[0])
    for t in reversed(range(len(terms))):
        following = torch.addcmul(terms[t], decay[t], following)
        sums[t] = following
    return sums


def _require_discount(discount: float) -> None:
    if not 0 <= discount <= 1:
        raise ValueError(f"discount must be in [0, 1], got {discount}")
