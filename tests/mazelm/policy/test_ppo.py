"""PPO: each equation by hand and by slow definitions, the passes over a batch, the loop, and what it learns."""

import copy
import itertools
import math
from collections import deque
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
from mazelm.policy.networks import ActorCritic, ArrayForward, Features, logp_of
from mazelm.policy.ppo import (
    CARTPOLE,
    CARTPOLE_ENVS,
    MAZE,
    Batch,
    PPOConfig,
    as_batch,
    clip_fraction,
    clipped_objective,
    clipped_value_loss,
    explained_variance,
    improve,
    kl_from_old,
    minibatches,
    normalised,
    ppo,
    ppo_losses,
    value_loss,
)
from mazelm.policy.rollout import Collector, collect, play_episodes
from mazelm.training.optim import SGD, Adam
from rollouts import Case, Ends, slow_gae

# Runs of many updates ask for `unchecked`: a check of every shape in every minibatch would take most of their time.
seeds = st.integers(0, 10**6)


def numbers(*values, **options):
    return torch.tensor(values, dtype=torch.float64, **options)


def objective(ratio, advantage, clip_epsilon=0.2):
    return clipped_objective(numbers(math.log(ratio)), numbers(0.0), numbers(advantage), clip_epsilon=clip_epsilon)


def random_batch(seed=0, n=12, n_features=3, n_actions=3, *, dtype=torch.float32):
    rng = np.random.default_rng(seed)
    columns = [rng.normal(size=shape) for shape in ((n, n_features), n, n, n, n)]
    obs, logp, values, advantages, returns = (torch.from_numpy(column).to(dtype) for column in columns)
    return Batch(obs, torch.from_numpy(rng.integers(n_actions, size=n)), -logp.abs() - 0.5, values, advantages, returns)


def make(name="mazes/Maze-v0", num_envs=4, **options):
    if name == "mazes/Maze-v0":
        options = {"maze": "S..\n..G", "observation": "one-hot"} | options
    return gym.make_vec(name, num_envs=num_envs, vectorization_mode="vector_entry_point", **options)


def model_for(envs, seed=0, **options):
    with seeded(seed):
        features = Features(envs.single_observation_space).size
        return ActorCritic(features, int(envs.single_action_space.n), **{"hidden": (8,)} | options)


def model_of(seed=0, n_features=3, n_actions=3):
    with seeded(seed):
        model = ActorCritic(n_features, n_actions, hidden=(5,))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.3 * torch.randn_like(parameter)  # away from the uniform policy
    return model


def records_of(envs, model, seed=0, **settings):
    return list(ppo(envs, model, PPOConfig(**settings), rng=np.random.default_rng(seed)))


# --- the clipped objective


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.0, 3.0, 3.0),
        (1.5, 2.0, 1.2 * 2),  # better than expected, and likelier already: no more to gain
        (0.5, 2.0, 0.5 * 2),
        (0.5, -2.0, 0.8 * -2),  # worse than expected, and less likely already
        (1.5, -2.0, 1.5 * -2),
        (0.9, 2.0, 0.9 * 2),
        (1.1, -2.0, 1.1 * -2),
    ],
)
def test_the_objective_by_hand(ratio, advantage, expected):
    assert objective(ratio, advantage).item() == pytest.approx(expected)


@given(seeds, st.sampled_from([0.05, 0.2, 0.5]))
def test_eq_ppo_clip(seed, clip_epsilon):
    """min(ρ·A, clip(ρ)·A), number by number, with ratios on both sides of both limits."""
    rng = np.random.default_rng(seed)
    logp_old, change, advantages = -rng.exponential(size=9), rng.normal(size=9) * 0.5, rng.normal(size=9)
    tensors = [torch.from_numpy(column) for column in (logp_old + change, logp_old, advantages)]
    found = clipped_objective(*tensors, clip_epsilon=clip_epsilon)
    for i in range(9):
        ratio = math.exp(logp_old[i] + change[i]) / math.exp(logp_old[i])
        held = min(max(ratio, 1 - clip_epsilon), 1 + clip_epsilon)
        assert found[i].item() == pytest.approx(min(ratio * advantages[i], held * advantages[i]))


