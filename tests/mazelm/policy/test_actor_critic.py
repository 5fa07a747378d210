"""Actor-critic: the loss by hand and by central differences, one update, the loop, and what it learns."""

import itertools
import math
from dataclasses import replace

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.policy.actor_critic import MAZE, A2CConfig, a2c, a2c_loss, a2c_update, as_batch
from mazelm.policy.networks import ActorCritic, ArrayForward, Features
from mazelm.policy.rollout import Collector, collect, play_episodes
from mazelm.training.optim import SGD
from mazes.generate import random_maze
from rollouts import Case as Recorded
from rollouts import Ends, slow_gae

COEFFICIENTS = {"value_coef": 0.5, "entropy_coef": 0.1}


def batch(seed=0, n=5, n_actions=3):
    """Logits, values, actions, advantages, returns."""
    rng = np.random.default_rng(seed)
    logits, values, advantages, returns = (
        torch.from_numpy(rng.normal(size=shape)) for shape in ((n, n_actions), (n,), (n,), (n,))
    )
    return logits, values, torch.from_numpy(rng.integers(n_actions, size=n)), advantages, returns


def make(name="mazes/Maze-v0", num_envs=4, **options):
    if name == "mazes/Maze-v0":
        options = {"maze": "S..\n..G", "observation": "one-hot"} | options
    return gym.make_vec(name, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def model_for(envs, seed=0, **options):
    with seeded(seed):
        features = Features(envs.single_observation_space).size
        return ActorCritic(features, int(envs.single_action_space.n), **{"hidden": (8,)} | options)


def records_of(envs, model, seed=0, **settings):
    return list(a2c(envs, model, A2CConfig(**settings), rng=np.random.default_rng(seed)))


# --- the loss


def test_the_loss_by_hand():
    """Two states and two actions: logits (0, log 3) are the probabilities 1/4 and 3/4."""
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])
    losses = a2c_loss(
        logits,
        torch.tensor([1.0, 2.0]),
        torch.tensor([0, 1]),
        torch.tensor([2.0, -4.0]),
        torch.tensor([4.0, 1.0]),
        **COEFFICIENTS,
    )
    policy = -(2 * math.log(1 / 4) - 4 * math.log(1 / 2)) / 2
    value = ((1 - 4) ** 2 + (2 - 1) ** 2) / 2
    entropy = (-(1 / 4 * math.log(1 / 4) + 3 / 4 * math.log(3 / 4)) + math.log(2)) / 2
    assert losses.policy.item() == pytest.approx(policy)
    assert losses.value.item() == pytest.approx(value)
    assert losses.entropy.item() == pytest.approx(entropy)
    assert losses.total.item() == pytest.approx(policy + 0.5 * value - 0.1 * entropy)


@given(seed=st.integers(0, 10**6), n=st.integers(1, 6), n_actions=st.integers(2, 4))
def test_eq_a2c_loss(seed, n, n_actions):
    """L = −mean A·log π(a|s) + c₁·mean (V − G)² − c₂·mean H, action by action."""
    logits, values, actions, advantages, returns = batch(seed, n, n_actions)
    total = 0.0
    for i in range(n):
        weights = [math.exp(z) for z in logits[i].tolist()]
        policy = [weight / sum(weights) for weight in weights]
        total -= float(advantages[i]) * math.log(policy[int(actions[i])]) / n
        total += 0.5 * (float(values[i]) - float(returns[i])) ** 2 / n
        total -= 0.1 * -sum(p * math.log(p) for p in policy) / n
    found = a2c_loss(logits, values, actions, advantages, returns, **COEFFICIENTS)
    assert found.total.item() == pytest.approx(total)


def test_the_gradient_is_that_of_central_differences():
    logits, values, actions, advantages, returns = batch()
    logits.requires_grad_()
    values.requires_grad_()
    a2c_loss(logits, values, actions, advantages, returns, **COEFFICIENTS).total.backward()
    for x in (logits, values):
        for i in range(x.numel()):
            ends = []
            for h in (1e-6, -1e-6):
                moved = [y.detach().clone() for y in (logits, values)]
                moved[0 if x is logits else 1].view(-1)[i] += h
                ends.append(a2c_loss(*moved, actions, advantages, returns, **COEFFICIENTS).total.item())
            assert x.grad.view(-1)[i].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


def test_no_gradient_goes_through_advantages_and_returns():
    """The mistake that makes a critic chase the policy's loss: an advantage that is still tied to it."""
    logits, values, actions, _, _ = batch()
    logits.requires_grad_()
    values.requires_grad_()
    advantages, returns = 3.0 - values, 2.0 * values  # tied to the critic
    a2c_loss(logits, values, actions, advantages, returns, **COEFFICIENTS).total.backward()
    expected = 2 * 0.5 * (values - returns).detach() / len(values)
    assert torch.allclose(values.grad, expected)


