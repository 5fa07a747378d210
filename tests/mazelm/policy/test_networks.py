"""Networks: features of each kind of space, weights, both forward passes, and the distribution over actions."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.policy.networks import (
    ActorCritic,
    ArrayForward,
    Features,
    entropy,
    logp_of,
    mlp,
    orthogonal_,
    sample,
)
from mazelm.training.optim import SGD
from torch import nn

seeds = st.integers(0, 10**6)


# --- features


def test_a_numbered_state_becomes_a_one_hot_row():
    features = Features(spaces.Discrete(4))
    rows = features(np.array([2, 0, 3]))
    assert features.size == 4
    assert rows.dtype == np.float32
    assert rows.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


def test_numbers_that_begin_elsewhere_are_counted_from_there():
    assert Features(spaces.Discrete(3, start=5))(np.array([5, 7])).tolist() == [[1, 0, 0], [0, 0, 1]]
    several = Features(spaces.MultiDiscrete([3, 5], start=[1, 10]))
    assert several(np.array([[1, 10], [3, 14]])).tolist() == [[0, 0], [1, 1]]


def test_several_numbers_are_scaled_to_the_unit_interval():
    features = Features(spaces.MultiDiscrete([3, 5, 1]))
    rows = features(np.array([[2, 1, 0], [0, 4, 0]]))
    assert features.size == 3
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, 0.25, 0], [0, 1, 0]]  # a number that can only be 0 is not divided by 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_an_array_is_laid_out_flat(dtype):
    features = Features(spaces.Box(0, 9, (2, 3), dtype))
    rows = features(np.arange(12).reshape(2, 2, 3).astype(dtype))
    assert features.size == 6
    assert rows.dtype == np.float32
    assert rows.tolist() == [list(range(6)), list(range(6, 12))]


@pytest.mark.parametrize(
    "space", [spaces.Dict({"a": spaces.Discrete(2)}), spaces.MultiBinary(3), spaces.MultiDiscrete([[2, 3], [4, 5]])]
)
def test_other_spaces_are_refused(space):
    with pytest.raises(ValueError, match=r"space must be Discrete, MultiDiscrete or Box, got (?s:.*) Try: a Gymnasium"):
        Features(space)


# --- weights


def test_a_network_has_an_activation_between_its_layers_and_none_at_the_end():
    network = mlp([3, 5, 4, 2], activation=nn.ReLU)
    assert [type(layer) for layer in network] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert [(layer.in_features, layer.out_features) for layer in network[::2]] == [(3, 5), (5, 4), (4, 2)]
    assert [type(layer) for layer in mlp([3, 2])] == [nn.Linear]
    assert isinstance(mlp([1, 2, 3])[1], nn.Tanh)


@pytest.mark.parametrize("sizes", [[], [3]])
def test_a_network_needs_two_sizes(sizes):
    with pytest.raises(ValueError, match=r"sizes must hold at least an input and an output, got \["):
        mlp(sizes)


def test_orthogonal_weights_keep_lengths_up_to_their_gain():
    network = mlp([6, 6, 4, 3])
    assert orthogonal_(network, last_gain=0.5) is network
    for layer, gain in zip(network[::2], (2**0.5, 2**0.5, 0.5), strict=True):
        rows = layer.weight.detach()
        assert torch.allclose(rows @ rows.T, gain**2 * torch.eye(len(rows)), atol=1e-5)
        assert not layer.bias.any()


def test_a_policy_begins_nearly_uniform_and_a_critic_does_not_begin_at_zero():
    with seeded(0):
        logits, values = ActorCritic(4, 3)(torch.randn(50, 4))
    assert torch.allclose(logits.softmax(dim=1), torch.full((50, 3), 1 / 3), atol=0.02)
    assert values.abs().mean() > 0.1


def test_actor_and_critic_have_their_own_layers_unless_they_share_them():
    apart, shared = ActorCritic(4, 3, hidden=(8, 8)), ActorCritic(4, 3, hidden=(8, 8), shared=True)
    trunk = 4 * 8 + 8 + 8 * 8 + 8
    heads = (8 * 3 + 3) + (8 + 1)
    assert sum(parameter.numel() for parameter in apart.parameters()) == 2 * trunk + heads
    assert sum(parameter.numel() for parameter in shared.parameters()) == trunk + heads
    assert shared.critic[0] is shared.actor[0]
    assert apart.critic[0] is not apart.actor[0]
    with pytest.raises(ValueError, match=r"shared=True needs at least one hidden layer, got hidden=\(\)"):
        ActorCritic(4, 3, hidden=(), shared=True)


@pytest.mark.parametrize("shared", [False, True])
def test_the_forward_pass_is_that_of_its_two_networks(shared):
    model, obs = ActorCritic(4, 3, shared=shared), torch.randn(7, 4)
    logits, values = model(obs)
    assert torch.equal(logits, model.actor(obs))
    assert values.shape == (7,)
    assert torch.equal(values, model.critic(obs)[:, 0])


# --- the forward pass in NumPy


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
@pytest.mark.parametrize("sizes", [[4, 3], [4, 8, 3], [4, 8, 5, 1]])
def test_numpy_and_torch_say_the_same(sizes, activation):
    with seeded(0):
        network, rows = mlp(sizes, activation=activation), torch.randn(9, 4)
    found = ArrayForward(network)(rows.numpy())
    assert found.dtype == np.float32
    assert np.allclose(found, network(rows).detach().numpy(), atol=1e-6)


def test_what_the_optimiser_changes_numpy_sees():
    with seeded(0):
        network, rows = mlp([4, 8, 3]), torch.randn(9, 4)
    optimizer = SGD(network.parameters(), learning_rate=0.5)
    forward = ArrayForward(network)
    before = forward(rows.numpy())
    network(rows).square().sum().backward()
    optimizer.step()
    after = forward(rows.numpy())
    assert not np.allclose(before, after, atol=1e-3)
    assert np.allclose(after, network(rows).detach().numpy(), atol=1e-5)


def test_the_rows_that_go_in_are_left_alone():
    for sizes in ([4, 3], [4, 8, 3]):
        rows = np.ones((2, 4), dtype=np.float32)
        ArrayForward(mlp(sizes))(rows)
        assert (rows == 1).all()


def test_a_layer_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="network must hold Linear, Tanh and ReLU layers, got Sigmoid"):
        ArrayForward(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid()))


# --- the distribution over actions


def test_log_probabilities_and_entropy_by_hand():
    """Logits (0, log 3) are the probabilities 1/4 and 3/4."""
    logits = torch.tensor([[0.0, math.log(3)], [5.0, 5.0]])
    assert logp_of(logits, torch.tensor([1, 0])).tolist() == pytest.approx([math.log(3 / 4), math.log(1 / 2)])
    mixed = -(1 / 4 * math.log(1 / 4) + 3 / 4 * math.log(3 / 4))
    assert entropy(logits).tolist() == pytest.approx([mixed, math.log(2)])


@given(seeds, st.integers(1, 4), st.integers(2, 5))
def test_they_are_those_of_the_definition(seed, n, n_actions):
    rng = np.random.default_rng(seed)
    logits, actions = rng.normal(size=(n, n_actions)) * 3, rng.integers(n_actions, size=n)
    logp, spread = logp_of(torch.from_numpy(logits), torch.from_numpy(actions)), entropy(torch.from_numpy(logits))
    for i in range(n):
        weights = [math.exp(z) for z in logits[i]]
        policy = [weight / sum(weights) for weight in weights]
        assert logp[i].item() == pytest.approx(math.log(policy[actions[i]]))
        assert spread[i].item() == pytest.approx(-sum(p * math.log(p) for p in policy))


@given(seeds, st.floats(-50, 50))
def test_a_constant_added_to_all_logits_changes_nothing(seed, shift):
    logits = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 4)))
    actions = torch.tensor([0, 3, 1])
    assert torch.allclose(logp_of(logits + shift, actions), logp_of(logits, actions))
    assert torch.allclose(entropy(logits + shift), entropy(logits))


def test_entropy_at_its_limits():
    assert entropy(torch.zeros(4)).item() == pytest.approx(math.log(4))
    assert entropy(torch.tensor([200.0, 0.0, 0.0])).item() == pytest.approx(0.0, abs=1e-6)


def test_they_take_more_than_one_batch_axis():
    logits, actions = torch.randn(2, 3, 4), torch.randint(4, (2, 3))
    assert logp_of(logits, actions).shape == entropy(logits).shape == (2, 3)
    assert torch.equal(logp_of(logits, actions)[1, 2], logp_of(logits[1, 2][None], actions[1, 2][None])[0])


def test_actions_are_drawn_as_often_as_their_probability_says():
    probabilities, n = np.array([0.1, 0.0, 0.6, 0.3]), 40_000
    with np.errstate(divide="ignore"):
        logits = np.log(probabilities) + 7
    actions, logp = sample(np.tile(logits, (n, 1)), rng=np.random.default_rng(0))
    shares = np.bincount(actions, minlength=4) / n
    assert shares[1] == 0
    assert np.abs(shares - probabilities).max() < 4 * np.sqrt(0.25 / n)
    assert np.allclose(logp, np.log(probabilities[actions]))


@given(seeds)
def test_a_sample_says_what_torch_says(seed):
    logits = (np.random.default_rng(seed).normal(size=(8, 3)) * 4).astype(np.float32)
    actions, logp = sample(logits, rng=np.random.default_rng(seed + 1))
    again, _ = sample(logits, rng=np.random.default_rng(seed + 1))
    assert np.array_equal(actions, again)
    assert logp.dtype == np.float32
    assert ((actions >= 0) & (actions < 3)).all()
    assert np.allclose(logp, logp_of(torch.from_numpy(logits), torch.from_numpy(actions)).numpy(), atol=1e-5)


def test_a_sample_survives_large_logits_and_leaves_them_alone():
    logits = np.array([[1e4, 0.0, -1e4], [0.0, 1e4, 0.0]], dtype=np.float32)
    before = logits.copy()
    actions, logp = sample(logits, rng=np.random.default_rng(0))
    assert actions.tolist() == [0, 1]
    assert logp.tolist() == [0.0, 0.0]
    assert np.array_equal(logits, before)
