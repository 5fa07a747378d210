"""Tree search: by hand, by a slow search of its own, at the limits, with chance, with two players, and on bad input."""

import math
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.search.forward_models import random_rollout, table_of_moves, without_bumps
from mazelm.search.mcts import ENDED, MCTS, OPEN, PUCT, UCT
from mazes import maps
from mazes.dynamics import move_tables

MAZE = maps.load("classic")
TABLE = table_of_moves(*move_tables(MAZE))
START, GOAL = MAZE.index(*MAZE.start), MAZE.index(*MAZE.goal)

# A corridor 0 1 2 (3): left and right; each step pays −1, a bump at 0 pays −5, to arrive at 3 pays +10.
CORRIDOR = [
    [[(1.0, s - 1, -1.0, False)] if s else [(1.0, 0, -5.0, False)], [(1.0, s + 1, 10.0 if s == 2 else -1.0, s == 2)]]
    for s in range(3)
]

counts = st.integers(1, 1000)
numbers = st.floats(-100, 100)


def fixed(seed):
    """A guess for each state that is random but always the same, so that two searches can agree exactly."""
    return cache(lambda state: np.random.default_rng([seed, *np.ravel(state)]).normal(-5, 3))


def timed(table):
    """The model in which a state knows how many steps it took: no state comes back."""
    return lambda state: [
        [(p, (after, state[1] + 1), reward, ends) for p, after, reward, ends in outcomes]
        for outcomes in table[state[0]]
    ]


class Slow:
    """A search written from the equations, one dictionary for each place in the tree; no state may come back."""

    def __init__(self, model, evaluate, *, exploration, discount, prior=None, two_player=False, rng=None):
        self.model, self.evaluate, self.prior, self.c = model, evaluate, prior, exploration
        self.discount, self.two_player, self.rng = discount, two_player, rng
        self.tree = {}

    def simulate(self, state, way=()):
        if way not in self.tree:
            n = len(self.model(state))
            worth = self.evaluate(state)
            self.tree[way] = {"N": [0] * n, "W": [0.0] * n, "visits": 1, "guess": worth}
            return worth
        place = self.tree[way]
        action = self.choose(state, place)
        outcomes = self.model(state)[action]
        drawn = self.rng.random() if len(outcomes) > 1 else 0.0
        index = min(sum(drawn >= edge for edge in np.cumsum([o[0] for o in outcomes])), len(outcomes) - 1)
        _, after, reward, ends = outcomes[index]
        future = 0.0 if ends else self.simulate(after, (*way, (action, index)))
        paid = reward + (-1 if self.two_player else 1) * self.discount * future
        place["visits"] += 1
        place["N"][action] += 1
        place["W"][action] += paid
        return paid

    def choose(self, state, place):
        scores = []
        for action, (n, w) in enumerate(zip(place["N"], place["W"], strict=True)):
            if self.prior is None:
                score = w / n + self.c * math.sqrt(math.log(place["visits"]) / n) if n else math.inf
            else:
                q = w / n if n else place["guess"]
                score = q + self.c * self.prior(state)[action] * math.sqrt(place["visits"]) / (1 + n)
            scores.append(score)
        return scores.index(max(scores))


def searches(**more):
    """The library's search and the slow one on the same task, after the same number of simulations."""
    start, simulations = more.pop("start"), more.pop("simulations")
    seeds = [np.random.default_rng(7), np.random.default_rng(7)]
    fast, slow = MCTS(**more, rng=seeds[0]), Slow(**more, rng=seeds[1])
    fast.plant(start)
    for _ in range(simulations):
        fast.simulate()
        slow.simulate(start)
    return fast, slow.tree[()]


# --- the rules, by definition


@given(numbers, counts, counts, st.floats(0.01, 100))
def test_eq_uct(q, state_visits, action_visits, c):
    state_visits = state_visits + action_visits
    slow = q + c * math.sqrt(math.log(state_visits) / action_visits)
    assert q + UCT.bonus(state_visits, action_visits, exploration=c) == pytest.approx(slow)


@given(numbers, counts, st.integers(0, 1000), st.floats(0.01, 100), st.floats(0, 1))
def test_eq_puct(q, state_visits, action_visits, c, prior):
    slow = q + c * prior * math.sqrt(state_visits) / (1 + action_visits)
    assert q + PUCT.bonus(state_visits, action_visits, exploration=c, prior=prior) == pytest.approx(slow)


def test_an_action_that_was_never_tried():
    assert all(UCT.bonus(n, 0, exploration=0.001) == math.inf for n in (1, 2, 1000))
    assert PUCT.bonus(16, 0, exploration=2.0, prior=0.25) == 2 * 0.25 * 4
    assert PUCT.bonus(16, 3, exploration=2.0, prior=0.25) == 2 * 0.25 * 4 / 4


