"""Every planner against the others, against enumeration, and against the definition of a sweep."""

import itertools

import numpy as np
import pytest
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import (
    error_bound,
    exact_values,
    greedy_policy,
    modified_policy_iteration,
    modified_policy_iteration_rounds,
    policy_evaluation,
    policy_improvement,
    policy_iteration,
    policy_iteration_rounds,
    value_iteration,
    value_iteration_sweeps,
)
from mazelm.tabular.problems.four_by_four import four_by_four
from mazelm.tabular.problems.random_walk import random_walk, random_walk_values
from mazes import maps
from mazes.dynamics import ADDING, REPLACING, move_tables, outcomes, slip_matrix
from mazes.generate import random_maze
from scipy import sparse


def random_mdp(rng, n_states=5, n_actions=3, end=0.1):
    transitions = rng.dirichlet(np.ones(n_states), size=(n_states, n_actions)) * (1 - end)
    return TabularMDP(transitions, rng.normal(size=(n_states, n_actions)), np.full((n_states, n_actions), end))


def maze_mdp(maze, slip, rewards=REPLACING):
    return TabularMDP.from_moves(*move_tables(maze, rewards=rewards), slip_matrix(slip))


def slow_best(mdp, values, discount):
    """One optimal backup of every state, written out."""
    return np.array(
        [
            max(
                mdp.rewards[s, a] + discount * sum(mdp.transitions[s, a, n] * values[n] for n in range(mdp.n_states))
                for a in range(mdp.n_actions)
            )
            for s in range(mdp.n_states)
        ]
    )


@pytest.fixture
def rng():
    return np.random.default_rng(6)


def test_exact_values_by_hand():
    # One state that pays 1 and goes on with chance ½: 1 + ½ + ¼ + … = 2 at γ = 1, and 1 / (1 − ½·½) at γ = ½.
    mdp = TabularMDP(np.full((1, 1, 1), 0.5), np.ones((1, 1)), np.full((1, 1), 0.5))
    assert exact_values(mdp, np.array([0]), discount=1.0) == pytest.approx(2)
    assert exact_values(mdp, np.array([0]), discount=0.5) == pytest.approx(4 / 3)


def test_the_gridworld_under_the_random_policy_has_the_published_values():
    values = exact_values(four_by_four(), np.full((16, 4), 0.25), discount=1.0).reshape(4, 4)
    want = [[0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]]
    np.testing.assert_allclose(values, want, atol=1e-10)  # Sutton & Barto (2018), figure 4.1


@pytest.mark.parametrize("n_states", [1, 2, 5, 19])
def test_the_random_walk_has_its_known_values(n_states):
    walk = random_walk(n_states, left_reward=-1.0, right_reward=1.0)
    values = exact_values(walk, np.full((n_states, 2), 0.5), discount=1.0)
    np.testing.assert_allclose(values, random_walk_values(n_states, left_reward=-1.0, right_reward=1.0), atol=1e-12)
    assert random_walk_values(5).tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])


def test_sparse_and_dense_solves_agree(rng):
    dense = random_mdp(rng)
    matrix = sparse.csr_array(dense.transitions.reshape(-1, 5))
    policy = rng.dirichlet(np.ones(3), size=5)
    got = exact_values(TabularMDP(matrix, dense.rewards, dense.terminations), policy, discount=0.95)
    np.testing.assert_allclose(got, exact_values(dense, policy, discount=0.95), atol=1e-12)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_sweeps_of_evaluation_end_at_the_exact_values(rng, in_place, discount):
    mdp, policy = random_mdp(rng), rng.dirichlet(np.ones(3), size=5)
    sweeps = list(policy_evaluation(mdp, policy, discount=discount, tolerance=1e-9, in_place=in_place))
    exact = exact_values(mdp, policy, discount=discount)
    if discount < 1:
        for sweep in sweeps:
            assert np.abs(sweep.values - exact).max() <= sweep.error_bound + 1e-12
        assert sweeps[-2].error_bound > 1e-9 >= sweeps[-1].error_bound
    np.testing.assert_allclose(sweeps[-1].values, exact, atol=1e-7)


def test_one_sweep_of_evaluation_with_two_arrays_and_in_place():
    # From left to right under "always right": in place, the news of the end needs one sweep a state as well, but
    # under "always left" it passes through the whole chain at once.
    walk = random_walk(3, left_reward=1.0, right_reward=0.0)
    left = np.zeros(3, dtype=int)
    two = next(policy_evaluation(walk, left, discount=1.0, tolerance=1e-9)).values
    one = next(policy_evaluation(walk, left, discount=1.0, tolerance=1e-9, in_place=True)).values
    assert two.tolist() == [1, 0, 0]
    assert one.tolist() == [1, 1, 1]


