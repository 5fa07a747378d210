"""REINFORCE: by hand, by slow definitions, at both kinds of ending, killed and resumed, on bad input, and learning."""

import math
from dataclasses import replace
from itertools import islice

import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.policy.networks import ActorCritic, ArrayForward, logp_of
from mazelm.policy.reinforce import (
    CARTPOLE,
    MAZE,
    Baseline,
    ReinforceConfig,
    minus_mean_of_others,
    normalised_in_episode,
    play_batch,
    reinforce,
    reinforce_loss,
    weights_of_actions,
)
from mazelm.policy.rollout import Collector

# Two episodes of 3 and 1 steps; what stands behind the end of the second means nothing.
RETURNS = torch.tensor([[6.0, 2.0], [3.0, 99.0], [0.0, 99.0]])
MASK = torch.tensor([[True, True], [True, False], [True, False]])


class Corridors(VectorEnv):
    """Environment i ends after i + 1 steps, which pay 1 each: the task, or for one environment its time."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012  as in Gymnasium

    def __init__(self, num_envs=3, reward=1.0, cut=-1):
        self.num_envs, self.reward, self.cut = num_envs, reward, cut % num_envs
        self.single_observation_space, self.single_action_space = spaces.Discrete(9), spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self._at = np.zeros(self.num_envs, dtype=np.int64)
        return self._at.copy(), {}

    def step(self, actions):
        self._at = self._at + 1
        over = self._at == 1 + np.arange(self.num_envs)
        cut = np.arange(self.num_envs) == self.cut
        obs, info = self._at.copy(), {}
        if over.any():
            info = {"final_obs": self._at.copy(), "_final_obs": over}
            obs[over] = self._at[over] = 0
        return obs, np.full(self.num_envs, self.reward), over & ~cut, over & cut, info


def maze_envs(n_envs=8, **settings):
    kwargs = {"maze": "classic", "observation": "one-hot"} | settings
    return gym.make_vec("mazes/Maze-v0", num_envs=n_envs, vectorization_mode="vector_entry_point", **kwargs)


def table(envs, n_features, seed=0, hidden=()):
    with seeded(seed):
        return ActorCritic(n_features, int(envs.single_action_space.n), hidden=hidden)


def columns(array, mask):
    return [array[mask[:, i], i].tolist() for i in range(array.shape[1])]


# --- weights and loss, by hand and by definition


def test_baselines_by_hand():
    values = torch.tensor([[1.0, 5.0], [1.0, 0.0], [1.0, 0.0]])
    of = {baseline: weights_of_actions(RETURNS, values, MASK, baseline) for baseline in Baseline}
    assert columns(of[Baseline.NONE], MASK) == [[6.0, 3.0, 0.0], [2.0]]
    assert columns(of[Baseline.VALUE], MASK) == [[5.0, 2.0, -1.0], [-3.0]]
    assert columns(of[Baseline.MEAN], MASK) == [[4.0, 1.0, -2.0], [2.0 - 3.0]]
    spread = math.sqrt((9 + 0 + 9) / 3)
    assert columns(of[Baseline.EPISODE], MASK) == [pytest.approx([3 / spread, 0, -3 / spread]), [0.0]]


@st.composite
def batches(draw):
    """Returns of episodes of unequal lengths, and their mask."""
    lengths = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    mask = np.arange(max(lengths))[:, None] < np.array(lengths)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return torch.tensor(rng.normal(3, 5, size=mask.shape)), torch.tensor(mask)


@settings(max_examples=30)
@given(batches())
def test_eq_mean_of_others(batch):
    returns, mask = batch
    lists = columns(returns, mask)
    for i, (own, weights) in enumerate(zip(lists, columns(minus_mean_of_others(returns, mask), mask), strict=True)):
        others = [g for j, episode in enumerate(lists) if j != i for g in episode]
        assert weights == pytest.approx([g - sum(others) / len(others) for g in own])


@settings(max_examples=30)
@given(batches())
def test_eq_normalised_in_episode(batch):
    returns, mask = batch
    for own, weights in zip(columns(returns, mask), columns(normalised_in_episode(returns, mask), mask), strict=True):
        mean = sum(own) / len(own)
        spread = math.sqrt(sum((g - mean) ** 2 for g in own) / len(own))
        assert weights == pytest.approx([(g - mean) / (spread + 1e-8) for g in own], abs=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 5))
def test_eq_reinforce_loss(seed, n_episodes):
    """−1/B·Σ Ψ·log π, and its slope in the logits: −1/B·Ψ·([a = b] − π(b | s)), row by row."""
    rng = np.random.default_rng(seed)
    logits = torch.tensor(rng.normal(size=(6, 3)), requires_grad=True)
    actions, psi = torch.tensor(rng.integers(3, size=6)), torch.tensor(rng.normal(size=6))
    loss = reinforce_loss(logp_of(logits, actions), psi, n_episodes=n_episodes)
    loss.backward()
    total = 0.0
    for row, action, weight, gradient in zip(logits.detach(), actions.tolist(), psi, logits.grad, strict=True):
        chances = (row.exp() / row.exp().sum()).tolist()
        total -= weight.item() * math.log(chances[action]) / n_episodes
        slow = [-weight.item() * ((b == action) - chances[b]) / n_episodes for b in range(3)]
        assert gradient.tolist() == pytest.approx(slow)
    assert loss.item() == pytest.approx(total)


def test_no_gradient_goes_through_psi():
    logp, psi = (torch.ones(2, requires_grad=True) for _ in range(2))
    reinforce_loss(logp, psi, n_episodes=2).backward()
    assert psi.grad is None
    assert logp.grad.tolist() == [-0.5, -0.5]


def test_the_mean_of_others_does_not_see_what_the_own_episode_did():
    changed = RETURNS.clone()
    changed[:, 0] += 5
    difference = minus_mean_of_others(changed, MASK) - minus_mean_of_others(RETURNS, MASK)
    assert columns(difference, MASK) == [[5.0] * 3, [-5.0]]


# --- whole episodes


@pytest.mark.parametrize("mode", ["vector_entry_point", "sync"])
def test_one_whole_episode_of_each(mode):
    """CartPole resets within the step after the end, a maze in the same step: a batch looks the same."""
    envs = gym.make_vec("CartPole-v1", num_envs=5, vectorization_mode=mode)
    collector = Collector(envs, rng=np.random.default_rng(0))
    batch = play_batch(collector, lambda obs: np.zeros((5, 2), np.float32), rng=np.random.default_rng(1))
    lengths = batch.mask.sum(axis=0)
    assert (batch.mask == (np.arange(len(batch.mask))[:, None] < lengths)).all()
    assert lengths.max() == len(batch.mask) > lengths.min()
    assert batch.terminated.sum(axis=0).tolist() == [1] * 5
    assert not batch.truncated.any()
    for i, length in enumerate(lengths):
        assert batch.terminated[length - 1, i]
        assert abs(batch.last_obs[i, 2]) > 0.2095 or abs(batch.last_obs[i, 0]) > 2.4  # the pole or the cart is out
        assert (np.abs(batch.obs[batch.mask[:, i], i, 2]) < 0.2095).all()
    assert (batch.rewards[batch.mask] == 1).all()
    envs.close()


def test_a_batch_of_corridors():
    collector = Collector(Corridors(), rng=np.random.default_rng(0))
    collector.step(np.zeros(3, dtype=int))  # a batch begins anew wherever the environments stand
    batch = play_batch(collector, lambda obs: np.zeros((3, 2), np.float32), rng=np.random.default_rng(0))
    assert batch.mask.T.tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert batch.terminated.T.tolist() == [[True, False, False], [False, True, False], [False] * 3]
    assert batch.truncated.T.tolist() == [[False] * 3, [False] * 3, [False, False, True]]
    assert batch.last_obs.argmax(axis=1).tolist() == [1, 2, 3]
    assert batch.obs[:, 2].argmax(axis=1).tolist() == [0, 1, 2]
    collector = Collector(Corridors(cut=0), rng=np.random.default_rng(0))
    batch = play_batch(collector, lambda obs: np.zeros((3, 2), np.float32), rng=np.random.default_rng(0))
    assert batch.truncated.T.tolist() == [[True, False, False], [False] * 3, [False] * 3]  # later ones do not count
    assert batch.terminated.T.tolist() == [[False] * 3, [False, True, False], [False, False, True]]


def test_records_count_the_episodes_of_the_update():
    envs = Corridors()
    run = reinforce(envs, table(envs, 9), ReinforceConfig(updates=2), rng=np.random.default_rng(0))
    first, second = run
    assert [tuple(episode) for episode in first.episodes] == [(1.0, 1, True), (2.0, 2, True), (3.0, 3, False)]
    assert (first.steps, second.steps) == (6, 12)
    assert first.entropy == pytest.approx(math.log(2), abs=1e-3)


def test_a_time_limit_is_not_the_end():
    """Rewards 1, γ = ½: a task that is over is worth 1 at its last step; one that is cut is worth 1 + V/2."""
    envs = Corridors()
    model = table(envs, 9)
    with torch.no_grad():
        model.critic[0].weight.zero_()
        model.critic[0].bias.fill_(4.0)
    config = ReinforceConfig(updates=1, discount=0.5, value_steps=1)
    record = next(reinforce(envs, model, config, rng=np.random.default_rng(0)))
    ended, cut = [1.0, 1.5, 1.0], [1 + (1 + 3 / 2) / 2, 1 + 3 / 2, 3.0]
    assert record.value_loss == pytest.approx(np.mean([(g - 4) ** 2 for g in ended + cut]))


def test_without_a_critic_what_was_recorded_counts_and_the_critic_stays():
    envs = Corridors()
    model = table(envs, 9)
    before = [weight.clone() for weight in model.critic.parameters()]
    record = next(reinforce(envs, model, replace(MAZE, updates=1), rng=np.random.default_rng(0)))
    assert math.isnan(record.value_loss)
    assert all(torch.equal(*pair) for pair in zip(before, model.critic.parameters(), strict=True))


def slow_psi(batch, values, last_values, baseline, discount):
    """Ψ of each step of each episode, by loops."""
    returns = []
    for i, length in enumerate(batch.mask.sum(axis=0)):
        following = last_values[i] if batch.truncated[:, i].any() and baseline is Baseline.VALUE else 0.0
        episode = []
        for t in reversed(range(length)):
            following = batch.rewards[t, i] + discount * following
            episode.insert(0, following)
        returns.append(episode)
    psi = {}
    for i, episode in enumerate(returns):
        others = [g for j, other in enumerate(returns) if j != i for g in other]
        for t, g in enumerate(episode):
            psi[t, i] = {
                Baseline.NONE: g,
                Baseline.MEAN: g - np.mean(others),
                Baseline.VALUE: g - values[t, i],
                Baseline.EPISODE: (g - np.mean(episode)) / (np.std(episode) + 1e-8),
            }[baseline]
    return psi


@pytest.mark.parametrize("baseline", list(Baseline))
def test_an_update_is_the_slow_one(baseline):
    """Loss and length of the first gradient of a run, against loops over the very same episodes."""
    envs, rng = maze_envs(4, max_episode_steps=150), np.random.default_rng(5)
    model = table(envs, 25)
    batch = play_batch(Collector(envs, rng=rng), ArrayForward(model.actor), rng=rng)
    assert batch.truncated.any()
    assert batch.terminated.any()
    obs = torch.from_numpy(batch.obs)
    values, last = (model.critic(rows)[..., 0].tolist() for rows in (obs, torch.from_numpy(batch.last_obs)))
    loss = torch.zeros(())
    for (t, i), weight in slow_psi(batch, np.array(values), last, baseline, 0.9).items():
        loss = loss - model.actor(obs[t, i]).log_softmax(0)[batch.actions[t, i]] * float(weight) / 4
    loss.backward()
    norm = math.sqrt(sum((weight.grad**2).sum().item() for weight in model.actor.parameters()))
    config = ReinforceConfig(updates=1, baseline=baseline, discount=0.9)
    record = next(reinforce(envs, table(envs, 25), config, rng=np.random.default_rng(5)))
    assert record.loss == pytest.approx(loss.item(), rel=1e-4, abs=1e-3)  # the sum of `EPISODE` nearly cancels
    assert record.gradient_norm == pytest.approx(norm, rel=1e-4)


def test_a_step_goes_uphill():
    """A button: action 1 pays, action 0 does not. The policy learns which, with every honest baseline."""

    class Button(Corridors):
        def step(self, actions):
            obs, _, terminated, truncated, info = super().step(actions)
            return obs, np.asarray(actions, dtype=float), terminated | truncated, truncated & False, info

    for baseline in (Baseline.NONE, Baseline.MEAN, Baseline.VALUE):
        envs = Button(6)
        model = table(envs, 9)
        config = ReinforceConfig(updates=40, baseline=baseline, learning_rate=0.1)
        entropies = [record.entropy for record in reinforce(envs, model, config, rng=np.random.default_rng(0))]
        chance = torch.from_numpy(ArrayForward(model.actor)(np.eye(9, dtype=np.float32)[:1])).softmax(1)[0, 1]
        assert chance > 0.9, baseline
        assert entropies[-1] < 0.5 * entropies[0]


def test_the_critic_learns_and_its_first_error_is_recorded():
    """The error is that before the critic's steps, however many there are; after some updates it is small."""
    losses = {}
    for value_steps in (1, 20):
        envs = Corridors(3)
        config = ReinforceConfig(updates=30, discount=0.5, value_steps=value_steps, value_learning_rate=0.05)
        run = reinforce(envs, table(envs, 9), config, rng=np.random.default_rng(0))
        losses[value_steps] = [record.value_loss for record in run]
    assert losses[1][0] == losses[20][0] > 1
    assert losses[20][1] < losses[1][1]
    assert losses[20][-1] < 0.3 < losses[1][5]


