import pytest
import torch
from mazelm.common.seeding import seeded


def test_the_same_seed_draws_the_same_weights_and_leaves_the_generator_alone():
    before = torch.get_rng_state()
    with seeded(3):
        first = torch.nn.Linear(2, 2).weight
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    with seeded(3):
        assert torch.equal(torch.nn.Linear(2, 2).weight, first)
    with seeded(4):
        assert not torch.equal(torch.nn.Linear(2, 2).weight, first)


def test_the_generator_is_put_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), seeded(0):
        torch.rand(-1)
    assert torch.equal(torch.get_rng_state(), before)
