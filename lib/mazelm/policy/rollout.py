"""Experience from many environments at once, with what happens at the end of an episode kept straight.

Gymnasium's vector environments begin the next episode by themselves, in one of two ways: within the step that ended the
last one (SAME_STEP, and what was reached stands in `info`), or with the next step, whose action and reward mean nothing
(NEXT_STEP). `Collector` gives both the same form: what a step reached, before any reset, and a mask that is False for
steps that only reset.

Left out: environments in other processes, and recurrent policies, which carry a state along.

Source: Towers et al. (2024) for the two modes.
"""

from collections.abc import Callable
from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from jaxtyping import Bool, Float, Num

from mazelm.policy.networks import Features, sample
from mazelm.tabular.episodes import Episode

Forward = Callable[[Float[np.ndarray, "B F"]], Float[np.ndarray, "B O"]]  # a network's forward pass, in NumPy


class Step(NamedTuple):
    """One step in each of B environments."""

    obs: Float[np.ndarray, "B F"]
    actions: Num[np.ndarray, "B *A"]
    rewards: Float[np.ndarray, " B"]
    next_obs: Float[np.ndarray, "B F"]  # what the step reached, before any reset
    terminated: Bool[np.ndarray, " B"]
    truncated: Bool[np.ndarray, " B"]
    mask: Bool[np.ndarray, " B"]  # False: the environment only began its next episode


class Rollout(NamedTuple):
    """T steps in each of B environments, with what the policy and the critic said at the time.

    Where `mask` is False the numbers mean nothing. The functions of `returns.py` need no mask: such a step always comes
    after the end of an episode, where every sum stops.
    """

    obs: Float[np.ndarray, "T B F"]
    actions: Num[np.ndarray, "T B"]
    logp: Float[np.ndarray, "T B"]
    values: Float[np.ndarray, "T B"]
    next_values: Float[np.ndarray, "T B"]  # of what each step reached, before any reset
    rewards: Float[np.ndarray, "T B"]
    terminated: Bool[np.ndarray, "T B"]
    truncated: Bool[np.ndarray, "T B"]
    mask: Bool[np.ndarray, "T B"]


class Collector:
    """Steps through many environments, and remembers where they are.

    Args:
        envs: A vector environment, such as `gym.make_vec` makes.
        rng: Seeds the environments at each restart.

    Attributes:
        obs: What the next actions answer to, (B, F).
        features: From observations to rows of numbers.
        finished: The episodes that have ended; whoever reads them empties the list.

    Raises:
        ValueError: `envs` is no vector environment, or does not begin its next episodes by itself.
    """

    def __init__(self, envs: VectorEnv, *, rng: np.random.Generator):
        if not isinstance(envs, VectorEnv):
            raise ValueError(f"envs must be a vector environment, got {envs!r}. Try: gym.make_vec(name, num_envs=1)")
        mode = AutoresetMode(envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))
        if mode == AutoresetMode.DISABLED:
            raise ValueError("envs must begin its next episodes by itself, got autoreset_mode=DISABLED")
        self.envs, self.rng, self.features = envs, rng, Features(envs.single_observation_space)
        self._resets_at_next_step = mode == AutoresetMode.NEXT_STEP
        self.finished: list[Episode] = []
        self.restart()

    def restart(self) -> None:
        """Begin new episodes everywhere, with a seed drawn from `rng`; those under way are dropped."""
        obs, _ = self.envs.reset(seed=int(self.rng.integers(2**31)))
        self.obs = self.features(obs)
        self._mask = np.ones(self.envs.num_envs, dtype=bool)
        self._totals, self._steps = np.zeros(self.envs.num_envs), np.zeros(self.envs.num_envs, dtype=int)

    def step(self, actions: Num[np.ndarray, "B *A"]) -> Step:
        """Act once in every environment."""
        obs, rewards, terminated, truncated, info = self.envs.step(actions)
        following = reached = self.features(obs)
        if "final_obs" in info:
            ended = info["_final_obs"]
            reached = following.copy()
            reached[ended] = self.features(np.stack(list(info["final_obs"][ended])))
        step = Step(
            self.obs, actions, rewards.astype(np.float32, copy=False), reached, terminated, truncated, self._mask
        )
        over = terminated | truncated
        self._totals += rewards
        self._steps += self._mask
        if over.any():
            self._finish(over, terminated)
        self._mask = ~over if self._resets_at_next_step else self._mask
        self.obs = following
        return step

    def _finish(self, over: Bool[np.ndarray, " B"], terminated: Bool[np.ndarray, " B"]) -> None:
        """Note the episodes that are over, and count the next ones from 0."""
        for i in over.nonzero()[0]:
            self.finished.append(Episode(float(self._totals[i]), int(self._steps[i]), bool(terminated[i])))
        self._totals[over], self._steps[over] = 0.0, 0


def collect(
    collector: Collector, actor: Forward, critic: Forward, n_steps: int, *, rng: np.random.Generator
) -> Rollout:
    """Follow a policy for some steps in every environment.

    Args:
        collector: Goes on from where it is.
        actor: From features to logits (B, A).
        critic: From features to values (B, 1).
        n_steps: T.
        rng: Draws the actions.
    """
    steps, logps = [], []
    for _ in range(n_steps):
        actions, logp = sample(actor(collector.obs), rng=rng)
        steps.append(collector.step(actions))
        logps.append(logp)
    obs, actions, rewards, next_obs, terminated, truncated, mask = (
        np.stack(column) for column in zip(*steps, strict=True)
    )
    values = critic(obs.reshape(-1, obs.shape[-1])).reshape(mask.shape)
    next_values = np.roll(values, -1, axis=0)
    elsewhere = terminated | truncated  # there, and at the end, the next row is not what the step reached
    elsewhere[-1] = True
    next_values[elsewhere] = critic(next_obs[elsewhere])[:, 0]
    return Rollout(obs, actions, np.stack(logps), values, next_values, rewards, terminated, truncated, mask)


def play_episodes(
    envs: VectorEnv, act: Callable[[Float[np.ndarray, "B F"]], np.ndarray], count: int, *, rng: np.random.Generator
) -> list[Episode]:
    """What whole episodes come to under a policy.

    Every environment plays equally many. The first `count` to end would hold too many short ones.

    Args:
        envs: A vector environment.
        act: From features (B, F) to one action for each row.
        count: How many episodes, rounded up to a multiple of the number of environments.
        rng: Seeds the environments.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    collector = Collector(envs, rng=rng)
    each = -(-count // envs.num_envs)
    episodes: list[list[Episode]] = [[] for _ in range(envs.num_envs)]
    while min(map(len, episodes)) < each:
        step = collector.step(act(collector.obs))
        for i in (step.terminated | step.truncated).nonzero()[0]:
            episodes[i].append(collector.finished.pop(0))  # _finish lists them in the same order
    return [episode for played in episodes for episode in played[:each]]


def discrete_actions(envs: gym.vector.VectorEnv, algorithm: str) -> int:
    """How many actions there are.

    Raises:
        ValueError: They are not numbered from 0.
    """
    space = envs.single_action_space
    if not isinstance(space, gym.spaces.Discrete) or space.start != 0:
        raise ValueError(f"{algorithm} needs actions numbered from 0 (Discrete), got {space}")
    return int(space.n)
