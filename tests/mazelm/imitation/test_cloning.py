"""Behaviour cloning: by hand, by definition, what is written down at the end of an episode, and on bad input."""

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.imitation.cloning import (
    CloningConfig,
    Demonstrations,
    Symmetry,
    acting,
    augmented,
    clone,
    cloning_loss,
    demonstrate,
    policy_table,
)
from mazelm.policy.networks import mlp
from mazelm.policy.rollout import play_episodes
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import policy_iteration
from mazes.maps import load
from mazes.observe import windows

CLASSIC = gym.make("mazes/Maze-v0")
SOLUTION = policy_iteration(TabularMDP.from_gymnasium(CLASSIC), discount=0.99).policy


def planner(obs):
    """The optimal action, from one-hot rows."""
    return SOLUTION[obs.argmax(axis=1)]


def classic(n_envs, **kwargs):
    return gym.make_vec(
        "mazes/Maze-v0", num_envs=n_envs, observation="one-hot", vectorization_mode="vector_entry_point", **kwargs
    )


def table(n_features=25):
    """A policy with one row of logits for each state."""
    with seeded(0):
        return mlp([n_features, 4])


def steps_of(n, n_features, n_actions, seed=0):
    rng = np.random.default_rng(seed)
    return Demonstrations(rng.normal(size=(n, n_features)).astype(np.float32), rng.integers(n_actions, size=n))


# --- the loss


def test_the_loss_by_hand():
    """Chances 1/2 and 1/4 of what the expert did: −(ln ½ + ln ¼) / 2."""
    logits = torch.tensor([[0.0, 0.0], [float(np.log(3)), 0.0]])
    assert cloning_loss(logits, torch.tensor([1, 1])).item() == pytest.approx((np.log(2) + np.log(4)) / 2, rel=1e-6)


@given(st.integers(0, 10**6), st.integers(1, 8), st.integers(2, 5))
def test_eq_cloning_loss(seed, n, n_actions):
    rng = np.random.default_rng(seed)
    logits, actions = rng.normal(0, 3, size=(n, n_actions)), rng.integers(n_actions, size=n)
    total = 0.0
    for row, action in zip(logits, actions, strict=True):
        total -= np.log(np.exp(row[action]) / sum(np.exp(z) for z in row))
    loss = cloning_loss(torch.from_numpy(logits), torch.from_numpy(actions))
    assert loss.item() == pytest.approx(total / n, rel=1e-9)


# --- what the expert shows


@pytest.mark.parametrize("n_envs", [1, 3])
def test_the_demonstrations_are_the_planners_way(n_envs):
    """Without slip each walk is the same: 8 steps, then the start again; the walkers take turns."""
    demonstrations = demonstrate(classic(n_envs), planner, 20, rng=np.random.default_rng(0))
    cells = demonstrations.obs.argmax(axis=1)
    assert demonstrations.obs.shape == (20, 25)
    assert (demonstrations.actions == SOLUTION[cells]).all()
    walk = cells[::n_envs]
    assert walk[0] == 0
    assert len(set(walk[:8])) == min(8, len(walk))
    assert n_envs > 1 or (walk[8:16] == walk[:8]).all()


def test_the_view_is_all_that_the_learner_gets():
    """The expert acts on the state; what is written down is the view of the same state, not of the next."""
    around = windows(load("classic"), radius=1)
    demonstrations = demonstrate(
        classic(2, slip=0.3), planner, 50, rng=np.random.default_rng(0), view=lambda obs: around[obs.argmax(axis=1)]
    )
    assert demonstrations.obs.shape == (50, 9)
    for row, action in zip(*demonstrations, strict=True):
        fitting = (around == row).all(axis=1)
        assert action in SOLUTION[fitting]


def test_steps_that_only_reset_are_left_out():
    """CartPole resets in a step of its own, whose action means nothing; there the observation is of a fallen pole."""
    envs = gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="vector_entry_point")
    demonstrations = demonstrate(envs, lambda obs: np.zeros(len(obs), dtype=int), 300, rng=np.random.default_rng(0))
    assert len(demonstrations.actions) == 300
    assert np.abs(demonstrations.obs[:, 2]).max() <= 12 * np.pi / 180


# --- symmetry


def test_upside_down_by_hand():
    """Three features in a column and the actions up, right, down, left."""
    flip = Symmetry(features=np.array([2, 1, 0]), actions=np.array([2, 1, 0, 3]))
    steps = Demonstrations(np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float32), np.array([0, 3]))
    both = augmented(steps, [flip])
    assert both.obs.tolist() == [[1, 2, 3], [4, 5, 6], [3, 2, 1], [6, 5, 4]]
    assert both.actions.tolist() == [0, 3, 2, 3]
    assert augmented(steps, []).obs.tolist() == steps.obs.tolist()
    twice = flip(flip(steps))
    assert (twice.obs == steps.obs).all()
    assert (twice.actions == steps.actions).all()


