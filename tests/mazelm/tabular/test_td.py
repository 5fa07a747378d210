"""TD learning: updates by hand, loops against slow ones, the two ends of an episode, and where it all leads."""

import math

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
from gymnasium.spaces import Discrete
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Transition, epsilon_greedy_probabilities
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values, value_iteration
from mazelm.tabular.td import (
    ExpectedSarsaConfig,
    TDConfig,
    TDControlConfig,
    double_q_learning,
    double_q_update,
    expected_sarsa,
    expected_sarsa_update,
    q_learning,
    q_learning_update,
    sarsa,
    sarsa_update,
    td_prediction,
    td_update,
    zeros,
)
from mazes.generate import random_maze

STEP = Transition(0, 1, -1.0, 2, False)
LAST = STEP._replace(terminated=True)
SETTINGS = {"step_size": 0.5, "discount": 0.9}
CONTROL = {"sarsa": sarsa, "expected_sarsa": expected_sarsa, "q_learning": q_learning}


def table():
    return [[4.0, 10.0, 0.0], [50.0, 60.0, 70.0], [8.0, 20.0, -4.0]]


def config_for(name, **settings):
    return ExpectedSarsaConfig(**settings) if name == "expected_sarsa" else TDControlConfig(**settings)


def control(name, env, q, rng, **settings):
    """Run a learner of one table, or Double Q-learning on a pair of them, to its end."""
    config = config_for(name, **settings)
    if name == "double_q_learning":
        return list(double_q_learning(env, q, config, rng=rng))
    return list(CONTROL[name](env, q, config, rng=rng))


# --- one update by hand


def test_td_update_by_hand():
    values = [10.0, 70.0, 20.0]
    error = td_update(values, STEP, **SETTINGS)
    assert error == pytest.approx(-1 + 0.9 * 20 - 10, rel=1e-15)
    assert values == [10 + 0.5 * 7, 70.0, 20.0]


def test_sarsa_update_by_hand():
    q = table()
    assert sarsa_update(q, STEP, 2, **SETTINGS) == pytest.approx(-1 + 0.9 * -4 - 10, rel=1e-15)
    assert q[0][1] == pytest.approx(10 + 0.5 * -14.6, rel=1e-15)
    q[0][1] = 10.0
    assert q == table()  # one entry and no other


def test_expected_sarsa_update_by_hand():
    q = table()
    mean = 0.1 * 8 + 0.8 * 20 + 0.1 * -4  # ε = 0.3 is 0.1 for each of three actions, and 0.7 more for the best
    error = expected_sarsa_update(q, STEP, epsilon=0.3, **SETTINGS)
    assert error == pytest.approx(-1 + 0.9 * mean - 10, rel=1e-14)
    assert q[0][1] == pytest.approx(10 + 0.5 * error, rel=1e-14)


def test_q_learning_update_by_hand():
    q = table()
    assert q_learning_update(q, STEP, **SETTINGS) == pytest.approx(-1 + 0.9 * 20 - 10, rel=1e-15)
    assert q[0][1] == pytest.approx(13.5, rel=1e-15)


def test_double_q_update_by_hand():
    q, judge = table(), [[1.0] * 3, [2.0] * 3, [30.0, 6.0, 40.0]]
    error = double_q_update(q, judge, STEP, **SETTINGS)  # this table says action 1, the judge says 6
    assert error == pytest.approx(-1 + 0.9 * 6 - 10, rel=1e-15)
    assert q[0][1] == pytest.approx(10 + 0.5 * error, rel=1e-15)
    assert judge == [[1.0] * 3, [2.0] * 3, [30.0, 6.0, 40.0]]


def test_nothing_follows_the_end():
    error = -1 - 10
    assert td_update([10.0, 70.0, 20.0], LAST, **SETTINGS) == error
    assert sarsa_update(table(), LAST, 1, **SETTINGS) == error
    assert expected_sarsa_update(table(), LAST, epsilon=0.3, **SETTINGS) == error
    assert q_learning_update(table(), LAST, **SETTINGS) == error
    assert double_q_update(table(), table(), LAST, **SETTINGS) == error


# --- the labelled equations, transcribed


numbers = st.floats(-10, 10)
unit = st.floats(0.01, 1)


