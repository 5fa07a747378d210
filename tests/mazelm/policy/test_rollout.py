"""Collecting experience: what a step reached, what a mask hides, and which episode a reward belongs to.

The environment of these tests counts: its observation is the number of the episode and of the step, so that every row
of a rollout says by itself where it comes from. It runs in both modes of Gymnasium's vector environments.
"""

from itertools import pairwise

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from mazelm.policy.rollout import Collector, collect, discrete_actions, play_episodes
from mazelm.tabular.episodes import Episode

MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]


class Counting(gym.Env):
    """Observation: (which environment, episode, step). The reward of a step is its number in the episode.

    An episode has `length` steps. It terminates if its number is even, and is cut short if it is odd. Action 1 pays
    100 more.
    """

    def __init__(self, name=0, length=3):
        self.observation_space = spaces.Box(-1, 1000, (3,), np.float64)
        self.action_space = spaces.Discrete(2)
        self.name, self.length, self.episode = name, length, -1

    def _obs(self):
        return np.array([self.name, self.episode, self.steps], dtype=float)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.steps = self.episode + 1, 0
        return self._obs(), {}

    def step(self, action):
        self.steps += 1
        over = self.steps == self.length
        ends = self.episode % 2 == 0
        return self._obs(), self.steps + 100.0 * action, over and ends, over and not ends, {}


def make(mode, lengths=(3, 2)):
    return SyncVectorEnv(
        [lambda name=i, length=n: Counting(name, length) for i, n in enumerate(lengths)], autoreset_mode=mode
    )


def rng(seed=0):
    return np.random.default_rng(seed)


def still(envs):
    """Action 0 everywhere."""
    return np.zeros(envs.num_envs, dtype=int)


def steps_of(mode, n_steps, lengths=(3, 2)):
    envs = make(mode, lengths)
    collector = Collector(envs, rng=rng())
    return collector, [collector.step(still(envs)) for _ in range(n_steps)]


# --- one step after the other


def test_next_step_mode_by_hand():
    """Length 3: three steps, one that only resets, three steps."""
    _, steps = steps_of(AutoresetMode.NEXT_STEP, 8)
    first = [step.obs[0].tolist() for step in steps]
    reached = [step.next_obs[0].tolist() for step in steps]
    assert first == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 1, 0], [0, 1, 1], [0, 1, 2], [0, 1, 3]]
    assert reached[:3] == [[0, 0, 1], [0, 0, 2], [0, 0, 3]]
    assert [bool(step.mask[0]) for step in steps] == [True] * 3 + [False] + [True] * 3 + [False]
    assert [bool(step.terminated[0]) for step in steps] == [False, False, True] + [False] * 5
    assert [bool(step.truncated[0]) for step in steps] == [False] * 6 + [True, False]


def test_same_step_mode_by_hand():
    """Length 3: the observation after an ending is the next episode's first, what was reached is kept."""
    _, steps = steps_of(AutoresetMode.SAME_STEP, 7)
    assert [step.obs[0].tolist() for step in steps[:5]] == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0], [0, 1, 1]]
    assert [step.next_obs[0].tolist() for step in steps[:4]] == [[0, 0, 1], [0, 0, 2], [0, 0, 3], [0, 1, 1]]
    assert all(step.mask.all() for step in steps)
    assert [bool(step.terminated[0]) for step in steps] == [False, False, True] + [False] * 4
    assert [bool(step.truncated[0]) for step in steps] == [False] * 5 + [True, False]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lengths", [(3, 2), (1, 4, 2), (5,)])
def test_every_counted_step_leads_to_the_next_of_its_episode(mode, lengths):
    _, steps = steps_of(mode, 30, lengths)
    for step in steps:
        for i in step.mask.nonzero()[0]:
            name, episode, before = step.obs[i]
            assert step.next_obs[i].tolist() == [name, episode, before + 1]
            assert name == i
            assert step.rewards[i] == before + 1
            over = before + 1 == lengths[i]
            assert bool(step.terminated[i]) == (over and episode % 2 == 0)
            assert bool(step.truncated[i]) == (over and episode % 2 == 1)


def test_both_modes_give_the_same_steps():
    """But for the steps that only reset."""
    counted = {}
    for mode in MODES:
        _, steps = steps_of(mode, 40)
        rows = [
            (*step.obs[i], *step.next_obs[i], step.rewards[i], step.terminated[i], step.truncated[i])
            for step in steps
            for i in step.mask.nonzero()[0]
        ]
        counted[mode] = sorted(rows)[:30]
    n = min(map(len, counted.values()))
    assert n == 30
    assert counted[MODES[0]][:20] == counted[MODES[1]][:20]