def test_a_long_gradient_is_shortened():
    moved = []
    for max_norm in (math.inf, 1e-9):
        envs = maze_envs(4, max_episode_steps=60)
        model = table(envs, 25)
        before = torch.cat([weight.detach().flatten().clone() for weight in model.actor.parameters()])
        config = ReinforceConfig(updates=1, max_norm=max_norm)
        record = next(reinforce(envs, model, config, rng=np.random.default_rng(5)))
        after = torch.cat([weight.detach().flatten() for weight in model.actor.parameters()])
        moved.append(((after - before).abs().max().item(), record.gradient_norm))
    assert moved[0][1] == moved[1][1] > 1
    assert moved[0][0] == pytest.approx(0.01, rel=0.01)  # Adam's first step is the learning rate
    assert moved[1][0] < 0.005


# --- the same run again


def run_of(folder, config, *, records=None, seed=3):
    envs = maze_envs(4, max_episode_steps=60)
    model = table(envs, 25)
    run = reinforce(envs, model, config, rng=np.random.default_rng(seed), checkpoints=folder)
    return list(islice(run, records)), [weight.detach().clone() for weight in model.parameters()]


@pytest.mark.parametrize("baseline", [Baseline.MEAN, Baseline.VALUE])
def test_killed_and_resumed_is_the_same_curve(tmp_path, baseline):
    config = ReinforceConfig(updates=7, checkpoint_every=2, baseline=baseline)
    whole, weights = run_of(tmp_path / "whole", config)
    run_of(tmp_path / "killed", config, records=5)
    resumed, resumed_weights = run_of(tmp_path / "killed", config)
    assert str(resumed) == str(whole)  # as text, because NaN is not equal to itself
    assert all(torch.equal(*pair) for pair in zip(weights, resumed_weights, strict=True))