@given(seeds, st.sampled_from([0.05, 0.2, 0.5]))
def test_eq_ppo_ceiling(seed, clip_epsilon):
    """The same number as ρ·A under a ceiling that does not depend on the policy: A + ε·|A|."""
    rng = np.random.default_rng(seed)
    d, advantages = rng.normal(size=9), rng.normal(size=9)
    found = clipped_objective(
        torch.from_numpy(d),
        torch.zeros(9, dtype=torch.float64),
        torch.from_numpy(advantages),
        clip_epsilon=clip_epsilon,
    )
    for i in range(9):
        assert found[i].item() == pytest.approx(
            min(math.exp(d[i]) * advantages[i], advantages[i] + clip_epsilon * abs(advantages[i]))
        )


@given(seeds)
def test_eq_surrogate(seed):
    """Without a clip the objective is the ratio times the advantage; its mean estimates a mean under the new policy."""
    rng = np.random.default_rng(seed)
    d, advantages = rng.normal(size=6), rng.normal(size=6)
    logp_old = -rng.exponential(size=6)
    tensors = [torch.from_numpy(column) for column in (logp_old + d, logp_old, advantages)]
    found = clipped_objective(*tensors, clip_epsilon=math.inf).mean().item()
    slow = sum(math.exp(logp_old[i] + d[i]) / math.exp(logp_old[i]) * advantages[i] for i in range(6)) / 6
    assert found == pytest.approx(slow)


def test_the_surrogate_over_all_actions_is_the_advantage_under_the_new_policy():
    """π_old = (1/2, 1/4, 1/4), one sample for each quarter: the mean of ρ·A is Σ_a π(a)·A(a), exactly."""
    old, new, advantage = numbers(1 / 2, 1 / 4, 1 / 4), numbers(0.1, 0.2, 0.7), numbers(1.0, -2.0, 3.0)
    actions = torch.tensor([0, 0, 1, 2])
    found = clipped_objective(new.log()[actions], old.log()[actions], advantage[actions], clip_epsilon=math.inf).mean()
    assert found.item() == pytest.approx(0.1 * 1 - 0.2 * 2 + 0.7 * 3)


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope"),
    [
        (1.5, 2.0, 0.0),  # past the clip on the side that pays: nothing more
        (0.5, -2.0, 0.0),
        (1.5, -2.0, 1.5 * -2),  # past it on the other side: called back
        (0.5, 2.0, 0.5 * 2),
        (1.0, 2.0, 2.0),  # at the policy that acted: the plain policy gradient, A·∇log π
        (1.0, -2.0, -2.0),
    ],
)
def test_where_the_gradient_goes(ratio, advantage, slope):
    logp = numbers(math.log(ratio), requires_grad=True)
    clipped_objective(logp, numbers(0.0), numbers(advantage), clip_epsilon=0.2).sum().backward()
    assert logp.grad.item() == pytest.approx(slope)


def test_a_clip_that_never_clips_and_one_that_always_does():
    assert objective(7.0, 2.0, clip_epsilon=math.inf).item() == pytest.approx(14.0)
    assert objective(7.0, 2.0, clip_epsilon=1e-9).item() == pytest.approx(2.0)


@given(seeds)
def test_the_objective_never_promises_more_than_the_surrogate(seed):
    rng = np.random.default_rng(seed)
    d, advantages = (torch.from_numpy(rng.normal(size=20)) for _ in range(2))
    found = clipped_objective(d, torch.zeros_like(d), advantages, clip_epsilon=0.2)
    assert (found <= d.exp() * advantages + 1e-12).all()
    assert (found <= advantages + 0.2 * advantages.abs() + 1e-12).all()


