"""TD(λ): a mean over all n-step returns, computed by looking ahead or, step by step, by remembering.

Forward view: the λ-return of a step mixes its n-step returns, each with λ times the weight of the one before. It needs
the rest of the episode. Backward view: every state keeps a trace, which is raised when the state is visited and fades
by γλ with each step; each TD error then goes to all states at once, to each in proportion to its trace.

A trace is an entry of a dictionary, for the states (or the pairs of a state and an action) that have one. It belongs to
one episode: each begins with an empty dictionary. What a time limit does to a target is settled in the TD error: after
a step that ended the task nothing follows, after a step that was only the last one recorded the guess of what follows
stays in.

Source: Sutton (1988); Singh & Sutton (1996) for replacing traces; van Seijen et al. (2016) for dutch ones;
Sutton & Barto (2018), chapter 12.

Left out: a λ or γ that changes from step to step, off-policy traces, and function approximation.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from jaxtyping import Float, Num

from mazelm.tabular.episodes import Episode, Trajectory, Transition, reset_seeds, transitions_of, uniforms, walks
from mazelm.tabular.td import Table, TDConfig, TDControlConfig, choose, require_own_rows

_FORGOTTEN = 1e-12  # a trace below this is dropped: what it would still pass on is lost in rounding


@dataclass(frozen=True, kw_only=True)
class TDLambdaConfig(TDConfig):
    """What a run of prediction with λ may vary."""

    trace_decay: float = 0.9  # λ
    replacing: bool = False  # what a second visit does to a trace: True sets it to 1, False adds 1

    def __post_init__(self):
        super().__post_init__()
        _require_decay(self.trace_decay)


@dataclass(frozen=True, kw_only=True)
class SarsaLambdaConfig(TDControlConfig):
    """What a run of Sarsa(λ) may vary."""

    trace_decay: float = 0.9  # λ
    replacing: bool = True

    def __post_init__(self):
        super().__post_init__()
        _require_decay(self.trace_decay)


def lambda_return(
    trajectory: Trajectory,
    values: Sequence[float] | Float[np.ndarray, " S"],
    *,
    discount: float,
    trace_decay: float,
) -> list[float]:
    """The λ-return of every step of an episode, computed backwards.

        Gₜ^λ = (1 − λ)·Σₙ λⁿ⁻¹·Gₜ:ₜ₊ₙ        the whole return takes all the weight that is left
              = rₜ + γ·[(1 − λ)·V(sₜ₊₁) + λ·Gₜ₊₁^λ]

    Args:
        trajectory: The episode. What follows its last state is 0 if the task ended, else the state's value.
        values: V, one number for each state; the same for all steps.
        discount: γ, in [0, 1].
        trace_decay: λ, in [0, 1]. 0 trusts the next guess, 1 the rewards alone.

    Source: Sutton & Barto (2018), equations 12.3 and 12.18.
    """
    _require_decay(trace_decay)
    guess = 0.0 if trajectory.terminated else float(values[trajectory.last_state])
    following, returns = guess, []
    for state, reward in zip(reversed(trajectory.states), reversed(trajectory.rewards), strict=True):
        following = reward + discount * ((1 - trace_decay) * guess + trace_decay * following)
        returns.append(following)
        guess = float(values[state])
    return returns[::-1]


def td_errors(
    trajectory: Trajectory, values: Sequence[float] | Float[np.ndarray, " S"], *, discount: float
) -> list[float]:
    """The TD error of every step of an episode, with the same values for all.

        δₜ = rₜ + γ·V(sₜ₊₁) − V(sₜ)        with V(sₜ₊₁) = 0 where the step ended the task

    Args:
        trajectory: The episode.
        values: V, one number for each state.
        discount: γ, in [0, 1].
    """
    errors = []
    for step in transitions_of(trajectory):
        future = 0.0 if step.terminated else float(values[step.next_state])
        errors.append(step.reward + discount * future - float(values[step.state]))
    return errors


def learn_lambda_return(values: list[float], trajectory: Trajectory, config: TDLambdaConfig) -> Episode:
    """Improve V in place from one whole episode: the offline λ-return algorithm.

        V(sₜ) ← V(sₜ) + α·(Gₜ^λ − V(sₜ)) for every step t in turn

    All targets are computed before the first update, from the values that the episode began with.

    Source: Sutton & Barto (2018), equation 12.4.
    """
    targets = lambda_return(trajectory, values, discount=config.discount, trace_decay=config.trace_decay)
    for state, target in zip(trajectory.states, targets, strict=True):
        values[state] += config.step_size * (target - values[state])
    return Episode(sum(trajectory.rewards), len(targets), trajectory.terminated)


def accumulate(traces: dict, visited: Hashable, *, fade: float) -> None:
    """Let all traces fade and add 1 to that of the visited state, in place.

        e(s) ← γλ·e(s) + [s is visited]

    Args:
        traces: e, for the states that have one.
        visited: The state, or the pair of a state and an action.
        fade: γλ, what is left of a trace after a step.

    Source: Sutton & Barto (2018), equation 12.5.
    """
    _fade(traces, fade)
    traces[visited] = traces.get(visited, 0.0) + 1.0


def replace(traces: dict, visited: Hashable, *, fade: float) -> None:
    """Let all traces fade and set that of the visited state to 1, in place.

        e(s) ← 1 if s is visited, else γλ·e(s)

    Args:
        traces: e, for the states that have one.
        visited: The state, or the pair of a state and an action.
        fade: γλ, what is left of a trace after a step.

    Source: Singh & Sutton (1996); Sutton & Barto (2018), equation 12.12.
    """
    _fade(traces, fade)
    traces[visited] = 1.0


def accumulate_dutch(traces: dict, visited: Hashable, *, fade: float, step_size: float) -> None:
    """Let all traces fade and move that of the visited state to a place between the other two, in place.

        e(s) ← (1 − α·[s is visited])·γλ·e(s) + [s is visited]

    Args:
        traces: e, for the states that have one.
        visited: The state.
        fade: γλ, what is left of a trace after a step.
        step_size: α. 0 would accumulate, 1 replaces.

    Source: van Seijen et al. (2016); Sutton & Barto (2018), equation 12.11, for a table.
    """
    _fade(traces, fade)
    traces[visited] = (1 - step_size) * traces.get(visited, 0.0) + 1.0


def td_lambda_update(
    values: list[float], traces: dict[int, float], step: Transition, *, step_size: float, discount: float
) -> float:
    """Move every state that has a trace by its share of the TD error, in place; return the TD error.

        δ = r + γ·V(s′) − V(s)        with V(s′) = 0 where the step ended the task
        V(x) ← V(x) + α·δ·e(x) for all x

    Args:
        values: V, one number for each state.
        traces: e, in which the visit of s counts already.
        step: What happened.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].

    Source: Sutton & Barto (2018), equations 12.6 and 12.7.
    """
    future = 0.0 if step.terminated else values[step.next_state]
    td_error = step.reward + discount * future - values[step.state]
    for state, trace in traces.items():
        values[state] += step_size * td_error * trace
    return td_error


def sarsa_lambda_update(
    q: Table,
    traces: dict[tuple[int, int], float],
    step: Transition,
    next_action: int,
    *,
    step_size: float,
    discount: float,
) -> float:
    """Move every pair that has a trace by its share of Sarsa's TD error, in place; return the TD error.

        δ = r + γ·Q(s′, a′) − Q(s, a)
        Q(x, b) ← Q(x, b) + α·δ·e(x, b) for all x and b

    Args:
        q: The table.
        traces: e, in which the visit of s, a counts already.
        step: s, a, r and s′.
        next_action: a′. Not used where the step ended the task.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].

    Source: Rummery & Niranjan (1994); Sutton & Barto (2018), section 12.7.
    """
    future = 0.0 if step.terminated else q[step.next_state][next_action]
    td_error = step.reward + discount * future - q[step.state][step.action]
    for (state, action), trace in traces.items():
        q[state][action] += step_size * td_error * trace
    return td_error


def learn_td_lambda(values: list[float], steps: Iterable[Transition], config: TDLambdaConfig) -> Episode:
    """Improve V in place from one episode, while it happens: the backward view."""
    mark, fade = replace if config.replacing else accumulate, config.discount * config.trace_decay
    traces: dict[int, float] = {}  # nothing of the last episode is left
    total, count = 0.0, 0
    for step in steps:
        mark(traces, step.state, fade=fade)
        td_lambda_update(values, traces, step, step_size=config.step_size, discount=config.discount)
        total, count = total + step.reward, count + 1
    return Episode(total, count, step.terminated)


def learn_true_online(values: list[float], steps: Iterable[Transition], config: TDLambdaConfig) -> Episode:
    """Improve V in place from one episode, by true online TD(λ).

        e(s) ← (1 − α)·γλ·e(s) + 1, the traces of other states fade
        V(x) ← V(x) + α·(δ + V(s) − V_old(s))·e(x) for all x
        V(s) ← V(s) − α·(V(s) − V_old(s)), with V(s) as it was before the line above

    V_old(s) is what s was worth when the step that led to it was judged. After every step the values are those that the
    λ-return algorithm would have, had it been run on the episode as far as it is known: exactly, not only on average.

    Source: van Seijen et al. (2016); Sutton & Barto (2018), section 12.5, for a table.
    """
    alpha, fade = config.step_size, config.discount * config.trace_decay
    traces: dict[int, float] = {}
    expected: float | None = None  # V_old(s)
    total, count = 0.0, 0
    for step in steps:
        accumulate_dutch(traces, step.state, fade=fade, step_size=alpha)
        shift = 0.0 if expected is None else values[step.state] - expected
        expected = 0.0 if step.terminated else values[step.next_state]
        td_error = step.reward + config.discount * expected - values[step.state]
        for state, trace in traces.items():
            values[state] += alpha * (td_error + shift) * trace
        values[step.state] -= alpha * shift
        total, count = total + step.reward, count + 1
    return Episode(total, count, step.terminated)


def lambda_return_prediction(
    env: gym.Env,
    policy: Num[np.ndarray, "..."],
    values: list[float],
    config: TDLambdaConfig,
    *,
    rng: np.random.Generator,
) -> Iterator[Episode]:
    """Estimate what a policy is worth by the forward view, at the end of each episode, yielding what it came to.

    Args:
        env: Numbered states and actions; a time limit if the policy may walk for ever.
        policy: One action for each state (S,), or the probability of each action (S, A).
        values: V, where to begin.
        config: Episodes, step size, discount and λ.
        rng: Where chance comes from, also the environment's.

    Source: Sutton & Barto (2018), section 12.1.
    """
    for steps in walks(env, policy, config.episodes, rng=rng):
        played = list(steps)
        states, actions, rewards, _, _ = map(list, zip(*played, strict=True))
        trajectory = Trajectory(states, actions, rewards, played[-1].next_state, played[-1].terminated)
        yield learn_lambda_return(values, trajectory, config)


def td_lambda(
    env: gym.Env,
    policy: Num[np.ndarray, "..."],
    values: list[float],
    config: TDLambdaConfig,
    *,
    rng: np.random.Generator,
) -> Iterator[Episode]:
    """Estimate what a policy is worth by the backward view, step by step, yielding what each episode came to.

    Args are those of `lambda_return_prediction`.

    Source: Sutton & Barto (2018), section 12.2, "Semi-gradient TD(λ)" for a table.
    """
    for steps in walks(env, policy, config.episodes, rng=rng):
        yield learn_td_lambda(values, steps, config)


def true_online_td_lambda(
    env: gym.Env,
    policy: Num[np.ndarray, "..."],
    values: list[float],
    config: TDLambdaConfig,
    *,
    rng: np.random.Generator,
) -> Iterator[Episode]:
    """Estimate what a policy is worth with dutch traces, step by step, yielding what each episode came to.

    Args are those of `lambda_return_prediction`; `config.replacing` has no meaning here.

    Source: Sutton & Barto (2018), section 12.5, "True online TD(λ)" for a table.
    """
    for steps in walks(env, policy, config.episodes, rng=rng):
        yield learn_true_online(values, steps, config)


def sarsa_lambda(env: gym.Env, q: Table, config: SarsaLambdaConfig, *, rng: np.random.Generator) -> Iterator[Episode]:
    """Improve Q in place toward the value of the ε-greedy policy that acts, yielding what each episode came to.

    Source: Sutton & Barto (2018), section 12.7, "Sarsa(λ)" for a table.
    """
    require_own_rows(q)
    mark, fade = replace if config.replacing else accumulate, config.discount * config.trace_decay
    draws = uniforms(rng)
    for seed in reset_seeds(config.episodes, rng):
        state, _ = env.reset(seed=seed)
        action = choose(q[state], config.epsilon, next(draws))
        traces: dict[tuple[int, int], float] = {}  # nothing of the last episode is left
        total, count, terminated, truncated = 0.0, 0, False, False
        while not (terminated or truncated):
            next_state, reward, terminated, truncated, _ = env.step(action)
            step = Transition(state, action, float(reward), next_state, terminated)
            next_action = choose(q[next_state], config.epsilon, next(draws))
            mark(traces, (state, action), fade=fade)
            sarsa_lambda_update(q, traces, step, next_action, step_size=config.step_size, discount=config.discount)
            state, action, total, count = next_state, next_action, total + step.reward, count + 1
        yield Episode(total, count, bool(terminated))


def _fade(traces: dict, fade: float) -> None:
    """Multiply all traces, and drop those that are too small to matter."""
    for key in [key for key, trace in traces.items() if fade * trace < _FORGOTTEN]:
        del traces[key]
    for key in traces:
        traces[key] *= fade


def _require_decay(trace_decay: float) -> None:
    if not 0 <= trace_decay <= 1:
        raise ValueError(f"trace_decay must be in [0, 1], got {trace_decay}")
