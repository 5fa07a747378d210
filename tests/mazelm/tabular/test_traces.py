"""TD(λ): by hand, by slow definitions, forward against backward, at both ends, at a time limit, and on bad input."""

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Episode, Trajectory, Transition, run_episode, transitions_of
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.n_step import n_step_return
from mazelm.tabular.planning import exact_values
from mazelm.tabular.problems.random_walk import random_walk, random_walk_values
from mazelm.tabular.td import TDConfig, TDControlConfig, sarsa, td_prediction, zeros
from mazelm.tabular.traces import (
    SarsaLambdaConfig,
    TDLambdaConfig,
    accumulate,
    accumulate_dutch,
    lambda_return,
    lambda_return_prediction,
    learn_lambda_return,
    learn_td_lambda,
    learn_true_online,
    replace,
    sarsa_lambda,
    sarsa_lambda_update,
    td_errors,
    td_lambda,
    td_lambda_update,
    true_online_td_lambda,
)

THREE = Trajectory(states=[0, 1, 0], actions=[1, 0, 1], rewards=[1.0, 2.0, 4.0], last_state=2, terminated=True)
CUT = THREE._replace(terminated=False)
GUESSES = [8.0, 16.0, 32.0]
FAIR = np.full((5, 2), 0.5)
LOOPS = [lambda_return_prediction, td_lambda, true_online_td_lambda]

trajectories = st.builds(
    lambda steps, last, terminated: Trajectory(*map(list, zip(*steps, strict=True)), last, terminated),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(-5, 5).map(float)), min_size=1, max_size=9),
    st.integers(0, 2),
    st.booleans(),
)
tables = st.lists(st.integers(-9, 9).map(float), min_size=3, max_size=3)
discounts = st.sampled_from([0.0, 0.5, 0.9, 1.0])
decays = st.sampled_from([0.0, 0.3, 0.8, 1.0])


def slow_lambda_return(trajectory, t, values, discount, decay, horizon=None, n_step=n_step_return):
    """The definition: n-step returns with falling weights; what is left of the weight goes to the longest one."""
    longest = (len(trajectory.rewards) if horizon is None else horizon) - t
    total = 0.0
    for n in range(1, longest):
        total += (1 - decay) * decay ** (n - 1) * n_step(trajectory, t, values, n=n, discount=discount)
    return total + decay ** (longest - 1) * n_step(trajectory, t, values, n=longest, discount=discount)


def slow_trace(visits, t, s, fade):
    """How much state s takes part in what happens at step t: each visit, faded by its age."""
    return sum(fade ** (t - k) for k in range(t + 1) if visits[k] == s)


def online_lambda_return(values, trajectory, step_size, discount, decay):
    """The online λ-return algorithm, which true online TD(λ) has to equal: with each step known, begin all over.

    The guess at the end of an n-step return is the one the learner had when that step was the latest.
    """
    places = [*trajectory.states, trajectory.last_state]
    latest = [list(values)]  # latest[h]: the values when h steps were known
    for horizon in range(1, len(trajectory.rewards) + 1):

        def n_step(trajectory, t, _values, *, n, discount):
            total = sum(discount**k * trajectory.rewards[t + k] for k in range(n))
            if t + n == len(trajectory.rewards) and trajectory.terminated:
                return total
            return total + discount**n * latest[t + n - 1][places[t + n]]

        redone = list(values)
        for t in range(horizon):
            target = slow_lambda_return(trajectory, t, None, discount, decay, horizon=horizon, n_step=n_step)
            redone[trajectory.states[t]] += step_size * (target - redone[trajectory.states[t]])
        latest.append(redone)
    return latest[-1]


def endless(reward=1.0):
    """One state, which pays `reward` at every step and never ends: its value is reward / (1 − γ)."""
    return TabularMDP(np.ones((1, 1, 1)), np.array([[reward]]))


# --- by hand


def test_lambda_return_by_hand():
    """At γ = λ = 1/2: backwards 4; 2 + ½·(½·8 + ½·4) = 5; 1 + ½·(½·16 + ½·5) = 6.25."""
    assert lambda_return(THREE, GUESSES, discount=0.5, trace_decay=0.5) == [6.25, 5.0, 4.0]
    assert lambda_return(CUT, GUESSES, discount=0.5, trace_decay=0.5) == [7.25, 9.0, 20.0]