@pytest.mark.parametrize("mode", MODES)
def test_finished_episodes_are_noted_once_with_their_totals(mode):
    collector, _ = steps_of(mode, 16)
    three = [episode for episode in collector.finished if episode.steps == 3]
    two = [episode for episode in collector.finished if episode.steps == 2]
    assert three[:3] == [Episode(6.0, 3, True), Episode(6.0, 3, False), Episode(6.0, 3, True)]
    assert two[:3] == [Episode(3.0, 2, True), Episode(3.0, 2, False), Episode(3.0, 2, True)]
    assert len(three) + len(two) == len(collector.finished)
    assert len(three) == (4 if mode == AutoresetMode.NEXT_STEP else 5)  # 16 steps, 4 or 3 for each
    collector.finished.clear()
    collector.step(np.zeros(2, dtype=int))
    assert all(episode.total in (3.0, 6.0) for episode in collector.finished)


@pytest.mark.parametrize("mode", MODES)
def test_a_restart_drops_what_was_under_way(mode):
    envs = make(mode, (4,))
    collector = Collector(envs, rng=rng())
    for _ in range(2):
        collector.step(still(envs))
    collector.restart()
    assert collector.obs.tolist() == [[0, 1, 0]]
    for _ in range(4):
        step = collector.step(still(envs))
        assert step.mask.all()
    assert collector.finished == [Episode(10.0, 4, False)]
    # and in the middle of a reset: right after an ending
    collector.restart()
    assert collector.step(still(envs)).mask.all()


def test_a_restart_seeds_the_environments_from_rng():
    """Equal generators, equal walks; and the second restart has another seed than the first."""

    def walk(seed, restarts):
        envs = gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point")
        collector = Collector(envs, rng=rng(seed))
        for _ in range(restarts):
            collector.restart()
        return collector.obs

    assert np.array_equal(walk(1, 0), walk(1, 0))
    assert np.array_equal(walk(1, 2), walk(1, 2))
    assert not np.array_equal(walk(1, 0), walk(2, 0))
    assert not np.array_equal(walk(1, 0), walk(1, 1))


# --- rollouts


def actor(rows):
    """Always action 0, nearly."""
    return np.tile(np.array([[50.0, 0.0]], dtype=np.float32), (len(rows), 1))


def uniform(n_actions):
    """Any of the actions, with equal chances."""
    return lambda rows: np.zeros((len(rows), n_actions), np.float32)


def first_feature(rows):
    return rows[:, :1]


def critic(rows):
    """A value that says which state it is of."""
    return (100 * rows[:, 1] + rows[:, 2] + 10_000 * rows[:, 0])[:, None].astype(np.float32)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lengths", [(3, 2), (1, 4), (2, 2)])
@pytest.mark.parametrize("n_steps", [1, 2, 7])
def test_values_and_next_values_are_those_of_the_states(mode, lengths, n_steps):
    collector = Collector(make(mode, lengths), rng=rng())
    for _ in range(4):  # rollouts begin and end anywhere
        rollout = collect(collector, actor, critic, n_steps, rng=rng())
        assert rollout.obs.shape == (n_steps, 2, 3)
        assert rollout.mask.shape == rollout.logp.shape == rollout.rewards.shape == (n_steps, 2)
        assert np.array_equal(rollout.values, critic(rollout.obs.reshape(-1, 3)).reshape(n_steps, 2))
        assert np.array_equal(rollout.next_values[rollout.mask], rollout.values[rollout.mask] + 1)


@pytest.mark.parametrize("mode", MODES)
def test_rollouts_follow_each_other_without_a_gap(mode):
    whole = collect(Collector(make(mode), rng=rng()), actor, critic, 12, rng=rng(1))
    collector, chance = Collector(make(mode), rng=rng()), rng(1)
    pieces = [collect(collector, actor, critic, 4, rng=chance) for _ in range(3)]
    for name, column in whole._asdict().items():
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        assert np.array_equal(joined[whole.mask], column[whole.mask]), name


def test_actions_are_drawn_from_the_policy_and_logp_is_theirs():
    envs = make(AutoresetMode.SAME_STEP, (2,) * 50)
    logits = np.log(np.array([0.2, 0.8], dtype=np.float32))
    rollout = collect(Collector(envs, rng=rng()), lambda rows: np.tile(logits, (len(rows), 1)), critic, 60, rng=rng(3))
    assert rollout.actions.mean() == pytest.approx(0.8, abs=0.03)  # four standard errors
    assert np.allclose(rollout.logp, logits[rollout.actions], atol=1e-6)
    assert np.array_equal(rollout.rewards > 100, rollout.actions == 1)  # each action was the one that was done