def test_evaluation_starts_where_it_is_told_and_leaves_that_alone(rng):
    mdp, policy, start = random_mdp(rng), np.zeros(5, dtype=int), np.arange(5.0)
    first = next(policy_evaluation(mdp, policy, discount=0.5, tolerance=1e-3, values=start))
    process = mdp.under(policy)
    np.testing.assert_allclose(first.values, process.rewards + 0.5 * process.transitions @ np.arange(5.0))
    assert start.tolist() == [0, 1, 2, 3, 4]


def test_one_sweep_of_value_iteration_is_the_definition(rng):
    mdp, values = random_mdp(rng), rng.normal(size=5)
    first = next(value_iteration_sweeps(mdp, discount=0.8, values=values))
    np.testing.assert_allclose(first.values, slow_best(mdp, values, 0.8))
    assert first.change == pytest.approx(np.abs(first.values - values).max())
    assert first.error_bound == pytest.approx(0.8 / 0.2 * first.change)


def test_every_third_sweep_is_the_third_sweep(rng):
    mdp = random_mdp(rng)
    singles = list(itertools.islice(value_iteration_sweeps(mdp, discount=0.8), 6))
    thirds = list(itertools.islice(value_iteration_sweeps(mdp, discount=0.8, every=3), 2))
    for third, single in zip(thirds, singles[2::3], strict=True):
        assert third.change == single.change
        assert (third.values == single.values).all()


def test_no_policy_is_better_than_the_optimal_one(rng):
    mdp = random_mdp(rng, n_states=4)
    best = policy_iteration(mdp, discount=0.9)
    every = [exact_values(mdp, np.array(p), discount=0.9) for p in itertools.product(range(3), repeat=4)]
    np.testing.assert_allclose(best.values, np.max(every, axis=0), atol=1e-12)
    assert best.error_bound == 0.0


def agree(mdp, discount=0.97):
    """The largest difference between the planners, and the exact values of each one's policy."""
    tolerance = 1e-9
    solutions = [
        policy_iteration(mdp, discount=discount),
        value_iteration(mdp, discount=discount, tolerance=tolerance),
        modified_policy_iteration(mdp, discount=discount, tolerance=tolerance),
    ]
    results = [solution.values for solution in solutions]
    results += [exact_values(mdp, solution.policy, discount=discount) for solution in solutions]
    return max(float(np.abs(result - results[0]).max()) for result in results)


@pytest.mark.parametrize("rewards", [REPLACING, ADDING])
@pytest.mark.parametrize("slip", [0.0, 0.2])
@pytest.mark.parametrize("name", ["classic", "four-rooms"])
def test_planners_agree_on_named_mazes(name, slip, rewards):
    assert agree(maze_mdp(maps.load(name), slip, rewards)) < 1e-8


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_planners_agree_on_two_hundred_random_mazes(slip, rng):
    for _ in range(200):
        rows, cols = rng.integers(3, 12, size=2)
        maze = random_maze(int(rows), int(cols), loops=float(rng.random()), rng=rng)
        assert agree(maze_mdp(maze, slip)) < 1e-8


def test_a_maze_from_moves_is_the_maze_from_outcomes():
    maze = maps.load("classic")
    listed = [[outcomes(maze, s, a, slip=0.2) for a in range(4)] for s in range(maze.n_states)]
    exact = policy_iteration(TabularMDP.from_outcomes(listed), discount=0.9)
    np.testing.assert_allclose(policy_iteration(maze_mdp(maze, 0.2), discount=0.9).values, exact.values, atol=1e-10)


def test_without_slip_the_values_are_those_of_the_shortest_path():
    maze = maps.load("classic")
    solution = policy_iteration(maze_mdp(maze, 0.0), discount=0.9)
    steps, state = 0, maze.index(*maze.start)
    while state != maze.index(*maze.goal):
        state, steps = int(move_tables(maze).next_state[solution.policy[state], state]), steps + 1
    want = sum(-1 * 0.9**t for t in range(steps - 1)) + 10 * 0.9 ** (steps - 1)
    assert solution.values[maze.index(*maze.start)] == pytest.approx(want)


@pytest.mark.parametrize("plan", [value_iteration, modified_policy_iteration])
def test_the_bound_holds_and_ends_the_iteration(plan, rng):
    for _ in range(20):
        mdp, tolerance = random_mdp(rng, end=0.0), 10.0 ** -rng.integers(1, 6)
        solution = plan(mdp, discount=0.9, tolerance=tolerance)
        exact = policy_iteration(mdp, discount=0.9).values
        assert solution.error_bound <= tolerance
        # The bound is sharp: where every value still moves by the same amount it is the error, but for rounding.
        assert np.abs(solution.values - exact).max() <= solution.error_bound + 1e-12