def test_the_same_seed_is_the_same_run():
    config = ReinforceConfig(updates=3)
    one, two, other = (run_of(None, config, seed=seed)[0] for seed in (3, 3, 4))
    assert one == two != other


# --- bad input


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("updates", 0),
        ("value_steps", 0),
        ("checkpoint_every", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("value_learning_rate", -1.0),
        ("max_norm", 0.0),
        ("discount", 1.1),
        ("discount", -0.1),
        ("baseline", "value"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_config_names_the_field(field, value):
    with pytest.raises(ValueError, match=f"{field} must be .*got {value!r}"):
        ReinforceConfig(**{field: value})


def test_what_does_not_fit_is_refused():
    pendulum = gym.make_vec("Pendulum-v1", num_envs=2, vectorization_mode="sync")
    model = ActorCritic(3, 2)
    with pytest.raises(ValueError, match="reinforce needs actions numbered from 0"):
        next(reinforce(pendulum, model, CARTPOLE, rng=np.random.default_rng(0)))
    pendulum.close()
    envs = Corridors()
    with pytest.raises(ValueError, match="must take 9 features and give 2 numbers"):
        next(reinforce(envs, model, CARTPOLE, rng=np.random.default_rng(0)))
    shared = ActorCritic(9, 2, shared=True)
    with pytest.raises(ValueError, match="separate networks for policy and value"):
        next(reinforce(envs, shared, CARTPOLE, rng=np.random.default_rng(0)))
    with pytest.raises(ValueError, match="at least 2 episodes"):
        next(reinforce(Corridors(1), table(envs, 9), MAZE, rng=np.random.default_rng(0)))


@pytest.mark.parametrize("baseline", list(Baseline))
def test_a_loss_that_is_no_number_stops_the_run(baseline):
    envs = Corridors(reward=math.inf)
    config = ReinforceConfig(updates=3, baseline=baseline)
    with pytest.raises(ValueError, match=r"loss is not finite at update 1: .*Try: a smaller learning_rate"):
        list(reinforce(envs, table(envs, 9), config, rng=np.random.default_rng(0)))


# --- learning


def test_it_walks_classic_along_the_shortest_path():
    """Short form of the recorded study: one seed, 60 updates, the likeliest action everywhere."""
    envs = maze_envs(16)
    model = table(envs, 25)
    run = reinforce(envs, model, replace(MAZE, updates=60), rng=np.random.default_rng(0))
    totals = [np.mean([episode.total for episode in record.episodes]) for record in run]
    assert totals[0] < -300 < -20 < totals[-1]
    env, forward = gym.make("mazes/Maze-v0", maze="classic"), ArrayForward(model.actor)
    state, _ = env.reset()
    terminated = []
    for _ in range(8):  # the shortest path
        state, _, ended, _, _ = env.step(int(forward(np.eye(25, dtype=np.float32)[[state]]).argmax()))
        terminated.append(ended)
    assert terminated == [False] * 7 + [True]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_it_balances_the_pole(seed):
    envs = gym.make_vec("CartPole-v1", num_envs=16, vectorization_mode="vector_entry_point")
    model = table(envs, 4, seed, hidden=(32,))
    records = list(reinforce(envs, model, CARTPOLE, rng=np.random.default_rng(seed)))
    assert np.mean([episode.total for record in records[-5:] for episode in record.episodes]) > 400
