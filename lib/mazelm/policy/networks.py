"""Networks for policies and values, and the distribution over actions that they give.

Observations become rows of numbers (`Features`), a network makes logits or values of them. To act, one row for each
environment goes through a small network thousands of times; there the time goes into the calls and not into the
arithmetic, so `ArrayForward` walks through the same weights with NumPy.

Left out, and there in production: networks for pictures, memories for what is only partly observed.

Source: Schulman et al. (2017), section 6.1, for the sizes; Saxe et al. (2014) for orthogonal weights.
"""

import itertools
from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float, Int, Integer
from torch import Tensor, nn


class Features:
    """Turns the observations of many environments into rows of numbers that a network can take.

    A numbered state becomes a one-hot row, several numbers are scaled to [0, 1], an array is laid out flat.

    Args:
        space: The observations of one environment.

    Attributes:
        size: F, how many numbers describe one observation.

    Raises:
        ValueError: Observations of this kind are not known here.
    """

    def __init__(self, space: gym.Space):
        if isinstance(space, spaces.Discrete):
            self.size, self._table = int(space.n), np.eye(int(space.n), dtype=np.float32)
        elif isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
            self.size, self._scale = len(space.nvec), np.maximum(space.nvec - 1, 1).astype(np.float32)
        elif isinstance(space, spaces.Box):
            self.size = int(np.prod(space.shape))
        else:
            raise ValueError(f"space must be Discrete, MultiDiscrete or Box, got {space}. Try: a Gymnasium wrapper")
        self.space = space

    def __call__(self, obs: np.ndarray) -> Float[np.ndarray, "B F"]:
        """The rows of a batch of observations."""
        if isinstance(self.space, spaces.Discrete):
            return self._table[obs - self.space.start]
        if isinstance(self.space, spaces.MultiDiscrete):
            return ((obs - self.space.start) / self._scale).astype(np.float32)
        return obs.reshape(len(obs), self.size).astype(np.float32, copy=False)


def mlp(sizes: Sequence[int], *, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    """Linear layers with an activation between them: sizes[0] numbers in, sizes[-1] out."""
    if len(sizes) < 2:
        raise ValueError(f"sizes must hold at least an input and an output, got {list(sizes)}")
    layers: list[nn.Module] = []
    for n_inputs, n_outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(n_inputs, n_outputs), activation()]
    return nn.Sequential(*layers[:-1])


def orthogonal_(network: nn.Sequential, *, last_gain: float) -> nn.Sequential:
    """Draw orthogonal weights, in place: √2 times as long in hidden layers, `last_gain` in the last; biases are 0.

    Args:
        network: Of `mlp`.
        last_gain: Small for a policy (0.01), so that it begins nearly uniform; 1 for values.

    Source: Engstrom et al. (2020), who measured how much it matters to PPO.
    """
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight, last_gain if layer is layers[-1] else 2**0.5)
        nn.init.zeros_(layer.bias)
    return network


def require_fit(network: nn.Sequential, n_features: int, n_actions: int) -> None:
    """Refuse a network of other widths than the environment's.

    Raises:
        ValueError: It takes another number of features, or gives another number of values than there are actions.
    """
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    sizes = (layers[0].in_features, layers[-1].out_features) if layers else None
    if sizes != (n_features, n_actions):
        raise ValueError(
            f"the network must take {n_features} features and give {n_actions} numbers, one for each action; its sizes "
            f"are {sizes}. Try: mlp([{n_features}, 64, {n_actions}])"
        )


class ActorCritic(nn.Module):
    """A policy over numbered actions and a value, from two networks or from two heads of one.

    Args:
        n_features: F, the width of the input.
        n_actions: A.
        hidden: The widths of the hidden layers.
        shared: The hidden layers serve both, and the heads are linear.

    Attributes:
        actor: Features to logits (B, A).
        critic: Features to values (B, 1).
    """

    def __init__(self, n_features: int, n_actions: int, *, hidden: Sequence[int] = (64, 64), shared: bool = False):
        super().__init__()
        if shared and not hidden:
            raise ValueError("shared=True needs at least one hidden layer, got hidden=()")
        self.actor = orthogonal_(mlp([n_features, *hidden, n_actions]), last_gain=0.01)
        self.critic = orthogonal_(mlp([n_features, *hidden, 1]), last_gain=1.0)
        if shared:
            self.critic = nn.Sequential(*list(self.actor)[:-1], self.critic[-1])

    def forward(self, obs: Float[Tensor, "B F"]) -> tuple[Float[Tensor, "B A"], Float[Tensor, " B"]]:
        """Logits of the policy, and the value."""
        return self.actor(obs), self.critic(obs).squeeze(-1)


class ArrayForward:
    """The forward pass of an `mlp` in NumPy, on the very memory of the torch weights: what one changes, both see.

    One row through two layers of 64 takes a fifth of torch's time. Make it after the optimiser, which moves the
    weights; a network on a GPU is read by torch.

    Raises:
        ValueError: A layer is neither linear nor tanh nor ReLU.
    """

    def __init__(self, network: nn.Sequential):
        self.network = network
        self._device = next(network.parameters()).device
        self._layers: list[tuple[np.ndarray, np.ndarray] | nn.Module] = []
        for layer in network:
            if isinstance(layer, nn.Linear):
                if self._device.type == "cpu":
                    self._layers.append((layer.weight.detach().numpy().T, layer.bias.detach().numpy()))
            elif isinstance(layer, nn.Tanh | nn.ReLU):
                self._layers.append(layer)
            else:
                raise ValueError(f"network must hold Linear, Tanh and ReLU layers, got {layer}")

    def __call__(self, rows: Float[np.ndarray, "B F"]) -> Float[np.ndarray, "B O"]:
        """What the network makes of these rows."""
        if self._device.type != "cpu":
            with torch.no_grad():
                return self.network(torch.from_numpy(rows).to(self._device)).cpu().numpy()
        for layer in self._layers:
            if isinstance(layer, tuple):
                rows = rows @ layer[0]
                rows += layer[1]
            elif isinstance(layer, nn.Tanh):
                np.tanh(rows, out=rows)
            else:
                np.maximum(rows, 0.0, out=rows)
        return rows


def sample(
    logits: Float[np.ndarray, "B A"], *, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " B"], Float[np.ndarray, " B"]]:
    """One action for each row, drawn from softmax(logits), and its log-probability in nats."""
    logp = logits - logits.max(axis=1, keepdims=True)
    logp -= np.log(np.exp(logp).sum(axis=1, keepdims=True))
    cumulative = np.exp(logp).cumsum(axis=1)
    draws = rng.random((len(logits), 1)) * cumulative[:, -1:]  # the last is 1 but for rounding
    actions = (draws >= cumulative).sum(axis=1)
    return actions, np.take_along_axis(logp, actions[:, None], axis=1)[:, 0]


def logp_of(logits: Float[Tensor, "*B A"], actions: Integer[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """log π(a | s) in nats, for the action taken in each row.

    log π(a | s) = zₐ − log Σ_b exp(z_b)
    """
    return logits.log_softmax(dim=-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)


def entropy(logits: Float[Tensor, "*B A"]) -> Float[Tensor, "*B"]:
    """How undecided the policy is, in nats: 0 for one sure action, log A for all alike.

    H = −Σ_a π(a | s)·log π(a | s)
    """
    logp = logits.log_softmax(dim=-1)
    return -(logp.exp() * logp).sum(dim=-1)
