"""The mazes beside others: Gymnasium's and stable-baselines3's checkers, CliffWalking, FrozenLake, SyncVectorEnv."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from mazes import maps
from mazes.dynamics import ADDING, Rewards
from mazes.env import MazeEnv
from mazes.grid import Maze
from mazes.observe import KINDS
from stable_baselines3.common.env_checker import check_env as check_for_sb3

FROM_FROZEN_LAKE = [3, 2, 1, 0]  # up, right, down, left in its numbering


def merged(listed):
    """Outcomes as a dictionary without the impossible ones."""
    chances = {}
    for probability, *result in listed:
        if probability > 0:
            chances[tuple(result)] = chances.get(tuple(result), 0.0) + probability
    return chances


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "arguments", [{}, {"maze": "cliff", "slip": 0.3, "rewards": ADDING}], ids=["plain", "slippery cliff"]
)
def test_checkers_find_nothing(kind, arguments):
    env = gym.make("mazes/Maze-v0", observation=kind, **arguments)
    check_env(env.unwrapped)  # a warning would be an error
    check_for_sb3(env)


@pytest.mark.parametrize("render_mode", ["ansi", "rgb_array"])
def test_checkers_find_nothing_in_pictures(render_mode):
    env = gym.make("mazes/Maze-v0", render_mode=render_mode)
    check_env(env.unwrapped)
    check_for_sb3(env, skip_render_check=False)


def test_the_passive_checker_finds_nothing():
    env = gym.make("mazes/Maze-v0", disable_env_checker=False, render_mode="ansi", slip=0.2)
    env.reset(seed=0)
    for _ in range(10):
        env.step(env.action_space.sample())
        env.render()


@pytest.mark.parametrize("slippery", [False, True])
def test_cliff_walking_is_the_cliff_map(slippery):
    theirs = gym.make("CliffWalking-v1", is_slippery=slippery).unwrapped
    slip = 2 / 3 if slippery else 0.0
    ours = MazeEnv("cliff", slip=slip, rewards=Rewards(step=-1, bump=-1, goal=-1, cliff=-100))
    assert (theirs.nS, theirs.start_state_index) == (ours.maze.n_states, ours.maze.index(*ours.maze.start))
    for state in range(37):  # not the cliff and the goal, where nobody acts
        for action in range(4):
            assert merged(ours.P[state][action]) == pytest.approx(merged(theirs.P[state][action]))


@pytest.mark.parametrize("success", [1.0, 1 / 3, 0.8])
def test_frozen_lake_without_holes_is_an_open_room(success):
    theirs = gym.make(
        "FrozenLake-v1",
        desc=["SFF", "FFF", "FFG"],
        is_slippery=success < 1,
        success_rate=success,
        reward_schedule=(1, 0, 0),
    ).unwrapped
    ours = MazeEnv("S..\n...\n..G", slip=1 - success, rewards=Rewards(step=0, bump=0, goal=1))
    for state in range(8):
        for action in range(4):
            assert merged(ours.P[state][action]) == pytest.approx(merged(theirs.P[state][FROM_FROZEN_LAKE[action]]))


@pytest.mark.parametrize("kind", KINDS)
def test_same_step_autoreset_is_gymnasiums(kind):
    arguments = {"maze": "cliff", "observation": kind, "max_episode_steps": 30}
    ours = gym.make_vec("mazes/Maze-v0", 6, vectorization_mode="vector_entry_point", **arguments)
    vector_kwargs = {"autoreset_mode": AutoresetMode.SAME_STEP}
    theirs = gym.make_vec("mazes/Maze-v0", 6, vectorization_mode="sync", vector_kwargs=vector_kwargs, **arguments)
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert np.array_equal(ours.reset(seed=0)[0], theirs.reset(seed=0)[0])
    rng = np.random.default_rng(0)
    for _ in range(100):
        actions = rng.choice(4, 6, p=[0.3, 0.5, 0.1, 0.1])
        *mine, info = ours.step(actions)
        *peers, peer_info = theirs.step(actions)
        for one, other in zip(mine, peers, strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        assert set(info) == set(peer_info)
        if "final_obs" in info:
            over = peer_info["_final_obs"]
            assert np.array_equal(info["_final_obs"], over)
            assert info["final_info"] == peer_info["final_info"]
            assert np.array_equal(info["_final_info"], peer_info["_final_info"])
            assert np.array_equal(info["final_obs"][over], np.stack(list(peer_info["final_obs"][over])))


def test_vector_wrappers_of_gymnasium_work():
    env = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec("mazes/Maze-v0", 2, maze=Maze.from_text("S.G")))
    env.reset(seed=0)
    env.step(np.array([1, 1]))
    *_, info = env.step(np.array([1, 3]))
    assert info["episode"]["r"][0] == -1 + 10
    assert info["episode"]["l"][0] == 2


@pytest.mark.parametrize("name", maps.names())
def test_every_map_can_be_made(name):
    env = gym.make("mazes/Maze-v0", maze=name)
    assert env.observation_space.contains(env.reset(seed=0)[0])
