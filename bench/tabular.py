"""How fast the planners and Q-learning of chapters 6 and 8 are beside libraries and the usual loops, in the same run.

    python bench/tabular.py [--rounds 7] [--quick]

Prints a table, writes it to bench/tabular.md, and ends with status 1 if a speed or a result is not as required. Models
are built before the clock starts, ours and the peers' alike. All mazes slip with chance 0.2, the discount is 0.99, and
value iteration stops where its bound says that no value is wrong by more than 1e-4.
"""

import sys

import gymnasium as gym
import numpy as np
import textbook
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import policy_iteration, value_iteration, value_iteration_sweeps
from mazelm.tabular.td import TDControlConfig, q_learning, zeros
from mazes import maps
from mazes.dynamics import move_tables, slip_matrix
from mazes.generate import random_maze
from mazes.grid import Maze
from mdptoolbox.mdp import PolicyIteration
from quantecon.markov import DiscreteDP
from report import Row, run
from scipy import sparse

DISCOUNT, SLIP, TOLERANCE = 0.99, 0.2, 1e-4
N_STEPS = 20_000
CONFIG = TDControlConfig(episodes=N_STEPS, step_size=0.1, discount=DISCOUNT, epsilon=0.1)


def rows(quick: bool) -> list[Row]:
    rng = np.random.default_rng(0)
    classic, large, huge = (
        maps.load("classic"),
        random_maze(50, 50, loops=0.1, rng=rng),
        random_maze(*((100, 100) if quick else (500, 500)), loops=0.1, rng=rng),
    )
    return [
        against_quantecon(huge, "value_iteration", 2.5),
        against_loop(huge, 10, 200),
        against_quantecon(large, "value_iteration", None),
        against_loop(large, 50, None),
        against_quantecon(classic, "policy_iteration", None),
        against_toolbox(classic),
        q_learning_row("env.unwrapped", gym.make("mazes/Maze-v0", maze="classic").unwrapped, 8),
        q_learning_row("gym.make", gym.make("mazes/Maze-v0", maze="classic"), None),
    ]


def model(maze: Maze) -> TabularMDP:
    return TabularMDP.from_moves(*move_tables(maze), slip_matrix(SLIP))


def size(maze: Maze) -> str:
    return f"maze of {maze.rows}×{maze.cols}"


def against_quantecon(maze: Maze, method: str, required: float | None) -> Row:
    """quantecon knows no end of a task: one more state takes it in, and pays nothing for ever."""
    mdp = model(maze)
    peer = with_end(mdp)

    def ours() -> object:
        if method == "policy_iteration":
            return policy_iteration(mdp, discount=DISCOUNT).values
        return value_iteration(mdp, discount=DISCOUNT, tolerance=TOLERANCE).values

    def theirs() -> object:
        # It stops at ‖V_k+1 − V_k‖ < epsilon·(1 − γ) / (2γ), where no value is wrong by more than epsilon / 2.
        return peer.solve(method=method, epsilon=2 * TOLERANCE, max_iter=10_000).v[:-1]

    name = method.replace("_", " ")
    measure = f"{name}, {size(maze)}"
    return Row(
        measure=measure,
        ours=ours,
        peer=f"quantecon's {name}",
        theirs=theirs,
        required=required,
        tolerance=2 * TOLERANCE,
    )


def with_end(mdp: TabularMDP) -> DiscreteDP:
    """The model in quantecon's form: pairs of state and action, and a last state that every end leads to."""
    n_states, n_actions = mdp.rewards.shape
    ends = sparse.csr_array(mdp.terminations.reshape(-1, 1))
    stays = sparse.csr_array((np.ones(n_actions), (range(n_actions), [n_states] * n_actions)))
    going_on = mdp.transitions
    if isinstance(going_on, np.ndarray):
        going_on = sparse.csr_array(going_on.reshape(-1, n_states))
    transitions = sparse.vstack([sparse.hstack([going_on, ends]), stays])
    rewards = np.append(mdp.rewards.ravel(), np.zeros(n_actions))
    states, actions = np.divmod(np.arange(rewards.size), n_actions)
    return DiscreteDP(rewards, sparse.csr_matrix(transitions), DISCOUNT, states, actions)