# --- the critic's losses


def test_value_losses_by_hand():
    values, old, returns = numbers(2.0, 2.0, -2.0), numbers(0.0, 0.0, 0.0), numbers(5.0, 1.0, 5.0)
    assert value_loss(values, returns).item() == pytest.approx((9 + 1 + 49) / 3)
    # held at 1, 1 and −1: errors 16, 0 and 36; the larger of each pair counts
    assert clipped_value_loss(values, old, returns, value_clip=1.0).item() == pytest.approx((16 + 1 + 49) / 3)
    assert clipped_value_loss(values, old, returns, value_clip=9.0).item() == pytest.approx((9 + 1 + 49) / 3)


@given(seeds, st.sampled_from([0.1, 0.5, 2.0]))
def test_eq_value_clip(seed, value_clip):
    rng = np.random.default_rng(seed)
    values, old, returns = (torch.from_numpy(rng.normal(size=7)) for _ in range(3))
    total = 0.0
    for v, v_old, g in zip(values.tolist(), old.tolist(), returns.tolist(), strict=True):
        held = v_old + min(max(v - v_old, -value_clip), value_clip)
        total += max((v - g) ** 2, (held - g) ** 2) / 7
    assert clipped_value_loss(values, old, returns, value_clip=value_clip).item() == pytest.approx(total)


def test_a_value_that_has_moved_far_toward_its_return_stands_still():
    values = numbers(2.0, -2.0, 0.5, requires_grad=True)
    clipped_value_loss(values, torch.zeros(3, dtype=torch.float64), numbers(5.0, 5.0, 5.0), value_clip=1.0).backward()
    assert values.grad.tolist() == pytest.approx([0.0, 2 * (-2 - 5) / 3, 2 * (0.5 - 5) / 3])


# --- the gauges


@given(seeds, st.sampled_from([1e-3, 1.0, 1e3]), st.floats(-5, 5))
def test_normalised_advantages_forget_scale_and_shift(seed, scale, shift):
    advantages = torch.from_numpy(np.random.default_rng(seed).normal(size=8))
    found = normalised(advantages)
    assert found.mean().item() == pytest.approx(0.0, abs=1e-9)
    assert found.std().item() == pytest.approx(1.0, abs=1e-6)
    assert torch.allclose(normalised(scale * advantages + shift), found, atol=1e-4)


def test_normalised_by_hand_and_at_its_limits():
    assert normalised(numbers(1.0, 3.0)).tolist() == pytest.approx([-1 / 2**0.5, 1 / 2**0.5])
    assert normalised(numbers(4.0, 4.0, 4.0)).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="advantages must be at least two numbers to be normalised, got 1"):
        normalised(numbers(4.0))


def test_eq_kl_from_old():
    """Over all actions, each as often as π_old takes it, the estimate is the divergence itself."""
    old, new = numbers(1 / 2, 1 / 4, 1 / 4), numbers(0.1, 0.2, 0.7)
    actions = torch.tensor([0, 0, 1, 2])
    exact = sum(p * math.log(p / q) for p, q in zip(old.tolist(), new.tolist(), strict=True))
    assert kl_from_old(new.log()[actions], old.log()[actions]).item() == pytest.approx(exact)
    slow = sum(math.exp(d) - 1 - d for d in (new.log() - old.log())[actions].tolist()) / 4
    assert kl_from_old(new.log()[actions], old.log()[actions]).item() == pytest.approx(slow)


def test_the_kl_estimate_keeps_its_digits_and_its_sign():
    d = torch.full((4,), 1e-4)
    assert kl_from_old(d, torch.zeros(4)).item() == pytest.approx(0.5e-8, rel=1e-3)
    assert kl_from_old(-d, torch.zeros(4)).item() == pytest.approx(0.5e-8, rel=1e-3)
    assert kl_from_old(d, d).item() == 0.0


