"""DAgger: whom it asks where, what it keeps, the mixture, resuming, and bad input."""

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.imitation.cloning import CloningConfig, policy_table
from mazelm.imitation.dagger import Aggregate, DaggerConfig, dagger, expert_share, mixed
from mazelm.imitation.horizon import disagreement, state_distributions
from mazelm.policy.networks import mlp
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.planning import policy_iteration

SLIPPERY = TabularMDP.from_gymnasium(gym.make("mazes/Maze-v0", slip=0.2))
SOLUTION = policy_iteration(SLIPPERY, discount=0.99).policy
QUICK = CloningConfig(updates=20, learning_rate=0.05)


def planner(obs):
    return SOLUTION[obs.argmax(axis=1)]


def classic(n_envs, **kwargs):
    return gym.make_vec(
        "mazes/Maze-v0", num_envs=n_envs, observation="one-hot", vectorization_mode="vector_entry_point", **kwargs
    )


def network(seed=0):
    with seeded(seed):
        return mlp([25, 4])


class Watched:
    """An expert that remembers what it was asked."""

    def __init__(self, expert=planner):
        self.expert, self.asked = expert, []

    def __call__(self, obs):
        self.asked.append(obs.copy())
        return self.expert(obs)


def run(config, *, n_envs=2, expert=planner, seed=0, model=None, **kwargs):
    envs = classic(n_envs, slip=0.2, max_episode_steps=30)
    return list(dagger(envs, model or network(), expert, config, rng=np.random.default_rng(seed), **kwargs))


# --- the mixture


def test_shares_by_hand():
    assert [expert_share(i, 0.5) for i in (1, 2, 3)] == [1, 0.5, 0.25]
    assert [expert_share(i, 0.0) for i in (1, 2, 3)] == [1, 0, 0]
    assert [expert_share(i, 1.0) for i in (1, 2, 3)] == [1, 1, 1]


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 1.0]))
def test_eq_dagger_mixture(seed, beta):
    """πᵢ(a) = β·[a is the expert's] + (1 − β)·[a is the learner's], for each step anew."""
    expert, learner = np.zeros(4000, dtype=int), np.ones(4000, dtype=int)
    actions = mixed(expert, learner, beta, rng=np.random.default_rng(seed))
    assert (actions == 0).mean() == pytest.approx(beta, abs=0.05)
    if 0 < beta < 1:  # neither in long runs
        assert (actions[1:] != actions[:-1]).mean() == pytest.approx(2 * beta * (1 - beta), abs=0.05)


# --- the data


def test_the_aggregate_keeps_all_in_order():
    data = Aggregate(4, 2)
    data.add(np.array([[1, 2]], dtype=np.float32), np.array([3]))
    before = data.demonstrations
    data.add(np.array([[1, 2], [5, 6]], dtype=np.float32), np.array([3, 0]))
    assert len(data) == 3
    assert data.demonstrations.obs.tolist() == [[1, 2], [1, 2], [5, 6]]
    assert data.demonstrations.actions.tolist() == [3, 3, 0]
    assert len(before.actions) == 1
    with pytest.raises(ValueError, match="actions holds 2 steps, 1 fit in"):
        data.add(np.zeros((2, 2), dtype=np.float32), np.zeros(2, dtype=int))


def test_the_aggregate_goes_on_from_its_state():
    data, other = Aggregate(4, 2), Aggregate(4, 2)
    data.add(np.ones((3, 2), dtype=np.float32), np.array([1, 2, 3]))
    other.load_state_dict({name: np.copy(value) for name, value in data.state_dict().items()})
    assert len(other) == 3
    assert other.demonstrations.actions.tolist() == [1, 2, 3]


# --- the loop


def test_every_visited_state_is_a_query():
    """As many labels as steps, those of all iterations together; the expert is asked in the state of the step."""
    expert = Watched()
    records = run(DaggerConfig(iterations=3, steps=10, cloning=QUICK), expert=expert)
    assert [record.queries for record in records] == [10, 20, 30]
    assert [record.iteration for record in records] == [1, 2, 3]
    assert [record.beta for record in records] == [1, 0, 0]
    assert sum(len(obs) for obs in expert.asked) == 30
    assert expert.asked[0].argmax(axis=1).tolist() == [0, 0]


def test_steps_are_rounded_up_to_whole_rows():
    records = run(DaggerConfig(iterations=2, steps=10, cloning=QUICK), n_envs=4)
    assert [record.queries for record in records] == [12, 24]


def test_steps_that_only_reset_are_no_queries():
    """CartPole under one action falls after about ten steps, and then spends a step on resetting."""
    envs = gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="vector_entry_point")
    with seeded(0):
        model = mlp([4, 2])
    expert = Watched(lambda obs: np.zeros(len(obs), dtype=int))
    config = DaggerConfig(iterations=2, steps=100, decay=1.0, cloning=QUICK)
    last = list(dagger(envs, model, expert, config, rng=np.random.default_rng(0)))[-1]
    assert last.queries < sum(len(obs) for obs in expert.asked)
    assert 200 <= last.queries <= 202


