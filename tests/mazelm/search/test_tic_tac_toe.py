"""The rules against a board of letters, the perfect player against a search of all games, MCTS against both."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from mazelm.search.forward_models import random_playout
from mazelm.search.games import tic_tac_toe as ttt
from mazelm.search.mcts import MCTS

ROWS = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


def slow_value(board, mark):
    """What a board of nine letters is worth to who moves with this mark: 1, 0 or −1."""
    other = "o" if mark == "x" else "x"
    if any(all(board[i] == other for i in row) for row in ROWS):
        return -1
    if "." not in board:
        return 0
    return max(-slow(board[:i] + mark + board[i + 1 :], other) for i in range(9) if board[i] == ".")


slow = cache(slow_value)


def board_of(state):
    return ttt.to_text(state).replace("\n", "")


def reachable():
    """All states in which somebody is to move."""
    seen, waiting = set(), [ttt.EMPTY]
    while waiting:
        state = waiting.pop()
        if state not in seen:
            seen.add(state)
            waiting += [after for ((_, after, _, over),) in ttt.moves(state) if not over]
    return seen


def test_every_state_against_letters():
    states = reachable()
    assert len(states) == 4520  # 5,478 positions, of which 958 are over
    for state in states:
        board = board_of(state)
        mark, other = ("x", "o") if board.count("x") == board.count("o") else ("o", "x")
        empty = [i for i in range(9) if board[i] == "."]
        assert ttt.squares(state) == empty
        for square, ((chance, after, reward, over),) in zip(empty, ttt.moves(state), strict=True):
            marked = board[:square] + mark + board[square + 1 :]
            won = any(all(marked[i] == mark for i in row) for row in ROWS)
            assert (chance, reward, over) == (1.0, float(won), won or "." not in marked)
            if not over:
                assert board_of(after) == marked
        slow_values = [-slow(board[:i] + mark + board[i + 1 :], other) for i in empty]
        assert ttt.move_values(state) == slow_values
        assert ttt.perfect_moves(state) == [i for i, v in enumerate(slow_values) if v == max(slow_values)]


def test_known_positions():
    assert ttt.move_values(ttt.EMPTY) == [0.0] * 9
    corner = ttt.from_text("x.. ... ...")
    assert [ttt.squares(corner)[a] for a in ttt.perfect_moves(corner)] == [4]
    fork = ttt.from_text("xx. oo. ...")  # x to move wins at once
    assert ttt.squares(fork)[ttt.perfect_moves(fork)[0]] == 2
    assert max(ttt.move_values(fork)) == 1.0


def test_text_there_and_back():
    for text in ("...\n...\n...", "x..\n.o.\n..x", "xox\n.o.\n.x."):
        assert ttt.to_text(ttt.from_text(text)) == text
    assert ttt.from_text("X.. ... ...") == (0, 1)  # o is to move
    for text, word in (
        ("x..", "nine"),
        ("xy. ... ...", "nine"),
        ("o.. ... ...", "x begins"),
        ("xx. ... ...", "x begins"),
    ):
        with pytest.raises(ValueError, match=word):
            ttt.from_text(text)


def slow_playout_values(state):
    """The mean result for who moves when both move at random."""
    results = [r if over else r - playout_values(after) for ((_, after, r, over),) in ttt.moves(state)]
    return sum(results) / len(results)


playout_values = cache(slow_playout_values)


def decisive_values(state):
    """The same when who can win at once does."""
    outcomes = [(r, after, over) for ((_, after, r, over),) in ttt.moves(state)]
    outcomes = [o for o in outcomes if o[0] > 0] or outcomes
    return sum(r if over else r - decisive_values(after) for r, after, over in outcomes) / len(outcomes)


@pytest.mark.parametrize("text", ["... ... ...", "x.. ... ...", "x.. .o. ..x", "xx. o.. ..."])
def test_playouts_have_the_mean_of_random_play(text):
    state = ttt.from_text(text)
    for decisive, exact in ((False, playout_values), (True, cache(decisive_values))):
        playout = random_playout(ttt.moves, decisive=decisive, rng=np.random.default_rng(0))
        results = [playout(state) for _ in range(3000)]
        assert set(results) <= {-1.0, 0.0, 1.0}
        assert np.mean(results) == pytest.approx(exact(state), abs=0.06)


def perfect(state, rng):
    return int(rng.choice(ttt.perfect_moves(state)))


def at_random(state, rng):
    return int(rng.integers(len(ttt.moves(state))))


def play(opponent, seed, simulations):
    rng = np.random.default_rng(seed)
    search = MCTS(ttt.moves, random_playout(ttt.moves, decisive=True, rng=rng), exploration=1.0, two_player=True)
    state, mine, over = ttt.EMPTY, seed % 2 == 0, False
    while not over:
        action = search.search(state, simulations) if mine else opponent(state, rng)
        ((_, state, reward, over),) = ttt.moves(state)[action]
        mine = not mine
    return -reward if mine else reward


@pytest.mark.parametrize("opponent", [perfect, at_random])
def test_a_few_games_are_not_lost(opponent):
    results = [play(opponent, seed, 2000) for seed in range(2)]
    assert min(results) >= 0
    assert max(results) == (0 if opponent is perfect else 1)


STUDY = """
import sys
sys.path.insert(0, "bench/studies")
import tree_search
print(min(tree_search.game(tree_search.{opponent}, 2000, seed, decisive=True) for seed in range(500)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("opponent", ["perfect", "at_random"])
def test_five_hundred_games_are_not_lost(opponent):
    """In a process of its own, without the checks of shapes, as the recorded study plays them."""
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", STUDY.format(opponent=opponent)], capture_output=True, text=True, check=True, cwd=root
    )
    assert float(run.stdout) >= 0
