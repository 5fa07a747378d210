"""Mazes as Gymnasium environments: importing the package makes `gymnasium.make("mazes/Maze-v0")` work."""

import gymnasium

# gym.make adds a wrapper for each of these two jobs, which costs a call per step. The environment itself refuses a step
# before the first reset, and the tests run Gymnasium's whole checker.
gymnasium.register(
    id="mazes/Maze-v0",
    entry_point="mazes.env:MazeEnv",
    vector_entry_point="mazes.vector:MazeVectorEnv",
    max_episode_steps=500,
    order_enforce=False,
    disable_env_checker=True,
)
