"""The labelled equations of the lesson on the training loop, each transcribed number by number."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.training.loop import evaluate
from mazelm.training.optim import SGD, Adam, warmup_cosine
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

seeds = st.integers(0, 2**32 - 1)
rates = st.floats(1e-4, 1.0)
decays = st.floats(0.0, 0.99)


def parameters_and_gradients(seed, steps):
    """Two parameters of different shapes, where they start, and the gradients of so many steps, all as flat arrays."""
    rng = np.random.default_rng(seed)
    start, gradients = rng.normal(size=7), rng.normal(size=(steps, 7)) * 10.0 ** rng.integers(-3, 3)
    parameters = [nn.Parameter(torch.tensor(start[:6].reshape(2, 3))), nn.Parameter(torch.tensor(start[6:]))]
    return parameters, start, gradients


def walk(optimizer, parameters, gradients):
    """Make one step for each gradient; return the places after each."""
    places = []
    for g in torch.tensor(gradients):
        optimizer.zero_grad()
        ((parameters[0] * g[:6].view(2, 3)).sum() + (parameters[1] * g[6:]).sum()).backward()
        optimizer.step()
        places.append(torch.cat([parameter.detach().flatten() for parameter in parameters]).numpy())
    return places


@given(seeds, st.integers(1, 40), st.integers(1, 45))
def test_eq_epoch_loss(seed, size, batch_size):
    rng = torch.Generator().manual_seed(seed)
    x, y = torch.randn(size, 5, generator=rng), torch.randint(4, (size,), generator=rng)
    model = nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5))
    total = 0.0
    for start in range(0, size, batch_size):
        rows = range(start, min(start + batch_size, size))
        logits = model[0](x[rows]).detach()
        batch_loss = -sum(float(logits[i].log_softmax(dim=0)[y[rows[i]]]) for i in range(len(rows))) / len(rows)
        total += len(rows) * batch_loss
    loss, accuracy = evaluate(model, TensorDataset(x, y), batch_size=batch_size)
    assert loss == pytest.approx(total / size, rel=1e-5, abs=1e-6)
    assert accuracy == pytest.approx(float((model[0](x).argmax(dim=1) == y).double().mean()))


@given(seeds, st.integers(1, 6), rates)
def test_eq_sgd(seed, steps, learning_rate):
    parameters, theta, gradients = parameters_and_gradients(seed, steps)
    places = walk(SGD(parameters, learning_rate=learning_rate), parameters, gradients)
    for step in range(steps):
        theta = [theta[i] - learning_rate * gradients[step][i] for i in range(7)]
        assert places[step] == pytest.approx(theta, rel=1e-12, abs=1e-12)


@given(seeds, st.integers(1, 8), rates, decays)
def test_eq_momentum(seed, steps, learning_rate, momentum):
    parameters, theta, gradients = parameters_and_gradients(seed, steps)
    places = walk(SGD(parameters, learning_rate=learning_rate, momentum=momentum), parameters, gradients)
    m = [0.0] * 7
    for step in range(steps):
        for i in range(7):
            m[i] = momentum * m[i] + gradients[step][i]
            theta[i] = theta[i] - learning_rate * m[i]
        assert places[step] == pytest.approx(theta, rel=1e-12, abs=1e-12)


@given(seeds, st.integers(1, 8), rates, decays, decays, st.sampled_from([1e-8, 1e-3, 0.1]))
def test_eq_adam(seed, steps, learning_rate, beta1, beta2, epsilon):
    parameters, theta, gradients = parameters_and_gradients(seed, steps)
    optimizer = Adam(parameters, learning_rate=learning_rate, betas=(beta1, beta2), epsilon=epsilon)
    places = walk(optimizer, parameters, gradients)
    m, v = [0.0] * 7, [0.0] * 7
    for t in range(1, steps + 1):
        for i in range(7):
            g = gradients[t - 1][i]
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g**2
            m_hat, v_hat = m[i] / (1 - beta1**t), v[i] / (1 - beta2**t)
            theta[i] = theta[i] - learning_rate * m_hat / (math.sqrt(v_hat) + epsilon)
        assert places[t - 1] == pytest.approx(theta, rel=1e-9, abs=1e-9)


@given(st.floats(1e-5, 10.0), st.integers(0, 50), st.integers(1, 100), st.data())
def test_eq_warmup_cosine(peak, warmup_steps, more, data):
    total_steps = warmup_steps + more
    t = data.draw(st.integers(0, total_steps))
    if t < warmup_steps:
        expected = peak * (t + 1) / warmup_steps
    else:
        angle = math.pi * (t - warmup_steps) / (total_steps - warmup_steps)
        expected = 0.5 * peak * (1 + math.cos(angle))
    rate = warmup_cosine(t, peak=peak, warmup_steps=warmup_steps, total_steps=total_steps)
    assert rate == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(seeds, st.floats(0.01, 100.0))
def test_eq_clip_norm(seed, max_norm):
    parameters, start, gradients = parameters_and_gradients(seed, 1)
    optimizer = SGD(parameters, learning_rate=1.0)
    (
        (parameters[0] * torch.tensor(gradients[0][:6]).view(2, 3)).sum()
        + parameters[1] @ torch.tensor(gradients[0][6:])
    ).backward()
    norm = math.sqrt(sum(g**2 for g in gradients[0]))
    assert optimizer.clip_gradient(max_norm) == pytest.approx(norm, rel=1e-12)
    optimizer.step()
    moved = start - torch.cat([parameter.detach().flatten() for parameter in parameters]).numpy()
    assert moved == pytest.approx([g * min(1, max_norm / norm) for g in gradients[0]], rel=2e-6 / norm + 1e-12)
    assert np.linalg.norm(moved) <= max_norm * (1 + 1e-9)


@given(seeds, st.integers(2, 12), st.floats(0.0, 60.0))
def test_eq_softmax_twice(seed, n_classes, scale):
    rng = np.random.default_rng(seed)
    logits, y = scale * rng.normal(size=n_classes), int(rng.integers(n_classes))
    powers = [math.exp(logit - max(logits)) for logit in logits]
    q = [power / sum(powers) for power in powers]
    by_hand = math.log(1 + sum(math.exp(q[k] - q[y]) for k in range(n_classes) if k != y))
    loss = F.cross_entropy(torch.tensor(logits)[None].softmax(dim=-1), torch.tensor([y])).item()
    assert loss == pytest.approx(by_hand, rel=1e-12)
    assert math.log(1 + (n_classes - 1) / math.e) - 1e-12 <= loss <= math.log(math.e + n_classes - 1) + 1e-12