def test_td_errors_by_hand():
    assert td_errors(THREE, GUESSES, discount=0.5) == [1 + 8 - 8, 2 + 4 - 16, 4 - 8]
    assert td_errors(CUT, GUESSES, discount=0.5) == [1.0, -10.0, 4 + 16 - 8]


def test_traces_of_a_walk_by_hand():
    """Visits 0, 1, 0 with γλ = 1/2 and α = 1/4."""
    adding, setting, dutch = {}, {}, {}
    for visited in (0, 1, 0):
        accumulate(adding, visited, fade=0.5)
        replace(setting, visited, fade=0.5)
        accumulate_dutch(dutch, visited, fade=0.5, step_size=0.25)
    assert adding == {0: 1.25, 1: 0.5}
    assert setting == {0: 1.0, 1: 0.5}
    assert dutch == {0: 0.75 * 0.25 + 1, 1: 0.5}


def test_a_trace_without_fading_stays_and_with_fade_0_goes():
    traces = {0: 0.5, 1: 1.0}
    accumulate(traces, 2, fade=1.0)
    assert traces == {0: 0.5, 1: 1.0, 2: 1.0}
    accumulate(traces, 1, fade=0.0)
    assert traces == {1: 1.0}


def test_traces_too_small_to_matter_are_dropped():
    traces = {0: 1e-11, 1: 1e-13}
    replace(traces, 2, fade=0.5)
    assert traces == {0: 5e-12, 2: 1.0}


def test_updates_by_hand():
    values, q = [8.0, 16.0, 32.0], [[8.0, 1.0], [16.0, 2.0], [32.0, 64.0]]
    step = Transition(1, 0, 2.0, 2, False)
    assert td_lambda_update(values, {0: 0.5, 1: 1.0}, step, step_size=0.25, discount=0.5) == 2.0
    assert values == [8.25, 16.5, 32.0]
    assert sarsa_lambda_update(q, {(0, 1): 0.5, (1, 0): 1.0}, step, 1, step_size=0.25, discount=0.5) == 2 + 32 - 16
    assert q == [[8.0, 3.25], [20.5, 2.0], [32.0, 64.0]]
    ended = step._replace(terminated=True)
    assert td_lambda_update(values, {1: 1.0}, ended, step_size=0.25, discount=0.5) == 2 - 16.5
    assert sarsa_lambda_update(q, {(1, 0): 1.0}, ended, 1, step_size=0.25, discount=0.5) == 2 - 20.5


def test_an_episode_by_hand():
    """γ = λ = α = 1/2: the error of each step, judged by the values as they are then, goes back along the trace."""
    values = list(GUESSES)
    config = TDLambdaConfig(step_size=0.5, discount=0.5, trace_decay=0.5)
    episode = learn_td_lambda(values, transitions_of(THREE), config)
    v0, v1 = 8 + 0.5 * (1 + 8 - 8), 16.0
    second = 2 + 0.5 * v0 - v1
    v0, v1 = v0 + 0.5 * second / 4, v1 + 0.5 * second
    third = 4 - v0
    assert values == [v0 + 0.5 * third * (1 + 1 / 16), v1 + 0.5 * third / 4, 32.0]
    assert episode == Episode(7.0, 3, True)


# --- by definition: the forward view


@given(trajectories, tables, discounts, decays)
def test_eq_lambda_return(trajectory, values, discount, decay):
    slow = [slow_lambda_return(trajectory, t, values, discount, decay) for t in range(len(trajectory.rewards))]
    assert lambda_return(trajectory, values, discount=discount, trace_decay=decay) == pytest.approx(slow, abs=1e-9)
    array = lambda_return(trajectory, np.array(values), discount=discount, trace_decay=decay)
    assert array == pytest.approx(slow, abs=1e-9)


@given(trajectories, tables, discounts, decays)
def test_eq_lambda_recursion(trajectory, values, discount, decay):
    """From any step to the next, with the guess of the state between them."""
    places = [*trajectory.states, trajectory.last_state]
    returns = lambda_return(trajectory, values, discount=discount, trace_decay=decay)
    for t, reward in enumerate(trajectory.rewards):
        if t + 1 < len(returns):
            guess, following = values[places[t + 1]], returns[t + 1]
        else:
            guess = following = 0.0 if trajectory.terminated else values[places[t + 1]]
        expected = reward + discount * ((1 - decay) * guess + decay * following)
        assert returns[t] == pytest.approx(expected, abs=1e-9)


