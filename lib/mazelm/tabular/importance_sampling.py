"""Learn about one policy from the episodes of another: importance sampling.

An episode of the behaviour policy b counts for the target policy π as many times as π would have made it more often.
That ratio is a product over the steps, in which the environment's own probabilities cancel. Sums of logarithms keep
long products from vanishing.

An episode that a time limit cut short is not over: what would have followed comes from `values`, an estimate for the
target policy, and without one it is refused.

Source: Sutton & Barto (2018), sections 5.5 and 5.9; Precup, Sutton & Singh (2000) for the per-decision estimate;
Kong (1992) for the effective sample size; Ionides (2008) for clipping.

Left out: control variates (doubly robust estimates) and ratios of state distributions, which long horizons ask for. The
loops that learn tables of action values this way are in `off_policy`.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from mazelm.tabular.episodes import Trajectory

_LARGEST_LOG = math.log(np.finfo(float).max)  # 709.78: the exponential of more is infinite in float64


def step_log_ratios(
    trajectory: Trajectory, target: Float[np.ndarray, "S A"], behaviour: Float[np.ndarray, "S A"]
) -> Float[np.ndarray, " T"]:
    """How much likelier the target policy is than the behaviour policy to take each action of an episode, in nats.

        log ρₜ = log π(aₜ | sₜ) − log b(aₜ | sₜ)

    It is −inf where the target never takes the action.

    Args:
        trajectory: An episode that the behaviour policy made.
        target: π(a | s), the policy to learn about.
        behaviour: b(a | s), the policy that acted.

    Raises:
        ValueError: The policies differ in shape, or the behaviour policy cannot have taken an action that was taken.

    Source: Sutton & Barto (2018), equation 5.3, one factor of it.
    """
    if target.shape != behaviour.shape:
        raise ValueError(f"target must have the shape of behaviour, {behaviour.shape}, got {target.shape}")
    taken = behaviour[trajectory.states, trajectory.actions]
    if (taken <= 0).any():
        t = int(np.argmax(taken <= 0))
        raise ValueError(
            f"behaviour[{trajectory.states[t]}, {trajectory.actions[t]}] is {taken[t]}, but step {t} took that action: "
            "another policy made this episode"
        )
    with np.errstate(divide="ignore"):  # log 0 = −inf is the right answer
        return np.log(target[trajectory.states, trajectory.actions]) - np.log(taken)


def trajectory_log_ratios(
    trajectories: Sequence[Trajectory], target: Float[np.ndarray, "S A"], behaviour: Float[np.ndarray, "S A"]
) -> Float[np.ndarray, " N"]:
    """How much likelier the target policy is to make each whole episode, in nats: log ρ = Σₜ log ρₜ."""
    return np.array([step_log_ratios(one, target, behaviour).sum() for one in trajectories])


def trajectory_ratios(
    trajectories: Sequence[Trajectory], target: Float[np.ndarray, "S A"], behaviour: Float[np.ndarray, "S A"]
) -> Float[np.ndarray, " N"]:
    """How many times as likely the target policy is to make each whole episode.

        ρ = Πₜ π(aₜ | sₜ) / b(aₜ | sₜ)

    A ratio below e⁻⁷⁴⁵ is rounded to zero. For episodes that long, give `normalised_weights` the logarithms.

    Args:
        trajectories: Episodes that the behaviour policy made.
        target: π(a | s), the policy to learn about.
        behaviour: b(a | s), the policy that acted.

    Raises:
        ValueError: A ratio is too large for a float, or as for step_log_ratios.

    Source: Sutton & Barto (2018), equation 5.3.
    """
    return _exponential(trajectory_log_ratios(trajectories, target, behaviour))


def normalised_weights(log_ratios: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """The share of each episode in a weighted estimate, from the logarithms of the ratios.

        wᵢ = ρᵢ / Σⱼ ρⱼ,    computed as exp(log ρᵢ − m) / Σⱼ exp(log ρⱼ − m) with m the largest log ρ

    The largest term is exp(0) = 1, so the sum neither vanishes nor overflows, however long the episodes are.

    Raises:
        ValueError: Every ratio is zero.
    """
    largest = log_ratios.max()
    if largest == -math.inf:
        raise ValueError(
            f"log_ratios are −inf for all {len(log_ratios)} episodes: the target policy makes none of them"
        )
    weights = np.exp(log_ratios - largest)
    return weights / weights.sum()


def trajectory_returns(
    trajectories: Sequence[Trajectory], *, discount: float, values: Float[np.ndarray, " S"] | None = None
) -> Float[np.ndarray, " N"]:
    """The return of each episode from its first step: G₀ = Σₜ γᵗ·rₜ, and γᵀ·V(s_T) where a time limit cut it short.

    Args:
        trajectories: Episodes, of any lengths.
        discount: γ, the worth now of one unit of reward one step later.
        values: V of the target policy, an estimate. Read only at the last state of an episode that was cut short.

    Raises:
        ValueError: An episode was cut short and there are no values.
    """
    return np.array([one.returns(discount, bootstrap=_beyond(one, values))[0] for one in trajectories])


def per_decision_returns(
    trajectories: Sequence[Trajectory],
    target: Float[np.ndarray, "S A"],
    behaviour: Float[np.ndarray, "S A"],
    *,
    discount: float,
    values: Float[np.ndarray, " S"] | None = None,
) -> Float[np.ndarray, " N"]:
    """The return of each episode with every reward corrected for the actions up to it, and no later ones.

        Σₜ γᵗ·ρ₀·ρ₁·…·ρₜ·rₜ

    Its mean over episodes is the per-decision estimate, unbiased as the ordinary one is: the reward of a step depends
    on the actions up to that step, and the factors of later steps have mean 1. Its variance is lower as a rule, not by
    law. (Weighted versions exist; they are biased and consistent, and left out here.)

    Args:
        trajectories: Episodes that the behaviour policy made.
        target: π(a | s), the policy to learn about.
        behaviour: b(a | s), the policy that acted.
        discount: γ, the worth now of one unit of reward one step later.
        values: V of the target policy, read only at the last state of an episode that was cut short.

    Raises:
        ValueError: An episode was cut short and there are no values, or as for trajectory_ratios.

    Source: Precup, Sutton & Singh (2000); Sutton & Barto (2018), section 5.9.
    """
    totals = []
    for one in trajectories:
        ratios = _exponential(step_log_ratios(one, target, behaviour).cumsum())  # entry t: ρ₀·…·ρₜ
        powers = discount ** np.arange(len(ratios) + 1)
        beyond = powers[-1] * ratios[-1] * _beyond(one, values)
        totals.append((powers[:-1] * ratios * one.rewards).sum() + beyond)
    return np.array(totals)


def ordinary_estimate(returns: Float[np.ndarray, " N"], ratios: Float[np.ndarray, " N"]) -> float:
    """The value of the target policy, unbiased: the mean of the returns times their ratios.

        V = (1/N)·Σᵢ ρᵢ·Gᵢ

    Its variance can be infinite.

    Args:
        returns: Gᵢ, the return of each episode of the behaviour policy.
        ratios: ρᵢ of the whole episode.

    Raises:
        ValueError: There is no episode, the lengths differ, or a ratio is negative or not finite.

    Source: Sutton & Barto (2018), equation 5.5.
    """
    _check(returns, ratios)
    return float((ratios * returns).mean())


def weighted_estimate(returns: Float[np.ndarray, " N"], ratios: Float[np.ndarray, " N"]) -> float:
    """The value of the target policy as a weighted mean of the returns: biased, consistent, never outside them.

        V = Σᵢ ρᵢ·Gᵢ / Σᵢ ρᵢ

    A common factor of the ratios cancels, so normalised_weights do as well.

    Args:
        returns: Gᵢ, the return of each episode of the behaviour policy.
        ratios: ρᵢ of the whole episode.

    Raises:
        ValueError: Every ratio is zero, so that nothing is left to weigh; or as for ordinary_estimate.

    Source: Sutton & Barto (2018), equation 5.6.
    """
    _check(returns, ratios)
    return float((ratios * returns).sum() / _positive_sum(ratios))


def clipped_ratios(ratios: Float[np.ndarray, " N"], limit: float) -> Float[np.ndarray, " N"]:
    """Ratios that no longer exceed a limit: min(ρ, limit). Less variance, and a bias that grows as the limit falls.

    Args:
        ratios: ρ, of whole episodes or of single steps.
        limit: The largest ratio that is left alone, above 0.

    Source: Ionides (2008), where the limit grows with the number of samples.
    """
    if not limit > 0:
        raise ValueError(f"limit must be above 0, got {limit}")
    return np.minimum(ratios, limit)


def effective_sample_size(ratios: Float[np.ndarray, " N"]) -> float:
    """How many episodes of the target policy itself the weighted episodes are worth, roughly.

        ESS = (Σᵢ ρᵢ)² / Σᵢ ρᵢ²

    It is N when all ratios are equal, 1 when one of them has all the weight. It looks at the ratios only: rewards may
    make an estimate better or worse, and a rare large ratio that has not been drawn yet is not seen.

    Args:
        ratios: ρᵢ of each episode, or normalised weights.

    Raises:
        ValueError: Every ratio is zero, or as for ordinary_estimate.

    Source: Kong (1992).
    """
    _check(ratios, ratios)
    shares = ratios / _positive_sum(ratios)
    return float(1 / (shares**2).sum())


def _exponential(log_ratios: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """exp, which rounds to zero far below but must not overflow above."""
    if log_ratios.max(initial=0.0) > _LARGEST_LOG:
        raise ValueError(
            f"trajectories have a ratio of e**{log_ratios.max():.0f}, too large for a float: use logarithms"
        )
    return np.exp(log_ratios)


def _beyond(trajectory: Trajectory, values: Float[np.ndarray, " S"] | None) -> float:
    """What is expected to follow the last state: nothing after the end of the task, an estimate after a cut."""
    if trajectory.terminated:
        return 0.0
    if values is None:
        raise ValueError(
            f"values must be given: a time limit cut an episode short at state {trajectory.last_state}, and the return "
            "lacks what would have followed"
        )
    return float(values[trajectory.last_state])


def _check(returns: Float[np.ndarray, " N"], ratios: Float[np.ndarray, " M"]) -> None:
    if len(returns) != len(ratios) or len(ratios) == 0:
        raise ValueError(f"returns and ratios must have one entry per episode, got {len(returns)} and {len(ratios)}")
    if (wrong := ratios[~((ratios >= 0) & (ratios < math.inf))]).size:
        raise ValueError(f"ratios must be finite and never negative, got {wrong[0]}")


def _positive_sum(ratios: Float[np.ndarray, " N"]) -> float:
    total = float(ratios.sum())
    if total == 0:
        raise ValueError(f"ratios are zero for all {len(ratios)} episodes: the target policy makes none of them")
    return total
