"""The update that both kinds of soft actor-critic share: its equations, its order, its loop."""

import itertools
import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from mazelm.common.seeding import seeded
from mazelm.policy.discrete_sac import DiscreteActorCritic, discrete_sac
from mazelm.policy.replay import Replay
from mazelm.policy.rollout import Step
from mazelm.policy.soft_learning import Learner, SoftConfig, polyak_, soft_target, temperature_loss, twin_loss
from mazelm.policy.soft_model import TwinMLP
from torch import nn


class Bell(gym.Env):
    """One state, two actions that do the same, and a reward of 1 for ever, or until the bell rings."""

    observation_space, action_space = gym.spaces.Discrete(1), gym.spaces.Discrete(2)

    def __init__(self, *, rings_at=None, bell_ends_task=False):
        self.rings_at, self.bell_ends_task, self.time = rings_at, bell_ends_task, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return 0, {}

    def step(self, action):
        self.time += 1
        rings = self.time == self.rings_at
        return 0, 1.0, rings and self.bell_ends_task, rings and not self.bell_ends_task, {}


def bells(n=2, **options):
    return SyncVectorEnv([lambda: Bell(**options) for _ in range(n)])


def table(n_features=1, n_actions=2, seed=0):
    with seeded(seed):
        return DiscreteActorCritic(n_features, n_actions, hidden=())


@pytest.fixture
def rng():
    return np.random.default_rng(0)


FAST = SoftConfig(
    steps=300, random_steps=10, batch_size=16, polyak=0.1, learning_rate=0.1, temperature=0.5, discount=0.5
)


# Equations.


def test_eq_soft_target(rng):
    rewards, values = torch.tensor(rng.normal(size=(2, 7)))
    terminated, discounts = torch.tensor(rng.random(7) < 0.5), torch.tensor(rng.random(7))
    slow = [
        rewards[i].item() if terminated[i] else rewards[i].item() + discounts[i].item() * values[i].item()
        for i in range(7)
    ]
    assert np.allclose(soft_target(rewards, values, terminated, discounts), slow)


def test_eq_twin_loss(rng):
    q, target = torch.tensor(rng.normal(size=(2, 9))), torch.tensor(rng.normal(size=9))
    slow = sum(0.5 * sum((q[i, n] - target[n]).item() ** 2 for n in range(9)) / 9 for i in range(2))
    assert math.isclose(twin_loss(q, target).item(), slow)


def test_eq_temperature():
    for entropy, target in ((0.2, 0.7), (0.9, 0.7), (-1.5, -1.0)):
        log_temperature = torch.tensor(-0.4, requires_grad=True)
        policy = torch.tensor(entropy, requires_grad=True)
        loss = temperature_loss(log_temperature, policy, target_entropy=target)
        assert math.isclose(loss.item(), -0.4 * (entropy - target), rel_tol=1e-5)
        loss.backward()
        assert math.isclose(log_temperature.grad.item(), entropy - target, rel_tol=1e-5)
        assert policy.grad is None
        # a step down the slope makes entropy dearer exactly where there is too little of it
        assert (-log_temperature.grad.item() > 0) == (entropy < target)


def test_eq_polyak():
    with seeded(0):
        slow, fast = TwinMLP([3, 4, 2]), TwinMLP([3, 4, 2])
    before = [parameter.detach().clone() for parameter in slow.parameters()]
    polyak_(slow, fast, polyak=0.25)
    for new, old, source in zip(slow.parameters(), before, fast.parameters(), strict=True):
        assert torch.allclose(new, 0.75 * old + 0.25 * source)
    polyak_(slow, fast, polyak=1.0)
    assert all(torch.equal(a, b) for a, b in zip(slow.parameters(), fast.parameters(), strict=True))


def test_polyak_forgets_by_a_constant_part():
    slow, fast = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(slow.weight, 0.0)
    nn.init.constant_(fast.weight, 1.0)
    for _ in range(10):
        polyak_(slow, fast, polyak=0.1)
    assert math.isclose(slow.weight.item(), 1 - 0.9**10, rel_tol=1e-5)


# Two networks computed as one.


def test_twins_are_two_networks():
    with seeded(0):
        twins = TwinMLP([3, 5, 4, 2])
    rows = torch.randn(6, 3)
    for i in range(2):
        x = rows
        for depth, (weight, bias) in enumerate(zip(twins.weights, twins.biases, strict=True)):
            x = x @ weight[i] + bias[i]
            x = x.relu() if depth < 2 else x
        assert torch.allclose(twins(rows)[i], x, atol=1e-6)
    assert not torch.allclose(twins(rows)[0], twins(rows)[1])


