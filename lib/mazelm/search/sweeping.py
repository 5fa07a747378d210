"""Prioritised sweeping: plan where something is to be learned, and from there backwards.

Dyna-Q draws its planning steps by chance, and most of them change nothing: early on, only what leads to the goal has a
value to pass on. Here a pair whose value would change much waits in a queue, the largest change first. When a pair has
been changed, the pairs that lead to its state are looked at again. `tabular/asynchronous.py` does the same with a model
that is known; this one is learned on the way.

Source: Moore & Atkeson (1993); Peng & Williams (1993); Sutton & Barto (2018), section 8.4.

Left out: models of chance, for which each outcome counts as much as it is likely.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush

import gymnasium as gym
import numpy as np

from mazelm.search.dyna import LastSeenModel, Pair, choose_among_best
from mazelm.tabular.episodes import Episode, Transition, count, reset_seeds, uniforms
from mazelm.tabular.td import Table, TDControlConfig, q_learning_update, require_own_rows


@dataclass(frozen=True, kw_only=True)
class SweepingConfig(TDControlConfig):
    """What a run of prioritised sweeping may vary."""

    planning_steps: int = 5  # n, updates after each real step, at most
    threshold: float = 1e-4  # θ, what would change by this or less is left alone

    def __post_init__(self):
        super().__post_init__()
        if self.planning_steps < 1:
            raise ValueError(f"planning_steps must be at least 1, got {self.planning_steps}")
        if not self.threshold >= 0:
            raise ValueError(f"threshold must not be negative, got {self.threshold}")


class SweepingModel(LastSeenModel):
    """What each pair led to last, which pairs led to each state, and the pairs that wait.

    Attributes:
        updates: How many planning steps have been made.
    """

    def __init__(self):
        super().__init__()
        self.updates = 0
        self._before: dict[int, dict[Pair, None]] = {}  # by state reached: its pairs, in the order they were seen
        self._waiting: dict[Pair, float] = {}
        self._queue: list[tuple[float, Pair]] = []  # largest first; entries that were overtaken stay until they come up

    def observe(self, step: Transition) -> None:
        """Remember what a real step led to; if its pair led elsewhere before, it does no longer."""
        pair = (step.state, step.action)
        if pair in self.outcomes:
            self._before[self.outcomes[pair].next_state].pop(pair, None)
        super().observe(step)
        self._before.setdefault(step.next_state, {})[pair] = None

    def predecessors(self, state: int) -> list[Transition]:
        """What is known to lead to a state, but for steps that ended the task: nothing follows those."""
        known = [self.outcomes[pair] for pair in self._before.get(state, ())]
        return [step for step in known if not step.terminated]

    def push(self, pair: Pair, priority: float) -> None:
        """Let a pair wait; of two priorities the higher one counts."""
        if priority > self._waiting.get(pair, 0.0):
            self._waiting[pair] = priority
            heappush(self._queue, (-priority, pair))

    def pop(self) -> Pair | None:
        """The pair with the highest priority, which waits no longer; None when none does."""
        while self._queue:
            negative, pair = heappop(self._queue)
            if self._waiting.get(pair) == -negative:
                del self._waiting[pair]
                return pair
        return None


def priority(q: Table, step: Transition, *, discount: float) -> float:
    """By how much Q(s, a) is off, judged by one transition.

        p = | r + γ·maxₐ′ Q(s′, a′) − Q(s, a) |

    Source: Sutton & Barto (2018), section 8.4.
    """
    future = 0.0 if step.terminated else max(q[step.next_state])
    return abs(step.reward + discount * future - q[step.state][step.action])


def sweeping_step(q: Table, model: SweepingModel, config: SweepingConfig) -> bool:
    """Update the pair that waits with the highest priority, in place, and look again at what leads to it.

        s, a ← first of the queue;  Q(s, a) ← Q(s, a) + α·[r + γ·maxₐ′ Q(s′, a′) − Q(s, a)]
        for all s̄, ā known to lead to s:  p = | r̄ + γ·maxₐ Q(s, a) − Q(s̄, ā) |;  if p > θ: into the queue

    Returns:
        False if nothing waited.

    Source: Sutton & Barto (2018), section 8.4, "Prioritized sweeping for a deterministic environment".
    """
    pair = model.pop()
    if pair is None:
        return False
    q_learning_update(q, model.outcomes[pair], step_size=config.step_size, discount=config.discount)
    model.updates += 1
    for step in model.predecessors(pair[0]):
        _wait_if_off(q, model, step, config)
    return True


def prioritised_sweeping_q(
    env: gym.Env, q: Table, config: SweepingConfig, *, rng: np.random.Generator, model: SweepingModel | None = None
) -> Iterator[Episode]:
    """Act ε-greedily, and after each real step make at most n updates, each where most is to be learned; in place.

    The real step itself makes no update: its pair goes into the queue like every other.

    Args:
        env: Numbered states and actions. After a truncated step what follows is still bootstrapped.
        q: The table.
        config: Episodes, step size, discount, ε, planning steps and threshold.
        rng: Where chance comes from, also the environment's.
        model: What is known before; it goes on learning. None: nothing.

    Yields:
        What each episode came to.

    Source: Sutton & Barto (2018), section 8.4.
    """
    require_own_rows(q)
    for space in (env.observation_space, env.action_space):
        count(space)  # refuses what is not numbered
    model = SweepingModel() if model is None else model
    draws = uniforms(rng)
    for seed in reset_seeds(config.episodes, rng):
        state, _ = env.reset(seed=seed)
        total, steps, terminated, truncated = 0.0, 0, False, False
        while not (terminated or truncated):
            action = choose_among_best(q[state], config.epsilon, next(draws), next(draws))
            next_state, reward, terminated, truncated, _ = env.step(action)
            step = Transition(int(state), action, float(reward), int(next_state), bool(terminated))
            model.observe(step)
            _wait_if_off(q, model, step, config)
            for _ in range(config.planning_steps):
                if not sweeping_step(q, model, config):
                    break
            state, total, steps = step.next_state, total + step.reward, steps + 1
        yield Episode(total, steps, bool(terminated))


def _wait_if_off(q: Table, model: SweepingModel, step: Transition, config: SweepingConfig) -> None:
    off = priority(q, step, discount=config.discount)
    if off > config.threshold:
        model.push((step.state, step.action), off)
