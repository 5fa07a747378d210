"""Planning one state at a time, beside slow transcriptions and beside planners that renew all states together.

The labelled equations of lesson 6.3 are here too.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mazelm.tabular.asynchronous import (
    Progress,
    asynchronous_sweeps,
    bellman_errors,
    prioritised_sweeping,
    residual_bound,
    steps_to_end,
)
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import (
    exact_values,
    greedy_policy,
    modified_policy_iteration_rounds,
    policy_iteration,
    value_iteration,
    value_iteration_sweeps,
)
from mazelm.tabular.problems.random_walk import random_walk
from mazes.dynamics import Rewards, move_tables, slip_matrix
from mazes.generate import random_maze
from mazes.grid import Maze, distances
from scipy import sparse
from scipy.optimize import linprog

discounts = st.sampled_from([0.0, 0.3, 0.9, 0.99])


@st.composite
def models(draw, largest=6):
    """A random model, dense or sparse, in which some steps may end the task and many transitions are impossible."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_states, n_actions = draw(st.integers(1, largest)), draw(st.integers(1, 3))
    rows = rng.dirichlet(np.full(n_states + 1, 0.4), size=(n_states, n_actions))
    rows[rows < 0.05] = 0
    rows /= rows.sum(axis=-1, keepdims=True)
    if draw(st.booleans()):  # no step ends the task
        rows[..., 0] += rows[..., -1]
        rows[..., -1] = 0
    rewards = rng.normal(scale=draw(st.sampled_from([0.1, 1.0, 30.0])), size=(n_states, n_actions))
    going_on = rows[..., :-1]
    if draw(st.booleans()):
        going_on = sparse.csr_array(going_on.reshape(-1, n_states))
    return TabularMDP(going_on, rewards, rows[..., -1]), rng


def dense(mdp):
    matrix = mdp.transitions
    matrix = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    return matrix.reshape(mdp.n_states, mdp.n_actions, mdp.n_states)


def slow_promise(mdp, values, s, a, discount):
    """r(s, a) + γ·Σ P(s′ | s, a)·V(s′), term by term."""
    total = float(mdp.rewards[s, a])
    for following in range(mdp.n_states):
        total += discount * float(dense(mdp)[s, a, following]) * float(values[following])
    return total


def slow_backup(mdp, values, s, discount):
    return max(slow_promise(mdp, values, s, a, discount) for a in range(mdp.n_actions))


def maze_model(rows, cols, seed, slip, **rewards):
    maze = random_maze(rows, cols, loops=0.3, rng=np.random.default_rng(seed))
    return maze, TabularMDP.from_moves(*move_tables(maze, rewards=Rewards(**rewards)), slip_matrix(slip))


# The labelled equations.


@given(models(), discounts)
def test_eq_gauss_seidel(drawn, discount):
    """Of two states, the one that comes first in the order is seen by the other with its new value."""
    mdp, rng = drawn
    old = rng.normal(scale=10, size=mdp.n_states)
    order = rng.permutation(mdp.n_states)
    new = np.full(mdp.n_states, np.nan)
    for place, s in enumerate(order):
        promises = []
        for a in range(mdp.n_actions):
            total = float(mdp.rewards[s, a])
            for other_place, other in enumerate(order):
                value = new[other] if other_place < place else old[other]
                total += discount * float(dense(mdp)[s, a, other]) * float(value)
            promises.append(total)
        new[s] = max(promises)
    (one,) = asynchronous_sweeps(mdp, [order], discount=discount, values=old)
    assert one.values == pytest.approx(new, rel=1e-10, abs=1e-10)
    assert one.backups == mdp.n_states


@settings(max_examples=40)
@given(models(largest=4), st.sampled_from([0.0, 0.3, 0.9]))
def test_eq_residual_bound(drawn, discount):
    """Values from anywhere are no farther from the optimal ones than their largest Bellman error over 1 − γ."""
    mdp, rng = drawn
    values = rng.normal(scale=10, size=mdp.n_states)
    errors = [abs(slow_backup(mdp, values, s, discount) - values[s]) for s in range(mdp.n_states)]
    assert bellman_errors(mdp, values, discount=discount) == pytest.approx(errors, rel=1e-10, abs=1e-10)
    bound = residual_bound(max(errors), discount)
    assert bound == pytest.approx(max(errors) / (1 - discount))
    policies = itertools.product(range(mdp.n_actions), repeat=mdp.n_states)
    optimum = np.max([exact_values(mdp, np.array(policy), discount=discount) for policy in policies], axis=0)
    assert np.abs(values - optimum).max() <= bound + 1e-9 * (1 + np.abs(optimum).max())


