import math

import numpy as np
import pytest
import torch
from mazelm.common.seeding import seeded
from mazelm.training.optim import SGD, Adam, warmup_cosine
from torch import nn
from torch.nn import functional as F


def small_model(seed=0):
    with seeded(seed):
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def batch():
    rng = torch.Generator().manual_seed(1)
    return torch.randn(8, 3, generator=rng), torch.randint(2, (8,), generator=rng)


def step(model, optimizer):
    x, y = batch()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def one_number(value=1.0):
    return nn.Parameter(torch.tensor([value], dtype=torch.float64))


def test_sgd_by_hand():
    x = one_number(1.0)
    optimizer = SGD([x], learning_rate=0.1, momentum=0.5)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        (x * 2).backward()  # the gradient is 2 everywhere
        optimizer.step()
        seen.append(x.item())
    assert seen == pytest.approx([1 - 0.1 * 2, 0.8 - 0.1 * (0.5 * 2 + 2), 0.5 - 0.1 * (0.5 * 3 + 2)])


def test_the_first_step_of_adam_has_the_size_of_the_learning_rate():
    for gradient in (1e-3, 5.0, -40.0):
        x = one_number(1.0)
        optimizer = Adam([x], learning_rate=0.01)
        (x * gradient).backward()
        optimizer.step()
        assert x.item() == pytest.approx(1 - 0.01 * math.copysign(1, gradient), abs=1e-6)


def test_adam_by_definition():
    """Three steps, one parameter at a time, as the algorithm is printed."""
    gradients = np.array([[1.0, -2.0], [0.5, 0.0], [-3.0, 1.0]])
    x = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    optimizer = Adam([x], learning_rate=0.1, betas=(0.8, 0.95), epsilon=1e-3)
    expected = [1.0, 2.0]
    for i in range(2):
        m = v = 0.0
        for t, g in enumerate(gradients[:, i], start=1):
            m = 0.8 * m + (1 - 0.8) * g
            v = 0.95 * v + (1 - 0.95) * g**2
            expected[i] -= 0.1 * (m / (1 - 0.8**t)) / (math.sqrt(v / (1 - 0.95**t)) + 1e-3)
    for g in gradients:
        optimizer.zero_grad()
        x.backward(torch.tensor(g))
        optimizer.step()
    np.testing.assert_allclose(x.detach().numpy(), expected, rtol=1e-12)


def test_parameters_are_views_of_one_buffer():
    model = small_model()
    optimizer = SGD(model.parameters(), learning_rate=0.1)
    assert len(optimizer.values) == sum(parameter.numel() for parameter in model.parameters())
    optimizer.values.fill_(0.25)
    assert all((parameter == 0.25).all() for parameter in model.parameters())
    F.cross_entropy(model(batch()[0]), batch()[1]).backward()
    flat = torch.cat([parameter.grad.reshape(-1) for parameter in model.parameters()])
    assert torch.equal(optimizer.gradient, flat)


def test_the_values_of_the_parameters_are_kept():
    before = [parameter.detach().clone() for parameter in small_model().parameters()]
    model = small_model()
    SGD(model.parameters(), learning_rate=0.1)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_it_does_not_matter_who_sets_the_gradients_to_zero(kind):
    ours, theirs = small_model(), small_model()
    first, second = (kind(model.parameters(), learning_rate=0.1) for model in (ours, theirs))
    for _ in range(4):
        step(ours, first)
        theirs.zero_grad()  # sets them to None, so that backward makes new ones
        F.cross_entropy(theirs(batch()[0]), batch()[1]).backward()
        second.step()
    assert torch.equal(first.values, second.values)


def test_after_the_model_has_cleared_its_gradients_the_optimiser_still_can():
    model = small_model()
    optimizer = SGD(model.parameters(), learning_rate=0.1)
    model.zero_grad()  # takes the views off the parameters
    F.cross_entropy(model(batch()[0]), batch()[1]).backward()
    optimizer.step()
    optimizer.zero_grad()
    assert all((parameter.grad == 0).all() for parameter in model.parameters())
    F.cross_entropy(model(batch()[0]), batch()[1]).backward()
    assert torch.equal(optimizer.gradient, torch.cat([parameter.grad.reshape(-1) for parameter in model.parameters()]))


def test_gradients_that_were_set_to_none_count_as_zero():
    model = small_model()
    optimizer = SGD(model.parameters(), learning_rate=0.1)
    step(model, optimizer)
    before = optimizer.values.clone()
    model.zero_grad()
    optimizer.step()
    assert torch.equal(optimizer.values, before)


def test_frozen_parameters_stay_out():
    model = small_model()
    model[0].weight.requires_grad_(False)
    before = model[0].weight.clone()
    optimizer = SGD(model.parameters(), learning_rate=0.1)
    step(model, optimizer)
    assert torch.equal(model[0].weight, before)
    assert len(optimizer.parameters) == 3


def test_a_model_that_is_moved_afterwards_is_noticed():
    model = small_model()
    optimizer = Adam(model.parameters(), learning_rate=0.1)
    model.double()
    with pytest.raises(ValueError, match="moved since the optimiser was made"):
        optimizer.step()


