from dataclasses import asdict, replace

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from hypothesis import given
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.policy import dqn as module
from mazelm.policy.dqn import (
    CARTPOLE,
    DQNConfig,
    Learner,
    double_dqn_target,
    dqn,
    dqn_target,
    dqn_update,
    epsilon_greedy,
    huber,
    linear_epsilon,
)
from mazelm.policy.networks import mlp
from mazelm.policy.replay import Batch
from mazelm.tabular.environments import TabularEnv
from mazelm.tabular.episodes import Transition
from mazelm.tabular.mdp import TabularMDP
from mazelm.tabular.td import q_learning_update
from mazelm.training.optim import SGD
from torch import nn

SMALL = DQNConfig(
    steps=600,
    batch_size=16,
    capacity=400,
    learning_starts=50,
    target_interval=20,
    epsilon_steps=300,
    record_interval=50,
)


def network(n_features=4, n_actions=2, *, hidden=(16,), seed=0):
    with seeded(seed):
        return mlp([n_features, *hidden, n_actions], activation=nn.ReLU)


def cartpole(num_envs=1, **options):
    return gym.make_vec("CartPole-v1", num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def tensors(*columns):
    return [torch.tensor(column) for column in columns]


def batch_of(n, n_features=4, n_actions=2, seed=0, **changed):
    rng = torch.Generator().manual_seed(seed)
    made = Batch(
        rows=np.arange(n),
        obs=torch.randn(n, n_features, generator=rng),
        actions=torch.randint(n_actions, (n,), generator=rng),
        rewards=torch.randn(n, generator=rng) * 3,
        next_obs=torch.randn(n, n_features, generator=rng),
        terminated=torch.rand(n, generator=rng) < 0.3,
        discounts=torch.full((n,), 0.9),
        weights=None,
    )
    return made._replace(**changed)


# --- targets


def test_targets_by_hand():
    rewards, terminated = tensors([1.0, -2.0, 0.0], [False, True, False])
    judge, online = tensors([[3.0, 5.0], [7.0, 9.0], [-1.0, -4.0]], [[2.0, 1.0], [0.0, 1.0], [0.0, 6.0]])
    plain = dqn_target(rewards, judge, terminated, discount=0.5)
    assert plain.tolist() == [1 + 0.5 * 5, -2, 0 + 0.5 * -1]
    double = double_dqn_target(rewards, judge, online, terminated, discount=0.5)
    assert double.tolist() == [1 + 0.5 * 3, -2, 0 + 0.5 * -4]


arrays = st.integers(0, 10**6).map(np.random.default_rng)


@given(rng=arrays, n=st.integers(1, 9), n_actions=st.integers(1, 5))
def test_eq_dqn_target(rng, n, n_actions):
    rewards, next_q, ended = rng.normal(size=n), rng.normal(size=(n, n_actions)), rng.random(n) < 0.4
    discount = rng.random()
    expected = []
    for i in range(n):
        best = -np.inf
        for a in range(n_actions):
            best = max(best, next_q[i, a])
        expected.append(rewards[i] if ended[i] else rewards[i] + discount * best)
    target = dqn_target(*map(torch.tensor, (rewards, next_q, ended)), discount=discount)
    np.testing.assert_allclose(target, expected, rtol=1e-12)


@given(rng=arrays, n=st.integers(1, 9), n_actions=st.integers(1, 5))
def test_eq_double_dqn(rng, n, n_actions):
    rewards, ended = rng.normal(size=n), rng.random(n) < 0.4
    next_q, online, discounts = rng.normal(size=(n, n_actions)), rng.normal(size=(n, n_actions)), rng.random(n)
    expected = []
    for i in range(n):
        chosen = max(range(n_actions), key=lambda a: online[i, a])
        expected.append(rewards[i] if ended[i] else rewards[i] + discounts[i] * next_q[i, chosen])
    given_arrays = map(torch.tensor, (rewards, next_q, online, ended))
    np.testing.assert_allclose(double_dqn_target(*given_arrays, discount=torch.tensor(discounts)), expected, rtol=1e-12)


def test_a_double_target_is_never_above_the_plain_one_and_equal_if_both_networks_agree():
    rng = torch.Generator().manual_seed(0)
    rewards, ended = torch.randn(500, generator=rng), torch.rand(500, generator=rng) < 0.3
    judge, online = torch.randn(2, 500, 4, generator=rng)
    plain = dqn_target(rewards, judge, ended, discount=0.9)
    assert (double_dqn_target(rewards, judge, online, ended, discount=0.9) <= plain).all()
    assert torch.equal(double_dqn_target(rewards, judge, judge, ended, discount=0.9), plain)


def test_what_follows_the_end_of_the_task_does_not_matter_even_if_it_is_no_number():
    rewards, ended = tensors([1.0, 2.0], [True, False])
    next_q = torch.tensor([[torch.nan, torch.inf], [1.0, 0.0]])
    assert dqn_target(rewards, next_q, ended, discount=0.5).tolist() == [1, 2.5]
    assert double_dqn_target(rewards, next_q, next_q, ended, discount=0.5).tolist() == [1, 2.5]


# --- the loss


@given(error=st.floats(-100, 100), delta=st.floats(0.1, 10))
def test_eq_huber(error, delta):
    expected = error**2 / 2 if abs(error) <= delta else delta * (abs(error) - delta / 2)
    assert float(huber(torch.tensor(error, dtype=torch.float64), delta=delta)) == pytest.approx(expected, rel=1e-12)


def test_the_slope_of_huber_is_the_clipped_error():
    errors = torch.linspace(-5, 5, 101, dtype=torch.float64, requires_grad=True)
    huber(errors, delta=2.0).sum().backward()
    torch.testing.assert_close(errors.grad, errors.detach().clamp(-2, 2))


def test_eq_dqn_loss():
    """The loss of a batch as a slow sum, and its gradient by central differences with the targets held fixed."""
    net, target_net = network(seed=1).double(), network(seed=2).double()
    made = batch_of(7, weights=torch.linspace(0.2, 1.4, 7))
    made = made._replace(
        **{
            k: v.double()
            for k, v in made._asdict().items()
            if k in ("obs", "next_obs", "rewards", "discounts", "weights")
        }
    )
    config = DQNConfig(double=False, huber_delta=0.7, max_norm=1e9)

    def loss():
        total = 0.0
        for i in range(7):
            with torch.no_grad():
                future = 0.0 if made.terminated[i] else float(target_net(made.next_obs[i]).max())
            error = (
                float(made.rewards[i]) + float(made.discounts[i]) * future - net(made.obs[i])[made.actions[i]].item()
            )
            part = error**2 / 2 if abs(error) <= 0.7 else 0.7 * (abs(error) - 0.35)
            total += float(made.weights[i]) * part / 7
        return total

    expected, before = loss(), torch.cat([p.detach().reshape(-1).clone() for p in net.parameters()])
    optimizer = SGD(net.parameters(), learning_rate=1.0)
    slopes = []
    for i in range(0, len(before), 5):
        around = []
        for shift in (1e-6, -1e-6):
            optimizer.values[i] = before[i] + shift
            around.append(loss())
        optimizer.values[i] = before[i]
        slopes.append((around[0] - around[1]) / 2e-6)
    update = dqn_update(net, target_net, optimizer, made, config)
    assert update.loss == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose((before - optimizer.values)[::5], slopes, atol=1e-6)


@pytest.mark.parametrize("double", [False, True])
def test_nothing_flows_through_the_target(double):
    """With one network in both roles the step is that of fixed targets."""
    made, steps = batch_of(20), []
    for judge in ("itself", "a copy"):
        net = network(seed=1)
        optimizer = SGD(net.parameters(), learning_rate=0.1)
        target_net = net if judge == "itself" else network(seed=1)
        dqn_update(net, target_net, optimizer, made, DQNConfig(double=double))
        steps.append(optimizer.values.clone())
    assert torch.equal(*steps)


def test_a_table_is_a_network_without_hidden_layers():
    """One-hot rows and one linear layer: the step is that of tabular Q-learning."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3, 2))
    net = nn.Sequential(nn.Linear(3, 2, bias=False)).double()
    net[0].weight.data = torch.tensor(table.T.copy())
    optimizer, config = SGD(net.parameters(), learning_rate=0.3), DQNConfig(double=False, huber_delta=1e9, max_norm=1e9)
    rows, one = table.tolist(), torch.eye(3, dtype=torch.float64)
    for s, a, reward, s_next, ended in ((0, 1, 1.0, 2, False), (2, 0, -1.0, 1, True), (2, 1, 0.5, 2, False)):
        made = Batch(
            rows=np.arange(1),
            weights=None,
            obs=one[[s]],
            actions=torch.tensor([a]),
            rewards=torch.tensor([reward], dtype=torch.float64),
            next_obs=one[[s_next]],
            terminated=torch.tensor([ended]),
            discounts=torch.tensor([0.9], dtype=torch.float64),
        )
        update = dqn_update(net, net, optimizer, made, config)
        error = q_learning_update(rows, Transition(s, a, reward, s_next, ended), step_size=0.3, discount=0.9)
        assert float(update.td_errors) == pytest.approx(error, rel=1e-9)
    np.testing.assert_allclose(net[0].weight.detach().T, rows, rtol=1e-9)


def test_long_gradients_are_shortened():
    net = network()
    optimizer = SGD(net.parameters(), learning_rate=1.0)
    before = optimizer.values.clone()
    dqn_update(net, network(seed=1), optimizer, batch_of(20), DQNConfig(max_norm=0.01))
    assert float((optimizer.values - before).norm()) == pytest.approx(0.01, rel=1e-3)


# --- exploration


def test_eq_epsilon_schedule():
    for step, expected in ((0, 1.0), (25, 1 - 0.9 / 4), (100, 0.1), (1000, 0.1)):
        assert linear_epsilon(step, start=1.0, end=0.1, steps=100) == pytest.approx(expected)
    for step in range(0, 300, 7):
        slow = 1.0 + (0.1 - 1.0) * min(step / 100, 1)
        assert linear_epsilon(step, start=1.0, end=0.1, steps=100) == pytest.approx(slow, rel=1e-12)
    assert linear_epsilon(0, start=1.0, end=0.1, steps=0) == 0.1


def test_epsilon_greedy_by_shares():
    q, rng = np.tile(np.array([[1.0, 3.0, 2.0]], dtype=np.float32), (60_000, 1)), np.random.default_rng(0)
    shares = np.bincount(epsilon_greedy(q, 0.3, rng=rng)) / 60_000
    assert shares == pytest.approx([0.1, 0.8, 0.1], abs=0.01)
    assert (epsilon_greedy(q, 0.0, rng=rng) == 1).all()
    each = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], dtype=np.float32)
    assert epsilon_greedy(each, 0.0, rng=rng).tolist() == [1, 0, 0]
    assert q.dtype == np.float32


# --- the learner


def test_updates_fall_due_with_the_steps():
    config = replace(SMALL, learning_starts=10, train_interval=4, updates=2)
    learner = Learner(network(), 4, config, device="cpu")
    for added, due in ((0, 0), (10, 0), (13, 0), (14, 2), (17, 2), (18, 4), (30, 10)):
        learner.replay.added, learner.updates = added, 0
        while learner.is_due():
            learner.updates += 1
        assert learner.updates == due


def filled(config, *, n_steps=60):
    learner = Learner(network(), 4, config, device="cpu")
    collector, rng = module.Collector(cartpole(2), rng=np.random.default_rng(0)), np.random.default_rng(1)
    for _ in range(n_steps):
        learner.replay.add(collector.step(rng.integers(2, size=2)))
    return learner


def test_the_target_network_stands_still_between_copies():
    learner, rng = filled(replace(SMALL, target_interval=3)), np.random.default_rng(0)
    old = [parameter.clone() for parameter in learner.target_network.parameters()]
    for update in range(1, 7):
        learner.learn(rng=rng)
        same = [torch.equal(a, b) for a, b in zip(old, learner.target_network.parameters(), strict=True)]
        equal = [
            torch.equal(a, b)
            for a, b in zip(learner.network.parameters(), learner.target_network.parameters(), strict=True)
        ]
        if update % 3:
            assert all(same)
            assert not any(equal)
        else:
            assert all(equal)
            assert not any(same)
            old = [parameter.clone() for parameter in learner.target_network.parameters()]


def test_the_batch_is_what_the_config_asks_for(monkeypatch):
    learner, seen = filled(replace(SMALL, n=3, discount=0.5, batch_size=64)), []
    monkeypatch.setattr(module, "dqn_update", lambda *arguments: (seen.append(arguments), dqn_update(*arguments))[1])
    learner.learn(rng=np.random.default_rng(0))
    ((net, target_net, optimizer, batch, config),) = seen
    assert (net, target_net, optimizer, config) == (
        learner.network,
        learner.target_network,
        learner.optimizer,
        learner.config,
    )
    assert len(batch.rewards) == 64
    assert {0.125} <= set(batch.discounts.tolist()) <= {0.5, 0.25, 0.125}


def test_priorities_follow_the_errors_and_the_correction_rises():
    learner = filled(replace(SMALL, priority_exponent=0.5, importance_exponent=0.4, steps=240))
    learner.learn(rng=np.random.default_rng(0))
    done = learner.replay.added / 240
    assert learner.replay.importance_exponent == pytest.approx(0.4 + 0.6 * done)
    rows = np.arange(len(learner.replay))
    assert len(set(learner.replay.tree[rows].tolist())) > 5  # those of the batch have their own now
    assert (learner.replay.tree[rows] == 1).sum() > 20  # those that were not drawn have the first one


# --- the loop


@pytest.mark.parametrize("num_envs", [1, 3])
def test_what_a_run_yields(num_envs):
    records = list(dqn(cartpole(num_envs), network(), SMALL, rng=np.random.default_rng(0)))
    assert len(records) == 12
    assert [record.step // 50 for record in records] == list(range(1, 13))
    assert records[-1].step - 600 < num_envs
    for record in records[1:]:
        assert record.updates == (record.step - 50) // 4
        assert np.isfinite([record.loss, record.q]).all()
    assert np.isnan([records[0].loss, records[0].q]).all()  # learning_starts: nothing was learned yet
    played = sum(episode.steps for record in records for episode in record.episodes)
    assert 600 - 100 * num_envs < played <= records[-1].step
    assert records[0].epsilon > 0.8 > records[-1].epsilon == 0.05


def test_a_run_repeats():
    runs = []
    for _ in range(2):
        net = network()
        records = list(dqn(cartpole(2), net, SMALL, rng=np.random.default_rng(3)))
        runs.append((str(records), [parameter.tolist() for parameter in net.parameters()]))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("change", [{}, {"priority_exponent": 0.6, "n": 3, "double": False}])
def test_a_run_that_was_stopped_goes_on(tmp_path, change):
    config = replace(SMALL, checkpoint_every=4, **change)
    ends = {}
    for name, stops in (("whole", [99]), ("stopped", [5, 7, 99])):
        for seed, stop in enumerate(stops):
            net, records = network(seed=seed), []
            for record in dqn(cartpole(2), net, config, rng=np.random.default_rng(seed), checkpoints=tmp_path / name):
                records.append(record)
                if len(records) == stop:
                    break
            if seed == 0 and name == "stopped":
                assert len(records) == 5
        ends[name] = str(records), [parameter.tolist() for parameter in net.parameters()]
    assert ends["whole"] == ends["stopped"]
    assert len(records) == 12


@pytest.mark.parametrize("double", [False, True])
def test_a_time_limit_is_not_the_end_of_the_task(double):
    """One state, a reward of 1 a step for ever: worth 1 / (1 − 1/2) = 2, though every episode is cut after 3 steps."""
    ring = TabularMDP(np.ones((1, 1, 1)), np.ones((1, 1)))
    envs = gym.vector.SyncVectorEnv([lambda: gym.wrappers.TimeLimit(TabularEnv(ring), max_episode_steps=3)])
    net = network(1, 1, hidden=())
    config = DQNConfig(
        steps=400,
        discount=0.5,
        learning_rate=0.03,
        batch_size=8,
        learning_starts=8,
        train_interval=1,
        target_interval=5,
        double=double,
        capacity=200,
    )
    records = list(dqn(envs, net, config, rng=np.random.default_rng(0)))
    assert float(net(torch.ones(1, 1)).detach()) == pytest.approx(2.0, abs=0.02)
    assert {episode.terminated for record in records for episode in record.episodes} == {False}


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        DQNConfig(
            steps=4000, learning_rate=3e-3, train_interval=2, batch_size=32, target_interval=50, epsilon_steps=2000
        ),
        DQNConfig(
            steps=4000,
            learning_rate=3e-3,
            train_interval=2,
            batch_size=32,
            target_interval=50,
            epsilon_steps=2000,
            priority_exponent=0.6,
            double=False,
        ),
    ],
)
def test_it_walks_the_maze(config):
    envs = gym.make_vec(
        "mazes/Maze-v0",
        num_envs=4,
        observation="one-hot",
        vectorization_mode="vector_entry_point",
        max_episode_steps=100,
    )
    net = network(25, 4, hidden=(32,))
    records = list(dqn(envs, net, config, rng=np.random.default_rng(0)))
    late = [episode.steps for record in records[-3:] for episode in record.episodes]
    assert np.mean(late) < 12  # the shortest way takes 8, and one step in twenty is random


def test_cartpole_is_a_named_config():
    assert CARTPOLE.steps <= 150_000


# --- bad input


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *[
            (name, 0, f"{name} must be at least 1, got 0")
            for name in (
                "steps",
                "batch_size",
                "capacity",
                "train_interval",
                "updates",
                "target_interval",
                "n",
                "record_interval",
                "checkpoint_every",
            )
        ],
        *[(name, 0.0, f"{name} must be positive, got 0.0") for name in ("learning_rate", "huber_delta", "max_norm")],
        *[
            (name, 1.5, rf"{name} must be in \[0, 1\], got 1.5")
            for name in ("discount", "epsilon_start", "epsilon_end", "importance_exponent")
        ],
        *[
            (name, -1, f"{name} must not be negative, got -1")
            for name in ("learning_starts", "epsilon_steps", "priority_exponent")
        ],
        ("learning_rate", float("nan"), "learning_rate must be positive, got nan"),
    ],
)
def test_bad_settings(unchecked, name, value, message):
    with pytest.raises(ValueError, match=message):
        DQNConfig(**{name: value})


def test_every_setting_can_be_zero_or_not_as_it_says():
    DQNConfig(learning_starts=0, epsilon_steps=0, priority_exponent=0.0, discount=0.0, epsilon_start=0.0, double=False)
    assert set(asdict(DQNConfig())) >= {"double", "n", "capacity"}


def test_bad_environments():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"dqn needs actions numbered from 0 \(Discrete\), got Box"):
        next(dqn(gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync"), network(3, 1), SMALL, rng=rng))
    for net in (network(5, 2), network(4, 3)):
        with pytest.raises(ValueError, match="network must take 4 features and give 2 numbers"):
            next(dqn(cartpole(), net, SMALL, rng=rng))


def test_something_that_is_no_environment(unchecked):
    with pytest.raises(ValueError, match="envs"):
        next(dqn(gym.make("CartPole-v1"), network(), SMALL, rng=np.random.default_rng(0)))
    with pytest.raises(ValueError, match="envs"):
        next(dqn(EnvSpec, network(), SMALL, rng=np.random.default_rng(0)))


def test_a_loss_that_is_no_number_stops_the_run():
    net = network()
    net[0].weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"the loss is nan at update 1\. Try: a smaller learning_rate"):
        list(dqn(cartpole(), net, SMALL, rng=np.random.default_rng(0)))


def test_a_memory_too_small_for_the_environments():
    with pytest.raises(ValueError, match="capacity=7 must hold two steps of each of the 4 environments"):
        list(dqn(cartpole(4), network(), replace(SMALL, capacity=7), rng=np.random.default_rng(0)))