@settings(max_examples=40)
@given(models(), discounts, st.integers(1, 5))
def test_eq_modified_policy_iteration(drawn, discount, sweeps):
    """V_k+1 = the operator of the policy that is greedy for V_k, applied m times; each round yields its first."""
    mdp, _ = drawn
    values = np.zeros(mdp.n_states)
    rounds = modified_policy_iteration_rounds(mdp, discount=discount, sweeps=sweeps)
    for one in itertools.islice(rounds, 4):
        q = np.array(
            [[slow_promise(mdp, values, s, a, discount) for a in range(mdp.n_actions)] for s in range(len(values))]
        )
        assert one.values == pytest.approx(q.max(axis=1), rel=1e-9, abs=1e-9)
        policy = q.argmax(axis=1)
        for _ in range(sweeps):
            values = np.array([slow_promise(mdp, values, s, policy[s], discount) for s in range(len(values))])


@given(models(), st.sampled_from([0.3, 0.9, 0.99]))
def test_eq_priority(drawn, discount):
    """The priorities of the formula are never below the true Bellman errors, whatever the order of the backups."""
    mdp, rng = drawn
    values = rng.normal(scale=10, size=mdp.n_states)
    chances, states = dense(mdp), range(mdp.n_states)
    priorities = [abs(slow_backup(mdp, values, s, discount) - values[s]) for s in states]
    for s in rng.integers(mdp.n_states, size=12):
        new = slow_backup(mdp, values, s, discount)
        change, values[s], priorities[s] = abs(new - values[s]), new, 0.0
        for p in states:
            priorities[p] += discount * max(chances[p, a, s] for a in range(mdp.n_actions)) * change
        errors = [abs(slow_backup(mdp, values, p, discount) - values[p]) for p in states]
        assert all(error <= priority + 1e-9 for error, priority in zip(errors, priorities, strict=True))


@settings(max_examples=40)
@given(models(), st.sampled_from([0.3, 0.9, 0.99]), st.sampled_from([1e-2, 1e-4]))
def test_eq_priority_decides_who_is_next(drawn, discount, tolerance):
    """The library renews the states that a slow search for the largest priority finds, one after the other."""
    mdp, _ = drawn
    values, chances, states = np.zeros(mdp.n_states), dense(mdp), range(mdp.n_states)
    priorities = np.abs(mdp.rewards.max(axis=1))
    progress = prioritised_sweeping(mdp, discount=discount, tolerance=tolerance, every=1)
    for one in itertools.islice(progress, 30):
        if priorities.max() <= (1 - discount) * tolerance:
            assert one.backups == 0
            break
        tied = np.flatnonzero(priorities >= priorities.max() * (1 - 1e-12))
        moved = np.flatnonzero(one.values != values)
        s = int(tied[0]) if moved.size == 0 else int(moved[0])
        assert s in tied
        assert moved.size <= 1
        if tied.size > 1:
            break  # rounding may decide otherwise from here on
        new = slow_backup(mdp, values, s, discount)
        assert one.values[s] == pytest.approx(new, rel=1e-9, abs=1e-12)
        change, priorities[s] = abs(new - values[s]), 0.0
        priorities += [discount * max(chances[p, a, s] for a in range(mdp.n_actions)) * change for p in states]
        values = one.values


@settings(max_examples=40)
@given(models(), st.sampled_from([0.5, 0.9, 0.98]), st.sampled_from([1.0, 1e-2, 1e-3]))
def test_eq_sweeps_needed(drawn, discount, tolerance):
    """From zeros, so many sweeps are enough, however many states there are."""
    mdp, _ = drawn
    largest = np.abs(mdp.rewards).max()
    needed = max(0, int(np.ceil(np.log(largest / ((1 - discount) * tolerance)) / np.log(1 / discount))))
    optimum = policy_iteration(mdp, discount=discount).values
    values = np.zeros(mdp.n_states)
    if needed:
        values = next(value_iteration_sweeps(mdp, discount=discount, every=needed)).values
    assert np.abs(values - optimum).max() <= tolerance + 1e-6 * (1 + np.abs(optimum).max())


