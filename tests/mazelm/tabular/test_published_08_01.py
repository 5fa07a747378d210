"""Published figures of chapter 6 of Sutton & Barto (2018), in short form."""

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Transition, epsilon_greedy_probabilities, run_episode
from mazelm.tabular.planning import exact_values, value_iteration
from mazelm.tabular.problems import windy
from mazelm.tabular.problems.maximisation_bias import MaximisationBias
from mazelm.tabular.problems.random_walk import random_walk, random_walk_values
from mazelm.tabular.td import (
    ExpectedSarsaConfig,
    TDConfig,
    TDControlConfig,
    double_q_learning,
    expected_sarsa,
    q_learning,
    sarsa,
    td_prediction,
    td_update,
    zeros,
)
from mazes.dynamics import Rewards

pytestmark = pytest.mark.usefixtures(
    "unchecked"
)  # thousands of episodes: checking each call would take ten times as long
FAIR, TRUTH = np.full((5, 2), 0.5), random_walk_values()


def rms(values):
    return np.sqrt(np.mean((np.asarray(values) - TRUTH) ** 2, axis=-1))


def walks(seed, episodes=100):
    env, rng = TabularEnv(random_walk(), start=2), np.random.default_rng(seed)
    return [run_episode(env, FAIR, rng=rng, seed=seed if i == 0 else None) for i in range(episodes)]


def test_example_6_2_td_is_better_than_monte_carlo_for_every_step_size():
    td, mc = {}, {}
    env = TabularEnv(random_walk(), start=2)
    for step_size in (0.05, 0.1, 0.15):
        curves = []
        for seed in range(30):
            values, config = [0.5] * 5, TDConfig(episodes=100, step_size=step_size, discount=1.0)
            curves.append(
                [rms(values) for _ in td_prediction(env, FAIR, values, config, rng=np.random.default_rng(seed))]
            )
        td[step_size] = np.mean(curves, axis=0)
    runs = [walks(seed) for seed in range(30)]
    for step_size in (0.01, 0.02, 0.03, 0.04):
        curves = []
        for run in runs:
            values, curve = np.full(5, 0.5), []
            for episode in run:
                for state in episode.states:
                    values[state] += step_size * (episode.rewards[-1] - values[state])  # the only reward is the last
                curve.append(rms(values))
            curves.append(curve)
        mc[step_size] = np.mean(curves, axis=0)
    assert max(curve.min() for curve in td.values()) < min(curve.min() for curve in mc.values())
    assert td[0.15][10] < td[0.1][10] < td[0.05][10]  # larger steps: sooner,
    assert td[0.05][-1] < td[0.1][-1] < td[0.15][-1]  # but less deep


def test_figure_6_2_batch_td_is_better_than_batch_monte_carlo():
    """Batch TD(0) converges to the exact values of the counted model (section 6.3): here they are computed so."""
    td, mc = np.zeros(100), np.zeros(100)
    for seed in range(20):
        counts, exits = np.zeros((5, 5)), np.zeros((2, 5))  # steps between states; steps out, and those that were paid
        sums, visits = np.zeros(5), np.zeros(5)
        for k, episode in enumerate(walks(seed)):
            for s, s2 in zip(episode.states, episode.states[1:], strict=False):
                counts[s, s2] += 1
            exits[:, episode.states[-1]] += 1, episode.rewards[-1]
            np.add.at(visits, episode.states, 1)
            np.add.at(sums, episode.states, episode.rewards[-1])
            seen = visits > 0
            values = np.full(5, 0.5)
            chances = (counts / np.maximum(visits, 1)[:, None])[np.ix_(seen, seen)]
            values[seen] = np.linalg.solve(np.eye(seen.sum()) - chances, (exits[1] / np.maximum(visits, 1))[seen])
            td[k] += rms(values) / 20
            mc[k] += rms(np.where(seen, sums / np.maximum(visits, 1), 0.5)) / 20
    assert (td[10:] < mc[10:]).all()
    assert td[-1] < 0.7 * mc[-1]


def test_example_6_4_batch_td_finds_three_quarters():
    a_then_b, win, lose = (
        Transition(0, 0, 0.0, 1, False),
        Transition(1, 0, 1.0, 1, True),
        Transition(1, 0, 0.0, 1, True),
    )
    values = [0.0, 0.0]
    for _ in range(5000):
        for step in (a_then_b, lose, *[win] * 6, lose):
            td_update(values, step, step_size=0.005, discount=1.0)
    assert values == pytest.approx([0.75, 0.75], abs=0.01)


