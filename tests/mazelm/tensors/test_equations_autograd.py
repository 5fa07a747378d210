"""The labelled equations of the lesson on autograd, each written out slowly and compared with the library."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mazelm.tensors.autograd import Tensor, softmax_cross_entropy

seeds = st.integers(0, 2**32 - 1)


def random_graph(seed):
    """A leaf, other leaves, and a result; with the graph as a list of (child, parent, slope), one for each use."""
    rng = np.random.default_rng(seed)
    tensors = [Tensor(np.array(value), requires_grad=True) for value in rng.uniform(-1, 1, size=3)]
    leaf, arrows = tensors[0], []
    for _ in range(9):
        a, b = (tensors[i] for i in rng.integers(len(tensors), size=2))
        kind = rng.integers(3)
        child = (a + b, a * b, (a * b).tanh())[kind]
        if kind == 0:
            arrows += [(child, a, 1.0), (child, b, 1.0)]
        elif kind == 1:
            arrows += [(child, a, b.item()), (child, b, a.item())]
        else:
            flat = 1 - math.tanh(a.item() * b.item()) ** 2
            arrows += [(child, a, flat * b.item()), (child, b, flat * a.item())]
        tensors.append(child)
    result = tensors[-1] + leaf
    return leaf, result, [*arrows, (result, tensors[-1], 1.0), (result, leaf, 1.0)]


def gradient_of(tensor, leaf):
    leaf.grad = None
    tensor.backward()
    return leaf.grad


@given(seeds)
def test_eq_path_sum(seed):
    leaf, result, arrows = random_graph(seed)

    def ways(node):
        if node is leaf:
            yield 1.0
        for child, parent, slope in arrows:
            if child is node:
                for rest in ways(parent):
                    yield slope * rest

    assert gradient_of(result, leaf) == pytest.approx(sum(ways(result)), rel=1e-10, abs=1e-12)


@given(seeds)
def test_eq_adjoint(seed):
    leaf, result, arrows = random_graph(seed)

    def adjoint(node):
        if node is result:
            return 1.0
        total = 0.0
        for child, parent, slope in arrows:
            if parent is node:
                total += adjoint(child) * slope
        return total

    assert gradient_of(result, leaf) == pytest.approx(adjoint(leaf), rel=1e-10, abs=1e-12)


@given(seeds)
def test_eq_vjp(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 6, size=2)
    x, weight, arrived = rng.normal(size=n), rng.normal(size=(n, m)), rng.normal(size=m)
    y = np.tanh(x @ weight)
    expected = np.zeros(n)
    for j in range(n):
        for i in range(m):
            expected[j] += arrived[i] * (1 - y[i] ** 2) * weight[j, i]  # ∂yᵢ/∂xⱼ by hand
    leaf = Tensor(x, requires_grad=True)
    (leaf @ weight).tanh().backward(arrived)
    assert leaf.grad == pytest.approx(expected, rel=1e-10, abs=1e-12)


@given(seeds)
def test_eq_unbroadcast(seed):
    rng = np.random.default_rng(seed)
    n, k = rng.integers(0, 6, size=2)
    arrived = rng.normal(size=(n, k))
    expected = np.zeros(k)
    for row, column in product(range(n), range(k)):
        expected[column] += arrived[row, column]
    bias = Tensor(rng.normal(size=k), requires_grad=True)
    (Tensor(rng.normal(size=(n, k))) + bias).backward(arrived)
    assert bias.grad.shape == (k,)
    assert bias.grad == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(seeds)
def test_eq_matmul_gradient(seed):
    rng = np.random.default_rng(seed)
    rows, inner, columns = rng.integers(1, 5, size=3)
    a, b = rng.normal(size=(rows, inner)), rng.normal(size=(inner, columns))
    arrived = rng.normal(size=(rows, columns))
    by_a, by_b = np.zeros_like(a), np.zeros_like(b)
    for i, j, k in product(range(rows), range(inner), range(columns)):
        by_a[i, j] += arrived[i, k] * b[j, k]
        by_b[j, k] += a[i, j] * arrived[i, k]
    first, second = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    (first @ second).backward(arrived)
    assert first.grad == pytest.approx(by_a, rel=1e-12, abs=1e-12)
    assert second.grad == pytest.approx(by_b, rel=1e-12, abs=1e-12)


def softmax(z):
    total = sum(math.exp(score) for score in z)
    return [math.exp(score) / total for score in z]


@given(seeds)
def test_eq_logsumexp_gradient(seed):
    z = np.random.default_rng(seed).normal(scale=3, size=5)
    leaf = Tensor(z, requires_grad=True)
    result = leaf.logsumexp()
    result.backward()
    assert result.item() == pytest.approx(math.log(sum(math.exp(score) for score in z)), rel=1e-12)
    assert leaf.grad == pytest.approx(np.array(softmax(z)), rel=1e-12)


def random_logits(seed):
    rng = np.random.default_rng(seed)
    rows, classes = rng.integers(1, 6), rng.integers(2, 6)
    return rng.normal(scale=3, size=(rows, classes)), rng.integers(classes, size=rows)


@given(seeds)
def test_eq_softmax_cross_entropy(seed):
    z, labels = random_logits(seed)
    total = 0.0
    for row, label in zip(z, labels, strict=True):
        total += math.log(sum(math.exp(score) for score in row)) - row[label]
    assert softmax_cross_entropy(Tensor(z), labels).item() == pytest.approx(total / len(z), rel=1e-10, abs=1e-12)


@given(seeds)
def test_eq_softmax_gradient(seed):
    z, labels = random_logits(seed)
    expected = np.zeros_like(z)
    for n, label in enumerate(labels):
        for k, p in enumerate(softmax(z[n])):
            expected[n, k] = (p - (k == label)) / len(z)
    logits = Tensor(z, requires_grad=True)
    softmax_cross_entropy(logits, labels).backward()
    assert logits.grad == pytest.approx(expected, rel=1e-9, abs=1e-14)


@settings(max_examples=15)
@given(seeds)
def test_eq_central_difference(seed):
    rng = np.random.default_rng(seed)
    weights, inputs = rng.normal(size=(2, 3)), rng.normal(size=(4, 2))
    labels, h = rng.integers(3, size=4), 1e-5

    def loss(w):
        return softmax_cross_entropy((Tensor(inputs) @ w).tanh(), labels)

    expected = np.zeros_like(weights)
    for i in np.ndindex(weights.shape):
        above, below = weights.copy(), weights.copy()
        above[i] += h
        below[i] -= h
        expected[i] = (loss(Tensor(above)).item() - loss(Tensor(below)).item()) / (2 * h)
    leaf = Tensor(weights, requires_grad=True)
    loss(leaf).backward()
    assert leaf.grad == pytest.approx(expected, rel=1e-6, abs=1e-9)


def one_step(seed):
    """A table of values, a step from one entry to another with its reward, and a step size."""
    rng = np.random.default_rng(seed)
    state, next_state = rng.permutation(5)[:2]
    return rng.normal(size=5), int(state), int(next_state), rng.normal(), rng.uniform(0.01, 0.5)


def descended(values, state, next_state, reward, step_size, *, detach):
    """A step of descent on half the squared TD error, by the library."""
    table = Tensor(values, requires_grad=True)
    target = table[next_state] + reward
    td_error = (target.detach() if detach else target) - table[state]
    (td_error * td_error / 2).backward()
    return values - step_size * table.grad


@given(seeds)
def test_eq_residual_gradient(seed):
    values, state, next_state, reward, step_size = one_step(seed)
    td_error = reward + values[next_state] - values[state]
    expected = values.copy()
    expected[next_state] -= step_size * td_error
    expected[state] += step_size * td_error
    moved = descended(values, state, next_state, reward, step_size, detach=False)
    assert moved == pytest.approx(expected, rel=1e-12, abs=1e-14)


@given(seeds)
def test_eq_semi_gradient(seed):
    values, state, next_state, reward, step_size = one_step(seed)
    expected = values.copy()
    expected[state] += step_size * (reward + values[next_state] - values[state])
    moved = descended(values, state, next_state, reward, step_size, detach=True)
    assert moved == pytest.approx(expected, rel=1e-12, abs=1e-14)