def test_the_walks_are_the_learners():
    """Where only the first iteration is the expert's, a learner that never learns goes nowhere: it is asked there."""
    expert = Watched()
    stubborn = CloningConfig(updates=1, learning_rate=1e-12)
    model = network()
    model[0].weight.data.zero_()
    model[0].bias.data = model[0].bias.data.new_tensor([1.0, 0.0, 0.0, 0.0])  # greedy: up, a bump at the start
    records = run(DaggerConfig(iterations=2, steps=60, greedy=True, cloning=stubborn), expert=expert, model=model)
    cells = [obs.argmax(axis=1) for obs in expert.asked]
    assert len(np.unique(np.concatenate(cells[:30]))) > 5
    assert len(np.unique(np.concatenate(cells[-10:]))) <= 3
    assert records[1].disagreement > 0.9


def test_decay_one_never_lets_the_learner_walk():
    """Then all data are the expert's own: what it is asked does not depend on the model."""
    watched = [Watched(), Watched()]
    config = DaggerConfig(iterations=3, steps=20, decay=1.0, greedy=True, cloning=CloningConfig(updates=1))
    for seed, expert in enumerate(watched):
        run(config, expert=expert, model=network(seed))
    # a greedy learner draws nothing, and a batch of the same size draws as much, whatever the weights
    assert all((a == b).all() for a, b in zip(watched[0].asked, watched[1].asked, strict=True))


def test_the_view_is_all_that_the_learner_gets():
    with seeded(0):
        model = mlp([2, 4])
    expert = Watched()
    records = run(
        DaggerConfig(iterations=2, steps=10, cloning=QUICK),
        model=model,
        expert=expert,
        view=lambda obs: np.stack(np.divmod(obs.argmax(axis=1), 5), axis=1).astype(np.float32),
    )
    assert records[-1].queries == 20
    assert expert.asked[0].shape == (2, 25)


def test_it_learns_where_it_goes(unchecked):
    """On the states that it visits itself it comes to agree with the planner, and hardly disagrees on the way."""
    model = network()
    config = DaggerConfig(iterations=12, steps=120, cloning=CloningConfig(updates=100, learning_rate=0.05))
    records = run(config, n_envs=8, model=model)
    policy = policy_table(model, np.eye(25, dtype=np.float32), greedy=True)
    visits = state_distributions(SLIPPERY, policy, start=0, steps=30)
    assert disagreement(visits, policy, SOLUTION) < 0.02
    assert records[-1].disagreement < 0.2 < records[1].disagreement + 0.2
    assert any(record.episodes for record in records)
    assert records[-1].loss < records[0].loss + 0.5


def test_a_run_repeats():
    config = DaggerConfig(iterations=4, steps=20, decay=0.5, cloning=QUICK)
    assert run(config) == run(config)
    assert run(config) != run(config, seed=1)


def test_a_killed_run_goes_on(tmp_path):
    config = DaggerConfig(iterations=6, steps=20, decay=0.5, cloning=QUICK, checkpoint_every=2)
    models = network(), network(), network()
    whole = run(config, model=models[0], checkpoints=tmp_path / "whole")
    envs = classic(2, slip=0.2, max_episode_steps=30)
    killed = dagger(envs, models[1], planner, config, rng=np.random.default_rng(0), checkpoints=tmp_path / "killed")
    for _ in range(5):
        next(killed)
    killed.close()
    resumed = run(config, model=models[2], checkpoints=tmp_path / "killed", seed=9)
    assert resumed == whole
    assert all((a == b).all() for a, b in zip(models[0].parameters(), models[2].parameters(), strict=True))
    other = DaggerConfig(iterations=7, steps=20, decay=0.5, cloning=QUICK, checkpoint_every=2)
    with pytest.raises(ValueError, match="is of another run: iterations was 6 there and is 7 here"):
        run(other, checkpoints=tmp_path / "killed")


# --- bad input


def test_bad_settings():
    for name in ("iterations", "steps", "checkpoint_every"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            DaggerConfig(**{name: 0})
    for decay in (-0.1, 1.1):
        with pytest.raises(ValueError, match=rf"decay must be in \[0, 1\], got {decay}"):
            DaggerConfig(decay=decay)
    with pytest.raises(ValueError, match="iteration must be at least 1, got 0"):
        expert_share(0, 0.5)


def test_bad_environments():
    envs = gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync")
    with pytest.raises(ValueError, match="dagger needs actions numbered from 0"):
        next(dagger(envs, network(), planner, DaggerConfig(), rng=np.random.default_rng(0)))
