"""Dyna-Q: the model and its planning steps by hand and by definition, whole runs against the published box, mazes."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from mazelm.search.dyna import DynaConfig, LastSeenModel, choose_among_best, dyna_q, planning_step
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Transition, uniforms
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values, value_iteration
from mazelm.tabular.problems.dyna_mazes import BLOCKING, DYNA, OPEN_BOTH, SHORTCUT, ShiftingMaze, outcomes
from mazelm.tabular.td import zeros
from mazes.dynamics import Action, Rewards
from mazes.dynamics import outcomes as maze_outcomes
from mazes.grid import Maze, distances

transitions = st.lists(
    st.builds(
        Transition,
        st.integers(0, 3),
        st.integers(0, 2),
        st.integers(-3, 3).map(float),
        st.integers(0, 3),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)
draws = st.floats(0, 1, exclude_max=True)


def table_for(seed=0, rows=4, actions=3):
    return np.random.default_rng(seed).integers(-9, 9, size=(rows, actions)).astype(float).tolist()


def taught(steps, **settings):
    model = LastSeenModel(**settings)
    for step in steps:
        model.observe(step)
    return model


def slow_sample(steps, draw):
    """States in the order of their first visit, actions in the order of their first trial: state first, then action."""
    states = list(dict.fromkeys(step.state for step in steps))
    place = draw * len(states)
    state = states[int(place)]
    actions = list(dict.fromkeys(step.action for step in steps if step.state == state))
    action = actions[int((place % 1) * len(actions))]
    return [step for step in steps if (step.state, step.action) == (state, action)][-1]


# --- the model


def test_last_seen_by_hand():
    first, second, third = (
        Transition(0, 1, 5.0, 2, False),
        Transition(2, 0, 1.0, 0, True),
        Transition(0, 1, 7.0, 3, False),
    )
    model = taught([first, second, third])
    assert model.outcomes == {(0, 1): third, (2, 0): second}
    assert (model.steps, model.last_tried) == (3, {(0, 1): 3, (2, 0): 2})
    assert (model.time_since((0, 1)), model.time_since((2, 0))) == (0, 1)
    assert [model.sample(draw) for draw in (0.0, 0.49, 0.5, 0.99)] == [third, third, second, second]


@given(transitions, draws)
def test_eq_dyna_model(steps, draw):
    model = taught(steps)
    table = {}
    for step in steps:
        table[step.state, step.action] = step
    assert model.outcomes == table
    assert model.sample(draw) == slow_sample(steps, draw)


def test_states_are_drawn_first_and_then_their_actions():
    """A state of one known action is drawn as often as one of three."""
    model = taught([Transition(0, a, 0.0, 1, False) for a in range(3)] + [Transition(1, 0, 0.0, 0, False)])
    drawn = [model.sample((i + 0.5) / 6000) for i in range(6000)]
    assert [
        sum(step.state == s and step.action == a for step in drawn) for s, a in ((0, 0), (0, 1), (0, 2), (1, 0))
    ] == [
        1000,
        1000,
        1000,
        3000,
    ]


def test_actions_never_taken_lead_back_and_pay_nothing():
    model = taught([Transition(1, 2, 4.0, 0, False)], n_actions=3)
    assert model.outcomes == {
        (1, 0): Transition(1, 0, 0.0, 1, False),
        (1, 1): Transition(1, 1, 0.0, 1, False),
        (1, 2): Transition(1, 2, 4.0, 0, False),
    }
    assert [model.time_since((1, a)) for a in range(3)] == [1, 1, 0]


# --- planning


@given(transitions, draws, st.sampled_from([0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0]))
def test_eq_dyna_planning(steps, draw, step_size, discount):
    q, model = table_for(), taught(steps)
    before = np.array(q)
    td_error = planning_step(q, model, draw, step_size=step_size, discount=discount)
    s, a, reward, following, terminated = slow_sample(steps, draw)
    target = reward + (0.0 if terminated else discount * before[following].max())
    expected = before.copy()
    expected[s, a] = (1 - step_size) * before[s, a] + step_size * target
    assert np.allclose(q, expected)
    assert td_error == pytest.approx(target - before[s, a])


@given(transitions, draws, st.sampled_from([0.1, 2.0]))
def test_eq_dyna_bonus(steps, draw, bonus):
    """Planning sees a reward that is larger by κ√τ; the model keeps what was paid."""
    q, plain, model = table_for(1), table_for(1), taught(steps, n_actions=3)
    remembered = dict(model.outcomes)
    step = model.sample(draw)
    tried = [k for k, seen in enumerate(steps, 1) if (seen.state, seen.action) == (step.state, step.action)]
    waited = len(steps) - (tried[-1] if tried else 0)
    with_bonus = planning_step(q, model, draw, step_size=0.5, discount=0.9, bonus=bonus)
    without = planning_step(plain, model, draw, step_size=0.5, discount=0.9)
    assert with_bonus - without == pytest.approx(bonus * waited**0.5)
    assert model.outcomes == remembered


@given(st.lists(st.integers(0, 2).map(float), min_size=1, max_size=5), st.sampled_from([0.0, 0.3, 1.0]), draws, draws)
def test_choosing_among_best(row, epsilon, draw, tie):
    action = choose_among_best(row, epsilon, draw, tie)
    best = [a for a, value in enumerate(row) if value == max(row)]
    expected = int(draw / epsilon * len(row)) if draw < epsilon else best[int(tie * len(best))]
    assert action == expected


# --- whole runs


def slow_dyna(env, q, config, rng):
    """The box of section 8.2, line by line, with the same random numbers."""
    draws, plans = uniforms(rng), uniforms(rng.spawn(1)[0])
    env.reset(seed=int(rng.integers(2**31)))
    seen, records = [], []
    for _ in range(config.episodes):
        state, _ = env.reset()
        steps, over = 0, False
        while not over:
            action = choose_among_best(q[state], config.epsilon, next(draws), next(draws))
            following, reward, terminated, truncated, _ = env.step(action)
            target = reward + config.discount * (1 - terminated) * max(q[following])
            q[state][action] += config.step_size * (target - q[state][action])
            seen.append(Transition(state, action, reward, following, terminated))
            for _ in range(config.planning_steps):
                s, a, r, to, ended = slow_sample(seen, next(plans))
                target = r + config.discount * (1 - ended) * max(q[to])
                q[s][a] += config.step_size * (target - q[s][a])
            state, steps, over = following, steps + 1, terminated or truncated
        records.append(steps)
    return records


@pytest.mark.parametrize("n", [0, 3])
def test_a_run_is_the_published_box(n):
    mdp = TabularMDP.from_outcomes(outcomes(DYNA))
    costs = TabularMDP(mdp.transitions, 8 * mdp.rewards - 1, mdp.terminations)  # something to learn in every step
    config = DynaConfig(episodes=6, planning_steps=n, discount=0.9, step_size=0.5)
    q, slow = zeros(54, 4), zeros(54, 4)
    near_goal = TabularEnv(costs, start=3 * 9 + 6)
    records = list(dyna_q(TimeLimit(near_goal, 60), q, config, rng=np.random.default_rng(2)))
    lengths = slow_dyna(TimeLimit(near_goal, 60), slow, config, np.random.default_rng(2))
    assert [record.steps for record in records] == lengths
    assert {record.terminated for record in records} == {True, False}
    assert np.allclose(q, slow, atol=1e-12)
    assert np.array(q).max() > 0 > np.array(q).min()


def test_the_first_walk_does_not_depend_on_planning():
    lengths = set()
    for n in (0, 2, 9):
        run = dyna_q(ShiftingMaze(DYNA), zeros(54, 4), DynaConfig(planning_steps=n), rng=np.random.default_rng(3))
        lengths.add(next(run).steps)
    assert len(lengths) == 1


@pytest.mark.parametrize("n", [0, 5])
def test_truncated_is_not_terminated(n):
    """One state that pays 1 for ever, cut after every second step: its value is 1 / (1 − γ) = 2."""
    endless = TimeLimit(TabularEnv(TabularMDP(np.ones((1, 1, 1)), np.ones((1, 1)))), max_episode_steps=2)
    q = zeros(1, 1)
    config = DynaConfig(episodes=200, step_size=0.5, discount=0.5, planning_steps=n)
    records = list(dyna_q(endless, q, config, rng=np.random.default_rng(0)))
    assert q[0][0] == pytest.approx(2.0)
    assert all(record == (2.0, 2, False) for record in records)


def test_a_model_goes_on():
    model, q = LastSeenModel(), zeros(54, 4)
    config = DynaConfig(planning_steps=1)
    walks = [next(dyna_q(ShiftingMaze(DYNA), q, config, rng=np.random.default_rng(s), model=model)) for s in (0, 1)]
    assert model.steps == sum(walk.steps for walk in walks)


def test_what_was_planned_is_the_exact_solution(unchecked):
    """In a world without chance the model is exact: with α = 1 and enough planning Q is Q* for every pair tried."""
    q, model = zeros(54, 4), LastSeenModel()
    config = DynaConfig(episodes=3, epsilon=1.0, step_size=1.0, discount=0.9, planning_steps=20)
    list(dyna_q(ShiftingMaze(DYNA), q, config, rng=np.random.default_rng(1), model=model))
    mdp = TabularMDP.from_outcomes(outcomes(DYNA))
    best_q = mdp.q_values(value_iteration(mdp, discount=0.9, tolerance=1e-10).values, discount=0.9)
    tried = tuple(np.array(list(model.outcomes)).T)
    assert len(model.outcomes) > 170  # of the 184 pairs of the 46 cells where one acts
    assert np.array(q)[tried] == pytest.approx(best_q[tried], abs=1e-9)


def test_a_bonus_brings_the_shortcut(unchecked):
    found = {}
    for bonus in (0.0, 1e-3):
        env, q = ShiftingMaze(*SHORTCUT, changes=[1500]), zeros(54, 4)
        config = DynaConfig(episodes=10_000, discount=0.95, step_size=1.0, planning_steps=10, bonus=bonus)
        lengths = []
        for walk in dyna_q(TimeLimit(env, 4000), q, config, rng=np.random.default_rng(3)):
            lengths.append(walk.steps)
            if env.steps > 4000:
                break
        found[bonus] = np.median(lengths[-20:])
    assert found[0.0] >= 16 > 13 > found[1e-3] >= 10


# --- the mazes


@pytest.mark.parametrize(("text", "shortest"), [(DYNA, 14), (BLOCKING[0], 10), (BLOCKING[1], 16), (OPEN_BOTH, 10)])
def test_the_mazes_are_those_of_the_book(text, shortest):
    maze = Maze.from_text(text)
    assert (maze.rows, maze.cols, maze.goal) == (6, 9, (0, 8))
    assert distances(maze)[maze.index(*maze.start)] == shortest
    rewards = Rewards(step=0, bump=0, goal=1)
    theirs = [[maze_outcomes(maze, s, a, rewards=rewards) for a in Action] for s in range(maze.n_states)]
    ours = outcomes(text)
    for s, a in np.ndindex(54, 4):
        (probability, following, reward, ended), (other,) = ours[s][a][0], theirs[s][a]
        assert (probability, reward, ended) == (other.probability, other.reward, other.terminated)
        assert following == other.next_state


def test_walls_of_the_published_figures():
    def walls(text):
        return {tuple(map(int, cell)) for cell in np.argwhere(Maze.from_text(text).walls)}

    assert walls(DYNA) == {(1, 2), (2, 2), (3, 2), (0, 7), (1, 7), (2, 7), (4, 5)}
    assert Maze.from_text(DYNA).start == (2, 0)
    assert walls(BLOCKING[0]) == {(3, col) for col in range(8)}
    assert walls(BLOCKING[1]) == walls(SHORTCUT[0]) == {(3, col) for col in range(1, 9)}
    assert walls(SHORTCUT[1]) == {(3, col) for col in range(1, 8)}
    assert Maze.from_text(BLOCKING[0]).start == (5, 3)


def test_the_first_walk_takes_869_steps_on_average(unchecked):
    mdp = TabularMDP.from_outcomes(outcomes(DYNA))
    clock = TabularMDP(mdp.transitions, -np.ones((54, 4)), mdp.terminations)
    mean = -exact_values(clock, np.full((54, 4), 0.25), discount=1.0)[18]
    assert mean == pytest.approx(868.725, abs=1e-3)
    config, first = DynaConfig(planning_steps=0), []
    for seed in range(200):
        first.append(next(dyna_q(ShiftingMaze(DYNA), zeros(54, 4), config, rng=np.random.default_rng(seed))).steps)
    assert np.mean(first) == pytest.approx(mean, abs=4 * 789 / 200**0.5)


def test_walls_move_when_the_time_has_come():
    env = ShiftingMaze(*BLOCKING, changes=[3])
    env.reset()
    up, right, down = 0, 1, 2
    assert [env.step(a)[0] for a in (up, up, down, up)] == [
        39,
        39,
        48,
        39,
    ]  # (4, 3) is under the wall, before and after
    for _ in range(5):
        state = env.step(right)[0]
    assert state == 4 * 9 + 8
    assert env.step(up)[0] == state  # the gap on the right is closed
    before = ShiftingMaze(BLOCKING[0])
    before.reset()
    for a in [up] + [right] * 5:
        before.step(a)
    assert before.step(up)[0] == 3 * 9 + 8


@pytest.mark.parametrize(("change", "reached"), [(6, 44), (7, 35)])
def test_the_change_comes_after_exactly_so_many_steps(change, reached):
    env = ShiftingMaze(*BLOCKING, changes=[change])
    env.reset()
    up, right = 0, 1
    for a in [up] + [right] * 5:
        env.step(a)
    assert env.step(up)[0] == reached  # the seventh step


def test_a_wall_waits_until_its_cell_is_free():
    env = ShiftingMaze(*BLOCKING, changes=[7])
    env.reset()
    up, right, down = 0, 1, 2
    for a in [up] + [right] * 5 + [up]:
        state = env.step(a)[0]
    assert (state, env.steps) == (35, 7)
    assert env.step(right)[0] == 35  # it stands in the gap; the wall waits
    assert env.step(down)[0] == 44
    assert env.step(up)[0] == 44


def test_a_run_repeats_and_the_goal_pays():
    runs = [
        list(dyna_q(ShiftingMaze(DYNA), zeros(54, 4), DynaConfig(episodes=5), rng=np.random.default_rng(7)))
        for _ in "ab"
    ]
    assert runs[0] == runs[1]
    assert all(walk.total == 1.0 and walk.terminated for walk in runs[0])


# --- bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"planning_steps": -1}, "planning_steps must not be negative, got -1"),
        ({"bonus": -0.5}, "bonus must not be negative, got -0.5"),
        ({"bonus": float("nan")}, "bonus must not be negative, got nan"),
        ({"step_size": 0.0}, "step_size must be in"),
        ({"epsilon": 1.5}, "epsilon must be in"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        DynaConfig(**settings)


def test_bad_arguments():
    with pytest.raises(ValueError, match="row of its own"):
        next(dyna_q(ShiftingMaze(DYNA), [[0.0] * 4] * 54, DynaConfig(), rng=np.random.default_rng(0)))
    with pytest.raises(ValueError, match="numbered from 0"):
        next(dyna_q(gym.make("CartPole-v1"), zeros(2, 2), DynaConfig(), rng=np.random.default_rng(0)))
    for changes in ([], [1, 2], [5, 3]):
        with pytest.raises(ValueError, match="changes must be one rising number"):
            ShiftingMaze(*BLOCKING, *([DYNA] if changes == [5, 3] else []), changes=changes)
    with pytest.raises(ValueError, match="6 rows of 9 cells, got 2 cells"):
        ShiftingMaze("SG")
    env = ShiftingMaze(DYNA)
    with pytest.raises(ValueError, match="action must be from 0 to 3, got 4"):
        env.step(4)
