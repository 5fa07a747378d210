"""The maze as a Gymnasium environment. A step is one look-up in lists that are made once, from `dynamics.py`."""

import re
from functools import cached_property
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium.error import ResetNeeded

from mazes import maps
from mazes.dynamics import REPLACING, Action, Outcome, Rewards, known, move_tables, outcomes, slip_matrix, turns
from mazes.grid import Maze
from mazes.observe import observer
from mazes.render import picture, text

METADATA: dict[str, Any] = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}
BLOCK = 1024  # random numbers drawn at once: one call for each step would cost more than the step


class MazeEnv(gym.Env[Any, Any]):
    """A walk through a maze, from S to G.

    ## Description
    The walker stands on one cell of a grid and moves to a neighbouring one. Walls and the edge of the grid stop it: it
    stays where it was and pays for the bump. A cliff throws it back onto the start, and the walk goes on. The task ends
    on the goal. The floor may be slippery: with chance `slip`, a step goes 90° to one side of the intended direction,
    to either side with half of that chance.

    ## Action Space
    `Discrete(4)`, clockwise from the top as in CliffWalking:

    - 0: up
    - 1: right
    - 2: down
    - 3: left

    Any other action raises a `ValueError`.

    ## Observation Space
    The argument `observation` chooses what the walker is told:

    | `observation` | space | meaning |
    | --- | --- | --- |
    | `"index"` | `Discrete(rows·cols)` | row·cols + col, walls counted as well |
    | `"position"` | `MultiDiscrete([rows, cols])` | row and column |
    | `"one-hot"` | `Box(0, 1, (rows·cols,), float32)` | a one at the index, zeros elsewhere |
    | `"image"` | `Box(0, 255, (height, width, 3), uint8)` | the maze from above in red, green and blue |
    | `"window"` | `MultiDiscrete([4, …, 4])` | the cells around the walker only: the maze is partially observed |

    An image has as many pixels per cell as it needs for a height and a width of 36, the least that the convolutional
    networks of stable-baselines3 accept. A window is a square of 2·`radius` + 1 cells a side, row by row, with the
    walker in the middle: 0 is floor (and the start), 1 a wall (and what lies outside), 2 the goal, 3 a cliff.

    ## Starting State
    The walker stands on S. Nothing about it is random.

    ## Rewards
    A `mazes.dynamics.Rewards`. With `REPLACING`, the default, each step pays one of these:

    - a plain step: −1
    - a bump: −5
    - the goal: +10
    - a cliff: −100

    With `ADDING`, every step pays −0.1, and a bump adds −1, the goal +10 and a cliff −100 to that.

    ## Episode End
    - Termination: the walker reaches G.
    - Truncation (by the standard time-limit wrapper): the episode has taken 500 steps, or `max_episode_steps` if
      `gym.make` was given that. The task is not over then: a learner bootstraps from the state that was reached.

    ## Information
    `reset` and `step` return an empty dictionary. The model is in `env.unwrapped.P`: `P[state][action]` is a list of
    (probability, next state, reward, terminated), made when it is first asked for. `env.unwrapped.maze` is the maze.

    ## Arguments
    ```python
    import gymnasium as gym
    import mazes

    gym.make("mazes/Maze-v0", maze="classic", slip=0.0, rewards=mazes.dynamics.REPLACING, observation="index")
    ```

    - `maze="classic"`: the name of a map (`mazes.maps.names()` lists them), a map as text, or a `mazes.grid.Maze`.
    - `slip=0.0`: chance that a step goes to one side, in [0, 1].
    - `rewards=REPLACING`: what a step pays.
    - `observation="index"`: see above.
    - `radius=1`: how many cells a window reaches to each side.
    - `render_mode=None`: `"ansi"` (text, the walker is `@`) or `"rgb_array"`.

    `gym.make_vec` makes many at once: see `mazes.vector.MazeVectorEnv`.

    ## Version History
    - v0: first version
    """

    metadata = METADATA

    def __init__(
        self,
        maze: Maze | str = "classic",
        slip: int | float = 0.0,
        rewards: Rewards = REPLACING,
        observation: str = "index",
        radius: int = 1,
        render_mode: str | None = None,
    ):
        slip_matrix(slip)  # refuses what is no probability
        self.maze, self.slip, self.rewards, self.render_mode = as_maze(maze), slip, rewards, checked_mode(render_mode)
        self.observation_space, self._observe = observer(self.maze, observation, radius=radius)
        self.action_space = gym.spaces.Discrete(4)
        self._is_index = observation == "index"
        self._moves = _moves(self.maze, rewards, (0, 1, -1) if slip else (0,))
        self._turns: list[int] = []  # drawn ahead of time
        self._start = self.maze.index(*self.maze.start)
        self._state: Any = None  # until the first reset

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Put the walker on S. Only the first reset needs a seed; without one, the chances go on where they were."""
        if seed is not None:
            super().reset(seed=seed)
            self._turns.clear()  # they came from another generator
        self._state = self._start
        return self._observe(self._start), {}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Move one cell: return the observation, the reward, whether the walk ended, False, and an empty dictionary."""
        moves = self._moves[self._turn() if self.slip else 0]
        try:
            state, reward, terminated = moves[self._state][action]
        except (KeyError, TypeError):  # not one of four plain numbers, or no reset yet
            state, reward, terminated = moves[self._standing()][known(action)]
        self._state = state
        return (state if self._is_index else self._observe(state)), reward, terminated, False, {}

    def render(self) -> Any:
        """The maze with the walker, as a string or as an array of pixels."""
        if self.render_mode is None:
            gym.logger.warn("render() needs a render_mode: gym.make('mazes/Maze-v0', render_mode='ansi')")
            return None
        return text(self.maze, self._standing()) if self.render_mode == "ansi" else picture(self.maze, self._standing())

    @cached_property
    def P(self) -> dict[int, dict[int, list[Outcome]]]:
        """The model: P[s][a] lists (probability, next state, reward, terminated), as in Gymnasium's toy text."""
        return {
            s: {int(a): outcomes(self.maze, s, a, slip=self.slip, rewards=self.rewards) for a in Action}
            for s in range(self.maze.n_states)
        }

    def _turn(self) -> int:
        """The side that the next step goes to: 0 is straight on, 1 to the right, −1 to the left."""
        if not self._turns:
            self._turns = turns(self.np_random.random(BLOCK), self.slip).tolist()
        return self._turns.pop()

    def _standing(self) -> int:
        if self._state is None:
            raise ResetNeeded("call reset() first: before that, the walker stands nowhere")
        return self._state


def as_maze(maze: Maze | str) -> Maze:
    """A maze as it is, by its name, or from its text: a name has small letters, digits and hyphens only."""
    if isinstance(maze, Maze):
        return maze
    return maps.load(maze) if re.fullmatch("[a-z0-9-]+", maze) else Maze.from_text(maze)


def checked_mode(render_mode: str | None) -> str | None:
    """The mode, if there is one of this name."""
    if render_mode not in (None, *METADATA["render_modes"]):
        raise ValueError(f"render_mode must be 'ansi', 'rgb_array' or None, got {render_mode!r}")
    return render_mode


def _moves(maze: Maze, rewards: Rewards, sides: tuple[int, ...]) -> list[list[dict[int, tuple[int, float, bool]]]]:
    """(next state, reward, terminated) by turn, state and action, in plain numbers, which are the quickest to look up.

    Turn 0 is straight on, 1 to the right, −1 (the last entry of the list) to the left.
    """
    columns = (table.T.ravel().tolist() for table in move_tables(maze, rewards=rewards))
    flat = list(zip(*columns, strict=True))
    return [[{a: flat[s + (a + turn) % 4] for a in range(4)} for s in range(0, len(flat), 4)] for turn in sides]
