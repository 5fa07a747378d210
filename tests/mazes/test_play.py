"""Walking by hand: from a pipe, at a terminal, and leaving in every way."""

import io
import os
import subprocess
import sys
import time

import pytest
from mazes.dynamics import DOWN, LEFT, RIGHT, UP
from mazes.play import actions, main

WAY = "d\nd\ns\ns\nd\nd\nw\nw\n"  # through classic
at_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminal")


def walk(keys, *arguments, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(keys))
    return main(list(arguments))


def at_terminal(keys):
    """The exit status and what a player saw who pressed these keys."""
    import pty
    import termios

    ours, theirs = pty.openpty()
    command = [sys.executable, "-W", "error", "-m", "mazes.play"]
    game = subprocess.Popen(command, stdin=theirs, preexec_fn=lambda: os.login_tty(0))  # so that Ctrl-C means something
    os.close(theirs)
    try:
        seen = read_until(ours, b"@")  # the maze is drawn: the game is about to wait for a key
        time.sleep(0.3)
        os.write(ours, keys)
        seen += read_until(ours, b"the goal in", b"You left")
        status = game.wait(timeout=20)
        assert termios.tcgetattr(ours)[3] & termios.ICANON, "the terminal is left as it was: it waits for whole lines"
        return status, (seen + read_until(ours)).decode()
    finally:
        game.kill()
        game.wait()
        os.close(ours)


def read_until(terminal, *words):
    """What the game writes up to one of these words, or up to its end."""
    seen = b""
    while not any(word in seen for word in words):
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # on Linux, the end
            return seen
        if not piece:
            return seen
        seen += piece
    return seen


# --- from a pipe


def test_the_shortest_way(monkeypatch, capsys):
    assert walk(WAY, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "The shortest way takes 8 steps." in said
    assert "You reached the goal in 8 steps, with a total of 3." in said
    assert said.count("@") == 9  # a picture at the start and after each step
    assert "right: reward -1, -1 in all\n\nS@ #G" in said


def test_another_maze_and_the_end_of_the_input(monkeypatch, capsys):
    assert walk("w\nw", "cliff", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "The shortest way takes 13 steps." in said
    assert said.endswith("You left the maze after 2 steps, with a total of -2.\n")


def test_q_leaves(monkeypatch, capsys):
    assert walk("d\nq\n" + WAY, monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out.endswith("You left the maze after 1 steps, with a total of -1.\n")


def test_nothing_at_all(monkeypatch, capsys):
    assert walk("", monkeypatch=monkeypatch) == 0
    assert "after 0 steps" in capsys.readouterr().out


def test_slips_come_from_the_seed(monkeypatch, capsys):
    said = []
    for seed in ("1", "1", "2"):
        walk("d\ns\n" * 20, "open", "--slip", "0.5", "--seed", seed, monkeypatch=monkeypatch)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]


def test_what_keys_mean(capsys):
    keys = "W\n s \n\nx\na\nd\n\x1b[A\n\x1b[B\n\x1b[C\n\x1b[D\nq\nw\n"
    assert list(actions(io.StringIO(keys))) == [UP, DOWN, LEFT, RIGHT, UP, DOWN, RIGHT, LEFT]
    assert capsys.readouterr().out == "'x' is no key of this game: arrows or w a s d walk, q leaves.\n"


def test_interrupting_leaves_in_peace(monkeypatch, capsys):
    class Interrupted(io.StringIO):
        def __next__(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted())
    assert main([]) == 0
    assert capsys.readouterr().out.endswith("You left the maze.\n")


@pytest.mark.parametrize(
    ("arguments", "message"), [(["nowhere"], "invalid choice: 'nowhere'"), (["--slip", "2"], "--slip must be in")]
)
def test_bad_arguments_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


# --- at a terminal


@at_a_terminal
def test_keys_count_as_they_are_pressed():
    status, seen = at_terminal(b"d\x1b[Csx\x1b[BddwW")
    assert status == 0
    assert "'x' is no key of this game" in seen
    assert "You reached the goal in 8 steps, with a total of 3." in seen


@at_a_terminal
@pytest.mark.parametrize("last", [b"q", b"\x04"])
def test_leaving_a_terminal(last):
    status, seen = at_terminal(b"d" + last)
    assert status == 0
    assert "You left the maze after 1 steps" in seen


@at_a_terminal
def test_interrupting_at_a_terminal():
    status, seen = at_terminal(b"d\x03")
    assert status == 0
    assert "You left the maze." in seen
    assert "Traceback" not in seen
