import os
import signal
import subprocess
import sys
from pathlib import Path

import killed_run
import pytest
import torch
from mazelm.common.seeding import seeded
from mazelm.training import checkpoint
from mazelm.training.loop import EpochRecord, FitConfig, evaluate, fit, has_stalled
from mazelm.training.optim import SGD, Adam
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset, TensorDataset


def data(n=50, seed=0):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=rng)
    return TensorDataset(x, x[:, :3].argmax(dim=1))


def model(dropout=0.0, seed=0):
    with seeded(seed):
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 3))


def run(network, *, epochs=3, train=None, validation=None, rate=0.1, seed=0, optimizer=None, **options):
    config = FitConfig(epochs=epochs, batch_size=options.pop("batch_size", 16), **options.pop("config", {}))
    optimizer = optimizer or SGD(network.parameters(), learning_rate=rate)
    rng = torch.Generator().manual_seed(seed)
    return list(fit(network, optimizer, train or data(), validation or data(20, 1), config, rng=rng, **options))


def weights(network):
    return torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])


def test_one_full_batch_is_one_step_of_gradient_descent():
    ours, theirs = model(), model()
    x, y = data().tensors
    loss = F.cross_entropy(theirs(x), y)
    loss.backward()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter -= 0.1 * parameter.grad
    (record,) = run(ours, epochs=1, batch_size=50)
    assert torch.allclose(weights(ours), weights(theirs), atol=1e-6)
    assert record.train_loss == pytest.approx(loss.item(), abs=1e-6)


def test_it_learns():
    records = run(model(), epochs=30, rate=0.5)
    assert records[-1].validation_loss < 0.5 * records[0].validation_loss
    assert records[-1].validation_accuracy > 0.8
    assert [record.epoch for record in records] == list(range(1, 31))


@pytest.mark.parametrize("batch_size", [1, 7, 16, 20, 100])
def test_losses_are_means_over_samples_whatever_the_batches(batch_size):
    network, (x, y) = model(), data(20).tensors
    with torch.no_grad():
        loss, accuracy = F.cross_entropy(network(x), y).item(), (network(x).argmax(1) == y).float().mean().item()
    assert evaluate(network, data(20), batch_size=batch_size) == pytest.approx((loss, accuracy), abs=1e-6)
    (record,) = run(network, epochs=1, train=data(20), validation=data(20), rate=0.0, batch_size=batch_size)
    assert record[1:] == pytest.approx((loss, loss, accuracy), abs=1e-6)


def test_the_order_comes_from_the_generator_alone():
    def trained(seed, other):
        network = model()
        torch.manual_seed(other)
        run(network, seed=seed)
        return weights(network)

    assert torch.equal(trained(1, 2), trained(1, 3))
    assert not torch.equal(trained(1, 2), trained(4, 2))


def test_validation_draws_nothing_and_records_no_graph():
    network = model(dropout=0.5)
    before = torch.get_rng_state()
    assert evaluate(network, data(), batch_size=8) == evaluate(network, data(), batch_size=8)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_each_part_has_its_mode_and_the_mode_is_put_back():
    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.seen = model(), []

        def forward(self, x):
            self.seen.append((self.training, torch.is_grad_enabled()))
            return self.inner(x)

    spy = Spy()
    spy.eval()
    run(spy, epochs=2, batch_size=50)
    assert spy.seen == [(True, True), (False, False)] * 2
    for mode in (True, False):
        spy.train(mode)
        evaluate(spy, data(), batch_size=8)
        assert spy.training is mode


def test_the_schedule_is_asked_for_every_step():
    asked = []

    def schedule(step):
        asked.append(step)
        return 0.01 * step

    network = model()
    optimizer = SGD(network.parameters(), learning_rate=9.0)
    run(network, epochs=2, optimizer=optimizer, schedule=schedule)
    assert asked == list(range(8))  # 50 samples in batches of 16 are 4 steps
    assert optimizer.learning_rate == pytest.approx(0.07)


