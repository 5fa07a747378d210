"""The gambler's problem: its model by hand, its exact values in fractions, and the family of its optimal policies."""

from fractions import Fraction
from math import prod

import numpy as np
import pytest
from mazelm.tabular.planning import exact_values, policy_iteration
from mazelm.tabular.problems.gambler import gambler

# The stakes drawn in figure 4.3 for capitals 1 to 99: four triangles, and between them a quarter or a half of the goal.
TRIANGLE = [*range(1, 13), *range(12, 0, -1)]
FIGURE = [*TRIANGLE, 25, *TRIANGLE, 50, *TRIANGLE, 25, *TRIANGLE]


def bold_value(s, chance, goal):
    """The chance to win by always staking all there is or all that is needed, as an exact fraction.

    A bet doubles the capital, or what is left of it, so a path ends or closes to a circle: v = constant + factor·v.
    """
    path, bets = [], []
    while 0 < s < goal and s not in path:
        path.append(s)
        below = 2 * s <= goal
        bets.append((Fraction(0) if 2 * s < goal else chance, chance if 2 * s < goal else 1 - chance))
        s = (2 * s if 2 * s < goal else 0) if below else 2 * s - goal
    value = Fraction(0)
    if s in path:
        constant, factor = Fraction(0), Fraction(1)
        for win, stay in bets[path.index(s) :]:
            constant, factor = constant + factor * win, factor * stay
        value = constant / (1 - factor)
    for win, stay in reversed(bets):
        value = win + stay * value
    return value


def optimal_stakes(values, chance, s):
    """All stakes that earn V(s), decided without rounding."""
    goal = len(values) - 1
    q = {b: chance * values[s + b] + (1 - chance) * values[s - b] for b in range(1, min(s, goal - s) + 1)}
    assert max(q.values()) == values[s]  # so bold play is optimal: no single other bet is better
    return [b for b, worth in q.items() if worth == values[s]]


@pytest.fixture(scope="module")
def exact():
    """V(s) for s = 0..100 at a chance of 2/5."""
    inner = [bold_value(s, Fraction(2, 5), 100) for s in range(1, 100)]
    return [Fraction(0), *inner, Fraction(1)]


@pytest.fixture(scope="module")
def stakes(exact):
    return {s: optimal_stakes(exact, Fraction(2, 5), s) for s in range(1, 100)}


# --- the model, by hand


def test_one_bet_by_hand():
    mdp = gambler(0.4, goal=4)
    assert (mdp.n_states, mdp.n_actions) == (5, 2)
    assert mdp.transitions[1, 0].tolist() == [0, 0, 0.4, 0, 0]  # one of one: won to 2, lost to 0, which is the end
    assert mdp.transitions[2, 0].tolist() == [0, 0.6, 0, 0.4, 0]
    assert mdp.transitions[2, 1].tolist() == [0, 0, 0, 0, 0]  # two of two: over in any case
    assert mdp.terminations == pytest.approx(np.array([[1, 1], [0.6, 0.6], [0, 1], [0.4, 0.4], [1, 1]]), abs=1e-15)
    assert mdp.rewards.tolist() == [[0, 0], [0, 0], [0, 0.4], [0.4, 0.4], [0, 0]]


def test_a_stake_that_is_too_high_counts_as_all_that_is_of_use():
    mdp = gambler(0.3, goal=10)
    for s in range(1, 10):
        useful = min(s, 10 - s)
        for b in range(useful + 1, 6):
            assert np.array_equal(mdp.transitions[s, b - 1], mdp.transitions[s, useful - 1])
            assert mdp.rewards[s, b - 1] == mdp.rewards[s, useful - 1]
            assert mdp.terminations[s, b - 1] == mdp.terminations[s, useful - 1]


def test_a_stake_of_nothing_stays():
    mdp = gambler(0.4, goal=6, smallest_stake=0)
    assert mdp.n_actions == 4
    for s in range(1, 6):
        assert mdp.transitions[s, 0] == pytest.approx(np.eye(7)[s])
    assert mdp.terminations[[0, 6]] == pytest.approx(1)
    assert not mdp.rewards[[0, 6]].any()
    with_bets = gambler(0.4, goal=6)
    assert np.array_equal(mdp.transitions[:, 1:], with_bets.transitions)


def test_model_by_definition():
    """Every bet of every capital, outcome by outcome."""
    mdp = gambler(0.35, goal=11)
    for s in range(1, 11):
        for a in range(5):
            b = min(a + 1, s, 11 - s)
            row, reward, ended = np.zeros(12), 0.0, 0.0
            for probability, reached in ((0.35, s + b), (0.65, s - b)):
                if reached in (0, 11):
                    ended += probability
                    reward += probability * (reached == 11)
                else:
                    row[reached] += probability
            assert mdp.transitions[s, a] == pytest.approx(row, abs=1e-15)
            assert mdp.rewards[s, a] == pytest.approx(reward, abs=1e-15)
            assert mdp.terminations[s, a] == pytest.approx(ended, abs=1e-15)


