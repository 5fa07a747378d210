"""The autograd engine against torch: values and gradients of every operation, of random graphs, and of an MLP."""

from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mazelm.tensors.autograd import Tensor, softmax_cross_entropy
from sklearn.datasets import load_digits

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
PAIRS = arrays.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=4)


def assert_same(ours, theirs, *data, seed=0, tolerance=1e-12):
    """One function of tensors of each library, on the same data: the same value, and the same gradients."""
    leaves = [Tensor(array, requires_grad=True) for array in data]
    peers = [torch.tensor(array, requires_grad=True) for array in data]
    result, expected = ours(*leaves), theirs(*peers)
    assert result.shape == tuple(expected.shape)
    assert result.data.dtype == expected.detach().numpy().dtype
    np.testing.assert_allclose(result.data, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    gradient = np.random.default_rng(seed).normal(size=result.shape).astype(result.data.dtype)
    result.backward(gradient)
    expected.backward(torch.tensor(gradient))
    for leaf, peer in zip(leaves, peers, strict=True):
        if peer.grad is None:  # torch did not use it
            assert leaf.grad is None
            continue
        assert leaf.grad.shape == leaf.shape
        assert leaf.grad.dtype == leaf.data.dtype
        np.testing.assert_allclose(leaf.grad, peer.grad.numpy(), rtol=10 * tolerance, atol=10 * tolerance)


def drawn(shape, seed, *, positive=False):
    array = np.random.default_rng(seed).normal(size=shape)
    return np.abs(array) + 0.1 if positive else array


BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
}


@pytest.mark.parametrize("name", BINARY)
@given(shapes=PAIRS, seed=SEEDS)
def test_two_tensors_broadcast_both_ways(name, shapes, seed):
    a, b = (drawn(shape, seed + i, positive=True) for i, shape in enumerate(shapes.input_shapes))
    assert_same(BINARY[name], BINARY[name], a, b, seed=seed)


NUMBERS = {
    "x + 2": lambda x: x + 2,
    "2 + x": lambda x: 2 + x,
    "x - 2": lambda x: x - 2,
    "2 - x": lambda x: 2 - x,
    "x * 3": lambda x: x * 3,
    "3 * x": lambda x: 3 * x,
    "x / 3": lambda x: x / 3,
    "3 / x": lambda x: 3 / x,
    "x ** 2": lambda x: x**2,
    "x ** 0.5": lambda x: x**0.5,
    "x ** -1": lambda x: x**-1,
    "x ** 0": lambda x: x**0,
    "2 ** x": lambda x: 2**x,
    "-x": lambda x: -x,
    "exp": lambda x: x.exp(),
    "log": lambda x: x.log(),
    "tanh": lambda x: x.tanh(),
    "relu": lambda x: (x - 0.7).relu(),
    "relu of negatives": lambda x: (-x).relu(),
    "T of a matrix": lambda x: x.reshape(1, -1).T if x.ndim else x,
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(shape=SHAPES, seed=SEEDS)
def test_one_tensor_and_numbers(name, dtype, shape, seed):
    if name == "T of a matrix":
        assume(0 not in shape)
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    assert_same(NUMBERS[name], NUMBERS[name], drawn(shape, seed, positive=True).astype(dtype), tolerance=tolerance)


@given(
    shapes=arrays.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, min_side=0, max_side=4),
    seed=SEEDS,
)
def test_matrix_products_of_vectors_matrices_and_batches(shapes, seed):
    a, b = (drawn(shape, seed + i) for i, shape in enumerate(shapes.input_shapes))
    assert_same(lambda a, b: a @ b, lambda a, b: a @ b, a, b, seed=seed)


@st.composite
def reductions(draw):
    shape = draw(SHAPES)
    axes = range(-len(shape), len(shape))
    some = (
        st.lists(st.sampled_from(axes), min_size=1, unique_by=lambda axis: axis % len(shape)) if shape else st.nothing()
    )
    axis = draw(st.none() | (st.sampled_from(axes) | some.map(tuple) if shape else st.nothing()))
    return shape, axis, draw(st.booleans())


def all_axes(x, axis):
    """Torch has no None here."""
    return tuple(range(x.ndim)) if axis is None else axis


@given(case=reductions(), seed=SEEDS)
def test_sum(case, seed):
    shape, axis, keepdims = case
    assert_same(
        lambda x: x.sum(axis, keepdims),
        lambda x: x.sum(all_axes(x, axis), keepdim=keepdims),
        drawn(shape, seed),
        seed=seed,
    )