def test_a_good_action_becomes_likelier_and_a_bad_one_less_likely():
    for advantage in (1.0, -1.0):
        logits = torch.zeros(1, 3, requires_grad=True)
        one = torch.tensor([advantage])
        loss = a2c_loss(logits, torch.zeros(1), torch.tensor([2]), one, one, value_coef=0.5, entropy_coef=0.0)
        loss.total.backward()
        assert np.sign(-logits.grad[0, 2].item()) == advantage


def test_the_entropy_bonus_draws_toward_the_uniform_policy():
    logits = torch.tensor([[2.0, 0.0, 0.0]], requires_grad=True)
    zero = torch.zeros(1)
    a2c_loss(logits, zero, torch.tensor([0]), zero, zero, value_coef=0.5, entropy_coef=1.0).total.backward()
    assert logits.grad[0, 0] > 0 > logits.grad[0, 1]  # downhill: the likely action loses
    even = torch.zeros(1, 3, requires_grad=True)
    a2c_loss(even, zero, torch.tensor([0]), zero, zero, value_coef=0.5, entropy_coef=1.0).total.backward()
    assert torch.allclose(even.grad, torch.zeros(1, 3), atol=1e-7)


# --- one update


@pytest.mark.parametrize("name", ["mazes/Maze-v0", "CartPole-v1"])
def test_a_batch_holds_the_steps_that_count_with_their_advantages(name):
    """CartPole spends steps on resetting: they are left out, and only they."""
    envs = make(name)
    model, config = model_for(envs), A2CConfig(discount=0.9, gae_lambda=0.7)
    collector = Collector(envs, rng=np.random.default_rng(1))
    actor, critic = ArrayForward(model.actor), ArrayForward(model.critic)
    rollout = collect(collector, actor, critic, 40, rng=np.random.default_rng(2))
    assert rollout.mask.all() == (name == "mazes/Maze-v0")
    assert rollout.terminated.any()
    obs, actions, advantages, returns = as_batch(rollout, config)
    arrays = [
        torch.from_numpy(x) for x in (rollout.rewards, rollout.next_values, rollout.terminated, rollout.truncated)
    ]
    record = Recorded(Ends(*arrays), torch.from_numpy(rollout.values))
    counted = np.argwhere(rollout.mask)
    assert len(obs) == len(counted)
    for row, (t, b) in enumerate(counted):
        assert np.array_equal(obs[row].numpy(), rollout.obs[t, b])
        assert actions[row] == rollout.actions[t, b]
        expected = slow_gae(record, t, b, discount=0.9, decay=0.7)
        assert advantages[row].item() == pytest.approx(expected, abs=1e-4)
        assert returns[row].item() == pytest.approx(expected + rollout.values[t, b], abs=1e-4)


def test_one_update_is_one_step_down_the_clipped_gradient():
    envs = make()
    model, config = model_for(envs), A2CConfig(rollout_steps=6, max_norm=0.5, **COEFFICIENTS)
    collector = Collector(envs, rng=np.random.default_rng(1))
    optimizer = SGD(model.parameters(), learning_rate=0.1)
    rollout = collect(collector, ArrayForward(model.actor), ArrayForward(model.critic), 6, rng=np.random.default_rng(2))
    before = optimizer.values.clone()
    obs, *batch_of = as_batch(rollout, config)
    logits, values = model(obs)
    loss = a2c_loss(logits, values, *batch_of, **COEFFICIENTS).total
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(model.parameters()))])
    losses, norm = a2c_update(model, optimizer, rollout, config)
    assert losses.total.item() == pytest.approx(loss.item())
    assert norm == pytest.approx(gradient.norm().item(), rel=1e-5)
    assert norm > 0.5
    assert torch.allclose(optimizer.values, before - 0.1 * gradient * 0.5 / norm, atol=1e-6)


def test_a_shared_trunk_is_moved_by_both_heads():
    envs = make()
    apart, shared = model_for(envs), model_for(envs, shared=True)
    for model in (apart, shared):
        obs = torch.eye(6)[:4]
        logits, values = model(obs)
        zeros, actions = torch.zeros(4), torch.zeros(4, dtype=torch.int64)
        only_values = a2c_loss(logits, values, actions, zeros, zeros + 5, value_coef=1.0, entropy_coef=0.0)
        gradient = torch.autograd.grad(only_values.total, model.actor[0].weight, allow_unused=True)[0]
        assert (gradient is not None and bool(gradient.abs().sum() > 0)) == (model is shared)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_update():
    envs = make()
    model = model_for(envs)
    run = a2c(envs, model, A2CConfig(), rng=np.random.default_rng(0))
    for _ in range(3):
        next(run)
    with torch.no_grad():
        model.critic[-1].bias.fill_(math.nan)
    weights = [parameter.clone() for parameter in model.actor.parameters()]
    with pytest.raises(
        ValueError, match=r"the loss is not finite at update 4: .*value nan.* Try: a lower learning_rate"
    ):
        next(run)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.actor.parameters(), strict=True))


# --- the loop