@pytest.mark.parametrize(("max_norm", "expected"), [(1.0, 1.0), (10.0, 5.0)])
def test_clipping_shortens_and_never_lengthens(max_norm, expected):
    x = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer = SGD([x], learning_rate=1.0)
    x.backward(torch.tensor([3.0, -4.0], dtype=torch.float64))
    assert optimizer.clip_gradient(max_norm) == pytest.approx(5)
    assert optimizer.gradient.norm().item() == pytest.approx(expected, rel=1e-5)
    assert optimizer.gradient[0] / optimizer.gradient[1] == pytest.approx(-3 / 4)


def test_clipping_spreads_what_is_not_a_number():
    x = nn.Parameter(torch.zeros(2))
    optimizer = SGD([x], learning_rate=1.0)
    x.backward(torch.tensor([math.nan, 1.0]))
    assert math.isnan(optimizer.clip_gradient(1.0))
    assert optimizer.gradient.isnan().all()


def test_a_mean_that_fades_ends_at_zero():
    """Numbers below 1e-38 are slow, and their last bits would never go away: 0.9 times the smallest is rounded up."""
    optimizer = Adam([x := one_number()], learning_rate=0.001)
    x.backward()
    optimizer.step()
    optimizer.zero_grad()
    for _ in range(1200):
        optimizer.step()
    assert optimizer.state_dict()["mean"].item() == 0 < optimizer.state_dict()["square"].item()


def test_clipping_a_gradient_of_zero_leaves_zero():
    optimizer = SGD([one_number()], learning_rate=1.0)
    assert optimizer.clip_gradient(1.0) == 0
    assert optimizer.gradient.item() == 0


@pytest.mark.parametrize(
    "make", [lambda p: SGD(p, learning_rate=0.1, momentum=0.9), lambda p: Adam(p, learning_rate=0.1)]
)
def test_a_state_that_is_put_back_continues_the_same_steps(make):
    model = small_model()
    optimizer = make(model.parameters())
    for _ in range(3):
        step(model, optimizer)
    optimizer.learning_rate = 0.03
    state, weights = optimizer.state_dict(), {name: value.clone() for name, value in model.state_dict().items()}
    straight = [step(model, optimizer) for _ in range(3)]
    other = small_model(seed=1)
    again = make(other.parameters())
    again.load_state_dict(state)
    other.load_state_dict(weights)
    assert [step(other, again) for _ in range(3)] == straight
    assert torch.equal(again.values, optimizer.values)


def test_a_state_is_a_copy():
    model = small_model()
    optimizer = SGD(model.parameters(), learning_rate=0.1, momentum=0.9)
    step(model, optimizer)
    state = optimizer.state_dict()
    before = state["velocity"].clone()
    step(model, optimizer)
    assert torch.equal(state["velocity"], before)


def test_a_state_of_another_optimiser_or_model_is_refused():
    sgd, adam = (kind(small_model().parameters(), learning_rate=0.1) for kind in (SGD, Adam))
    with pytest.raises(ValueError, match=r"Adam needs .*mean"):
        adam.load_state_dict(sgd.state_dict())
    with pytest.raises(ValueError, match="is for 26 parameters, and here are 1"):
        SGD([one_number()], learning_rate=0.1).load_state_dict(sgd.state_dict())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SGD([], learning_rate=0.1), "parameters is empty"),
        (lambda: SGD([one_number()] * 2, learning_rate=0.1), "one parameter twice"),
        (lambda: SGD([one_number(), nn.Parameter(torch.ones(1))], learning_rate=0.1), "one dtype"),
        (lambda: SGD([one_number()], learning_rate=-1.0), r"learning_rate must not be negative, got -1\.0"),
        (lambda: SGD([one_number()], learning_rate=float("nan")), "learning_rate"),
        (lambda: SGD([one_number()], learning_rate=0.1, momentum=1.0), r"momentum must be in \[0, 1\), got 1\.0"),
        (lambda: Adam([one_number()], learning_rate=0.1, betas=(0.9, 1.0)), r"betas must be in \[0, 1\)"),
        (lambda: Adam([one_number()], learning_rate=0.1, epsilon=-1e-8), "epsilon must not be negative"),
        (lambda: warmup_cosine(0, peak=1.0, warmup_steps=5, total_steps=5), "warmup_steps=5 .* total_steps=5"),
        (lambda: warmup_cosine(0, peak=1.0, warmup_steps=-1, total_steps=5), "warmup_steps=-1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_the_schedule_rises_and_falls():
    rates = [warmup_cosine(t, peak=2.0, warmup_steps=4, total_steps=12) for t in range(14)]
    assert rates[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert rates[8] == pytest.approx(1.0)  # half way down
    assert rates[12] == rates[13] == pytest.approx(0)
    assert rates[4:13] == sorted(set(rates[4:13]), reverse=True)
    assert warmup_cosine(0, peak=2.0, warmup_steps=0, total_steps=3) == 2
