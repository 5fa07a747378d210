"""Monte Carlo: by hand, by slow definitions, against exact values, at a time limit, and on bad input."""

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Episode, Trajectory, epsilon_greedy_probabilities, run_episode
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.monte_carlo import (
    ControlConfig,
    Estimate,
    PredictionConfig,
    exploring_starts,
    first_visits,
    glie_epsilon,
    learn_from_episode,
    monte_carlo_control,
    monte_carlo_prediction,
    update_mean,
)
from mazelm.tabular.planning import exact_values, value_iteration
from mazelm.tabular.problems.random_walk import random_walk

SMALL = "S...\n.#.#\n...G"  # two ways of five moves, and some corners to be lost in

# Twice through state 0: the returns at γ = 1/2 are −1 + ½·(2 + ½·4) = 1, 2 + ½·4 = 4 and 4.
LOOP = Trajectory(states=[0, 1, 0], actions=[1, 0, 1], rewards=[-1.0, 2.0, 4.0], last_state=2, terminated=True)

STEPS = st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-5, 5).map(float))  # state, action, reward
trajectories = st.lists(
    st.builds(
        lambda steps, last, terminated: Trajectory(*map(list, zip(*steps, strict=True)), last, terminated),
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-5, 5).map(float)), min_size=1, max_size=8
        ),
        st.integers(0, 2),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def slow_return(trajectory, t, discount, bootstrap):
    """The sum of what follows step t, written out; what follows a cut is worth `bootstrap`."""
    rewards = trajectory.rewards[t:]
    total = sum(discount**k * reward for k, reward in enumerate(rewards))
    return total if trajectory.terminated else total + discount ** len(rewards) * bootstrap


def slow_means(episodes, keys_of, discount, every_visit, bootstrap):
    """All returns of each key in a list, then the mean of each list."""
    lists = {}
    for trajectory in episodes:
        keys = keys_of(trajectory)
        for t, key in enumerate(keys):
            if every_visit or key not in keys[:t]:
                lists.setdefault(key, []).append(slow_return(trajectory, t, discount, bootstrap))
    return {key: (np.mean(found), len(found)) for key, found in lists.items()}


def maze(name=SMALL, limit=1000, **kwargs):
    return gym.make("mazes/Maze-v0", maze=name, max_episode_steps=limit, **kwargs)


def soften(mdp, epsilon):
    """The model whose actions are replaced by a random one with chance ε: its optimum is the best ε-soft policy."""

    def mix(table):
        return (1 - epsilon) * table + epsilon * table.mean(axis=1, keepdims=True)

    return TabularMDP(mix(mdp.transitions), mix(mdp.rewards), mix(mdp.terminations))


def careful_walk(env, epsilon=0.4):
    """An ε-greedy policy around the optimal one, and its exact values without discount."""
    mdp = TabularMDP.from_gymnasium(env)
    best = value_iteration(mdp, discount=1.0, tolerance=1e-10)
    policy = epsilon_greedy_probabilities(mdp.q_values(best.values, discount=1.0), epsilon)
    return mdp, policy, exact_values(mdp, policy, discount=1.0)


def run(loop):
    return list(loop)


# --- by hand


def test_a_mean_moves_toward_each_return():
    estimate = Estimate.blank(2)
    assert [update_mean(estimate, 1, sample) for sample in (6.0, 2.0, 1.0)] == [6.0, -4.0, -3.0]
    assert estimate.values.tolist() == [0.0, (6 + 2 + 1) / 3]
    assert estimate.counts.tolist() == [0, 3]


def test_first_visits_of_an_episode():
    assert first_visits([4, 7, 4, 4, 7, 1]) == [True, True, False, False, False, True]
    assert first_visits([(4, 0), (4, 1), (4, 0)]) == [True, True, False]


def test_one_episode_by_hand():
    first, every, pairs = Estimate.blank(3), Estimate.blank(3), Estimate.blank(3, 2)
    learn_from_episode(first, LOOP, discount=0.5)
    learn_from_episode(every, LOOP, discount=0.5, every_visit=True)
    learn_from_episode(pairs, LOOP, discount=0.5)
    assert first.values.tolist() == [1.0, 4.0, 0.0]
    assert every.values.tolist() == [(1 + 4) / 2, 4.0, 0.0]
    assert pairs.values.tolist() == [[0.0, 1.0], [4.0, 0.0], [0.0, 0.0]]
    assert (first.counts.tolist(), every.counts.tolist()) == ([1, 1, 0], [2, 1, 0])