@settings(max_examples=40)
@given(models(), st.sampled_from([0.0, 0.5, 0.9]))
def test_eq_linear_program(drawn, discount):
    mdp, _ = drawn
    left, right = [], []
    for s in range(mdp.n_states):
        for a in range(mdp.n_actions):
            row = [-discount * float(dense(mdp)[s, a, n]) for n in range(mdp.n_states)]
            row[s] += 1.0
            left.append([-entry for entry in row])
            right.append(-float(mdp.rewards[s, a]))
    found = linprog(np.ones(mdp.n_states), A_ub=left, b_ub=right, bounds=(None, None))
    assert found.success
    optimum = policy_iteration(mdp, discount=discount).values
    assert found.x == pytest.approx(optimum, rel=1e-5, abs=1e-5 * (1 + np.abs(optimum).max()))


# Sweeps in place.


def test_one_sweep_by_hand():
    """Three states, the exit to the right: against the walk the news travels through all, along it one state."""
    walk = random_walk(3, left_reward=0.0, right_reward=1.0)
    order = {"against": [2, 1, 0], "along": [0, 1, 2]}
    swept = {name: next(asynchronous_sweeps(walk, [one], discount=0.5)).values for name, one in order.items()}
    assert swept["against"].tolist() == [0.25, 0.5, 1.0]
    assert swept["along"].tolist() == [0.0, 0.0, 1.0]


def test_an_order_may_repeat_a_state_and_leave_others_alone():
    walk = random_walk(3, left_reward=0.0, right_reward=1.0)
    (one,) = asynchronous_sweeps(walk, [[2, 1, 1]], discount=0.5)
    assert one.values.tolist() == [0.0, 0.5, 1.0]
    assert one.backups == 3
    (empty,) = asynchronous_sweeps(walk, [[]], discount=0.5)
    assert empty.values.tolist() == [0, 0, 0]
    assert (empty.backups, empty.bellman_error) == (0, 1.0)


@given(models(), st.sampled_from([0.0, 0.5, 0.9]))
def test_random_orders_reach_the_optimum_at_the_rate_of_their_epochs(drawn, discount):
    """In a stretch that renews every state at least once, the largest error shrinks by γ at least."""
    mdp, rng = drawn
    optimum = policy_iteration(mdp, discount=discount).values
    error = np.abs(optimum).max()
    orders = [np.append(rng.permutation(mdp.n_states), rng.integers(mdp.n_states, size=3)) for _ in range(10)]
    for one in asynchronous_sweeps(mdp, orders, discount=discount):
        now = np.abs(one.values - optimum).max()
        assert now <= discount * error + 1e-7 * (1 + np.abs(optimum).max())
        error = now


def test_backups_are_counted_over_all_sweeps_and_the_error_is_that_of_the_yielded_values():
    _, mdp = maze_model(6, 6, 0, 0.2)
    orders = [range(36), [3, 4], range(35, -1, -1)]
    progress = list(asynchronous_sweeps(mdp, orders, discount=0.9))
    assert [one.backups for one in progress] == [36, 38, 74]
    for one in progress:
        best = mdp.q_values(one.values, discount=0.9).max(axis=1)
        assert one.bellman_error == pytest.approx(np.abs(best - one.values).max(), rel=1e-12)


def test_records_do_not_change_afterwards_and_the_start_is_left_alone():
    _, mdp = maze_model(5, 5, 1, 0.2)
    start = np.arange(25.0)
    first, second = asynchronous_sweeps(mdp, [range(25)] * 2, discount=0.9, values=start)
    assert not np.array_equal(first.values, second.values)
    assert start.tolist() == list(range(25))
    by_hand = start.copy()
    for s in range(25):
        by_hand[s] = slow_backup(mdp, by_hand, s, 0.9)
    assert first.values == pytest.approx(by_hand, rel=1e-12)


def test_nothing_is_computed_before_somebody_asks():
    walk = random_walk(3)
    endless = asynchronous_sweeps(walk, itertools.repeat([0, 1, 2]), discount=0.5)
    assert isinstance(next(endless), Progress)


