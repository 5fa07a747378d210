"""The 19-state random walk of Sutton & Barto (2018): what their figures 7.2, 12.3, 12.6 and 12.8 show, in short form.

Nineteen states in a row, rewards −1 and +1 beyond the ends, all guesses 0 at first; the error is the root of the mean
squared error over the states, at the end of each of the first ten episodes, averaged over these and over repetitions.
The walks are the same for all methods, as in the book.
"""

import numpy as np
import pytest
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import run_episode, transitions_of
from mazelm.tabular.n_step import NStepConfig, learn_n_step
from mazelm.tabular.problems.random_walk import random_walk, random_walk_values
from mazelm.tabular.traces import TDLambdaConfig, learn_lambda_return, learn_td_lambda, learn_true_online

STATES, REPETITIONS = 19, 25
TRUTH = random_walk_values(STATES, left_reward=-1.0)


@pytest.fixture(scope="module")
def repetitions():
    """Ten episodes for each repetition."""
    env, fair = TabularEnv(random_walk(STATES, left_reward=-1.0), start=STATES // 2), np.full((STATES, 2), 0.5)
    walks = []
    for seed in range(REPETITIONS):
        rng = np.random.default_rng(seed)
        walks.append([run_episode(env, fair, rng=rng, seed=seed if i == 0 else None) for i in range(10)])
    return walks


def error(repetitions, learn, config):
    """The number on the vertical axis of the figures."""
    errors = []
    for episodes in repetitions:
        values = [0.0] * STATES
        for trajectory in episodes:
            learn(values, trajectory if learn is learn_lambda_return else transitions_of(trajectory), config)
            errors.append(np.sqrt(np.mean((np.array(values) - TRUTH) ** 2)))
    return np.mean(errors)


def n_step(repetitions, n, step_size):
    return error(repetitions, learn_n_step, NStepConfig(n=n, step_size=step_size, discount=1.0))


def with_lambda(repetitions, learn, decay, step_size, **more):
    return error(repetitions, learn, TDLambdaConfig(trace_decay=decay, step_size=step_size, discount=1.0, **more))


def test_the_walks_take_100_steps_on_average(repetitions):
    """From the middle of n states it takes ((n + 1) / 2)² steps."""
    lengths = [len(trajectory.states) for episodes in repetitions for trajectory in episodes]
    assert np.mean(lengths) == pytest.approx(100, abs=4 * np.std(lengths) / np.sqrt(len(lengths)))


def test_figure_7_2(unchecked, repetitions):
    """Each n has its best step size, the smaller the larger n is; four steps are best, both ends are worse."""
    step_sizes = {1: (0.6, 0.8, 1.0), 4: (0.2, 0.4, 0.6), 16: (0.05, 0.15, 0.3), 512: (0.02, 0.05, 0.1)}
    errors = {n: [n_step(repetitions, n, a) for a in sizes] for n, sizes in step_sizes.items()}
    assert [int(np.argmin(errors[n])) for n in (1, 4, 16)] == [1, 1, 1]
    best = {n: min(found) for n, found in errors.items()}
    assert best[4] < best[16] - 0.02 < best[1] - 0.02
    assert best[1] < best[512] - 0.1
    assert best[4] == pytest.approx(0.27, abs=0.02)
    assert best[1] == pytest.approx(0.35, abs=0.02)
    assert n_step(repetitions, 2, 0.6) < best[1] - 0.03


def test_figure_12_3(unchecked, repetitions):
    """Offline λ-return: an intermediate λ is best, between 0.6 and 0.85, and as good as the best n."""
    step_sizes = {
        0.0: (0.6, 0.8, 1.0),
        0.4: (0.5, 0.7, 0.9),
        0.7: (0.4, 0.5, 0.6),
        0.8: (0.2, 0.35, 0.5),
        0.95: (0.1, 0.15, 0.3),
    }
    errors = {
        decay: [with_lambda(repetitions, learn_lambda_return, decay, a) for a in sizes]
        for decay, sizes in step_sizes.items()
    }
    best = {decay: min(found) for decay, found in errors.items()}
    assert max(best[0.7], best[0.8]) < min(best[0.4], best[0.95]) - 0.01
    assert best[0.7] == pytest.approx(best[0.8], abs=0.01)  # these walks do not settle which of the two
    assert best[0.4] < best[0.0] - 0.03
    assert best[0.8] == pytest.approx(n_step(repetitions, 4, 0.4), abs=0.02)


def test_figure_12_6(unchecked, repetitions):
    """Accumulating traces do as well as the λ-return at its best step size or below it, and blow up above."""
    for decay, best in ((0.8, 0.3), (0.9, 0.2)):
        forward = with_lambda(repetitions, learn_lambda_return, decay, best)
        assert with_lambda(repetitions, learn_td_lambda, decay, best) == pytest.approx(forward, abs=0.03)
    assert with_lambda(repetitions, learn_lambda_return, 0.9, 0.8) < 0.5
    assert with_lambda(repetitions, learn_td_lambda, 0.9, 0.8) > 1000
    assert with_lambda(repetitions, learn_td_lambda, 0.9, 0.8, replacing=True) < 0.5


def test_figure_12_8(unchecked, repetitions):
    """True online TD(λ) does better than the offline algorithm, the more so the smaller λ is; at λ = 1 they are equal.

    In the published figure the two are one line for λ = 0. Here they are not: our offline algorithm takes all targets
    of an episode from the table that it began with.
    """
    gains = {}
    for decay, step_size in ((0.0, 0.8), (0.4, 0.7), (0.8, 0.4), (1.0, 0.05)):
        forward = with_lambda(repetitions, learn_lambda_return, decay, step_size)
        gains[decay] = forward - with_lambda(repetitions, learn_true_online, decay, step_size)
    assert gains[0.0] > 0.015
    assert gains[0.4] > 0.01
    assert abs(gains[0.8]) < 0.01  # a few thousandths, and as large as its standard error
    assert gains[1.0] == pytest.approx(0, abs=1e-9)