def test_each_record_counts_steps_and_holds_the_episodes_of_its_rollout():
    envs = make(num_envs=3)
    records = records_of(envs, model_for(envs), steps=100, rollout_steps=5)
    assert [record.update for record in records] == list(range(1, 8))  # 7 rollouts of 15 steps
    assert [record.steps for record in records] == [15 * n for n in range(1, 8)]
    assert sum(len(record.episodes) for record in records) > 0
    assert all(0 <= record.entropy <= math.log(4) + 1e-6 for record in records)
    assert sum(episode.steps for record in records for episode in record.episodes) <= 105


def test_equal_seeds_give_equal_runs_and_others_others():
    envs = make()
    runs = [records_of(envs, model_for(envs), seed=seed, steps=300) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_the_loop_runs_only_as_far_as_somebody_asks():
    envs = make()
    run = a2c(envs, model_for(envs), A2CConfig(steps=10**9), rng=np.random.default_rng(0))
    assert [record.update for record in itertools.islice(run, 2)] == [1, 2]


class Clock(gym.Env):
    """One state; each step pays 1; after `limit` steps the clock stops the episode, or the task ends."""

    observation_space, action_space = spaces.Box(0, 1, (1,), np.float32), spaces.Discrete(2)

    def __init__(self, limit, terminates):
        self.limit, self.terminates = limit, terminates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.ones(1, np.float32), {}

    def step(self, action):
        self.steps += 1
        over = self.steps == self.limit
        return np.ones(1, np.float32), 1.0, over and self.terminates, over and not self.terminates, {}


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize(("terminates", "low", "high"), [(False, 1.85, 2.15), (True, 1.2, 1.6)])
def test_the_critic_looks_beyond_a_time_limit_but_not_beyond_an_end(mode, terminates, low, high):
    """At γ = 1/2 an endless reward of 1 is worth 2; if the task ends after 3 steps, 1.42 on average."""
    envs = SyncVectorEnv([lambda: Clock(3, terminates)] * 4, autoreset_mode=mode)
    model = model_for(envs, hidden=())
    for _ in a2c(envs, model, A2CConfig(steps=2_000, discount=0.5, learning_rate=0.05), rng=np.random.default_rng(0)):
        pass
    assert low < model(torch.ones(1, 1))[1].item() < high


# --- what it learns


@pytest.mark.parametrize("shared", [False, True])
def test_it_learns_the_way_through_a_small_maze(shared):
    envs = make(num_envs=8)
    model = model_for(envs, hidden=(16,), shared=shared)
    records_of(envs, model, steps=8_000, learning_rate=0.01)
    act = ArrayForward(model.actor)
    episodes = play_episodes(envs, lambda rows: act(rows).argmax(axis=1), 8, rng=np.random.default_rng(0))
    assert {episode.steps for episode in episodes} == {3}
    assert model(torch.eye(6))[1][0].item() == pytest.approx(-1 + 0.99 * -1 + 0.99**2 * 10, abs=2.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("maze", "shortest", "steps"),
    [("classic", 8, 30_000), (random_maze(9, 9, loops=0.2, rng=np.random.default_rng(5)), 17, 80_000)],
)
def test_it_walks_along_a_shortest_path(maze, shortest, steps):
    """The short form of bench/studies/actor_critic.py, which has ten seeds: one of two must arrive here."""
    lengths = []
    for seed in range(2):
        envs = make(num_envs=32, maze=maze)
        model = model_for(envs, seed, hidden=(64, 64))
        for _ in a2c(envs, model, replace(MAZE, steps=steps), rng=np.random.default_rng(seed)):
            pass
        act = ArrayForward(model.actor)
        way = play_episodes(envs, lambda rows, act=act: act(rows).argmax(axis=1), 1, rng=np.random.default_rng(0))
        lengths.append(way[0].steps)
    assert min(lengths) == shortest


# --- what is refused


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("rollout_steps", 0),
        ("checkpoint_every", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("max_norm", -1.0),
        ("discount", 1.1),
        ("gae_lambda", -0.1),
        ("value_coef", -1.0),
        ("entropy_coef", math.inf),
    ],
)
def test_a_setting_outside_its_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*got {value}"):
        replace(A2CConfig(), **{name: value})


def test_what_does_not_fit_is_refused(unchecked):
    envs = make()
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"must take 6 features and give 4 numbers, .* sizes are \(5, 4\)"):
        next(a2c(envs, ActorCritic(5, 4), A2CConfig(), rng=rng))
    with pytest.raises(ValueError, match=r"give 4 numbers, .* sizes are \(6, 3\)"):
        next(a2c(envs, ActorCritic(6, 3), A2CConfig(), rng=rng))
    with pytest.raises(ValueError, match="envs must be a vector environment"):
        next(a2c(gym.make("CartPole-v1"), ActorCritic(4, 2), A2CConfig(), rng=rng))
    pendulum = gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"a2c needs actions numbered from 0 \(Discrete\), got Box"):
        next(a2c(pendulum, ActorCritic(3, 2), A2CConfig(), rng=rng))
