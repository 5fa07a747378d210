"""The policy gradient on problems so small that nothing has to be estimated.

The policy is a table of preferences, one for each state and action, and a softmax over each row. The gradient comes
from a linear system; beside it, all walks that the policy can take are listed with their probabilities, so the mean and
the variance of any estimate are sums, without sampling.

Rewards are those that the model expects of an action, r(s, a): noise in a reward would add variance, and no mean.

Left out: policies with shared weights, for which the same identities hold, and walks without end.

Source: Sutton et al. (2000) for the theorem; Schulman et al. (2016), section 2, for the forms of Ψ; Greensmith et al.
(2004) for the best baselines.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import sparse

from mazelm.tabular.episodes import Trajectory
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import exact_values


class Known(NamedTuple):
    """What the model says about a policy."""

    policy: Float[np.ndarray, "S A"]  # π(a | s)
    values: Float[np.ndarray, " S"]  # V(s)
    q: Float[np.ndarray, "S A"]  # Q(s, a)
    visits: Float[np.ndarray, " S"]  # d(s), how often the state is visited, a visit at time t counting γᵗ
    discount: float  # γ
    objective: float  # J, the expected return
    gradient: Float[np.ndarray, "S A"]  # of J to the preferences


class Possible(NamedTuple):
    """A walk from the start to the end of the task, and how likely it is."""

    probability: float
    walk: Trajectory


class Moments(NamedTuple):
    """Mean of an estimate, and its variance summed over all preferences."""

    mean: Float[np.ndarray, "S A"]
    variance: float


Psi = Callable[[Trajectory, Known], Float[np.ndarray, " T"]]


def three_states() -> tuple[TabularMDP, Float[np.ndarray, " S"]]:
    """A task of three states, two actions and seven possible walks; and where it starts: always in state 0.

    Action 0 in state 0 leads to state 1 with probability 3/4, else to state 2, and pays 1. Action 1 leads to state 2
    and pays 3. In state 1 action 0 ends the task and pays 6, and action 1 leads to state 2 and pays 2. In state 2 both
    actions end the task; they pay 4 and 7.
    """
    outcomes = [
        [[(0.75, 1, 1.0, False), (0.25, 2, 1.0, False)], [(1.0, 2, 3.0, False)]],
        [[(1.0, 1, 6.0, True)], [(1.0, 2, 2.0, False)]],
        [[(1.0, 2, 4.0, True)], [(1.0, 2, 7.0, True)]],
    ]
    return TabularMDP.from_outcomes(outcomes), np.array([1.0, 0.0, 0.0])


def softmax_policy(preferences: Float[np.ndarray, "S A"]) -> Float[np.ndarray, "S A"]:
    """The policy that a table of preferences stands for.

        π(a | s) = exp θ(s, a) / Σ_b exp θ(s, b)

    Args:
        preferences: θ; adding a number to a row changes nothing.
    """
    weights = np.exp(preferences - preferences.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def score(policy: Float[np.ndarray, "S A"], state: int, action: int) -> Float[np.ndarray, "S A"]:
    """Which way the preferences have to go to make an action likelier: the gradient of log π(a | s).

    ∂ log π(a | s) / ∂θ(s, b) = [b = a] − π(b | s),    and 0 in the rows of other states
    """
    gradient = np.zeros_like(policy)
    gradient[state] = -policy[state]
    gradient[state, action] += 1
    return gradient


def solve(
    mdp: TabularMDP, preferences: Float[np.ndarray, "S A"], start: Float[np.ndarray, " S"], *, discount: float
) -> Known:
    """What a softmax policy is worth, and the gradient of that, without any sampling.

        d(s) = Σ_t γᵗ·P(sₜ = s),  so  d = start + γ·P_πᵀ·d
        ∂J / ∂θ(s, a) = d(s)·π(a | s)·(Q(s, a) − V(s))

    Args:
        mdp: The model.
        preferences: θ.
        start: Probability of beginning in each state.
        discount: γ, in [0, 1].

    Raises:
        ValueError: start is no distribution, or discount = 1 and the policy can get to where the task never ends.

    Source: Sutton et al. (2000), theorem 1, for a table.
    """
    if start.shape != (mdp.n_states,) or start.min() < 0 or not np.isclose(start.sum(), 1):
        raise ValueError(f"start must hold {mdp.n_states} probabilities that sum to one, got {start}")
    policy = softmax_policy(preferences)
    values = exact_values(mdp, policy, discount=discount)
    q = mdp.q_values(values, discount=discount)
    step = _dense(mdp.under(policy).transitions)
    visits = np.linalg.solve(np.eye(mdp.n_states) - discount * step.T, start)
    gradient = visits[:, None] * policy * (q - values[:, None])
    return Known(policy, values, q, visits, discount, float(start @ values), gradient)


def possible_walks(
    mdp: TabularMDP, policy: Float[np.ndarray, "S A"], start: Float[np.ndarray, " S"], *, longest: int = 20
) -> list[Possible]:
    """All walks of positive probability.

        P(walk) = start(s₀)·Π_t π(aₜ | sₜ)·P(sₜ₊₁ | sₜ, aₜ)

    Args:
        mdp: The model. Outcomes of an action that lead to the same state are one.
        policy: Probability of each action in each state.
        start: Probability of beginning in each state.
        longest: The most steps that a walk may take.

    Raises:
        ValueError: A walk goes on after that many steps.
    """
    transitions = _dense(mdp.transitions).reshape(mdp.n_states, mdp.n_actions, mdp.n_states)
    unfinished = [Possible(float(start[s]), Trajectory([], [], [], int(s), False)) for s in np.flatnonzero(start)]
    finished: list[Possible] = []
    while unfinished:
        probability, walk = unfinished.pop()
        if len(walk.states) == longest:
            raise ValueError(f"longest={longest} is too short: a walk begins with the states {walk.states}")
        state = walk.last_state
        for action in np.flatnonzero(policy[state]).tolist():
            chance = probability * policy[state, action]
            for next_state, share in _outcomes(transitions[state, action], mdp.terminations[state, action]):
                longer = Trajectory(
                    [*walk.states, state],
                    [*walk.actions, action],
                    [*walk.rewards, float(mdp.rewards[state, action])],
                    state if next_state is None else next_state,
                    next_state is None,
                )
                (finished if longer.terminated else unfinished).append(Possible(chance * share, longer))
    return sorted(finished, key=lambda possible: (possible.walk.states, possible.walk.actions))


def total_return(walk: Trajectory, known: Known) -> Float[np.ndarray, " T"]:
    """Ψₜ = Σ_k γᵏ·r_k: the whole return, the same at every step, what was paid before the action included."""
    return np.full(len(walk.rewards), walk.returns(known.discount)[0])


def reward_to_go(
    walk: Trajectory, known: Known, *, baseline: Float[np.ndarray, " S"] | None = None
) -> Float[np.ndarray, " T"]:
    """Ψₜ = γᵗ·(Gₜ − b(sₜ)): what follows the action, less a number that knows the state and not the action.

    Args:
        walk: One walk.
        known: For the discount.
        baseline: b; None is 0 everywhere.
    """
    expected = 0.0 if baseline is None else baseline[walk.states]
    return _powers(walk, known) * (np.array(walk.returns(known.discount)) - expected)


def return_minus_value(walk: Trajectory, known: Known) -> Float[np.ndarray, " T"]:
    """Ψₜ = γᵗ·(Gₜ − V(sₜ)): the reward to go, with the state's value as its baseline."""
    return reward_to_go(walk, known, baseline=known.values)