def against_loop(maze: Maze, n_sweeps: int, required: float | None) -> Row:
    mdp, rules = model(maze), listed(maze)
    cells = np.array([maze.index(*cell) for cell in rules])

    def ours() -> object:
        return next(value_iteration_sweeps(mdp, discount=DISCOUNT, every=n_sweeps)).values[cells]

    measure = f"{n_sweeps} sweep{'s'[: n_sweeps > 1]} of value iteration, {size(maze)}"
    theirs = textbook.value_iteration(rules, n_sweeps, DISCOUNT)
    return Row(
        measure=measure, ours=ours, peer="a loop over dictionaries", theirs=theirs, required=required, tolerance=1e-9
    )


def listed(maze: Maze) -> textbook.Rules:
    """The rules as tutorials hold them: for each free cell and action what may happen, first what was meant."""
    tables, chances = move_tables(maze), slip_matrix(SLIP)
    rules: textbook.Rules = {}
    for row, col in map(tuple, np.argwhere(~maze.walls).tolist()):
        state = maze.index(row, col)
        moves = [
            (maze.cell(int(n)), float(r), bool(end))
            for n, r, end in zip(*(table[:, state] for table in tables), strict=True)
        ]
        meant = [(a, (a - 1) % 4, (a + 1) % 4) for a in range(4)]
        rules[row, col] = [[(float(chances[a, m]), *moves[m]) for m in order] for a, order in enumerate(meant)]
    return rules


def against_toolbox(maze: Maze) -> Row:
    """pymdptoolbox holds dense arrays (A, S, S) and knows no end either."""
    mdp = model(maze)
    peer = with_end(mdp)
    transitions = np.asarray(peer.Q.todense()).reshape(maze.n_states + 1, 4, -1).transpose(1, 0, 2)
    rewards = peer.R.reshape(-1, 4)

    def theirs() -> object:
        solver = PolicyIteration(transitions, rewards, DISCOUNT)
        solver.run()
        return np.array(solver.V[:-1])

    def ours() -> object:
        return policy_iteration(mdp, discount=DISCOUNT).values

    return Row(measure=f"policy iteration, {size(maze)}", ours=ours, peer="pymdptoolbox", theirs=theirs, tolerance=1e-9)


def q_learning_row(name: str, env: gym.Env, required: float | None) -> Row:
    """Both learn the same task by the same rule from their own random numbers; both find a way of 8 steps."""

    def ours() -> object:
        q, steps = zeros(25, 4), 0
        for episode in q_learning(env, q, CONFIG, rng=np.random.default_rng(0)):
            steps += episode.steps
            if steps >= N_STEPS:
                break
        return greedy_steps(np.array(q))

    def theirs() -> object:
        q = textbook.q_learning(N_STEPS, step_size=CONFIG.step_size, discount=CONFIG.discount, epsilon=CONFIG.epsilon)
        return greedy_steps(q)

    measure = f"{N_STEPS} steps of Q-learning in classic, through {name}"
    return Row(measure=measure, ours=ours, peer="a loop over an array", theirs=theirs, required=required, tolerance=0)


def greedy_steps(q: np.ndarray) -> int:
    """How many steps the greedy way takes; a way that does not arrive stops at 30."""
    tables, state = move_tables(maps.load("classic")), 0
    for step in range(1, 31):
        action = int(q[state].argmax())
        if tables.terminated[action, state]:
            return step
        state = int(tables.next_state[action, state])
    return 30


if __name__ == "__main__":
    packages = ["numpy", "scipy", "gymnasium", "quantecon", "pymdptoolbox"]
    sys.exit(run(__file__, "Tables: speed beside the peers", rows, packages))
