"""The cross-correlation layer against nn.Conv2d and scipy, linear layers against nn.Linear, initialisers against
torch.nn.init and the distributions of scipy."""

import math

import pytest
import scipy.signal
import scipy.stats
import torch
import torch.nn.functional as F
from hypothesis import example, given
from hypothesis import strategies as st
from mazelm.training.layers import (
    CenteredLayer,
    CrossCorrelation2d,
    NamedHeads,
    StackedLayer,
    cross_correlate,
    cross_correlate_loop,
    kaiming_normal_,
    output_size,
    xavier_uniform_,
)
from torch import nn

TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
pairs = st.tuples


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@st.composite
def layers(draw):
    """Arguments of a layer, and the shape of images that it can read: as small as its kernel, or larger."""
    kernel, stride, padding = (draw(pairs(*[st.integers(*ends)] * 2)) for ends in ((1, 5), (1, 3), (0, 3)))
    if draw(st.booleans()):  # one number stands for both axes
        kernel, stride, padding = (two[0] for two in (kernel, stride, padding))
    channels, kernels = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    arguments = (channels, kernels, kernel)
    options = {"stride": stride, "padding": padding, "bias": draw(st.booleans())}
    spread = [(value, value) if isinstance(value, int) else value for value in (kernel, padding)]
    sizes = [max(k - 2 * p, 1) + draw(st.integers(0, 8)) for k, p in zip(*spread, strict=True)]
    return arguments, options, (draw(st.integers(1, 3)), channels, *sizes)


def twins(arguments, options, dtype):
    """Our layer and torch's, with the same weights."""
    ours, theirs = CrossCorrelation2d(*arguments, **options), nn.Conv2d(*arguments, **options)
    ours.load_state_dict(theirs.state_dict())  # the same names and shapes
    return ours.to(dtype), theirs.to(dtype)