@st.composite
def situations(draw):
    """A table of three states and four actions, a step in it, and settings."""
    q = [draw(st.lists(numbers, min_size=4, max_size=4)) for _ in range(3)]
    state, next_state, action = draw(st.integers(0, 2)), draw(st.integers(0, 2)), draw(st.integers(0, 3))
    step = Transition(state, action, draw(numbers), next_state, draw(st.booleans()))
    return q, step, {"step_size": draw(unit), "discount": draw(unit)}


def moved(q, step, following, settings):
    """What Q(s, a) becomes when `following` is believed to follow."""
    target = step.reward + (0.0 if step.terminated else settings["discount"] * following)
    return (1 - settings["step_size"]) * q[step.state][step.action] + settings["step_size"] * target


@given(situations())
def test_eq_td_update(situation):
    q, step, settings = situation
    values = [row[0] for row in q]
    expected = moved([[value] for value in values], step._replace(action=0), values[step.next_state], settings)
    before = values[step.state]
    error = td_update(values, step, **settings)
    assert values[step.state] == pytest.approx(expected, abs=1e-12)
    assert error == pytest.approx((expected - before) / settings["step_size"], abs=1e-9)


@given(situations(), st.integers(0, 3))
def test_eq_sarsa(situation, next_action):
    q, step, settings = situation
    expected = moved(q, step, q[step.next_state][next_action], settings)
    sarsa_update(q, step, next_action, **settings)
    assert q[step.state][step.action] == pytest.approx(expected, abs=1e-12)


@given(situations(), st.floats(0, 1))
def test_eq_expected_sarsa(situation, epsilon):
    q, step, settings = situation
    policy = epsilon_greedy_probabilities(np.array(q), epsilon)[step.next_state]
    following = sum(policy[b] * q[step.next_state][b] for b in range(4))
    expected = moved(q, step, following, settings)
    expected_sarsa_update(q, step, epsilon=epsilon, **settings)
    assert q[step.state][step.action] == pytest.approx(expected, abs=1e-12)


@given(situations())
def test_eq_q_learning(situation):
    q, step, settings = situation
    best = -math.inf
    for b in range(4):
        best = q[step.next_state][b] if q[step.next_state][b] > best else best
    expected, other = moved(q, step, best, settings), [list(row) for row in q]
    error = q_learning_update(q, step, **settings)
    assert q[step.state][step.action] == pytest.approx(expected, abs=1e-12)
    assert expected_sarsa_update(other, step, epsilon=0.0, **settings) == pytest.approx(error, abs=1e-12)


@given(situations(), st.lists(st.lists(numbers, min_size=4, max_size=4), min_size=3, max_size=3))
def test_eq_double_q(situation, judge):
    q, step, settings = situation
    chosen = int(np.argmax(q[step.next_state]))
    expected = moved(q, step, judge[step.next_state][chosen], settings)
    double_q_update(q, judge, step, **settings)
    assert q[step.state][step.action] == pytest.approx(expected, abs=1e-12)


# --- each loop against a slow one with the same random numbers


def noisy_world():
    """Six states and three actions with random outcomes, of which some end the task; cut after nine steps."""
    chance = np.random.default_rng(7)
    kept = chance.dirichlet(np.ones(7), size=(6, 3))
    mdp = TabularMDP(kept[..., :6], chance.normal(size=(6, 3)), kept[..., 6])
    return TimeLimit(TabularEnv(mdp, start=2), 9)


class Dice:
    """One uniform number after another, from blocks of 1,024, as the learners draw them."""

    def __init__(self, rng):
        self.rng, self.left = rng, []

    def roll(self):
        if not self.left:
            self.left = list(self.rng.random(1024))[::-1]
        return float(self.left.pop())

    def choose(self, row, epsilon):
        roll = self.roll()
        if roll < epsilon:
            return math.floor(roll / epsilon * len(row))
        return min(a for a in range(len(row)) if row[a] == max(row))