def test_modified_policy_iteration_of_one_sweep_is_value_iteration(rng):
    mdp = random_mdp(rng)
    for ours, theirs in itertools.islice(
        zip(
            modified_policy_iteration_rounds(mdp, discount=0.9, sweeps=1),
            value_iteration_sweeps(mdp, discount=0.9),
            strict=False,
        ),
        10,
    ):
        np.testing.assert_allclose(ours.values, theirs.values, atol=1e-12)


def test_modified_policy_iteration_evaluates_the_improved_policy(rng):
    mdp = random_mdp(rng)
    rounds = modified_policy_iteration_rounds(mdp, discount=0.9, sweeps=3)
    first, second = next(rounds), next(rounds)
    process = mdp.under(mdp.rewards.argmax(axis=1))
    values = first.values
    for _ in range(2):
        values = process.rewards + 0.9 * process.transitions @ values
    np.testing.assert_allclose(second.values, slow_best(mdp, values, 0.9))


def test_ties_go_to_the_first_action_even_where_rounding_says_otherwise():
    rewards = np.array([[0.3, 0.1 + 0.2, 0.0]])  # 0.1 + 0.2 is 0.30000000000000004
    mdp = TabularMDP(np.zeros((1, 3, 1)), rewards, np.ones((1, 3)))
    assert greedy_policy(mdp, np.zeros(1), discount=0.9).tolist() == [0]
    assert policy_improvement(mdp, np.array([1]), np.zeros(1), discount=0.9).tolist() == [1]  # keeps what is as good
    assert policy_improvement(mdp, np.array([2]), np.zeros(1), discount=0.9).tolist() == [0]


def test_ties_do_not_depend_on_the_unit_of_the_rewards():
    mdp = TabularMDP(np.zeros((1, 2, 1)), np.array([[1e-12, 2e-12]]), np.ones((1, 2)))
    assert greedy_policy(mdp, np.zeros(1), discount=0.9).tolist() == [1]


def test_rounds_of_policy_iteration_never_get_worse_and_end(rng):
    for _ in range(20):
        mdp = random_mdp(rng, n_states=8, end=0.02)
        rounds = list(policy_iteration_rounds(mdp, discount=0.95, policy=rng.integers(3, size=8)))
        for before, after in itertools.pairwise(rounds):
            assert (after.values >= before.values - 1e-10).all()
            assert (after.policy != before.policy).sum() == before.changed > 0
        assert rounds[-1].changed == 0


def test_without_discount_a_policy_that_never_ends_is_refused_by_name():
    grid = four_by_four()
    with pytest.raises(
        ValueError, match=r"discount=1 needs a policy under which the task is sure to end; from state 1 "
    ):
        exact_values(grid, np.where(np.arange(16) == 1, 0, 3), discount=1.0)
    to_the_left = np.full(16, 3)
    to_the_left[[4, 8, 12]] = 0  # along the left edge up into the corner
    np.testing.assert_allclose(exact_values(grid, to_the_left, discount=1.0).reshape(4, 4)[3], [-3, -4, -5, 0])
    assert np.isfinite(exact_values(grid, np.full(16, 3), discount=0.9)).all()


def test_without_discount_no_bound_is_claimed():
    solution = value_iteration(four_by_four(), discount=1.0, tolerance=1e-12)
    assert solution.error_bound == np.inf == error_bound(1e-9, 1.0)
    assert solution.values.reshape(4, 4)[0].tolist() == [0, -1, -2, -3]


@pytest.mark.parametrize("discount", [-0.1, 1.1])
def test_a_discount_outside_zero_and_one_is_refused(discount):
    mdp = four_by_four()
    for plan in (
        lambda: exact_values(mdp, np.zeros(16, int), discount=discount),
        lambda: value_iteration(mdp, discount=discount, tolerance=1.0),
        lambda: modified_policy_iteration(mdp, discount=discount, tolerance=1.0),
        lambda: next(policy_evaluation(mdp, np.zeros(16, int), discount=discount, tolerance=1.0)),
    ):
        with pytest.raises(ValueError, match=rf"discount must be in \[0, 1\], got {discount}"):
            plan()


def test_a_tolerance_or_a_number_of_sweeps_that_means_nothing_is_refused():
    mdp = four_by_four()
    for plan in (value_iteration, modified_policy_iteration):
        with pytest.raises(ValueError, match="tolerance must be above 0, got 0"):
            plan(mdp, discount=0.9, tolerance=0.0)
    with pytest.raises(ValueError, match="sweeps must be at least 1, got 0"):
        modified_policy_iteration(mdp, discount=0.9, tolerance=0.1, sweeps=0)
    with pytest.raises(ValueError, match="n_states must be at least 1, got 0"):
        random_walk(0)
