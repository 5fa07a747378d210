"""Layers: by hand, by definition, at their limits, under changes that must not matter, on bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
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

BOTH = [cross_correlate_loop, cross_correlate]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def image(rows):
    return torch.tensor(rows, dtype=torch.float64)[None, None]


@st.composite
def problems(draw):
    """Images, kernels, stride and padding that fit together, some only just."""
    batch, channels, kernels = (draw(st.integers(least, 3)) for least in (0, 1, 1))
    kernel, stride, padding, size = (
        tuple(draw(st.integers(least, most)) for _ in range(2)) for least, most in ((1, 4), (1, 3), (0, 2), (0, 4))
    )
    sizes = [max(extra + k - 2 * p, 0) for extra, k, p in zip(size, kernel, padding, strict=True)]
    seed = draw(st.integers(0, 10**6))
    images = normal(batch, channels, *sizes, seed=seed)
    return images, normal(kernels, channels, *kernel, seed=seed + 1), stride, padding


def slow_cross_correlation(images, kernels, stride, padding):
    """The definition with seven loops; outside the image there are zeros."""
    (batch, channels, rows, cols), (outs, _, k_rows, k_cols) = images.shape, kernels.shape
    out_rows = len(range(0, rows + 2 * padding[0] - k_rows + 1, stride[0]))
    out_cols = len(range(0, cols + 2 * padding[1] - k_cols + 1, stride[1]))
    output = np.zeros((batch, outs, out_rows, out_cols))
    for b, o, row, col in np.ndindex(output.shape):
        for i, u, v in np.ndindex(channels, k_rows, k_cols):
            y, x = row * stride[0] + u - padding[0], col * stride[1] + v - padding[1]
            if 0 <= y < rows and 0 <= x < cols:
                output[b, o, row, col] += images[b, i, y, x].item() * kernels[o, i, u, v].item()
    return torch.from_numpy(output)


# --- by hand


@pytest.mark.parametrize("function", BOTH)
def test_a_small_image_by_hand(function):
    picture, kernel = image([[0, 1, 2], [3, 4, 5], [6, 7, 8]]), image([[0, 1], [2, 3]])
    first = 0 * 0 + 1 * 1 + 3 * 2 + 4 * 3
    assert function(picture, kernel).tolist() == [[[[first, 25], [37, 43]]]]
    assert function(picture, kernel, stride=2).tolist() == [[[[first]]]]
    assert function(picture, kernel, padding=1)[0, 0, 0].tolist() == [0, 3, 8, 4]  # the kernel's last row meets row 0
    assert function(picture, kernel, padding=(0, 1))[0, 0, 0].tolist() == [0 * 1 + 3 * 3, first, 25, 2 * 0 + 5 * 2]
    assert function(picture, kernel, stride=(1, 2)).tolist() == [[[[first], [37]]]]


@pytest.mark.parametrize("function", BOTH)
def test_channels_are_summed_and_kernels_are_not(function):
    two = torch.cat([image([[1, 2]]), image([[10, 20]])], dim=1)
    kernels = torch.tensor([[[[1.0, 0]], [[0, 1]]], [[[0, 0]], [[1, 1]]]], dtype=torch.float64)
    assert function(two, kernels).tolist() == [[[[1 + 20]], [[30]]]]


@pytest.mark.parametrize("function", BOTH)
def test_the_kernel_is_not_flipped(function):
    assert function(image([[0, 0, 1]]), image([[1, 2, 3]])).item() == 3


def test_centred_rows():
    layer = CenteredLayer()
    assert layer(torch.tensor([[1.0, 2, 6], [0, 0, 3]])).tolist() == [[-2, -1, 3], [-1, -1, 2]]
    assert layer(torch.tensor([5.0])).tolist() == [0]
    assert not list(layer.parameters())
    assert not layer.state_dict()


def test_a_stack_by_hand():
    stack = StackedLayer([1, 2, 1], rng=generator())
    with torch.no_grad():
        stack.weights[0].copy_(torch.tensor([[1.0], [2.0]]))
        stack.biases[0].copy_(torch.tensor([0.0, 1.0]))
        stack.weights[1].copy_(torch.tensor([[3.0, -1.0]]))
        stack.biases[1].fill_(0.5)
    by_hand = 3 * math.tanh(0.5) - math.tanh(2.0) + 0.5
    assert stack(torch.tensor([[0.5]])).item() == pytest.approx(by_hand, rel=1e-6)


def test_the_last_map_of_a_stack_has_no_tanh():
    assert StackedLayer([4, 300], rng=generator())(10 * torch.ones(4)).abs().max() > 1


def test_heads_by_hand():
    heads = NamedHeads(2, {"sum": 1, "parts": 2}, rng=generator())
    with torch.no_grad():
        heads.weights["sum"].copy_(torch.tensor([[1.0, 1.0]]))
        heads.weights["parts"].copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    assert heads(torch.tensor([[3.0, 4.0]]), "sum").tolist() == [[7]]
    assert heads(torch.tensor([3.0, 4.0]), "parts").tolist() == [3, 8]


# --- what is registered


def test_parameters_are_registered_in_order():
    stack = StackedLayer([3, 4, 2], rng=generator())
    shapes = {name: tuple(parameter.shape) for name, parameter in stack.named_parameters()}
    assert shapes == {"weights.0": (4, 3), "weights.1": (2, 4), "biases.0": (4,), "biases.1": (2,)}
    heads = NamedHeads(3, {"z": 1, "a": 2}, rng=generator())
    assert [(name, tuple(p.shape)) for name, p in heads.named_parameters()] == [
        ("weights.z", (1, 3)),
        ("weights.a", (2, 3)),
    ]
    layer = CrossCorrelation2d(3, 5, (2, 4))
    assert {name: tuple(p.shape) for name, p in layer.named_parameters()} == {"weight": (5, 3, 2, 4), "bias": (5,)}
    assert list(CrossCorrelation2d(3, 5, 2, bias=False).state_dict()) == ["weight"]
    assert all(p.requires_grad for module in (stack, heads, layer) for p in module.parameters())


def test_a_stack_learns_all_its_weights():
    stack = StackedLayer([2, 5, 5, 1], rng=generator())
    stack(torch.randn(7, 2, generator=generator(1))).square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in stack.parameters())


def test_only_the_head_in_use_has_a_gradient():
    heads = NamedHeads(2, {"one": 1, "other": 1}, rng=generator())
    heads(torch.ones(3, 2), "one").sum().backward()
    assert heads.weights["one"].grad.tolist() == [[3, 3]]
    assert heads.weights["other"].grad is None


def test_the_same_seed_draws_the_same_weights_and_leaves_torch_s_own_generator_alone():
    before = torch.get_rng_state()
    for make in (
        lambda rng: StackedLayer([3, 4, 2], rng=rng).weights[1],
        lambda rng: NamedHeads(3, {"a": 2}, rng=rng).weights["a"],
    ):
        assert torch.equal(make(generator(7)), make(generator(7)))
        assert not torch.equal(make(generator(7)), make(generator(8)))
    assert torch.equal(before, torch.get_rng_state())


def test_without_a_generator_torch_s_own_is_used():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        layer, stack = CrossCorrelation2d(2, 3, 3), StackedLayer([3, 2])
        torch.manual_seed(3)
        again, stack_again = CrossCorrelation2d(2, 3, 3), StackedLayer([3, 2])
    assert torch.equal(layer.weight, again.weight)
    assert torch.equal(stack.weights[0], stack_again.weights[0])
    assert layer.bias.tolist() == [0, 0, 0]


def test_the_layer_begins_by_kaiming():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weight = CrossCorrelation2d(32, 64, (3, 5)).weight
    assert weight.var().item() == pytest.approx(2 / (32 * 3 * 5), rel=0.03)


def test_a_layer_says_what_it_is():
    described = repr(CrossCorrelation2d(3, 8, (3, 5), stride=2, padding=(1, 2), bias=False))
    assert described == ("CrossCorrelation2d(3, 8, kernel_size=(3, 5), stride=(2, 2), padding=(1, 2), bias=False)")


def test_a_bias_is_added_to_each_channel():
    layer = CrossCorrelation2d(1, 2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, 2.0])[:, None, None, None])
        layer.bias.copy_(torch.tensor([10.0, 20.0]))
    assert layer(torch.tensor([[[[1.0, 3.0]]]])).tolist() == [[[[11, 13]], [[22, 26]]]]


# --- by definition


@given(problems())
def test_eq_cross_correlation(problem):
    images, kernels, stride, padding = problem
    slow = slow_cross_correlation(images, kernels, stride, padding)
    for function in BOTH:
        torch.testing.assert_close(
            function(images, kernels, stride=stride, padding=padding), slow, rtol=1e-12, atol=1e-12
        )


@given(st.integers(0, 12), st.integers(1, 6), st.integers(1, 4), st.integers(0, 3))
def test_eq_output_size(size, kernel_size, stride, padding):
    places = [left for left in range(0, size + 2 * padding, stride) if left + kernel_size <= size + 2 * padding]
    if places:
        assert output_size(size, kernel_size, stride=stride, padding=padding) == len(places)
    else:
        with pytest.raises(ValueError, match=r"kernel_size=\d+ does not fit into size=\d+, even with padding=\d"):
            output_size(size, kernel_size, stride=stride, padding=padding)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_eq_xavier(fan_out, fan_in, k_rows, k_cols):
    """2 / (fan_in + fan_out) is the variance: of the bound a, a²/3. No draw is outside, and some come close."""
    weight = torch.empty(fan_out, fan_in, k_rows, k_cols, dtype=torch.float64)
    bound = math.sqrt(3 * 2 / (fan_in * k_rows * k_cols + fan_out * k_rows * k_cols))
    largest = torch.stack([xavier_uniform_(weight, rng=generator(seed)).abs().max() for seed in range(60)]).max()
    assert largest <= bound
    assert largest > 0.8 * bound


def test_eq_kaiming():
    """σ² = 2 / fan_in, and fan_in counts the pixels of a kernel, not the outputs."""
    for shape in ((500, 300), (20, 60, 5, 7), (300, 4, 50)):
        weight = kaiming_normal_(torch.empty(shape, dtype=torch.float64), rng=generator())
        fan_in = shape[1] * math.prod(shape[2:])
        assert weight.var().item() == pytest.approx(2 / fan_in, rel=0.03)
        assert weight.mean().abs().item() < 4 * math.sqrt(2 / fan_in / weight.numel())
        assert (weight.abs() > 2 * math.sqrt(2 / fan_in)).double().mean().item() == pytest.approx(0.0455, abs=0.004)


def test_a_relu_network_keeps_its_scale_under_kaiming_and_loses_it_under_xavier():
    x = torch.randn(500, 200, generator=generator())
    for fill, expected in ((kaiming_normal_, 1.0), (xavier_uniform_, 0.5**10)):
        h = x
        for depth in range(10):
            h = (h @ fill(torch.empty(200, 200), rng=generator(depth)).T).relu()
        assert expected / 2 < h.square().mean().item() < 2 * expected


# --- at their limits


@pytest.mark.parametrize("function", BOTH)
def test_a_kernel_as_large_as_the_image_has_one_place(function):
    picture, kernel = normal(1, 2, 3, 4), normal(1, 2, 3, 4, seed=1)
    assert function(picture, kernel).item() == pytest.approx((picture * kernel).sum().item(), rel=1e-12)
    assert function(picture, kernel, stride=9).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("function", BOTH)
def test_a_kernel_of_one_pixel_mixes_channels_only(function):
    picture, kernel = normal(2, 3, 4, 5), normal(6, 3, 1, 1, seed=1)
    mixed = torch.einsum("bihw,oi->bohw", picture, kernel[:, :, 0, 0])
    torch.testing.assert_close(function(picture, kernel), mixed, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", BOTH)
def test_no_image_and_an_image_of_nothing_but_padding(function):
    assert function(normal(0, 2, 5, 5), normal(3, 2, 2, 2)).shape == (0, 3, 4, 4)
    assert function(normal(1, 1, 0, 3), normal(1, 1, 2, 2), padding=1).tolist() == [[[[0] * 4]]]


def test_the_smallest_stack_is_one_linear_map():
    stack, x = StackedLayer([3, 2], rng=generator()), torch.randn(4, 3, generator=generator(1))
    torch.testing.assert_close(stack(x), x @ stack.weights[0].T)


# --- by invariance


@given(problems())
def test_it_is_linear_in_images_and_in_kernels(problem):
    images, kernels, stride, padding = problem
    others = normal(*images.shape, seed=99)
    more = normal(*kernels.shape, seed=98)
    run = {"stride": stride, "padding": padding}
    whole = cross_correlate(2 * images - others, kernels, **run)
    parts = 2 * cross_correlate(images, kernels, **run) - cross_correlate(others, kernels, **run)
    torch.testing.assert_close(whole, parts, rtol=1e-10, atol=1e-10)
    whole = cross_correlate(images, kernels + more, **run)
    parts = cross_correlate(images, kernels, **run) + cross_correlate(images, more, **run)
    torch.testing.assert_close(whole, parts, rtol=1e-10, atol=1e-10)


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 100))
def test_a_shifted_image_gives_a_shifted_map(down, right, seed):
    scene, kernel = normal(1, 2, 9, 10, seed=seed), normal(3, 2, 3, 2, seed=seed + 1)
    moved = cross_correlate(scene[:, :, down:, right:], kernel)
    torch.testing.assert_close(moved, cross_correlate(scene, kernel)[:, :, down:, right:], rtol=1e-12, atol=1e-12)


@given(st.integers(1, 3), st.integers(0, 100))
def test_with_a_stride_shifts_by_that_stride_move_the_map_by_one(stride, seed):
    scene, kernel = normal(1, 2, 9, 10, seed=seed), normal(3, 2, 3, 2, seed=seed + 1)
    moved = cross_correlate(scene[:, :, stride:, stride:], kernel, stride=stride)
    torch.testing.assert_close(moved, cross_correlate(scene, kernel, stride=stride)[:, :, 1:, 1:])


def test_inputs_are_left_alone():
    images, kernels = normal(1, 1, 3, 3), normal(1, 1, 2, 2)
    before = images.clone(), kernels.clone()
    for function in BOTH:
        function(images, kernels, padding=1)
    assert torch.equal(images, before[0])
    assert torch.equal(kernels, before[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_dtype_of_the_input_is_kept(dtype):
    for function in BOTH:
        assert function(normal(1, 1, 3, 3).to(dtype), normal(1, 1, 2, 2).to(dtype)).dtype == dtype
    assert CrossCorrelation2d(1, 1, 2).to(dtype)(normal(1, 1, 3, 3).to(dtype)).dtype == dtype


@given(problems())
def test_both_forms_have_the_gradients_of_finite_differences(problem):
    images, kernels, stride, padding = problem
    if images.numel() == 0:
        return
    images, kernels = images[:1].requires_grad_(), kernels.requires_grad_()
    steps = normal(*images.shape, seed=6), normal(*kernels.shape, seed=7)
    for function in BOTH:

        def total(x, w, function=function):
            return function(x, w, stride=stride, padding=padding).tanh().sum()

        gradients = torch.autograd.grad(total(images, kernels), [images, kernels])
        along = sum((gradient * step).sum().item() for gradient, step in zip(gradients, steps, strict=True))
        ahead, behind = (total(images + h * steps[0], kernels + h * steps[1]).item() for h in (1e-5, -1e-5))
        assert along == pytest.approx((ahead - behind) / 2e-5, rel=1e-6, abs=1e-6)


def test_filling_is_no_part_of_the_graph_and_gives_the_weight_back():
    for fill in (xavier_uniform_, kaiming_normal_):
        parameter = nn.Parameter(torch.zeros(3, 4))
        assert fill(parameter, rng=generator()) is parameter
        assert parameter.grad_fn is None
        assert parameter.is_leaf
        assert parameter.abs().min() > 0


# --- bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": -1}, r"size must be at least 0, got -1"),
        ({"kernel_size": 0}, r"kernel_size must be at least 1, got 0"),
        ({"stride": 0}, r"stride must be at least 1, got 0"),
        ({"padding": -1}, r"padding must be at least 0, got -1"),
        ({"kernel_size": 6}, r"kernel_size=6 does not fit into size=5, even with padding=0"),
        ({"kernel_size": 8, "padding": 1}, r"kernel_size=8 does not fit into size=5, even with padding=1"),
    ],
)
def test_no_output_size(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        output_size(**{"size": 5, "kernel_size": 3} | arguments)


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize(
    ("shapes", "settings", "message"),
    [
        (((1, 2, 5, 5), (1, 3, 2, 2)), {}, r"images has 2 channels, and kernels reads 3"),
        (((2, 5, 5), (1, 2, 2, 2)), {}, r"images and kernels .*four axes .*\(2, 5, 5\) and \(1, 2, 2, 2\)"),
        (((1, 2, 5, 5), (2, 2, 2)), {}, r"images and kernels .*four axes .*\(1, 2, 5, 5\) and \(2, 2, 2\)"),
        (((1, 1, 2, 5), (1, 1, 3, 3)), {}, r"kernel_size=3 does not fit into size=2, even with padding=0"),
        (((1, 1, 5, 1), (1, 1, 3, 4)), {"padding": 1}, r"kernel_size=4 does not fit into size=1, even with padding=1"),
        (((1, 1, 5, 5), (1, 1, 2, 2)), {"stride": 0}, r"stride must be at least 1, got 0"),
        (((1, 1, 5, 5), (1, 1, 2, 2)), {"stride": (1, -2)}, r"stride must be at least 1, got \(1, -2\)"),
        (((1, 1, 5, 5), (1, 1, 2, 2)), {"padding": (-1, 0)}, r"padding must be at least 0, got \(-1, 0\)"),
        (((1, 1, 5, 5), (1, 1, 0, 2)), {}, r"kernel_size must be at least 1, got 0"),
    ],
)
def test_images_and_kernels_that_do_not_fit(unchecked, function, shapes, settings, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        function(*(torch.zeros(shape) for shape in shapes), **settings)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"out_channels": -2}, "out_channels must be at least 1, got -2"),
        ({"kernel_size": 0}, "kernel_size must be at least 1, got 0"),
        ({"kernel_size": (3, 0)}, r"kernel_size must be at least 1, got \(3, 0\)"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"padding": -1}, "padding must be at least 0, got -1"),
    ],
)
def test_no_layer(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        CrossCorrelation2d(**{"in_channels": 1, "out_channels": 1, "kernel_size": 3} | arguments)


@pytest.mark.parametrize("widths", [[], [3], [3, 0, 2], [-1, 2]])
def test_no_stack(widths):
    with pytest.raises(ValueError, match=r"^widths must be two or more numbers of units, each at least 1, got \["):
        StackedLayer(widths)


def test_no_head():
    for d_model, widths in ((2, {}), (0, {"a": 1}), (2, {"a": 1, "b": 0})):
        with pytest.raises(ValueError, match=r"^d_model=\d and widths=\{.*\} must give each head"):
            NamedHeads(d_model, widths)
    with pytest.raises(ValueError, match=r"name='c' is no head: there are \['b', 'a'\]"):
        NamedHeads(2, {"b": 1, "a": 1})(torch.zeros(1, 2), "c")


@pytest.mark.parametrize("fill", [xavier_uniform_, kaiming_normal_])
@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (3, 0), (2, 3, 0)])
def test_no_weight(unchecked, fill, shape):
    with pytest.raises(ValueError, match=r"^weight must have an output axis, .* and an element, got \("):
        fill(torch.zeros(shape), rng=generator())