def test_eq_clip_fraction():
    """Ratios 0.7, 0.9, 1, 1.1, 1.3 and 2: three lie outside 1 ± 0.2."""
    ratios = [0.7, 0.9, 1.0, 1.1, 1.3, 2.0]
    logp = numbers(*map(math.log, ratios)) - 1
    found = clip_fraction(logp, torch.full_like(logp, -1.0), clip_epsilon=0.2).item()
    assert found == pytest.approx(sum(abs(ratio - 1) > 0.2 for ratio in ratios) / 6) == 3 / 6
    assert clip_fraction(logp, torch.full_like(logp, -1.0), clip_epsilon=math.inf).item() == 0.0


@given(seeds)
def test_eq_explained_variance(seed):
    rng = np.random.default_rng(seed)
    values, returns = rng.normal(size=6), rng.normal(size=6)
    left, all_of_it = (sum((x - sum(column) / 6) ** 2 for x in column) for column in (returns - values, returns))
    found = explained_variance(torch.from_numpy(values), torch.from_numpy(returns))
    assert found == pytest.approx(1 - left / all_of_it)


def test_explained_variance_at_its_limits():
    returns = numbers(1.0, 2.0, 4.0)
    assert explained_variance(returns, returns) == 1.0
    assert explained_variance(returns + 7, returns) == pytest.approx(1.0)
    assert explained_variance(numbers(3.0, 3.0, 3.0), returns) == pytest.approx(0.0)
    assert explained_variance(-returns, returns) == pytest.approx(-3.0)
    assert math.isnan(explained_variance(returns, numbers(2.0, 2.0, 2.0)))
    assert math.isnan(explained_variance(torch.arange(7.0), torch.full((7,), -99.3)))  # computed variance: 5.8e-11


# --- the whole loss


@pytest.mark.parametrize("value_clip", [None, 0.3])
@pytest.mark.parametrize("normalise", [False, True])
def test_eq_ppo_loss(value_clip, normalise):
    """The three parts, and their sum, step by step."""
    config = PPOConfig(value_coef=0.7, entropy_coef=0.1, value_clip=value_clip, normalise_advantages=normalise)
    batch, model = random_batch(dtype=torch.float64), model_of().double()
    found = ppo_losses(model, batch, config)
    logits, values = (column.tolist() for column in model(batch.obs))
    advantages = batch.advantages.tolist()
    if normalise:
        mean = sum(advantages) / 12
        deviation = math.sqrt(sum((a - mean) ** 2 for a in advantages) / 11)
        advantages = [(a - mean) / deviation for a in advantages]
    policy = value = spread = 0.0
    for i in range(12):
        weights = [math.exp(z) for z in logits[i]]
        probabilities = [weight / sum(weights) for weight in weights]
        ratio = probabilities[int(batch.actions[i])] / math.exp(batch.logp_old[i].item())
        policy -= min(ratio * advantages[i], min(max(ratio, 0.8), 1.2) * advantages[i]) / 12
        errors = [(values[i] - batch.returns[i].item()) ** 2]
        if value_clip is not None:
            old = batch.values_old[i].item()
            held = old + min(max(values[i] - old, -value_clip), value_clip)
            errors.append((held - batch.returns[i].item()) ** 2)
        value += max(errors) / 12
        spread -= sum(p * math.log(p) for p in probabilities) / 12
    assert found.policy.item() == pytest.approx(policy, rel=1e-6)
    assert found.value.item() == pytest.approx(value)
    assert found.entropy.item() == pytest.approx(spread)
    assert found.total.item() == pytest.approx(policy + 0.7 * value - 0.1 * spread, rel=1e-6)