def test_the_value_beyond_a_cut_counts_and_beyond_an_end_does_not():
    ended, cut = Estimate.blank(3), Estimate.blank(3)
    learn_from_episode(ended, LOOP, discount=0.5, bootstrap=8.0)
    learn_from_episode(cut, LOOP._replace(terminated=False), discount=0.5, bootstrap=8.0)
    assert ended.values.tolist() == [1.0, 4.0, 0.0]
    assert cut.values.tolist() == [1.0 + 8 / 8, 4.0 + 8 / 4, 0.0]


# --- by definition


def test_eq_incremental_mean():
    for seed in range(20):
        samples = np.random.default_rng(seed).normal(size=1 + seed)
        estimate = Estimate.blank(1)
        for n, sample in enumerate(samples, start=1):
            before = estimate.values[0]
            error = update_mean(estimate, 0, float(sample))
            assert error == pytest.approx(sample - before, abs=1e-12)
            assert estimate.values[0] == pytest.approx(before + (sample - before) / n, abs=1e-12)
            assert estimate.values[0] == pytest.approx(samples[:n].mean(), abs=1e-12)


@pytest.mark.parametrize("every_visit", [False, True])
@given(episodes=trajectories, discount=st.sampled_from([0.0, 0.5, 1.0]))
def test_eq_mc_estimate(episodes, discount, every_visit):
    estimate = Estimate.blank(3)
    for trajectory in episodes:
        learn_from_episode(estimate, trajectory, discount=discount, every_visit=every_visit, bootstrap=3.0)
    means = slow_means(episodes, lambda trajectory: trajectory.states, discount, every_visit, 3.0)
    for s in range(3):
        mean, count = means.get(s, (0.0, 0))
        assert estimate.values[s] == pytest.approx(mean, abs=1e-12)
        assert estimate.counts[s] == count


@pytest.mark.parametrize("every_visit", [False, True])
@given(episodes=trajectories, discount=st.sampled_from([0.5, 1.0]))
def test_values_of_actions_by_definition(episodes, discount, every_visit):
    estimate = Estimate.blank(3, 2)
    for trajectory in episodes:
        learn_from_episode(estimate, trajectory, discount=discount, every_visit=every_visit, bootstrap=-2.0)
    means = slow_means(episodes, lambda t: list(zip(t.states, t.actions, strict=True)), discount, every_visit, -2.0)
    for pair in np.ndindex(3, 2):
        mean, count = means.get(pair, (0.0, 0))
        assert estimate.values[pair] == pytest.approx(mean, abs=1e-12)
        assert estimate.counts[pair] == count


@given(episodes=trajectories, discount=st.sampled_from([0.5, 1.0]))
def test_eq_cut_return(episodes, discount):
    for trajectory in episodes:
        returns = trajectory.returns(discount, bootstrap=7.0)
        assert returns == pytest.approx([slow_return(trajectory, t, discount, 7.0) for t in range(len(returns))])


def test_eq_glie():
    for visits in (0, 1, 7, 100):
        for start, half_life in ((1.0, 10.0), (0.3, 2.5)):
            by_definition = start * half_life / (half_life + visits)
            assert glie_epsilon(visits, epsilon=start, half_life=half_life) == pytest.approx(by_definition, rel=1e-12)
    assert glie_epsilon(10, epsilon=0.8, half_life=10) == pytest.approx(0.4)
    assert glie_epsilon(10**9, epsilon=0.8, half_life=np.inf) == 0.8


def test_a_schedule_goes_to_zero_and_its_sum_has_no_end():
    epsilons = np.array([glie_epsilon(n, epsilon=1.0, half_life=10.0) for n in range(10_000)])
    assert epsilons[-1] < 1.1e-3
    sums = epsilons.cumsum()[[99, 999, 9_999]]
    assert (np.diff(sums) > 20).all()  # each factor of ten adds about 10·ln 10 = 23


# --- against exact values (where many episodes are played, the checks of shapes are switched off to save time)


def fifty_runs(env, policy, shape, episodes, **kwargs):
    runs = []
    for seed in range(50):
        estimate = Estimate.blank(*shape)
        config = PredictionConfig(episodes=episodes, **kwargs)
        run(monte_carlo_prediction(env, policy, estimate, config, rng=np.random.default_rng(1000 + seed)))
        runs.append(estimate)
    return np.array([e.values for e in runs]), np.array([e.counts for e in runs])


@pytest.mark.parametrize(("name", "slip"), [("classic", 0.2), (SMALL, 0.0)])
def test_first_visits_fall_within_three_standard_errors_of_the_exact_values(name, slip, unchecked):
    env = maze(name, slip=slip)
    _, policy, exact = careful_walk(env)
    values, counts = fifty_runs(env, policy, exact.shape, episodes=40)
    seen = (counts > 0).all(axis=0)
    assert seen.sum() > 5
    standard_error = values.std(axis=0, ddof=1) / np.sqrt(50)
    assert (np.abs(values.mean(axis=0) - exact) <= 3 * standard_error)[seen].all()