def action_value(walk: Trajectory, known: Known) -> Float[np.ndarray, " T"]:
    """Ψₜ = γᵗ·Q(sₜ, aₜ): the mean of what follows the action, in place of what followed it this time."""
    return _powers(walk, known) * known.q[walk.states, walk.actions]


def advantage(walk: Trajectory, known: Known) -> Float[np.ndarray, " T"]:
    """Ψₜ = γᵗ·(Q(sₜ, aₜ) − V(sₜ)): how much better the action is than what the policy does there on average."""
    return _powers(walk, known) * (known.q - known.values[:, None])[walk.states, walk.actions]


def td_residual(walk: Trajectory, known: Known) -> Float[np.ndarray, " T"]:
    """Ψₜ = γᵗ·(rₜ + γ·V(sₜ₊₁) − V(sₜ)): one reward, and the mean of what follows where it led."""
    values = known.values[[*walk.states, walk.last_state]]
    if walk.terminated:
        values[-1] = 0.0
    return _powers(walk, known) * (np.array(walk.rewards) + known.discount * values[1:] - values[:-1])


FORMS: tuple[Psi, ...] = (
    total_return,
    reward_to_go,
    return_minus_value,
    action_value,
    advantage,
    td_residual,
)


def estimate(walk: Trajectory, known: Known, psi: Psi) -> Float[np.ndarray, "S A"]:
    """What one walk says about the gradient.

        ĝ = Σ_t Ψₜ·∇ log π(aₜ | sₜ)

    Source: Schulman et al. (2016), equation 1.
    """
    steps = zip(psi(walk, known), walk.states, walk.actions, strict=True)
    return sum((weight * score(known.policy, s, a) for weight, s, a in steps), np.zeros_like(known.policy))


