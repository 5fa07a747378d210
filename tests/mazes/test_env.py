"""The environment: a walk by hand, chances against the model, seeds, time limit, mistakes."""

import gymnasium as gym
import mazes
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from mazes import maps
from mazes.dynamics import ADDING, DOWN, LEFT, RIGHT, UP, Rewards, outcomes
from mazes.env import MazeEnv
from mazes.grid import Maze
from mazes.observe import KINDS

WAY = [RIGHT, RIGHT, DOWN, DOWN, RIGHT, RIGHT, UP, UP]  # through classic


def episode(env, actions, seed=None):
    state, _ = env.reset(seed=seed)
    steps = [state]
    for action in actions:
        obs, reward, terminated, truncated, _ = env.step(action)
        steps.append((np.asarray(obs).tolist(), reward, terminated, truncated))
        if terminated or truncated:
            break
    return steps


# --- by hand


def test_the_shortest_way_through_classic():
    env = gym.make("mazes/Maze-v0", maze="classic", slip=0.0)
    rewards = [-1.0] * 7 + [10.0]
    states = [1, 2, 7, 12, 13, 14, 9, 4]
    expected = [(state, reward, state == 4, False) for state, reward in zip(states, rewards, strict=True)]
    assert episode(env, WAY) == [0, *expected]


def test_a_bump_stays_and_pays():
    env = gym.make("mazes/Maze-v0", rewards=ADDING)
    env.reset()
    assert env.step(UP) == (0, pytest.approx(-1.1), False, False, {})
    assert env.step(int(RIGHT)) == (1, pytest.approx(-0.1), False, False, {})
    assert env.step(DOWN) == (1, pytest.approx(-1.1), False, False, {})


def test_a_fall_goes_back_and_the_walk_goes_on():
    env = gym.make("mazes/Maze-v0", maze="cliff", rewards=Rewards(bump=-1, goal=-1))
    start, _ = env.reset()
    assert start == 36
    assert env.step(RIGHT) == (36, -100.0, False, False, {})
    assert env.step(UP)[:3] == (24, -1.0, False)


def test_arguments_have_their_defaults():
    env = gym.make("mazes/Maze-v0").unwrapped
    assert isinstance(env, MazeEnv)
    assert (env.maze, env.slip, env.rewards) == (maps.load("classic"), 0.0, mazes.dynamics.REPLACING)
    assert env.observation_space == gym.spaces.Discrete(25)
    assert env.action_space == gym.spaces.Discrete(4)


@pytest.mark.parametrize(
    "maze", ["two-paths", maps.load("two-paths"), maps.load("two-paths").to_text()], ids=["name", "maze", "text"]
)
def test_a_maze_by_name_as_itself_or_as_text(maze):
    assert gym.make("mazes/Maze-v0", maze=maze).unwrapped.maze == maps.load("two-paths")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_observation_tells_of_the_same_walk(kind):
    env = gym.make("mazes/Maze-v0", observation=kind)
    observe = mazes.observe.observer(maps.load("classic"), kind)[1]
    seen = episode(env, WAY)
    assert np.array_equal(seen[0], observe(0))
    assert [step[0] for step in seen[1:]] == [np.asarray(observe(s)).tolist() for s in (1, 2, 7, 12, 13, 14, 9, 4)]


def test_the_window_takes_its_radius():
    assert gym.make("mazes/Maze-v0", observation="window", radius=2).observation_space.shape == (25,)


# --- the model


def test_the_model_has_the_outcomes_of_every_state_and_action():
    env = gym.make("mazes/Maze-v0", maze="four-rooms", slip=0.3, rewards=ADDING).unwrapped
    assert list(env.P) == list(range(169))
    for state, moves in env.P.items():
        assert list(moves) == [0, 1, 2, 3]
        for action, listed in moves.items():
            assert listed == outcomes(env.maze, state, action, slip=0.3, rewards=ADDING)


def test_the_model_is_made_when_asked_for():
    env = gym.make("mazes/Maze-v0").unwrapped
    assert "P" not in vars(env)
    assert env.P is env.P


@pytest.mark.parametrize("slip", [0.0, 0.4, 1.0])
def test_steps_come_as_often_as_the_model_says(slip):
    env = MazeEnv("open", slip=slip)
    env.reset(seed=0)
    for action in (UP, RIGHT, DOWN, LEFT):
        reached = []
        for _ in range(3000):
            env.reset()
            env.step(RIGHT if slip < 1 else DOWN)
            reached.append((env._state, *env.step(action)[:3]))
        for before in {state for state, *_ in reached}:
            ends = [tuple(end) for state, *end in reached if state == before]
            expected = {tuple(o[1:]): o.probability for o in env.P[before][action]}
            assert set(ends) <= set(expected)
            for end, p in expected.items():
                assert ends.count(end) / len(ends) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / len(ends)) + 1e-9)