def slow_run(name, env, tables, rng, episodes, alpha, gamma, epsilon, target_epsilon=None):
    """Every learner in one loop of ifs. The tables are dictionaries with a key for each state and action."""
    seed, dice, records = int(rng.integers(2**31)), Dice(rng), []
    actions = range(3)

    def row(state):
        return [sum(q[state, a] for q in tables) for a in actions]

    for episode in range(episodes):
        state, _ = env.reset(seed=seed) if episode == 0 else env.reset()
        action = dice.choose(row(state), epsilon) if name == "sarsa" else None
        total, steps, over = 0.0, 0, False
        while not over:
            if name != "sarsa":
                action = dice.choose(row(state), epsilon)
            s2, reward, terminated, truncated, _ = env.step(action)
            changed, judge = tables[0], tables[-1]
            next_action = dice.choose(row(s2), epsilon) if name == "sarsa" else None
            if name == "double_q_learning" and dice.roll() >= 0.5:
                changed, judge = judge, changed
            greedy = max(actions, key=lambda a, s2=s2, changed=changed: changed[s2, a])
            if terminated:
                following = 0.0
            elif name == "sarsa":
                following = changed[s2, next_action]
            elif name == "expected_sarsa":
                chances = [target_epsilon / 3 + (1 - target_epsilon) * (a == greedy) for a in actions]
                following = sum(chances[a] * changed[s2, a] for a in actions)
            else:
                following = judge[s2, greedy]
            changed[state, action] += alpha * (reward + gamma * following - changed[state, action])
            state, action, total, steps, over = s2, next_action, total + reward, steps + 1, terminated or truncated
        records.append((pytest.approx(total, abs=1e-10), steps, terminated))
    return records


@pytest.mark.parametrize(
    ("name", "target_epsilon"),
    [
        ("sarsa", None),
        ("expected_sarsa", None),
        ("expected_sarsa", 0.6),
        ("q_learning", None),
        ("double_q_learning", None),
    ],
)
def test_loop_by_definition(name, target_epsilon):
    count = 2 if name == "double_q_learning" else 1
    slow = [{(s, a): 0.0 for s in range(6) for a in range(3)} for _ in range(count)]
    fast = [zeros(6, 3) for _ in range(count)]
    settings = {"episodes": 300, "step_size": 0.2, "discount": 0.95, "epsilon": 0.3}
    more = {} if target_epsilon is None else {"target_epsilon": target_epsilon}
    want = slow_run(
        name, noisy_world(), slow, np.random.default_rng(3), 300, 0.2, 0.95, 0.3, more.get("target_epsilon", 0.3)
    )
    q = tuple(fast) if count == 2 else fast[0]
    got = control(name, noisy_world(), q, np.random.default_rng(3), **settings, **more)
    assert [tuple(episode) for episode in got] == want
    assert {episode.terminated for episode in got} == {True, False}  # both kinds of ending occurred
    for rows, entries in zip(fast, slow, strict=True):
        np.testing.assert_allclose(rows, [[entries[s, a] for a in range(3)] for s in range(6)], atol=1e-12)


def test_prediction_loop_by_definition():
    policy = np.random.default_rng(1).dirichlet(np.ones(3), size=6)
    policy[4] = [0.0, 1.0, 0.0]
    env, rng, slow = noisy_world(), np.random.default_rng(3), dict.fromkeys(range(6), 1.0)
    seed, dice, records = int(rng.integers(2**31)), Dice(rng), []
    for episode in range(300):
        state, _ = env.reset(seed=seed if episode == 0 else None)
        total, steps, over = 0.0, 0, False
        while not over:
            roll, action = dice.roll(), 0
            while roll >= sum(policy[state][: action + 1]):
                action += 1
            s2, reward, terminated, truncated, _ = env.step(action)
            target = reward if terminated else reward + 0.95 * slow[s2]
            slow[state] = slow[state] + 0.2 * (target - slow[state])
            state, total, steps, over = s2, total + reward, steps + 1, terminated or truncated
        records.append((pytest.approx(total, abs=1e-10), steps, terminated))
    values, config = [1.0] * 6, TDConfig(episodes=300, step_size=0.2, discount=0.95)
    got = list(td_prediction(noisy_world(), policy, values, config, rng=np.random.default_rng(3)))
    assert [tuple(episode) for episode in got] == records
    np.testing.assert_allclose(values, [slow[s] for s in range(6)], atol=1e-12)


