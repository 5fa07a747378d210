"""The training loop: one pass over the training data, one look at the validation data, one record.

Left out, and there in a production loop: mixed precision, accumulated gradients, several devices, logging. The caller
owns what happens between epochs, because the loop is a generator.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from mazelm.training import checkpoint
from mazelm.training.optim import FlatOptimizer

Loss = Callable[[Tensor, Tensor], Tensor]  # (predictions, targets) → the mean over the batch


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """What a training run may vary."""

    epochs: int = 20
    batch_size: int = 32
    max_norm: float | None = None  # longer gradients are clipped to this length
    patience: int | None = None  # stop when the validation loss has not fallen for so many epochs

    def __post_init__(self):
        for name in ("epochs", "batch_size", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.max_norm is not None and not self.max_norm > 0:
            raise ValueError(f"max_norm must be positive, got {self.max_norm}")


class EpochRecord(NamedTuple):
    """What one epoch came to. Losses are means over samples."""

    epoch: int  # the first is 1
    train_loss: float  # measured on the way, in training mode, while the weights were changing
    validation_loss: float
    validation_accuracy: float | None  # None where the targets are no classes


def fit(
    model: nn.Module,
    optimizer: FlatOptimizer,
    train: Dataset,
    validation: Dataset,
    config: FitConfig,
    *,
    rng: torch.Generator,
    device: torch.device | str = "cpu",
    loss_function: Loss = F.cross_entropy,
    schedule: Callable[[int], float] | None = None,
    checkpoints: Path | None = None,
) -> Iterator[EpochRecord]:
    """Train a model, yielding what each epoch came to.

    Args:
        model: Changed in place. It lies on `device` already.
        optimizer: Made for the parameters of this model.
        train: Gives pairs (input, target).
        validation: The same, and never trained on.
        config: Sizes and limits.
        rng: Shuffles the training data.
        device: Where the batches are brought.
        loss_function: The mean loss of a batch.
        schedule: The learning rate of each step, counted from 0; None leaves the optimiser's.
        checkpoints: A folder. After each epoch a checkpoint is written there, and the latest two and the best are
            kept. If it holds one when the run begins, the run goes on from it, and yields the records of
            the epochs before it again; then all random numbers are those that an uninterrupted run would have drawn.

    Raises:
        ValueError: There are no data, a loss is not finite, the optimiser belongs to another model, or the checkpoint
            is damaged.
    """
    known = {id(parameter) for parameter in model.parameters()}
    if any(id(parameter) not in known for parameter in optimizer.parameters):
        raise ValueError("optimizer was made for another model: it holds parameters that this one does not have")
    records: list[EpochRecord] = []
    path = checkpoint.latest(checkpoints) if checkpoints else None
    if path:
        progress = checkpoint.load(path, model=model, optimizer=optimizer, rng=rng)
        records = [EpochRecord(**record) for record in progress.records]
        yield from records
    loader = DataLoader(train, config.batch_size, shuffle=True, generator=rng)
    while len(records) < config.epochs and not has_stalled(records, config.patience):
        epoch = len(records) + 1
        train_loss = train_epoch(
            model,
            optimizer,
            loader,
            epoch=epoch,
            config=config,
            device=device,
            loss_function=loss_function,
            schedule=schedule,
        )
        validation_loss, accuracy = evaluate(
            model, validation, batch_size=config.batch_size, device=device, loss_function=loss_function
        )
        if not math.isfinite(validation_loss):
            raise ValueError(
                f"the validation loss is {validation_loss} after epoch {epoch}. Try: a smaller learning rate"
            )
        records.append(EpochRecord(epoch, train_loss, validation_loss, accuracy))
        if checkpoints:
            best = min(records, key=lambda record: record.validation_loss).epoch
            as_json = [record._asdict() for record in records]
            checkpoint.save(checkpoints, model=model, optimizer=optimizer, rng=rng, epoch=epoch, records=as_json)
            checkpoint.keep_only(checkpoints, {best, epoch - 1, epoch})
        yield records[-1]


def train_epoch(
    model: nn.Module,
    optimizer: FlatOptimizer,
    loader: DataLoader,
    *,
    epoch: int,
    config: FitConfig,
    device: torch.device | str,
    loss_function: Loss,
    schedule: Callable[[int], float] | None,
) -> float:
    """One pass over the training data; the mean loss per sample on the way.

    Raises:
        ValueError: A loss is not finite; the message names the step.
    """
    model.train()
    total, n_samples = 0.0, 0
    for i, (inputs, targets) in enumerate(loader):
        step = (epoch - 1) * len(loader) + i
        if schedule:
            optimizer.learning_rate = schedule(step)
        optimizer.zero_grad()
        loss = loss_function(model(inputs.to(device)), targets.to(device))
        if not torch.isfinite(loss):
            raise ValueError(f"the loss is {loss.item()} at step {step} (epoch {epoch}). Try: a smaller learning rate")
        loss.backward()
        if config.max_norm:
            optimizer.clip_gradient(config.max_norm)
        optimizer.step()
        total, n_samples = total + loss.item() * len(targets), n_samples + len(targets)  # the last batch may be smaller
    return total / n_samples


@torch.no_grad()
def evaluate(
    model: nn.Module,
    dataset: Dataset,
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    loss_function: Loss = F.cross_entropy,
) -> tuple[float, float | None]:
    """The mean loss per sample and, for classes, the share of right answers, with the model in evaluation mode.

    The model's mode is put back afterwards.

    Raises:
        ValueError: The data set is empty.
    """
    total, n_right, n_samples = 0.0, 0, 0
    was_training, has_classes = model.training, True
    model.eval()
    for inputs, targets in DataLoader(
        dataset, batch_size, generator=torch.Generator()
    ):  # else it draws from torch's own
        targets = targets.to(device)
        predictions = model(inputs.to(device))
        total, n_samples = total + loss_function(predictions, targets).item() * len(targets), n_samples + len(targets)
        has_classes = not targets.is_floating_point()
        if has_classes:
            n_right += int((predictions.argmax(dim=-1) == targets).sum())
    model.train(was_training)
    if not n_samples:
        raise ValueError("the data set is empty: there is nothing to measure")
    return total / n_samples, n_right / n_samples if has_classes else None


def has_stalled(records: list[EpochRecord], patience: int | None) -> bool:
    """Whether the lowest validation loss is `patience` epochs old."""
    if patience is None or not records:
        return False
    best = min(records, key=lambda record: record.validation_loss)
    return records[-1].epoch - best.epoch >= patience