@given(trajectories, tables, discounts, decays)
def test_eq_gae_identity(trajectory, values, discount, decay):
    errors = td_errors(trajectory, values, discount=discount)
    returns = lambda_return(trajectory, values, discount=discount, trace_decay=decay)
    for t, state in enumerate(trajectory.states):
        total = 0.0
        for k, error in enumerate(errors[t:]):
            total += (discount * decay) ** k * error
        assert returns[t] - values[state] == pytest.approx(total, abs=1e-9)


@given(trajectories, tables, discounts)
def test_ends_of_the_mean(trajectory, values, discount):
    one = [n_step_return(trajectory, t, values, n=1, discount=discount) for t in range(len(trajectory.rewards))]
    assert lambda_return(trajectory, values, discount=discount, trace_decay=0.0) == pytest.approx(one, abs=1e-9)
    whole = trajectory.returns(discount, bootstrap=values[trajectory.last_state])
    assert lambda_return(trajectory, values, discount=discount, trace_decay=1.0) == pytest.approx(whole, abs=1e-9)


@given(trajectories, tables, discounts, decays)
def test_offline_learning_by_definition(trajectory, values, discount, decay):
    learned, expected = list(values), list(values)
    config = TDLambdaConfig(step_size=0.25, discount=discount, trace_decay=decay)
    episode = learn_lambda_return(learned, trajectory, config)
    for t, state in enumerate(trajectory.states):
        target = slow_lambda_return(trajectory, t, values, discount, decay)  # of the values before the episode
        expected[state] += 0.25 * (target - expected[state])
    assert learned == pytest.approx(expected, abs=1e-9)
    assert episode == (sum(trajectory.rewards), len(trajectory.rewards), trajectory.terminated)


# --- by definition: the backward view


@given(trajectories, st.sampled_from([0.0, 0.45, 0.9, 1.0]))
def test_eq_accumulating_trace(trajectory, fade):
    traces = {}
    for t, state in enumerate(trajectory.states):
        accumulate(traces, state, fade=fade)
        for s in range(3):
            assert traces.get(s, 0.0) == pytest.approx(slow_trace(trajectory.states, t, s, fade), abs=1e-11)


@given(trajectories, st.sampled_from([0.0, 0.45, 0.9, 1.0]))
def test_eq_replacing_trace(trajectory, fade):
    """Only the latest visit counts."""
    traces = {}
    for t, state in enumerate(trajectory.states):
        replace(traces, state, fade=fade)
        for s in range(3):
            ages = [t - k for k in range(t + 1) if trajectory.states[k] == s]
            assert traces.get(s, 0.0) == pytest.approx(fade ** min(ages) if ages else 0.0, abs=1e-11)


@given(trajectories, st.sampled_from([0.0, 0.45, 0.9, 1.0]), st.sampled_from([0.1, 0.5, 1.0]))
def test_eq_dutch_trace(trajectory, fade, step_size):
    """As vectors: z ← γλz + (1 − αγλ·z·x)x with x one-hot. With α = 1 it replaces."""
    traces, z = {}, np.zeros(3)
    for state in trajectory.states:
        accumulate_dutch(traces, state, fade=fade, step_size=step_size)
        x = np.eye(3)[state]
        z = fade * z + (1 - step_size * fade * (z @ x)) * x
        assert [traces.get(s, 0.0) for s in range(3)] == pytest.approx(z.tolist(), abs=1e-11)


@given(trajectories, tables, discounts, decays, st.booleans())
def test_eq_td_lambda(trajectory, values, discount, decay, replacing):
    learned, expected = list(values), list(values)
    config = TDLambdaConfig(step_size=0.25, discount=discount, trace_decay=decay, replacing=replacing)
    learn_td_lambda(learned, transitions_of(trajectory), config)
    for t, step in enumerate(transitions_of(trajectory)):
        future = 0.0 if step.terminated else expected[step.next_state]
        error = step.reward + discount * future - expected[step.state]
        for s in range(3):
            ages = [t - k for k in range(t + 1) if trajectory.states[k] == s]
            weights = [(discount * decay) ** age for age in ages]
            expected[s] += 0.25 * error * (max(weights, default=0.0) if replacing else sum(weights))
    assert learned == pytest.approx(expected, abs=1e-9)