@given(st.lists(st.tuples(numbers, st.integers(0, 2)), min_size=1, max_size=20), st.sampled_from([0.5, 0.9, 1.0]))
def test_eq_mcts_backup(simulations, discount):
    """Guesses and depths at which they are made, on a chain of three steps: means of r + γ·r + … + γᵏ·guess."""
    chain = [[[(1.0, s + 1, float(s - 2), False)]] for s in range(4)]
    search = MCTS(chain.__getitem__, lambda s: 0.0, exploration=1.0, discount=discount)
    search.plant(0)
    for _ in range(4):
        search.simulate()
    paid = {depth: [] for depth in (1, 2, 3)}
    for node in (1, 2, 3):
        search.visits[node], search.values[node] = 0, 0.0
    for guess, extra in simulations:
        leaf = 1 + extra
        search._back_up(list(range(leaf + 1)), guess)
        for node in range(1, leaf + 1):
            rewards = [float(s - 2) for s in range(node - 1, leaf)]
            paid[node].append(sum(discount**k * r for k, r in enumerate(rewards)) + discount ** len(rewards) * guess)
    for node, returns in paid.items():
        assert search.visits[node] == len(returns)
        assert search.values[node] == pytest.approx(np.mean(returns) if returns else 0.0, abs=1e-9)


@given(st.lists(numbers, min_size=1, max_size=9), st.sampled_from([0.5, 0.9, 1.0]))
def test_eq_negamax(guesses, discount):
    """What is good for one is bad for the other: the sign turns on every level, for rewards and for the guess."""
    chain = [[[(1.0, s + 1, float(s + 1), False)]] for s in range(3)]
    given_guesses = iter([0.0, 0.0, 0.0, *guesses])
    search = MCTS(chain.__getitem__, lambda s: next(given_guesses), exploration=1.0, discount=discount, two_player=True)
    search.plant(0)
    for _ in range(3):
        search.simulate()
    search._back_up([0, 1, 2], guesses[0])
    g2 = 2.0 - discount * guesses[0]
    g1 = 1.0 - discount * g2
    assert search.values[2] == pytest.approx((2.0 + g2) / 2)
    assert search.values[1] == pytest.approx((1.0 + (1.0 - discount * 2.0) + g1) / 3)
    assert search.state_value(1) == pytest.approx((1.0 - search.values[1]) / discount)


# --- by hand


def test_the_corridor_by_hand():
    """γ = 1/2, every guess 0. The first simulation guesses the root; left of 0 is a bump and needs no try."""
    search = MCTS(CORRIDOR.__getitem__, lambda s: 0.0, exploration=1.0, discount=0.5)
    search.plant(0)
    assert search.simulate() == [0]
    assert search.visits == [1]
    assert search.simulate() == [0, 2]  # right goes first: it is new ground
    assert search.links == [OPEN, 0, OPEN]
    assert search.states == [0, 0, 1]
    assert search.values[2] == -1.0
    assert search.values[1] == -5.0 + 0.5 * 0.0  # the bump, and what the root was worth when it grew
    assert search.simulate() == [0, 2, 4]  # on to 2; the way back to 0 is known
    assert search.links[3:] == [0, OPEN]
    assert search.values[4] == -1.0
    assert search.values[2] == pytest.approx((-1.0 + (-1 + 0.5 * -1)) / 2)
    assert search.simulate() == [0, 2, 4, 6]  # the goal
    assert search.links[6] == ENDED
    assert search.values[6] == 10.0
    returns = [0.0, -1.0, -1.5, -1 + 0.5 * (-1 + 0.5 * 10)]
    assert search.state_value() == pytest.approx(np.mean(returns))
    assert search.action_visits() == [0, 3]
    assert search.best_action() == 1


def test_a_bump_is_worth_what_its_state_is_worth_by_now():
    search = MCTS(CORRIDOR.__getitem__, lambda s: 0.0, exploration=1000.0, discount=0.5)
    search.plant(0)
    before = -math.inf
    for _ in range(200):
        known, tried = search.state_value(), search.visits[1] if len(search.visits) > 1 else 0
        path = search.simulate()
        if path == [0, 1]:
            paid = -5.0 + 0.5 * known
            expected = paid if tried == 0 else before + (paid - before) / (tried + 1)
            assert search.values[1] == pytest.approx(expected)
        if len(search.values) > 1:
            before = search.values[1]
    assert search.visits[1] > 20


def test_no_state_stands_below_itself_with_children():
    search = MCTS(TABLE.__getitem__, fixed(0), exploration=3.0, discount=0.95)
    search.search(START, 3000)
    above = search.parents()
    for node, children in ((node, search.children(node)) for node in range(len(search.states))):
        way, up = set(), above[node]
        while up >= 0:
            way.add(search.states[up])
            up = above[up]
        assert (search.links[node] >= 0) == (search.states[node] in way and search.links[node] != ENDED)
        if search.links[node] >= 0:
            assert search.states[search.links[node]] == search.states[node]
            assert not children
    assert max(search.depths()) <= 18  # no way through 19 free cells is longer