def test_the_fast_loop_makes_the_update():
    """`q_learning` writes `q_learning_update` out; replayed on its steps, the function gives the same table."""

    class Recorder(gym.Wrapper):
        def reset(self, **how):
            self.state, info = self.env.reset(**how)
            return self.state, info

        def step(self, action):
            result = self.env.step(action)
            recorded.append(Transition(int(self.state), action, float(result[1]), int(result[0]), result[2]))
            self.state = result[0]
            return result

    recorded, fast, slow = [], zeros(6, 3), zeros(6, 3)
    control("q_learning", Recorder(noisy_world()), fast, np.random.default_rng(0), episodes=200, epsilon=0.5)
    for step in recorded:
        q_learning_update(slow, step, step_size=0.1, discount=0.99)
    assert fast == slow


# --- the end of the task and the end of the clock


class Chain(gym.Env):
    """Two states in a row. The only step of an episode goes from 0 to 1, pays 1, and ends as it is told."""

    observation_space, action_space = Discrete(2), Discrete(2)

    def __init__(self, *, terminated):
        self.terminated = terminated

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 1, 1.0, self.terminated, not self.terminated, {}


@pytest.mark.parametrize(("terminated", "following"), [(True, 0.0), (False, 20.0)])
def test_prediction_bootstraps_after_the_clock_only(terminated, following):
    values, config = [5.0, 20.0], TDConfig(episodes=1, step_size=1.0, discount=0.5)
    (episode,) = td_prediction(
        Chain(terminated=terminated), np.array([0, 0]), values, config, rng=np.random.default_rng(0)
    )
    assert values == [1 + 0.5 * following, 20.0]
    assert episode == (1.0, 1, terminated)


@pytest.mark.parametrize("name", ["sarsa", "expected_sarsa", "q_learning", "double_q_learning"])
@pytest.mark.parametrize("terminated", [True, False])
def test_control_bootstraps_after_the_clock_only(name, terminated):
    first, second = [[5.0, 4.0], [20.0, 40.0]], [[5.0, 4.0], [20.0, 40.0]]
    q = (first, second) if name == "double_q_learning" else first
    settings = {"episodes": 1, "step_size": 1.0, "discount": 0.5, "epsilon": 0.0}
    (episode,) = control(name, Chain(terminated=terminated), q, np.random.default_rng(0), **settings)
    want = 1.0 if terminated else 1 + 0.5 * 40.0
    changed = first if first[0][0] != 5.0 else second
    assert changed == [[want, 4.0], [20.0, 40.0]]
    assert episode == (1.0, 1, terminated)


class Endless(gym.Env):
    """One state; every step pays 1 and the task never ends. It is worth 1 / (1 − γ)."""

    observation_space, action_space = Discrete(1), Discrete(2)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, 1.0, False, False, {}


@pytest.mark.parametrize("name", ["td_prediction", "sarsa", "expected_sarsa", "q_learning", "double_q_learning"])
def test_a_time_limit_leaves_the_value_of_an_endless_task(name):
    """Whoever took the limit of five steps for the end would come to 1 + 0.9 + … at most: below 4.1, and not to 10."""
    env, rng = TimeLimit(Endless(), 5), np.random.default_rng(0)
    settings = {"episodes": 600, "step_size": 0.2, "discount": 0.9}
    if name == "td_prediction":
        values = [0.0]
        list(td_prediction(env, np.array([0]), values, TDConfig(**settings), rng=rng))
        assert values[0] == pytest.approx(10, abs=1e-6)
        return
    tables = (zeros(1, 2), zeros(1, 2))
    control(name, env, tables if name == "double_q_learning" else tables[0], rng, epsilon=0.2, **settings)
    for q in tables if name == "double_q_learning" else tables[:1]:
        assert max(q[0]) == pytest.approx(10, abs=1e-3)


# --- where it leads: without the checks of every call, which take ten times as long as the steps


SMALL = "S..\n..G"
MET = [0, 1, 2, 3, 4]  # all states but the goal


def small_maze():
    env = gym.make("mazes/Maze-v0", maze=SMALL, slip=0.2).unwrapped
    return env, TabularMDP.from_gymnasium(env)


def best_values(mdp, epsilon, discount):
    """V and Q of the best policy among those that explore with ε, by sweeps."""
    values = np.zeros(mdp.n_states)
    for _ in range(500):
        q = mdp.q_values(values, discount=discount)
        values = epsilon * q.mean(axis=1) + (1 - epsilon) * q.max(axis=1)
    return values, q


