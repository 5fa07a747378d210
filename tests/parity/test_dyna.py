"""Dyna against what others say: the published order of figure 8.2, and counted models solved by quantecon."""

import numpy as np
import pytest
from mazelm.search.counted_model import fit_transitions, model_errors, planning_loss_bound, simulation_bound, value_span
from mazelm.search.dyna import DynaConfig, LastSeenModel, dyna_q, planning_step
from mazelm.tabular.episodes import Transition
from mazelm.tabular.planning import policy_iteration
from mazelm.tabular.problems.dyna_mazes import DYNA, ShiftingMaze
from mazelm.tabular.td import zeros
from quantecon.markov import DiscreteDP


def test_the_published_order(unchecked):
    """About 25 episodes without planning, about 5 with five planning steps, 3 with fifty."""
    needed = {}
    for n, episodes, seeds in ((0, 35, 30), (5, 9, 30), (50, 5, 12)):
        config = DynaConfig(episodes=episodes, step_size=0.1, discount=0.95, epsilon=0.1, planning_steps=n)
        lengths = [
            [walk.steps for walk in dyna_q(ShiftingMaze(DYNA), zeros(54, 4), config, rng=np.random.default_rng(seed))]
            for seed in range(seeds)
        ]
        mean = np.mean(lengths, axis=0)
        needed[n] = int(np.flatnonzero(mean <= 24)[0]) + 1
    assert needed[50] < needed[5] < needed[0]
    assert abs(needed[0] - 25) <= 5
    assert abs(needed[5] - 5) <= 2
    assert abs(needed[50] - 3) <= 1


def in_quantecon(model, discount):
    """With one more state, which takes the ends in."""
    n_states, n_actions = model.rewards.shape
    transitions = np.zeros((n_states + 1, n_actions, n_states + 1))
    transitions[:-1, :, :-1], transitions[:-1, :, -1], transitions[-1, :, -1] = model.transitions, model.terminations, 1
    return DiscreteDP(np.vstack([model.rewards, np.zeros(n_actions)]), transitions, discount)


@pytest.mark.parametrize("seed", range(5))
def test_the_simulation_lemma_by_quantecon(seed):
    """Counted from few steps; all values are quantecon's."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(7, 0.5), size=(6, 3))
    rewards = rng.random((6, 3))
    steps = [
        Transition(s, a, float(rewards[s, a]), int(to) % 6, bool(to == 6))
        for s, a in np.ndindex(6, 3)
        for to in rng.choice(7, 4, p=rows[s, a])
    ]
    exact = [Transition(s, a, float(rewards[s, a]), 0, False) for s, a in np.ndindex(6, 3)]
    model = fit_transitions(steps, 6, 3)
    task = type(model)(rows[..., :-1].copy(), fit_transitions(exact, 6, 3).rewards, rows[..., -1].copy())
    theirs, believed = in_quantecon(task, 0.9), in_quantecon(model, 0.9)
    best, plan = theirs.solve("policy_iteration"), believed.solve("policy_iteration")
    assert policy_iteration(model, discount=0.9).values == pytest.approx(plan.v[:-1], abs=1e-8)
    values = theirs.evaluate_policy(plan.sigma)[:-1]
    errors = model_errors(task, model)
    assert np.abs(plan.v[:-1] - values).max() <= simulation_bound(errors, discount=0.9, span=value_span(values))
    span = max(value_span(best.v[:-1]), value_span(values))
    assert 0 <= (best.v[:-1] - values).max() <= planning_loss_bound(errors, discount=0.9, span=span)


def test_planning_to_the_end_is_solving_the_counted_model(unchecked):
    """In a world without chance, what Dyna knows after many planning steps is the solution of the counted model."""
    q, model = zeros(54, 4), LastSeenModel()
    config = DynaConfig(episodes=1, step_size=1.0, discount=0.9, planning_steps=0)
    (walk,) = dyna_q(ShiftingMaze(DYNA), q, config, rng=np.random.default_rng(4), model=model)
    for draw in np.random.default_rng(0).random(20_000):
        planning_step(q, model, float(draw), step_size=1.0, discount=0.9)
    counted = fit_transitions(model.outcomes.values(), 54, 4)
    solved = in_quantecon(counted, 0.9).solve("policy_iteration").v[:-1]
    visited = sorted({s for s, _ in model.outcomes})
    assert walk.terminated
    assert np.array(q).max(axis=1)[visited] == pytest.approx(solved[visited], abs=1e-9)