# --- by a slow search


@pytest.mark.parametrize("exploration", [0.3, 3.0, 100.0])
@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_uct_equals_the_slow_search(exploration, discount):
    fast, slow = searches(
        model=timed(TABLE),
        evaluate=fixed(1),
        exploration=exploration,
        discount=discount,
        start=(START, 0),
        simulations=400,
    )
    assert fast.action_visits() == slow["N"]
    assert fast.action_values() == pytest.approx([w / n for n, w in zip(slow["N"], slow["W"], strict=True)])
    assert fast.visits[0] == slow["visits"] == 400


@pytest.mark.parametrize("exploration", [0.3, 3.0, 30.0])
def test_puct_equals_the_slow_search(exploration):
    weights = {s: np.random.default_rng(s).dirichlet([0.5] * 4) for s in range(25)}
    fast, slow = searches(
        model=timed(TABLE), evaluate=fixed(2), exploration=exploration, discount=0.95,
        prior=lambda state: weights[state[0]], start=(START, 0), simulations=400,
    )  # fmt: skip
    assert fast.action_visits() == slow["N"]
    tried = [(q, w / n) for q, n, w in zip(fast.action_values(), slow["N"], slow["W"], strict=True) if n]
    assert [q for q, _ in tried] == pytest.approx([w for _, w in tried])


def test_two_players_equal_the_slow_search():
    """A game whose rewards come on the way too, with two to four moves in each state."""

    def model(state):
        n = 2 + sum(state) % 3
        return [[(1.0, (*state, i), float((i + len(state)) % 3 - 1), len(state) == 6)] for i in range(n)]

    fast, slow = searches(
        model=model, evaluate=fixed(3), exploration=2.0, discount=0.9, two_player=True, start=(), simulations=500
    )
    assert fast.action_visits() == slow["N"]
    assert fast.action_values() == pytest.approx([w / n for n, w in zip(slow["N"], slow["W"], strict=True)])


def test_chance_equals_the_slow_search():
    """Actions with one, two and three outcomes; both searches draw the same numbers in the same order."""

    def model(state):
        path, sides = state, ((1.0,), (0.25, 0.75), (0.5, 0.25, 0.25))
        return [
            [(p, (*path, 3 * a + i), float(i - a), len(path) == 4) for i, p in enumerate(chances)]
            for a, chances in enumerate(sides)
        ]

    fast, slow = searches(model=model, evaluate=fixed(4), exploration=3.0, discount=0.9, start=(), simulations=600)
    assert fast.action_visits() == slow["N"]
    assert fast.action_values() == pytest.approx([w / n for n, w in zip(slow["N"], slow["W"], strict=True)])


def test_outcomes_are_drawn_as_often_as_the_model_says():
    outcomes = [(0.1, 1, 0.0, True), (0.6, 2, 1.0, True), (0.3, 3, 2.0, True)]
    search = MCTS(lambda s: [outcomes], lambda s: 0.0, exploration=1.0, rng=np.random.default_rng(0))
    search.search(0, 20_001)
    shares = [search.visits[node] / 20_000 for node in search.children(1)]
    assert shares == pytest.approx([0.1, 0.6, 0.3], abs=0.015)
    assert search.values[1] == pytest.approx(0.6 + 0.6, abs=0.03)
    assert search.depths() == [0, 1, 1, 1, 1]


# --- what it promises


@pytest.mark.parametrize("exploration", [1e-6, 1.0, 1e6])
def test_unvisited_children_go_first(exploration):
    """However small c is, and however bad the others look: new ground is tried before anything is tried twice."""
    search = MCTS(timed(TABLE), fixed(5), exploration=exploration, discount=0.95)
    search.plant((START, 0))
    for _ in range(300):
        search.simulate()
        for node in range(len(search.states)):
            tried = search.action_visits(node)
            if tried and 0 in tried:
                assert max(tried) <= 1
    assert search.action_visits()[0] > 0


def test_an_unlikely_action_waits_under_puct():
    search = MCTS(TABLE.__getitem__, lambda s: 0.0, exploration=1.0, discount=0.95, prior=lambda s: [0, 0.01, 0.99, 0])
    search.search(START, 30)
    assert search.action_visits()[0] == search.action_visits()[3] == 0


