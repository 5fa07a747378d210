"""The policy over real numbers: its density, its losses, its actions; and a task that it can learn."""

import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from mazelm.common.seeding import seeded
from mazelm.policy.rollout import play_episodes
from mazelm.policy.sac import SquashedActorCritic, best_action, sac, squashed_logp, stretched
from mazelm.policy.soft_learning import SoftConfig
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor


class Aim(gym.Env):
    """One shot: the reward is 1 less ten times the squared distance to a mark that is seen."""

    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Box(np.float32([0]), np.float32([4]))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.mark = self.np_random.uniform(-1, 1)
        return np.float32([self.mark]), {}

    def step(self, action):
        assert 0 <= action[0] <= 4
        reward = 1 - 10 * float((action[0] - (2 + self.mark)) / 2) ** 2
        return np.float32([self.mark]), reward, True, False, {}


def model_for(n_features=3, action_size=2, seed=0, hidden=(16,)):
    with seeded(seed):
        return SquashedActorCritic(n_features, action_size, hidden=hidden)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# The density.


def density(action, mean, std):
    """That of the action, by the library."""
    u = math.atanh(action)
    numbers = (torch.tensor([[number]], dtype=torch.float64) for number in (u, (u - mean) / std, math.log(std)))
    return squashed_logp(*numbers).exp().item()


def test_eq_squashed_logp(rng):
    u, noise, log_std = torch.tensor(rng.normal(size=(3, 6, 4)))
    slow = []
    for i in range(6):
        total = 0.0
        for j in range(4):
            std = math.exp(log_std[i, j])
            mean = u[i, j].item() - std * noise[i, j].item()
            slope = 1 - math.tanh(u[i, j]) ** 2  # da/du: probability is spread over so much less room
            total += norm.logpdf(u[i, j].item(), mean, std) - math.log(slope)
        slow.append(total)
    assert np.allclose(squashed_logp(u, noise, log_std), slow)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.8, 0.3), (-1.5, 2.0)])
def test_the_density_integrates_to_one(mean, std):
    total, _ = quad(lambda action: density(action, mean, std), -1, 1, limit=200)
    assert math.isclose(total, 1.0, abs_tol=1e-4)


def test_the_density_is_that_of_the_samples(rng):
    actions = np.tanh(0.4 + 0.7 * rng.standard_normal(200_000))
    counts, edges = np.histogram(actions, bins=40, range=(-1, 1), density=True)
    middles = (edges[1:] + edges[:-1]) / 2
    assert np.allclose([density(middle, 0.4, 0.7) for middle in middles], counts, atol=0.04)


def test_digits_survive_where_tanh_is_one():
    u = torch.tensor([[-30.0], [-12.0], [0.0], [12.0], [30.0]], requires_grad=True)
    logp = squashed_logp(u, torch.zeros(5, 1), torch.zeros(5, 1))
    # far out 1 − tanh²u is 4·e^−2|u|, so its logarithm is log 4 − 2·|u|
    far = -0.5 * math.log(2 * math.pi) - math.log(4)
    assert torch.allclose(logp[[0, 1, 3, 4]], torch.tensor([60 + far, 24 + far, 24 + far, 60 + far]))
    assert logp[2].item() == pytest.approx(-0.5 * math.log(2 * math.pi))
    naive = torch.log(1 - u.tanh() ** 2)
    assert torch.isinf(naive[[0, 1, 3, 4]]).all()
    (slopes,) = torch.autograd.grad(logp.sum(), u)
    assert torch.allclose(slopes.squeeze(), torch.tensor([-2.0, -2.0, 0.0, 2.0, 2.0]))


def test_gradients_of_a_sample_are_those_of_differences(rng):
    model = model_for().double()
    obs, noise = torch.tensor(rng.normal(size=(4, 3))), torch.tensor(rng.normal(size=(4, 2)))

    def loss() -> Tensor:
        actions, logp = model.sample(obs, noise)
        return (actions.sum(dim=1) + 0.3 * logp).mean()

    loss().backward()
    weight, eps = model.actor[2].weight, 1e-6
    for i, j in ((0, 0), (1, 5), (2, 3), (3, 9)):  # two rows of means, two of log σ
        with torch.no_grad():
            weight[i, j] += eps
            above = loss()
            weight[i, j] -= 2 * eps
            below = loss()
            weight[i, j] += eps
        assert math.isclose(weight.grad[i, j], (above - below).item() / (2 * eps), rel_tol=1e-5, abs_tol=1e-8)


