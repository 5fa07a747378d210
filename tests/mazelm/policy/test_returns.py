"""Returns and advantages: by hand, at the limits, at both kinds of ending, by invariance, and on bad input.

`tests/parity/test_returns.py` compares them with slow definitions and with stable-baselines3 on random rollouts.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from mazelm.policy.returns import discounted_returns, gae, lambda_returns, n_step_returns
from mazelm.tabular.episodes import Trajectory
from mazelm.tabular.n_step import n_step_return
from mazelm.tabular.traces import lambda_return, td_errors
from rollouts import Case, Ends, cases, decays, discounts, everywhere, random_rollout, slow_n_step

# One environment, four steps: an episode of two that ends the task, and two steps of the next one.
REWARDS, VALUES, NEXT = [1.0, 2.0, 4.0, 8.0], [8.0, 16.0, 32.0, 64.0], [16.0, 99.0, 64.0, 128.0]


def column(numbers, dtype=torch.float64):
    return torch.tensor(numbers, dtype=dtype)[:, None]


def ends(terminated=(), truncated=()):
    flags = (column([t in steps for t in range(4)], torch.bool) for steps in (terminated, truncated))
    return Ends(column(REWARDS), column(NEXT), *flags)


def of(function, *args, **settings):
    return function(*args, **settings)[:, 0].tolist()


# --- by hand, at γ = 1/2


def test_discounted_returns_by_hand():
    assert of(discounted_returns, *ends(terminated=[1]), discount=0.5) == [
        1 + 0.5 * 2,
        2,
        4 + 0.5 * 8 + 0.25 * 128,
        8 + 0.5 * 128,
    ]
    assert of(discounted_returns, *ends(truncated=[1]), discount=0.5)[:2] == [1 + 0.5 * 2 + 0.25 * 99, 2 + 0.5 * 99]


def test_n_step_returns_by_hand():
    assert of(n_step_returns, *ends(terminated=[1]), discount=0.5, n=1) == [1 + 8, 2, 4 + 32, 8 + 64]
    assert of(n_step_returns, *ends(terminated=[1]), discount=0.5, n=2) == [1 + 0.5 * 2, 2, 4 + 4 + 0.25 * 128, 8 + 64]
    assert of(n_step_returns, *ends(), discount=0.5, n=3) == [
        1 + 0.5 * 2 + 0.25 * 4 + 0.125 * 64,
        2 + 0.5 * 4 + 0.25 * 8 + 0.125 * 128,
        4 + 0.5 * 8 + 0.25 * 128,  # the rollout ends before the third reward
        8 + 0.5 * 128,
    ]


def test_lambda_returns_by_hand():
    last = 8 + 0.5 * 128
    third = 4 + 0.5 * (0.75 * 64 + 0.25 * last)
    assert of(lambda_returns, *ends(terminated=[1]), discount=0.5, trace_decay=0.25) == [
        1 + 0.5 * (0.75 * 16 + 0.25 * 2),
        2,
        third,
        last,
    ]
    cut = of(lambda_returns, *ends(truncated=[1]), discount=0.5, trace_decay=0.25)
    assert cut[1] == 2 + 0.5 * 99
    assert cut[0] == 1 + 0.5 * (0.75 * 16 + 0.25 * cut[1])


def test_gae_by_hand():
    rewards, next_values, terminated, truncated = ends(terminated=[1])
    settings = {"discount": 0.5, "gae_lambda": 0.5}
    values = column(VALUES)
    errors = [1 + 0.5 * 16 - 8, 2 - 16, 4 + 0.5 * 64 - 32, 8 + 0.5 * 128 - 64]
    expected = [errors[0] + 0.25 * errors[1], errors[1], errors[2] + 0.25 * errors[3], errors[3]]
    assert of(gae, rewards, values, next_values, terminated, truncated, **settings) == expected
    cut = of(gae, rewards, values, next_values, truncated, terminated, **settings)  # the two flags change places
    assert cut == [errors[0] + 0.25 * (2 + 0.5 * 99 - 16), 2 + 0.5 * 99 - 16, *expected[2:]]


# --- at the limits


@given(case=cases, discount=discounts)
def test_eq_td_advantage(case, discount):
    """At λ = 0 the advantage is the TD error: δ = r + γ·V(s′) − V(s), with 0 for V(s′) where the task ended."""
    rewards, next_values, terminated, _ = case.ends
    future = torch.where(terminated, torch.zeros_like(next_values), next_values)
    found = gae(*case.for_gae, discount=discount, gae_lambda=0.0)
    assert torch.allclose(found, rewards + discount * future - case.values)


@given(case=cases, discount=discounts)
def test_at_lambda_one_the_advantage_is_the_return_minus_the_value(case, discount):
    found = gae(*case.for_gae, discount=discount, gae_lambda=1.0)
    assert torch.allclose(found, discounted_returns(*case.ends, discount=discount) - case.values)


@given(case=cases, discount=discounts)
def test_both_ends_of_both_families_are_the_same(case, discount):
    one = n_step_returns(*case.ends, discount=discount, n=1)
    whole = discounted_returns(*case.ends, discount=discount)
    assert torch.allclose(lambda_returns(*case.ends, discount=discount, trace_decay=0.0), one)
    assert torch.allclose(n_step_returns(*case.ends, discount=discount, n=9), whole)  # none is longer
    assert torch.allclose(n_step_returns(*case.ends, discount=discount, n=20), whole)


@given(case=cases, decay=decays)
def test_without_a_future_only_the_reward_counts(case, decay):
    rewards = case.ends.rewards
    assert torch.equal(discounted_returns(*case.ends, discount=0.0), rewards)
    assert torch.equal(n_step_returns(*case.ends, discount=0.0, n=4), rewards)
    assert torch.equal(lambda_returns(*case.ends, discount=0.0, trace_decay=decay), rewards)
    assert torch.equal(gae(*case.for_gae, discount=0.0, gae_lambda=decay), rewards - case.values)


def test_the_exact_values_of_a_sure_walk_leave_no_advantage():
    """Where nothing is random and V is right, every TD error is 0, and so is every advantage."""
    rewards = column([1.0, -2.0, 3.0, 5.0])
    terminated = column([False, False, False, True], torch.bool)
    values = discounted_returns(
        rewards, torch.zeros_like(rewards), terminated, torch.zeros_like(terminated), discount=0.9
    )
    next_values = torch.cat([values[1:], torch.full((1, 1), 7.0, dtype=torch.float64)])
    for decay in (0.0, 0.5, 1.0):
        found = gae(rewards, values, next_values, terminated, ~terminated & False, discount=0.9, gae_lambda=decay)
        assert torch.allclose(found, torch.zeros_like(found), atol=1e-12)


# --- the advantage as a mean of k-step advantages


@given(case=cases, discount=discounts)
def test_eq_k_step_advantage(case, discount):
    """The sum of k fading TD errors is k rewards and a value, minus the value of where one stands."""
    rewards, _, terminated, truncated = case.ends
    errors = gae(*case.for_gae, discount=discount, gae_lambda=0.0)
    over = terminated | truncated
    for k in (1, 2, 3, 5):
        summed = torch.zeros_like(rewards)
        for t in range(len(rewards)):
            for b in range(rewards.shape[1]):
                for i in range(k):
                    if t + i == len(rewards) or (i and over[t + i - 1, b]):
                        break
                    summed[t, b] += discount**i * errors[t + i, b]
        returns = n_step_returns(*case.ends, discount=discount, n=k)
        assert torch.allclose(returns, everywhere(slow_n_step, case.ends, n=k, discount=discount))
        assert torch.allclose(returns - case.values, summed)


@given(case=cases, discount=discounts, decay=decays)
def test_eq_gae(case, discount, decay):
    """GAE(λ) is the mean of the k-step advantages with weights (1 − λ)·λᵏ⁻¹, the rest on the longest."""
    longest = len(case.values)
    advantages = [n_step_returns(*case.ends, discount=discount, n=k) - case.values for k in range(1, longest + 1)]
    weights = [(1 - decay) * decay ** (k - 1) for k in range(1, longest)] + [decay ** (longest - 1)]
    mean = sum(weight * advantage for weight, advantage in zip(weights, advantages, strict=True))
    # where a record is shorter, all longer ones equal its whole: their weights add up to what is left
    assert torch.allclose(gae(*case.for_gae, discount=discount, gae_lambda=decay), mean)


@given(case=cases, discount=discounts, decay=decays)
def test_gae_is_the_lambda_return_minus_the_value(case, discount, decay):
    returns = lambda_returns(*case.ends, discount=discount, trace_decay=decay)
    assert torch.allclose(gae(*case.for_gae, discount=discount, gae_lambda=decay), returns - case.values)


# --- endings


@given(case=cases, discount=discounts, decay=decays)
def test_what_comes_after_an_ending_has_no_influence(case, discount, decay):
    """Whatever the next episode holds: the steps before an ending stay what they are."""
    over = case.ends.terminated | case.ends.truncated
    for b in range(over.shape[1]):
        for t in over[:, b].nonzero()[:, 0].tolist():
            changed = Case(Ends(*(x.clone() for x in case.ends)), case.values.clone())
            for x in (changed.ends.rewards, changed.ends.next_values, changed.values):
                x[t + 1 :, b] += 100.0
            for flags in changed.ends[2:]:
                flags[t + 1 :, b] = ~flags[t + 1 :, b]
            settings = {"discount": discount}
            for function, more, mine, other in (
                (gae, {"gae_lambda": decay}, case.for_gae, changed.for_gae),
                (lambda_returns, {"trace_decay": decay}, case.ends, changed.ends),
                (n_step_returns, {"n": 3}, case.ends, changed.ends),
                (discounted_returns, {}, case.ends, changed.ends),
            ):
                before, after = function(*mine, **settings, **more), function(*other, **settings, **more)
                assert torch.equal(before[: t + 1, b], after[: t + 1, b])


@given(case=cases, discount=discounts, decay=decays)
def test_environments_do_not_mix(case, discount, decay):
    """A batch is its columns, one by one."""
    together = gae(*case.for_gae, discount=discount, gae_lambda=decay)
    alone = [
        gae(*(x[:, [b]] for x in case.for_gae), discount=discount, gae_lambda=decay) for b in range(together.shape[1])
    ]
    assert torch.equal(together, torch.cat(alone, dim=1))


@given(case=cases, discount=discounts, decay=decays)
def test_where_the_task_ended_the_next_value_is_not_looked_at(case, discount, decay):
    other = torch.where(case.ends.terminated, torch.full_like(case.values, 1e6), case.ends.next_values)
    changed = Case(case.ends._replace(next_values=other), case.values)
    settings = {"discount": discount}
    assert torch.equal(
        gae(*case.for_gae, gae_lambda=decay, **settings), gae(*changed.for_gae, gae_lambda=decay, **settings)
    )
    assert torch.equal(n_step_returns(*case.ends, n=3, **settings), n_step_returns(*changed.ends, n=3, **settings))
    assert torch.allclose(
        lambda_returns(*case.ends, trace_decay=decay, **settings),
        lambda_returns(*changed.ends, trace_decay=decay, **settings),
    )


def test_truncated_is_not_terminated():
    """A reward of 1 at every step, without end, is worth 1 / (1 − γ) = 10, and the clock does not change that."""
    rewards, values = torch.ones(5, 1), torch.full((5, 1), 10.0)
    cut = column([False] * 4 + [True], torch.bool)
    none = torch.zeros_like(cut)
    for decay in (0.0, 0.5, 1.0):
        right = gae(rewards, values, values, none, cut, discount=0.9, gae_lambda=decay)
        wrong = gae(rewards, values, values, cut, none, discount=0.9, gae_lambda=decay)
        assert torch.allclose(right, torch.zeros(5, 1), atol=1e-5)
        assert wrong[-1].item() == pytest.approx(1 - 10)
        assert wrong[0].item() == pytest.approx(-9 * (0.9 * decay) ** 4)
    assert torch.allclose(discounted_returns(rewards, values, none, cut, discount=0.9), values)
    assert torch.allclose(n_step_returns(rewards, values, none, cut, discount=0.9, n=3), values)


def test_the_end_of_a_rollout_bootstraps_like_a_cut():
    """It makes no difference whether the last step is flagged as the last of the record."""
    case = random_rollout(3, 6, 2, ending=0.0)
    flagged = case.ends._replace(truncated=case.ends.truncated.clone())
    flagged.truncated[-1] = True
    for function, settings in ((lambda_returns, {"trace_decay": 0.7}), (n_step_returns, {"n": 4})):
        assert torch.equal(function(*case.ends, discount=0.9, **settings), function(*flagged, discount=0.9, **settings))


def test_a_step_that_only_resets_changes_nothing_before_or_after_it():
    """A NEXT_STEP environment puts such a step after each ending; its numbers mean nothing."""
    case = random_rollout(5, 8, 1, ending=0.0)
    case.ends.terminated[3] = True
    one = gae(*case.for_gae, discount=0.9, gae_lambda=0.8)
    wide = [torch.cat([x[:4], x[:1], x[4:]]) for x in case.for_gae]
    for x, nothing in zip(wide[:3], (5.0, -7.0, 11.0), strict=True):
        x[4] = nothing
    wide[3][4] = wide[4][4] = False
    two = gae(*wide, discount=0.9, gae_lambda=0.8)
    assert torch.equal(torch.cat([two[:4], two[5:]]), one)


# --- against the tables of chapter 8


@pytest.mark.parametrize("terminated", [True, False])
def test_one_episode_is_what_chapter_8_makes_of_it(terminated):
    rng = np.random.default_rng(2)
    states = rng.integers(0, 4, size=7).tolist()
    walk = Trajectory(states, [0] * 7, rng.normal(size=7).tolist(), 3, terminated)
    table = rng.normal(size=4).tolist()
    rewards, values = column(walk.rewards), column([table[s] for s in states])
    next_values = column([table[s] for s in [*states[1:], 3]])
    over = column([False] * 6 + [True], torch.bool)
    flags = (over, over & False) if terminated else (over & False, over)
    arrays = Ends(rewards, next_values, *flags)
    for n in (1, 2, 5, 50):
        expected = [n_step_return(walk, t, table, n=n, discount=0.9) for t in range(7)]
        assert of(n_step_returns, *arrays, discount=0.9, n=n) == pytest.approx(expected)
    expected = lambda_return(walk, table, discount=0.9, trace_decay=0.6)
    assert of(lambda_returns, *arrays, discount=0.9, trace_decay=0.6) == pytest.approx(expected)
    found = of(gae, *Case(arrays, values).for_gae, discount=0.9, gae_lambda=0.0)
    assert found == pytest.approx(td_errors(walk, table, discount=0.9))


# --- numbers, and bad input


def test_digits_are_kept():
    """In float64 the factor γλ must be float64 too; and float32 comes back as float32."""
    case = random_rollout(1, 50, 2, ending=0.02)
    settings = {"discount": 0.99, "gae_lambda": 0.95}
    slow = torch.zeros_like(case.values)
    following = torch.zeros(2, dtype=torch.float64)
    for t in reversed(range(50)):
        going_on = ~(case.ends.terminated[t] | case.ends.truncated[t])
        error = (
            case.ends.rewards[t]
            + 0.99 * torch.where(case.ends.terminated[t], 0.0, case.ends.next_values[t])
            - case.values[t]
        )
        slow[t] = following = error + torch.where(going_on, 0.99 * 0.95 * following, 0.0)
    assert (gae(*case.for_gae, **settings) - slow).abs().max() < 1e-13
    returns = lambda_returns(*case.ends, discount=0.99, trace_decay=0.95)
    assert (returns - case.values - slow).abs().max() < 1e-12
    single = random_rollout(1, 50, 2, ending=0.02, dtype=torch.float32)
    for values in (
        gae(*single.for_gae, **settings),
        lambda_returns(*single.ends, discount=0.99, trace_decay=0.95),
        n_step_returns(*single.ends, discount=0.99, n=3),
    ):
        assert values.dtype == torch.float32
    assert torch.allclose(gae(*single.for_gae, **settings).double(), slow, atol=1e-5)


def test_the_arguments_are_left_alone():
    case = random_rollout(4, 5, 3)
    before = [x.clone() for x in case.for_gae]
    gae(*case.for_gae, discount=0.9, gae_lambda=0.9)
    lambda_returns(*case.ends, discount=0.9, trace_decay=0.9)
    n_step_returns(*case.ends, discount=0.9, n=2)
    discounted_returns(*case.ends, discount=0.9)
    assert all(torch.equal(x, y) for x, y in zip(before, case.for_gae, strict=True))


def test_a_result_can_be_changed_without_a_change_to_the_arguments():
    case = random_rollout(4, 5, 3)
    rewards = case.ends.rewards.clone()
    n_step_returns(*case.ends, discount=0.0, n=1).add_(1.0)
    discounted_returns(*case.ends, discount=0.0).add_(1.0)
    assert torch.equal(case.ends.rewards, rewards)


@pytest.mark.parametrize("discount", [-0.1, 1.1, float("nan")])
def test_a_discount_outside_its_range_is_refused(discount):
    case = random_rollout(0, 3, 1)
    for function, arrays, settings in (
        (discounted_returns, case.ends, {}),
        (n_step_returns, case.ends, {"n": 1}),
        (lambda_returns, case.ends, {"trace_decay": 0.5}),
        (gae, case.for_gae, {"gae_lambda": 0.5}),
    ):
        with pytest.raises(ValueError, match=rf"discount must be in \[0, 1\], got {discount}"):
            function(*arrays, discount=discount, **settings)


def test_other_settings_outside_their_range_are_refused():
    case = random_rollout(0, 3, 1)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        n_step_returns(*case.ends, discount=0.9, n=0)
    for decay in (-0.1, 1.5):
        with pytest.raises(ValueError, match=rf"trace_decay must be in \[0, 1\], got {decay}"):
            lambda_returns(*case.ends, discount=0.9, trace_decay=decay)
        with pytest.raises(ValueError, match=rf"gae_lambda must be in \[0, 1\], got {decay}"):
            gae(*case.for_gae, discount=0.9, gae_lambda=decay)
