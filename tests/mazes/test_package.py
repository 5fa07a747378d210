"""The package: what importing it does."""

import subprocess
import sys

USE = """
import sys, gymnasium as gym, mazes
gym.make("mazes/Maze-v0", maze="classic", slip=0.0).reset(seed=0)
gym.make_vec("mazes/Maze-v0", num_envs=2).reset(seed=0)
print({"torch", "mazelm", "matplotlib", "scipy"} & set(sys.modules))
"""


def test_importing_it_makes_the_environment_known_and_loads_nothing_heavy():
    ran = subprocess.run([sys.executable, "-W", "error", "-c", USE], check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"