@given(case=reductions(), seed=SEEDS)
def test_mean(case, seed):
    shape, axis, keepdims = case
    if 0 in np.array(shape)[[*np.atleast_1d(all_axes(np.empty(shape), axis))]]:
        with pytest.raises(ValueError, match="to take the mean of"):
            Tensor(np.empty(shape)).mean(axis, keepdims)
    else:
        assert_same(
            lambda x: x.mean(axis, keepdims),
            lambda x: x.mean(all_axes(x, axis), keepdim=keepdims),
            drawn(shape, seed),
            seed=seed,
        )


@given(case=reductions(), seed=SEEDS, scale=st.sampled_from([1, 1000]))
def test_logsumexp(case, seed, scale):
    shape, axis, keepdims = case
    assert_same(
        lambda x: x.logsumexp(axis, keepdims),
        lambda x: x.logsumexp(all_axes(x, axis), keepdim=keepdims),
        drawn(shape, seed) * scale,
        seed=seed,
    )


def test_logsumexp_of_impossible_terms():
    some = np.array([[-np.inf, 1.0, 2.0], [-np.inf, -np.inf, 0.0]])
    assert_same(lambda x: x.logsumexp(1), lambda x: x.logsumexp(1), some)
    assert Tensor([-np.inf, -np.inf]).logsumexp().item() == torch.full((2,), -torch.inf).logsumexp(0).item()


@given(shape=SHAPES, seed=SEEDS, data=st.data())
def test_reshape_and_transpose(shape, seed, data):
    size = int(np.prod(shape))
    order = data.draw(st.permutations(range(len(shape))))
    order = [axis - len(shape) if data.draw(st.booleans()) else axis for axis in order]
    if order:
        assert_same(lambda x: x.transpose(*order), lambda x: x.permute(order), drawn(shape, seed), seed=seed)
    assert_same(lambda x: x.transpose(), lambda x: x.permute(tuple(range(x.ndim))[::-1]), drawn(shape, seed), seed=seed)
    divisors = [n for n in range(1, size + 1) if size % n == 0] or [1]
    rows = data.draw(st.sampled_from(divisors))
    new = (rows, size // rows)
    assert_same(lambda x: x.reshape(*new), lambda x: x.reshape(*new), drawn(shape, seed), seed=seed)
    assert_same(lambda x: x.reshape(new), lambda x: x.reshape(new), drawn(shape, seed), seed=seed)
    if size:
        assert_same(lambda x: x.reshape(rows, -1), lambda x: x.reshape(rows, -1), drawn(shape, seed), seed=seed)


@given(data=st.data(), seed=SEEDS)
def test_indexing(data, seed):
    shape = data.draw(arrays.array_shapes(max_dims=3, max_side=4))
    kinds = [
        arrays.basic_indices(shape, allow_newaxis=True).filter(forward),
        arrays.integer_array_indices(shape, result_shape=arrays.array_shapes(max_dims=2, max_side=5)),
        arrays.arrays(bool, shape),
    ]
    index = data.draw(st.one_of(kinds))
    assert_same(lambda x: x[index], lambda x: x[torch_index(index)], drawn(shape, seed), seed=seed)


def forward(index):
    """Torch has no slices that run backwards."""
    return all(
        not isinstance(item, slice) or (item.step or 1) > 0
        for item in (index if isinstance(index, tuple) else (index,))
    )


def torch_index(index):
    if isinstance(index, tuple):
        return tuple(map(torch_index, index))
    return torch.from_numpy(np.array(index)) if isinstance(index, np.ndarray) else index


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), seed=SEEDS, scale=st.sampled_from([1, 300]))
def test_softmax_cross_entropy(rows, columns, seed, scale):
    rng = np.random.default_rng(seed)
    labels = rng.integers(columns, size=rows)
    assert_same(
        lambda x: softmax_cross_entropy(x, labels),
        lambda x: torch.nn.functional.cross_entropy(x, torch.tensor(labels)),
        rng.normal(size=(rows, columns)) * scale,
        seed=seed,
    )