@pytest.mark.parametrize("first", [0, 100])
def test_the_shortest_way_every_time(first):
    for seed in range(first, first + 6):
        rng = np.random.default_rng(seed)
        rollout = random_rollout(without_bumps(TABLE), steps=3, discount=0.95, rng=rng)
        search = MCTS(TABLE.__getitem__, rollout, exploration=1.0, discount=0.95)
        state, steps = START, 0
        while state != GOAL and steps < 20:
            ((_, state, _, _),) = TABLE[state][search.search(state, 200)]
            steps += 1
        assert steps == 8


def test_the_same_seed_gives_the_same_tree():
    trees = []
    for _ in range(2):
        rng = np.random.default_rng(3)
        search = MCTS(
            TABLE.__getitem__, random_rollout(TABLE, steps=9, discount=0.9, rng=rng), exploration=3.0, discount=0.9
        )
        search.search(START, 500)
        trees.append((search.visits, search.values, search.states))
    assert trees[0] == trees[1]


def test_step_by_step_is_the_same_as_at_once():
    """Beyond the first block of tables too."""
    at_once, by_steps = (MCTS(TABLE.__getitem__, fixed(6), exploration=2.0, discount=0.9) for _ in range(2))
    at_once.search(START, 1000)
    by_steps.plant(START)
    for _ in range(1000):
        by_steps.simulate()
    assert at_once.values == by_steps.values


@pytest.mark.parametrize("scale", [4.0, 0.25])
def test_rewards_and_constant_scale_together(scale):
    scaled = [[[(p, s, scale * r, e) for p, s, r, e in outcomes] for outcomes in row] for row in TABLE]
    guess = fixed(7)
    plain = MCTS(TABLE.__getitem__, guess, exploration=3.0, discount=0.9)
    large = MCTS(scaled.__getitem__, lambda s: scale * guess(s), exploration=scale * 3.0, discount=0.9)
    plain.search(START, 800), large.search(START, 800)
    assert plain.visits == large.visits
    assert large.values == pytest.approx([scale * value for value in plain.values])


def test_the_tree_can_be_inspected():
    search = MCTS(TABLE.__getitem__, fixed(8), exploration=3.0, discount=0.9)
    search.search(START, 400)
    above, depths = search.parents(), search.depths()
    assert above[0] == -1
    assert depths[0] == 0
    for node in range(1, len(search.states)):
        assert node in search.children(above[node])
        assert depths[node] == depths[above[node]] + 1
        assert search.visits[above[node]] >= search.visits[node]
    inner = [node for node in range(len(search.states)) if search.children(node)]
    assert all(search.visits[node] == 1 + sum(search.action_visits(node)) for node in inner)


def test_most_visited_and_then_the_higher_value():
    search = MCTS(CORRIDOR.__getitem__, lambda s: 0.0, exploration=1.0)
    search.search(0, 2)
    search.visits[1], search.visits[2], search.values[1], search.values[2] = 5, 5, 2.0, 1.0
    assert search.best_action() == 0
    search.values[2] = 3.0
    assert search.best_action() == 1
    search.visits[1] = 6
    assert search.best_action() == 0


# --- bad input


def test_bad_arguments():
    for exploration in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="exploration must be a number above 0"):
            MCTS(TABLE.__getitem__, fixed(0), exploration=exploration)
    for discount in (0.0, 1.1, -0.5, math.nan):
        with pytest.raises(ValueError, match="discount"):
            MCTS(TABLE.__getitem__, fixed(0), exploration=1.0, discount=discount)
    search = MCTS(TABLE.__getitem__, fixed(0), exploration=1.0)
    with pytest.raises(ValueError, match="simulations must be at least 2, got 1"):
        search.search(START, 1)
    search.plant(START)
    with pytest.raises(ValueError, match="no action to choose"):
        search.best_action()


def test_bad_models_guesses_and_priors():
    with pytest.raises(ValueError, match="no action in state 0"):
        MCTS(lambda s: [], lambda s: 0.0, exploration=1.0).search(0, 2)
    with pytest.raises(ValueError, match="evaluate must give a number, got nan for the state 0"):
        MCTS(TABLE.__getitem__, lambda s: math.nan, exploration=1.0).search(0, 2)
    for prior in ([0.5, 0.5], [0.5, 0.5, 0.5, 0.5], [-0.5, 0.5, 0.5, 0.5], [math.nan, 0.5, 0.25, 0.25]):
        with pytest.raises(ValueError, match="prior must give 4 probabilities for the state 0"):
            MCTS(TABLE.__getitem__, lambda s: 0.0, exploration=1.0, prior=lambda s, prior=prior: prior).search(0, 2)
    with pytest.raises(ValueError, match="rng is missing"):
        MCTS(lambda s: [[(0.5, 1, 0.0, True), (0.5, 2, 0.0, True)]], lambda s: 0.0, exploration=1.0).search(0, 2)


def test_torch_is_not_loaded():
    modules = "mazelm.search.mcts, mazelm.search.forward_models, mazelm.search.games.tic_tac_toe"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
