"""Dyna: act, remember what each action led to, and learn from the memory between two steps.

A real step is used twice: it improves the values, as in Q-learning, and it goes into a model. Then the agent makes
planning steps: it takes a pair of state and action out of the model, asks what happened there, and learns from that as
if it happened again. A model of what each pair led to *last* is exact in a world without chance that stays as it is.
Elsewhere it is not, and planning repeats what is wrong.

Tables are lists of Python floats, as in `tabular/td.py`: a planning step takes less than a microsecond.

Source: Sutton (1990); Sutton & Barto (2018), sections 8.2 and 8.3.

Left out: models of chance (`counted_model.py` has one), a better order of planning (`sweeping.py`), walks of several
steps through the model, and planning in a thread of its own while the agent acts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import gymnasium as gym
import numpy as np

from mazelm.tabular.episodes import Episode, Transition, count, reset_seeds, uniforms
from mazelm.tabular.td import Table, TDControlConfig, q_learning_update, require_own_rows

Pair = tuple[int, int]  # state and action


@dataclass(frozen=True, kw_only=True)
class DynaConfig(TDControlConfig):
    """What a run of Dyna-Q or Dyna-Q+ may vary."""

    planning_steps: int = 5  # n, updates from the model after each real step
    bonus: float = 0.0  # κ, what a pair that was not tried for one step seems to pay more; it grows as the square root

    def __post_init__(self):
        super().__post_init__()
        if self.planning_steps < 0:
            raise ValueError(f"planning_steps must not be negative, got {self.planning_steps}")
        if not self.bonus >= 0:
            raise ValueError(f"bonus must not be negative, got {self.bonus}")


class LastSeenModel:
    """What each action led to when it was last taken.

        Model(s, a) ← r, s′, terminated

    Args:
        n_actions: With a number, the actions of a visited state that were never taken count as known: they are thought
            to lead back to the state and to pay nothing. None: only what was seen is known.

    Attributes:
        steps: How many real steps have been observed.
        outcomes: By pair, the last transition.
        last_tried: By pair, at which real step, counted from 1, it was taken last; 0 for never.

    Source: Sutton & Barto (2018), section 8.2; for the actions never taken, a footnote of section 8.3.
    """

    def __init__(self, *, n_actions: int | None = None):
        self.n_actions, self.steps = n_actions, 0
        self.outcomes: dict[Pair, Transition] = {}
        self.last_tried: dict[Pair, int] = {}
        self._known: list[list[Pair]] = []  # for each visited state its known pairs
        self._row: dict[int, list[Pair]] = {}

    def observe(self, step: Transition) -> None:
        """Remember what a real step led to, in place of what was known of its pair."""
        pair = (step.state, step.action)
        self.steps += 1
        if step.state not in self._row:
            self._row[step.state] = []
            self._known.append(self._row[step.state])
            for action in range(self.n_actions or 0):
                self._add(Transition(step.state, action, 0.0, step.state, False))
        if pair not in self.outcomes:
            self._add(step)
        self.outcomes[pair], self.last_tried[pair] = step, self.steps

    def sample(self, draw: float) -> Transition:
        """A visited state, all equally likely, and one of its known actions, all equally likely; what it led to.

        Args:
            draw: A uniform number in [0, 1): which state, and what is left of it, which action.
        """
        place = draw * len(self._known)
        row = self._known[int(place)]
        return self.outcomes[row[int((place % 1) * len(row))]]

    def time_since(self, pair: Pair) -> int:
        """τ, how many real steps ago a pair was last taken."""
        return self.steps - self.last_tried[pair]

    def _add(self, step: Transition) -> None:
        pair = (step.state, step.action)
        self.outcomes[pair], self.last_tried[pair] = step, 0
        self._row[step.state].append(pair)


def planning_step(
    q: Table, model: LastSeenModel, draw: float, *, step_size: float, discount: float, bonus: float = 0.0
) -> float:
    """Learn from one remembered transition as if it happened now, in place; return the TD error.

        s drawn from the states seen, then a from the actions tried there;  r, s′ = Model(s, a)
        δ = r + κ·√τ(s, a) + γ·maxₐ′ Q(s′, a′) − Q(s, a)
        Q(s, a) ← Q(s, a) + α·δ

    Args:
        q: The table.
        model: Has seen a step at least.
        draw: A uniform number in [0, 1), which says which pair.
        step_size: α, in (0, 1].
        discount: γ, in [0, 1].
        bonus: κ. The reward that the model remembers is taken for larger, the longer the pair was not tried.

    Source: Sutton & Barto (2018), section 8.2, "Tabular Dyna-Q", line (f); section 8.3 for the bonus.
    """
    step = model.sample(draw)
    if bonus:
        waited = model.time_since((step.state, step.action))
        step = step._replace(reward=step.reward + bonus * sqrt(waited))
    return q_learning_update(q, step, step_size=step_size, discount=discount)


def dyna_q(
    env: gym.Env, q: Table, config: DynaConfig, *, rng: np.random.Generator, model: LastSeenModel | None = None
) -> Iterator[Episode]:
    """Q-learning with n planning steps after each real step; improves Q in place, yields what each episode came to.

    With a bonus it is Dyna-Q+. Where several actions look best, one of them is drawn: in a table of zeros the first
    walk is a random one.

    Args:
        env: Numbered states and actions. After a truncated step what follows is still bootstrapped.
        q: The table.
        config: Episodes, step size, discount, ε, planning steps and bonus.
        rng: Where chance comes from, also the environment's.
        model: What is known before; it goes on learning. None: nothing.

    Source: Sutton & Barto (2018), section 8.2, "Tabular Dyna-Q".
    """
    require_own_rows(q)
    count(env.observation_space)  # refuses what is not numbered
    n_actions = count(env.action_space)
    if model is None:
        model = LastSeenModel(n_actions=n_actions if config.bonus else None)
    draws, plans = uniforms(rng), uniforms(rng.spawn(1)[0])  # the walk's chance does not depend on n
    constants = {"step_size": config.step_size, "discount": config.discount}
    for seed in reset_seeds(config.episodes, rng):
        state, _ = env.reset(seed=seed)
        total, steps, terminated, truncated = 0.0, 0, False, False
        while not (terminated or truncated):
            action = choose_among_best(q[state], config.epsilon, next(draws), next(draws))
            next_state, reward, terminated, truncated, _ = env.step(action)
            step = Transition(int(state), action, float(reward), int(next_state), bool(terminated))
            q_learning_update(q, step, **constants)
            model.observe(step)
            for _ in range(config.planning_steps):
                planning_step(q, model, next(plans), bonus=config.bonus, **constants)
            state, total, steps = step.next_state, total + step.reward, steps + 1
        yield Episode(total, steps, bool(terminated))


def choose_among_best(row: list[float], epsilon: float, draw: float, tie: float) -> int:
    """The ε-greedy rule from two uniform numbers; where several actions are best, the second says which."""
    if draw < epsilon:
        return int(draw / epsilon * len(row))
    best = max(row)
    if row.count(best) == 1:
        return row.index(best)
    places = [action for action, value in enumerate(row) if value == best]
    return places[int(tie * len(places))]