def test_values_of_actions_fall_within_three_standard_errors(unchecked):
    env = maze(slip=0.2)
    mdp, policy, exact = careful_walk(env)
    q = mdp.q_values(exact, discount=1.0)
    values, counts = fifty_runs(env, policy, q.shape, episodes=50)
    seen = (counts > 0).all(axis=0)
    assert seen.sum() > 6
    standard_error = values.std(axis=0, ddof=1) / np.sqrt(50)
    assert (np.abs(values.mean(axis=0) - q) <= 3 * standard_error)[seen].all()


def test_two_standard_errors_of_one_run_cover_the_truth_in_most_runs():
    env = maze("classic", slip=0.2)
    _, policy, exact = careful_walk(env)
    covered = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        env.reset(seed=seed)
        returns = [run_episode(env, policy, rng=rng).returns(1.0)[0] for _ in range(40)]
        covered += abs(np.mean(returns) - exact[0]) <= 2 * np.std(returns, ddof=1) / np.sqrt(40)
    assert 43 <= covered <= 50  # 95 % of 50 is 47.5


@pytest.mark.parametrize(("episodes", "runs"), [(1, 1500), (4, 600), (16, 150)])
def test_the_bias_of_every_visit_on_one_state_is_the_known_one(episodes, runs):
    """Stay with probability 0.8, one unit of reward a step: V = 5, and every visit misses it by (V − 1) / (n + 1)."""
    lengths = np.random.default_rng(7).geometric(0.2, size=(runs, episodes))
    means = []
    for every_visit in (False, True):
        found = []
        for lengths_of_run in lengths.tolist():
            estimate = Estimate.blank(1)
            for k in lengths_of_run:
                trajectory = Trajectory([0] * k, [0] * k, [1.0] * k, 0, True)
                learn_from_episode(estimate, trajectory, discount=1.0, every_visit=every_visit)
            found.append(estimate.values[0])
        means.append((np.mean(found), 3 * np.std(found) / np.sqrt(runs)))
    (first, first_error), (every, every_error) = means
    bias = (5 - 1) / (episodes + 1)
    assert abs(first - 5) <= first_error
    assert abs(every - (5 - bias)) <= every_error
    assert episodes == 16 or bias > 2 * every_error  # the runs are enough to see the bias while it is large


def test_control_with_a_constant_epsilon_reaches_the_best_soft_policy_and_no_better(unchecked):
    env = maze()
    mdp = TabularMDP.from_gymnasium(env)
    best_soft = value_iteration(soften(mdp, 0.3), discount=1.0, tolerance=1e-10).values[0]
    optimum = value_iteration(mdp, discount=1.0, tolerance=1e-10).values[0]
    for seed in range(2):
        estimate = Estimate.blank(12, 4)
        config = ControlConfig(episodes=2000, epsilon=0.3)
        episodes = run(monte_carlo_control(env, estimate, config, rng=np.random.default_rng(seed)))
        policy = epsilon_greedy_probabilities(estimate.values, 0.3)
        assert best_soft - 0.5 < exact_values(mdp, policy, discount=1.0)[0] < best_soft + 1e-9
        assert np.mean([episode.total for episode in episodes[-1000:]]) < best_soft + 1
    assert optimum > best_soft + 5


def test_control_with_a_falling_epsilon_reaches_the_optimum(unchecked):
    env = maze()
    mdp = TabularMDP.from_gymnasium(env)
    optimum = value_iteration(mdp, discount=1.0, tolerance=1e-10).values[0]
    for seed in range(2):
        config = ControlConfig(episodes=1500, half_life=10.0)
        rng = np.random.default_rng(seed)
        episodes = run(monte_carlo_control(env, Estimate.blank(12, 4), config, rng=rng))
        assert np.mean([episode.total for episode in episodes[-500:]]) == pytest.approx(optimum, abs=0.3)


def test_exploring_starts_find_the_optimal_values_from_everywhere():
    mdp = TabularMDP.from_gymnasium(maze())
    best = value_iteration(mdp, discount=0.9, tolerance=1e-10)
    free = np.flatnonzero(mdp.terminations.min(axis=1) < 1)
    env = TimeLimit(TabularEnv(mdp, start=np.isin(np.arange(12), free) / free.size), 30)
    estimate = Estimate.blank(12, 4)
    run(exploring_starts(env, estimate, PredictionConfig(episodes=3000, discount=0.9), rng=np.random.default_rng(0)))
    assert (estimate.counts[free] > 0).all()
    found = exact_values(mdp, estimate.values.argmax(axis=1), discount=0.9)
    assert found[free] == pytest.approx(best.values[free], abs=1e-6)
    assert estimate.values[free].max(axis=1) == pytest.approx(best.values[free], abs=0.6)


