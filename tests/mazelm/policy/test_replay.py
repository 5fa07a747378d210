import gymnasium as gym
import mazes  # noqa: F401  registers mazes/Maze-v0
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.policy.replay import PrioritisedReplay, Replay
from mazelm.policy.rollout import Collector, Step


def step(numbers, *, terminated=(), truncated=(), masked=()):
    """One step in each of some environments; step i begins at i, does i mod 5, is paid i and reaches i + 1/2."""
    numbers = np.asarray(numbers, dtype=np.float32)
    at = np.arange(len(numbers))
    flags = (np.isin(at, which) for which in (terminated, truncated))
    obs = np.stack([numbers, -numbers], axis=1)
    actions = numbers.astype(np.int64) % 5
    return Step(obs, actions, numbers, obs + np.float32(0.5), *flags, ~np.isin(at, masked))


def draw(replay, *, n=1, discount=0.5, batch_size=400, seed=0):
    """A batch in which every row very likely occurs, as a dict from the step's number to what was drawn for it."""
    batch = replay.sample(batch_size, discount=discount, n=n, rng=np.random.default_rng(seed))
    return batch, {
        int(obs[0]): (reward, next_obs, bool(ended), factor)
        for obs, reward, next_obs, ended, factor in zip(
            batch.obs.tolist(),
            batch.rewards.tolist(),
            batch.next_obs[:, 0].tolist(),
            batch.terminated.tolist(),
            batch.discounts.tolist(),
            strict=True,
        )
    }


# --- one step


def test_a_batch_holds_whole_steps():
    replay = Replay(10, 2)
    for i in range(0, 6, 2):
        replay.add(step([i, i + 1], terminated=[1] if i == 2 else []))
    batch, seen = draw(replay)
    assert seen == {i: (i, i + 0.5, i == 3, 0.5) for i in range(6)}
    number = batch.obs[:, 0]
    assert torch.equal(batch.obs[:, 1], -number)
    assert torch.equal(batch.actions, number.long() % 5)
    assert torch.equal(batch.next_obs, batch.obs + 0.5)
    assert batch.weights is None
    assert (replay.arrays["rewards"][batch.rows] == number.numpy()).all()
    kinds = [tensor.dtype for tensor in batch[2:]]
    assert kinds == [torch.float32, torch.int64, *[torch.float32] * 2, torch.bool, torch.float32]


def test_the_newest_takes_the_place_of_the_oldest():
    replay = Replay(5, 2)
    for i in range(7):
        rows = replay.add(step([i]))
        assert rows.tolist() == [i % 5]
        assert len(replay) == min(i + 1, 5)
    assert replay.added == 7
    assert set(draw(replay)[1]) == {2, 3, 4, 5, 6}


def test_what_was_drawn_does_not_change_later():
    replay = Replay(2, 2)
    replay.add(step([1]))
    batch = replay.sample(3, discount=0.9, rng=np.random.default_rng(0))
    for i in (2, 3):
        replay.add(step([i]))
    assert batch.obs[:, 0].tolist() == batch.rewards.tolist() == [1, 1, 1]


def test_what_is_added_is_copied():
    replay, first = Replay(4, 2), step([1])
    replay.add(first)
    first.obs[:] = 9
    assert set(draw(replay)[1]) == {1}


def test_a_step_that_only_resets_is_not_stored():
    replay = Replay(8, 2)
    assert replay.add(step([0, 1, 2], masked=[1])).tolist() == [0, 1]
    assert replay.add(step([3, 4, 5], masked=[0, 1, 2])).tolist() == []
    assert len(replay) == 2
    assert set(draw(replay)[1]) == {0, 2}


def test_all_rows_are_drawn_with_the_same_chance():
    replay = Replay(4, 2)
    for i in range(6):
        replay.add(step([i]))
    rows = replay.sample(40_000, discount=0.9, rng=np.random.default_rng(0)).rows
    assert np.bincount(rows) / 40_000 == pytest.approx(np.full(4, 0.25), abs=0.01)


def test_actions_of_several_numbers():
    replay = Replay(4, 2, action_size=3)
    action = np.array([[0.25, -1.0, 2.0]], dtype=np.float32)
    replay.add(step([1])._replace(actions=action))
    batch = replay.sample(2, discount=0.9, rng=np.random.default_rng(0))
    assert batch.actions.tolist() == action.tolist() * 2
    assert batch.actions.dtype == torch.float32


# --- several steps in one