# --- the published figure


def test_values_that_can_be_worked_out_by_hand(exact):
    found = policy_iteration(gambler(0.4), discount=1.0).values
    assert found[50] == pytest.approx(0.4, abs=1e-12)  # everything on one coin
    assert found[25] == pytest.approx(0.4 * 0.4, abs=1e-12)  # twice in a row
    assert found[75] == pytest.approx(0.4 + 0.6 * 0.4, abs=1e-12)  # now, or from 50
    assert (exact[25], exact[50], exact[75]) == (Fraction(4, 25), Fraction(2, 5), Fraction(16, 25))


def test_the_whole_curve_is_that_of_bold_play(exact):
    found = policy_iteration(gambler(0.4), discount=1.0).values
    assert found[[0, 100]].tolist() == [0, 0]  # over: nothing follows, whatever was paid on the way
    assert found[1:100] == pytest.approx(np.array(exact[1:100], dtype=float), abs=1e-12)
    assert (np.diff(found[:100]) > 0).all()


def test_the_figures_policy_takes_the_smallest_of_the_optimal_stakes(stakes, exact):
    assert [min(stakes[s]) for s in range(1, 100)] == FIGURE
    policy = np.array([0, *FIGURE, 1]) - 1
    policy[0] = 0
    assert exact_values(gambler(0.4), policy, discount=1.0)[1:100] == pytest.approx(
        np.array(exact[1:100], dtype=float), abs=1e-12
    )


def test_the_figures_policy_is_one_of_a_large_family(stakes):
    assert all(min(s, 100 - s) in stakes[s] for s in range(1, 100))  # bold play belongs to it
    counts = [len(stakes[s]) for s in range(1, 100)]
    assert [counts.count(k) for k in (1, 2, 3)] == [27, 48, 24]
    assert prod(counts) == 2**48 * 3**24
    for s, expected in ((25, [25]), (50, [50]), (75, [75 - 50]), (13, [12, 13]), (26, [1, 24, 26]), (51, [1, 49])):
        assert stakes[s] == expected


def test_every_member_of_the_family_that_was_drawn_wins_as_often(stakes, exact):
    rng = np.random.default_rng(0)
    mdp, curve = gambler(0.4), np.array(exact[1:100], dtype=float)
    for _ in range(20):
        policy = np.array([0] + [int(rng.choice(stakes[s])) - 1 for s in range(1, 100)] + [0])
        assert exact_values(mdp, policy, discount=1.0)[1:100] == pytest.approx(curve, abs=1e-12)


def test_rounding_to_eight_digits_finds_exactly_the_optimal_stakes(stakes):
    """The next best stake is worse by 0.0002 or more, a tie by 1e-15 at most."""
    mdp = gambler(0.4)
    q = mdp.q_values(policy_iteration(mdp, discount=1.0).values, discount=1.0)
    for s in range(1, 100):
        row = q[s, : min(s, 100 - s)].round(8)
        assert (np.flatnonzero(row == row.max()) + 1).tolist() == stakes[s]


# --- at the limits


@pytest.mark.parametrize("goal", [7, 8, 64])
def test_a_fair_coin_makes_every_policy_alike(goal):
    """The expected capital stays as it is, so the chance to reach the goal is s / goal."""
    mdp, rng = gambler(0.5, goal=goal), np.random.default_rng(goal)
    for _ in range(5):
        policy = rng.integers(mdp.n_actions, size=goal + 1)
        values = exact_values(mdp, policy, discount=1.0)[1:goal]
        assert values == pytest.approx(np.arange(1, goal) / goal, abs=1e-12)


def test_a_coin_in_favour_of_the_gambler_makes_timid_play_optimal():
    """With a chance above one half, stakes of 1 are best: the ruin problem has a closed form, q/p to the power s."""
    ratio = 0.45 / 0.55
    closed = (1 - ratio ** np.arange(1, 20)) / (1 - ratio**20)
    found = policy_iteration(gambler(0.55, goal=20), discount=1.0)
    assert found.values[1:20] == pytest.approx(closed, abs=1e-12)


def test_the_smallest_goal():
    assert policy_iteration(gambler(0.3, goal=2), discount=1.0).values == pytest.approx(np.array([0, 0.3, 0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chance": 0.0}, "chance must lie between 0 and 1, got 0.0"),
        ({"chance": 1.0}, "chance must lie between 0 and 1, got 1.0"),
        ({"goal": 1}, "goal must be at least 2, got 1"),
        ({"smallest_stake": 2}, "smallest_stake must be 0 or 1, got 2"),
        ({"smallest_stake": -1}, "smallest_stake must be 0 or 1, got -1"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        gambler(**arguments)