# --- a time limit is not the end


def chain(choices):
    """States 0 to 3 in a row; a step costs 1, and the one from 3 ends the task. Choice 2: leave at once, for 2.5."""
    outcomes = []
    for s in range(4):
        leave = [(1.0, s, -2.5, True)]
        outcomes.append([[(1.0, min(s + 1, 3), -1.0, s == 3)], leave][:choices])
    return TabularMDP.from_outcomes(outcomes)


def short(mdp, limit=2):
    return TimeLimit(TabularEnv(mdp, start=np.full(4, 0.25)), limit)


def test_prediction_looks_beyond_a_time_limit():
    policy, config = np.zeros(4, dtype=int), PredictionConfig(episodes=2000)
    v, q = Estimate.blank(4), Estimate.blank(4, 1)
    for estimate in (v, q):
        run(monte_carlo_prediction(short(chain(1)), policy, estimate, config, rng=np.random.default_rng(0)))
        assert estimate.values.ravel() == pytest.approx([-4, -3, -2, -1], abs=0.05)  # as an end: −2, −2, −2, −1


def test_control_looks_beyond_a_time_limit():
    """Two steps and a cut look cheaper than to leave for 2.5, if nothing is thought to follow: −2 and −2.5."""
    estimate, config = Estimate.blank(4, 2), ControlConfig(episodes=4000, half_life=50.0)
    run(monte_carlo_control(short(chain(2)), estimate, config, rng=np.random.default_rng(0)))
    assert estimate.values.argmax(axis=1).tolist() == [1, 1, 0, 0]
    assert estimate.values[0, 0] == pytest.approx(-3.5, abs=0.2)


def test_exploring_starts_look_beyond_a_time_limit():
    estimate, config = Estimate.blank(4, 2), PredictionConfig(episodes=2000)
    run(exploring_starts(short(chain(2)), estimate, config, rng=np.random.default_rng(0)))
    assert estimate.values.argmax(axis=1).tolist() == [1, 1, 0, 0]
    assert estimate.values[0, 0] == pytest.approx(-3.5, abs=0.2)


def one_step_from_state_0(loop_of):
    """What Q(0, 0) becomes by a single step and a cut, where Q(1, ·) is −10 and −2: −1, plus the value of state 1."""
    env = TimeLimit(TabularEnv(chain(2), start=0), 1)
    for seed in range(20):
        estimate = Estimate.blank(4, 2)
        estimate.values[1] = [-10.0, -2.0]
        run(loop_of(env, estimate, np.random.default_rng(seed)))
        if estimate.counts[0, 0] == 1:  # the other action ends the task
            return estimate.values[0, 0]
    return None


def test_the_value_beyond_a_cut_is_that_of_the_policy_in_use():
    policy = np.tile([0.25, 0.75], (4, 1))

    def predict(env, estimate, rng):
        return monte_carlo_prediction(env, policy, estimate, PredictionConfig(episodes=1), rng=rng)

    def control(env, estimate, rng):
        return monte_carlo_control(env, estimate, ControlConfig(episodes=1, epsilon=0.4), rng=rng)

    def starts(env, estimate, rng):
        return exploring_starts(env, estimate, PredictionConfig(episodes=1), rng=rng)

    assert one_step_from_state_0(predict) == pytest.approx(-1 + 0.25 * -10 + 0.75 * -2)
    assert one_step_from_state_0(control) == pytest.approx(-1 + 0.4 * (-10 - 2) / 2 + 0.6 * -2)
    assert one_step_from_state_0(starts) == pytest.approx(-1 - 2)


# --- how the loops behave


def loops():
    env, rng = maze(), np.random.default_rng(0)
    uniform = np.full((12, 4), 0.25)
    v, q = Estimate.blank(12), Estimate.blank(12, 4)
    yield v, monte_carlo_prediction(env, uniform, v, PredictionConfig(episodes=5), rng=rng)
    yield q, monte_carlo_control(env, q, ControlConfig(episodes=5), rng=rng)
    q = Estimate.blank(12, 4)
    yield q, exploring_starts(maze(limit=50), q, PredictionConfig(episodes=5), rng=rng)


