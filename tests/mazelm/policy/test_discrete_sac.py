"""The policy over numbered actions: its value is a sum, its gradient is exact."""

import math

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
import torch
from mazelm.common.seeding import seeded
from mazelm.policy import discrete_sac as module
from mazelm.policy.discrete_sac import DiscreteActorCritic, discrete_sac, drawn_action
from mazelm.policy.soft_learning import SoftConfig


def model_for(n_features=3, n_actions=4, seed=0, hidden=(8,)):
    with seeded(seed):
        return DiscreteActorCritic(n_features, n_actions, hidden=hidden)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def mazes_of(num_envs=8, maze="two-paths"):
    options = {"maze": maze, "observation": "one-hot", "vectorization_mode": "vector_entry_point"}
    return gym.make_vec("mazes/Maze-v0", num_envs=num_envs, **options)


def test_eq_discrete_soft_value(rng):
    """V(s) = Σ_a π(a | s)·[minᵢ Qᵢ(s, a) − α·log π(a | s)], term by term."""
    model, obs = model_for(), torch.tensor(rng.normal(size=(6, 3)), dtype=torch.float32)
    values, entropies = model.soft_values(obs, model.critics, torch.tensor(0.3), rng=rng)
    q, logits = model.critics(obs).tolist(), model.actor(obs).tolist()
    for n in range(6):
        total = sum(math.exp(logit) for logit in logits[n])
        value = entropy = 0.0
        for a in range(4):
            probability = math.exp(logits[n][a]) / total
            value += probability * (min(q[0][n][a], q[1][n][a]) - 0.3 * math.log(probability))
            entropy -= probability * math.log(probability)
        assert math.isclose(values[n].item(), value, abs_tol=1e-5)
        assert math.isclose(entropies[n].item(), entropy, abs_tol=1e-5)


def test_the_policy_that_maximises_it_is_the_soft_policy(rng):
    """At softmax(Q / α) the gradient of V to the logits is 0, and V is α·log Σ exp(Q / α)."""
    model = model_for(4, 4, hidden=())
    obs, alpha = torch.eye(4), 0.7
    q = model.critics(obs).amin(dim=0).detach()
    with torch.no_grad():
        model.actor[0].weight.copy_((q / alpha).T)
        model.actor[0].bias.zero_()
    values, _ = model.soft_values(obs, model.critics, torch.tensor(alpha), rng=rng)
    assert torch.allclose(values, alpha * torch.logsumexp(q / alpha, dim=1), atol=1e-6)
    values.sum().backward()
    assert torch.allclose(model.actor[0].weight.grad, torch.zeros(4, 4), atol=1e-6)
    with torch.no_grad():
        model.actor[0].weight[0] += 0.5
    assert (model.soft_values(obs, model.critics, torch.tensor(alpha), rng=rng)[0] < values).all()


def test_gradients_are_those_of_differences(rng):
    model = model_for().double()
    obs = torch.tensor(rng.normal(size=(5, 3)))

    def loss():
        return -model.soft_values(obs, model.critics, torch.tensor(0.3, dtype=torch.float64), rng=rng)[0].mean()

    loss().backward()
    weight, eps = model.actor[2].weight, 1e-6
    for i, j in ((0, 0), (2, 5), (3, 7)):
        with torch.no_grad():
            weight[i, j] += eps
            above = loss()
            weight[i, j] -= 2 * eps
            below = loss()
            weight[i, j] += eps
        assert math.isclose(weight.grad[i, j], (above - below).item() / (2 * eps), rel_tol=1e-5, abs_tol=1e-9)


def test_q_of_picks_the_action_that_was_taken(rng):
    model, obs = model_for(), torch.tensor(rng.normal(size=(6, 3)), dtype=torch.float32)
    actions = torch.tensor([0, 3, 1, 2, 0, 1])
    q = model.q_of(obs, actions)
    for n, action in enumerate(actions):
        assert torch.equal(q[:, n], model.critics(obs)[:, n, action])


def test_actions_are_drawn_with_their_probabilities(rng):
    model = model_for(3, 4)
    act = drawn_action(model, rng=rng)
    obs = np.float32([[0.3, -1.0, 0.5]])
    expected = model.actor(torch.from_numpy(obs)).softmax(dim=1)[0].detach().numpy()
    counts = np.bincount(act(obs.repeat(20_000, axis=0)), minlength=4) / 20_000
    assert np.allclose(counts, expected, atol=0.015)
    assert expected.max() - expected.min() > 0.05
    assert np.allclose(np.bincount(model.explore(20_000, rng=rng), minlength=4) / 20_000, 0.25, atol=0.015)


def test_it_keeps_both_paths():
    """Short, and with a table: both ways out of S stay likely, and no other."""
    config = SoftConfig(steps=4800, random_steps=800, batch_size=64, learning_rate=0.05, polyak=0.2, temperature=0.5)
    model = model_for(9, 4, hidden=())
    act = drawn_action(model, rng=np.random.default_rng(1))  # made before the optimisers move the weights
    list(discrete_sac(mazes_of(8, "S..\n.#.\n..G"), model, config, rng=np.random.default_rng(0)))
    up, right, down, left = np.bincount(act(np.eye(9, dtype=np.float32)[:1].repeat(2000, axis=0)), minlength=4) / 2000
    assert 0.25 < right < 0.75
    assert 0.25 < down < 0.75
    assert up + left < 0.05


def test_the_papers_choice_of_a_target_entropy(monkeypatch):
    seen = {}

    def noted(envs, learner, replay, **options):
        seen["target"] = learner.target_entropy
        return iter(())

    monkeypatch.setattr(module, "learn", noted)
    list(discrete_sac(mazes_of(), model_for(25, 4), SoftConfig(), rng=np.random.default_rng(0)))
    assert math.isclose(seen["target"], 0.98 * math.log(4))


def test_actions_of_real_numbers_are_refused():
    envs = gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"discrete_sac needs actions numbered from 0 \(Discrete\), got Box"):
        next(discrete_sac(envs, model_for(), SoftConfig(), rng=np.random.default_rng(0)))


@pytest.mark.parametrize("sizes", [(24, 4), (25, 3)])
def test_a_model_for_another_maze_is_refused(sizes):
    with pytest.raises(ValueError, match=rf"model is a DiscreteActorCritic\({sizes[0]}, {sizes[1]}\), and envs need"):
        next(discrete_sac(mazes_of(), model_for(*sizes), SoftConfig(), rng=np.random.default_rng(0)))