def test_the_entropy_is_a_gauge_without_a_coefficient_and_a_bonus_with_one():
    batch, model = random_batch(), model_of()
    gradients = {}
    for coefficient in (0.0, 0.5):
        losses = ppo_losses(model, batch, PPOConfig(entropy_coef=coefficient, value_coef=0.0))
        assert losses.entropy.requires_grad == (coefficient > 0)
        gradients[coefficient] = torch.autograd.grad(losses.total, model.actor[-1].weight)[0]
    spread = ppo_losses(model, batch, PPOConfig(entropy_coef=0.5)).entropy
    expected = gradients[0.0] - 0.5 * torch.autograd.grad(spread, model.actor[-1].weight)[0]
    assert torch.allclose(gradients[0.5], expected, atol=1e-6)


# --- a rollout becomes a batch


@pytest.mark.parametrize("name", ["mazes/Maze-v0", "CartPole-v1"])
def test_a_batch_holds_the_steps_that_count_with_their_advantages(name):
    envs = make(name)
    model, config = model_for(envs), PPOConfig(discount=0.9, gae_lambda=0.7, reward_scale=0.5)
    collector = Collector(envs, rng=np.random.default_rng(1))
    actor, critic = ArrayForward(model.actor), ArrayForward(model.critic)
    rollout = collect(collector, actor, critic, 40, rng=np.random.default_rng(2))
    assert rollout.mask.all() == (name == "mazes/Maze-v0")
    assert rollout.terminated.any()
    rewards = 0.5 * rollout.rewards
    arrays = [torch.from_numpy(x) for x in (rewards, rollout.next_values, rollout.terminated, rollout.truncated)]
    record = Case(Ends(*arrays), torch.from_numpy(rollout.values))
    batch = as_batch(rollout, config)
    counted = np.argwhere(rollout.mask)
    assert len(batch.obs) == len(counted)
    for row, (t, b) in enumerate(counted):
        assert np.array_equal(batch.obs[row].numpy(), rollout.obs[t, b])
        assert batch.actions[row] == rollout.actions[t, b]
        assert batch.logp_old[row].item() == rollout.logp[t, b]
        assert batch.values_old[row].item() == rollout.values[t, b]
        expected = slow_gae(record, t, b, discount=0.9, decay=0.7)
        assert batch.advantages[row].item() == pytest.approx(expected, abs=1e-4)
        assert batch.returns[row].item() == pytest.approx(expected + rollout.values[t, b], abs=1e-4)


def test_the_first_ratio_is_one():
    """What NumPy said while acting is what torch says before the first step: no other weights, no other order."""
    envs = make("CartPole-v1")
    model = model_for(envs)
    collector = Collector(envs, rng=np.random.default_rng(1))
    rollout = collect(
        collector, ArrayForward(model.actor), ArrayForward(model.critic), 30, rng=np.random.default_rng(2)
    )
    batch = as_batch(rollout, PPOConfig())
    logits, values = model(batch.obs)
    assert torch.allclose(logp_of(logits, batch.actions), batch.logp_old, atol=1e-6)
    assert torch.allclose(values, batch.values_old, atol=1e-5)


@given(st.integers(2, 30), st.integers(1, 5), seeds)
def test_a_pass_sees_every_step_once(n, parts, seed):
    numbered = torch.arange(n)
    batch = Batch(numbered[:, None].float(), numbered, *(numbered.float() + k for k in range(1, 5)))
    found = list(minibatches(batch, parts, rng=np.random.default_rng(seed)))
    assert len(found) == parts
    sizes = [len(part.obs) for part in found]
    assert max(sizes) - min(sizes) <= 1
    assert sorted(torch.cat([part.actions for part in found]).tolist()) == list(range(n))
    for part in found:  # the columns stay together
        assert torch.equal(part.obs[:, 0], part.actions.float())
        assert all(torch.equal(column, part.actions.float() + k) for k, column in enumerate(part[2:], start=1))


def test_passes_come_in_different_orders():
    batch = random_batch(n=40)
    rng = np.random.default_rng(0)
    first, second = ([part.advantages for part in minibatches(batch, 4, rng=rng)] for _ in range(2))
    assert not torch.equal(torch.cat(first), torch.cat(second))