def test_loops_work_only_as_far_as_somebody_iterates():
    for estimate, loop in loops():
        assert estimate.counts.sum() == 0
        episode = next(loop)
        assert isinstance(episode, Episode)
        assert 0 < estimate.counts.sum() <= episode.steps
        assert len(list(loop)) == 4


def test_loops_count_the_visits_that_their_config_says():
    uniform, v, q = np.full((12, 4), 0.25), Estimate.blank(12), Estimate.blank(12, 4)
    config = ControlConfig(episodes=3, every_visit=True)
    steps = sum(e.steps for e in monte_carlo_prediction(maze(), uniform, v, config, rng=np.random.default_rng(0)))
    assert v.counts.sum() == steps > 12
    steps = sum(e.steps for e in monte_carlo_control(maze(), q, config, rng=np.random.default_rng(0)))
    assert q.counts.sum() == steps > 48


def test_the_same_seed_gives_the_same_run():
    for (one, first), (other, second) in zip(loops(), loops(), strict=True):
        assert list(first) == list(second)
        assert (one.values == other.values).all()
    env, config = maze(slip=0.2), ControlConfig(episodes=3)
    totals = [
        run(monte_carlo_control(env, Estimate.blank(12, 4), config, rng=np.random.default_rng(i))) for i in (1, 2)
    ]
    assert totals[0] != totals[1]


def test_exploring_starts_are_greedy_after_the_first_action():
    """Action 1 is known to be better in every state; only a first action may be the other one."""

    class Watched(gym.Wrapper):
        def reset(self, **kwargs):
            log.append([])
            return self.env.reset(**kwargs)

        def step(self, action):
            log[-1].append(action)
            return self.env.step(action)

    log, mdp = [], random_walk(5)
    estimate = Estimate(np.tile([0.0, 1e6], (5, 1)), np.full((5, 2), 10**9))
    env = Watched(TabularEnv(mdp, start=2))
    run(exploring_starts(env, estimate, PredictionConfig(episodes=200), rng=np.random.default_rng(0)))
    firsts = [actions[0] for actions in log]
    assert 60 < sum(firsts) < 140
    assert all(actions[1:] == [1] * (len(actions) - 1) for actions in log)


def test_epsilon_falls_with_the_visits_to_a_state():
    """A state with many visits is acted in greedily, one with none at random."""
    rng, config = np.random.default_rng(0), ControlConfig(episodes=1, half_life=1.0)
    chosen = {0: [], 10**9: []}
    for visits, actions in chosen.items():
        for _ in range(60):
            estimate = Estimate(np.tile([0.0, 1.0], (5, 1)), np.full((5, 2), 10**9 - visits))
            estimate.counts[2] = visits  # of the other states the opposite is true
            env = TimeLimit(TabularEnv(random_walk(5), start=2), 1)
            before = estimate.counts.copy()
            run(monte_carlo_control(env, estimate, config, rng=rng))
            actions.append(int((estimate.counts - before)[2].argmax()))
    assert sum(chosen[10**9]) == 60
    assert 15 < sum(chosen[0]) < 45


# --- bad input


@pytest.mark.parametrize(
    ("config", "kwargs", "message"),
    [
        (PredictionConfig, {"episodes": 0}, "episodes must be at least 1, got 0"),
        (PredictionConfig, {"discount": 1.5}, r"discount must be in \[0, 1\], got 1.5"),
        (ControlConfig, {"discount": -0.1}, r"discount must be in \[0, 1\], got -0.1"),
        (ControlConfig, {"epsilon": 1.2}, r"epsilon must be in \[0, 1\], got 1.2"),
        (ControlConfig, {"half_life": 0.0}, "half_life must be above 0, got 0.0"),
    ],
)
def test_configs_refuse_what_makes_no_sense(config, kwargs, message):
    with pytest.raises(ValueError, match=message):
        config(**kwargs)


def test_prediction_refuses_a_policy_of_another_shape_and_tuples_of_observations(unchecked):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="policy must be"):
        run(monte_carlo_prediction(maze(), np.full((5, 4), 0.25), Estimate.blank(12), PredictionConfig(), rng=rng))
    with gym.make("Blackjack-v1") as table, pytest.raises(ValueError, match="numbered from 0"):
        run(monte_carlo_prediction(table, np.zeros(3, dtype=int), Estimate.blank(3), PredictionConfig(), rng=rng))
    env = TabularEnv(chain(1))
    env.action_space = gym.spaces.Discrete(1, start=1)
    with pytest.raises(ValueError, match="numbered from 0"):
        run(monte_carlo_prediction(env, np.zeros(4, dtype=int), Estimate.blank(4), PredictionConfig(), rng=rng))