# --- seeds


def test_the_same_seed_gives_the_same_episode():
    actions = np.random.default_rng(0).integers(0, 4, 300).tolist()
    first, second, other = (gym.make("mazes/Maze-v0", maze="four-rooms", slip=0.5) for _ in range(3))
    assert episode(first, actions, seed=7) == episode(second, actions, seed=7)
    assert episode(first, actions, seed=7) != episode(other, actions, seed=8)


def test_a_seed_forgets_what_was_drawn_before():
    actions = [RIGHT, DOWN] * 20
    used, new = (gym.make("mazes/Maze-v0", maze="four-rooms", slip=0.5) for _ in range(2))
    episode(used, actions, seed=1)
    assert episode(used, actions, seed=2) == episode(new, actions, seed=2)


def test_without_a_seed_the_chances_go_on():
    actions = [RIGHT, DOWN] * 20
    env, again = (gym.make("mazes/Maze-v0", maze="four-rooms", slip=0.5) for _ in range(2))
    one, two = episode(env, actions, seed=1), episode(env, actions)
    assert one != two
    assert (episode(again, actions, seed=1), episode(again, actions)) == (one, two)


def test_more_steps_than_were_drawn_ahead():
    env = MazeEnv("open", slip=0.5)
    env.reset(seed=0)
    bumps = sum(env.step(UP)[1] == -5.0 for _ in range(3000))
    assert 0 < bumps < 3000


# --- the ends


def test_the_time_limit_truncates_and_does_not_terminate():
    env = gym.make("mazes/Maze-v0")
    env.reset()
    ends = [env.step(UP)[2:4] for _ in range(500)]
    assert ends == [(False, False)] * 499 + [(False, True)]


def test_another_time_limit():
    env = gym.make("mazes/Maze-v0", max_episode_steps=3)
    env.reset()
    assert [env.step(UP)[3] for _ in range(3)] == [False, False, True]


def test_nothing_happens_after_the_goal():
    env = MazeEnv(Maze.from_text("SG"))
    env.reset()
    assert env.step(RIGHT) == (1, 10.0, True, False, {})
    assert env.step(LEFT) == (1, 0.0, True, False, {})


# --- rendering


def test_rendering():
    env = gym.make("mazes/Maze-v0", render_mode="ansi")
    env.reset()
    env.step(RIGHT)
    assert env.render() == "S@ #G\n # # \n #   \n   # \n #   "
    env = gym.make("mazes/Maze-v0", render_mode="rgb_array")
    env.reset()
    before, _ = env.render(), env.step(RIGHT)
    assert before.shape == (160, 160, 3)
    assert (before != env.render()).any(axis=(1, 2)).nonzero()[0].max() < 32  # only the first row of cells changed


def test_rendering_without_a_mode_warns():
    env = MazeEnv()
    env.reset()
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


# --- mistakes


@pytest.mark.parametrize("action", [-1, 4, 1.5, None, "up", [1]])
@pytest.mark.parametrize("slip", [0.0, 0.5])
def test_an_unknown_action_is_refused_and_changes_nothing(action, slip):
    env = gym.make("mazes/Maze-v0", slip=slip)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action must be 0 .* got"):
        env.step(action)
    assert env.unwrapped._state == 0


@pytest.mark.parametrize("action", [np.int64(1), np.array(1), np.uint8(1), RIGHT])
def test_actions_out_of_arrays_are_fine(action):
    env = gym.make("mazes/Maze-v0")
    env.reset()
    obs, reward, terminated, truncated, _ = env.step(action)
    assert (obs, reward, terminated, truncated) == (1, -1.0, False, False)
    assert type(obs) is int
    assert type(reward) is float


@pytest.mark.parametrize("use", [lambda env: env.step(0), lambda env: env.render()])
def test_a_reset_comes_first(use):
    with pytest.raises(ResetNeeded, match="call reset"):
        use(gym.make("mazes/Maze-v0", render_mode="ansi"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"maze": "clasic"}, "name must be one of classic"),
        ({"maze": "S#\n#G"}, "no way"),
        ({"slip": 1.5}, "slip must be"),
        ({"observation": "pixels"}, "observation must be one of"),
        ({"observation": "window", "radius": 0}, "radius must be"),
        ({"render_mode": "human"}, "render_mode must be"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MazeEnv(**arguments)


def test_the_docstring_has_gymnasiums_sections():
    sections = [line.strip() for line in MazeEnv.__doc__.splitlines() if line.strip().startswith("## ")]
    assert sections == [
        "## Description",
        "## Action Space",
        "## Observation Space",
        "## Starting State",
        "## Rewards",
        "## Episode End",
        "## Information",
        "## Arguments",
        "## Version History",
    ]
