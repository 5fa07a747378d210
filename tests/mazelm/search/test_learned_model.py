"""Learned dynamics: the loss and the scaling by definition, imagined walks, the compounding bound, honest failures."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.policy.rollout import Collector
from mazelm.search.learned_model import (
    DynamicsModel,
    Experience,
    FitConfig,
    compounding_bound,
    fit_model,
    gather,
    model_loss,
    rollout,
    rollout_error,
)


def made_up(seed=0, n=400, d=2):
    """Linear rules: s′ = A·s + B·a, r = s₀ − a₀."""
    rng = np.random.default_rng(seed)
    states, actions = rng.normal(size=(n, d)), rng.normal(size=(n, 1))
    return Experience(states, actions, states[:, 0] - actions[:, 0], linear(states, actions)[0])


def linear(states, actions):
    turn = np.array([[1.0, 0.1], [-0.1, 0.95]])
    return states @ turn.T + actions * np.array([0.0, 0.2]), states[:, 0] - actions[:, 0]


def trained(experience, seed=0, **settings):
    with seeded(seed):
        model = DynamicsModel(experience, hidden=(32,), **settings)
    records = list(
        fit_model(
            model, experience, FitConfig(epochs=40, batch_size=50, learning_rate=5e-3), rng=np.random.default_rng(seed)
        )
    )
    return model, records  # fmt: skip


# --- the loss, and what goes in and out


@given(st.integers(0, 999), st.integers(1, 5), st.integers(1, 4))
def test_eq_model_loss(seed, n, k):
    rng = np.random.default_rng(seed)
    predicted, target = rng.normal(size=(2, n, k))
    slow = 0.0
    for i in range(n):
        for j in range(k):
            slow += (predicted[i, j] - target[i, j]) ** 2
    assert model_loss(torch.from_numpy(predicted), torch.from_numpy(target)).item() == pytest.approx(slow / (n * k))


def test_targets_are_changes_and_rewards():
    one = Experience(np.array([[1.0, 2.0]]), np.array([[3.0]]), np.array([4.0]), np.array([[1.5, 1.0]]))
    two = Experience(*(np.repeat(column, 2, axis=0) for column in one))
    for change, expected in ((True, [0.5, -1.0, 4.0]), (False, [1.5, 1.0, 4.0])):
        inputs, targets = DynamicsModel(two, change=change).pairs(one)
        assert inputs.tolist() == [[1, 2, 3]]
        assert targets.tolist() == [expected]


@pytest.mark.parametrize("change", [True, False])
def test_a_prediction_is_scaled_back(change):
    """By definition: the network in torch on scaled inputs, its outputs scaled back."""
    data = made_up(3)
    with seeded(1):
        model = DynamicsModel(data, change=change)
    states, actions = data.states[:5], data.actions[:5]
    inputs, targets = model.pairs(data)
    x = (np.concatenate([states, actions], axis=1) - inputs.mean(axis=0)) / inputs.std(axis=0)
    out = model.network(torch.tensor(x, dtype=torch.float32)).detach().numpy()
    out = out * targets.std(axis=0) + targets.mean(axis=0)
    following, rewards = model(states, actions)
    assert following == pytest.approx(out[:, :2] + (states if change else 0), abs=1e-5)
    assert rewards == pytest.approx(out[:, 2], abs=1e-5)


def test_a_number_that_never_changes_does_no_harm():
    data = made_up(2)._replace(rewards=np.full(400, 7.0), actions=np.full((400, 1), 3.0))
    model, records = trained(data)
    _, rewards = model(data.states, data.actions)
    assert rewards == pytest.approx(7.0, abs=0.5)
    assert np.isfinite(records[-1].loss)


# --- learning


@pytest.mark.parametrize("change", [True, False])
def test_linear_rules_are_learned(change):
    model, records = trained(made_up(), change=change)
    unseen = made_up(9)
    following, rewards = model(unseen.states, unseen.actions)
    assert np.sqrt(np.mean((following - unseen.next_states) ** 2)) < 0.2 * np.std(unseen.next_states)
    assert np.sqrt(np.mean((rewards - unseen.rewards) ** 2)) < 0.2 * np.std(unseen.rewards)
    assert records[-1].loss < 0.05 * records[0].loss
    assert [record.epoch for record in records] == list(range(1, 41))


def test_a_fit_repeats():
    losses = [trained(made_up())[1] for _ in range(2)]
    assert losses[0] == losses[1]
    assert losses[0] != trained(made_up(), seed=1)[1]


# --- from one step to many


def test_rollout_by_hand():
    """s′ = s + a, paid s: from 1 with actions 2, 3 over 3 to 6."""
    states, rewards = rollout(
        lambda s, a: (s + a, s[:, 0]), np.array([[1.0], [0.0]]), np.array([[[2.0], [1.0]], [[3.0], [5.0]]])
    )
    assert states[:, :, 0].tolist() == [[1, 0], [3, 1], [6, 6]]
    assert rewards.tolist() == [[1, 0], [3, 1]]


def test_rollout_error_by_hand():
    imagined = np.array([[[0.0, 0.0], [0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]]])
    assert rollout_error(imagined, np.zeros((2, 2, 2))).tolist() == [0.0, ((25 + 1) / 2) ** 0.5]


@given(st.integers(0, 9999), st.integers(0, 12), st.sampled_from([0.5, 1.0, 1.2]))
def test_eq_compounding(seed, steps, stretch):
    """Linear rules and a linear model that stretches by `stretch`: the bound by its sum, and never exceeded."""
    rng = np.random.default_rng(seed)
    model = rng.normal(size=(3, 3))
    model *= stretch / np.linalg.norm(model, 2)
    rules = model + 0.05 * rng.normal(size=(3, 3))
    real = imagined = rng.normal(size=3)
    one_step = 0.0
    for _ in range(steps):
        one_step = max(one_step, float(np.linalg.norm(model @ real - rules @ real)))
        real, imagined = rules @ real, model @ imagined
    slow = 0.0
    for i in range(steps):
        slow += one_step * stretch**i
    assert compounding_bound(one_step, stretch, steps) == pytest.approx(slow)
    assert np.linalg.norm(imagined - real) <= slow + 1e-9


def test_the_bound_at_its_limits():
    assert compounding_bound(0.5, 1.0, 4) == 2.0
    assert compounding_bound(0.5, 0.0, 4) == 0.5
    assert compounding_bound(0.5, 3.0, 0) == 0.0
    assert compounding_bound(1.0, 0.5, 60) == pytest.approx(2.0)  # ε / (1 − L)
    assert compounding_bound(1.0, 2.0, 10) == 2**10 - 1


def test_errors_grow_with_the_horizon():
    data = made_up()
    model, _ = trained(data)
    actions = np.random.default_rng(5).normal(size=(30, 50, 1))
    error = rollout_error(rollout(model, data.states[:50], actions)[0], rollout(linear, data.states[:50], actions)[0])
    assert error[0] == 0
    assert error[20] > 2 * error[1] > 0


# --- real steps


def test_gather_leaves_resets_out():
    """Pendulums of 200 steps: two episodes of 10, with 2 steps that only reset; no step jumps."""
    envs = gym.make_vec("Pendulum-v1", num_envs=3, vectorization_mode="sync")
    rng = np.random.default_rng(0)
    found = gather(Collector(envs, rng=rng), lambda obs: rng.uniform(-2, 2, size=(len(obs), 1)).astype(np.float32), 403)
    envs.close()
    assert len(found.states) == 3 * (403 - 2)
    assert np.abs(found.next_states[:, 2] - found.states[:, 2]).max() < 0.05 * (15 + 6) + 1e-3  # speeds do not jump
    turned = np.linalg.norm(found.next_states[:, :2] - found.states[:, :2], axis=1)
    assert turned.max() < 8 * 0.05 + 1e-3
    kept = zip(found.next_states[:-3], found.states[3:], strict=True)
    assert np.mean([np.allclose(a, b) for a, b in kept]) > 0.98  # in order, and interrupted only by resets


# --- bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        FitConfig(**settings)


def test_bad_arguments():
    with pytest.raises(ValueError, match="experience must hold at least 2 steps, got 1"):
        DynamicsModel(Experience(*(column[:1] for column in made_up())))
    for lipschitz, steps in ((-1.0, 3), (1.0, -1)):
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            compounding_bound(0.1, lipschitz, steps)
    with pytest.raises(ValueError, match=r"one_step_error must not be negative, got -0\.1"):
        compounding_bound(-0.1, 1.0, 3)


def test_a_loss_that_is_no_number_stops():
    data = made_up()
    model = DynamicsModel(data)
    data.rewards[5] = np.nan
    with pytest.raises(ValueError, match="loss is nan in epoch 1"):
        list(fit_model(model, data, FitConfig(), rng=np.random.default_rng(0)))
