"""A training run that ends itself with SIGKILL, for tests of resuming.

    python killed_run.py FOLDER [EPOCH MOMENT]

Trains for six epochs with checkpoints in FOLDER, from the last one if there is any, and writes the final weights to
FOLDER/final.safetensors. With EPOCH and MOMENT the process kills itself in that epoch: "after" it, when its record was
yielded; or "within" the saving of its checkpoint, before the rename.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from mazelm.common.seeding import seeded
from mazelm.training import checkpoint
from mazelm.training.loop import FitConfig, fit
from mazelm.training.optim import Adam, warmup_cosine
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import TensorDataset

N_EPOCHS = 6


def main(folder: Path, epoch: int = 0, moment: str = "after") -> None:
    rng = torch.Generator().manual_seed(7)
    x = torch.randn(90, 5, generator=rng)
    y = (x @ torch.randn(5, 3, generator=rng)).argmax(dim=1)
    torch.manual_seed(11)  # dropout draws from torch's own generator
    with seeded(0):
        model = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    optimizer = Adam(model.parameters(), learning_rate=0.01)
    if moment == "within":
        kill_before_renaming(epoch)
    records = fit(
        model,
        optimizer,
        TensorDataset(x[:70], y[:70]),
        TensorDataset(x[70:], y[70:]),
        FitConfig(epochs=N_EPOCHS, batch_size=16, max_norm=1.0),
        rng=rng,
        schedule=lambda step: warmup_cosine(step, peak=0.02, warmup_steps=5, total_steps=40),
        checkpoints=folder,
    )
    for record in records:
        print(*record, flush=True)
        if record.epoch == epoch and moment == "after":
            os.kill(os.getpid(), signal.SIGKILL)
    save_file({name: value.clone() for name, value in model.state_dict().items()}, folder / "final.safetensors")


def kill_before_renaming(epoch: int) -> None:
    rename = Path.rename

    def killed(self: Path, target: Path) -> Path:
        if Path(target).name == f"epoch-{epoch:04d}":
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)

    checkpoint.Path.rename = killed


if __name__ == "__main__":
    place, *rest = sys.argv[1:]
    main(Path(place), *([int(rest[0]), rest[1]] if rest else []))