SPECIAL = np.array([-2.0, -1.0, -0.0, 0.0, 1.0, 2.0, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", ["x ** 2", "x ** 0", "x ** -1", "3 / x", "exp", "log", "tanh", "x * 3", "2 ** x"])
def test_zeros_infinities_and_nan_go_the_same_way(name):
    with np.errstate(all="ignore"):
        assert_same(NUMBERS[name], NUMBERS[name], SPECIAL)


@pytest.mark.parametrize(
    ("base", "exponent"), [(0.0, 0.0), (0.0, 2.0), (0.0, 1.0), (2.0, 0.0), (-2.0, 3.0), (0.0, -1.0)]
)
def test_powers_at_their_edges(base, exponent):
    with np.errstate(all="ignore"):
        assert_same(lambda a, b: a**b, lambda a, b: a**b, np.array([base]), np.array([exponent]))


def test_relu_at_zero_has_the_slope_that_torch_gives_it():
    assert_same(lambda x: x.relu(), lambda x: x.relu(), np.array([-1.0, 0.0, 1.0]))


# Each takes two tensors of any of the shapes below, of either library, and stays in the range where it is smooth.
STEPS = [
    lambda a, b: a + b,
    lambda a, b: a - 0.5 * b,
    lambda a, b: a * b,
    lambda a, b: a / (b * b + 1),
    lambda a, b: (a * a + 0.5) ** (b.tanh()),
    lambda a, b: a.tanh() * 2,
    lambda a, b: (a.tanh() + b.tanh()).exp(),
    lambda a, b: (a * a + b * b + 0.1).log(),
    lambda a, b: (a - 0.3).relu(),
    lambda a, b: 1 / (a**2 + 1) - b,
    lambda a, b: a.reshape(-1)[0] * b,
    lambda a, b: a.sum() * 0.1 + b,
    lambda a, b: a * b.mean(),
    lambda a, b: a.reshape(-1).logsumexp(-1) + b,
    lambda a, b: (a.reshape(-1, 1) @ b.reshape(1, -1)).mean() + a,
    lambda a, b: a.reshape(-1).reshape(a.shape) * 0.9,
    lambda a, b: a.detach() + b,
]
GRAPH_SHAPES = [(), (1,), (3,), (2, 1), (1, 3), (2, 3)]


def random_graph(rng):
    """A recipe: which step takes which two of the results so far. Any two of the shapes broadcast."""
    n_leaves, n_steps = int(rng.integers(2, 5)), int(rng.integers(3, 16))
    shapes = [GRAPH_SHAPES[i] for i in rng.integers(len(GRAPH_SHAPES), size=n_leaves)]
    steps = [(int(rng.integers(len(STEPS))), *rng.integers(n_leaves + i, size=2).tolist()) for i in range(n_steps)]
    return [rng.normal(size=shape) for shape in shapes], steps


def run(leaves, steps):
    values = list(leaves)
    for step, i, j in steps:
        values.append(STEPS[step](values[i], values[j]).tanh())  # tanh keeps long graphs from growing without bound
    return reduce(lambda total, value: total + value.sum(), values[1:], values[0].sum())


def test_a_thousand_random_graphs():
    rng = np.random.default_rng(0)
    used = set()
    for number in range(1000):
        data, steps = random_graph(rng)
        used |= {step for step, _, _ in steps}
        leaves = [Tensor(array, requires_grad=True) for array in data]
        peers = [torch.tensor(array, requires_grad=True) for array in data]
        loss, expected = run(leaves, steps), run(peers, steps)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-12, abs=1e-12), number
        loss.backward()
        expected.backward()
        for leaf, peer in zip(leaves, peers, strict=True):
            np.testing.assert_allclose(leaf.grad, peer.grad.numpy(), rtol=1e-9, atol=1e-9, err_msg=str((number, steps)))
    assert used == set(range(len(STEPS)))


def test_an_mlp_on_digits_has_the_losses_of_torch_for_a_hundred_steps(unchecked):
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    layers = [(64, 32), (32, 32), (32, 10)]
    data = [array for n, m in layers for array in (rng.normal(size=(n, m)) * (2 / n) ** 0.5, np.zeros(m))]
    ours = [Tensor(array.copy(), requires_grad=True) for array in data]
    theirs = [torch.tensor(array, requires_grad=True) for array in data]

    def logits(x, p):
        return (((x @ p[0] + p[1]).relu() @ p[2] + p[3]).relu()) @ p[4] + p[5]

    losses = []
    for _ in range(100):
        batch = rng.integers(len(images), size=64)
        x, y = images[batch] / 16, labels[batch]
        loss = softmax_cross_entropy(logits(Tensor(x), ours), y)
        expected = torch.nn.functional.cross_entropy(logits(torch.tensor(x), theirs), torch.tensor(y))
        loss.backward()
        expected.backward()
        for tensor, peer in zip(ours, theirs, strict=True):
            tensor.data -= 0.2 * tensor.grad
            tensor.grad = None
            with torch.no_grad():
                peer -= 0.2 * peer.grad
            peer.grad = None
        losses.append((loss.item(), expected.item()))
    ours_seen, theirs_seen = np.array(losses).T
    np.testing.assert_allclose(ours_seen, theirs_seen, rtol=0, atol=1e-10)
    assert ours_seen[-10:].mean() < 0.3 * ours_seen[:10].mean()  # it has learned something, so the gradients mattered