@given(trajectories, tables, discounts, decays)
def test_forward_equals_backward_offline(trajectory, values, discount, decay):
    """The sum of all updates of an episode, with the values held still, is the same in both views."""
    forward, backward = np.zeros(3), np.zeros(3)
    returns = lambda_return(trajectory, values, discount=discount, trace_decay=decay)
    for state, target in zip(trajectory.states, returns, strict=True):
        forward[state] += target - values[state]
    traces = {}
    for step in transitions_of(trajectory):
        accumulate(traces, step.state, fade=discount * decay)
        changed = list(values)
        td_lambda_update(changed, traces, step, step_size=1.0, discount=discount)
        backward += np.array(changed) - values
    assert forward == pytest.approx(backward, abs=1e-9)


@given(trajectories, tables, discounts, decays, st.sampled_from([0.1, 0.5, 1.0]))
def test_eq_true_online(trajectory, values, discount, decay, step_size):
    """True online TD(λ) against the algorithm that begins all over with each step that is known."""
    learned = list(values)
    config = TDLambdaConfig(step_size=step_size, discount=discount, trace_decay=decay)
    episode = learn_true_online(learned, transitions_of(trajectory), config)
    expected = online_lambda_return(values, trajectory, step_size, discount, decay)
    assert learned == pytest.approx(expected, abs=1e-8)
    assert episode == (sum(trajectory.rewards), len(trajectory.rewards), trajectory.terminated)


@given(trajectories, tables, discounts, decays)
def test_true_online_as_published(trajectory, values, discount, decay):
    """The algorithm of Sutton & Barto (2018), section 12.5, in vectors."""
    learned, w, z, v_old = list(values), np.array(values), np.zeros(3), 0.0
    config = TDLambdaConfig(step_size=0.3, discount=discount, trace_decay=decay)
    learn_true_online(learned, transitions_of(trajectory), config)
    for step in transitions_of(trajectory):
        x, x_next = np.eye(3)[step.state], np.zeros(3) if step.terminated else np.eye(3)[step.next_state]
        v, v_next = w @ x, w @ x_next
        error = step.reward + discount * v_next - v
        z = discount * decay * z + (1 - 0.3 * discount * decay * (z @ x)) * x
        w = w + 0.3 * (error + v - v_old) * z - 0.3 * (v - v_old) * x
        v_old = v_next
    assert learned == pytest.approx(w.tolist(), abs=1e-9)


# --- both ends


@pytest.mark.parametrize("replacing", [False, True])
def test_lambda_0_is_td_and_sarsa(replacing):
    """With the same random numbers the tables are the same."""
    env = TabularEnv(random_walk(5), start=2)
    plain = [0.5] * 5
    others = list(td_prediction(env, FAIR, plain, TDConfig(episodes=50), rng=np.random.default_rng(0)))
    config = TDLambdaConfig(episodes=50, trace_decay=0.0, replacing=replacing)
    for loop in (td_lambda, true_online_td_lambda):
        values = [0.5] * 5
        assert list(loop(env, FAIR, values, config, rng=np.random.default_rng(0))) == others
        assert values == pytest.approx(plain, abs=1e-12)

    env = gym.make("mazes/Maze-v0", slip=0.2, max_episode_steps=30)
    q, plain_q = zeros(25, 4), zeros(25, 4)
    settings = SarsaLambdaConfig(episodes=50, trace_decay=0.0, replacing=replacing)
    records = list(sarsa_lambda(env, q, settings, rng=np.random.default_rng(0)))
    assert records == list(sarsa(env, plain_q, TDControlConfig(episodes=50), rng=np.random.default_rng(0)))
    assert q == [pytest.approx(row, abs=1e-12) for row in plain_q]


