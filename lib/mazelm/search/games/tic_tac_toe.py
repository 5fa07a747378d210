"""Tic-tac-toe: the rules as a model for a search, and a player who never errs.

A state is a pair of sets of squares, of who moves and of the other, each as the bits of one number: square 0 is bit 0,
the squares are numbered row by row. After a move the two change places, so that every state is seen by who is to move.
"""

from functools import cache

from mazelm.search.mcts import Outcome

State = tuple[int, int]  # squares of who is to move, squares of the other

EMPTY: State = (0, 0)
FULL = 0b111_111_111
LINES = (0b111, 0b111_000, 0b111_000_000, 0b001_001_001, 0b010_010_010, 0b100_100_100, 0b100_010_001, 0b001_010_100)


def squares(state: State) -> list[int]:
    """The empty squares in their order: action i of a state is a mark on the i-th of them."""
    taken = state[0] | state[1]
    return [square for square in range(9) if not taken >> square & 1]


@cache
def moves(state: State) -> list[list[Outcome]]:
    """The model: what each move leads to. A line of three pays 1 to who made it; a draw pays nothing."""
    mine, theirs = state
    outcomes = []
    for square in squares(state):
        marked = mine | 1 << square
        won = any(marked & line == line for line in LINES)
        outcomes.append([(1.0, (theirs, marked), float(won), won or marked | theirs == FULL)])
    return outcomes


@cache
def move_values(state: State) -> list[float]:
    """What each move is worth to who moves if both play perfectly: 1 wins, 0 draws, −1 loses.

        q(s, a) = r − V(s′)    with V(s) = maxₐ q(s, a), and V = 0 where the game is over

    This is minimax, with each value seen by who is to move.
    """
    values = []
    for ((_, following, reward, over),) in moves(state):
        values.append(reward if over else reward - max(move_values(following)))
    return values


def perfect_moves(state: State) -> list[int]:
    """The moves that no move beats, by their numbers."""
    values = move_values(state)
    return [action for action, value in enumerate(values) if value == max(values)]


def from_text(text: str) -> State:
    """Read a board of `x`, `o` and `.` in three lines, with x to move if both have as many marks, else o.

    Raises:
        ValueError: The text is no board, or x has not as many marks as o or one more.
    """
    marks = "".join(text.split()).lower()
    if len(marks) != 9 or set(marks) - set("xo."):
        raise ValueError(f"text must hold nine of x, o and dot, got {text!r}")
    xs, os = (sum(1 << i for i, mark in enumerate(marks) if mark == who) for who in "xo")
    if xs.bit_count() - os.bit_count() not in (0, 1):
        raise ValueError(f"x begins: it must have as many marks as o or one more, got {text!r}")
    return (xs, os) if xs.bit_count() == os.bit_count() else (os, xs)


def to_text(state: State) -> str:
    """The board in three lines, as `from_text` reads it."""
    mine, theirs = state
    xs, os = (mine, theirs) if mine.bit_count() == theirs.bit_count() else (theirs, mine)
    marks = ["x" if xs >> i & 1 else "o" if os >> i & 1 else "." for i in range(9)]
    return "\n".join("".join(marks[i : i + 3]) for i in (0, 3, 6))