def value_and_gradients(layer, images, direction):
    images = images.clone().requires_grad_()
    output = layer(images)
    (output * direction).sum().backward()
    return [output.detach(), images.grad, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(layers(), st.integers(0, 10**6))
@example(((1, 1, 3), {"stride": 1, "padding": 0, "bias": False}, (1, 1, 3, 3)), 0)
@example(((3, 8, (3, 5)), {"stride": (2, 1), "padding": (1, 2), "bias": True}, (2, 3, 17, 24)), 1)
@example(((2, 3, 3), {"stride": 2, "padding": 1, "bias": True}, (1, 2, 16, 16)), 2)  # the last column is not reached
def test_values_and_gradients_of_the_layer(dtype, problem, seed):
    arguments, options, shape = problem
    ours, theirs = twins(arguments, options, dtype)
    images = torch.randn(shape, generator=generator(seed), dtype=dtype)
    expected = theirs(images)
    assert list(expected.shape[2:]) == [
        output_size(images.shape[2 + i], theirs.kernel_size[i], stride=theirs.stride[i], padding=theirs.padding[i])
        for i in range(2)
    ]
    direction = torch.randn(expected.shape, generator=generator(seed + 1), dtype=dtype) / math.sqrt(expected.numel())
    for mine, peer in zip(
        value_and_gradients(ours, images, direction), value_and_gradients(theirs, images, direction), strict=True
    ):
        torch.testing.assert_close(mine, peer, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@given(layers(), st.integers(0, 10**6))
def test_both_functions(problem, seed):
    (channels, kernels, kernel), options, shape = problem
    settings = {name: options[name] for name in ("stride", "padding")}
    images = torch.randn(shape, generator=generator(seed), dtype=torch.float64)
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    weight = torch.randn(kernels, channels, *kernel, generator=generator(seed + 1), dtype=torch.float64)
    peer = F.conv2d(images, weight, **settings)
    for function in (cross_correlate, cross_correlate_loop):
        torch.testing.assert_close(function(images, weight, **settings), peer, rtol=1e-12, atol=1e-12)


def test_a_larger_layer_in_float32():
    ours, theirs = twins((16, 32, 3), {"padding": 1}, torch.float32)
    images = torch.randn(4, 16, 28, 28, generator=generator())
    torch.testing.assert_close(ours(images), theirs(images), rtol=1e-6, atol=1e-6)


def test_second_derivatives():
    images = torch.randn(1, 2, 5, 4, generator=generator(), dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 2, 2, 3, generator=generator(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, w: cross_correlate(x, w, stride=2, padding=1), (images, weight))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 5), st.integers(0, 5), st.integers(0, 10**6))
def test_scipy_tells_correlation_from_convolution(k_rows, k_cols, more_rows, more_cols, seed):
    scene = torch.randn(k_rows + more_rows, k_cols + more_cols, generator=generator(seed), dtype=torch.float64)
    kernel = torch.randn(k_rows, k_cols, generator=generator(seed + 1), dtype=torch.float64)
    ours = cross_correlate(scene[None, None], kernel[None, None])[0, 0].numpy()
    flipped = cross_correlate(scene[None, None], kernel.flip(0, 1)[None, None])[0, 0].numpy()
    near = {"rel": 1e-12, "abs": 1e-12}
    assert ours == pytest.approx(scipy.signal.correlate2d(scene.numpy(), kernel.numpy(), mode="valid"), **near)
    assert flipped == pytest.approx(scipy.signal.convolve2d(scene.numpy(), kernel.numpy(), mode="valid"), **near)


@pytest.mark.parametrize("widths", [[3, 2], [4, 7, 1], [2, 5, 5, 3]])
def test_a_stack_is_a_sequence_of_linear_and_tanh(widths):
    ours = StackedLayer(widths, rng=generator()).double()
    theirs = nn.Sequential()
    for i, (weight, bias) in enumerate(zip(ours.weights, ours.biases, strict=True)):
        linear = nn.Linear(weight.shape[1], weight.shape[0]).double()
        linear.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
        theirs.append(linear)
        if i < len(widths) - 2:
            theirs.append(nn.Tanh())
    x = torch.randn(6, widths[0], generator=generator(1), dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-12, atol=1e-12)


def test_heads_and_centring():
    heads, x = NamedHeads(4, {"a": 3, "b": 2}, rng=generator()), torch.randn(5, 4, generator=generator(1))
    for name in ("a", "b"):
        torch.testing.assert_close(heads(x, name), F.linear(x, heads.weights[name]))
    scaled = F.layer_norm(x, (4,), eps=0)
    torch.testing.assert_close(CenteredLayer()(x) / x.std(dim=1, keepdim=True, correction=0), scaled)


shapes = st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.tuples(*[st.integers(1, 5)] * 4)


@given(shapes, st.integers(0, 10**6), st.sampled_from([torch.float32, torch.float64]))
def test_initialisers_draw_what_torch_draws(shape, seed, dtype):
    """The same generator gives the same numbers: so the formulas for the scale are the same."""
    ours, theirs = torch.empty(shape, dtype=dtype), torch.empty(shape, dtype=dtype)
    xavier_uniform_(ours, rng=generator(seed))
    nn.init.xavier_uniform_(theirs, generator=generator(seed))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)
    kaiming_normal_(ours, rng=generator(seed))
    nn.init.kaiming_normal_(theirs, nonlinearity="relu", generator=generator(seed))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", [(60, 200), (200, 60), (30, 10, 5, 8)])
def test_distributions_of_the_initialisers(shape):
    probe = torch.empty(shape)
    fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(probe)
    bound = math.sqrt(6 / (fan_in + fan_out))
    drawn = xavier_uniform_(torch.empty(shape, dtype=torch.float64), rng=generator())
    assert scipy.stats.kstest(drawn.ravel().numpy(), scipy.stats.uniform(-bound, 2 * bound).cdf).pvalue > 0.01
    assert drawn.var().item() == pytest.approx(2 / (fan_in + fan_out), rel=0.03)
    drawn = kaiming_normal_(torch.empty(shape, dtype=torch.float64), rng=generator())
    assert scipy.stats.kstest(drawn.ravel().numpy(), scipy.stats.norm(0, math.sqrt(2 / fan_in)).cdf).pvalue > 0.01
    assert drawn.var().item() == pytest.approx(nn.init.calculate_gain("relu") ** 2 / fan_in, rel=0.04)
