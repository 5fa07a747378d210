"""The flat optimisers and the schedule against torch's."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mazelm.common.seeding import seeded
from mazelm.training.optim import SGD, Adam, warmup_cosine
from torch import nn
from torch.nn import functional as F


def train(optimizer, model, seed, clip):
    """Twenty steps on batches of this seed, with a learning rate that changes; the weights and the losses."""
    rng = torch.Generator().manual_seed(seed)
    losses = []
    for t in range(20):
        rate = 0.05 / (1 + t)
        if isinstance(optimizer, torch.optim.Optimizer):
            optimizer.param_groups[0]["lr"] = rate
        else:
            optimizer.learning_rate = rate
        x, y = torch.randn(16, 5, generator=rng), torch.randint(3, (16,), generator=rng)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if clip:
            norm = (
                nn.utils.clip_grad_norm_(model.parameters(), 0.5)
                if isinstance(optimizer, torch.optim.Optimizer)
                else optimizer.clip_gradient(0.5)
            )
            losses.append(float(norm))
        optimizer.step()
        losses.append(loss.item())
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()]), losses


def model(seed):
    with seeded(seed):
        return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 16, bias=False), nn.Tanh(), nn.Linear(16, 3))


PAIRS = {
    "sgd": (lambda p: SGD(p, learning_rate=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": (
        lambda p: SGD(p, learning_rate=0.1, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    ),
    "adam": (lambda p: Adam(p, learning_rate=0.1), lambda p: torch.optim.Adam(p, lr=0.1)),
    "adam with its own settings": (
        lambda p: Adam(p, learning_rate=0.1, betas=(0.5, 0.9), epsilon=1e-4),
        lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.5, 0.9), eps=1e-4),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("clip", [False, True], ids=["as it is", "clipped"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_weights_as_torch_to_a_millionth(name, clip, seed):
    ours, theirs = model(seed), model(seed)
    make, make_theirs = PAIRS[name]
    weights, losses = train(make(ours.parameters()), ours, seed, clip)
    expected, their_losses = train(make_theirs(theirs.parameters()), theirs, seed, clip)
    assert (weights - expected).abs().max() <= 1e-6
    assert losses == pytest.approx(their_losses, abs=1e-5)


@given(warmup=st.integers(0, 20), rest=st.integers(1, 50), peak=st.floats(1e-5, 10))
def test_the_schedule_is_that_of_torch_after_the_warm_up(warmup, rest, peak):
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=peak)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=rest)
    for t in range(warmup, warmup + rest):
        rate = warmup_cosine(t, peak=peak, warmup_steps=warmup, total_steps=warmup + rest)
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12)
        optimizer.step()
        schedule.step()


def test_ours_does_not_import_the_compiler():
    """torch.optim.Adam does, which costs every process more than a second."""
    code = """
import sys, torch
from mazelm.training.optim import Adam
parameter = torch.nn.Parameter(torch.zeros(3))
Adam([parameter], learning_rate=0.1).step()
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
