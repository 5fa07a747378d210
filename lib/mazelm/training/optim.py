"""Optimisers that keep all parameters in one flat buffer.

The parameters of a model, and their gradients, become views of two long vectors. A step is then a handful of
operations however many layers there are, where a loop over layers pays for each of them. The numbers are those of
torch.optim, with one difference: a parameter that took no part in the loss has the gradient 0 here and goes on by its
momentum, while torch skips it.

Left out, and there in torch: groups of parameters with different settings, weight decay, other devices per layer.

Source: Polyak (1964) for momentum; Kingma and Ba (2015), algorithm 1, for Adam.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

_TINY = 1e-30  # to be added and taken away: smaller numbers become 0, and those above 1e-22 stay as they are


class FlatOptimizer(ABC):
    """What all optimisers share: the flat buffers, zeroing, clipping, and their state.

    Attributes:
        learning_rate: The size of a step. It may be set between steps, as a schedule does.
        values: All parameters in one vector; each parameter is a view of it.
        gradient: Their gradients in one vector, in the same order.
        steps: How many steps have been made.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, learning_rate: float):
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        if not self.parameters:
            raise ValueError("parameters is empty: there is nothing to train. Was it an iterator that was used up?")
        if len({id(parameter) for parameter in self.parameters}) < len(self.parameters):
            raise ValueError("parameters holds one parameter twice. Try: model.parameters(), which lists each once")
        if len({(parameter.dtype, parameter.device) for parameter in self.parameters}) > 1:
            raise ValueError("parameters must have one dtype and lie on one device to share a buffer")
        if not learning_rate >= 0:
            raise ValueError(f"learning_rate must not be negative, got {learning_rate}")
        self.learning_rate, self.steps = learning_rate, 0
        self.values = torch.cat([parameter.detach().reshape(-1) for parameter in self.parameters])
        self.gradient = torch.zeros_like(self.values)
        sizes = [parameter.numel() for parameter in self.parameters]
        self._gradients = []
        for parameter, value, gradient in zip(
            self.parameters, self.values.split(sizes), self.gradient.split(sizes), strict=True
        ):
            parameter.data = value.view_as(parameter)
            self._gradients.append(gradient.view_as(parameter))
            parameter.grad = self._gradients[-1]
        self._addresses = [parameter.data_ptr() for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Set all gradients to 0, so that the next backward does not add to those of the last."""
        self._gather()
        self.gradient.zero_()

    def clip_gradient(self, max_norm: float) -> float:
        """Shorten the gradient of all parameters together to the length max_norm if it is longer.

            g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶))

        Returns:
            ‖g‖ as it was before.
        """
        self._gather()
        norm = torch.linalg.vector_norm(self.gradient)
        length = norm.item()
        if not length + 1e-6 <= max_norm:  # also where it is NaN, which then spreads
            self.gradient.mul_((max_norm / (norm + 1e-6)).clamp(max=1))  # 1e-6 only guards norm = 0; torch has it too
        return length

    @torch.no_grad()
    def step(self) -> None:
        """Change the parameters, in place, by their gradients."""
        self._gather()
        self.steps += 1
        self._update()

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs to go on with the same steps: numbers, and copies of the buffers."""
        buffers = {name: buffer.clone() for name, buffer in self._buffers().items()}
        return {"learning_rate": self.learning_rate, "steps": self.steps, **buffers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` gave.

        Raises:
            ValueError: It belongs to another optimiser, or to other parameters.
        """
        buffers = self._buffers()
        expected = {"learning_rate", "steps", *buffers}
        if set(state) != expected:
            raise ValueError(f"state has {sorted(state)}, and {type(self).__name__} needs {sorted(expected)}")
        for name, buffer in buffers.items():
            if state[name].shape != buffer.shape:
                raise ValueError(f"state[{name!r}] is for {len(state[name])} parameters, and here are {len(buffer)}")
        self.learning_rate, self.steps = float(state["learning_rate"]), int(state["steps"])
        for name, buffer in buffers.items():
            buffer.copy_(state[name])

    @abstractmethod
    def _update(self) -> None:
        """One step from `gradient`."""

    @abstractmethod
    def _buffers(self) -> dict[str, Tensor]:
        """The vectors that are kept from step to step, by name."""

    @torch.no_grad()
    def _gather(self) -> None:
        """Put gradients that lie elsewhere into the buffer: `model.zero_grad()` takes the views off the parameters."""
        for parameter, gradient, address in zip(self.parameters, self._gradients, self._addresses, strict=True):
            if parameter.data_ptr() != address:
                raise ValueError("a parameter was moved since the optimiser was made. Try: model.to(...) before it")
            if parameter.grad is not gradient:
                gradient.zero_() if parameter.grad is None else gradient.copy_(parameter.grad)
                parameter.grad = gradient


class SGD(FlatOptimizer):
    """Gradient descent with momentum.

        m ← μ·m + g
        θ ← θ − α·m

    Args:
        parameters: Of the model, on the device where it is trained.
        learning_rate: α.
        momentum: μ, how much of the last direction is kept; 0 is plain gradient descent.

    Raises:
        ValueError: momentum is not in [0, 1), or the parameters cannot share a buffer.

    Source: Polyak (1964), in the form of Sutskever et al. (2013).
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, learning_rate: float, momentum: float = 0.0):
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        super().__init__(parameters, learning_rate=learning_rate)
        self.momentum = momentum
        self._velocity = torch.zeros_like(self.values)

    def _update(self) -> None:
        self._velocity.mul_(self.momentum).add_(self.gradient)
        self.values.sub_(self._velocity, alpha=self.learning_rate)

    def _buffers(self) -> dict[str, Tensor]:
        return {"velocity": self._velocity}


class Adam(FlatOptimizer):
    """Steps that are scaled, parameter by parameter, by the size of recent gradients.

        m ← β₁·m + (1 − β₁)·g        m̂ = m / (1 − β₁ᵗ)
        v ← β₂·v + (1 − β₂)·g²       v̂ = v / (1 − β₂ᵗ)
        θ ← θ − α·m̂ / (√v̂ + ε)

    Args:
        parameters: Of the model, on the device where it is trained.
        learning_rate: α: about how far one step moves each parameter.
        betas: β₁ and β₂, the decay of the two running means.
        epsilon: ε, which only guards v̂ = 0.

    Raises:
        ValueError: A setting is out of range, or the parameters cannot share a buffer.

    Source: Kingma and Ba (2015), algorithm 1.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        learning_rate: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ):
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must be in [0, 1), got {betas}")
        if not epsilon >= 0:
            raise ValueError(f"epsilon must not be negative, got {epsilon}")
        super().__init__(parameters, learning_rate=learning_rate)
        self.betas, self.epsilon = betas, epsilon
        self._mean, self._square = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self._scale = torch.empty_like(self.values)  # room for √v̂ + ε, so that a step allocates nothing

    def _update(self) -> None:
        beta1, beta2 = self.betas
        self._mean.lerp_(self.gradient, 1 - beta1)
        if self.steps % 64 == 0:  # what has faded below 1e-38 would stay there for ever, and make every step slow
            self._mean.add_(_TINY).sub_(_TINY)
        self._square.mul_(beta2).addcmul_(self.gradient, self.gradient, value=1 - beta2)
        torch.sqrt(self._square, out=self._scale)
        self._scale.div_(math.sqrt(1 - beta2**self.steps)).add_(self.epsilon)
        self.values.addcdiv_(self._mean, self._scale, value=-self.learning_rate / (1 - beta1**self.steps))

    def _buffers(self) -> dict[str, Tensor]:
        return {"mean": self._mean, "square": self._square}


def warmup_cosine(step: int, *, peak: float, warmup_steps: int, total_steps: int) -> float:
    """The learning rate at a step: a straight rise to the peak, then half a cosine down to 0.

        α(t) = peak·(t + 1)/W                                 for t < W
        α(t) = peak·(1 + cos(π·(t − W)/(T − W)))/2            after that

    Args:
        step: t, counted from 0.
        peak: The highest learning rate.
        warmup_steps: W.
        total_steps: T, at which the rate has come down to 0.

    Raises:
        ValueError: The warm-up is not shorter than the whole.

    Source: Loshchilov and Hutter (2017), equation 5, without restarts.
    """
    if not 0 <= warmup_steps < total_steps:
        raise ValueError(f"warmup_steps={warmup_steps} must be at least 0 and less than total_steps={total_steps}")
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    done = min((step - warmup_steps) / (total_steps - warmup_steps), 1.0)
    return peak * (1 + math.cos(math.pi * done)) / 2
