"""The labelled equations of lesson 7.2, each transcribed slowly and compared with the library."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.tabular.episodes import Trajectory
from mazelm.tabular.importance_sampling import (
    clipped_ratios,
    effective_sample_size,
    ordinary_estimate,
    per_decision_returns,
    trajectory_ratios,
    weighted_estimate,
)
from mazelm.tabular.off_policy import weighted_update

seeds = st.integers(0, 2**32 - 1)


@st.composite
def problems(draw):
    """Two policies, and a few episodes of unequal length that the behaviour policy may have made."""
    rng = np.random.default_rng(draw(seeds))
    n_states, n_actions = draw(st.integers(1, 4)), draw(st.integers(2, 4))
    target, behaviour = rng.dirichlet(np.ones(n_actions), size=(2, n_states))
    if draw(st.booleans()):
        target = np.eye(n_actions)[target.argmax(axis=1)]  # a certain policy: many ratios are zero
    behaviour = (behaviour + 0.1) / (behaviour + 0.1).sum(axis=1, keepdims=True)
    paths = []
    for _ in range(draw(st.integers(1, 5))):
        steps = int(rng.integers(1, 7))
        states, actions = rng.integers(n_states, size=steps).tolist(), rng.integers(n_actions, size=steps).tolist()
        rewards = rng.normal(size=steps).tolist()
        paths.append(Trajectory(states, actions, rewards, int(rng.integers(n_states)), bool(rng.random() < 0.7)))
    return target, behaviour, paths, rng.normal(size=(n_states, n_actions))


@given(seeds)
def test_eq_change_of_measure(seed):
    """Samples in the exact proportions of b, reweighted, have the mean under π."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 6, size=4)
    b, pi, f = counts / counts.sum(), rng.dirichlet(np.ones(4)), rng.normal(size=4)
    expected = 0.0
    for x in range(4):
        expected += pi[x] * f[x]
    samples = np.repeat(np.arange(4), counts)
    ratios = np.array([pi[x] / b[x] for x in samples])
    assert ordinary_estimate(f[samples], ratios) == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert ratios.mean() == pytest.approx(1, rel=1e-12)


@given(problems())
def test_eq_trajectory_ratio(problem):
    target, behaviour, paths, _ = problem
    expected = []
    for path in paths:
        product = 1.0
        for s, a in zip(path.states, path.actions, strict=True):
            product = product * target[s, a] / behaviour[s, a]
        expected.append(product)
    assert trajectory_ratios(paths, target, behaviour) == pytest.approx(expected, rel=1e-10)


@given(problems(), st.floats(0, 1))
def test_eq_per_decision(problem, discount):
    target, behaviour, paths, q = problem
    values = q[:, 0].copy()
    expected = []
    for path in paths:
        total = 0.0
        for t in range(len(path.rewards)):
            product = 1.0
            for k in range(t + 1):  # the factors 0 … t and no later one
                product *= target[path.states[k], path.actions[k]] / behaviour[path.states[k], path.actions[k]]
            total += discount**t * product * path.rewards[t]
        if not path.terminated:
            total += discount ** len(path.rewards) * product * values[path.last_state]
        expected.append(total)
    ours = per_decision_returns(paths, target, behaviour, discount=discount, values=values)
    assert ours == pytest.approx(expected, rel=1e-9, abs=1e-9)


arrays = st.lists(st.tuples(st.floats(-10, 10), st.floats(1e-3, 50)), min_size=1, max_size=9)


@given(arrays)
def test_eq_ordinary_is(pairs):
    total = 0.0
    for value, ratio in pairs:
        total += ratio * value
    returns, ratios = np.array(pairs).T
    assert ordinary_estimate(returns, ratios) == pytest.approx(total / len(pairs), rel=1e-10, abs=1e-10)


@given(arrays)
def test_eq_weighted_is(pairs):
    above = below = 0.0
    for value, ratio in pairs:
        above += ratio * value
        below += ratio
    returns, ratios = np.array(pairs).T
    assert weighted_estimate(returns, ratios) == pytest.approx(above / below, rel=1e-10, abs=1e-10)


@given(arrays)
def test_eq_effective_sample_size(pairs):
    total = squares = 0.0
    for _, ratio in pairs:
        total += ratio
        squares += ratio**2
    ratios = np.array(pairs)[:, 1]
    assert effective_sample_size(ratios) == pytest.approx(total**2 / squares, rel=1e-10)


@given(arrays, st.floats(1e-3, 60))
def test_eq_clipped_ratio(pairs, limit):
    ratios = np.array(pairs)[:, 1]
    assert clipped_ratios(ratios, limit).tolist() == [ratio if ratio < limit else limit for ratio in ratios.tolist()]


@given(problems(), st.floats(0, 1))
def test_eq_weighted_update(problem, discount):
    """Episode after episode, the table holds the weighted means of all the returns that each pair has seen."""
    target, behaviour, paths, start = problem
    q, weights = start.copy(), np.zeros(start.shape)
    seen = {}
    for path in paths:
        following = 0.0
        if not path.terminated:
            for a in range(q.shape[1]):
                following += target[path.last_state, a] * q[path.last_state, a]
        ratio = 1.0
        for t in reversed(range(len(path.rewards))):
            s, a = path.states[t], path.actions[t]
            following = path.rewards[t] + discount * following
            if ratio > 0:
                seen.setdefault((s, a), []).append((ratio, following))
            ratio *= target[s, a] / behaviour[s, a]
        weighted_update(q, weights, path, target, behaviour, discount=discount)
    for s in range(q.shape[0]):
        for a in range(q.shape[1]):
            pairs = seen.get((s, a), [])
            total = math.fsum(ratio for ratio, _ in pairs)
            mean = math.fsum(ratio * value for ratio, value in pairs) / total if pairs else start[s, a]
            assert weights[s, a] == pytest.approx(total, rel=1e-9)
            assert q[s, a] == pytest.approx(mean, rel=1e-7, abs=1e-9)