# --- the passes over a batch


def honest_batch(model, n=24, seed=0):
    """A random batch whose old policy is the model as it is."""
    batch = random_batch(seed, n)
    with torch.no_grad():
        logits, values = model(batch.obs)
    return batch._replace(logp_old=logp_of(logits, batch.actions), values_old=values)


def test_one_pass_of_one_minibatch_is_one_step_down_the_clipped_gradient():
    model = model_of()
    batch, config = honest_batch(model), PPOConfig(epochs=1, minibatches=1, max_norm=0.1, entropy_coef=0.1)
    gradient = torch.autograd.grad(ppo_losses(model, batch, config).total, list(model.parameters()))
    gradient = torch.cat([part.reshape(-1) for part in gradient])
    optimizer = SGD(model.parameters(), learning_rate=0.1)
    before = optimizer.values.clone()
    gauges = improve(model, optimizer, batch, config, rng=np.random.default_rng(0))
    assert gauges["gradient_norm"] == pytest.approx(gradient.norm().item(), rel=1e-5)
    assert gradient.norm() > 0.1
    assert torch.allclose(optimizer.values, before - 0.1 * gradient * 0.1 / gradient.norm(), atol=1e-6)


def test_the_gauges_are_those_of_the_passes():
    model = model_of()
    batch, config = honest_batch(model), PPOConfig(epochs=3, minibatches=2, entropy_coef=0.1)
    twin = copy.deepcopy(model)
    found = improve(model, Adam(model.parameters(), learning_rate=0.05), batch, config, rng=np.random.default_rng(0))
    optimizer, rng = Adam(twin.parameters(), learning_rate=0.05), np.random.default_rng(0)
    seen, norms = [], []
    for _ in range(3):
        logps, olds = [], []
        for part in minibatches(batch, 2, rng=rng):
            losses = ppo_losses(twin, part, config)
            optimizer.zero_grad()
            losses.total.backward()
            norms.append(optimizer.clip_gradient(0.5))
            optimizer.step()
            seen.append([losses.policy.item(), losses.value.item(), losses.entropy.item()])
            logps.append(losses.logp.detach())
            olds.append(part.logp_old)
    logp, old = torch.cat(logps), torch.cat(olds)  # of the last pass alone
    assert [found[name] for name in ("policy_loss", "value_loss", "entropy")] == pytest.approx(np.mean(seen, axis=0))
    assert found["gradient_norm"] == pytest.approx(np.mean(norms))
    assert found["kl"] == pytest.approx(kl_from_old(logp, old).item())
    assert found["clip_fraction"] == pytest.approx(clip_fraction(logp, old, clip_epsilon=0.2).item())
    assert found["clip_fraction"] > 0
    assert found["explained_variance"] == explained_variance(batch.values_old, batch.returns)
    assert found["passes"] == 3


@pytest.mark.parametrize(("target_kl", "passes"), [(None, 6), (1e9, 6), (1e-9, 2)])
def test_a_pass_with_too_large_a_kl_is_the_last(target_kl, passes):
    """With one minibatch the first pass is made by the old policy itself, and its KL is 0: so the second one stops."""
    model = model_of()
    config = PPOConfig(epochs=6, minibatches=1, target_kl=target_kl)
    optimizer = Adam(model.parameters(), learning_rate=0.05)
    gauges = improve(model, optimizer, honest_batch(model), config, rng=np.random.default_rng(0))
    assert gauges["passes"] == optimizer.steps == passes


