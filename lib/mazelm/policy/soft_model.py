"""What soft actor-critic trains: a policy, two critics with slow copies, and a temperature.

`sac.py` has the model for actions of real numbers, `discrete_sac.py` the one for numbered actions. They differ in one
thing: how the soft value of a state is had from two critics and a policy, by a sample or by a sum.

Left out: more than two critics, layers that normalise.

Source: Haarnoja et al. (2018b); Fujimoto et al. (2018), section 4.2, for the smaller of two critics.
"""

import copy
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn


class TwinMLP(nn.Module):
    """Two networks of the same shape with weights of their own, computed as one: ReLU between linear layers.

    One product of two stacked matrices takes two thirds of the time of two products at these sizes.

    Args:
        sizes: Width of the input, of the hidden layers and of the output.
    """

    def __init__(self, sizes: Sequence[int]):
        super().__init__()
        pairs = list(itertools.pairwise(sizes))
        self.weights = nn.ParameterList(_uniform(n_in, 2, n_in, n_out) for n_in, n_out in pairs)
        self.biases = nn.ParameterList(_uniform(n_in, 2, 1, n_out) for n_in, n_out in pairs)

    def forward(self, rows: Float[Tensor, "N F"]) -> Float[Tensor, "2 N O"]:
        """What each of the two makes of the rows."""
        x = rows.expand(2, -1, -1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = torch.baddbmm(bias, x, weight).relu()
        return torch.baddbmm(self.biases[-1], x, self.weights[-1])


class SoftActorCritic(nn.Module, ABC):
    """A policy, two critics, their slow copies, and the temperature.

    Args:
        actor: From features to what describes the distribution over actions.
        critics: Two guesses of what is to be expected.

    Attributes:
        targets: Copies that follow the critics slowly; they are never trained.
        log_temperature: log α, so that no step makes α negative.
    """

    def __init__(self, actor: nn.Sequential, critics: TwinMLP):
        super().__init__()
        self.actor, self.critics = actor, critics
        self.targets = copy.deepcopy(critics).requires_grad_(False)
        self.log_temperature = nn.Parameter(torch.zeros(()))

    @abstractmethod
    def soft_values(
        self, obs: Float[Tensor, "N F"], critics: TwinMLP, temperature: Float[Tensor, ""], *, rng: np.random.Generator
    ) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """V(s) under the policy and these critics, and the policy's entropy there in nats."""

    @abstractmethod
    def q_of(self, obs: Float[Tensor, "N F"], actions: Num[Tensor, "N *A"]) -> Float[Tensor, "2 N"]:
        """What both critics expect of actions that were taken."""

    @abstractmethod
    def explore(self, n_envs: int, *, rng: np.random.Generator) -> Num[np.ndarray, "B *A"]:
        """Uniformly random actions."""

    @abstractmethod
    def draw(self, outputs: Float[np.ndarray, "B O"], *, rng: np.random.Generator) -> Num[np.ndarray, "B *A"]:
        """One action for each row of what the actor puts out."""


def _uniform(n_inputs: int, *shape: int) -> nn.Parameter:
    """Weights as nn.Linear draws them: uniform in ±1/√(number of inputs)."""
    return nn.Parameter(torch.empty(shape).uniform_(-1, 1) / math.sqrt(n_inputs))