def test_a_quarter_turn_is_not_its_own_inverse():
    """Feature i of the new observation is feature features[i] of the old; action a is now called actions[a]."""
    turn = Symmetry(features=np.array([3, 0, 1, 2]), actions=np.array([1, 2, 3, 0]))
    steps = Demonstrations(np.array([[1, 2, 3, 4]], dtype=np.float32), np.array([0]))
    assert turn(steps).obs.tolist() == [[4, 1, 2, 3]]  # what was up (first) is now right (second)
    assert turn(steps).actions.tolist() == [1]


# --- learning


def test_a_table_learns_what_it_was_shown(unchecked):
    model, rng = table(), np.random.default_rng(1)
    demonstrations = demonstrate(classic(4, slip=0.2), planner, 400, rng=rng)
    records = list(clone(demonstrations, model, CloningConfig(updates=300, learning_rate=0.1), rng=rng))
    assert [record.update for record in records] == [100, 200, 300]
    assert records[0].loss > 3 * records[-1].loss
    shown = np.unique(demonstrations.obs.argmax(axis=1))
    assert (policy_table(model, np.eye(25, dtype=np.float32)).argmax(axis=1)[shown] == SOLUTION[shown]).all()
    walks = play_episodes(classic(2), acting(model, rng=rng, greedy=True), 2, rng=rng)
    assert [walk.steps for walk in walks] == [8, 8]


def test_the_learned_chances_are_the_experts(unchecked):
    """Of an expert that goes right in three steps of four, the clone learns three quarters: the loss is proper."""
    steps = Demonstrations(np.ones((4, 1), dtype=np.float32), np.array([1, 1, 1, 0]))
    model = table(1)
    config = CloningConfig(updates=500, batch_size=256, learning_rate=0.05, record_every=500)
    (record,) = clone(steps, model, config, rng=np.random.default_rng(0))
    assert policy_table(model, steps.obs[:1])[0] == pytest.approx([0.25, 0.75, 0, 0], abs=0.03)
    assert record.loss > 0.5


def test_a_run_repeats():
    runs = []
    for _ in range(2):
        model = table(3)
        config = CloningConfig(updates=25, record_every=10)
        runs.append(list(clone(steps_of(50, 3, 4), model, config, rng=np.random.default_rng(2))))
    assert runs[0] == runs[1]
    assert [record.update for record in runs[0]] == [10, 20, 25]


def test_the_mean_loss_of_the_last_records():
    """Weights that hardly move: each record is the mean loss of its own updates, also the shorter last."""
    steps = Demonstrations(np.zeros((5, 3), dtype=np.float32), np.zeros(5, dtype=np.int64))
    model = table(3)
    torch.nn.init.zeros_(model[0].bias)
    config = CloningConfig(updates=25, record_every=10, learning_rate=1e-9)
    records = list(clone(steps, model, config, rng=np.random.default_rng(0)))
    assert [record.loss for record in records] == pytest.approx([np.log(4)] * 3, rel=1e-5)


# --- acting


def test_acting_and_the_table_agree(unchecked):
    with seeded(3):
        model = mlp([3, 8, 4])
    obs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    chances = policy_table(model, obs)
    assert chances.sum(axis=1) == pytest.approx(np.ones(5), rel=1e-12)
    act = acting(model, rng=np.random.default_rng(1))
    counts = np.zeros((5, 4))
    for _ in range(4000):
        counts[np.arange(5), act(obs)] += 1
    assert np.abs(counts / 4000 - chances).max() < 0.04
    assert (acting(model, rng=np.random.default_rng(1), greedy=True)(obs) == chances.argmax(axis=1)).all()
    assert (policy_table(model, obs, greedy=True) == np.eye(4)[chances.argmax(axis=1)]).all()


# --- bad input


def test_bad_settings():
    for name in ("updates", "batch_size", "record_every"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            CloningConfig(**{name: 0})
    with pytest.raises(ValueError, match="learning_rate must be above 0, got -0"):
        CloningConfig(learning_rate=-0.5)


def test_bad_arguments():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="demonstrations is empty"):
        next(clone(steps_of(0, 3, 4), table(3), CloningConfig(), rng=rng))
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        demonstrate(classic(1), planner, 0, rng=rng)
    envs = gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync")
    with pytest.raises(ValueError, match="demonstrate needs actions numbered from 0"):
        demonstrate(envs, planner, 1, rng=rng)
    steps = steps_of(8, 3, 4)
    steps.obs[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"the loss is nan in updates 1 to 100. Try: a smaller learning_rate"):
        list(clone(steps, table(3), CloningConfig(), rng=rng))
