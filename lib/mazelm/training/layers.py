"""Layers written by hand, from one that has nothing to learn to one that slides kernels over an image.

`CrossCorrelation2d` computes what `nn.Conv2d` computes, under the same names in its state_dict. Both cross-correlate: a
convolution in the sense of mathematics would turn the kernel round first. `cross_correlate_loop` is the definition, and
`cross_correlate` the same numbers from one product.

Source: LeCun et al. (1998) for the layer, Chellapilla et al. (2006) for its form as one matrix product, Glorot & Bengio
(2010) and He et al. (2015) for how weights begin.

Left out: dilation, groups, padding with anything but zeros, and kernels for one or three dimensions, all of which
`nn.Conv2d` and its sisters have; and faster algorithms that never build the windows.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class CenteredLayer(nn.Module):
    """Subtract from each row its own mean.

        y = x − mean(x)    along the last axis

    There is nothing to learn: no parameter, no buffer.
    """

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return rows whose mean is 0."""
        return x - x.mean(dim=-1, keepdim=True)


class StackedLayer(nn.Module):
    """Linear maps in a row with tanh between them; the weights stand in a ParameterList.

        h ← tanh(h·Wᵀ + b)    for all but the last map, which has no tanh

    Args:
        widths: Numbers of units, from the input to the output: at least two.
        rng: Generator of the weights; None is torch's own. The biases begin at 0.

    Raises:
        ValueError: There are fewer than two widths, or one is below 1.
    """

    def __init__(self, widths: Sequence[int], *, rng: torch.Generator | None = None):
        super().__init__()
        if len(widths) < 2 or min(widths) < 1:
            raise ValueError(f"widths must be two or more numbers of units, each at least 1, got {list(widths)}")
        drawn = (xavier_uniform_(torch.empty(after, before), rng=rng) for before, after in pairwise(widths))
        self.weights = nn.ParameterList(drawn)
        self.biases = nn.ParameterList(torch.zeros(width) for width in widths[1:])

    def forward(self, x: Float[Tensor, "*B D_in"]) -> Float[Tensor, "*B D_out"]:
        """Return the last map's output."""
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ weight.T + bias
            x = x if i == last else x.tanh()
        return x


class NamedHeads(nn.Module):
    """Several linear maps from one input, chosen by name; the weights stand in a ParameterDict.

        y = x·W[name]ᵀ

    Args:
        d_model: Width of the input.
        widths: Width of the output of each head, by its name.
        rng: Generator of the weights; None is torch's own.

    Raises:
        ValueError: There is no head, or a width is below 1.
    """

    def __init__(self, d_model: int, widths: Mapping[str, int], *, rng: torch.Generator | None = None):
        super().__init__()
        if not widths or min(d_model, *widths.values()) < 1:
            raise ValueError(f"d_model={d_model} and widths={dict(widths)} must give each head at least one unit")
        self.weights = nn.ParameterDict()
        for name, width in widths.items():  # one by one: update with a plain dict would sort the names
            self.weights[name] = xavier_uniform_(torch.empty(width, d_model), rng=rng)

    def forward(self, x: Float[Tensor, "*B D"], name: str) -> Float[Tensor, "*B D_out"]:
        """Return the output of one head.

        Raises:
            ValueError: There is no head of that name.
        """
        if name not in self.weights:
            raise ValueError(f"name={name!r} is no head: there are {list(self.weights.keys())}")
        return x @ self.weights[name].T


def output_size(size: int, kernel_size: int, *, stride: int = 1, padding: int = 0) -> int:
    """How many places a kernel has along one axis of an image.

        output = ⌊(size + 2·padding − kernel_size) / stride⌋ + 1

    Args:
        size: Pixels along the axis.
        kernel_size: The same of the kernel.
        stride: Pixels from one place to the next.
        padding: Zeros added at either end.

    Raises:
        ValueError: The kernel does not fit once, or an argument is out of range.

    Source: Dumoulin & Visin (2016), relationship 6.
    """
    least = {"size": 0, "kernel_size": 1, "stride": 1, "padding": 0}
    for name, value in (("size", size), ("kernel_size", kernel_size), ("stride", stride), ("padding", padding)):
        if value < least[name]:
            raise ValueError(f"{name} must be at least {least[name]}, got {value}")
    room = size + 2 * padding - kernel_size
    if room < 0:
        raise ValueError(f"kernel_size={kernel_size} does not fit into size={size}, even with padding={padding}")
    return room // stride + 1