@pytest.mark.usefixtures("unchecked")
def test_td_estimates_lie_within_three_standard_errors_of_the_truth():
    """Over 50 seeds. The step sizes fall, in stages: with a constant one the mean of many runs is not the truth either,
    because the error at a step and the values that it meets come from the same walk. (With 0.1 to the end it is off by
    two to five standard errors.)
    """
    env, mdp = small_maze()
    policy = epsilon_greedy_probabilities(best_values(mdp, 0.0, 0.9)[1], 0.4)
    truth = exact_values(mdp, policy, discount=0.9)[MET]
    estimates = []
    for seed in range(50):
        values, rng = [0.0] * 6, np.random.default_rng(seed)
        for episodes, step_size in ((20, 0.3), (40, 0.1), (160, 0.02), (400, 0.01)):
            config = TDConfig(episodes=episodes, step_size=step_size, discount=0.9)
            list(td_prediction(env, policy, values, config, rng=rng))
        estimates.append(values)
    found = np.array(estimates)[:, MET]
    error = found.std(axis=0, ddof=1) / np.sqrt(50)
    assert (np.abs(found.mean(axis=0) - truth) < 3 * error).all()
    assert (error < 0.02 * np.ptp(truth)).all()  # and three standard errors are not much


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("seed", range(5))
def test_q_learning_finds_the_optimal_values_of_random_mazes(seed):
    maze = random_maze(7, 7, loops=0.5, rng=np.random.default_rng(seed))
    env = gym.make("mazes/Maze-v0", maze=maze).unwrapped
    mdp, q = TabularMDP.from_gymnasium(env), zeros(maze.n_states, 4)
    truth = mdp.q_values(value_iteration(mdp, discount=0.9, tolerance=1e-10).values, discount=0.9)
    config = {"episodes": 300, "step_size": 1.0, "discount": 0.9, "epsilon": 0.5}  # no chance: α = 1 is allowed
    control("q_learning", env, q, np.random.default_rng(seed), **config)
    best = np.array(q).argmax(axis=1)
    state = maze.index(*maze.start)
    while state != maze.index(*maze.goal):  # along the way that was found
        assert max(q[state]) == pytest.approx(truth[state].max(), abs=1e-9)
        state = env.P[state][best[state]][0].next_state


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["sarsa", "expected_sarsa", "q_learning", "double_q_learning"])
def test_learners_find_their_own_truth_where_steps_slip(name):
    """Q-learning and its double: Q*. Sarsa and Expected Sarsa: the best Q of those who must explore."""
    env, mdp = small_maze()
    truth = best_values(mdp, 0.4 if "sarsa" in name else 0.0, 0.9)[1][MET]
    tables, rng = (zeros(6, 4), zeros(6, 4)), np.random.default_rng(0)
    for step_size in (0.3, 0.1, 0.02, 0.005):
        config = {"episodes": 4000, "step_size": step_size, "discount": 0.9, "epsilon": 0.4}
        control(name, env, tables if name == "double_q_learning" else tables[0], rng, **config)
    for q in tables if name == "double_q_learning" else tables[:1]:
        assert np.abs(np.array(q)[MET] - truth).max() < 0.5
    apart = best_values(mdp, 0.4, 0.9)[1][MET] - best_values(mdp, 0.0, 0.9)[1][MET]
    assert np.abs(apart).max() > 1.0  # whoever learned the other truth would be seen


def test_expected_sarsa_with_a_greedy_target_is_q_learning():
    settings = {"episodes": 100, "step_size": 0.3, "discount": 0.9, "epsilon": 0.3}
    ours, theirs = zeros(6, 3), zeros(6, 3)
    control("expected_sarsa", noisy_world(), ours, np.random.default_rng(2), target_epsilon=0.0, **settings)
    control("q_learning", noisy_world(), theirs, np.random.default_rng(2), **settings)
    assert ours == theirs
    on_policy = zeros(6, 3)
    control("expected_sarsa", noisy_world(), on_policy, np.random.default_rng(2), **settings)
    assert on_policy != theirs


# --- how the loops behave