def moments(walks: list[Possible], known: Known, psi: Psi) -> Moments:
    """Mean and variance of the estimate of one walk, as sums over all walks.

        E ĝ = Σ P(walk)·ĝ(walk),    Var ĝ = Σ P(walk)·‖ĝ(walk)‖² − ‖E ĝ‖²

    Returns:
        The variance of the mean of N walks is an N-th of the one here.
    """
    mean, square = np.zeros_like(known.policy), 0.0
    for probability, walk in walks:
        g = estimate(walk, known, psi)
        mean += probability * g
        square += probability * float((g**2).sum())
    return Moments(mean, square - float((mean**2).sum()))


class Parabola(NamedTuple):
    """The variance of the reward-to-go estimate as a function of the baseline: one parabola for each state."""

    best: Float[np.ndarray, " S"]  # b*(s), the bottom; 0 where nothing can be gained
    curvature: Float[np.ndarray, " S"]  # w(s)
    lowest: float  # the variance with the best baseline

    def variance(self, baseline: Float[np.ndarray, " S"]) -> float:
        """Var(b) = Var(b*) + Σ_s w(s)·(b(s) − b*(s))²."""
        return self.lowest + float(self.curvature @ (baseline - self.best) ** 2)

    def best_constant(self) -> float:
        """The best baseline that is the same in all states: b* in the mean, weighted by the curvature."""
        return float(self.curvature @ self.best / self.curvature.sum())


def baseline_parabola(walks: list[Possible], known: Known) -> Parabola:
    """How the variance of the reward-to-go estimate depends on the baseline.

    A baseline subtracts b(s)·Y_s from the estimate ĝ, where Y_s is the sum of γᵗ·∇ log π(aₜ | s) over the visits to s
    and has mean 0. So it is a control variate, and the best coefficient is that of a regression:

        w(s) = E‖Y_s‖²,    b*(s) = E[ĝ·Y_s] / w(s)

    In a table Y_s and Y_s′ are at right angles, which is why each state has a parabola of its own.

    Source: Greensmith et al. (2004), section 4, by direct calculation for a table.
    """
    curvature, product = np.zeros(len(known.values)), np.zeros(len(known.values))
    for probability, walk in walks:
        multiplied = estimate(walk, known, _powers)  # all Y_s at once, each in its row
        curvature += probability * (multiplied**2).sum(axis=1)
        product += probability * (multiplied * estimate(walk, known, reward_to_go)).sum(axis=1)
    best = np.divide(product, curvature, out=np.zeros_like(product), where=curvature > 0)
    without = moments(walks, known, reward_to_go).variance
    return Parabola(best, curvature, without - float(curvature @ best**2))


def _powers(walk: Trajectory, known: Known) -> Float[np.ndarray, " T"]:
    """1, γ, γ², …, one for each step."""
    return known.discount ** np.arange(len(walk.rewards), dtype=float)


def _outcomes(going_on: Float[np.ndarray, " S"], termination: float) -> Iterator[tuple[int | None, float]]:
    """Where an action may lead, None for the end of the task, and how likely."""
    yield from ((s, float(going_on[s])) for s in np.flatnonzero(going_on).tolist())
    if termination > 0:
        yield None, float(termination)


def _dense(matrix: np.ndarray | sparse.csr_array) -> np.ndarray:
    return matrix.toarray() if isinstance(matrix, sparse.csr_array) else matrix