def cross_correlate_loop(
    images: Float[Tensor, "B I rows cols"],
    kernels: Float[Tensor, "O I k_rows k_cols"],
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> Float[Tensor, "B O out_rows out_cols"]:
    """Slide each kernel over each image, place by place, and sum the products: the definition.

        output[b, o, row, col] = Σᵢ Σᵤ Σᵥ image[b, i, row·stride + u, col·stride + v]·kernel[o, i, u, v]

    Args:
        images: A batch of images with I channels.
        kernels: One kernel over all input channels for each of the O output channels.
        stride: Pixels from one place to the next; a pair is (down, across).
        padding: Zeros added at either end of the two axes; a pair is (top and bottom, left and right).

    Raises:
        ValueError: The channels differ, a kernel does not fit, or stride or padding is out of range.

    Source: Goodfellow et al. (2016), sections 9.1 and 9.5.
    """
    padded, (down, across), (out_rows, out_cols) = _prepared(images, kernels, stride, padding)
    k_rows, k_cols = kernels.shape[2:]
    output = images.new_empty(len(images), len(kernels), out_rows, out_cols)
    for row in range(out_rows):
        for col in range(out_cols):
            top, left = row * down, col * across
            window = padded[:, :, top : top + k_rows, left : left + k_cols]
            output[:, :, row, col] = (window[:, None] * kernels).sum(dim=(2, 3, 4))
    return output


def cross_correlate(
    images: Float[Tensor, "B I rows cols"],
    kernels: Float[Tensor, "O I k_rows k_cols"],
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> Float[Tensor, "B O out_rows out_cols"]:
    """Compute the same with all windows at once: a view with two more axes, and one product.

        output[b, o, row, col] = Σᵢ Σᵤ Σᵥ windows[b, i, row, col, u, v]·kernel[o, i, u, v]

    The windows overlap, and unfold lays them over the image without a copy. The product makes one, up to
    k_rows·k_cols times as large as the image: memory is what the speed costs.

    Args:
        images: A batch of images with I channels.
        kernels: One kernel over all input channels for each of the O output channels.
        stride: Pixels from one place to the next; a pair is (down, across).
        padding: Zeros added at either end of the two axes; a pair is (top and bottom, left and right).

    Raises:
        ValueError: The channels differ, a kernel does not fit, or stride or padding is out of range.

    Source: Chellapilla et al. (2006).
    """
    padded, (down, across), _ = _prepared(images, kernels, stride, padding)
    k_rows, k_cols = kernels.shape[2:]
    windows = padded.unfold(2, k_rows, down).unfold(3, k_cols, across)  # (B, I, out_rows, out_cols, k_rows, k_cols)
    return torch.einsum("b i r c u v, o i u v -> b o r c", windows, kernels)


class CrossCorrelation2d(nn.Module):
    """A layer of learned kernels: `nn.Conv2d` with zero padding, without dilation and groups.

        y = cross_correlate(x, weight) + bias

    Its weights begin as He et al. recommend before a ReLU, the biases at 0; `nn.Conv2d` draws both from another range.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, each with its own kernel and bias.
        kernel_size: Pixels of a kernel; a pair is (rows, columns).
        stride: Pixels from one place to the next; a pair is (down, across).
        padding: Zeros added at either end; a pair is (top and bottom, left and right).
        bias: Whether a number is added to each output channel.

    Raises:
        ValueError: A number is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        bias: bool = True,
    ):
        super().__init__()
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels < 1:
                raise ValueError(f"{name} must be at least 1, got {channels}")
        self.stride = _pair("stride", stride, least=1)
        self.padding = _pair("padding", padding, least=0)
        shape = (out_channels, in_channels, *_pair("kernel_size", kernel_size, least=1))
        self.weight = nn.Parameter(kaiming_normal_(torch.empty(shape), rng=None))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x: Float[Tensor, "B I rows cols"]) -> Float[Tensor, "B O out_rows out_cols"]:
        """Return one map per output channel."""
        maps = cross_correlate(x, self.weight, stride=self.stride, padding=self.padding)
        return maps if self.bias is None else maps + self.bias[:, None, None]

    def extra_repr(self) -> str:
        """What stands between the brackets when the layer is printed."""
        out_channels, in_channels, *kernel_size = self.weight.shape
        sizes = f"{in_channels}, {out_channels}, kernel_size={tuple(kernel_size)}"
        return f"{sizes}, stride={self.stride}, padding={self.padding}, bias={self.bias is not None}"


def xavier_uniform_(weight: Float[Tensor, "fan_out fan_in *kernel"], *, rng: torch.Generator | None) -> Tensor:
    """Draw weights that keep the scale of activations and of gradients where the units are linear; in place.

        w ~ U(−a, a),  a = √(6 / (fan_in + fan_out)),  so that Var(w) = 2 / (fan_in + fan_out)

    Args:
        weight: Filled in place, and returned. Its first axis counts outputs, the second inputs; what comes after is a
            kernel, whose size multiplies both fans.
        rng: Generator to draw from, on the device of the weight; None is torch's own.

    Raises:
        ValueError: The weight has fewer than two axes, or no element.

    Source: Glorot & Bengio (2010), equation 16.
    """
    fan_in, fan_out = _fans(weight)
    bound = math.sqrt(6 / (fan_in + fan_out))
    with torch.no_grad():
        return weight.uniform_(-bound, bound, generator=rng)


def kaiming_normal_(weight: Float[Tensor, "fan_out fan_in *kernel"], *, rng: torch.Generator | None) -> Tensor:
    """Draw weights that keep the scale of activations where each unit is followed by a ReLU; in place.

        w ~ N(0, σ²),  σ = √(2 / fan_in)

    Args:
        weight: Filled in place, and returned. Its first axis counts outputs, the second inputs; what comes after is a
            kernel, whose size multiplies fan_in.
        rng: Generator to draw from, on the device of the weight; None is torch's own.

    Raises:
        ValueError: The weight has fewer than two axes, or no element.

    Source: He et al. (2015), equation 10.
    """
    fan_in, _ = _fans(weight)
    with torch.no_grad():
        return weight.normal_(0, math.sqrt(2 / fan_in), generator=rng)


def _fans(weight: Tensor) -> tuple[int, int]:
    """How many inputs a unit reads, and by how many outputs an input is read."""
    if weight.ndim < 2 or weight.numel() == 0:
        raise ValueError(f"weight must have an output axis, an input axis and an element, got {tuple(weight.shape)}")
    kernel_size = math.prod(weight.shape[2:])
    return weight.shape[1] * kernel_size, weight.shape[0] * kernel_size


def _prepared(
    images: Tensor, kernels: Tensor, stride: int | tuple[int, int], padding: int | tuple[int, int]
) -> tuple[Tensor, tuple[int, int], tuple[int, int]]:
    """The padded images, the stride as a pair and the size of the output, or an error that says what does not fit."""
    if images.ndim != 4 or kernels.ndim != 4:
        shapes = f"{tuple(images.shape)} and {tuple(kernels.shape)}"
        raise ValueError(f"images and kernels must have four axes each, got the shapes {shapes}")
    if images.shape[1] != kernels.shape[1]:
        raise ValueError(f"images has {images.shape[1]} channels, and kernels reads {kernels.shape[1]}")
    (down, across), (above, beside) = _pair("stride", stride, least=1), _pair("padding", padding, least=0)
    out_rows = output_size(images.shape[2], kernels.shape[2], stride=down, padding=above)
    out_cols = output_size(images.shape[3], kernels.shape[3], stride=across, padding=beside)
    return F.pad(images, (beside, beside, above, above)), (down, across), (out_rows, out_cols)


def _pair(name: str, value: int | tuple[int, int], *, least: int) -> tuple[int, int]:
    """The value for rows and for columns, or an error that names the argument."""
    first, second = value if isinstance(value, tuple) else (value, value)
    if min(first, second) < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return first, second