@pytest.mark.parametrize("name", ["td_prediction", "sarsa", "expected_sarsa", "q_learning", "double_q_learning"])
def test_only_the_first_reset_is_seeded(name):
    seeds = []

    class Watched(gym.Wrapper):
        def reset(self, *, seed=None, options=None):
            seeds.append(seed)
            return self.env.reset(seed=seed, options=options)

    rng = np.random.default_rng(5)
    if name == "td_prediction":
        list(td_prediction(Watched(noisy_world()), np.zeros(6, dtype=int), [0.0] * 6, TDConfig(episodes=4), rng=rng))
    else:
        q = (zeros(6, 3), zeros(6, 3)) if name == "double_q_learning" else zeros(6, 3)
        control(name, Watched(noisy_world()), q, rng, episodes=4)
    assert seeds == [int(np.random.default_rng(5).integers(2**31)), None, None, None]


def test_a_loop_runs_as_far_as_somebody_looks():
    q = zeros(6, 3)
    run = q_learning(noisy_world(), q, TDControlConfig(episodes=50), rng=np.random.default_rng(0))
    assert q == zeros(6, 3)
    next(run)
    after_one = [list(row) for row in q]
    assert after_one != zeros(6, 3)
    assert sum(1 for _ in run) == 49
    assert q != after_one


def test_rewards_of_any_kind_leave_python_floats():
    class Odd(Chain):
        def step(self, action):
            return 1, np.float32(0.1), True, False, {}

    q = zeros(2, 2)
    control("q_learning", Odd(terminated=True), q, np.random.default_rng(0), episodes=3, step_size=0.5)
    assert all(type(entry) is float for row in q for entry in row)


def test_epsilon_is_the_chance_of_any_action():
    counts = np.zeros(3)

    class Counting(Chain):
        action_space = Discrete(3)

        def step(self, action):
            counts[action] += 1
            return 1, 0.0, True, False, {}

    q = [[0.0, 1e6, 0.0], [0.0] * 3]
    control(
        "q_learning", Counting(terminated=True), q, np.random.default_rng(0), episodes=9000, epsilon=0.3, step_size=1e-9
    )
    want = 9000 * np.array([0.1, 0.8, 0.1])
    assert (np.abs(counts - want) < 4 * np.sqrt(want)).all()


# --- bad input


@pytest.mark.parametrize(
    ("config", "settings", "words"),
    [
        (TDConfig, {"episodes": 0}, "episodes.*0"),
        (TDConfig, {"step_size": 0.0}, "step_size.*0.0"),
        (TDConfig, {"step_size": 1.5}, "step_size.*1.5"),
        (TDConfig, {"discount": -0.1}, "discount.*-0.1"),
        (TDConfig, {"discount": 1.1}, "discount.*1.1"),
        (TDConfig, {"step_size": math.nan}, "step_size.*nan"),
        (TDControlConfig, {"epsilon": 1.2}, "epsilon.*1.2"),
        (TDControlConfig, {"step_size": 2.0}, "step_size.*2.0"),
        (ExpectedSarsaConfig, {"target_epsilon": -0.5}, "target_epsilon.*-0.5"),
        (ExpectedSarsaConfig, {"epsilon": -1.0}, "epsilon.*-1.0"),
    ],
)
def test_config_refuses(config, settings, words):
    with pytest.raises(ValueError, match=words):
        config(**settings)


@pytest.mark.parametrize("name", ["sarsa", "expected_sarsa", "q_learning", "double_q_learning"])
def test_shared_rows_are_refused(name):
    shared = [[0.0] * 3] * 6
    q = (zeros(6, 3), shared) if name == "double_q_learning" else shared
    with pytest.raises(ValueError, match="row of its own"):
        control(name, noisy_world(), q, np.random.default_rng(0), episodes=1)


def test_a_pair_with_one_table_twice_is_refused():
    q = zeros(6, 3)
    with pytest.raises(ValueError, match="row of its own"):
        control("double_q_learning", noisy_world(), (q, q), np.random.default_rng(0), episodes=1)


def test_prediction_refuses_a_policy_of_another_size():
    with pytest.raises(ValueError, match="policy"):
        next(td_prediction(noisy_world(), np.zeros(5, dtype=int), [0.0] * 6, TDConfig(), rng=np.random.default_rng(0)))