def test_the_clip_holds_the_policy_near_the_old_one(unchecked):
    def drift(clip_epsilon):
        model = model_of()
        config = PPOConfig(epochs=200, minibatches=1, clip_epsilon=clip_epsilon, value_coef=0.0)
        batch = honest_batch(model)
        improve(model, Adam(model.parameters(), learning_rate=0.01), batch, config, rng=np.random.default_rng(0))
        with torch.no_grad():
            return kl_from_old(logp_of(model(batch.obs)[0], batch.actions), batch.logp_old).item()

    assert 5 * drift(0.1) < drift(math.inf)


def test_minibatches_need_two_steps_each():
    model = model_of()
    with pytest.raises(ValueError, match="minibatches=4 are too many for 7 steps: each needs two"):
        improve(
            model,
            Adam(model.parameters(), learning_rate=0.1),
            honest_batch(model, 7),
            PPOConfig(),
            rng=np.random.default_rng(0),
        )


@pytest.mark.parametrize(("column", "name"), [("advantages", "policy"), ("returns", "value")])
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(column, name):
    model = model_of()
    optimizer = Adam(model.parameters(), learning_rate=0.1)
    batch, config = honest_batch(model), PPOConfig(epochs=2, minibatches=2)
    improve(model, optimizer, batch, config, rng=np.random.default_rng(0))
    before = optimizer.values.clone()
    broken = batch._replace(**{column: torch.full((24,), math.nan)})
    with pytest.raises(
        ValueError,
        match=rf"the loss is not finite at step 5 of the optimiser: .*{name} nan.* Try: a lower learning_rate",
    ):
        improve(model, optimizer, broken, config, rng=np.random.default_rng(0))
    assert torch.equal(optimizer.values, before)


# --- the loop


def test_each_record_counts_steps_and_holds_the_episodes_of_its_rollout():
    envs = make(num_envs=3)
    records = records_of(envs, model_for(envs), steps=100, rollout_steps=5, minibatches=2)
    assert [record.update for record in records] == list(range(1, 8))  # 7 rollouts of 15 steps
    assert [record.steps for record in records] == [15 * n for n in range(1, 8)]
    assert [record.learning_rate for record in records] == [2.5e-4] * 7
    assert sum(len(record.episodes) for record in records) > 0
    assert all(record.passes == 4 and 0 <= record.entropy <= math.log(4) + 1e-6 for record in records)
    assert sum(episode.steps for record in records for episode in record.episodes) <= 105


def test_the_learning_rate_falls_in_a_straight_line():
    envs = make()
    records = records_of(envs, model_for(envs), steps=80, rollout_steps=4, learning_rate=0.01, anneal=True)
    assert [record.learning_rate for record in records] == pytest.approx([0.01, 0.008, 0.006, 0.004, 0.002])


def test_equal_seeds_give_equal_runs_and_others_others(unchecked):
    envs = make()
    runs = [records_of(envs, model_for(envs), seed=seed, steps=300, rollout_steps=8) for seed in (1, 1, 2)]
    assert repr(runs[0]) == repr(runs[1])  # as text: NaN is not equal to itself
    assert repr(runs[0]) != repr(runs[2])


def test_the_loop_runs_only_as_far_as_somebody_asks():
    envs = make()
    run = ppo(envs, model_for(envs), PPOConfig(steps=10**9, rollout_steps=4), rng=np.random.default_rng(0))
    assert [record.update for record in itertools.islice(run, 2)] == [1, 2]


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path, unchecked):
    envs = make()
    config = PPOConfig(steps=320, rollout_steps=8, checkpoint_every=3, anneal=True, learning_rate=0.01)

    def run(folder, records=None, weights=0):
        model, rng = model_for(envs, weights), np.random.default_rng(5)
        return list(itertools.islice(ppo(envs, model, config, rng=rng, checkpoints=folder), records)), model

    whole, model = run(tmp_path / "whole")
    run(tmp_path / "killed", records=5)  # the latest checkpoint is that of the third
    resumed, twin = run(tmp_path / "killed", weights=1)  # what it begins with does not count
    assert len(whole) == 10
    assert repr(resumed) == repr(whole)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_the_epsilon_of_adam_is_that_of_the_config():
    """Beside an enormous one all gradients are nothing, and no weight moves."""
    envs = make()
    model, twin = model_for(envs), model_for(envs)
    records_of(envs, model, steps=64, rollout_steps=8, adam_epsilon=1e12)
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


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
def test_the_critic_looks_beyond_a_time_limit_but_not_beyond_an_end(mode, terminates, low, high, unchecked):
    """At γ = 1/2 an endless reward of 1 is worth 2; with an end after 3 steps, 1.75, 1.5 and 1: 1.42 on average."""
    envs = SyncVectorEnv([lambda: Clock(3, terminates)] * 4, autoreset_mode=mode)
    model = model_for(envs, hidden=())
    records_of(envs, model, steps=1_000, rollout_steps=8, minibatches=2, discount=0.5, learning_rate=0.03)
    assert low < model(torch.ones(1, 1))[1].item() < high


