"""Walk a maze in the terminal: `python -m mazes.play four-rooms --slip 0.2`.

Keys are the arrows or w, a, s, d; q leaves. At a terminal each key counts as it is pressed; from a file or a pipe, and
where the terminal cannot be read key by key, each line is one key.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import gymnasium as gym

from mazes import maps
from mazes.dynamics import DOWN, LEFT, RIGHT, UP, Action
from mazes.grid import distances

if sys.platform != "win32":
    import termios
    import tty

ACTIONS = {"w": UP, "d": RIGHT, "s": DOWN, "a": LEFT, "\x1b[A": UP, "\x1b[C": RIGHT, "\x1b[B": DOWN, "\x1b[D": LEFT}
CTRL_D = "\x04"


def main(arguments: list[str] | None = None) -> int:
    """Let a person walk from S to G; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mazes.play", description="Walk a maze in the terminal.")
    parser.add_argument("maze", nargs="?", default="classic", choices=maps.names(), help="the map (default: classic)")
    parser.add_argument("--slip", type=float, default=0.0, help="chance that a step goes to one side (default: 0)")
    parser.add_argument("--seed", type=int, help="seed of the slips")
    options = parser.parse_args(arguments)
    if not 0 <= options.slip <= 1:
        parser.error(f"--slip must be in [0, 1], got {options.slip}")
    try:
        return play(options.maze, options.slip, options.seed)
    except KeyboardInterrupt:
        print("\nYou left the maze.")
        return 0


def play(name: str, slip: float, seed: int | None) -> int:
    """One walk, drawn after every step."""
    env = gym.make("mazes/Maze-v0", maze=name, slip=slip, render_mode="ansi", max_episode_steps=-1)
    state, _ = env.reset(seed=seed)
    print(f"Arrows or w a s d walk, q leaves. The shortest way takes {distances(maps.load(name))[state]} steps.")
    print(f"\n{env.render()}\n")
    total, steps = 0.0, 0
    for action in actions(sys.stdin):
        _, reward, terminated, _, _ = env.step(action)
        total, steps = total + float(reward), steps + 1
        print(f"{action.name.lower()}: reward {reward:g}, {total:g} in all\n\n{env.render()}\n")
        if terminated:
            print(f"You reached the goal in {steps} steps, with a total of {total:g}.")
            return 0
    print(f"You left the maze after {steps} steps, with a total of {total:g}.")
    return 0


def actions(stream: Any) -> Iterator[Action]:
    """What the keys mean, until q or the end of the input; other keys are named and passed over."""
    for key in keys(stream):
        if key == "q":
            return
        if key in ACTIONS:
            yield ACTIONS[key]
        elif key:
            print(f"{key!r} is no key of this game: arrows or w a s d walk, q leaves.")


def keys(stream: Any) -> Iterator[str]:
    """The keys in small letters: as they are pressed at a terminal, otherwise one per line."""
    if sys.platform == "win32" or not stream.isatty():
        for line in stream:
            yield _small(line.strip())
        return
    terminal = stream.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)  # no waiting for Enter, while Ctrl-C still interrupts
        while pressed := os.read(terminal, 64).decode(errors="replace"):
            for key in re.findall(r"\x1b\[.|.", pressed, re.DOTALL):  # an arrow sends three characters at once
                yield "q" if key == CTRL_D else _small(key)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _small(key: str) -> str:
    """The key in small letters, unless it is an arrow."""
    return key if key in ACTIONS else key.lower()


if __name__ == "__main__":
    sys.exit(main())
