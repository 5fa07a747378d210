"""Temporal-difference learning: improve a guess by the next guess, one step at a time.

An update is a function of one transition, and a loop plays episodes and calls it. All of them move one entry by the TD
error: the reward plus the discounted guess of what follows, minus the guess that stood there. They differ in what they
take for the guess of what follows. After a step that ended the task it is 0. After a step that was only the last one
before a time limit it is not: the task goes on without us, and the guess of the state reached stands for it.

A table is a list of rows of Python floats, not an array: a step touches one entry and the few beside it, and NumPy
takes longer to find four numbers than Python to compare them. `zeros` makes a table, `np.array(q)` turns one into an
array. Rows may differ in length, where states differ in their number of actions.

Source: Sutton & Barto (2018), chapter 6.

Left out: step sizes that fall during a run (call a loop again with a smaller one: the table stays), several agents that
share a table, and what a table cannot hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from jaxtyping import Num

from mazelm.tabular.episodes import Episode, Transition, count, follower, reset_seeds, uniforms

Table = list[list[float]]  # one row for each state, in it one value for each action


@dataclass(frozen=True, kw_only=True)
class TDConfig:
    """What a run of prediction may vary."""

    episodes: int = 500
    step_size: float = 0.1  # α
    discount: float = 0.99  # γ

    def __post_init__(self):
        if self.episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {self.episodes}")
        if not 0 < self.step_size <= 1:
            raise ValueError(f"step_size must be in (0, 1], got {self.step_size}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must be in [0, 1], got {self.discount}")


@dataclass(frozen=True, kw_only=True)
class TDControlConfig(TDConfig):
    """What a run of Sarsa, Q-learning or Double Q-learning may vary."""

    epsilon: float = 0.1  # ε, chance of an action drawn without looking at the values

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon must be in [0, 1], got {self.epsilon}")


@dataclass(frozen=True, kw_only=True)
class ExpectedSarsaConfig(TDControlConfig):
    """What a run of Expected Sarsa may vary."""

    target_epsilon: float | None = None  # ε of the policy that is learned about; None: of the one that acts

    def __post_init__(self):
        super().__post_init__()
        if self.target_epsilon is not None and not 0 <= self.target_epsilon <= 1:
            raise ValueError(f"target_epsilon must be in [0, 1] or None, got {self.target_epsilon}")


def zeros(n_states: int, n_actions: int) -> Table:
    """A table in which nothing is known yet."""
    return [[0.0] * n_actions for _ in range(n_states)]  # `[row] * n_states` would be one row under many names


def td_update(values: list[float], step: Transition, *, step_size: float, discount: float) -> float:
    """Move V(s) toward the reward plus what the next state is believed to be worth, in place; return the TD error.

        δ = r + γ·V(s′) − V(s)        with V(s′) = 0 where the step ended the task
        V(s) ← V(s) + α·δ

    Args:
        values: V, one number for each state.
        step: What happened.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].

    Source: Sutton (1988); Sutton & Barto (2018), equation 6.2.
    """
    future = 0.0 if step.terminated else values[step.next_state]
    td_error = step.reward + discount * future - values[step.state]
    values[step.state] += step_size * td_error
    return td_error


def sarsa_update(q: Table, step: Transition, next_action: int, *, step_size: float, discount: float) -> float:
    """Move Q(s, a) toward the reward plus the value of the action that is taken next, in place; return the TD error.

        δ = r + γ·Q(s′, a′) − Q(s, a)
        Q(s, a) ← Q(s, a) + α·δ

    Args:
        q: The table.
        step: s, a, r and s′.
        next_action: a′. Not used where the step ended the task.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].

    Source: Rummery & Niranjan (1994); Sutton & Barto (2018), equation 6.7.
    """
    future = 0.0 if step.terminated else q[step.next_state][next_action]
    return _move(q, step, future, step_size, discount)


def expected_sarsa_update(q: Table, step: Transition, *, epsilon: float, step_size: float, discount: float) -> float:
    """Move Q(s, a) toward the reward plus the mean value of the next action, in place; return the TD error.

        δ = r + γ·Σₐ π(a | s′)·Q(s′, a) − Q(s, a)
        Q(s, a) ← Q(s, a) + α·δ

    With π ε-greedy the sum is ε·mean + (1 − ε)·max of the row. ε = 0 gives Q-learning.

    Args:
        q: The table.
        step: What happened.
        epsilon: ε of the policy π that is learned about.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].

    Source: van Seijen et al. (2009); Sutton & Barto (2018), equation 6.9.
    """
    future = 0.0
    if not step.terminated:
        row = q[step.next_state]
        future = epsilon * sum(row) / len(row) + (1 - epsilon) * max(row)
    return _move(q, step, future, step_size, discount)


def q_learning_update(q: Table, step: Transition, *, step_size: float, discount: float) -> float:
    """Move Q(s, a) toward the reward plus the best value of the next state, in place; return the TD error.

        δ = r + γ·maxₐ Q(s′, a) − Q(s, a)
        Q(s, a) ← Q(s, a) + α·δ

    Args:
        q: The table.
        step: What happened.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].

    Source: Watkins & Dayan (1992); Sutton & Barto (2018), equation 6.8.
    """
    future = 0.0 if step.terminated else max(q[step.next_state])
    return _move(q, step, future, step_size, discount)


def double_q_update(q: Table, judge: Table, step: Transition, *, step_size: float, discount: float) -> float:
    """Move Q(s, a): this table says which action is best next, the other one what it is worth; return the TD error.

        a* = argmaxₐ Q(s′, a)
        δ = r + γ·Q_judge(s′, a*) − Q(s, a)
        Q(s, a) ← Q(s, a) + α·δ

    Args:
        q: The table that is changed.
        judge: The other one, learned from other steps, which stays as it is.
        step: What happened.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].

    Source: van Hasselt (2010); Sutton & Barto (2018), equation 6.10.
    """
    future = 0.0
    if not step.terminated:
        row = q[step.next_state]
        future = judge[step.next_state][row.index(max(row))]
    return _move(q, step, future, step_size, discount)


def td_prediction(
    env: gym.Env, policy: Num[np.ndarray, "..."], values: list[float], config: TDConfig, *, rng: np.random.Generator
) -> Iterator[Episode]:
    """Estimate what a policy is worth: improve V in place while following it, yielding what each episode came to.

    Args:
        env: Numbered states and actions; a time limit if the policy may walk for ever.
        policy: One action for each state (S,), or the probability of each action (S, A).
        values: V, where to begin.
        config: Episodes, step size and discount.
        rng: Where chance comes from, also the environment's.

    Source: Sutton & Barto (2018), section 6.1, "Tabular TD(0)".
    """
    act = follower(policy, len(values), count(env.action_space), uniforms(rng).__next__)
    for seed in reset_seeds(config.episodes, rng):
        state, _ = env.reset(seed=seed)
        total, steps, terminated, truncated = 0.0, 0, False, False
        while not (terminated or truncated):
            action = act(state)
            next_state, reward, terminated, truncated, _ = env.step(action)
            step = Transition(state, action, float(reward), next_state, terminated)
            td_update(values, step, step_size=config.step_size, discount=config.discount)
            state, total, steps = next_state, total + step.reward, steps + 1
        yield Episode(total, steps, bool(terminated))


def sarsa(env: gym.Env, q: Table, config: TDControlConfig, *, rng: np.random.Generator) -> Iterator[Episode]:
    """Improve Q in place toward the value of the ε-greedy policy that acts, yielding what each episode came to.

    On-policy: a′ is drawn before the update, which uses it, and taken after.

    Source: Sutton & Barto (2018), section 6.4.
    """
    require_own_rows(q)
    draws = uniforms(rng)
    for seed in reset_seeds(config.episodes, rng):
        state, _ = env.reset(seed=seed)
        action = choose(q[state], config.epsilon, next(draws))
        total, steps, terminated, truncated = 0.0, 0, False, False
        while not (terminated or truncated):
            next_state, reward, terminated, truncated, _ = env.step(action)
            step = Transition(state, action, float(reward), next_state, terminated)
            next_action = choose(q[next_state], config.epsilon, next(draws))
            sarsa_update(q, step, next_action, step_size=config.step_size, discount=config.discount)
            state, action, total, steps = next_state, next_action, total + step.reward, steps + 1
        yield Episode(total, steps, bool(terminated))


def expected_sarsa(
    env: gym.Env, q: Table, config: ExpectedSarsaConfig, *, rng: np.random.Generator
) -> Iterator[Episode]:
    """Sarsa with the mean over next actions in place of the one that was drawn, yielding what each episode came to.

    On-policy, unless `config.target_epsilon` names another policy to learn about.

    Source: Sutton & Barto (2018), section 6.6.
    """
    require_own_rows(q)
    target = config.epsilon if config.target_epsilon is None else config.target_epsilon
    draws = uniforms(rng)
    for seed in reset_seeds(config.episodes, rng):
        state, _ = env.reset(seed=seed)
        total, steps, terminated, truncated = 0.0, 0, False, False
        while not (terminated or truncated):
            action = choose(q[state], config.epsilon, next(draws))
            next_state, reward, terminated, truncated, _ = env.step(action)
            step = Transition(state, action, float(reward), next_state, terminated)
            expected_sarsa_update(q, step, epsilon=target, step_size=config.step_size, discount=config.discount)
            state, total, steps = next_state, total + step.reward, steps + 1
        yield Episode(total, steps, bool(terminated))


def q_learning(env: gym.Env, q: Table, config: TDControlConfig, *, rng: np.random.Generator) -> Iterator[Episode]:
    """Improve Q in place toward the value of acting best, while acting ε-greedily, yielding what each episode came to.

    Off-policy. This loop is made for long runs, so `q_learning_update` and the choice of an action are written out in
    it, which about doubles its speed. `best` keeps the best value of each state, which only its own updates change.
    One uniform number decides whether to explore (it is below ε) and with which action (where below ε it is).

    Source: Sutton & Barto (2018), section 6.5.
    """
    require_own_rows(q)
    epsilon, step_size, discount = config.epsilon, config.step_size, config.discount
    draws, best = uniforms(rng), [max(row) for row in q]  # best[s] = maxₐ Q(s, a)
    for seed in reset_seeds(config.episodes, rng):
        state, _ = env.reset(seed=seed)
        total, steps = 0.0, 0
        for draw in draws:
            row = q[state]
            action = int(draw / epsilon * len(row)) if draw < epsilon else row.index(best[state])
            next_state, paid, terminated, truncated, _ = env.step(action)
            reward = float(paid)
            future = 0.0 if terminated else best[next_state]
            row[action] += step_size * (reward + discount * future - row[action])
            best[state] = max(row)
            state, total, steps = next_state, total + reward, steps + 1
            if terminated or truncated:
                break
        yield Episode(total, steps, bool(terminated))


def double_q_learning(
    env: gym.Env, q: tuple[Table, Table], config: TDControlConfig, *, rng: np.random.Generator
) -> Iterator[Episode]:
    """Improve two tables in place, one of them per step on the toss of a coin, yielding what each episode came to.

    It acts ε-greedily for the sum of the two.

    Source: Sutton & Barto (2018), section 6.7, "Double Q-learning".
    """
    require_own_rows(q[0] + q[1])
    draws = uniforms(rng)
    for seed in reset_seeds(config.episodes, rng):
        state, _ = env.reset(seed=seed)
        total, steps, terminated, truncated = 0.0, 0, False, False
        while not (terminated or truncated):
            both = [first + second for first, second in zip(q[0][state], q[1][state], strict=True)]
            action = choose(both, config.epsilon, next(draws))
            next_state, reward, terminated, truncated, _ = env.step(action)
            step = Transition(state, action, float(reward), next_state, terminated)
            changed, judge = q if next(draws) < 0.5 else q[::-1]
            double_q_update(changed, judge, step, step_size=config.step_size, discount=config.discount)
            state, total, steps = next_state, total + step.reward, steps + 1
        yield Episode(total, steps, bool(terminated))


def require_own_rows(rows: Table) -> None:
    """Refuse `[[0.0] * 4] * 25`: one row under many names, and an update of one state is one of all."""
    if len({id(row) for row in rows}) < len(rows):
        raise ValueError("q must have a row of its own for each state, got the same list more than once. Try: zeros()")


def _move(q: Table, step: Transition, future: float, step_size: float, discount: float) -> float:
    """The half that all updates of Q share."""
    td_error = step.reward + discount * future - q[step.state][step.action]
    q[step.state][step.action] += step_size * td_error
    return td_error


def choose(row: list[float], epsilon: float, draw: float) -> int:
    """The ε-greedy rule from one uniform number: below ε it also says which action, else the first of the best."""
    return int(draw / epsilon * len(row)) if draw < epsilon else row.index(max(row))