# --- what it learns


@pytest.mark.parametrize("shared", [False, True])
def test_it_learns_the_way_through_a_small_maze(shared, unchecked):
    envs = make(num_envs=8)
    model = model_for(envs, hidden=(16,), shared=shared)
    config = replace(MAZE, steps=8_000, rollout_steps=16, learning_rate=0.01)
    list(ppo(envs, model, config, rng=np.random.default_rng(0)))
    act = ArrayForward(model.actor)
    episodes = play_episodes(envs, lambda rows: act(rows).argmax(axis=1), 8, rng=np.random.default_rng(0))
    assert {episode.steps for episode in episodes} == {3}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_it_balances_the_pole(seed, unchecked):
    """The short form of the study of ten seeds."""
    envs = make("CartPole-v1", num_envs=CARTPOLE_ENVS)
    model = model_for(envs, seed, hidden=(64, 64))
    last = deque(maxlen=100)
    for record in ppo(envs, model, CARTPOLE, rng=np.random.default_rng(seed)):
        last.extend(episode.total for episode in record.episodes)
        if len(last) == 100 and np.mean(last) >= 475:
            break
    assert np.mean(last) >= 475
    assert record.steps <= 150_000


# --- what is refused


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("rollout_steps", 0),
        ("epochs", 0),
        ("minibatches", 0),
        ("checkpoint_every", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("reward_scale", -1.0),
        ("max_norm", -1.0),
        ("discount", 1.1),
        ("gae_lambda", -0.1),
        ("clip_epsilon", 0.0),
        ("value_clip", 0.0),
        ("target_kl", -0.1),
        ("value_coef", -1.0),
        ("entropy_coef", math.inf),
        ("adam_epsilon", -1e-5),
    ],
)
def test_a_setting_outside_its_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be .*got {value}"):
        replace(PPOConfig(), **{name: value})


def test_what_does_not_fit_is_refused(unchecked):
    envs = make()
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"must take 6 features and give 4 numbers, .* sizes are \(5, 4\)"):
        next(ppo(envs, ActorCritic(5, 4), PPOConfig(), rng=rng))
    with pytest.raises(ValueError, match=r"give 4 numbers, .* sizes are \(6, 3\)"):
        next(ppo(envs, ActorCritic(6, 3), PPOConfig(), rng=rng))
    with pytest.raises(ValueError, match="envs must be a vector environment"):
        next(ppo(gym.make("CartPole-v1"), ActorCritic(4, 2), PPOConfig(), rng=rng))
    pendulum = gym.make_vec("Pendulum-v1", num_envs=1, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"ppo needs actions numbered from 0 \(Discrete\), got Box"):
        next(ppo(pendulum, ActorCritic(3, 2), PPOConfig(), rng=rng))
    with pytest.raises(ValueError, match="minibatches=9 are too many for 16 steps"):
        next(ppo(envs, ActorCritic(6, 4), PPOConfig(rollout_steps=4, minibatches=9), rng=rng))