def test_gradients_are_clipped():
    network = model()
    before = weights(network)
    run(network, epochs=1, batch_size=50, rate=1.0, config={"max_norm": 0.01})
    assert (weights(network) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_it_stops_when_the_validation_loss_has_not_fallen_for_long_enough():
    losses = [1.0, 0.9, 0.95, 0.9, 0.85, 0.9, 0.9, 0.8]
    records = [EpochRecord(i, 0.0, loss, None) for i, loss in enumerate(losses, start=1)]
    stalled = [n for n in range(9) if has_stalled(records[:n], 2)]
    assert stalled == [4, 7]  # after epoch 4 the best, epoch 2, is two epochs old
    assert not has_stalled(records, None)
    frozen = run(model(), epochs=50, rate=0.0, config={"patience": 3})
    assert len(frozen) == 4


def test_targets_that_are_no_classes_have_no_accuracy():
    x = data().tensors[0]
    numbers = TensorDataset(x, x.sum(dim=1, keepdim=True))
    with seeded(0):
        network = nn.Linear(4, 1)
    records = run(network, epochs=20, train=numbers, validation=numbers, loss_function=F.mse_loss)
    assert records[-1].validation_loss < 1e-3
    assert records[-1].validation_accuracy is None


def test_the_caller_decides_how_far_it_runs():
    network = model()
    epochs = fit(
        network,
        SGD(network.parameters(), learning_rate=0.1),
        data(),
        data(),
        FitConfig(),
        rng=torch.Generator().manual_seed(0),
    )
    before = weights(network)
    next(epochs)
    after = weights(network)
    assert not torch.equal(before, after)
    epochs.close()
    assert torch.equal(weights(network), after)


class Empty(Dataset):
    def __len__(self):
        return 0

    def __getitem__(self, index):
        raise IndexError


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step():
    x, y = data(20).tensors
    broken = TensorDataset(torch.full_like(x, torch.nan), y)
    with pytest.raises(ValueError, match=r"the loss is nan at step 0 \(epoch 1\)"):
        run(model(), train=broken)
    with pytest.raises(ValueError, match="the validation loss is nan after epoch 1"):
        run(model(), validation=broken)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="the data set is empty"):
        evaluate(model(), Empty(), batch_size=4)
    with pytest.raises(ValueError, match="made for another model"):
        run(model(), optimizer=SGD(model().parameters(), learning_rate=0.1))
    for name in ("epochs", "batch_size", "patience"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            FitConfig(**{name: 0})
    with pytest.raises(ValueError, match="max_norm must be positive, got 0"):
        FitConfig(max_norm=0.0)


def test_a_resumed_run_yields_all_records_and_ends_with_the_same_weights(tmp_path):
    def trained(folder, epochs):
        network = model(dropout=0.4)
        torch.manual_seed(5)
        records = run(
            network, epochs=epochs, checkpoints=folder, optimizer=Adam(network.parameters(), learning_rate=0.01)
        )
        return records, weights(network)

    whole = trained(None, 5)
    first = trained(tmp_path, 2)
    assert first[0] == whole[0][:2]
    torch.manual_seed(99)
    second = trained(tmp_path, 5)
    assert second[0] == whole[0]
    assert torch.equal(second[1], whole[1])
    again = trained(tmp_path, 5)  # nothing is left to do
    assert again[0] == whole[0]
    assert torch.equal(again[1], whole[1])


def test_the_latest_two_and_the_best_checkpoint_are_kept(tmp_path):
    records = run(model(), epochs=6, rate=0.5, checkpoints=tmp_path, schedule=lambda step: 0.5 if step < 12 else -0.5)
    best = min(records, key=lambda record: record.validation_loss).epoch
    assert best < 5
    assert {path.name for path in tmp_path.iterdir()} == {f"epoch-{epoch:04d}" for epoch in (best, 5, 6)}
    network = model()
    checkpoint.load(tmp_path / f"epoch-{best:04d}", model=network)
    loss, _ = evaluate(network, data(20, 1), batch_size=16)
    assert loss == pytest.approx(records[best - 1].validation_loss)


def test_a_damaged_checkpoint_stops_the_run_and_is_named(tmp_path):
    run(model(), epochs=2, checkpoints=tmp_path)
    (tmp_path / "epoch-0002" / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"epoch-0002.*is damaged.*delete epoch-0002"):
        run(model(), epochs=3, checkpoints=tmp_path)


def start(folder, *more):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, killed_run.__file__, str(folder), *map(str, more)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = start(folder)
    assert done.returncode == 0, done.stderr
    return done.stdout, (folder / "final.safetensors").read_bytes()


@pytest.mark.parametrize(("epoch", "moment"), [(1, "after"), (3, "after"), (5, "after"), (1, "within"), (4, "within")])
def test_a_run_that_is_killed_and_started_again_ends_with_the_same_bytes(tmp_path, uninterrupted, epoch, moment):
    done = start(tmp_path, epoch, moment)
    assert done.returncode == -signal.SIGKILL
    path = checkpoint.latest(tmp_path)
    whole = epoch if moment == "after" else epoch - 1
    assert (path and path.name) == (f"epoch-{whole:04d}" if whole else None)
    assert len(done.stdout.splitlines()) == whole
    again = start(tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stdout == uninterrupted[0]
    assert Path(tmp_path / "final.safetensors").read_bytes() == uninterrupted[1]
    assert not list(tmp_path.glob(".*"))  # nothing half written is left