# The model.


def test_acting_and_learning_draw_the_same_actions(rng):
    model, obs = model_for(), rng.normal(size=(5, 3)).astype(np.float32)
    outputs = model.actor(torch.from_numpy(obs)).detach().numpy()
    acted = model.draw(outputs, rng=np.random.default_rng(7))
    noise = np.random.default_rng(7).standard_normal((5, 2), dtype=np.float32)
    assert np.allclose(acted, model.sample(torch.from_numpy(obs), torch.from_numpy(noise))[0].detach(), atol=1e-6)


def test_eq_sac_value(rng):
    """V(s) ≈ minᵢ Qᵢ(s, a) − α·log π(a | s), row by row, network by network."""
    model, obs = model_for(), torch.tensor(3 * rng.normal(size=(6, 3)), dtype=torch.float32)
    with torch.no_grad():  # as alike as two critics can be that are not the same
        model.critics.biases[-1][1] = model.critics.biases[-1][0]
    alpha = torch.tensor(0.3)
    values, entropies = model.soft_values(obs, model.critics, alpha, rng=np.random.default_rng(7))
    noise = torch.from_numpy(np.random.default_rng(7).standard_normal((6, 2), dtype=np.float32))
    smaller = []
    for i in range(6):
        action, logp = model.sample(obs[i : i + 1], noise[i : i + 1])
        one, other = model.critics(torch.cat([obs[i : i + 1], action], dim=1)).flatten().tolist()
        smaller.append(one < other)
        assert math.isclose(values[i].item(), min(one, other) - 0.3 * logp.item(), abs_tol=1e-5)
        assert math.isclose(entropies[i].item(), -logp.item(), abs_tol=1e-5)
    assert {True, False} == set(smaller)  # each critic is the smaller one somewhere


def test_a_network_gone_wild_stays_within_bounds():
    model = model_for()
    for bias, expected in ((50.0, 2.0), (-50.0, -20.0)):
        with torch.no_grad():
            model.actor[-1].weight.zero_()
            model.actor[-1].bias.copy_(torch.tensor([0.0, 0.0, bias, bias]))
        noise = torch.tensor([[0.5, -0.25]])
        actions, logp = model.sample(torch.zeros(1, 3), noise)
        assert torch.allclose(actions, (math.exp(expected) * noise).tanh())
        assert torch.isfinite(logp).all()
        outputs = model.actor(torch.zeros(2, 3)).detach().numpy()
        drawn = model.draw(outputs, rng=np.random.default_rng(0))
        assert (np.abs(drawn) <= 1).all()
        assert (np.abs(drawn) < 1e-6).all() == (bias < 0)


def test_random_actions_fill_the_interval(rng):
    actions = model_for().explore(4000, rng=rng)
    assert actions.shape == (4000, 2)
    assert actions.dtype == np.float32
    assert np.allclose(np.quantile(actions, [0, 0.25, 0.5, 0.75, 1]), [-1, -0.5, 0, 0.5, 1], atol=0.04)


def test_stretched_to_the_bounds():
    space = gym.spaces.Box(np.float32([0, -2]), np.float32([4, -1]))
    stretched_to = stretched(np.float32([[-1, -1], [1, 1], [0, 0.5]]), space)
    assert np.allclose(stretched_to, [[0, -2], [4, -1], [2, -1.25]])
    assert stretched_to.dtype == np.float32


def test_the_best_action_has_no_chance_in_it(rng):
    model, obs = model_for(), rng.normal(size=(5, 3)).astype(np.float32)
    space = gym.spaces.Box(np.float32([0, -2]), np.float32([4, -1]))
    mean, _ = model.actor(torch.from_numpy(obs)).detach().chunk(2, dim=1)
    expected = stretched(mean.tanh().numpy(), space)
    assert np.allclose(best_action(model, space)(obs), expected, atol=1e-6)


# The loop.