def test_lambda_1_is_monte_carlo():
    """Offline every visit moves toward its return; online the sum of the updates is that, if the step is small."""
    env = TabularEnv(random_walk(5), start=2)
    for seed in range(10):
        trajectory = run_episode(env, FAIR, rng=np.random.default_rng(seed), seed=seed)
        offline, expected = [0.5] * 5, [0.5] * 5
        learn_lambda_return(offline, trajectory, TDLambdaConfig(step_size=0.2, discount=0.9, trace_decay=1.0))
        for state, following in zip(trajectory.states, trajectory.returns(0.9), strict=True):
            expected[state] += 0.2 * (following - expected[state])
        assert offline == pytest.approx(expected, abs=1e-12)

        online, summed = [0.5] * 5, [0.0] * 5
        learn_td_lambda(
            online, transitions_of(trajectory), TDLambdaConfig(step_size=1e-7, discount=0.9, trace_decay=1.0)
        )
        for state, following in zip(trajectory.states, trajectory.returns(0.9), strict=True):
            summed[state] += following - 0.5
        assert (np.array(online) - 0.5) / 1e-7 == pytest.approx(summed, abs=1e-3)


# --- an episode's edge


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("loop", LOOPS)
def test_prediction_goes_on_beyond_a_time_limit(loop, decay):
    """The task never ends and is worth 1 / (1 − 1/2) = 2; who takes the clock for the end learns less than 2."""
    values = [0.0]
    env = TimeLimit(TabularEnv(endless()), max_episode_steps=4)
    config = TDLambdaConfig(episodes=400, step_size=0.1, discount=0.5, trace_decay=decay)
    records = list(loop(env, np.array([0]), values, config, rng=np.random.default_rng(0)))
    assert values == [pytest.approx(2.0, abs=1e-6)]
    assert {record.terminated for record in records} == {False}


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("replacing", [False, True])
def test_control_goes_on_beyond_a_time_limit(decay, replacing):
    q = [[0.0]]
    env = TimeLimit(TabularEnv(endless()), max_episode_steps=4)
    config = SarsaLambdaConfig(episodes=400, step_size=0.1, discount=0.5, trace_decay=decay, replacing=replacing)
    list(sarsa_lambda(env, q, config, rng=np.random.default_rng(0)))
    assert q == [[pytest.approx(2.0, abs=1e-6)]]


def two_rooms():
    """State 0 ends the task and pays 0, state 1 ends it and pays 1; an episode begins in one of them by chance."""
    return TabularMDP.from_outcomes([[[(1.0, 0, 0.0, True)]], [[(1.0, 1, 1.0, True)]]])


@pytest.mark.parametrize("loop", LOOPS)
def test_no_trace_crosses_a_reset(loop):
    """What happens in one episode is no news for the states of the last one: state 0 keeps its 0 exactly."""
    values = [0.0, 0.0]
    env = TabularEnv(two_rooms(), start=np.array([0.5, 0.5]))
    config = TDLambdaConfig(episodes=40, step_size=0.1, discount=1.0, trace_decay=1.0)
    list(loop(env, np.array([0, 0]), values, config, rng=np.random.default_rng(0)))
    assert values[0] == 0.0 < 0.5 < values[1] < 1.0


def test_no_trace_of_a_pair_crosses_a_reset():
    q = zeros(2, 1)
    config = SarsaLambdaConfig(episodes=40, step_size=0.1, discount=1.0, trace_decay=1.0)
    list(sarsa_lambda(TabularEnv(two_rooms(), start=np.array([0.5, 0.5])), q, config, rng=np.random.default_rng(0)))
    assert q[0] == [0.0]
    assert 0.5 < q[1][0] < 1.0


# --- learning


@pytest.mark.parametrize(
    ("loop", "replacing"),
    [(lambda_return_prediction, False), (td_lambda, False), (td_lambda, True), (true_online_td_lambda, False)],
)
def test_the_walk_is_estimated_without_bias(unchecked, loop, replacing):
    """Means over 50 seeds, in the end with a small step: within three standard errors of the exact values."""
    env, truth, ends = TabularEnv(random_walk(3), start=1), random_walk_values(3), []
    for seed in range(50):
        values, rng = [0.5] * 3, np.random.default_rng(seed)
        for episodes, step_size in ((60, 0.1), (200, 0.02)):
            settings = {"discount": 1.0, "trace_decay": 0.8, "replacing": replacing}
            config = TDLambdaConfig(episodes=episodes, step_size=step_size, **settings)
            list(loop(env, FAIR[:3], values, config, rng=rng))
        ends.append(values)
    error = np.std(ends, axis=0, ddof=1) / np.sqrt(50)
    assert (np.abs(np.mean(ends, axis=0) - truth) < 3 * error).all()