def test_a_sweep_from_the_end_plans_a_firm_maze_at_once():
    """Begun below all values, one sweep in the order of distance is enough: each state sees only final values."""
    maze, mdp = maze_model(15, 15, 2, 0.0)
    far = distances(maze)
    order = sorted(np.flatnonzero(far > 0).tolist(), key=lambda s: far[s])
    low = np.where(far > 0, -100.0, 0.0)
    (one,) = asynchronous_sweeps(mdp, [order], discount=0.99, values=low)
    assert one.values == pytest.approx(policy_iteration(mdp, discount=0.99).values, abs=1e-8)
    assert one.bellman_error < 1e-9


@pytest.mark.parametrize("bad", [-1, 3])
def test_an_order_with_a_state_that_is_not_there(bad):
    with pytest.raises(ValueError, match=rf"orders must name states from 0 to 2, got {bad}"):
        next(asynchronous_sweeps(random_walk(3), [[0, bad]], discount=0.5))


# Prioritised sweeping.


@settings(max_examples=40)
@given(models(), st.sampled_from([0.0, 0.5, 0.9, 0.99]), st.sampled_from([1.0, 1e-2, 1e-5]))
def test_prioritised_sweeping_keeps_its_word(drawn, discount, tolerance):
    mdp, _ = drawn
    *_, last = prioritised_sweeping(mdp, discount=discount, tolerance=tolerance)
    optimum = policy_iteration(mdp, discount=discount).values
    assert residual_bound(last.bellman_error, discount) <= tolerance * (1 + 1e-6)
    assert np.abs(last.values - optimum).max() <= tolerance + 1e-6 * (1 + np.abs(optimum).max())


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_prioritised_sweeping_in_a_maze(slip):
    _, mdp = maze_model(12, 12, 3, slip)
    *_, last = prioritised_sweeping(mdp, discount=0.95, tolerance=1e-6)
    assert last.values == pytest.approx(value_iteration(mdp, discount=0.95, tolerance=1e-8).values, abs=2e-6)


def test_many_small_changes_add_up():
    """A hub before 50 rooms: what each room passes on is below the threshold, and all of them together are not."""
    n, discount = 50, 0.9
    chances = np.zeros((n + 1, 1, n + 1))
    chances[0, 0, 1:] = 1 / n
    mdp = TabularMDP(chances, np.append(0.0, np.ones(n))[:, None], np.append(0.0, np.ones(n))[:, None])
    *_, last = prioritised_sweeping(mdp, discount=discount, tolerance=0.5)
    assert last.values[0] == pytest.approx(0.9, abs=0.05)  # the largest of the contributions alone is 0.018
    assert last.backups == n + 1


def test_a_state_that_leads_to_itself_is_its_own_predecessor():
    stays = TabularMDP(np.array([[[0.9]]]), np.array([[1.0]]), np.array([[0.1]]))
    *_, last = prioritised_sweeping(stays, discount=0.9, tolerance=1e-6)
    assert last.values[0] == pytest.approx(1 / (1 - 0.81), abs=1e-6)


def test_records_of_prioritised_sweeping():
    _, mdp = maze_model(6, 6, 0, 0.2)
    progress = list(prioritised_sweeping(mdp, discount=0.9, tolerance=1e-3, every=100))
    assert [one.backups for one in progress[:-1]] == list(range(100, 100 * len(progress), 100))
    assert progress[-2].backups < progress[-1].backups
    errors = [bellman_errors(mdp, one.values, discount=0.9).max() for one in progress]
    assert [one.bellman_error for one in progress] == pytest.approx(errors)
    per_backup = list(prioritised_sweeping(mdp, discount=0.9, tolerance=1e-3, every=1))
    assert len(per_backup) == per_backup[-1].backups == progress[-1].backups
    assert all((b.values != a.values).sum() <= 1 for a, b in itertools.pairwise(per_backup))


def test_values_that_are_right_already_need_no_backup():
    _, mdp = maze_model(6, 6, 0, 0.2)
    optimum = policy_iteration(mdp, discount=0.9).values
    (only,) = prioritised_sweeping(mdp, discount=0.9, tolerance=1e-3, values=optimum)
    assert only.backups == 0
    assert np.array_equal(only.values, optimum)