def test_it_learns_to_aim():
    envs = SyncVectorEnv([Aim] * 8)
    model = model_for(1, 1, hidden=(32,))
    act = best_action(model, Aim.action_space)  # made before the optimisers move the weights
    config = SoftConfig(steps=3200, random_steps=256, batch_size=64, learning_rate=1e-2, polyak=0.05, temperature=0.05)
    records = list(sac(envs, model, config, rng=np.random.default_rng(0)))
    marks = np.linspace(-0.8, 0.8, 9, dtype=np.float32)[:, None]
    hits = act(marks)
    assert np.abs(hits - (2 + marks)).max() < 0.3
    # the best policy is exp(−10·(a − mark)²/α) here: a normal distribution with variance α/20
    exact = 0.5 * math.log(2 * math.pi * math.e * 0.05 / 20)
    assert abs(records[-1].entropy - exact) < 0.35
    played = play_episodes(envs, act, 40, rng=np.random.default_rng(1))
    assert np.mean([episode.total for episode in played]) > 0.8


def test_a_temperature_is_found_that_gives_the_entropy():
    envs = SyncVectorEnv([Aim] * 8)
    config = SoftConfig(
        steps=2800, random_steps=256, batch_size=64, learning_rate=1e-2, polyak=0.05, target_entropy=-1.0
    )
    model = model_for(1, 1, hidden=(32,))
    torch.nn.init.constant_(model.log_temperature, -1.0)  # 1 would be a long way off
    records = list(sac(envs, model, config, rng=np.random.default_rng(0)))
    assert abs(np.mean([record.entropy for record in records[-4:]]) + 1.0) < 0.25
    # −1 = ½·log(2πe·α/20) wants this temperature
    exact = 20 * math.exp(-2) / (2 * math.pi * math.e)
    assert 0.5 * exact < records[-1].temperature < 2 * exact


def test_the_papers_choice_of_a_target_entropy(monkeypatch):
    from mazelm.policy import sac as module

    seen = {}

    def noted(envs, learner, replay, **options):
        seen["target"] = learner.target_entropy
        return iter(())

    monkeypatch.setattr(module, "learn", noted)
    list(sac(SyncVectorEnv([Aim]), model_for(1, 1), SoftConfig(), rng=np.random.default_rng(0)))
    assert seen["target"] == -1.0


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (gym.spaces.Discrete(2), r"sac needs actions of real numbers with bounds.*got Discrete\(2\)"),
        (gym.spaces.Box(-np.inf, np.inf, (1,)), "with bounds.*got Box"),
        (gym.spaces.Box(-1, 1, (2, 2)), "of one axis.*got Box"),
        (
            gym.spaces.Box(-1, 1, (2,)),
            r"model is a SquashedActorCritic\(1, 1\), and envs need SquashedActorCritic\(1, 2\)",
        ),
    ],
)
def test_other_actions_are_refused(space, words):
    class Other(Aim):
        action_space = space

    with pytest.raises(ValueError, match=words):
        next(sac(SyncVectorEnv([Other]), model_for(1, 1), SoftConfig(), rng=np.random.default_rng(0)))


def test_what_is_no_vector_environment_is_refused(unchecked):
    with pytest.raises(ValueError, match=r"envs must be a vector environment, got .*Try: gym.make_vec"):
        next(sac(Aim(), model_for(1, 1), SoftConfig(), rng=np.random.default_rng(0)))


def test_a_model_for_other_observations_is_refused():
    with pytest.raises(ValueError, match=r"envs need SquashedActorCritic\(1, 1\)"):
        next(sac(SyncVectorEnv([Aim]), model_for(3, 1), SoftConfig(), rng=np.random.default_rng(0)))


@pytest.mark.slow
def test_a_pendulum_stands_up():
    envs = gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync")
    with seeded(0):
        model = SquashedActorCritic(3, 1)
    config = replace(SoftConfig(), steps=5000)
    list(sac(envs, model, config, rng=np.random.default_rng(0)))
    many = gym.make_vec("Pendulum-v1", num_envs=10, vectorization_mode="sync")
    played = play_episodes(many, best_action(model, envs.single_action_space), 20, rng=np.random.default_rng(1))
    assert np.mean([episode.total for episode in played]) > -250