def test_values_of_a_maze_are_found(unchecked):
    """A discounted walk of random moves in a small room with slips, cut short after 20 steps, against exact values."""
    env = gym.make("mazes/Maze-v0", maze="S..\n.#.\n..G", slip=0.2, max_episode_steps=20)
    mdp, policy = TabularMDP.from_gymnasium(env), np.full((9, 4), 0.25)
    truth = exact_values(mdp, policy, discount=0.9)
    ends = []
    for seed in range(50):
        values = [-15.0] * 9
        config = TDLambdaConfig(episodes=100, step_size=0.05, discount=0.9, trace_decay=0.7)
        list(true_online_td_lambda(env, policy, values, config, rng=np.random.default_rng(seed)))
        ends.append(values)
    seen = [s for s in range(9) if s not in (4, 8)]  # not the wall and the goal
    error = np.std(ends, axis=0, ddof=1)[seen] / np.sqrt(50)
    assert (np.abs(np.mean(ends, axis=0) - truth)[seen] < 3 * error).all()


@pytest.mark.parametrize("limit", [3, 5, 100])
@pytest.mark.parametrize("replacing", [False, True])
def test_sarsa_with_one_action_is_prediction(replacing, limit):
    """Where nothing is to be chosen, Q is V: also with several visits, and at a time limit."""
    row = [[[(1.0, s + 1, 2.0**s, False)]] for s in range(3)] + [[[(0.5, 0, 8.0, False), (0.5, 3, 8.0, True)]]]
    env = TimeLimit(TabularEnv(TabularMDP.from_outcomes(row)), max_episode_steps=limit)
    settings = {"episodes": 20, "step_size": 0.3, "discount": 0.9, "trace_decay": 0.8, "replacing": replacing}
    q, values, only = zeros(4, 1), [0.0] * 4, np.zeros(4, dtype=int)
    records = list(sarsa_lambda(env, q, SarsaLambdaConfig(**settings), rng=np.random.default_rng(2)))
    assert records == list(td_lambda(env, only, values, TDLambdaConfig(**settings), rng=np.random.default_rng(2)))
    assert [entry for (entry,) in q] == pytest.approx(values, abs=1e-12)


def test_sarsa_lambda_finds_the_way_sooner(unchecked):
    steps = {}
    for decay in (0.0, 0.9):
        env, q = gym.make("mazes/Maze-v0", max_episode_steps=200), zeros(25, 4)
        config = SarsaLambdaConfig(episodes=400, step_size=0.1, trace_decay=decay)
        records = list(sarsa_lambda(env, q, config, rng=np.random.default_rng(1)))
        steps[decay] = [record.steps for record in records]
    assert np.mean(steps[0.9][-50:]) < 20  # the shortest way takes 8
    assert np.sum(steps[0.9][:50]) < np.sum(steps[0.0][:50])


def test_a_run_repeats():
    env = gym.make("mazes/Maze-v0", slip=0.2, max_episode_steps=50)
    runs = []
    for _ in range(2):
        q = zeros(25, 4)
        list(sarsa_lambda(env, q, SarsaLambdaConfig(episodes=20), rng=np.random.default_rng(3)))
        runs.append(q)
    assert runs[0] == runs[1]


# --- bad input


@pytest.mark.parametrize("config", [TDLambdaConfig, SarsaLambdaConfig])
def test_bad_settings(config):
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match=rf"trace_decay must be in \[0, 1\], got {bad}"):
            config(trace_decay=bad)
    with pytest.raises(ValueError, match=r"step_size must be in \(0, 1\], got 0"):
        config(step_size=0.0)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"trace_decay must be in \[0, 1\], got 2.0"):
        lambda_return(THREE, GUESSES, discount=1.0, trace_decay=2.0)
    env = TabularEnv(random_walk(5))
    with pytest.raises(ValueError, match="row of its own"):
        next(sarsa_lambda(env, [[0.0] * 2] * 5, SarsaLambdaConfig(), rng=np.random.default_rng()))