def test_weights_are_drawn_as_in_a_linear_layer():
    with seeded(0):
        weights = TwinMLP([400, 300]).weights[0]
        linear = nn.Linear(400, 300).weight
    assert weights.abs().max() <= 1 / 20
    assert math.isclose(weights.std().item(), linear.std().item(), rel_tol=0.02)


# The update.


def step_of(rng, n=8, n_features=3, n_actions=2):
    rows = rng.normal(size=(2, n, n_features)).astype(np.float32)
    rewards, over = rng.normal(size=n).astype(np.float32), np.arange(n) % 3 == 0
    return Step(rows[0], rng.integers(n_actions, size=n), rewards, rows[1], over, ~over, np.ones(n, bool))


def batch_of(rng, **options):
    replay = Replay(100, 3)
    replay.add(step_of(rng, **options))
    return replay.sample(32, discount=0.9, rng=rng)


def test_targets_begin_as_copies_and_are_never_trained(rng):
    learner = Learner(table(3), FAST, target_entropy=0.1)
    model = learner.model
    assert all(torch.equal(a, b) for a, b in zip(model.targets.parameters(), model.critics.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in model.targets.parameters())
    before = [parameter.clone() for parameter in model.targets.parameters()]
    learner.update(batch_of(rng), rng=rng)
    for target, old, new in zip(model.targets.parameters(), before, model.critics.parameters(), strict=True):
        assert torch.allclose(target, 0.9 * old + 0.1 * new, atol=1e-6)


def test_each_loss_moves_its_own_part_only(rng):
    """With a step of 0 for all but one part, the others stay where they are."""
    for part in ("actor", "critics", "temperature"):
        config = replace(FAST, temperature=None)
        learner = Learner(table(3), config, target_entropy=0.1)
        for other in {"actor", "critics", "temperature"} - {part}:
            getattr(learner, other).learning_rate = 0.0
        before = {name: value.clone() for name, value in learner.model.state_dict().items()}
        learner.update(batch_of(rng), rng=rng)
        changed = {
            name.split(".")[0] for name, value in learner.model.state_dict().items() if (value != before[name]).any()
        }
        expected = {"actor": {"actor"}, "critics": {"critics", "targets"}, "temperature": {"log_temperature"}}[part]
        assert changed == expected


def test_a_fixed_temperature_stays(rng):
    learner = Learner(table(3), FAST, target_entropy=0.1)
    learner.update(batch_of(rng), rng=rng)
    assert math.isclose(learner.model.log_temperature.exp().item(), 0.5, rel_tol=1e-6)


def test_the_temperature_rises_while_there_is_too_little_entropy(rng):
    for target, rises in ((0.69, True), (0.0, False)):
        learner = Learner(table(3), replace(FAST, temperature=None, target_entropy=target), target_entropy=99.0)
        nn.init.normal_(learner.model.actor[0].weight)  # not uniform, not sure
        for _ in range(3):
            entropy = learner.update(batch_of(rng), rng=rng).entropy
        assert 0 < entropy < 0.69
        assert (learner.model.log_temperature.item() > 0) == rises


def test_the_target_of_a_config_goes_before_that_of_the_learner():
    assert Learner(table(), replace(FAST, temperature=None), target_entropy=0.3).target_entropy == 0.3
    config = replace(FAST, temperature=None, target_entropy=0.0)
    assert Learner(table(), config, target_entropy=0.3).target_entropy == 0.0


# The loop.


def values_of(envs):
    """Q of the two actions at the end of a run."""
    model = table()
    list(discrete_sac(envs, model, replace(FAST, polyak=0.5), rng=np.random.default_rng(0)))
    return model.critics(torch.ones(1, 1)).detach().numpy().ravel()


def test_a_time_limit_does_not_end_the_task():
    """V = 1 + γ·V + α·log 2, so V = 2·(1 + 0.5·log 2), and Q = 1 + γ·V."""
    value = (1 + 0.5 * math.log(2)) / (1 - 0.5)
    for rings_at in (3, 1):
        assert np.allclose(values_of(bells(rings_at=rings_at)), 1 + 0.5 * value, atol=0.05)


def test_nothing_follows_the_end_of_the_task():
    assert np.allclose(values_of(bells(rings_at=1, bell_ends_task=True)), 1.0, atol=0.05)


def test_records_come_in_order_and_hold_every_episode():
    config = replace(FAST, steps=300, record_interval=50, random_steps=40)
    records = list(discrete_sac(bells(rings_at=5), table(), config, rng=np.random.default_rng(0)))
    assert [record.steps for record in records] == [50, 100, 150, 200, 250, 300]
    # from the step on that makes 40, one update for two steps
    assert [record.updates for record in records] == [6, 31, 56, 81, 106, 131]
    assert all(math.isclose(record.temperature, 0.5, rel_tol=1e-6) for record in records)
    assert all(episode[:3] == (5.0, 5, False) for record in records for episode in record.episodes)
    # five steps and one that only resets: the steps that only reset are not counted
    assert sum(len(record.episodes) for record in records) == 60


def test_several_updates_after_a_step():
    config = replace(FAST, steps=100, updates=3, record_interval=100)
    records = list(discrete_sac(bells(), table(), config, rng=np.random.default_rng(0)))
    assert records[-1].updates == 3 * 43  # there are 16 steps, a batch, from the 8th on: 50 − 7


def test_the_first_steps_are_random():
    """A policy that is sure takes one action; the memory of the random steps holds both."""
    model = table()
    nn.init.constant_(model.actor[0].weight, 0.0)
    with torch.no_grad():
        model.actor[0].bias.copy_(torch.tensor([30.0, -30.0]))
    seen = []

    class Watched(Bell):
        def step(self, action):
            seen.append(int(action))
            return super().step(action)

    envs = SyncVectorEnv([Watched])
    config = replace(FAST, steps=80, random_steps=40, learning_rate=1e-9)
    list(discrete_sac(envs, model, config, rng=np.random.default_rng(0)))
    assert 8 < sum(seen[:40]) < 32
    assert sum(seen[40:]) == 0


def test_the_same_seed_gives_the_same_run():
    def run(seed):
        config = replace(FAST, steps=80, temperature=None, target_entropy=0.5)
        return list(discrete_sac(bells(rings_at=5), table(), config, rng=np.random.default_rng(seed)))

    assert run(0) == run(0)
    assert run(0) != run(1)


def test_a_run_that_was_left_goes_on_with_the_same_curve(tmp_path):
    config = replace(FAST, steps=120, record_interval=12, checkpoint_every=3, temperature=None, target_entropy=0.5)

    def run(folder, stop=None):
        model = table()
        loop = discrete_sac(bells(rings_at=5), model, config, rng=np.random.default_rng(0), checkpoints=folder)
        records = list(itertools.islice(loop, stop))
        return records, {name: value.clone() for name, value in model.state_dict().items()}

    whole, weights = run(tmp_path / "whole")
    left, _ = run(tmp_path / "left", stop=8)
    assert left == whole[:8]
    resumed, after = run(tmp_path / "left")
    assert resumed == whole
    assert len(whole) == 10
    assert all(torch.equal(after[name], value) for name, value in weights.items())
    assert run(tmp_path / "whole")[0] == whole  # nothing is left to do


def test_a_loss_that_is_no_number_names_the_update():
    class Broken(Bell):
        def step(self, action):
            return 0, math.nan, False, False, {}

    with pytest.raises(ValueError, match=r"not finite at update 1: nan of the critics.*Try: a smaller learning_rate"):
        list(discrete_sac(SyncVectorEnv([Broken]), table(), FAST, rng=np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"updates": 0}, "updates must be at least 1, got 0"),
        ({"record_interval": 0}, "record_interval must be at least 1, got 0"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1, got 0"),
        ({"random_steps": -1}, "random_steps must not be negative, got -1"),
        ({"steps": 500}, "steps=500 must be more than random_steps=500 and batch_size=256, or nothing"),
        ({"steps": 200, "random_steps": 0}, "steps=200 must be more than random_steps=0 and batch_size=256"),
        ({"capacity": 100, "batch_size": 128}, "capacity=100 must not be less than batch_size=128"),
        ({"discount": 1.1}, r"discount must be in \[0, 1\], got 1.1"),
        ({"polyak": 0.0}, r"polyak must be in \(0, 1\], got 0.0"),
        ({"polyak": 1.1}, r"polyak must be in \(0, 1\], got 1.1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        ({"temperature": 0.0}, "temperature must be above 0, or None to learn it, got 0.0"),
        ({"temperature": 0.2, "target_entropy": 0.1}, "target_entropy=0.1 needs a learned temperature, got 0.2"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        SoftConfig(**settings)