def test_the_largest_error_comes_first():
    maze = Maze.from_text("S....G")
    mdp = TabularMDP.from_moves(*move_tables(maze), slip_matrix(0.0))
    low = np.array([-10.0] * 5 + [0.0])  # -1 / (1 - 0.9): nothing is known to be better than to wander
    progress = list(prioritised_sweeping(mdp, discount=0.9, tolerance=1e-6, values=low, every=1))
    moved = [np.flatnonzero(b != a) for a, b in itertools.pairwise([low, *(one.values for one in progress)])]
    assert [int(s[0]) for s in moved if s.size] == [4, 3, 2, 1, 0]  # a bump leads back: some backups change nothing
    assert progress[-1].values[:5] == pytest.approx([3.122, 4.58, 6.2, 8, 10])


def test_undiscounted_tasks_end_by_the_threshold_itself():
    _, mdp = maze_model(6, 6, 4, 0.2)
    *_, last = prioritised_sweeping(mdp, discount=1.0, tolerance=1e-9)
    assert last.bellman_error <= 1e-9
    *_, rough = prioritised_sweeping(mdp, discount=1.0, tolerance=0.5)
    assert 0.01 < rough.bellman_error <= 0.5
    assert rough.backups < last.backups
    policy = greedy_policy(mdp, last.values, discount=1.0)
    assert exact_values(mdp, policy, discount=1.0) == pytest.approx(last.values, abs=1e-6)
    assert residual_bound(0.1, 1.0) == np.inf


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("tolerance", 0.0, "tolerance must be above 0, got 0"),
        ("discount", 1.5, r"discount must be in \[0, 1\], got 1.5"),
        ("every", 0, "every must be at least 1, got 0"),
    ],
)
def test_bad_arguments(argument, value, message):
    arguments = {"discount": 0.9, "tolerance": 0.1, argument: value}
    with pytest.raises(ValueError, match=message):
        next(prioritised_sweeping(random_walk(3), **arguments))


def test_asynchronous_sweeps_refuse_a_bad_discount():
    with pytest.raises(ValueError, match=r"discount must be in \[0, 1\], got -0.1"):
        next(asynchronous_sweeps(random_walk(3), [[0]], discount=-0.1))


# Steps to the end.


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_steps_to_end_are_the_distances_of_a_maze(slip):
    maze, mdp = maze_model(14, 9, 5, slip)
    free = ~maze.walls.ravel()
    assert np.array_equal(steps_to_end(mdp)[free], distances(maze)[free])
    assert (steps_to_end(mdp)[~free] == 0).all()  # nothing follows inside a wall


def test_steps_to_end_by_hand():
    # 0 ends at once whatever one does; 1 may end; 2 leads to 1 by one action of two; 3 and 4 are a closed loop.
    chances = np.zeros((5, 2, 5))
    chances[1, 0, 1], chances[1, 1, 2] = 0.5, 1.0
    chances[2, 0, 2], chances[2, 1, 1] = 1.0, 1.0
    chances[3, :, 4] = chances[4, :, 3] = 1.0
    ends = np.array([[1.0, 1.0], [0.5, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    for stored in (chances, sparse.csr_array(chances.reshape(10, 5))):
        assert steps_to_end(TabularMDP(stored, np.zeros((5, 2)), ends)).tolist() == [0, 1, 2, -1, -1]


def test_dense_and_sparse_models_and_tables_of_moves_give_the_same():
    _, table = maze_model(20, 20, 6, 0.2)
    matrix, ends = table.transitions, table.terminations
    sparsely = TabularMDP(matrix, table.rewards, ends)
    densely = TabularMDP(matrix.toarray().reshape(400, 4, 400), table.rewards, ends)
    assert isinstance(densely.transitions, np.ndarray)
    results = [
        [
            *asynchronous_sweeps(mdp, [range(400)] * 3, discount=0.9),
            *prioritised_sweeping(mdp, discount=0.9, tolerance=0.1),
        ]
        for mdp in (table, sparsely, densely)
    ]
    for one, *others in zip(*results, strict=True):
        for other in others:
            assert one.backups == other.backups
            assert one.values == pytest.approx(other.values, rel=1e-12)
    assert np.array_equal(steps_to_end(table), steps_to_end(densely))