def test_a_rollout_is_repeated_by_equal_generators():
    def once(seed):
        envs = gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point")
        return collect(Collector(envs, rng=rng(seed)), uniform(2), first_feature, 40, rng=rng(seed))

    assert all(np.array_equal(a, b) for a, b in zip(once(5), once(5), strict=True))
    assert not np.array_equal(once(5).obs, once(6).obs)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CartPole-v1", {"vectorization_mode": "vector_entry_point"}),
        ("CartPole-v1", {"vectorization_mode": "sync"}),
        (
            "mazes/Maze-v0",
            {"vectorization_mode": "vector_entry_point", "maze": "S..\n..G", "observation": "one-hot"},
        ),
        ("mazes/Maze-v0", {"vectorization_mode": "sync", "maze": "S..\n..G", "observation": "position"}),
        ("mazes/Maze-v0", {"vectorization_mode": "vector_entry_point", "maze": "S..\n..G", "observation": "index"}),
    ],
)
def test_real_environments_never_lead_from_an_ending_to_the_next_episode(name, options):
    """In CartPole a step that ended the task reached a fallen pole; a new episode begins near 0."""
    envs = gym.make_vec(name, num_envs=4, **options)
    collector = Collector(envs, rng=rng())
    rollout = collect(collector, uniform(int(envs.single_action_space.n)), first_feature, 200, rng=rng())
    ended = rollout.terminated & rollout.mask
    assert ended.sum() > 5
    assert len(collector.finished) == (rollout.terminated | rollout.truncated).sum()
    if name == "CartPole-v1":
        assert all(episode.total == episode.steps for episode in collector.finished)  # a step that resets pays nothing
        collector.restart()
        for _ in range(300):
            step = collector.step(rng().integers(2, size=4))
            fallen = np.abs(step.next_obs[:, 2]) > 0.2094
            off = np.abs(step.next_obs[:, 0]) > 2.4
            assert np.array_equal((fallen | off)[step.mask], step.terminated[step.mask])
    else:
        space = collector.features(np.array([envs.single_observation_space.sample()]))
        assert rollout.obs.shape[-1] == space.shape[-1]
        inside = rollout.mask[:-1] & rollout.mask[1:] & ~(rollout.terminated | rollout.truncated)[:-1]
        assert np.array_equal(rollout.next_values[:-1][inside], rollout.values[1:][inside])
        starts = {tuple(row) for row in rollout.obs[1:][(rollout.terminated[:-1])]}
        assert len(starts) == 1  # after an ending: the start (SAME_STEP), or the goal that is left by a reset


# --- whole episodes


@pytest.mark.parametrize("mode", MODES)
def test_every_environment_plays_equally_many_episodes(mode):
    """The first to end would be the short ones: 20 of length 1 for one of length 20."""
    envs = make(mode, (1, 20))
    episodes = play_episodes(envs, lambda rows: np.zeros(len(rows), dtype=int), 6, rng=rng())
    assert sorted(episode.steps for episode in episodes) == [1, 1, 1, 20, 20, 20]
    assert [episode.terminated for episode in episodes] == [True, False, True] * 2
    assert [episode.total for episode in episodes] == [1.0] * 3 + [210.0] * 3


def test_the_number_of_episodes_is_rounded_up():
    envs = make(AutoresetMode.SAME_STEP, (2, 3, 4))
    for count, expected in ((1, 3), (3, 3), (4, 6)):
        assert len(play_episodes(envs, lambda rows: np.zeros(len(rows), dtype=int), count, rng=rng())) == expected


def test_the_policy_sees_features_and_decides():
    envs = make(AutoresetMode.NEXT_STEP, (3, 3))
    seen = []

    def act(rows):
        seen.append(rows)
        return np.array([0, 1])

    episodes = play_episodes(envs, act, 4, rng=rng())
    assert [episode.total for episode in episodes] == [6.0, 6.0, 306.0, 306.0]
    assert seen[0].dtype == np.float32
    assert all(a.shape == b.shape == (2, 3) for a, b in pairwise(seen))


# --- what is refused


def test_what_is_no_vector_environment_is_refused(unchecked):
    with pytest.raises(ValueError, match=r"envs must be a vector environment, got .*Try: gym.make_vec"):
        Collector(gym.make("CartPole-v1"), rng=rng())
    with pytest.raises(ValueError, match="envs must be a vector environment, got 'CartPole-v1'"):
        Collector("CartPole-v1", rng=rng())


def test_environments_that_do_not_reset_themselves_are_refused():
    with pytest.raises(ValueError, match="got autoreset_mode=DISABLED"):
        Collector(make(AutoresetMode.DISABLED), rng=rng())


def test_observations_of_an_unknown_kind_are_refused():
    envs = make(AutoresetMode.SAME_STEP)
    envs.single_observation_space = spaces.Text(5)
    with pytest.raises(ValueError, match="space must be Discrete, MultiDiscrete or Box, got Text"):
        Collector(envs, rng=rng())


def test_no_episode_is_refused():
    envs = make(AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        play_episodes(envs, lambda rows: np.zeros(len(rows), dtype=int), 0, rng=rng())


def test_actions_that_are_not_numbered_from_0_are_refused():
    envs = make(AutoresetMode.SAME_STEP)
    assert discrete_actions(envs, "a2c") == 2
    for space in (spaces.Box(-1, 1, (1,)), spaces.Discrete(2, start=1)):
        envs.single_action_space = space
        with pytest.raises(ValueError, match=r"a2c needs actions numbered from 0 \(Discrete\), got "):
            discrete_actions(envs, "a2c")
