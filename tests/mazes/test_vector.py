"""Many mazes at once: by hand, against single environments, autoreset, chances, mistakes."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv
from mazes import maps
from mazes.dynamics import ADDING, DOWN, LEFT, RIGHT, UP
from mazes.env import MazeEnv
from mazes.generate import random_maze
from mazes.grid import Maze
from mazes.observe import KINDS
from mazes.vector import MazeVectorEnv

CORRIDOR = Maze.from_text("S.G")


def make(num_envs, **arguments):
    return gym.make_vec("mazes/Maze-v0", num_envs, vectorization_mode="vector_entry_point", **arguments)


def different_mazes(count):
    rng = np.random.default_rng(0)
    return [random_maze(5, 6, loops=0.2, rng=rng) for _ in range(count - 1)] + [
        Maze.from_text("S     " + "\n      " * 3 + "\nCCCCCG")
    ]


# --- by hand


def test_two_walkers_in_a_corridor():
    env = make(2, maze=CORRIDOR)
    obs, info = env.reset()
    assert (obs.tolist(), info) == ([0, 0], {})
    obs, rewards, terminated, truncated, info = env.step(np.array([RIGHT, UP]))
    assert (obs.tolist(), rewards.tolist()) == ([1, 0], [-1.0, -5.0])
    assert (terminated.tolist(), truncated.tolist(), info) == ([False, False], [False, False], {})
    obs, rewards, terminated, truncated, info = env.step(np.array([RIGHT, RIGHT]))
    assert obs.tolist() == [0, 1]  # the first walker stands on S again
    assert rewards.tolist() == [10.0, -1.0]
    assert (terminated.tolist(), truncated.tolist()) == ([True, False], [False, False])
    assert info["final_obs"].tolist() == [2, 1]
    assert info["_final_obs"].tolist() == [True, False]
    assert info["final_info"] == {}


def test_the_time_limit_counts_each_walk():
    env = make(2, maze=CORRIDOR, max_episode_steps=3)
    env.reset()
    ends = []
    for actions in ([RIGHT, UP], [RIGHT, UP], [LEFT, UP], [LEFT, UP], [LEFT, UP], [LEFT, UP]):
        _, _, terminated, truncated, info = env.step(np.array(actions))
        ends.append((terminated.tolist(), truncated.tolist(), "final_obs" in info))
    assert ends == [
        ([False, False], [False, False], False),
        ([True, False], [False, False], True),
        ([False, False], [False, True], True),
        ([False, False], [False, False], False),
        ([False, False], [True, False], True),  # three steps after its new start
        ([False, False], [False, True], True),
    ]


def test_a_walk_that_ends_with_the_last_step_is_terminated_and_truncated_as_in_gymnasium():
    env, single = (
        make(1, maze=CORRIDOR, max_episode_steps=2),
        gym.make("mazes/Maze-v0", maze=CORRIDOR, max_episode_steps=2),
    )
    env.reset(), single.reset()
    env.step(np.array([RIGHT])), single.step(RIGHT)
    _, _, terminated, truncated, _ = env.step(np.array([RIGHT]))
    assert (terminated[0], truncated[0]) == single.step(RIGHT)[2:4] == (True, True)


def test_a_reset_starts_the_count_again():
    env = make(2, max_episode_steps=4)
    for _ in range(3):
        env.reset()
        assert [env.step(np.full(2, UP))[3].any() for _ in range(4)] == [False, False, False, True]
        env.step(np.full(2, RIGHT))


def test_no_time_limit():
    env = make(1, max_episode_steps=None)
    env.reset()
    assert not any(env.step(np.array([UP]))[3][0] for _ in range(1000))


def test_make_vec_passes_the_registered_time_limit():
    env = make(3)
    env.reset()
    ends = [env.step(np.full(3, UP))[3].all() for _ in range(500)]
    assert ends == [False] * 499 + [True]
    assert isinstance(env, MazeVectorEnv)


def test_the_autoreset_mode_is_documented():
    assert MazeVectorEnv.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert isinstance(make(2), VectorEnv)
    assert "SAME_STEP" in MazeVectorEnv.__doc__


# --- against single environments


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("same", [True, False], ids=["one maze", "different mazes"])
def test_agrees_with_single_environments(kind, same):
    mazes = [maps.load("classic")] * 5 if same else different_mazes(5)
    env = make(5, maze=mazes[0] if same else mazes, observation=kind, rewards=ADDING, max_episode_steps=40)
    singles = [
        gym.make("mazes/Maze-v0", maze=maze, observation=kind, rewards=ADDING, max_episode_steps=40) for maze in mazes
    ]
    assert env.single_observation_space == singles[0].observation_space
    obs, _ = env.reset(seed=0)
    expected = [single.reset()[0] for single in singles]
    rng, ended = np.random.default_rng(1), 0
    for _ in range(300):
        assert env.observation_space.contains(obs)
        assert np.array_equal(obs, np.stack(expected))
        actions = rng.integers(0, 4, 5)
        steps = [single.step(action) for single, action in zip(singles, actions.tolist(), strict=True)]
        obs, rewards, terminated, truncated, info = env.step(actions)
        reached, *ends = (np.array(column) for column in list(zip(*steps, strict=True))[:4])
        over = ends[1] | ends[2]
        for ours, theirs in zip((rewards, terminated, truncated), ends, strict=True):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs)
        assert ("final_obs" in info) == over.any()
        if over.any():
            ended += 1
            assert np.array_equal(info["_final_obs"], over)
            assert np.array_equal(info["final_obs"], reached)
        expected = [single.reset()[0] if o else step[0] for single, o, step in zip(singles, over, steps, strict=True)]
    assert ended > 5


@pytest.mark.parametrize("slip", [0.4, 1.0])
def test_slips_come_as_often_as_the_model_says(slip):
    count = 5_000
    env = make(count, maze="open", slip=slip)
    model = MazeEnv("open", slip=slip).P
    env.reset(seed=0)
    obs = env.step(np.full(count, RIGHT))[0]
    for state in np.unique(obs):
        for action in (UP, RIGHT, DOWN, LEFT):
            env._states = np.full(count, state)
            reached, rewards, *_ = env.step(np.full(count, action))
            ends = list(zip(reached.tolist(), rewards.tolist(), strict=True))
            for p, next_state, reward, _ in model[int(state)][int(action)]:
                share = ends.count((next_state, reward)) / count
                assert share == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / count))


# --- seeds, arrays


def test_the_same_seed_gives_the_same_walks():
    actions = np.random.default_rng(0).integers(0, 4, (50, 8))
    one, two, three = (make(8, maze="four-rooms", slip=0.5) for _ in range(3))
    walks = []
    for env, seed in ((one, 3), (two, 3), (three, 4), (one, 3)):
        env.reset(seed=seed)
        walks.append([env.step(row)[0].tolist() for row in actions])
    assert walks[0] == walks[1] == walks[3]
    assert walks[0] != walks[2]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_returned_does_not_change_later(kind):
    env = make(4, maze=CORRIDOR, observation=kind)
    kept = []
    for result in [env.reset()] + [env.step(np.full(4, RIGHT)) for _ in range(5)]:
        arrays = [part for part in result if isinstance(part, np.ndarray)]
        arrays += [part for part in result[-1].values() if isinstance(part, np.ndarray)]
        kept += [(array, array.copy()) for array in arrays]
    assert all(np.array_equal(array, copied) for array, copied in kept)


@pytest.mark.parametrize("kind", KINDS)
def test_writing_to_what_was_returned_changes_nothing(kind):
    ours, other = (make(4, maze=CORRIDOR, observation=kind) for _ in range(2))
    ours.reset()[0][:] = 1
    other.reset()
    for _ in range(4):
        spoilt, clean = ours.step(np.full(4, RIGHT)), other.step(np.full(4, RIGHT))
        for ours_part, other_part in zip(spoilt[:4], clean[:4], strict=True):
            assert np.array_equal(ours_part, other_part)
            ours_part[:] = 0
        if "final_obs" in spoilt[-1]:
            spoilt[-1]["final_obs"][:] = 0


def test_actions_are_not_changed():
    actions = np.array([RIGHT, UP])
    env = make(2, slip=0.5)
    env.reset(seed=0)
    env.step(actions)
    assert actions.tolist() == [1, 0]


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8, np.int8])
def test_any_whole_numbers_are_actions(dtype):
    env = make(40, maze="open")
    env.reset()
    assert (env.step(np.full(40, RIGHT, dtype))[0] == 1).all()
    assert (env.step(np.full(40, DOWN, dtype))[0] == 7).all()


def test_a_list_of_actions_is_fine():
    env = make(2)
    env.reset()
    assert env.step([RIGHT, DOWN])[0].tolist() == [1, 5]


def test_large_tables_do_not_overflow_small_actions():
    env = make(3, maze=random_maze(30, 30, loops=1, rng=np.random.default_rng(0)))
    env.reset()
    assert env.step(np.full(3, LEFT, np.uint8))[0].tolist() == [0, 0, 0]
    assert env.step(np.full(3, DOWN, np.int8))[0].tolist() == [30, 30, 30]


def test_rendering_draws_every_walker():
    env = make(2, maze=[CORRIDOR, Maze.from_text("G.S")], render_mode="ansi")
    env.reset()
    env.step(np.array([RIGHT, UP]))
    assert env.render() == ("S@G", "G @")
    pictures = make(2, render_mode="rgb_array")
    pictures.reset()
    assert [image.shape for image in pictures.render()] == [(160, 160, 3)] * 2
    assert make(2).render() is None


# --- mistakes


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([0, 4]), "actions must be 0 .* got 4"),
        (np.array([-1, 0]), "got -1"),
        (np.array([0, 5], np.uint8), "got 5"),
        (np.array([0.0, 1.0]), "actions must be 2 whole numbers, got float64"),
        (np.array([0, 1, 2]), r"actions must be 2 whole numbers, got int64 \(3,\)"),
        (1, "actions must be 2 whole numbers"),
    ],
)
def test_unknown_actions_are_refused(actions, message):
    env = make(2)
    env.reset()
    with pytest.raises(ValueError, match=message):
        env.step(actions)
    assert env.step(np.array([RIGHT, UP]))[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs must be at least 1, got 0"),
        ({"max_episode_steps": 0}, "max_episode_steps must be at least 1, or None, got 0"),
        ({"slip": -1}, "slip must be"),
        ({"maze": ["open"]}, "maze must be one maze or num_envs=2 mazes, got 1"),
        ({"maze": ["open", "classic"]}, r"maze 1 has the shape \(5, 5\), but maze 0 has \(6, 6\)"),
        ({"observation": "pixels"}, "observation must be one of"),
        ({"render_mode": "human"}, "render_mode must be"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MazeVectorEnv(**{"num_envs": 2} | arguments)
