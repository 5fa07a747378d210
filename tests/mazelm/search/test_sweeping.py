"""Prioritised sweeping with a learned model: the queue, one step by hand, runs against Dyna-Q, bad input."""

import numpy as np
import pytest
from gymnasium.wrappers import TimeLimit
from hypothesis import given
from hypothesis import strategies as st
from mazelm.search.dyna import DynaConfig, LastSeenModel, dyna_q
from mazelm.search.sweeping import SweepingConfig, SweepingModel, prioritised_sweeping_q, priority, sweeping_step
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Transition
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import value_iteration
from mazelm.tabular.problems.dyna_mazes import DYNA, ShiftingMaze, outcomes
from mazelm.tabular.td import zeros

steps = st.builds(
    Transition, st.integers(0, 3), st.integers(0, 2), st.integers(-3, 3).map(float), st.integers(0, 3), st.booleans()
)


@given(steps, st.integers(0, 99), st.sampled_from([0.0, 0.5, 1.0]))
def test_eq_sweeping_priority(step, seed, discount):
    q = np.random.default_rng(seed).normal(size=(4, 3))
    future = 0.0 if step.terminated else discount * max(q[step.next_state])
    expected = abs(step.reward + future - q[step.state, step.action])
    assert priority(q.tolist(), step, discount=discount) == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9).map(float)), max_size=20))
def test_the_queue_gives_the_highest_first(pushed):
    model, waiting = SweepingModel(), {}
    for s, level in pushed:
        model.push((s, 0), level)
        waiting[s, 0] = max(level, waiting.get((s, 0), 0.0))
    popped = []
    while (pair := model.pop()) is not None:
        popped.append(pair)
    assert sorted(popped) == sorted(waiting)
    levels = [waiting[pair] for pair in popped]
    assert levels == sorted(levels, reverse=True)


def test_a_pair_may_wait_again():
    model = SweepingModel()
    model.push((0, 0), 5.0)
    assert model.pop() == (0, 0)
    model.push((0, 0), 2.0)  # lower than before, but nothing waits
    assert model.pop() == (0, 0)
    assert model.pop() is None


def test_a_corridor_by_hand():
    """0 → 1 → 2 → end, which pays 1: the news of one step goes back through the whole corridor."""
    model, q = SweepingModel(), zeros(3, 1)
    config = SweepingConfig(step_size=0.5, discount=0.5, threshold=0.01)
    for s in range(3):
        model.observe(Transition(s, 0, float(s == 2), s + 1 if s < 2 else 2, s == 2))
    model.push((2, 0), 1.0)
    done = [sweeping_step(q, model, config) for _ in range(4)]
    assert done == [True, True, True, False]
    assert q == [[0.5 * 0.5 * 0.125], [0.5 * 0.5 * 0.5], [0.5]]
    assert model.updates == 3


def test_a_threshold_stops_the_news():
    model, q = SweepingModel(), zeros(3, 1)
    for s in range(3):
        model.observe(Transition(s, 0, float(s == 2), s + 1 if s < 2 else 2, s == 2))
    model.push((2, 0), 1.0)
    config = SweepingConfig(step_size=0.5, discount=0.5, threshold=0.1)
    while sweeping_step(q, model, config):
        pass
    assert q == [[0.0], [0.125], [0.5]]  # 0.0625 would have been the change of the first


def test_predecessors_are_those_of_the_last_time():
    model = SweepingModel()
    old, new = Transition(0, 0, 1.0, 2, False), Transition(0, 0, 3.0, 1, False)
    ended = Transition(3, 0, 1.0, 2, True)
    for step in (old, ended):
        model.observe(step)
    assert model.predecessors(2) == [old]  # nothing follows a step that ended the task
    model.observe(new)
    assert (model.predecessors(2), model.predecessors(1), model.predecessors(9)) == ([], [new], [])


def test_it_finds_the_exact_solution(unchecked):
    q, model = zeros(54, 4), SweepingModel()
    config = SweepingConfig(episodes=3, epsilon=1.0, step_size=1.0, discount=0.9, planning_steps=200, threshold=0.0)
    list(prioritised_sweeping_q(ShiftingMaze(DYNA), q, config, rng=np.random.default_rng(1), model=model))
    mdp = TabularMDP.from_outcomes(outcomes(DYNA))
    best = value_iteration(mdp, discount=0.9, tolerance=1e-10).values
    tried = tuple(np.array(list(model.outcomes)).T)
    assert np.array(q)[tried] == pytest.approx(mdp.q_values(best, discount=0.9)[tried], abs=1e-9)


def test_fewer_updates_than_dyna(unchecked):
    """Until three walks in a row are nearly straight, with the same settings; medians of nine seeds."""
    used = {"dyna": [], "sweeping": []}
    for seed in range(9):
        settings = {"discount": 0.95, "step_size": 0.5, "planning_steps": 5}
        by_chance, by_queue = LastSeenModel(), SweepingModel()
        chances, tables = (np.random.default_rng(seed), np.random.default_rng(seed)), (zeros(54, 4), zeros(54, 4))
        runs = (
            dyna_q(ShiftingMaze(DYNA), tables[0], DynaConfig(**settings), rng=chances[0], model=by_chance),
            prioritised_sweeping_q(
                ShiftingMaze(DYNA), tables[1], SweepingConfig(**settings), rng=chances[1], model=by_queue
            ),
        )
        for run in runs:
            lengths = []
            while len(lengths) < 3 or max(lengths[-3:]) > 25:
                lengths.append(next(run).steps)
        used["dyna"].append(6 * by_chance.steps)
        used["sweeping"].append(by_queue.updates)
        assert by_queue.updates <= 5 * by_queue.steps
    assert np.median(used["dyna"]) > 2 * np.median(used["sweeping"])


def test_truncated_is_not_terminated():
    endless = TimeLimit(TabularEnv(TabularMDP(np.ones((1, 1, 1)), np.ones((1, 1)))), max_episode_steps=2)
    q = zeros(1, 1)
    config = SweepingConfig(episodes=200, step_size=0.5, discount=0.5)
    records = list(prioritised_sweeping_q(endless, q, config, rng=np.random.default_rng(0)))
    assert q[0][0] == pytest.approx(2.0, abs=1e-3)
    assert all(record == (2.0, 2, False) for record in records)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"planning_steps": 0}, "planning_steps must be at least 1, got 0"),
        ({"threshold": -1.0}, "threshold must not be negative, got -1.0"),
        ({"discount": 2.0}, "discount must be in"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        SweepingConfig(**settings)


def test_shared_rows_are_refused():
    with pytest.raises(ValueError, match="row of its own"):
        next(
            prioritised_sweeping_q(ShiftingMaze(DYNA), [[0.0] * 4] * 54, SweepingConfig(), rng=np.random.default_rng(0))
        )