def test_three_steps_in_one_by_hand():
    """One environment, steps 0 to 4, then the end of the task; steps 5 and 6, then a time limit; step 7."""
    replay = Replay(20, 2)
    for i in range(8):
        replay.add(step([i], terminated=[0] if i == 4 else [], truncated=[0] if i == 6 else []))
    seen = draw(replay, n=3)[1]
    assert seen[0] == (0 + 1 / 2 + 2 / 4, 2.5, False, 1 / 8)
    assert seen[2] == (2 + 3 / 2 + 4 / 4, 4.5, True, 1 / 8)
    assert seen[3] == (3 + 4 / 2, 4.5, True, 1 / 4)
    assert seen[4] == (4, 4.5, True, 1 / 2)
    assert seen[5] == (5 + 6 / 2, 6.5, False, 1 / 4)  # cut short: the guess of where it was cut counts
    assert seen[7] == (7, 7.5, False, 1 / 2)  # the newest: nothing is known of what follows


@given(
    n_envs=st.integers(1, 4),
    capacity=st.integers(8, 25),
    n=st.integers(1, 6),
    discount=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_n_steps_by_definition(n_envs, capacity, n, discount, seed):
    """Episodes of random lengths in several environments, beside a slow memory of all that ever happened."""
    rng, replay = np.random.default_rng(seed), Replay(capacity, 2)
    history, number, over, order = [[] for _ in range(n_envs)], 0, np.zeros(n_envs, bool), []
    for _ in range(int(rng.integers(1, 25))):
        numbers = number + np.arange(n_envs)
        ends, cut = rng.random(n_envs) < 0.15, rng.random(n_envs) < 0.15
        replay.add(
            step(
                numbers,
                terminated=np.flatnonzero(ends & ~over),
                truncated=np.flatnonzero(cut & ~over),
                masked=over.nonzero(),
            )
        )
        for b in np.flatnonzero(~over):
            history[b].append((number + b, ends[b], cut[b]))
            order.append(number + b)
        over = (ends | cut) & ~over  # the next step of these only resets
        number += n_envs
        if rng.random() < 0.1:
            replay.break_off()
            for b in range(n_envs):
                if history[b]:
                    history[b][-1] = (*history[b][-1][:2], True)
    stored = order[-capacity:]
    seen = draw(replay, n=n, discount=discount, batch_size=1000)[1]
    assert set(seen) == set(stored)
    for steps in history:
        for i, (first, _, _) in enumerate(steps):
            if first not in stored:
                continue
            total, k = 0.0, 0
            for reward, ended, was_cut in steps[i : i + n]:
                total, k = total + discount**k * reward, k + 1
                if ended or was_cut:
                    break
            assert seen[first] == (pytest.approx(total, rel=1e-5), reward + 0.5, ended, pytest.approx(discount**k))


def test_episodes_that_were_broken_off_are_not_continued():
    replay = Replay(8, 2)
    replay.add(step([0, 1]))
    replay.break_off()
    replay.add(step([2, 3]))
    replay.add(step([4, 5]))
    seen = draw(replay, n=2)[1]
    assert [seen[i][0] for i in range(6)] == [0, 1, 2 + 4 / 2, 3 + 5 / 2, 4, 5]


@pytest.mark.parametrize("name", ["CartPole-v1", "mazes/Maze-v0"])
def test_both_kinds_of_reset(name):
    """In a NEXT_STEP and in a SAME_STEP environment: each step leads to what came next, and none across a reset."""
    envs = gym.make_vec(name, num_envs=3, vectorization_mode="vector_entry_point", max_episode_steps=7)
    rng = np.random.default_rng(0)
    collector, replay, made = Collector(envs, rng=rng), Replay(500, 4 if name == "CartPole-v1" else 25), 0
    for _ in range(100):
        taken = collector.step(rng.integers(2, size=3))
        replay.add(taken)
        made += int(taken.mask.sum())
    assert len(replay) == made
    assert made == (300 if name == "mazes/Maze-v0" else made) > 200
    batch = replay.sample(500, discount=0.9, n=2, rng=rng)
    two = batch.discounts < 0.89
    assert 0.5 < two.float().mean() < 0.95  # 6 of 7 steps have a successor
    first = replay.sample(500, discount=0.9, n=1, rng=rng)
    if name == "CartPole-v1":  # the fifth of a second that a step takes moves the cart by a fiftieth of its speed
        for each in (first, batch):
            moved = each.next_obs[:, 0] - each.obs[:, 0]
            steps = torch.where(each.discounts < 0.89, 2.0, 1.0)
            assert ((moved - 0.02 * steps * each.obs[:, 1]).abs() < 0.01).all()


# --- priorities


def test_eq_priorities():
    replay = PrioritisedReplay(4, 2, priority_exponent=0.5)
    for i in range(4):
        replay.add(step([i]))
    replay.update(np.arange(4), np.array([1.0, -4.0, 0.0, 9.0]))
    replay.importance_exponent = 0.7
    chances = np.array([1.0, 2.0, 0.001, 3.0]) / 6.001
    batch = replay.sample(60_000, discount=0.9, rng=np.random.default_rng(0))
    assert np.bincount(batch.rows, minlength=4) / 60_000 == pytest.approx(chances, abs=0.005)
    weights = (4 * chances) ** -0.7
    assert batch.weights.numpy() == pytest.approx(weights[batch.rows] / weights[batch.rows].max(), rel=1e-3)
    assert batch.weights.max() == 1


def test_weights_take_the_bias_back():
    """With β = 1 the weighted mean over draws is, up to one factor, the mean over the memory."""
    replay, rewards = PrioritisedReplay(8, 2, priority_exponent=0.6), np.arange(8.0)
    for i in range(8):
        replay.add(step([i]))
    replay.update(np.arange(8), rewards + 0.5)
    replay.importance_exponent = 1.0
    batch = replay.sample(200_000, discount=0.9, rng=np.random.default_rng(0))
    weighted = (batch.weights * batch.rewards).sum() / batch.weights.sum()
    assert float(weighted) == pytest.approx(rewards.mean(), rel=0.01)
    assert float(batch.rewards.mean()) > 1.2 * rewards.mean()


def test_without_an_exponent_all_are_alike():
    replay = PrioritisedReplay(4, 2, priority_exponent=0.0)
    for i in range(4):
        replay.add(step([i]))
    replay.update(np.arange(4), np.array([1.0, 5.0, 0.0, 100.0]))
    batch = replay.sample(4000, discount=0.9, rng=np.random.default_rng(0))
    assert np.bincount(batch.rows).tolist() == [1000] * 4  # one from each stretch
    assert batch.weights.eq(1).all()


def test_a_new_step_has_the_largest_priority_so_far():
    replay = PrioritisedReplay(4, 2, priority_exponent=0.5)
    replay.add(step([0]))
    assert replay.tree[np.array([0])] == [1.0]
    replay.update(np.array([0]), np.array([-9.0]))
    replay.update(np.array([0]), np.array([4.0]))
    replay.add(step([1]))
    assert replay.tree[np.array([0, 1])] == pytest.approx([2.0, 3.0], rel=1e-5)


def test_priorities_know_several_steps_in_one():
    replay = PrioritisedReplay(4, 2, priority_exponent=0.6)
    for i in range(3):
        replay.add(step([i]))
    assert draw(replay, n=2)[1][0] == (0 + 1 / 2, 1.5, False, 1 / 4)


# --- a run that goes on


@pytest.mark.parametrize("make", [lambda: Replay(6, 2), lambda: PrioritisedReplay(6, 2, priority_exponent=0.6)])
def test_a_memory_goes_on_from_its_state(make):
    whole, other = make(), make()
    for i in range(0, 8, 2):
        whole.add(step([i, i + 1], terminated=[0] if i == 4 else []))
    if isinstance(whole, PrioritisedReplay):
        whole.update(np.arange(3), np.array([3.0, 0.1, 2.0]))
    whole.break_off()
    other.add(step([100, 101]))  # it was used before: nothing of that may be left
    other.load_state_dict(
        {name: np.copy(value) if isinstance(value, np.ndarray) else value for name, value in whole.state_dict().items()}
    )
    for replay in (whole, other):
        replay.add(step([8, 9]))
        replay.add(step([10, 11]))
    batches = [replay.sample(50, discount=0.9, n=3, rng=np.random.default_rng(1)) for replay in (whole, other)]
    for one, same in zip(*batches, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(same))


# --- bad input


def test_bad_arguments():
    for name, arguments in (("capacity", (0, 2)), ("n_features", (4, 0))):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            Replay(*arguments)
    with pytest.raises(ValueError, match="action_size must be at least 1, got 0"):
        Replay(4, 2, action_size=0)
    with pytest.raises(ValueError, match="priority_exponent must not be negative, got -1"):
        PrioritisedReplay(4, 2, priority_exponent=-1.0)


@pytest.mark.parametrize("make", [lambda: Replay(6, 2), lambda: PrioritisedReplay(6, 2, priority_exponent=0.6)])
def test_bad_draws(make):
    rng, replay = np.random.default_rng(0), make()
    with pytest.raises(ValueError, match="memory is empty: there is nothing to draw"):
        replay.sample(4, discount=0.9, rng=rng)
    replay.add(step([0]))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        replay.sample(0, discount=0.9, rng=rng)
    with pytest.raises(ValueError, match=r"discount must be in \[0, 1\], got 1.5"):
        replay.sample(4, discount=1.5, rng=rng)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        replay.sample(4, discount=0.9, n=0, rng=rng)


def test_a_memory_for_other_environments():
    replay = Replay(5, 2)
    with pytest.raises(ValueError, match="capacity=5 must hold two steps of each of the 3 environments"):
        replay.add(step([0, 1, 2]))
    replay = Replay(9, 2)
    replay.add(step([0, 1]))
    with pytest.raises(ValueError, match="step has 3 environments, and the steps before it had 2"):
        replay.add(step([2, 3, 4]))