def test_example_6_5_windy_gridworld():
    field = windy.windy_gridworld()
    optimal_q = field.q_values(value_iteration(field, discount=1.0, tolerance=1e-9).values, discount=1.0)
    exploring = exact_values(field, epsilon_greedy_probabilities(optimal_q, 0.1), discount=1.0)[windy.START]
    assert exploring == pytest.approx(-17.05, abs=0.005)  # "about 17 steps, two more than the minimum of 15"
    config, env = TDControlConfig(episodes=10_000, step_size=0.5, discount=1.0, epsilon=0.1), None
    shortest = []
    for seed in range(5):
        env, q, steps = TabularEnv(field, start=windy.START), zeros(70, 4), []
        for episode in sarsa(env, q, config, rng=np.random.default_rng(seed)):
            steps.append(episode.steps)
            if sum(steps) >= 20_000:
                break
        assert np.mean(steps[-100:]) < 1.35 * -exploring
        assert 120 < np.searchsorted(np.cumsum(steps), 8000) < 200  # the figure: about 170 episodes in 8,000 steps
        shortest.append(min(steps))
    assert min(shortest) == 15


def cliff():
    """Gymnasium's CliffWalking in our own, quicker environment."""
    rewards = Rewards(step=-1, bump=-1, goal=-1, cliff=-100)
    ours, theirs = gym.make("mazes/Maze-v0", maze="cliff", rewards=rewards).unwrapped, gym.make("CliffWalking-v1")
    for s in range(37):
        for a in range(4):
            assert tuple(ours.P[s][a][0]) == tuple(theirs.unwrapped.P[s][a][0])
    return ours


def cliff_runs(learner, config, step_size, episodes=500, seeds=8):
    env, settings = cliff(), config(episodes=episodes, step_size=step_size, discount=1.0, epsilon=0.1)
    returns, tables = [], []
    for seed in range(seeds):
        q = zeros(48, 4)
        returns.append([episode.total for episode in learner(env, q, settings, rng=np.random.default_rng(seed))])
        tables.append(np.array(q))
    return np.array(returns), tables


def greedy_way(q):
    env, path = cliff(), [36]
    env.reset(seed=0)
    while path[-1] != 47 and len(path) < 60:
        path.append(env.step(int(q[path[-1]].argmax()))[0])
    return path


def test_example_6_6_sarsa_is_safer_and_earns_more_while_q_learning_finds_the_shortest_way():
    edge = [36, *range(24, 36), 47]
    next_to_it = set(range(25, 35))  # the ten cells between the ends of the edge
    for step_size, steps in ((0.1, 15), (0.3, 17)):
        safe, safe_tables = cliff_runs(sarsa, TDControlConfig, step_size)
        bold, bold_tables = cliff_runs(q_learning, TDControlConfig, step_size)
        assert safe[:, 400:].mean() == pytest.approx(-24, abs=4)
        assert bold[:, 400:].mean() == pytest.approx(-50, abs=6)
        assert all(greedy_way(q) == edge for q in bold_tables)
        ways = [greedy_way(q) for q in safe_tables]
        assert edge not in ways
        # a greedy way is a snapshot, and one or the other goes in a circle at the end
        assert sum(len(way) - 1 == steps and len(next_to_it & set(way)) <= 2 for way in ways) >= 5


def test_figure_6_3_expected_sarsa_is_best_at_every_step_size_and_takes_large_ones():
    late, early = {}, {}
    for learner, config in (
        (sarsa, TDControlConfig),
        (expected_sarsa, ExpectedSarsaConfig),
        (q_learning, TDControlConfig),
    ):
        for step_size in (0.1, 0.5, 0.9):
            returns, _ = cliff_runs(learner, config, step_size, episodes=400, seeds=5)
            late[learner, step_size], early[learner, step_size] = returns[:, 300:].mean(), returns[:, :100].mean()
    for step_size in (0.1, 0.5, 0.9):
        assert late[expected_sarsa, step_size] > late[q_learning, step_size] + 10
        assert early[expected_sarsa, step_size] > early[q_learning, step_size]
    assert late[expected_sarsa, 0.9] > late[sarsa, 0.9] + 15
    assert abs(late[sarsa, 0.1] - late[expected_sarsa, 0.1]) < 6
    assert early[expected_sarsa, 0.9] > early[expected_sarsa, 0.5] > early[expected_sarsa, 0.1]


def test_figure_6_5_maximisation_bias():
    env, config = MaximisationBias(), TDControlConfig(episodes=300, step_size=0.1, discount=1.0, epsilon=0.1)
    single, double = np.zeros((2, 300))
    for seed in range(300):
        rng = np.random.default_rng(seed)
        tables = [env.blank() for _ in range(3)]
        for q in tables:
            q[0] = (1e-9 * rng.random(2)).tolist()  # ties at the beginning are broken at random
        single += [episode.steps == 2 for episode in q_learning(env, tables[0], config, rng=rng)]
        double += [episode.steps == 2 for episode in double_q_learning(env, (tables[1], tables[2]), config, rng=rng)]
    single, double = single / 300, double / 300
    assert single[20:40].mean() > 0.85
    assert double.max() < 0.6
    assert double[-100:].mean() < 0.09  # near the floor of 5 %
    assert 0.09 < single[-100:].mean() < 0.25  # still above it
